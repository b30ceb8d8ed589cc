# SPDX-License-Identifier: GPL-3.0-or-later
"""One network over three hosts: who reaches whom, by address and name, and what happens when hosts come and go."""

from __future__ import annotations

import pytest

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


@pytest.fixture
def mesh(lan, play):
    """The network, with a web server on each host."""
    play(BOOK)
    yield lan
    play(BOOK, mini_stack_state="absent")


def fetch(fleet, host: str, name: str) -> str:
    """A page that the container of a host gets from another; empty when there is none."""
    pid = fleet.on(host, "pgrep -of 'httpd -f'").strip()
    wget = f"timeout 3 nsenter -t {pid} -n chroot /proc/{pid}/root /bin/wget -q -O - http://{name}/"
    return fleet.on(host, f"{wget} || true").strip()


def test_by_name_and_address(mesh, play):
    for host in mesh.names:
        for other in mesh.names:
            assert fetch(mesh, host, f"web-{other}") == f"web-{other}"
    assert fetch(mesh, "h1", "10.50.12.2") == "web-h2"
    assert fetch(mesh, "h1", "web.h3") == "web-h3"
    assert play(BOOK).changed == []
