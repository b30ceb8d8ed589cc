# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task asks for of a container, in canonical form.

These values are frozen, and compare equal when they mean the same. They are written into records, so their annotations
must be evaluable on Python 3.9 (`Optional[X]`, not `X | None`), and a new field needs a default.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from .image import Healthcheck
from .network import Attachment, PublishedPort
from .volume import Inherited, Mount


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
