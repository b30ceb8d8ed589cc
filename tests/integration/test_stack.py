# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles on several hosts over ssh: built, again without a change, damaged and repaired, torn down."""

from __future__ import annotations

import urllib.request

BOOK = """
- hosts: mini_hosts
  gather_facts: false
  roles:
    - role: mini.containers.mini_host
      when: mini_stack_state | default('present') == 'present'
    - role: mini.containers.mini_stack
  vars:
    mini_host_manage_packages: false
    mini_stack_networks: [{name: site}]
    mini_stack_images: [{name: box, src: /srv/box, env: {PATH: /bin}}]
    mini_stack_containers:
      - name: web
        image: box
        command: [sh, -c, 'hostname > /www/index.html; exec httpd -f -h /www']
        hostname: "web.{{ inventory_hostname }}"
        networks: [{name: site}]
        published_ports: ["8080:80"]
        stop_signal: KILL
        healthcheck: {test: wget -q -O /dev/null http://127.0.0.1/, interval: 200ms}
        state: healthy
"""


def page(address: str) -> str:
    """What a host's published port answers."""
    with urllib.request.urlopen(f"http://{address}:8080/", timeout=10) as answer:
        return answer.read().decode().strip()


def test_the_same_site_on_every_host(lan, play):
    first = play(BOOK)
    assert all(stats["changed"] and not stats["failures"] for stats in first.stats.values())
    assert [page(lan.address(name)) for name in lan.names] == [f"web.{name}" for name in lan.names]

    assert play(BOOK).changed == []

    lan.on("h2", "nft flush map inet mini any4")
    assert play(BOOK).changed == ["mini.containers.mini_stack : Containers on h2"]
    assert page(lan.address("h2")) == "web.h2"

    play(BOOK, mini_stack_state="absent")
    left = "find /var/lib/mini /run/mini -mindepth 1 2>/dev/null || true; nft list tables | grep mini || true"
    assert [lan.on(name, left) for name in lan.names] == ["", "", ""]
