# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a container, as Ansible checks them."""

from __future__ import annotations

from typing import Any

from .mounts import KINDS, PROPAGATION
from .secrets import SECRET_OPTIONS


def rates(kind: str) -> dict[str, Any]:
    """Rates of block devices."""
    fields = {"path": {"type": "str", "required": True}, "rate": {"type": kind, "required": True}}
    return {"type": "list", "elements": "dict", "options": fields}


CONTAINER_OPTIONS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "image": {"type": "str"},
    "command": {"type": "raw"},
    "entrypoint": {"type": "list", "elements": "str"},
    "env": {"type": "dict"},
    "env_file": {"type": "path"},
    "working_dir": {"type": "str"},
    "user": {"type": "str"},
    "groups": {"type": "list", "elements": "str"},
    "hostname": {"type": "str"},
    "domainname": {"type": "str"},
    "volumes": {"type": "list", "elements": "str"},
    "mounts": {
        "type": "list",
        "elements": "dict",
        "options": {
            "target": {"type": "str", "required": True},
            "source": {"type": "str"},
            "type": {"type": "str", "choices": list(KINDS), "default": "volume"},
            "read_only": {"type": "bool", "default": False},
            "propagation": {"type": "str", "choices": list(PROPAGATION)},
            "tmpfs_size": {"type": "str"},
            "tmpfs_mode": {"type": "str"},
            "tmpfs_options": {"type": "list", "elements": "dict"},
            "create_mountpoint": {"type": "bool", "default": False},
            "non_recursive": {"type": "bool", "default": False},
            "read_only_non_recursive": {"type": "bool", "default": False},
            "read_only_force_recursive": {"type": "bool", "default": False},
            "no_copy": {"type": "bool", "default": False},
            "subpath": {"type": "str"},
            "labels": {"type": "dict"},
            "volume_driver": {"type": "str"},
            "volume_options": {"type": "dict"},
        },
    },
    "volumes_from": {"type": "list", "elements": "str"},
    "keep_volumes": {"type": "bool", "default": True},
    "secrets": {"type": "list", "elements": "dict", "options": SECRET_OPTIONS},
    "tmpfs": {"type": "list", "elements": "str"},
    "read_only": {"type": "bool"},
    "shm_size": {"type": "str"},
    "memory": {"type": "str"},
    "memory_swap": {"type": "str"},
    "memory_reservation": {"type": "str"},
    "cpus": {"type": "float"},
    "cpu_shares": {"type": "int"},
    "cpuset_cpus": {"type": "str"},
    "cpuset_mems": {"type": "str"},
    "pids_limit": {"type": "int"},
    "cpu_period": {"type": "int"},
    "cpu_quota": {"type": "int"},
    "memory_swappiness": {"type": "int"},
    "oom_killer": {"type": "bool"},
    "blkio_weight": {"type": "int"},
    "device_read_bps": rates("str"),
    "device_write_bps": rates("str"),
    "device_read_iops": rates("int"),
    "device_write_iops": rates("int"),
    "cgroup_parent": {"type": "str"},
    "devices": {"type": "list", "elements": "str"},
    "device_cgroup_rules": {"type": "list", "elements": "str"},
    "network_mode": {"type": "str"},
    "pid_mode": {"type": "str"},
    "ipc_mode": {"type": "str"},
    "uts": {"type": "str", "choices": ["host", "private"]},
    "cgroupns_mode": {"type": "str", "choices": ["host", "private"]},
    "userns_mode": {"type": "str", "choices": ["host", "private"]},
    "networks": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "ipv4_address": {"type": "str"},
            "ipv6_address": {"type": "str"},
            "aliases": {"type": "list", "elements": "str"},
            "links": {"type": "list", "elements": "str"},
            "mac_address": {"type": "str"},
            "driver_opts": {"type": "dict"},
            "gw_priority": {"type": "int"},
        },
    },
    "mac_address": {"type": "str"},
    "published_ports": {"type": "list", "elements": "raw", "aliases": ["ports"]},
    "default_host_ip": {"type": "str"},
    "exposed_ports": {"type": "list", "elements": "str", "aliases": ["exposed", "expose"]},
    "publish_all_ports": {"type": "bool"},
    "dns_servers": {"type": "list", "elements": "str"},
    "dns_search_domains": {"type": "list", "elements": "str"},
    "dns_opts": {"type": "list", "elements": "str"},
    "etc_hosts": {"type": "dict"},
    "labels": {"type": "dict"},
    "capabilities": {"type": "list", "elements": "str"},
    "cap_drop": {"type": "list", "elements": "str"},
    "privileged": {"type": "bool"},
    "no_new_privs": {"type": "bool"},
    "security_opts": {"type": "list", "elements": "str"},
    "sysctls": {"type": "dict"},
    "ulimits": {"type": "list", "elements": "str"},
    "oom_score_adj": {"type": "int"},
    "restart_policy": {"type": "str", "choices": ["no", "on-failure", "always", "unless-stopped"]},
    "restart_retries": {"type": "int"},
    "log_driver": {"type": "str"},
    "log_options": {"type": "dict", "aliases": ["log_opt"]},
    "stop_signal": {"type": "str"},
    "stop_timeout": {"type": "int"},
    "tty": {"type": "bool"},
    "interactive": {"type": "bool"},
    "init": {"type": "bool"},
    "detach": {"type": "bool", "default": True},
    "output_logs": {"type": "bool", "default": False},
    "cleanup": {"type": "bool", "default": False},
    "auto_remove": {"type": "bool"},
    "paused": {"type": "bool"},
    "healthcheck": {
        "type": "dict",
        "options": {
            "test": {"type": "raw"},
            "test_cli_compatible": {"type": "bool", "default": True},
            "interval": {"type": "str"},
            "timeout": {"type": "str"},
            "start_period": {"type": "str"},
            "start_interval": {"type": "str"},
            "retries": {"type": "int"},
        },
    },
    "healthy_wait_timeout": {"type": "float", "default": 300},
    "state": {"type": "str", "choices": ["started", "healthy", "present", "stopped", "absent"], "default": "started"},
    "recreate": {"type": "bool", "default": False},
    "pull": {"type": "raw", "choices": ["never", "missing", "always", True, False], "default": "missing"},
    "pull_check_mode_behavior": {"type": "str", "choices": ["image_not_present", "always"]},
    "removal_wait_timeout": {"type": "float"},
    "restart": {"type": "bool", "default": False},
    "force_kill": {"type": "bool", "default": False, "aliases": ["forcekill"]},
    "kill_signal": {"type": "str"},
    "comparisons": {"type": "dict"},
    "image_name_mismatch": {"type": "str", "choices": ["recreate", "ignore"], "default": "recreate"},
    "image_label_mismatch": {"type": "str", "choices": ["ignore", "fail"], "default": "ignore"},
    "image_comparison": {
        "type": "str",
        "choices": ["desired-image", "current-image"],
        "default": "desired-image",
    },
    "platform": {"type": "str"},
}
DEFAULTS: dict[str, Any] = {name: option.get("default") for name, option in CONTAINER_OPTIONS.items()}


def without_defaults(options: dict[str, Any]) -> dict[str, Any]:
    """The same options where what is left out stays unset, to be filled in from elsewhere."""
    found = {}
    for name, option in options.items():
        kept = {key: value for key, value in option.items() if key != "default"}
        if option["type"] == "dict" and "options" in option:
            kept["options"] = without_defaults(option["options"])
        found[name] = kept
    return found


# An entry of a list, and what all entries have in common.
ENTRY_OPTIONS = without_defaults(CONTAINER_OPTIONS)
COMMON_OPTIONS = {name: option for name, option in ENTRY_OPTIONS.items() if name != "name"}
# The names that an option has besides.
ALIASES = {alias: name for name, option in CONTAINER_OPTIONS.items() for alias in option.get("aliases", ())}
