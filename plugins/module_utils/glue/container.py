# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of `mini_container` as a canonical `Wish`, one canonicaliser an option."""

from __future__ import annotations

import ipaddress
import signal
from collections.abc import Mapping
from typing import Any, Callable

from ..core.errors import BadInput
from ..core.names import check_hostname, check_name
from ..core.specs.container import ContainerSpec, Limits
from ..core.units import parse_extent, parse_size
from ..engine.containers.bundle import NO_LOG
from ..engine.containers.plan import Wish
from ..image import platform
from ..linux.signals import signal_number
from ..network.ports import parse as parse_ports
from ..network.ports import parse_exposed
from . import devices
from .attachments import attachments
from .comparisons import IGNORE, MORE, comparisons
from .container_options import ALIASES
from .environment import environment
from .healthcheck import healthcheck
from .limits import LIMITS, count, limits, within
from .mounts import mounts, volumes_from
from .namespaces import MODES, modes
from .options import directory, table, words
from .secrets import contents, secrets
from .security import SECURITY_FIELDS, capability_names, security_options, sysctls, ulimits

LOG_FILES = ("json-file", "local", "k8s-file")
MOUNT_OPTIONS = ("volumes", "mounts", "tmpfs")


def wish(params: Mapping[str, Any]) -> Wish:
    """The wish behind a task's parameters. `BadInput` names the first option that makes no sense."""
    name = check_name("container", params["name"])
    given = {option: value for option, value in params.items() if value is not None}
    fields = {field: read(given[option]) for option, field, read in FIELDS if option in given}
    fields.update(_joint_fields(given))
    _check_targets(fields)
    found_limits = limits(given)
    compared = comparisons(given.get("comparisons", {}), COMPARED, ALIASES)
    if given.get("restart_retries") and given.get("restart_policy", "on-failure") != "on-failure":
        raise BadInput("restart_retries: only restart_policy on-failure counts them", hint="give one of the two")
    if given.get("paused") and params["state"] == "healthy":
        raise BadInput("paused: a container that is paused does not become healthy", hint="say state: started")
    return Wish(
        spec=ContainerSpec(name=name, **fields, limits=Limits(**found_limits)),
        state=params["state"],
        given=frozenset(fields) | frozenset(found_limits),
        recreate=params["recreate"],
        restart=params["restart"],
        force_kill=params["force_kill"],
        keep_volumes=params.get("keep_volumes", True),
        contents=contents(given.get("secrets", [])),
        kill_signal=stop_signal(given["kill_signal"]) if "kill_signal" in given else "",
        ignored=frozenset(field for field, mode in compared.items() if mode == IGNORE),
        partial=frozenset(field for field, mode in compared.items() if mode == MORE),
        ignore_image_name=given.get("image_name_mismatch") == "ignore",
        refuse_image_labels=given.get("image_label_mismatch") == "fail",
        compare_current_image=given.get("image_comparison") == "current-image",
        platform=platform.parse(given["platform"]) if given.get("platform") else None,
        paused=given.get("paused"),
        healthy_timeout=given.get("healthy_wait_timeout", 300.0),
    )


def _check_targets(fields: dict[str, Any]) -> None:
    taken = {mount.target for mount in fields.get("mounts", ())}
    for secret in fields.get("secrets", ()):
        if secret.target in taken:
            raise BadInput(f"secrets: {secret.target} is the target of a mount, too")


def _joint_fields(given: dict[str, Any]) -> dict[str, Any]:
    """The fields that several options have a part in, and options that fill several fields."""
    fields: dict[str, Any] = {}
    if any(option in given for option in MOUNT_OPTIONS):
        fields["mounts"] = mounts(*(given.get(option, []) for option in MOUNT_OPTIONS))
    if "env" in given or "env_file" in given:
        fields["env"] = environment(given.get("env", {}), given.get("env_file"))
    if "published_ports" in given:
        fields["ports"] = parse_ports(given["published_ports"], given.get("default_host_ip", ""))
    networks = attachments(given.get("networks", []), given.get("mac_address", ""))
    fields.update(modes(given, networks))
    fields.update(security_options(given))
    fields.update(log_options(given.get("log_options", {})))
    if given.get("log_driver") == NO_LOG and given.get("log_options"):
        raise BadInput(f"log_options: with log_driver {NO_LOG} there is no log", hint="give one of them")
    return fields


def log_driver(value: str) -> str:
    """`none`, or one of the names of what there is: a file on the host, rotated by size. That one is the empty text."""
    if value in LOG_FILES:
        return ""
    if value != NO_LOG:
        raise BadInput(
            f"log_driver: {value!r} is not there: output goes to a file on the host, or nowhere",
            hint=f"give {', '.join(LOG_FILES)} or {NO_LOG}, and have the file read by what sends logs on",
        )
    return value


