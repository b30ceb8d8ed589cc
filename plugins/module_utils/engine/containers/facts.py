# SPDX-License-Identifier: GPL-3.0-or-later
"""A container as `docker inspect` shows it, so that tasks written for Docker find their keys."""

from __future__ import annotations

from typing import Any

from ...core.errors import MiniError
from ...core.paths import Paths
from ...core.specs.container import ContainerSpec
from ...core.specs.network import Attachment
from ...linux.cgroups.detect import open_cgroup
from ...network.veth import mac_of
from ...runtime.log import MAX_FILES, MAX_SIZE
from ..networks import attach
from ..networks.describe import endpoint_id
from . import bundle, healthcheck, mounts, namespaces
from .ending import last_run
from .living import live_process, restarting
from .observe import log_path
from .publishing import published
from .record import ContainerRecord
from .vitals import watched

_NEVER = "0001-01-01T00:00:00Z"
UNWATCHED = "its monitor is dead: the next task for the container gives it another one"
UNKNOWN = "the exit code is unknown"


def facts(paths: Paths, record: ContainerRecord) -> dict[str, Any]:
    """The facts of one container."""
    spec, image = record.spec, record.image_config
    found = last_run(paths, record)
    try:
        arguments = bundle.arguments(spec, image)
    except MiniError:
        arguments = [""]
    return {
        "Id": record.id,
        "Name": f"/{record.name}",
        "Created": record.created,
        "Path": arguments[0],
        "Args": arguments[1:],
        "Image": record.image_id,
        "Platform": "linux",
        "LogPath": "" if spec.log_driver == bundle.NO_LOG else log_path(paths, record.id),
        "HostnamePath": paths.container(record.id, "hostname"),
        "HostsPath": paths.container(record.id, "hosts"),
        "ResolvConfPath": paths.container(record.id, "resolv.conf"),
        "AppArmorProfile": spec.apparmor,
        "RestartCount": found.get("restart_count", 0),
        "State": _state(record, found),
        "Config": _config(record),
        "HostConfig": _host_config(record),
        "Mounts": [_mount(paths, mount) for mount in record.all_mounts()],
        "GraphDriver": {"Name": "overlay", "Data": {"UpperDir": paths.container(record.id, "upper")}},
        "NetworkSettings": _network_settings(paths, record),
    }


def _state(record: ContainerRecord, found: dict[str, Any]) -> dict[str, Any]:
    """An exit code that nobody could tell is -1."""
    init, again = live_process(found), restarting(found)
    paused = init is not None and open_cgroup(bundle.cgroup_path(record.id, record.spec.cgroup_parent)).frozen()
    status = "running" if init else "restarting" if again else "exited" if found else "created"
    known = found.get("exit_code", None if status == "exited" else 0)
    return {
        "Status": "paused" if paused else status,
        "Running": init is not None,
        "Paused": paused,
        "Restarting": again,
        "OOMKilled": bool(found.get("oom_killed")),
        "Dead": False,
        "Pid": init.pid if init else 0,
        "ExitCode": -1 if known is None else known,
        "Error": UNKNOWN if known is None else UNWATCHED if init and not watched(found) else found.get("error", ""),
        "StartedAt": found.get("started_at", _NEVER),
        "FinishedAt": found.get("finished_at", _NEVER),
        **healthcheck.inspect_state(found.get("health")),
    }


def _config(record: ContainerRecord) -> dict[str, Any]:
    spec, image = record.spec, record.image_config
    return {
        "Hostname": bundle.hostname(spec),
        "Domainname": spec.domainname,
        "User": spec.user or image.user,
        "Env": [f"{name}={value}" for name, value in bundle.environment(spec, image).items()],
        "Cmd": list(spec.command if spec.command is not None else image.command or ()),
        "Entrypoint": list(spec.entrypoint if spec.entrypoint is not None else image.entrypoint or ()),
        "Image": spec.image,
        "WorkingDir": spec.working_dir or image.working_dir,
        "Labels": {**image.labels, **spec.labels},
        "ExposedPorts": {port: {} for port in sorted({*image.exposed_ports, *spec.exposed_ports})},
        "Volumes": {path: {} for path in image.volumes},
        "StopSignal": spec.stop_signal or image.stop_signal or "SIGTERM",
        "StopTimeout": spec.stop_timeout,
        **healthcheck.inspect(healthcheck.effective(spec, image)),
        "Tty": spec.tty,
        "OpenStdin": spec.interactive,
    }


