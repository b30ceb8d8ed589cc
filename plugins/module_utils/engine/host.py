# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host can carry containers: what it is, and all that it lacks at once, each with the way out."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import socket
import struct
import sys
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from ..core.errors import HostLacks
from ..core.paths import Paths
from ..linux import libc, probe
from ..linux.cgroups.detect import Hierarchies, hierarchies
from ..linux.files import read_text
from ..network import command
from ..network.firewall import iptables, nftables
from ..network.firewall.choice import NFTABLES, choose
from ..network.rtnl import IFLA_IFNAME, IFLA_INFO_KIND, IFLA_LINKINFO, RTM_NEWLINK, Rtnl
from ..network.wire import NLM_F_CREATE, NLM_F_EXCL, nested, text
from .networks.packetfilter import in_use

KERNEL = (5, 10)
PYTHON = (3, 9)
PYROUTE2 = (0, 7, 2)
CONTROLLERS = ("memory", "cpu", "cpuset", "pids")
LINKS = ("bridge", "veth")
RULES = {
    "the match addrtype": "-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j ACCEPT",
    "the match comment": "-t filter -A FORWARD -m comment --comment probe -j ACCEPT",
    "the match conntrack": "-t filter -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT",
    "the target DNAT": "-t nat -A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 192.0.2.2:80",
    "the target MASQUERADE": "-t nat -A POSTROUTING -s 192.0.2.0/24 -j MASQUERADE",
    "the table raw": "-t raw -A PREROUTING -d 192.0.2.0/24 -j DROP",
}
_ROLE = "apply the role mini.containers.mini_host"
_PACKAGED = "load or install the kernel module, or boot a kernel of the distribution"


class Lack(NamedTuple):
    """One thing that the host does not have."""

    what: str
    why: str
    remedy: str


class Host(NamedTuple):
    """What a host is and what it lacks."""

    facts: dict[str, Any]
    lacking: list[Lack]


def inspect(paths: Paths) -> Host:
    """Probe everything. Without root nothing can be probed, so that is then the only thing to say."""
    found = hierarchies()
    facts = {
        "kernel": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "python_executable": sys.executable,
        "pyroute2": _pyroute2(),
        "cgroups": {name: _cgroup_version(name, found) for name in CONTROLLERS},
        "iptables": _iptables(),
        "nftables": _nftables(),
    }
    if os.geteuid() != 0:
        return Host(facts, [Lack("root", f"the task runs as user id {os.geteuid()}", "set become: true")])
    lacking = chain(_versions(facts), _namespaces(), _overlay(paths), _links(), _controllers(found), _firewall(paths))
    return Host(facts, list(lacking))


def _versions(facts: dict[str, Any]) -> Iterator[Lack]:
    for what, version, floor, remedy in (
        ("Linux", facts["kernel"], KERNEL, "boot a newer kernel"),
        ("Python", facts["python"], PYTHON, "install a newer one and set ansible_python_interpreter"),
        ("pyroute2", facts["pyroute2"], PYROUTE2, f"install it for {sys.executable}, or {_ROLE}"),
    ):
        wanted = ".".join(str(number) for number in floor)
        if not version:
            yield Lack(what, f"{wanted} or newer is needed, there is none", remedy)
        elif probe.numbers(version) < floor:
            yield Lack(what, f"{wanted} or newer is needed, this is {version}", remedy)


def _pyroute2() -> str:
    # Its metadata, because to import it takes longer than all that is done here.
    try:
        return importlib.metadata.version("pyroute2")
    except importlib.metadata.PackageNotFoundError:
        return ""


def _namespaces() -> Iterator[Lack]:
    for kind in probe.missing_namespaces():
        yield Lack(f"{kind} namespaces", "the kernel refuses to make one", "boot a kernel of the distribution")


def _overlay(paths: Paths) -> Iterator[Lack]:
    directory = probe.existing(paths.state_root)
    try:
        probe.overlay(directory)
    except OSError as exc:
        remedy = f"{_PACKAGED}; if {directory} is itself an overlay or on the network, choose another state_root"
        yield Lack("overlayfs", f"an overlay below {directory} fails: {exc.strerror}", remedy)


