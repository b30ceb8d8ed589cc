# SPDX-License-Identifier: GPL-3.0-or-later
"""One network over three hosts: who reaches whom, by address and name, and what happens when hosts come and go."""

from __future__ import annotations

import pytest

from ..kernel.waiting import eventually

BOOK = """
- hosts: mini_hosts
  gather_facts: false
  roles: [mini.containers.mini_stack]
  vars:
    mini_stack_networks:
      - {name: mesh, driver: vxlan, ipam_config: [{subnet: 10.50.0.0/16}, {subnet: "fd00:50::/64"}]}
    mini_stack_images: [{name: box, src: /srv/box, env: {PATH: /bin}}]
    mini_stack_containers:
      - name: "web-{{ inventory_hostname }}"
        image: box
        command: [sh, -c, 'hostname > /www/index.html; exec httpd -f -h /www']
        networks: [{name: mesh, aliases: [web]}]
        stop_signal: KILL
"""


@pytest.fixture(scope="module")
def mesh(fleet, play):
    """The network, with a web server on each host."""
    play(BOOK)
    yield fleet
    play(BOOK, mini_stack_state="absent")


def fetch(fleet, host: str, name: str) -> str:
    """A page that the container of a host gets from another; empty when there is none."""
    pid = fleet.on(host, "pgrep -of 'httpd -f'").strip()
    wget = f"timeout 3 nsenter -t {pid} -n chroot /proc/{pid}/root /bin/wget -q -O - http://{name}/"
    return fleet.on(host, f"{wget} || true").strip()


def device(fleet, host: str) -> str:
    """What the VXLAN device is called."""
    return fleet.on(host, "basename /sys/class/net/vx-*").strip()


def test_by_name_and_address(mesh, play):
    for host in mesh.names:
        for other in mesh.names:
            assert fetch(mesh, host, f"web-{other}") == f"web-{other}"
    assert fetch(mesh, "h1", "10.50.12.2") == "web-h2"
    assert fetch(mesh, "h1", "[fd00:50:0:0:d00::2]") == "web-h3"
    assert fetch(mesh, "h2", "web.h3") == "web-h3"
    assert "src=10.50.11.2 dst=10.50.12.2" in mesh.on("h2", "conntrack -L 2>/dev/null"), "as who they are"
    assert play(BOOK).changed == []


def test_what_is_lost_is_put_back(mesh, play):
    one, two = device(mesh, "h1"), device(mesh, "h2")
    mesh.on(
        "h1", f"ip route del 10.50.12.0/24; ip neigh del 10.50.13.1 dev {one}; ip route del unreachable 10.50.0.0/16"
    )
    mesh.on(
        "h1",
        f"bridge fdb del 02:76:0a:32:0d:01 dev {one}; bridge fdb append 02:76:0a:32:0c:01 dev {one} dst 192.0.2.99",
    )
    mesh.on("h2", f"ip link del {two}")
    assert [fetch(mesh, "h1", name) for name in ("web-h2", "web-h3")] == ["", ""]
    assert play(BOOK).changed == [
        "mini.containers.mini_stack : Networks on h1",
        "mini.containers.mini_stack : Networks on h2",
    ]
    assert [fetch(mesh, "h1", name) for name in ("web-h2", "web-h3")] == ["web-h2", "web-h3"]
    assert "192.0.2.99" not in mesh.on("h1", "bridge fdb")


def received(fleet, host: str) -> int:
    """The packets that came to a host through the network."""
    return int(fleet.on(host, "cat /sys/class/net/vx-*/statistics/rx_packets"))


def test_who_is_not_there_is_asked_for_nowhere(mesh):
    before = received(mesh, "h3")
    assert [fetch(mesh, "h1", address) for address in ("10.50.12.99", "10.50.77.2", "10.50.255.255")] == ["", "", ""]
    assert received(mesh, "h3") == before