def _host_config(record: ContainerRecord) -> dict[str, Any]:
    spec = record.spec
    return {
        "Binds": [mount.show() for mount in spec.mounts],
        "NetworkMode": spec.network_mode or (spec.networks[0].name if spec.networks else "none"),
        "PidMode": spec.pid_mode,
        "IpcMode": spec.ipc_mode or "private",
        "UTSMode": spec.uts,
        "CgroupnsMode": spec.cgroupns_mode or "private",
        "UsernsMode": spec.userns_mode,
        "PublishAllPorts": spec.publish_all_ports,
        "PortBindings": _bindings(record),
        "AutoRemove": spec.auto_remove,
        "RestartPolicy": {"Name": spec.restart_policy, "MaximumRetryCount": spec.restart_retries},
        "LogConfig": _log_config(spec),
        "Memory": spec.limits.memory,
        "MemorySwap": bundle.resources(spec)["memory"]["swap"],
        "MemoryReservation": spec.limits.memory_reservation,
        "CpuShares": spec.limits.cpu_shares,
        "CpusetMems": spec.limits.cpuset_mems,
        "NanoCpus": 0 if spec.limits.cpu_period else spec.limits.cpu_quota * 10_000,
        "CpuPeriod": spec.limits.cpu_period,
        "CpuQuota": spec.limits.cpu_quota if spec.limits.cpu_period else 0,
        "MemorySwappiness": None if spec.limits.memory_swappiness < 0 else spec.limits.memory_swappiness,
        "OomKillDisable": spec.limits.oom_kill_disable,
        "BlkioWeight": spec.limits.blkio_weight,
        "BlkioDeviceReadBps": _rates(spec.limits.device_read_bps),
        "BlkioDeviceWriteBps": _rates(spec.limits.device_write_bps),
        "BlkioDeviceReadIOps": _rates(spec.limits.device_read_iops),
        "BlkioDeviceWriteIOps": _rates(spec.limits.device_write_iops),
        "Devices": [
            {"PathOnHost": item.source, "PathInContainer": item.path, "CgroupPermissions": item.access}
            for item in spec.devices
        ],
        "DeviceCgroupRules": list(spec.device_cgroup_rules),
        "CpusetCpus": spec.limits.cpuset_cpus,
        "PidsLimit": spec.limits.pids_limit,
        "CapAdd": list(spec.cap_add),
        "CapDrop": list(spec.cap_drop),
        "Privileged": spec.privileged,
        "Init": spec.init,
        "ReadonlyRootfs": spec.read_only,
        "Sysctls": spec.sysctls,
        "Ulimits": [{"Name": limit.name, "Soft": limit.soft, "Hard": limit.hard} for limit in spec.ulimits],
        "ShmSize": spec.shm_size or namespaces.SHM_SIZE,
        "OomScoreAdj": spec.oom_score_adj,
        "GroupAdd": list(spec.groups),
        "Dns": list(spec.dns_servers),
        "DnsSearch": list(spec.dns_search_domains),
        "DnsOptions": list(spec.dns_opts),
        "ExtraHosts": [f"{name}:{address}" for name, address in spec.etc_hosts.items()],
        "SecurityOpt": _security_opts(record),
        "CgroupParent": spec.cgroup_parent or bundle.CGROUP_PARENT,
        "VolumesFrom": [entry.container + (":ro" if entry.read_only else "") for entry in spec.volumes_from],
    }


def _log_config(spec: ContainerSpec) -> dict[str, Any]:
    if spec.log_driver == bundle.NO_LOG:
        return {"Type": bundle.NO_LOG, "Config": {}}
    limits = {"max-size": str(spec.log_max_size or MAX_SIZE), "max-file": str(spec.log_max_files or MAX_FILES)}
    return {"Type": "k8s-file", "Config": limits}


def _rates(rates: dict[str, int]) -> list[dict[str, Any]]:
    return [{"Path": path, "Rate": rate} for path, rate in sorted(rates.items())]


def _security_opts(record: ContainerRecord) -> list[str]:
    """A profile is shown as Docker shows it: whole."""
    spec = record.spec
    found = ["no-new-privileges"] if spec.no_new_privs else []
    found += [f"seccomp={spec.seccomp}"] if spec.seccomp != "default" else []
    return found + ([f"apparmor={spec.apparmor}"] if spec.apparmor else [])


def _mount(paths: Paths, mount: Any) -> dict[str, Any]:
    return {
        "Type": mount.kind,
        "Name": mount.source if mount.kind == "volume" else "",
        "Source": mounts.source(paths, mount),
        **({"Driver": "local"} if mount.kind == "volume" else {}),
        "Destination": mount.target,
        "Mode": "ro" if mount.read_only else "rw",
        "RW": not mount.read_only,
        "Propagation": mount.propagation,
    }


def _bindings(record: ContainerRecord) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for port, address in published(record):
        every = "::" if ":" in address else "0.0.0.0"
        binding = {"HostIp": port.host_ip or every, "HostPort": str(port.host_port or "")}
        found.setdefault(f"{port.container_port}/{port.protocol}", []).append(binding)
    return found


def _network_settings(paths: Paths, record: ContainerRecord) -> dict[str, Any]:
    networks = {name: _network(paths, record, name) for name, _endpoint in record.endpoints()}
    first = next(iter(networks.values()), {})
    return {
        "Ports": _bindings(record),
        "SandboxKey": paths.netns(record.id),
        "Networks": networks,
        "IPAddress": first.get("IPAddress", ""),
        "Gateway": first.get("Gateway", ""),
        "MacAddress": first.get("MacAddress", ""),
        "GlobalIPv6Address": first.get("GlobalIPv6Address", ""),
        "IPv6Gateway": first.get("IPv6Gateway", ""),
    }


def _network(paths: Paths, record: ContainerRecord, name: str) -> dict[str, Any]:
    """One place in a network."""
    endpoint = record.networks[name]
    asked = next((entry for entry in record.spec.networks if entry.name == name), Attachment(name))
    found = {
        "IPAMConfig": {"IPv4Address": asked.ipv4_address, "IPv6Address": asked.ipv6_address},
        "Aliases": list(asked.aliases),
        "DNSNames": [record.name, *asked.aliases],
        "MacAddress": asked.mac_address or mac_of(endpoint.ips[0]).hex(":"),
        "GwPriority": asked.gw_priority,
        "EndpointID": endpoint_id(record.id, name),
        "IPAddress": endpoint.ipv4,
        "GlobalIPv6Address": endpoint.ipv6,
    }
    try:
        network = attach.load(paths, name)
        places = [network.subnet_of(ip) for ip in endpoint.ips]
    except MiniError:
        return found
    for place in places:
        gateway, prefix = ("IPv6Gateway", "GlobalIPv6PrefixLen") if place.version == 6 else ("Gateway", "IPPrefixLen")
        found[gateway], found[prefix] = place.gateway, int(place.subnet.partition("/")[2])
    return {**found, "NetworkID": network.id}
