# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers with IPv6: addresses, names and facts, and what becomes of them when their networks change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import Conflict, MiniError
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.facts import facts
from ansible_collections.mini.containers.plugins.module_utils.network.hosts import resolv_conf

from .waiting import eventually

SERVE = ["sh", "-c", "echo hello from $HOSTNAME > /tmp/index.html; exec httpd -f -p [::]:80 -h /tmp"]
LAN = [{"name": "lan"}]


@pytest.fixture
def both(host: Any) -> Iterator[Any]:
    """A network with both families."""
    host.network("lan", "10.77.1.0/24", "fd00:77::/64")
    yield host
    host.absent("c", "web", "peer")
    host.no_network("lan")


def fetch(host: Any, client: str, url: str) -> str:
    return str(eventually(lambda: host.exec(client, "wget", "-q", "-O", "-", url).stdout).decode())


def hosts(host: Any, name: str) -> list[str]:
    return [" ".join(line.split()) for line in host.exec(name, "cat", "/etc/hosts").stdout.decode().splitlines()]


def test_names_and_addresses_of_both_families(both: Any) -> None:
    both.container("peer", networks=LAN)
    both.container("web", command=SERVE, networks=[{"name": "lan", "ipv6_address": "fd00:77::80", "aliases": ["www"]}])
    assert {"10.77.1.3 web www", "fd00:77::80 web www"} <= set(hosts(both, "peer"))
    assert {"fd00:77::80 web", "fd00:77::2 peer"} <= set(hosts(both, "web"))
    assert fetch(both, "peer", "http://[fd00:77::80]/") == "hello from web\n"
    both.absent("web")
    assert not [line for line in hosts(both, "peer") if "web" in line]


def test_facts(both: Any) -> None:
    both.container(networks=[{"name": "lan", "ipv6_address": "fd00:77::9", "mac_address": "02:42:00:00:00:09"}])
    settings = facts(both.paths, both.record())["NetworkSettings"]
    place = settings["Networks"]["lan"]
    wanted = {
        "IPAddress": "10.77.1.2",
        "IPPrefixLen": 24,
        "Gateway": "10.77.1.1",
        "GlobalIPv6Address": "fd00:77::9",
        "GlobalIPv6PrefixLen": 64,
        "IPv6Gateway": "fd00:77::1",
        "MacAddress": "02:42:00:00:00:09",
        "IPAMConfig": {"IPv4Address": "", "IPv6Address": "fd00:77::9"},
    }
    assert {key: place[key] for key in wanted} == wanted
    assert settings["GlobalIPv6Address"] == "fd00:77::9"
    assert b"02:42:00:00:00:09" in both.exec("c", "cat", "/sys/class/net/eth0/address").stdout


def test_an_address_stays_reserved_and_is_changed_live(both: Any) -> None:
    both.container("web", networks=LAN)
    both.container(networks=[{"name": "lan", "ipv6_address": "fd00:77::9"}])
    pid = both.pid()
    both.container(state="stopped")
    with pytest.raises(Conflict, match="fd00:77::9 in the network lan is taken by the container c"):
        both.container("peer", networks=[{"name": "lan", "ipv6_address": "fd00:77::9"}])
    both.container()
    assert both.record().networks["lan"].ipv6 == "fd00:77::9"
    pid = both.pid()
    both.container(networks=[{"name": "lan", "ipv6_address": "fd00:77::a"}])
    assert both.pid() == pid
    assert both.record().networks["lan"].ips == ("10.77.1.3", "fd00:77::a")
    assert "fd00:77::a c" in hosts(both, "web")
    assert "fd00:77::9 c" not in hosts(both, "web")
    shown = both.exec("c", "busybox", "ip", "-6", "addr", "show", "eth0").stdout.decode()
    assert "fd00:77::a/64" in shown
    assert "fd00:77::9" not in shown


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("fd00:78::2", "outside of the network lan"),
        ("fd00:77::1", "is reserved"),
        ("fd00:77::", "is reserved"),
    ],
)
def test_addresses_that_cannot_be_had(both: Any, address: str, why: str) -> None:
    with pytest.raises(MiniError, match=why):
        both.container(networks=[{"name": "lan", "ipv6_address": address}])
    assert not both.left() or [name for name in both.left() if "container" in name] == []


def test_a_network_gets_ipv6_and_loses_it(host: Any) -> None:
    host.network("lan", "10.77.1.0/24")
    host.container(networks=LAN)
    pid = host.pid()
    host.network("lan", enable_ipv6=True)
    (lease, *_more) = host.container().plan
    assert lease.describe().endswith("the network has IPv6 now")
    assert not host.container().plan
    address = host.record().networks["lan"].ipv6
    assert address.encode() in host.exec("c", "busybox", "ip", "-6", "addr").stdout
    assert host.pid() == pid
    with pytest.raises(Conflict, match=r"containers are attached \(c\)"):
        host.network("lan", enable_ipv6=False)
    host.absent("c")
    host.network("lan", enable_ipv6=False)
    host.no_network("lan")


def test_only_ipv6(host: Any) -> None:
    host.network("lan", enable_ipv4=False, enable_ipv6=True)
    host.container("web", command=SERVE, networks=LAN)
    host.container(networks=LAN, etc_hosts={"gate": "host-gateway"})
    address = host.record("web").networks["lan"].ipv6
    assert host.record("web").networks["lan"].ipv4 == ""
    assert fetch(host, "c", f"http://[{address}]/") == "hello from web\n"
    assert any(line.endswith("::1 gate") for line in hosts(host, "c"))
    host.absent("c", "web")
    host.no_network("lan")


def test_the_way_out(both: Any) -> None:
    """By the network of the highest priority, in both families."""
    both.network("other", "10.77.2.0/24", "fd00:78::/64")
    for first, gateway in ((1, "fd00:78::1"), (0, "fd00:77::1")):
        both.container(networks=[{"name": "lan"}, {"name": "other", "gw_priority": first}])
        shown = both.exec("c", "busybox", "ip", "-6", "route").stdout.decode()
        ways = [line.split() for line in shown.splitlines() if line.startswith("default")]
        assert min(ways, key=lambda way: int(way[way.index("metric") + 1]))[2] == gateway
    assert not both.container().plan
    both.absent("c")
    both.no_network("other")


def test_nobody_outside_is_asked_for_names_of_an_internal_network(host: Any) -> None:
    """A resolver of the host would answer, and forward what a container asks."""
    host.network("lan")
    host.network("quiet", internal=True)

    def servers(name: str = "c") -> int:
        return int(host.exec(name, "grep", "-c", "^nameserver", "/etc/resolv.conf").stdout)

    host.container("outside", networks=[{"name": "lan"}])
    host.container(networks=[{"name": "quiet"}], dns_search_domains=["example.org"])
    assert (servers("outside") > 0, servers()) == (bool(resolv_conf().count("nameserver")), 0)
    assert b"search example.org" in host.exec("c", "cat", "/etc/resolv.conf").stdout
    host.container("asks", networks=[{"name": "quiet"}], dns_servers=["192.0.2.53"])
    assert servers("asks") == 1
    host.container(networks=[{"name": "quiet"}, {"name": "lan"}])
    assert servers() == servers("outside")
    host.absent("c", "outside", "asks")
    host.no_network("lan", "quiet")