def test_what_is_large_goes_through_whole(mesh):
    page = "/proc/$(pgrep -of 'httpd -f')/root/www/large"
    digest = mesh.on("h2", f"dd if=/dev/urandom of={page} bs=1M count=4 status=none; sha256sum < {page}")
    pid = mesh.on("h1", "pgrep -of 'httpd -f'").strip()
    wget = f"nsenter -t {pid} -n chroot /proc/{pid}/root /bin/wget -q -O -"
    assert mesh.on("h1", f"{wget} http://web-h2/large | sha256sum") == digest
    assert [mesh.on(name, "nstat -asz IpFragCreates | tail -n 1").split()[1] for name in ("h1", "h2")] == ["0", "0"]


def test_a_host_is_cut_off_and_comes_back(mesh, play):
    mesh.cut("h3")
    assert fetch(mesh, "h1", "web-h3") == ""
    assert fetch(mesh, "h1", "web-h2") == "web-h2", "the others do not notice"
    played = play(BOOK, fails=True)
    assert {name: stats["unreachable"] for name, stats in played.stats.items()} == {"h1": 0, "h2": 0, "h3": 1}
    assert played.changed == []
    mesh.mend("h3")
    eventually(lambda: fetch(mesh, "h1", "web-h3") == "web-h3")
    assert fetch(mesh, "h3", "web-h1") == "web-h1"


def test_a_host_is_lost_and_comes_back(mesh, play):
    mesh.lose("h2")
    assert fetch(mesh, "h1", "web-h3") == "web-h3"
    mesh.boot("h2")
    assert {task.rpartition(" on ")[2] for task in play(BOOK).changed} == {"h2"}
    assert fetch(mesh, "h1", "web-h2") == "web-h2"
    assert fetch(mesh, "h2", "web-h3") == "web-h3"


def test_a_host_fewer_and_more(mesh, play, tmp_path):
    fewer = tmp_path / "fewer.yml"
    fewer.write_text("fewer: {hosts: {h1: , h2: }}")
    left = play(BOOK, "-i", str(fewer), "--limit", "h1,h2", mini_stack_group="fewer")
    assert {task.rpartition(" : ")[2] for task in left.changed} == {"Networks on h1", "Networks on h2"}
    assert fetch(mesh, "h1", "web-h2") == "web-h2"
    assert fetch(mesh, "h1", "10.50.13.2") == ""
    assert "h3" not in mesh.on("h1", "cat /var/lib/mini/container/*/hosts")
    play(BOOK)
    assert fetch(mesh, "h1", "web-h3") == "web-h3"


def test_what_comes_from_another_host_is_not_sent_on(mesh):
    """One host of the network cannot use another as its router."""
    one, two, beyond = device(mesh, "h1"), device(mesh, "h2"), "198.51.100.9"
    ping = f"busybox ping -c 1 -W 1 {beyond} > /dev/null && echo answered || true"
    mesh.on_lan(f"ip address add {beyond}/32 dev lan0; ip route add 10.50.11.0/24 via {mesh.address('h2')}")
    mesh.on("h1", f"ip route add {beyond} via 10.50.12.1 dev {one} onlink src 10.50.11.1")
    assert mesh.on("h2", ping) == "answered\n"
    assert mesh.on("h1", ping) == ""
    for rules in ("out", "into"):  # the way there, and the way back
        mesh.on("h2", f"nft delete element inet mini {rules} {{ {two} }}")
    assert mesh.on("h1", ping) == "answered\n", "without the rules it was"
    mesh.on("h1", f"ip route del {beyond}")
    mesh.on_lan(f"ip address del {beyond}/32 dev lan0; ip route del 10.50.11.0/24")


def test_the_hosts_reach_each_other_by_ipv6(mesh, play):
    """The containers stay where they are, and what runs goes on."""
    by = {
        "mini_stack_address": "{{ '2001:db8::' ~ (10 + inventory_hostname[1:] | int) }}",
        "mini_stack_slice": "{{ 10 + inventory_hostname[1:] | int }}",
    }
    before = mesh.on("h1", "pgrep -of 'httpd -f'")
    play(BOOK, **by)
    assert fetch(mesh, "h1", "web-h2") == "web-h2"
    assert "local 2001:db8::11 " in mesh.on("h1", "ip -d link show type vxlan")
    assert "mtu 1430" in mesh.on("h1", "ip link show type vxlan")
    assert mesh.on("h1", "pgrep -of 'httpd -f'") == before