def _links() -> Iterator[Lack]:
    for kind in LINKS:
        try:
            probe.in_namespaces(libc.CLONE_NEWNET, partial(_add_link, kind))
        except OSError as exc:
            yield Lack(f"{kind} links", f"the kernel refuses to make one: {exc.strerror}", _PACKAGED)


def _add_link(kind: str) -> str:
    # struct ifinfomsg, all zero: the kernel chooses the index, and the name of veth's other end.
    body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, 0, 0, 0)
    body += text(IFLA_IFNAME, "mini-probe") + nested(IFLA_LINKINFO, text(IFLA_INFO_KIND, kind))
    with Rtnl() as rtnl:
        rtnl.request(f"add a {kind}", RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body)
    return ""


def _cgroup_version(controller: str, found: Hierarchies) -> int:
    """2 or 1, or 0 where the controller is in no mounted hierarchy."""
    if found.unified and controller in read_text(f"{found.unified}/cgroup.controllers", default="").split():
        return 2
    return 1 if _v1_mount(controller, found) else 0


def _v1_mount(controller: str, found: Hierarchies) -> str:
    return next((target for target, options in found.v1.items() if controller in options.split(",")), "")


def _controllers(found: Hierarchies) -> Iterator[Lack]:
    for name in CONTROLLERS:
        version = _cgroup_version(name, found)
        if not version:
            yield Lack(
                f"the cgroup controller {name}",
                "it is in no mounted hierarchy",
                f"boot with cgroup_enable={name}, or mount its hierarchy",
            )
            continue
        target = found.unified if version == 2 else _v1_mount(name, found)
        if os.statvfs(target).f_flag & os.ST_RDONLY:
            yield Lack(f"the cgroup controller {name}", f"{target} is read-only", f"mount {target} writable")


def _iptables() -> dict[str, str]:
    """`iptables v1.8.9 (nf_tables)`; versions before 1.8 have one backend and do not name it."""
    try:
        answer = command.run([command.find("iptables", "iptables"), "--version"]).output
    except HostLacks:
        return {"version": "", "backend": ""}
    match = re.search(r"v([\d.]+)(?: \((\w+)\))?", answer)
    return {"version": match[1], "backend": match[2] or "legacy"} if match else {"version": "", "backend": ""}


def _nftables() -> str:
    """`nftables v1.0.6 (Lester Gooch #5)`."""
    try:
        answer = command.run([command.find("nft", nftables.PACKAGE), "--version"]).output
    except HostLacks:
        return ""
    match = re.search(r"v([\d.]+)", answer)
    return match[1] if match else ""


def _firewall(paths: Paths) -> Iterator[Lack]:
    """What the driver lacks that is in use, or would be chosen for the first network."""
    try:
        driver = choose("", in_use(paths))
    except HostLacks as exc:
        yield Lack("a packet filter", str(exc.message), f"install the package nftables, or {_ROLE}")
        return
    for what, arguments, written in _probes(driver):
        try:
            reason = probe.in_namespaces(libc.CLONE_NEWNET, partial(_refusal, arguments, written))
        except OSError as exc:
            reason = str(exc.strerror)
        if reason:
            yield Lack(what, reason, _PACKAGED)


def _probes(driver: str) -> Iterator[tuple[str, list[str], str]]:
    """What is tried, by which command, and its input."""
    if driver == NFTABLES:
        yield "nftables with NAT, fib and maps", [command.find("nft", nftables.PACKAGE), "-f", "-"], nftables.whole()
        return
    program = command.find("iptables", iptables.PACKAGE)
    for what, rule in RULES.items():
        yield f"iptables with {what}", [program, "-w", *rule.split()], ""


def _refusal(arguments: list[str], written: str) -> str:
    """Empty when the command succeeds, the first line of its complaint otherwise."""
    done = command.run(arguments, written)
    return "" if done.code == 0 else (done.errors.strip() or f"exit code {done.code}").splitlines()[0]
