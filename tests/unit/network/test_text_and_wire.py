# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts files, resolvers, and bytes of netlink."""

from __future__ import annotations

import pytest
from ansible_collections.mini.containers.plugins.module_utils.network import hosts, veth, wire


def test_hosts_file():
    peers = hosts.lines([("10.1.0.3", ["db", "sql"]), ("10.1.0.4", [])])
    text = hosts.hosts_file([("10.1.0.2", ["web", "web"])], peers, [])
    assert text.startswith("127.0.0.1\tlocalhost\n")
    assert text.endswith("10.1.0.2\tweb\n10.1.0.3\tdb sql\n")


@pytest.mark.parametrize(
    ("text", "fallback", "wanted"),
    [
        ("nameserver 192.0.2.1\nsearch a b\n", "", "nameserver 192.0.2.1\nsearch a b\n"),
        ("nameserver 127.0.0.1\nnameserver 192.0.2.1\n", "", "nameserver 192.0.2.1\n"),
        ("nameserver 127.0.0.53\noptions edns0\n", "nameserver 192.0.2.2\n", "nameserver 192.0.2.2\n"),
        ("nameserver 127.0.0.53\noptions edns0\n", "", "options edns0\n"),
        ("nameserver ::1\nnameserver fe80::1%eth0\nnameserver fd00::53\n", "", "nameserver fd00::53\n"),
        ("nameserver nonsense\nnameserver\n", "", ""),
        ("", "", ""),
    ],
)
def test_resolvers(text, fallback, wanted):
    assert hosts.without_loopback(text, fallback) == wanted


def test_attributes_there_and_back():
    raw = wire.text(3, "eth0") + wire.number32(4, 1500) + wire.nested(18, wire.text(1, "veth"))
    found = wire.attributes(raw)
    assert found[3] == b"eth0\0"
    assert wire.attributes(found[18])[1] == b"veth\0"
    assert len(raw) % 4 == 0


def test_an_attribute_that_does_not_fit_is_refused():
    with pytest.raises(OSError, match="netlink attribute 20 of 70000 bytes"):
        wire.attribute(20, b"x" * 70000)
    with pytest.raises(OSError, match="netlink attribute"):
        wire.nested(18, *[wire.attribute(1, b"x" * 60000)] * 2)


@pytest.mark.parametrize("raw", [b"", b"\0", b"\0\0\0\0", b"\3\0\1\0", b"\xff\xff\1\0abc"])
def test_bytes_that_are_no_attributes(raw):
    assert wire.attributes(raw) in ({}, {1: b"abc"})


def test_mac_addresses_are_local_and_follow_the_address():
    assert veth.mac_of("10.1.0.2") == bytes([0x02, 0x6D, 10, 1, 0, 2])
    assert len({veth.mac_of(f"fd00::{number:x}") for number in range(5000)}) == 5000
    assert veth.mac_of("fd00::2")[:2] == b"\x02\x6d"


def test_interface_names_fit():
    names = {veth.host_name(f"{number:064x}", "n" * 200) for number in range(1000)}
    assert len(names) == 1000
    assert all(len(name) <= 15 for name in names)
