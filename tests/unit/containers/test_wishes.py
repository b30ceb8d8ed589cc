# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of a task to a wish: two spellings of one thing, nonsense, contradictions, comparisons."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, HostLacks, NotFound
from ansible_collections.mini.containers.plugins.module_utils.core.specs.container import ContainerSpec
from ansible_collections.mini.containers.plugins.module_utils.engine.containers import conflicts
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.compare import Wish, changes, merge
from ansible_collections.mini.containers.plugins.module_utils.glue.container import COMPARED, wish
from ansible_collections.mini.containers.plugins.modules.mini_container import ARGUMENT_SPEC

# What a task says of itself, and not of the container.
OF_THE_TASK = {
    "name",
    "image",
    "state",
    "state_root",
    "detach",
    "recreate",
    "restart",
    "force_kill",
    "kill_signal",
    "comparisons",
    "image_name_mismatch",
    "image_label_mismatch",
    "image_comparison",
    "platform",
    "pull",
    "pull_check_mode_behavior",
    "removal_wait_timeout",
    "default_host_ip",
    "keep_volumes",
    "paused",
    "healthy_wait_timeout",
    "output_logs",
    "cleanup",
}

A = {"name": "a"}
IFNAME = "com.docker.network.endpoint.ifname"
SYSCTLS = "com.docker.network.endpoint.sysctls"
RATE = [{"path": "/dev/sda", "rate": "1M"}]


def asked(**options: Any) -> Wish:
    params = {"name": "c", "state": "started", "recreate": False, "restart": False, "force_kill": False}
    return wish({**params, **options})


def spec(**options: Any) -> ContainerSpec:
    return asked(**options).spec


