# SPDX-License-Identifier: GPL-3.0-or-later
"""Which namespaces a container shares with the host or with another container."""

from __future__ import annotations

from typing import Any

from ..core.errors import BadInput
from ..core.names import check_name
from ..core.specs.network import Attachment

HOST, PRIVATE, NONE = "host", "private", "none"
CONTAINER = "container:"
MODES: dict[str, tuple[str, ...]] = {
    "pid_mode": (HOST, PRIVATE),
    "ipc_mode": (HOST, PRIVATE, "shareable", NONE),
    "uts": (HOST, PRIVATE),
    "cgroupns_mode": (HOST, PRIVATE),
    "userns_mode": (HOST, PRIVATE),
}
JOINING = ("pid_mode", "ipc_mode")


def modes(given: dict[str, Any], networks: tuple[Attachment, ...]) -> dict[str, Any]:
    """The fields that the namespace options of the task set, `networks` among them."""
    found: dict[str, Any] = {option: _mode(option, given[option]) for option in MODES if option in given}
    if "network_mode" in given:
        found.update(_network_mode(given["network_mode"], networks))
    elif "networks" in given:
        found.update(network_mode="", networks=networks)
    return found


def _mode(option: str, value: str) -> str:
    """The mode; what every container has when nothing is asked for is the empty text."""
    if not value:
        return ""
    if option in JOINING and value.startswith(CONTAINER):
        return CONTAINER + check_name("container", value[len(CONTAINER) :])
    if value not in MODES[option]:
        known = [*MODES[option], *([CONTAINER + "NAME"] if option in JOINING else [])]
        raise BadInput(f"{option}: {value!r} is not known here", hint=f"give {' or '.join(known)}")
    usual = HOST if option == "userns_mode" else PRIVATE
    return "" if value == usual else value


def _network_mode(value: str, networks: tuple[Attachment, ...]) -> dict[str, Any]:
    """The name of a network is one more entry of `networks`, and the first."""
    if value in ("", "default"):
        return {"network_mode": "", "networks": networks}
    if value in (HOST, NONE) or value.startswith(CONTAINER):
        if networks:
            raise BadInput(f"networks: a container with network_mode {value} is in no network", hint="give one of both")
        mode = "" if value == NONE else _joined(value) if value != HOST else HOST
        return {"network_mode": mode, "networks": ()}
    name = check_name("network", value)
    first = next((entry for entry in networks if entry.name == name), Attachment(name))
    return {"network_mode": "", "networks": (first, *(entry for entry in networks if entry.name != name))}


def _joined(value: str) -> str:
    return CONTAINER + check_name("container", value[len(CONTAINER) :])
