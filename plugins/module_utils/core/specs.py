# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task asks for, in canonical form: frozen values that compare equal when they mean the same.

These classes are written into records, so their annotations must be evaluable on Python 3.9 (`Optional[X]`, not
`X | None`), and a new field needs a default.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional


@dataclass(frozen=True)
class Healthcheck:
    """A health check as Docker writes it: `test` begins with NONE, CMD or CMD-SHELL, times are nanoseconds.

    Empty and 0 mean "not given".
    """

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0

    def show(self) -> str:
        """`CMD-SHELL true, interval 1.5s, retries 2`."""
        times = ("interval", "timeout", "start_period", "start_interval")
        given = [f"{name} {getattr(self, name) / 10**9:g}s" for name in times if getattr(self, name)]
        return ", ".join([" ".join(self.test), *given, *([f"retries {self.retries}"] if self.retries else [])])


@dataclass(frozen=True)
class ImageConfig:
    """The part of an OCI image's config that a container inherits. `None` and empty mean "not given"."""

    command: Optional[tuple[str, ...]] = None
    entrypoint: Optional[tuple[str, ...]] = None
    env: dict[str, str] = field(default_factory=dict)
    working_dir: str = ""
    user: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    healthcheck: Optional[Healthcheck] = None
    shell: tuple[str, ...] = ()
    on_build: tuple[str, ...] = ()


