# SPDX-License-Identifier: GPL-3.0-or-later
"""Under iptables a change is one transaction for IPv4 and one for IPv6: when one is refused, neither has happened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import StepFailed
from ansible_collections.mini.containers.plugins.module_utils.core.specs.network import PublishedPort
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.converge import remove
from ansible_collections.mini.containers.plugins.module_utils.linux import libc
from ansible_collections.mini.containers.plugins.module_utils.network.firewall.iptables import Iptables
from ansible_collections.mini.containers.plugins.module_utils.network.firewall.rules import Lan, translations

from .conftest import IPTABLES, sh

REFUSAL = Path("/run/refusal")
OWNER = "c" * 64
LAN = Lan("mini-web", ("10.1.0.0/24", "fd00:1::/64"))
PORTS = translations([(PublishedPort(8080, 80), ip) for ip in ("10.1.0.2", "fd00:1::2")])
CHANGES = {
    "first": ({}, {"mini-web": LAN}),
    "another": ({"mini-web": LAN}, {"mini-web": Lan(LAN.bridge, LAN.subnets, internal=True), OWNER: PORTS}),
    "ports": ({"mini-web": LAN, OWNER: PORTS}, {OWNER: ()}),
    "last": ({"mini-web": LAN}, {"mini-web": None}),
}


@pytest.fixture
def refusing(lab, backend):
    """A host whose program for the rules of IPv6 refuses them while there is a refusal, in words of its own."""
    program = Path("/usr/sbin") / f"ip6{backend.removeprefix('ip')}-restore"
    real = os.path.realpath(program)
    for name in ("upper", "work"):
        os.mkdir(f"/run/{name}")
    libc.mount("overlay", "/usr/sbin", "overlay", 0, "lowerdir=/usr/sbin,upperdir=/run/upper,workdir=/run/work")
    program.unlink()
    refuse = f"if [ -e {REFUSAL} ]; then cat {REFUSAL} >&2; exit 1; fi"
    program.write_text(f'#!/bin/sh\n{refuse}\nexec {real} {program.name} "$@"\n')
    program.chmod(0o755)
    yield lab
    REFUSAL.unlink(missing_ok=True)


def ours() -> list[str]:
    return [line for line in sh("iptables-save; ip6tables-save").splitlines() if "mini" in line.lower()]


@pytest.mark.parametrize("backend", IPTABLES, indirect=True)
@pytest.mark.parametrize("change", CHANGES)
def test_the_driver_takes_back_what_it_has_begun(refusing, backend, change):
    """Rules of others among ours included: what they have is not touched."""
    before, after = CHANGES[change]
    driver = Iptables(backend.partition("-")[2], (4, 6))
    sh("iptables -A FORWARD -s 198.51.100.1 -j DROP; iptables -t nat -A POSTROUTING -s 198.51.100.2 -j RETURN")
    driver.apply(before)
    there = ours()
    REFUSAL.write_text("not today")
    with pytest.raises(StepFailed, match="cannot change the packet filter's rules: not today"):
        driver.apply(after)
    assert ours() == there
    REFUSAL.unlink()
    assert driver.apply(after)
    assert ours() != there
    driver.apply({"mini-web": None, OWNER: ()})
    assert ours() == []
    sh("iptables -D FORWARD -s 198.51.100.1 -j DROP; iptables -t nat -D POSTROUTING -s 198.51.100.2 -j RETURN")


@pytest.mark.parametrize("backend", IPTABLES, indirect=True)
def test_a_task_that_fails_so(refusing):
    """A new network is not there, and one that was to go or to change is as it was."""
    fields = {"enable_ipv6": True}
    nothing = refusing.snapshot()
    REFUSAL.write_text("not today")
    with pytest.raises(StepFailed, match="not today"):
        refusing.network("web", **fields)
    assert refusing.snapshot() == nothing
    REFUSAL.unlink()
    refusing.network("web", **fields)
    box = refusing.container("web")
    refusing.publish(box, "8080:80")
    there = sorted(refusing.rules())
    REFUSAL.write_text("not today")
    with pytest.raises(StepFailed, match="not today"):
        refusing.publish(box, "8081:80")
    with pytest.raises(StepFailed, match="not today"):
        refusing.network("web", internal=True, **fields)
    with pytest.raises(StepFailed, match="not today"):
        remove(refusing.paths, "web", force=True)
    assert sorted(refusing.rules()) == there
    REFUSAL.unlink()
    assert not refusing.network("web", **fields).plan
