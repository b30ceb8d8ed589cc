# SPDX-License-Identifier: GPL-3.0-or-later
"""Published ports: every way to write them, and every way not to."""

from __future__ import annotations

import socket

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, Conflict
from ansible_collections.mini.containers.plugins.module_utils.core.specs.network import PublishedPort
from ansible_collections.mini.containers.plugins.module_utils.network.listeners import check_free
from ansible_collections.mini.containers.plugins.module_utils.network.ports import overlapping, parse

P = PublishedPort


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        ([], ()),
        (["8080:80"], (P(8080, 80),)),
        (["8080:80/tcp", "8080:80", ":8080:80"], (P(8080, 80),)),
        (["0.0.0.0:80:80", "[::]:80:80"], (P(80, 80, "tcp", "0.0.0.0"), P(80, 80, "tcp", "::"))),
        (["[2001:DB8:0::1]:80:80/sctp", "[::1]::53/udp"], (P(0, 53, "udp", "::1"), P(80, 80, "sctp", "2001:db8::1"))),
        ([{"published": "8080:80"}], (P(8080, 80),)),
        (
            [{"published": "8080-8081:80-81", "allow_from": ["2001:db8::/32", "192.0.2.7", "192.0.2.7/32"]}],
            tuple(P(8080 + n, 80 + n, allow_from=("192.0.2.7/32", "2001:db8::/32")) for n in (0, 1)),
        ),
        (["8080:80/TCP", "8080:80/udp"], (P(8080, 80), P(8080, 80, "udp"))),
        (["127.0.0.1:8080:80"], (P(8080, 80, "tcp", "127.0.0.1"),)),
        (["127.0.0.1:80:80", "127.0.0.2:80:81"], (P(80, 80, "tcp", "127.0.0.1"), P(80, 81, "tcp", "127.0.0.2"))),
        (["8000-8002:80-82"], (P(8000, 80), P(8001, 81), P(8002, 82))),
        (["2:2", "1:1"], (P(1, 1), P(2, 2))),
        (["1:1", "65535:65535"], (P(1, 1), P(65535, 65535))),
        (["80", "53/udp"], (P(0, 53, "udp"), P(0, 80))),
        (["127.0.0.1::80"], (P(0, 80, "tcp", "127.0.0.1"),)),
        (["80-81"], (P(0, 80), P(0, 81))),
        (["8000-8002:80"], (P(8000, 80, host_last=8002),)),
        (["80", "81"], (P(0, 80), P(0, 81))),
    ],
)
def test_forms(texts, wanted):
    assert parse(texts) == wanted


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not a published port"),
        (":80", "is not a published port"),
        ("0:80", "between 1 and 65535"),
        ("80:0", "between 1 and 65535"),
        ("65536:80", "between 1 and 65535"),
        ("999999999999:80", "beyond 65535"),
        ("8080:80/icmp", "protocol icmp"),
        ("8080:80/", "is not a published port"),
        ("a:80", "is not a published port"),
        ("-80:80", "is not a published port"),
        ("8080:80:90:100", "is not a published port"),
        ("1.2.3:8080:80", "'1.2.3' where an address"),
        ("web:8080:80", "'web' where an address"),
        ("::1:8080:80", "is not a published port"),
        ("[::g]:8080:80", "where an address"),
        ("[fe80::1%eth0]:8080:80", "an address of one interface"),
        ("8000-8001:80-82", "leads 2 ports of the host to 3 of the container"),
        ("8000:80-82", "leads 1 ports of the host to 3"),
        ("8002-8000:80-82", "runs backwards"),
        ("8080:80\n", None),
        ("٨:80", "is not a published port"),
    ],
)
def test_malformed(text, why):
    if why is None:
        assert parse([text]) == (P(8080, 80),)
        return
    with pytest.raises(BadInput, match=why) as caught:
        parse([text])
    assert "write it as 8080:80" in str(caught.value)


@pytest.mark.parametrize(
    "texts",
    [
        ["8080:80", "8080:81"],
        ["8080:80", "127.0.0.1:8080:80"],
        ["8000-8010:1-11", "8005:9000"],
        ["0.0.0.0:80:80", "127.0.0.1:80:81"],
        ["[::]:80:80", "[::1]:80:81"],
        ["80:80", "[::1]:80:81"],
    ],
)
def test_one_port_of_the_host_twice(texts):
    with pytest.raises(BadInput, match="want the same port of the host"):
        parse(texts)


def test_overlapping():
    assert overlapping([P(80, 1)], [P(80, 2)]) == (P(80, 1), P(80, 2))
    assert overlapping([P(80, 1, "udp")], [P(80, 2)]) is None
    assert overlapping([P(80, 1, "tcp", "127.0.0.1")], [P(80, 2, "tcp", "127.0.0.2")]) is None
    assert overlapping([P(80, 1, "tcp", "127.0.0.1")], [P(80, 2)]) is not None


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ({"published": "8080:80", "allow_from": ["192.0.2.1/24"]}, "has host bits set"),
        ({"published": "8080:80", "allow_from": ["lan"]}, "'lan' is not a network"),
        ({"published": "8080:80", "allow_from": ["fd00::1%\nflush ruleset\n#/128"]}, "is not a network"),
        ({"published": "8080:80", "from": ["192.0.2.0/24"]}, "is not a published port"),
        ({"allow_from": ["192.0.2.0/24"]}, "is not a published port"),
    ],
)
def test_malformed_mappings(item, why):
    with pytest.raises(BadInput, match=why):
        parse([item])


def test_one_listener_for_ipv6_alone():
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as taken:
        taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        taken.bind(("::", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        check_free([P(port, 80)], (4,))
        check_free([P(port, 80, host_ip="0.0.0.0")], (4, 6))
        with pytest.raises(Conflict, match="in use by process"):
            check_free([P(port, 80)], (4, 6))


@pytest.mark.parametrize(("protocol", "kind"), [("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)])
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_process_of_the_host_has_the_port(protocol, kind, family):
    with socket.socket(family, kind) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1" if family == socket.AF_INET else "::", 0))
        if protocol == "tcp":
            taken.listen(1)
        port = taken.getsockname()[1]
        with pytest.raises(Conflict, match=rf"port {port}/{protocol} of this host is in use by process \d+ \("):
            check_free([P(port, 80, protocol)])
    check_free([P(port, 80, protocol)])


def test_what_is_left_of_connections_is_no_conflict():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        connection, _peer = server.accept()
    connection.close()  # the server's end closes first, and stays in TIME_WAIT
    client.close()
    check_free([P(port, 80)])


def test_not_an_address_of_this_host():
    with pytest.raises(BadInput, match=r"203\.0\.113\.7 is not an address of this host"):
        check_free([P(8080, 80, "tcp", "203.0.113.7")])
