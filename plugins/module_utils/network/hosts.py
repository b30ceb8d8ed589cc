# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a container's /etc/hosts and /etc/resolv.conf (hosts(5), resolv.conf(5))."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence

from ..linux.files import read_text

HOSTS = "/etc/hosts"
RESOLV_CONF = "/etc/resolv.conf"
SYSTEMD_RESOLV_CONF = "/run/systemd/resolve/resolv.conf"
"""Where systemd-resolved lists the real servers, when /etc/resolv.conf names only its own at 127.0.0.53."""

LOCALHOST = """\
127.0.0.1	localhost
::1	localhost ip6-localhost ip6-loopback
fe00::0	ip6-localnet
ff00::0	ip6-mcastprefix
ff02::1	ip6-allnodes
ff02::2	ip6-allrouters
"""

Names = tuple[str, Sequence[str]]
Far = Mapping[str, Mapping[str, Sequence[str]]]
"""Containers on other hosts: the host's name → the container's → its addresses."""


def lines(entries: Iterable[Names]) -> str:
    """An address and its names each."""
    return "".join(f"{ip}\t{' '.join(dict.fromkeys(names))}\n" for ip, names in entries if names)


def hosts_file(own: Iterable[Names], peers: str, more: Iterable[Names]) -> str:
    """Localhost, the container itself, the lines of those in its networks, and more."""
    return LOCALHOST + lines(own) + peers + lines(more)


def hosts_file_of_host(more: Iterable[Names]) -> str:
    """The host's own file, for who shares its network, and more lines."""
    text = read_text(HOSTS, "")
    return (f"{text}\n" if text else LOCALHOST) + lines(more)


def resolv_conf(*, own_loopback: bool = False) -> str:
    """The host's resolv.conf as it can be used in a container; as it is, where that has the host's loopback."""
    if own_loopback:
        return read_text(RESOLV_CONF, "") + "\n"
    return without_loopback(read_text(RESOLV_CONF, ""), read_text(SYSTEMD_RESOLV_CONF, ""))


def resolv_conf_of(servers: Sequence[str], search: Sequence[str], options: Sequence[str]) -> str:
    """A resolv.conf of what a task says; without servers, those of the host."""
    lines = [f"nameserver {server}\n" for server in servers]
    if not servers:
        lines = [f"{line}\n" for line in resolv_conf().splitlines() if _is_server(line)]
    if search:
        lines.append(f"search {' '.join(search)}\n")
    if options:
        lines.append(f"options {' '.join(options)}\n")
    return "".join(lines)


def without_servers(text: str) -> str:
    """The same, with nobody to ask."""
    return "".join(f"{line}\n" for line in text.splitlines() if not _is_server(line))


def without_loopback(text: str, fallback: str = "") -> str:
    """`text` without resolvers at 127.0.0.1 or ::1, which in a container is the container itself, and without those
    that only have an address on a link of the host (`fe80::1%eth0`).

    When no server is left, those of `fallback` are taken; nobody's public server is put in their place.
    """
    for candidate in (text, fallback):
        if any(_is_usable(line) for line in candidate.splitlines()):
            text = candidate
            break
    kept = [line for line in text.splitlines() if not _is_server(line) or _is_usable(line)]
    return "".join(f"{line}\n" for line in kept)


def _is_server(line: str) -> bool:
    return line.split()[:1] == ["nameserver"]


def _is_usable(line: str) -> bool:
    fields = line.split()
    if len(fields) < 2 or not _is_server(line):
        return False
    try:
        address = ipaddress.ip_address(fields[1].partition("%")[0])
    except ValueError:
        return False
    return not (address.is_loopback or (address.version == 6 and address.is_link_local))
