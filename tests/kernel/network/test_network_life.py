# SPDX-License-Identifier: GPL-3.0-or-later
"""A network's life: made once however often asked, repaired, changed, removed without a trace, whatever is killed."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import Busy, Conflict, HostLacks, StepFailed
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.core.plan import apply
from ansible_collections.mini.containers.plugins.module_utils.core.specs.network import NetworkSpec
from ansible_collections.mini.containers.plugins.module_utils.engine.networks import attach
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.actions import actions
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.converge import ensure, remove
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.describe import describe
from ansible_collections.mini.containers.plugins.module_utils.network import veth
from ansible_collections.mini.containers.plugins.module_utils.network.firewall import iptables

from .conftest import HOST_LAN, IPTABLES, sh

one_backend = pytest.mark.parametrize("backend", ["nftables"], indirect=True)
"""For what has nothing to do with the firewall's rules."""
with_iptables = pytest.mark.parametrize("backend", IPTABLES, indirect=True)

CREATED = ["write-network", "install-rules", "create-bridge", "set-bridge-sysctls", "set-gateway", "allow-forwarding"]


def names(outcome) -> list[str]:
    return [step.name for step in outcome.plan]


def test_created_once_however_often(lab):
    assert names(lab.network("web")) == CREATED
    made = lab.rules()
    for _time in range(20):
        assert names(lab.network("web")) == []
    assert lab.rules() == made
    assert sh("ip -4 -o address | grep -c mini-").strip() == "1"


@one_backend
def test_check_mode_writes_nothing(lab):
    before = lab.snapshot()
    outcome = ensure(lab.paths, NetworkSpec("web"), frozenset(), check=True)
    assert names(outcome) == CREATED
    assert outcome.network["IPAM"]["Config"] == [{"Subnet": "10.213.0.0/24", "Gateway": "10.213.0.1"}]
    assert lab.snapshot() == before
    assert not os.path.exists(lab.paths.run_root)
    assert not os.path.exists(lab.paths.state_root)


def test_removed_without_a_trace_and_again(lab):
    before = lab.snapshot()
    lab.network("web")
    lab.network("other")
    remove(lab.paths, "web")
    assert sh("cat /proc/sys/net/ipv4/ip_forward") == "1\n", "the other one needs it"
    assert names(remove(lab.paths, "other")) == [
        "remove-rules",
        "delete-bridge",
        "give-back-forwarding",
        "remove-network",
    ]
    assert lab.snapshot() == before
    assert names(remove(lab.paths, "other")) == []


@one_backend
def test_forwarding_that_was_on_stays_on(lab):
    sh("echo 1 > /proc/sys/net/ipv4/ip_forward")
    lab.network("web")
    remove(lab.paths, "web")
    assert sh("cat /proc/sys/net/ipv4/ip_forward") == "1\n"
    sh("echo 0 > /proc/sys/net/ipv4/ip_forward")


def test_rules_of_others_are_not_touched(lab):
    sh(
        "iptables -A FORWARD -s 198.51.100.1 -j DROP;"
        " iptables -t nat -N THEIRS; iptables -t nat -A POSTROUTING -j THEIRS"
    )
    theirs = [line for line in sh("iptables-save").splitlines() if line.startswith("-A")]
    lab.network("web")
    lab.network("web", internal=True)
    assert [line for line in sh("iptables-save").splitlines() if line.startswith("-A") and "mini" not in line] == theirs
    remove(lab.paths, "web")
    assert [line for line in sh("iptables-save").splitlines() if line.startswith("-A")] == theirs
    sh("iptables -F FORWARD; iptables -t nat -F POSTROUTING; iptables -t nat -X THEIRS")


@with_iptables
@pytest.mark.parametrize(
    ("damage", "repair"),
    [
        ("iptables -F", "restore-rules"),
        ("iptables -t nat -F", "restore-rules"),
        ("iptables -t nat -F MINI-DNAT", "restore-rules"),
        ("iptables -t raw -F && iptables -t raw -X MINI-RAW", "restore-rules"),
        ("iptables -D MINI-IN 4", "install-rules"),
        ("iptables -S MINI-IN | sed -n 3p | xargs iptables", "install-rules"),
        ("iptables -D FORWARD -m comment --comment \"$(iptables -S FORWARD | grep -o 'mini:host:[0-9a-f]*')\""
         " -j MINI-FORWARD", "restore-rules"),
        ("ip link del {bridge}", "create-bridge"),
        ("ip link set {bridge} down", "set-gateway"),
        ("ip address flush dev {bridge}", "set-gateway"),
        ("ip address add 198.51.100.1/24 dev {bridge}", "set-gateway"),
        ("echo 0 > /proc/sys/net/ipv4/conf/{bridge}/route_localnet", "set-bridge-sysctls"),
        ("echo 0 > /proc/sys/net/ipv6/conf/{bridge}/disable_ipv6", "set-bridge-sysctls"),
        ("echo 0 > /proc/sys/net/ipv4/ip_forward", "allow-forwarding"),
    ],
)  # fmt: skip
def test_damage_is_repaired_once(lab, damage, repair):
    repaired(lab, damage, repair)


