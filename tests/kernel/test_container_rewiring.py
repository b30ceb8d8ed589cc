# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks joined, left and changed, and ports chosen, all while the container runs."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import Conflict, MiniError
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.facts import facts

from .waiting import eventually


def inside(host: Any, name: str = "c") -> dict[str, str]:
    """Interfaces of the container and their addresses."""
    text = host.exec(name, "busybox", "ip", "-o", "-4", "addr").stdout.decode()
    return dict(re.findall(r"\d+: (eth\d+|wan) +inet ([0-9.]+)", text))


def default_route(host: Any) -> str:
    """The interface that the container's packets leave by: that of the lowest metric."""
    text = host.exec("c", "busybox", "ip", "route").stdout.decode()
    found = re.findall(r"default via \S+ dev (\S+) +(?:metric (\d+))?", text)
    return min(found, key=lambda item: int(item[1] or 0))[0]


@pytest.fixture
def nets(host: Any) -> Any:
    for name, number in (("one", 1), ("two", 2), ("three", 3)):
        host.network(name, f"10.77.{number}.0/24")
    yield host
    host.absent("c", "peer")
    host.no_network("one", "two", "three")


def test_joined_and_left(nets: Any) -> None:
    nets.container("peer", networks=[{"name": "two"}], capabilities=["NET_RAW"])
    nets.container(networks=[{"name": "one", "ipv4_address": "10.77.1.10"}])
    pid = nets.pid()
    nets.container(networks=[{"name": "one"}, {"name": "two", "ipv4_address": "10.77.2.10", "aliases": ["db"]}])
    assert inside(nets) == {"eth0": "10.77.1.10", "eth1": "10.77.2.10"}
    eventually(lambda: nets.exec("peer", "ping", "-c1", "-W5", "db").rc == 0)
    assert b"10.77.2" in nets.exec("c", "grep", "peer", "/etc/hosts").stdout
    nets.container(networks=[{"name": "two"}])
    assert inside(nets) == {"eth1": "10.77.2.10"}
    assert nets.exec("peer", "grep", "db", "/etc/hosts").rc != 0, "its alias was not in the task any more"
    nets.container(networks=[])
    assert inside(nets) == {}
    assert nets.exec("peer", "grep", "10.77.2.10", "/etc/hosts").rc != 0
    nets.container(networks=[{"name": "three"}])
    assert list(inside(nets)) == ["eth0"]
    assert nets.pid() == pid
    assert not nets.container(networks=[{"name": "three"}]).plan


def test_another_address(nets: Any) -> None:
    nets.container("peer", networks=[{"name": "one"}], capabilities=["NET_RAW"])
    nets.container(networks=[{"name": "one", "ipv4_address": "10.77.1.10"}], published_ports=["8080:80"])
    pid = nets.pid()
    changed = nets.container(networks=[{"name": "one", "ipv4_address": "10.77.1.20"}])
    assert "10.77.1.10 → 10.77.1.20" in " ".join(changed.plan.describe())
    assert inside(nets) == {"eth0": "10.77.1.20"}
    eventually(lambda: nets.exec("peer", "ping", "-c1", "-W5", "c").rc == 0)
    assert not nets.container().plan, "its ports lead to the new address"
    with pytest.raises(Conflict, match="is taken by the container peer"):
        nets.container(networks=[{"name": "one", "ipv4_address": nets.record("peer").networks["one"].ipv4}])
    assert inside(nets) == {"eth0": "10.77.1.20"}
    assert nets.pid() == pid
    nets.container("peer", networks=[{"name": "one", "ipv4_address": "10.77.1.10"}])


def test_the_way_out(nets: Any) -> None:
    both = [{"name": "one"}, {"name": "two"}]
    nets.container(networks=both)
    assert default_route(nets) == "eth0"
    nets.container(networks=[both[0], {**both[1], "gw_priority": 1}])
    assert default_route(nets) == "eth1"
    nets.container(networks=both)
    assert default_route(nets) == "eth0"
    nets.container(networks=both[::-1])
    assert default_route(nets) == "eth1"
    assert not nets.container(networks=both[::-1]).plan