def log_options(value: dict[str, Any]) -> dict[str, int]:
    """`max-size` and `max-file`, as Docker calls them."""
    found = {}
    for name, item in table("log_options", value).items():
        if name == "max-size":
            found["log_max_size"] = parse_size("log_options: max-size", item)
        elif name == "max-file" and item.isdigit() and int(item) > 0:
            found["log_max_files"] = int(item)
        else:
            raise BadInput(f"log_options: {name}: {item!r} is not known", hint="give max-size and max-file")
    return found


def addresses(option: str, value: list[str]) -> tuple[str, ...]:
    """IP addresses, in the task's order."""
    for text in value:
        try:
            ipaddress.ip_address(text if text.isprintable() and " " not in text else "")  # a zone may be any text
        except ValueError as exc:
            raise BadInput(f"{option}: {text!r} is not an address") from exc
    return tuple(value)


def unordered(option: str, value: list[str]) -> tuple[str, ...]:
    """A list that says the same in any order."""
    return tuple(sorted(set(words(option, value))))


def search_domains(value: list[str]) -> tuple[str, ...]:
    """Domains; `.` alone is none at all, for a resolver."""
    return tuple(name if name == "." else check_hostname(name) for name in value)


def host_names(value: dict[str, Any]) -> dict[str, str]:
    """Lines for /etc/hosts; `host-gateway` is the host as the container sees it."""
    found = table("etc_hosts", value)
    for name, address in found.items():
        check_hostname(name)
        if address != "host-gateway":
            addresses("etc_hosts", [address])
    return found


def stop_signal(value: str) -> str:
    """A signal's name, checked; those without one by their number."""
    number = signal_number(value)
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def stop_timeout(value: int) -> int:
    """Seconds between the stop signal and SIGKILL."""
    if value < 0:
        raise BadInput(f"stop_timeout: {value} is negative", hint="give seconds; 0 kills at once")
    return value


# The option of the task, the field of the specification, and the way from one to the other.
FIELDS: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("image", "image", str),
    ("command", "command", lambda value: words("command", value)),
    ("entrypoint", "entrypoint", lambda value: words("entrypoint", value)),
    ("working_dir", "working_dir", lambda value: directory("working_dir", value)),
    ("user", "user", str),
    ("groups", "groups", lambda value: unordered("groups", value)),
    ("hostname", "hostname", check_hostname),
    ("domainname", "domainname", check_hostname),
    ("labels", "labels", lambda value: table("labels", value)),
    ("capabilities", "cap_add", lambda value: capability_names("capabilities", value)),
    ("cap_drop", "cap_drop", lambda value: capability_names("cap_drop", value)),
    ("privileged", "privileged", bool),
    ("read_only", "read_only", bool),
    ("no_new_privs", "no_new_privs", bool),
    ("sysctls", "sysctls", sysctls),
    ("ulimits", "ulimits", ulimits),
    ("shm_size", "shm_size", lambda value: parse_extent("shm_size", value)),
    ("oom_score_adj", "oom_score_adj", within("oom_score_adj", -1000, 1000)),
    ("dns_servers", "dns_servers", lambda value: addresses("dns_servers", value)),
    ("dns_search_domains", "dns_search_domains", search_domains),
    ("dns_opts", "dns_opts", lambda value: unordered("dns_opts", value)),
    ("etc_hosts", "etc_hosts", host_names),
    ("log_driver", "log_driver", log_driver),
    ("restart_policy", "restart_policy", str),
    ("restart_retries", "restart_retries", count),
    ("stop_signal", "stop_signal", stop_signal),
    ("stop_timeout", "stop_timeout", stop_timeout),
    ("tty", "tty", bool),
    ("interactive", "interactive", bool),
    ("init", "init", bool),
    ("volumes_from", "volumes_from", volumes_from),
    ("secrets", "secrets", secrets),
    ("devices", "devices", devices.devices),
    ("device_cgroup_rules", "device_cgroup_rules", devices.rules),
    ("cgroup_parent", "cgroup_parent", devices.cgroup_parent),
    ("exposed_ports", "exposed_ports", parse_exposed),
    ("publish_all_ports", "publish_all_ports", bool),
    ("healthcheck", "healthcheck", healthcheck),
    ("auto_remove", "auto_remove", bool),
)
# The fields of the specification behind each option that a container is compared by.
COMPARED: dict[str, tuple[str, ...]] = {
    **{option: (field,) for option, field, _read in (*FIELDS, *LIMITS)},
    **dict.fromkeys(MOUNT_OPTIONS, ("mounts",)),
    **{option: (option,) for option in MODES},
    "cpus": ("cpu_quota", "cpu_period"),
    "env": ("env",),
    "env_file": ("env",),
    "published_ports": ("ports",),
    "networks": ("networks",),
    "network_mode": ("network_mode", "networks"),
    "mac_address": ("networks",),
    "security_opts": SECURITY_FIELDS,
    "log_options": ("log_max_size", "log_max_files"),
}