@one_backend
@pytest.mark.parametrize(
    ("damage", "repair"),
    [
        ("nft flush ruleset", "restore-rules"),
        ("nft flush table inet mini", "restore-rules"),
        ("nft flush chain inet mini forward", "restore-rules"),
        ("nft insert rule inet mini forward accept", "restore-rules"),
        ("nft flush chain inet mini into-{bridge}", "install-rules"),
        ("nft insert rule inet mini into-{bridge} accept", "install-rules"),
        ("nft flush map inet mini into", "install-rules"),
        ('nft delete element inet mini bridges {{ \"{bridge}\" }}', "install-rules"),
        ('nft add element inet mini bridges {{ \"theirs\" }}', "restore-rules"),
    ],
)  # fmt: skip
def test_damage_to_the_table_is_repaired_once(lab, damage, repair):
    repaired(lab, damage, repair)


def repaired(lab, damage, repair):
    lab.network("web")
    made = sorted(lab.rules())
    sh(damage.format(bridge=attach.load(lab.paths, "web").bridge))
    plan = attach.repair_plan(lab.paths, attach.load(lab.paths, "web"))
    assert repair in [step.name for step in plan]
    apply(plan, actions(lab.paths))
    assert not attach.repair_plan(lab.paths, attach.load(lab.paths, "web"))
    assert names(lab.network("web")) == []
    assert sorted(lab.rules()) == made


def test_flush_is_repaired_with_the_ports(lab):
    lab.network("web")
    box = lab.container("web")
    lab.serve(box.netns, 80)
    wanted = lab.publish(box, "8080:80", "8443:443")
    assert published(lab, box, wanted) == []
    sh("nft delete table inet mini" if lab.firewall == "nftables" else "iptables -t nat -F")
    assert len(published(lab, box, wanted)) == 2
    attach.publish(lab.paths, {box.id: wanted})
    assert published(lab, box, wanted) == []
    assert lab.ask(lab.neighbour, HOST_LAN, 8080)
    assert published(lab, box, wanted[:1]) == ["rules that are not wanted"]
    lab.discard(box)


def published(lab, box, wanted) -> list[str]:
    return attach.published(box.id, wanted, attach.Sight(lab.paths))


@one_backend
def test_lost_cable_is_laid_again(lab):
    lab.network("web")
    box = lab.container("web")
    network = attach.load(lab.paths, "web")
    seen = (lab.paths, network, box.id, box.netns, attach.Plug((box.ip,), 0))
    host_end = veth.host_name(box.id, "web")
    damages = [
        f"ip link del {host_end}",
        f"ip link set {host_end} down",
        f"ip link set {host_end} nomaster",
        f"nsenter --net={box.netns} ip link set eth0 down",
        f"nsenter --net={box.netns} ip address flush dev eth0",
        f"nsenter --net={box.netns} ip route del default",
    ]
    for damage in damages:
        assert attach.connected(*seen)
        sh(damage)
        assert not attach.connected(*seen), damage
        attach.connect(*seen)
    assert attach.connected(*seen)
    attach.disconnect(lab.paths, network.name, box.id)
    attach.disconnect(lab.paths, network.name, box.id)
    assert not attach.connected(*seen)
    lab.discard(box)
    assert not attach.connected(*seen)


@one_backend
def test_many_networks_and_long_names(lab):
    long = ["n" * 199 + str(number) for number in range(3)]
    for name in long:
        lab.network(name)
    box = lab.container(*long)
    assert [f"eth{index}" in sh(f"nsenter --net={box.netns} ip link") for index in range(4)] == [True] * 3 + [False]
    assert sh(f"nsenter --net={box.netns} ip route | grep -c default").strip() == "3"
    assert sh(f"nsenter --net={box.netns} ip route get 198.51.100.1").split()[2] == "10.213.0.1", "the first leads out"
    assert all(len(name) <= 15 for name in os.listdir("/sys/class/net"))


