# SPDX-License-Identifier: GPL-3.0-or-later
"""`driver_options` of a network, and `driver_opts` of a container's place in one, in canonical form.

Their names are those of Docker's bridge driver. What is not known is refused: it would have no effect.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any, Callable

from ..core.errors import BadInput
from ..core.names import check_interface
from ..engine.networks.record import (
    BRIDGE,
    GATEWAY_MODES,
    HOST_BINDING,
    ICC,
    ISOLATED,
    MASQUERADE,
    NAT,
    ROUTED,
    UNPROTECTED,
)

MTU = "com.docker.network.driver.mtu"
MODES = (NAT, UNPROTECTED, ROUTED, ISOLATED)
MTU_MIN, MTU_MAX = 576, 65535  # RFC 791 asks for 576; a bridge takes no more than 65535

IFNAME = "com.docker.network.endpoint.ifname"
SYSCTLS = "com.docker.network.endpoint.sysctls"
_SETTING = re.compile(r"net\.(ipv4|ipv6|mpls)\.([a-z_]+)\.IFNAME\.([a-z0-9_]+)=(-?[a-z0-9_.:-]+)\Z")


def driver_options(value: Mapping[str, Any]) -> dict[str, str]:
    """The options of a network."""
    return {name: _known(_NETWORK, "driver_options", name)(name, str(text)) for name, text in sorted(value.items())}


def mtu(value: int, options: Mapping[str, str]) -> int:
    """`mtu`, which is the short way of writing one of the options; 0 when neither is given."""
    other = int(options.get(MTU, 0))
    if value and other and value != other:
        raise BadInput(f"mtu: {value}, but {MTU} is {other}", hint="leave one of the two out")
    found = value or other
    if found and not MTU_MIN <= found <= MTU_MAX:
        raise BadInput(f"mtu: {found} is not possible", hint=f"give {MTU_MIN} to {MTU_MAX}")
    return found


def interface(network: str, options: Mapping[str, Any]) -> str:
    """The name of the interface in the container, one that we do not give out; empty for the next of those."""
    text = str(options.get(IFNAME, ""))
    if re.match(r"eth[0-9]+\Z", text):
        raise BadInput(
            f"networks: {network}: {text!r} cannot be the name of an interface",
            hint="give another one; eth0 and so on are given out by themselves",
        )
    return check_interface(f"networks: {network}", text) if text else ""


def sysctls(network: str, options: Mapping[str, Any]) -> dict[str, str]:
    """Settings of the interface in the container: path below /proc/sys/net, with IFNAME in it, and value."""
    found = {}
    for text in filter(None, str(options.get(SYSCTLS, "")).split(",")):
        match = _SETTING.match(text.strip())
        if match is None:
            raise BadInput(
                f"networks: {network}: {text!r} is no setting of an interface",
                hint="write it as net.ipv4.conf.IFNAME.log_martians=1",
            )
        found["/".join((match[1], match[2], "IFNAME", match[3]))] = match[4]
    return found


def check_endpoint(network: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """`BadInput` names an option of a place in a network that is not known."""
    for name in options:
        _known({IFNAME: interface, SYSCTLS: sysctls}, f"networks: {network}: driver_opts", name)
    return options


def _known(table: Mapping[str, Callable[..., Any]], where: str, name: str) -> Callable[..., Any]:
    if name not in table:
        raise BadInput(f"{where}: {name!r} is not known here", hint=f"{', '.join(sorted(table))} are")
    return table[name]


def _switch(name: str, text: str) -> str:
    """As Go's ParseBool and YAML write it."""
    for canonical, spellings in (("true", "true t yes on 1"), ("false", "false f no off 0")):
        if text.lower() in spellings.split():
            return canonical
    raise BadInput(f"driver_options: {name}: {text!r} is neither true nor false", hint="write true or false")


def _number(name: str, text: str) -> str:
    if not text.isdecimal():
        raise BadInput(f"driver_options: {name}: {text!r} is not a number of bytes", hint="write it as 1400")
    return str(int(text))


def _host_address(name: str, text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise BadInput(
            f"driver_options: {name}: {text!r} is not an IPv4 address", hint="give an address of the host"
        ) from None


def _gateway_mode(name: str, text: str) -> str:
    """What Docker calls `nat` is how all networks are that say nothing."""
    if text in MODES:
        return text
    raise BadInput(f"driver_options: {name}: {text!r} is no mode", hint=f"give {', '.join(MODES[:-1])} or {MODES[-1]}")


_NETWORK: dict[str, Callable[[str, str], str]] = {
    MTU: _number,
    BRIDGE: lambda name, text: check_interface(f"driver_options: {name}", text),
    ICC: _switch,
    MASQUERADE: _switch,
    HOST_BINDING: _host_address,
    **dict.fromkeys(GATEWAY_MODES.values(), _gateway_mode),
}