def test_the_name_of_an_interface(nets: Any) -> None:
    """Changed while the container runs, kept over a restart, found when it is gone, and given back."""
    named = {"name": "one", "driver_opts": {"com.docker.network.endpoint.ifname": "wan"}}
    nets.container(networks=[named, {"name": "two"}])
    first = inside(nets)
    assert sorted(first) == ["eth1", "wan"]
    assert default_route(nets) == "wan"
    nets.container(restart=True)
    assert inside(nets) == first
    assert not nets.container(networks=[named, {"name": "two"}]).plan
    pid = nets.pid()
    subprocess.run(["nsenter", "-t", str(pid), "-n", "ip", "link", "delete", "wan"], check=True)
    assert "connect" in [step.name for step in nets.container().plan]
    assert inside(nets) == first
    changed = nets.container(networks=[{"name": "one"}, {"name": "two"}])
    assert "interface: wan → eth" in " ".join(changed.plan.describe())
    assert inside(nets) == {"eth0": first["wan"], "eth1": first["eth1"]}
    assert nets.pid() == pid


def test_a_hardware_address(nets: Any) -> None:
    nets.container(networks=[{"name": "one"}], mac_address="02-AA-00-00-00-01")
    shown = nets.exec("c", "cat", "/sys/class/net/eth0/address").stdout
    assert shown == b"02:aa:00:00:00:01\n"
    assert not nets.container(networks=[{"name": "one", "mac_address": "02:aa:00:00:00:01"}]).plan


def test_a_change_cut_short_is_finished(nets: Any) -> None:
    """Killed after any of its steps, by the next run of the same task, or of the one before."""
    before, after = [{"name": "one"}], [{"name": "two"}]
    nets.container(networks=before)
    steps = [step.name for step in nets.container(check=True, networks=after).plan]
    for stop_at in range(len(steps)):
        seen: list[str] = []

        def observer(event: str, step: Any, stop_at: int = stop_at, seen: list[str] = seen) -> None:
            seen.append(step.name)
            if event == "done" and len(seen) == 2 * (stop_at + 1):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            nets.container(networks=after, observer=observer)
        wanted = (after, before)[stop_at % 2]
        nets.container(networks=wanted)
        assert list(nets.record().networks) == [wanted[0]["name"]]
        assert not nets.container(networks=wanted).plan
        nets.container(networks=before)


def test_a_port_that_is_chosen_is_kept(nets: Any) -> None:
    options = {"networks": [{"name": "one"}], "published_ports": ["80", "127.0.0.1::81", "9000-9001:82"]}
    first = _bindings(nets.container(**options).record, nets)
    assert first["82/tcp"] == ("0.0.0.0", 9000)
    assert first["81/tcp"][0] == "127.0.0.1"
    assert len({port for _ip, port in first.values()}) == 3
    assert not nets.container(**options).plan
    nets.container(**options, restart=True)
    nets.container(**options, env={"A": "1"})
    assert _bindings(nets.record(), nets) == first
    nets.container(state="stopped")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("0.0.0.0", 9000))
        taken.listen()
        nets.container(**options)
    assert _bindings(nets.record(), nets)["82/tcp"] == ("0.0.0.0", 9001)


def _bindings(record: Any, host: Any) -> dict[str, tuple[str, int]]:
    found = facts(host.paths, record)["NetworkSettings"]["Ports"]
    return {inside: (entries[0]["HostIp"], int(entries[0]["HostPort"])) for inside, entries in found.items()}