@dataclass(frozen=True)
class Subnet:
    """A range of addresses of a network, IPv4 or IPv6.

    The host has `gateway`. Addresses are given out from `iprange`, empty for the whole subnet, and nobody gets those in
    `aux_addresses`, which are there by a name.
    """

    subnet: str
    iprange: str = ""
    gateway: str = ""
    aux_addresses: dict[str, str] = field(default_factory=dict)

    @property
    def version(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.subnet else 4


@dataclass(frozen=True)
class Vxlan:
    """What a network has that is one over many hosts, each of which gives out addresses of its own slice.

    `host` is this host in `hosts`, which has the addresses of all among themselves; `subnets` are divided into `slices`
    equal parts, and `numbers` are the slices of the hosts whose address does not say it. `vni` is the network's number
    in packets, which go to the UDP port `port`.
    """

    host: str
    hosts: dict[str, str]
    subnets: tuple[str, ...]
    slices: int
    vni: int
    port: int = 4789
    numbers: dict[str, int] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """This host's own."""
        return self.hosts[self.host]


@dataclass(frozen=True)
class NetworkSpec:
    """A network. A family that is enabled and has no subnet gets one when the network is created, and keeps it.

    `ipam_config` is what this host gives out: of a network over many hosts, its slices.

    `driver_options` are as given; what they mean is in fields of their own as well. `isolate` keeps the containers of
    other networks out.
    """

    name: str
    driver: str = "bridge"
    ipam_config: tuple[Subnet, ...] = ()
    internal: bool = False
    mtu: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    isolate: bool = True
    driver_options: dict[str, str] = field(default_factory=dict)
    vxlan: Optional[Vxlan] = None

    @staticmethod
    def of_older(fields: dict[str, Any]) -> dict[str, Any]:
        """Records of the first schema have one IPv4 subnet, in two fields."""
        if "subnet" not in fields:
            return fields
        return {**fields, "ipam_config": [{"subnet": fields["subnet"], "gateway": fields["gateway"]}]}

    def of_family(self, version: int) -> tuple[Subnet, ...]:
        """The subnets of IPv4 or of IPv6."""
        return tuple(entry for entry in self.ipam_config if entry.version == version)

    @property
    def subnets(self) -> tuple[str, ...]:
        """All subnets, of both families and on all hosts."""
        return self.vxlan.subnets if self.vxlan else tuple(entry.subnet for entry in self.ipam_config)

    def whole(self, entry: Subnet) -> str:
        """The subnet that an entry is, or is a slice of."""
        return entry.subnet if self.vxlan is None else self.subnet4 if entry.version == 4 else self.subnet6

    @property
    def subnet4(self) -> str:
        """The first IPv4 subnet, or an empty string."""
        return next((subnet for subnet in self.subnets if ":" not in subnet), "")

    @property
    def subnet6(self) -> str:
        """The first IPv6 subnet, or an empty string."""
        return next((subnet for subnet in self.subnets if ":" in subnet), "")


@dataclass(frozen=True, order=True)
class PublishedPort:
    """One published port. `host_ip` empty: every address of the host, 127.0.0.1 and ::1 among them; `0.0.0.0` or `::`:
    every one of a family.

    `host_port` 0 is any free one; with `host_last` it is a free one of the range from the one to the other.
    `allow_from` are the networks that may use it, empty for everyone.
    """

    host_port: int
    container_port: int
    protocol: str = "tcp"
    host_ip: str = ""
    host_last: int = 0
    allow_from: tuple[str, ...] = ()

    @property
    def chosen(self) -> bool:
        """Whether the port of the host is found when the container starts."""
        return not self.host_port or bool(self.host_last)

    @property
    def versions(self) -> tuple[int, ...]:
        """The families of the host's addresses that are meant."""
        return (4, 6) if not self.host_ip else (6,) if ":" in self.host_ip else (4,)

    @property
    def key(self) -> str:
        """`127.0.0.1:8080->80/tcp`, `[::1]:8000-8010->80/tcp`, `any->80/tcp`."""
        host = str(self.host_port or "any") + (f"-{self.host_last}" if self.host_last else "")
        ip = f"[{self.host_ip}]" if ":" in self.host_ip else self.host_ip
        return (f"{ip}:" if ip else "") + f"{host}->{self.container_port}/{self.protocol}"

    def show(self) -> str:
        """As the key, and for whom it is: `8080->80/tcp from 192.0.2.0/24`."""
        return self.key + (f" from {', '.join(self.allow_from)}" if self.allow_from else "")


@dataclass(frozen=True)
class VolumeSpec:
    """A volume: a directory that outlives the containers that use it."""

    name: str
    driver: str = "local"
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Mount:
    """A bind mount (`source` is a path), a volume or an image (by its name), or a tmpfs (`options` are its own).

    A volume without a source is anonymous: it gets a name when the container is made. `labels` are those of a volume
    that is made on demand, `subpath` is a directory inside of it, and `no_copy` leaves it empty. `create` has the
    source of a bind mount made when it is missing. What is mounted below that comes along unless `non_recursive`, and
    with `read_only_non_recursive` can be written; with `read_only_force_recursive` a host that cannot prevent it is an
    error. Of the image of a container that was made, `image_id` and `layers` are known.
    """

    target: str
    source: str
    read_only: bool = False
    kind: str = "bind"
    propagation: str = "rprivate"
    options: tuple[str, ...] = ()
    no_copy: bool = False
    subpath: str = ""
    create: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    non_recursive: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False
    image_id: str = ""
    layers: tuple[str, ...] = ()

    def show(self) -> str:
        """As in `volumes`, `src:/dst:ro,rslave`, and what can be said in `mounts` alone."""
        words = ["ro"] if self.read_only else []
        words += [self.propagation] if self.propagation != "rprivate" else []
        words += [f"subpath={self.subpath}"] if self.subpath else []
        flags = ("no_copy", "create", "non_recursive", "read_only_non_recursive", "read_only_force_recursive")
        words += [name for name in flags if getattr(self, name)]
        words += [option for option in self.options if option != "ro"]
        words += [f"label {name}={value}" for name, value in self.labels.items()]
        return ":".join(filter(None, [self.source, self.target, ",".join(words)]))


@dataclass(frozen=True)
class Inherited:
    """Another container whose mounts a container has as well (`volumes_from`)."""

    container: str
    read_only: bool = False


@dataclass(frozen=True)
class Secret:
    """A file that is kept in memory. Its content is in no specification; `src` is a file on the host that has it."""

    name: str
    target: str
    src: str = ""
    uid: int = 0
    gid: int = 0
    mode: int = 0o444


@dataclass(frozen=True)
class Limits:
    """Resource limits; 0 and empty mean none. `memory_swap` is memory and swap together, -1 for no limit.

    `cpu_quota` and `cpu_period` are microseconds, `memory_swappiness` is -1 when the host decides, and the rates are
    bytes or operations a second by the path of a block device on the host.
    """

    memory: int = 0
    memory_swap: int = 0
    memory_reservation: int = 0
    cpu_quota: int = 0
    cpu_shares: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids_limit: int = 0
    cpu_period: int = 0
    memory_swappiness: int = -1
    oom_kill_disable: bool = False
    blkio_weight: int = 0
    device_read_bps: dict[str, int] = field(default_factory=dict)
    device_write_bps: dict[str, int] = field(default_factory=dict)
    device_read_iops: dict[str, int] = field(default_factory=dict)
    device_write_iops: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, order=True)