@one_backend
def test_changes_live(lab):
    lab.network("web", labels={"a": "1"})
    box = lab.container("web")
    first = attach.load(lab.paths, "web")
    assert names(lab.network("web", labels={"b": "2"})) == ["write-network"]
    assert names(lab.network("web")) == []
    assert names(lab.network("web", internal=True)) == ["write-network", "install-rules"]
    assert names(lab.network("web", mtu=1400)) == ["write-network", "configure-bridge"]
    assert names(lab.network("web", "10.213.0.0/24", mtu=1400)) == []
    now = attach.load(lab.paths, "web")
    assert (now.id, now.created, now.spec.labels) == (first.id, first.created, {"b": "2"})
    assert not attach.connected(lab.paths, now, box.id, box.netns, attach.Plug((box.ip,), 0)), (
        "its packets are too large now"
    )
    lab.connect(box)
    assert "mtu 1400" in sh(f"nsenter --net={box.netns} ip link show eth0")


def test_another_subnet(lab):
    lab.network("web")
    box = lab.container("web")
    with pytest.raises(Conflict, match="containers are attached .box"):
        lab.network("web", "10.77.0.0/24")
    lab.network("web", "10.77.0.0/24", force=True)
    assert "10.77.0.1/24" in sh("ip -4 -o address")
    assert "10.213.0" not in sh("ip -4 -o address; iptables-save")
    assert attach.members(lab.paths, "web") == []
    assert attach.lease(lab.paths, attach.load(lab.paths, "web"), box.id) == ("10.77.0.2", "")


@one_backend
def test_absent_refuses_while_in_use(lab):
    lab.network("web")
    lab.container("web")
    before = lab.snapshot()
    with pytest.raises(Conflict, match="attached .box."):
        remove(lab.paths, "web")
    assert lab.snapshot() == before
    assert "disconnect-container" in names(remove(lab.paths, "web", force=True))


@one_backend
def test_overlaps_are_named(lab):
    lab.network("web", "10.20.0.0/24")
    with pytest.raises(Conflict, match=r"10\.20\.0\.128/25 overlaps the network web \(10\.20\.0\.0/24\)"):
        lab.network("other", "10.20.0.128/25")
    with pytest.raises(Conflict, match=r"overlaps the route 192\.0\.2\.0/24 on lan0"):
        lab.network("other", "192.0.2.0/25")
    sh("ip route add 10.213.0.0/16 via 192.0.2.2")
    assert lab.network("other").network["IPAM"]["Config"][0]["Subnet"] == "172.30.0.0/24", "the pool is routed away"
    sh("ip route del 10.213.0.0/16")


@one_backend
def test_bridge_of_somebody_else(lab):
    from ansible_collections.mini.containers.plugins.module_utils.engine.networks.record import bridge_name

    name = bridge_name(lab.paths, "web")
    sh(f"ip link add {name} type bridge")
    with pytest.raises(Conflict, match=f"{name} is taken by a bridge"):
        lab.network("web")
    sh(f"ip link set {name} alias theirs")
    with pytest.raises(Conflict, match=f"{name} is taken by a bridge with the alias 'theirs'"):
        lab.network("web")
    assert names(remove(lab.paths, "web")) == []
    assert "theirs" in sh(f"ip link show {name}")
    sh(f"ip link del {name}")


def test_two_state_roots_share_the_chains(lab):
    other = Paths("/run/lab/second", "/run/lab/second-run")
    lab.network("web")
    made = lab.rules()
    ensure(other, NetworkSpec("web"), frozenset())
    remove(other, "web")
    assert lab.rules() == made
    assert sh("cat /proc/sys/net/ipv4/ip_forward") == "1\n"


@one_backend
@pytest.mark.parametrize("step", [*CREATED, "after"])
@pytest.mark.parametrize("event", ["begin", "done"])
def test_killed_while_creating(lab, step, event):
    killed(lambda observer: ensure(lab.paths, NetworkSpec("web"), frozenset(), observer=observer), step, event)
    lab.network("web")
    assert names(lab.network("web")) == []
    box = lab.container("web")
    lab.serve(box.netns, 80)
    lab.publish(box, "8080:80")
    assert lab.ask(lab.neighbour, HOST_LAN, 8080)


@one_backend
@pytest.mark.parametrize("step", [*CREATED, "after"])
def test_killed_while_creating_then_removed(lab, step):
    before = lab.snapshot()
    killed(lambda observer: ensure(lab.paths, NetworkSpec("web"), frozenset(), observer=observer), step, "done")
    remove(lab.paths, "web")
    assert lab.snapshot() == before