def test_every_option_is_compared_or_is_the_tasks_own() -> None:
    assert set(ARGUMENT_SPEC) - OF_THE_TASK <= set(COMPARED)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"devices": ["/dev/x"]}, {"devices": ["/dev/x:/dev/x:mwr"]}),
        ({"devices": ["/dev/x:rw"]}, {"devices": ["/dev/x:/dev/x:wr"]}),
        ({"device_cgroup_rules": ["c 1:* mrw"]}, {"device_cgroup_rules": ["c 1:* rwm"]}),
        ({"cgroup_parent": "/a/b"}, {"cgroup_parent": "a/b/"}),
        ({"cgroup_parent": "/mini"}, {}),
        ({"network_mode": "lan"}, {"networks": [{"name": "lan"}]}),
        ({"volumes": ["/a:/b:cached"]}, {"volumes": ["/a:/b"]}),
        ({"groups": ["10", "audio", "10"]}, {"groups": ["audio", "10"]}),
        ({"dns_opts": ["rotate", "ndots:1"]}, {"dns_opts": ["ndots:1", "rotate"]}),
        ({"volumes": ["/a:rw,z"]}, {"volumes": ["/a"]}),
        ({"volumes": ["/a:ro,nocopy"]}, {"volumes": ["/a:nocopy,ro,z"]}),
        ({"volumes": [f"{os.path.expanduser('~')}/x:/b"]}, {"volumes": ["~/x:/b"]}),
        ({"security_opts": ["label:disable"]}, {"security_opts": []}),
        ({"networks": [{**A, "aliases": ["my_db", "b"]}]}, {"networks": [{**A, "aliases": ["b", "my_db", "b"]}]}),
        ({"tmpfs": ["/t:size=1M,mode=0755,exec"]}, {"tmpfs": ["/t:noexec,exec,mode=755,size=1024k"]}),
        (
            {"network_mode": "b", "networks": [{"name": "a"}, {"name": "b"}]},
            {"networks": [{"name": "b"}, {"name": "a"}]},
        ),
        ({"network_mode": "none"}, {"networks": []}),
        ({"network_mode": "", "networks": [A]}, {"networks": [A]}),
        ({"pid_mode": "", "ipc_mode": ""}, {"pid_mode": "private", "ipc_mode": "private"}),
        ({"network_mode": "default"}, {}),
        ({"pid_mode": "private", "uts": "private", "userns_mode": "host"}, {}),
        ({"exposed_ports": ["80", "81-82/udp"]}, {"exposed_ports": ["82/UDP", "80/tcp", "81/udp"]}),
        (
            {"device_read_bps": [{"path": "/dev/sda", "rate": "1M"}]},
            {"device_read_bps": [{"path": "/dev/sda", "rate": "1024K"}]},
        ),
        ({"cpus": 0.5}, {"cpu_quota": 50000}),
        ({"log_driver": "json-file"}, {"log_driver": "k8s-file"}),
        ({"log_driver": "local"}, {}),
        ({"security_opts": ["seccomp:unconfined"]}, {"security_opts": ["seccomp=unconfined"]}),
        ({"published_ports": ["80:80"], "default_host_ip": "127.0.0.1"}, {"published_ports": ["127.0.0.1:80:80/tcp"]}),
        (
            {"networks": [{"name": "a", "mac_address": "02-AA-00-00-00-01"}]},
            {"networks": [{"name": "a"}], "mac_address": "02:aa:00:00:00:01"},
        ),
    ],
)
def test_two_spellings(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert spec(**first) == spec(**second)


NONSENSE: tuple[tuple[dict[str, Any], str], ...] = (
    ({"name": "a b"}, "is not a container name"),
    ({"command": 7}, "neither a string nor a list"),
    ({"command": "sh 'x"}, "cannot be split"),
    ({"entrypoint": [True]}, "is not a text"),
    ({"env": {"A": None}}, "is not a text"),
    ({"env": {"A=": "x"}}, "is not a name"),
    ({"env_file": "/no/such"}, "cannot be read"),
    ({"env_file": "/dev"}, "cannot be read"),
    ({"env_file": "\0"}, "is not a path"),
    ({"working_dir": "x"}, "not an absolute path"),
    ({"hostname": "a!b"}, "is not a host name"),
    ({"domainname": "-"}, "is not a host name"),
    ({"volumes": ["x"]}, "is not a mount"),
    ({"volumes": [":/x"]}, "is not a mount"),
    ({"volumes": ["/x:"]}, "is not a mount"),
    ({"volumes": ["/x:ro,more"]}, "is not a mount"),
    ({"volumes": ["data:/x:rshared"]}, "a volume cannot be rshared"),
    ({"networks": [{**A, "driver_opts": {"com.docker.network.endpoint.nice": "x"}}]}, "is not known here"),
    ({"networks": [{"name": "a", "driver_opts": {SYSCTLS: "net.ipv4.ip_forward=1"}}]}, "is no setting of an interface"),
    ({"networks": [{"name": "a", "driver_opts": {SYSCTLS: "net.ipv4.conf.IFNAME./x=1"}}]}, "is no setting of an inter"),
    *(
        ({"networks": [{**A, "driver_opts": {IFNAME: name}}]}, "cannot be the name of an interface")
        for name in ("eth1", "lo", "a/b", "a b", "x" * 16, "1", "..")
    ),
    ({"networks": [{"name": n, "driver_opts": {IFNAME: "wan"}} for n in "ab"]}, "two interfaces are to be called wan"),
    ({"tmpfs": ["x"]}, "must be a path"),
    ({"shm_size": "-1"}, "is not a size"),
    ({"memory": "1K"}, "too little"),
    ({"memory": "much"}, "is not a size"),
    ({"memory": "64M", "memory_swap": "32M"}, "less than memory"),
    ({"memory_reservation": "1K"}, "too little"),
    ({"memory_swappiness": 101}, "out of range"),
    ({"memory_swappiness": -2}, "out of range"),
    ({"cpus": -1.0}, "is negative"),
    ({"cpus": float("nan")}, "is not a number"),
    ({"cpus": 1.0, "cpu_quota": 5000}, "cpus and cpu_quota"),
    ({"cpus": 1.0, "cpu_period": 5000}, "cpus and cpu_period"),
    ({"cpu_quota": 10}, "too little"),
    ({"cpu_period": 10}, "out of range"),
    ({"cpu_period": 2_000_000}, "out of range"),
    ({"cpuset_cpus": "a"}, "is not a list of numbers"),
    ({"cpuset_mems": "3-1"}, "runs backwards"),
    ({"blkio_weight": 5}, "out of range"),
    ({"blkio_weight": 1001}, "out of range"),
    ({"device_read_bps": [{"path": "sda", "rate": "1M"}]}, "not an absolute path"),
    ({"device_read_bps": RATE * 2}, "named twice"),
    ({"device_write_bps": [{"path": "/dev/sda", "rate": "0"}]}, "would stop the container"),
    ({"device_read_iops": [{"path": "/dev/sda", "rate": "1M"}]}, "is not a number of operations"),
    ({"device_write_iops": [{"path": "/dev/sda", "rate": -1}]}, "is not a number of operations"),
    ({"cgroup_parent": "/a/../b"}, "is not the path of a cgroup"),
    ({"cgroup_parent": "/a b"}, "is not the path of a cgroup"),
    ({"devices": ["dev/x"]}, "is not a device"),
    ({"devices": ["/dev/x:/dev/../y"]}, "is not a device"),
    ({"devices": ["/dev/x:/dev/y:q"]}, "has the access 'q'"),
    ({"devices": ["/dev/x:/dev/y", "/dev/z:/dev/y"]}, "named twice"),
    ({"device_cgroup_rules": ["x 1:1 rwm"]}, "is not a rule"),
    ({"device_cgroup_rules": ["c 1:1"]}, "is not a rule"),
    ({"network_mode": "a b"}, "is not a network name"),
    ({"network_mode": "container:"}, "is not a container name"),
    ({"network_mode": "none", "networks": [{"name": "a"}]}, "is in no network"),
    ({"pid_mode": "shareable"}, "is not known here"),
    ({"ipc_mode": "container:a/b"}, "is not a container name"),
    ({"networks": [{"name": "a"}, {"name": "a"}]}, "named twice"),
    ({"networks": [{"name": "a", "ipv4_address": "1.2.3"}]}, "is not an IPv4 address"),
    ({"networks": [{"name": "a", "ipv4_address": "fd00::2"}]}, "is not an IPv4 address"),
    ({"networks": [{"name": "a", "ipv6_address": "10.1.0.2"}]}, "is not an IPv6 address"),
    ({"networks": [{"name": "a", "ipv6_address": "fe80::1%eth0"}]}, "is not an IPv6 address"),
    ({"networks": [{"name": "a", "aliases": ["a b"]}]}, "is not a host name"),
    ({"networks": [{"name": "a", "mac_address": "00:00:00:00:00:00"}]}, "is no address"),
    ({"networks": [{"name": "a", "mac_address": "02:00"}]}, "is not the address of an interface"),
    ({"mac_address": "02:00:00:00:00:01"}, "there is none"),
    ({"published_ports": ["x"]}, "is not a published port"),
    ({"published_ports": ["80:80"], "default_host_ip": "localhost"}, "where an address"),
    ({"exposed_ports": ["x"]}, "is not a port"),
    ({"exposed_ports": ["0"]}, "between 1 and 65535"),
    ({"exposed_ports": ["80/icmp"]}, "is not a port"),
    ({"dns_servers": ["x"]}, "is not an address"),
    ({"dns_search_domains": ["a b"]}, "is not a host name"),
    ({"etc_hosts": {"a": "b"}}, "is not an address"),
    ({"etc_hosts": {"a": "fe80::1%\n192.0.2.1 bank"}}, "is not an address"),
    ({"etc_hosts": {"a": "fe80::1% bank"}}, "is not an address"),
    ({"dns_servers": ["fe80::1%\nnameserver 192.0.2.1"]}, "is not an address"),
    ({"labels": {"": "x"}}, "is not a name"),
    ({"capabilities": ["FLY"]}, "no capability"),
    ({"cap_drop": ["FLY"]}, "no capability"),
    ({"security_opts": ["label=type:x"]}, "is not known here"),
    ({"ulimits": ["nofile:1", "nofile:2"]}, "nofile is named twice"),
    ({"volumes": ["/a:/b:ro,rw"]}, "is not a mount"),
    ({"restart_policy": "always", "restart_retries": 3}, "only restart_policy on-failure counts them"),
    ({"security_opts": ["seccomp=relative.json"]}, "is not known here"),
    ({"security_opts": ["seccomp=/no/such"]}, "cannot be read"),
    ({"security_opts": ["seccomp=/etc/passwd"]}, "is not JSON"),
    ({"security_opts": ["no-new-privileges=maybe"]}, "is not known here"),
    ({"security_opts": [], "no_new_privs": True, "sysctls": {"kernel.panic": "1"}}, "not the container's own"),
    ({"ulimits": ["fly:1"]}, "no limit 'fly'"),
    ({"oom_score_adj": 1001}, "out of range"),
    ({"log_options": {"driver": "x"}}, "is not known"),
    ({"log_driver": "journald"}, "'journald' is not there"),
    ({"log_driver": "none", "log_options": {"max-size": "1M"}}, "there is no log"),
    ({"stop_signal": "HELLO"}, "signal"),
    ({"kill_signal": "HELLO"}, "signal"),
    ({"stop_timeout": -1}, "is negative"),
    ({"platform": "linux amd64"}, "is not a platform"),
    ({"comparisons": {"env": "loose"}}, "'loose' is not known"),
    ({"comparisons": {"environment": "strict"}}, "not an option that is compared"),
    ({"comparisons": {"name": "ignore"}}, "not an option that is compared"),
    ({"comparisons": {"*": "allow_more_present"}}, r"\* cannot be allow_more_present"),
    ({"comparisons": {"hostname": "allow_more_present"}}, "has one value"),
    ({"comparisons": {"memory": "allow_more_present"}}, "has one value"),
    ({"comparisons": {"ports": "ignore", "published_ports": "strict"}}, "twice, under two names"),
    ({"comparisons": {"volumes": "ignore", "tmpfs": "strict"}}, "one list with others"),
)


@pytest.mark.parametrize(("options", "text"), NONSENSE)
def test_nonsense(options: dict[str, Any], text: str) -> None:
    with pytest.raises((BadInput, NotFound, HostLacks), match=text):
        asked(**options)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"network_mode": "host", "published_ports": ["80:80"]}, "published_ports has no effect"),
        ({"network_mode": "host", "publish_all_ports": True}, "publish_all_ports has no effect"),
        ({"network_mode": "container:x", "dns_servers": ["192.0.2.1"]}, "dns_servers has no effect"),
        ({"network_mode": "container:x", "sysctls": {"net.core.somaxconn": 1}}, "not the container's own"),
        ({"network_mode": "none", "published_ports": ["80"]}, "is in no network"),
        ({"uts": "host", "domainname": "x"}, "domainname has no effect"),
        ({"ipc_mode": "host", "sysctls": {"kernel.shmmax": 1}}, "not the container's own"),
        ({"ipc_mode": "none", "shm_size": "1M"}, "shm_size has no effect"),
        ({"userns_mode": "private", "volumes": ["/a:/a:rshared"]}, "a mount that is shared"),
        ({"userns_mode": "private", "privileged": True}, "all privileges"),
        ({"userns_mode": "private", "pid_mode": "host"}, "a namespace of the host"),
        ({"userns_mode": "private", "network_mode": "host"}, "a namespace of the host"),
    ],
)
def test_contradictions(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(BadInput, match=text):
        conflicts.refuse(spec(**fields), asked(**fields).given)


BEFORE = spec(
    env={"A": "1", "B": "2"},
    command=["a", "b", "c"],
    hostname="old",
    memory="64M",
    volumes=["/a:/a", "/b:/b"],
    networks=[{"name": "lan"}, {"name": "back"}],
    device_read_bps=RATE,
    log_options={"max-size": "1M"},
)


@pytest.mark.parametrize(
    ("options", "mode", "same"),
    [
        ({"env": {"A": "1"}}, "strict", False),
        ({"env": {"A": "1"}}, "allow_more_present", True),
        ({"env": {"A": "2"}}, "allow_more_present", False),
        ({"env": {"A": "2"}}, "ignore", True),
        ({"command": ["a", "c"]}, "strict", False),
        ({"command": ["a", "c"]}, "allow_more_present", True),
        ({"command": ["c", "a"]}, "allow_more_present", False),
        ({"hostname": "new"}, "strict", False),
        ({"hostname": "new"}, "ignore", True),
        ({"memory": "32M"}, "ignore", True),
        ({"volumes": ["/b:/b"]}, "allow_more_present", True),
        ({"volumes": ["/b:/b:ro"]}, "allow_more_present", False),
        ({"networks": [{"name": "back"}]}, "strict", False),
        ({"networks": [{"name": "back"}]}, "allow_more_present", True),
        ({"networks": [{"name": "new"}]}, "allow_more_present", False),
        ({"device_read_bps": []}, "allow_more_present", True),
        ({"log_options": {"max-size": "2M"}}, "ignore", True),
    ],
)
def test_comparisons(options: dict[str, Any], mode: str, same: bool) -> None:
    (option,) = options
    found = asked(**options, comparisons={option: mode})
    assert (merge(BEFORE, found, skip=found.ignored) == BEFORE) is same
    for ignored in ({"*": "ignore"}, {"*": "strict", option: "ignore"}):
        found = asked(**options, comparisons=ignored)
        assert merge(BEFORE, found, skip=found.ignored) == BEFORE
    strict = asked(**options, comparisons={"*": "ignore", option: "strict"})
    assert merge(BEFORE, strict, skip=strict.ignored) != BEFORE


def test_a_mode_of_networks_beside_one_of_network_mode() -> None:
    """Which fills more than that one field; each may have its own, as with docker_container."""
    modes = {"networks": "allow_more_present", "network_mode": "ignore"}
    for order in (modes, dict(reversed(modes.items()))):
        found = asked(networks=[{"name": "back"}], comparisons=order)
        assert merge(BEFORE, found, skip=found.ignored) == BEFORE
        assert found.partial == {"networks"}


def test_what_is_more_is_kept() -> None:
    found = asked(
        env={"A": "9"}, networks=[{"name": "new"}], comparisons=dict.fromkeys(("env", "networks"), "allow_more_present")
    )
    merged = merge(BEFORE, found)
    assert merged.env == {"A": "9", "B": "2"}
    assert [entry.name for entry in merged.networks] == ["new", "lan", "back"]


def test_a_reason_shows_names_of_variables_alone() -> None:
    after = replace(BEFORE, env={"A": "secret", "C": "secret"})
    assert changes(BEFORE, after, ["env"]) == ["env: A, B, C"]