def test_all_exposed_ports(nets: Any) -> None:
    options = {"networks": [{"name": "one"}], "exposed_ports": ["80", "81"], "published_ports": ["8080:80"]}
    nets.container(**options, publish_all_ports=True)
    found = _bindings(nets.record(), nets)
    assert found["80/tcp"] == ("0.0.0.0", 8080)
    assert found["81/tcp"][1] >= 49152
    nets.container(**options, publish_all_ports=False)
    assert set(_bindings(nets.record(), nets)) == {"80/tcp"}


def test_a_range_that_is_used_up(nets: Any) -> None:
    nets.container("peer", networks=[{"name": "one"}], published_ports=["9000-9001:80", "9000-9001:81"])
    with pytest.raises(Conflict, match="between 9000 and 9001 is in use"):
        nets.container(networks=[{"name": "one"}], published_ports=["9000-9001:80"])


def test_the_usual_address_of_ports(nets: Any) -> None:
    nets.container(
        networks=[{"name": "one"}], published_ports=["8080:80", "0.0.0.0:81:81"], default_host_ip="127.0.0.1"
    )
    found = _bindings(nets.record(), nets)
    assert found == {"80/tcp": ("127.0.0.1", 8080), "81/tcp": ("0.0.0.0", 81)}


def left(host: Any) -> dict[str, Any]:
    """All that is there, in no particular order; a cable that was laid again has another number."""
    found = host.snapshot()
    return {**found, "links": len(found["links"]), "rules": sorted(found["rules"])}


def test_a_change_that_fails_is_taken_back(nets: Any) -> None:
    """After any of its steps: addresses, cables, rules, claims and limits are as before."""
    before = {
        "networks": [{"name": "one", "ipv4_address": "10.77.1.10"}, {"name": "two"}],
        "published_ports": ["80:80"],
    }
    after = {
        "networks": [{"name": "three"}, {"name": "one", "ipv4_address": "10.77.1.20"}],
        "published_ports": ["81:80", "82"],
        "memory": "64M",
    }
    nets.container(**before)
    pid = nets.pid()
    known = json.dumps(facts(nets.paths, nets.record())["NetworkSettings"]), inside(nets), left(nets)
    steps = [step.name for step in nets.container(check=True, **after).plan]
    assert steps.index("write-record") == len(steps) - 2, "what comes behind it cannot fail"
    for stop_at in range(len(steps) - 1):
        seen: list[str] = []

        def observer(event: str, step: Any, stop_at: int = stop_at, seen: list[str] = seen) -> None:
            seen.append(step.name)
            if len(seen) == 2 * stop_at + 1:
                raise OSError(5, "no more", "/here")

        with pytest.raises(MiniError, match="no more"):
            nets.container(**after, observer=observer)
        assert json.dumps(facts(nets.paths, nets.record())["NetworkSettings"]) == known[0], seen
        assert inside(nets) == known[1], seen
        assert left(nets) == known[2], seen
        assert nets.container().plan.describe() == [], seen
    nets.container(**after)
    assert nets.pid() == pid
    assert nets.container(**after).plan.describe() == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"networks": [{"name": "nowhere"}]}, "network nowhere does not exist"),
        ({"networks": [{"name": "one", "ipv4_address": "10.99.0.1"}]}, "outside of the network"),
        ({"networks": [{"name": "one", "mac_address": "01:00:00:00:00:01"}]}, "not the address of an interface"),
        ({"published_ports": ["80"]}, "in no network"),
        ({"mac_address": "02:00:00:00:00:01", "networks": []}, "there is none"),
        ({"networks": [{"name": "one"}], "published_ports": ["192.0.2.99::80"]}, "not an address of this host"),
    ],
)
def test_a_change_that_cannot_be(nets: Any, options: dict[str, Any], text: str) -> None:
    """What runs goes on as it was."""
    nets.container()
    before = json.dumps(facts(nets.paths, nets.record()))
    with pytest.raises(MiniError, match=text):
        nets.container(**options)
    assert json.dumps(facts(nets.paths, nets.record())) == before
    assert not nets.container().plan