@one_backend
@pytest.mark.parametrize("step", ["remove-rules", "delete-bridge", "give-back-forwarding", "remove-network"])
@pytest.mark.parametrize("again", ["present", "absent"])
def test_killed_while_removing(lab, step, again):
    before = lab.snapshot()
    lab.network("web")
    killed(lambda observer: remove(lab.paths, "web", observer=observer), step, "done")
    if again == "present":
        lab.network("web")
        assert names(lab.network("web")) == []
    remove(lab.paths, "web")
    assert lab.snapshot() == before


@one_backend
def test_bridge_killed_before_it_had_its_mark(lab):
    """The address it is born with is ours alone: it is taken over, and not mistaken for somebody else's."""
    lab.network("web")
    name = attach.load(lab.paths, "web").bridge
    sh(f"ip link del {name}; ip link add {name} address 02:6d:0a:d5:00:01 type bridge")
    assert "configure-bridge" in names(lab.network("web"))


@one_backend
@pytest.mark.parametrize("step", CREATED)
def test_a_step_that_fails_takes_all_back(lab, step):
    before = lab.snapshot()

    def fail(event, at):
        if (event, at.name) == ("done", step):
            raise OSError(28, "No space left on device")

    with pytest.raises(StepFailed, match="No space left"):
        ensure(lab.paths, NetworkSpec("web"), frozenset(), observer=fail)
    assert lab.snapshot() == before


@one_backend
def test_a_change_that_fails_is_taken_back(lab):
    lab.network("web")
    before, made = attach.load(lab.paths, "web"), lab.rules()

    def fail(event, at):
        if (event, at.name) == ("done", "install-rules"):
            raise OSError(28, "No space left on device")

    with pytest.raises(StepFailed, match="No space left"):
        ensure(lab.paths, NetworkSpec("web", internal=True), {"internal"}, observer=fail)
    assert attach.load(lab.paths, "web") == before
    assert sorted(lab.rules()) == sorted(made)
    assert names(lab.network("web")) == []


@one_backend
@pytest.mark.parametrize("step", ["write-network", "install-rules", "set-gateway"])
def test_addresses_are_kept_when_a_change_fails(lab, step):
    lab.network("web")
    box = lab.container("web")

    def fail(event, at):
        if (event, at.name) == ("done", step):
            raise OSError(28, "No space left on device")

    with pytest.raises(StepFailed, match="No space left"):
        lab.network("web", "10.77.0.0/24", force=True, observer=fail)
    assert attach.members(lab.paths, "web") == [box.id]
    assert attach.lease(lab.paths, attach.load(lab.paths, "web"), box.id) == box.ips["web"]
    assert lab.define("web", name="other").ip != box.ip


@one_backend
@pytest.mark.parametrize("step", ["disconnect-container", "write-network", "set-gateway", "sort-leases"])
def test_killed_while_addresses_are_taken(lab, step):
    lab.network("web")
    box = lab.container("web")
    killed(lambda observer: lab.network("web", "10.77.0.0/24", force=True, observer=observer), step, "done")
    shown = describe(lab.paths, attach.load(lab.paths, "web"))["Containers"]
    assert shown.get(box.id, {}).get("IPv4Address", box.ip).startswith(box.ip)
    lab.network("web", "10.77.0.0/24", force=True)
    assert names(lab.network("web", "10.77.0.0/24")) == []
    assert attach.lease(lab.paths, attach.load(lab.paths, "web"), box.id) == ("10.77.0.2", "")


@one_backend
def test_records_of_containers_that_make_no_sense(lab):
    """In doubt an address stays with its container."""
    lab.network("web")
    boxes = [lab.define("web", name=f"box{number}") for number in range(4)]
    for box, text in zip(boxes, ["{", "[]", '{"networks": []}', '{"networks": {"web": {"ipv4": "10.213.0.99"}}}']):
        Path(lab.paths.container_record(box.id)).write_text(text, encoding="ascii")
    assert attach.members(lab.paths, "web") == sorted(box.id for box in boxes[:3])


def killed(work, step: str, event: str) -> None:
    """Run in a child that dies at the event of the step, as by kill -9: nothing is cleaned up."""
    pid = os.fork()
    if pid == 0:
        try:
            work(lambda seen, at: os.kill(os.getpid(), 9) if (seen, at.name) == (event, step) else None)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