class Ulimit:
    """A resource limit of setrlimit(2), by its name without `RLIMIT_`, in lower case; -1 is no limit."""

    name: str
    soft: int
    hard: int

    def show(self) -> str:
        """`nofile:1024:4096`."""
        soft, hard = ("unlimited" if number == -1 else str(number) for number in (self.soft, self.hard))
        return f"{self.name}:{soft}:{hard}"


@dataclass(frozen=True)
class Attachment:
    """A container's place in a network. An address that is empty is any free one; `mac_address` empty: made from it.

    The default routes lead into the network of the highest `gw_priority`; of several, the first. `interface` is what it
    is called in the container, empty for the next free of eth0, eth1, …; `sysctls` are settings of it, by their path
    below /proc/sys/net. `links` are names that it alone has for others in the network, as `container:alias`.
    """

    name: str
    ipv4_address: str = ""
    aliases: tuple[str, ...] = ()
    mac_address: str = ""
    gw_priority: int = 0
    interface: str = ""
    ipv6_address: str = ""
    sysctls: dict[str, str] = field(default_factory=dict)
    links: tuple[str, ...] = ()

    def show(self) -> str:
        """`lan`, `lan(10.0.0.2, alias web)`."""
        words = [self.ipv4_address, self.ipv6_address, self.mac_address, self.interface]
        words += [f"alias {name}" for name in self.aliases]
        words += [f"link {link}" for link in self.links]
        words += [f"gw_priority {self.gw_priority}"] if self.gw_priority else []
        words += [f"{name}={value}" for name, value in self.sysctls.items()]
        more = ", ".join(filter(None, words))
        return f"{self.name}({more})" if more else self.name


@dataclass(frozen=True, order=True)
class Device:
    """A device of the host, or a directory of them, that the container has at `path`; access is some of `rwm`."""

    path: str
    source: str
    access: str = "rwm"

    def show(self) -> str:
        """`/dev/x:/dev/y:rwm`."""
        return f"{self.source}:{self.path}:{self.access}"


@dataclass(frozen=True)
class ContainerSpec:
    """A container as asked for. `None` means "not given": the image decides, and nothing is compared.

    The modes name namespaces: `host`, `container:NAME`, or empty for the container's own. `seccomp` is `default`,
    `unconfined`, or the text of a profile. `log_driver` is `none`, or empty for the file.
    """

    name: str
    image: str = ""
    command: Optional[tuple[str, ...]] = None
    entrypoint: Optional[tuple[str, ...]] = None
    env: dict[str, str] = field(default_factory=dict)
    working_dir: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()
    hostname: str = ""
    domainname: str = ""
    mounts: tuple[Mount, ...] = ()
    limits: Limits = Limits()
    networks: tuple[Attachment, ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    privileged: bool = False
    read_only: bool = False
    no_new_privs: bool = False
    seccomp: str = "default"
    sysctls: dict[str, str] = field(default_factory=dict)
    ulimits: tuple[Ulimit, ...] = ()
    shm_size: int = 0
    oom_score_adj: int = 0
    dns_servers: tuple[str, ...] = ()
    dns_search_domains: tuple[str, ...] = ()
    dns_opts: tuple[str, ...] = ()
    etc_hosts: dict[str, str] = field(default_factory=dict)
    restart_policy: str = "no"
    restart_retries: int = 0
    log_driver: str = ""
    log_max_size: int = 0
    log_max_files: int = 0
    stop_signal: str = ""
    stop_timeout: int = 10
    tty: bool = False
    interactive: bool = False
    init: bool = False
    volumes_from: tuple[Inherited, ...] = ()
    secrets: tuple[Secret, ...] = ()
    network_mode: str = ""
    pid_mode: str = ""
    ipc_mode: str = ""
    uts: str = ""
    cgroupns_mode: str = ""
    userns_mode: str = ""
    cgroup_parent: str = ""
    devices: tuple[Device, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()
    apparmor: str = ""
    exposed_ports: tuple[str, ...] = ()
    publish_all_ports: bool = False
    host_binding: str = ""
    routed: tuple[int, ...] = ()
    healthcheck: Optional[Healthcheck] = None
    auto_remove: bool = False