@one_backend
def test_unreadable_record(lab):
    lab.network("web", "10.20.0.0/24")
    lab.network("other")
    Path(lab.paths.network_record("web")).write_text("{", encoding="ascii")
    assert names(lab.network("other")) == []
    assert names(lab.network("web")) == ["set-record-aside", "write-network"]
    assert attach.load(lab.paths, "web").spec.subnet4 == "10.20.0.0/24", "as its bridge says"
    Path(lab.paths.network_record("web")).write_text("{", encoding="ascii")
    remove(lab.paths, "web")
    assert not os.path.exists(lab.paths.network("web"))


@one_backend
def test_missing_programs_and_libraries(lab, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyroute2", None)
    before = lab.snapshot()
    with pytest.raises(HostLacks, match=r"python3-pyroute2.*mini_host"):
        lab.network("web")
    assert lab.snapshot() == before
    monkeypatch.undo()
    monkeypatch.setattr("ansible_collections.mini.containers.plugins.module_utils.network.command.SEARCH_PATH", "/none")
    with pytest.raises(HostLacks, match="nft is missing.*install the package nftables"):
        lab.network("web")
    monkeypatch.undo()
    assert lab.snapshot() == before


@pytest.mark.parametrize("backend", ["iptables-legacy"], indirect=True)
def test_xtables_lock_is_named(lab, monkeypatch):
    """The other kind takes no lock."""
    monkeypatch.setattr(iptables, "LOCK_WAIT", 1)
    import fcntl

    with open("/run/xtables.lock", "w", encoding="ascii") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(Busy, match=rf"xtables lock \(/run/xtables.lock\) is held by process {os.getpid()}"):
            lab.network("web")
    lab.network("web")


@with_iptables
def test_rules_changed_by_another_program_in_between(lab, monkeypatch):
    """The transaction is refused, because a rule it deletes is gone; a new look is taken."""
    lab.network("web")
    sh("iptables -D MINI-IN 2")
    listed = iptables.Iptables.observe
    looks = []

    def observe(self, *args):
        present = listed(self, *args)
        looks.append(1)
        if len(looks) == 2:
            sh("iptables -F MINI-IN")
        return present

    monkeypatch.setattr(iptables.Iptables, "observe", observe)
    assert names(lab.network("web")) == ["install-rules"]
    monkeypatch.undo()
    assert names(lab.network("web")) == []


@one_backend
def test_fifty_processes_get_fifty_addresses(lab):
    lab.network("web", enable_ipv6=True)
    go = os.pipe()
    children = []
    for number in range(50):
        pid = os.fork()
        if pid == 0:
            try:
                os.close(go[1])
                os.read(go[0], 1)
                box = lab.define("web", name=f"box{number}")
                if number % 5 == 0:  # some go at once
                    lab.discard(box)
                    box = lab.define("web", name=f"box{number}")
                Path(f"/run/lab/{number}").write_text(json.dumps(box.ips), encoding="ascii")
            finally:
                os._exit(0)
        children.append(pid)
    for end in go:
        os.close(end)
    for pid in children:
        os.waitpid(pid, 0)
    given = [json.loads(Path(f"/run/lab/{number}").read_text(encoding="ascii"))["web"] for number in range(50)]
    assert len({ip for ips in given for ip in ips}) == 100
    assert len(attach.members(lab.paths, "web")) == 50


@one_backend
def test_networks_made_at_once_get_different_subnets(lab):
    found = []
    threads = [threading.Thread(target=lambda n=n: found.append(lab.network(f"n{n}"))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({outcome.network["IPAM"]["Config"][0]["Subnet"] for outcome in found}) == 8


def test_nothing_to_do_is_cheap(lab):
    """No pyroute2, one command."""
    lab.network("web")
    pid = os.fork()
    if pid == 0:
        root = next(path for path in sys.path if os.path.isdir(f"{path}/ansible_collections/mini/containers"))
        os.execv("/usr/bin/python3", ["python3", "-B", "-c", NO_CHANGE.format(path=root)])
    assert os.waitpid(pid, 0)[1] == 0


NO_CHANGE = """
import sys
sys.path.insert(0, {path!r})
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.core.specs.network import NetworkSpec
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.converge import ensure
from ansible_collections.mini.containers.plugins.module_utils.network import command
calls = []
real = command.subprocess.run
command.subprocess.run = lambda *args, **kw: calls.append(args) or real(*args, **kw)
outcome = ensure(Paths("/run/lab/state", "/run/lab/run"), NetworkSpec("web"), frozenset())
sys.exit(bool(outcome.plan) or "pyroute2" in sys.modules or len(calls) > 1)
"""
