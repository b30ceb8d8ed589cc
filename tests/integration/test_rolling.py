# SPDX-License-Identifier: GPL-3.0-or-later
"""An update of all hosts under load: no request is lost, and a version that is not healthy comes no further than h1."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from ..kernel.waiting import eventually
from .conftest import REPOSITORY

ROLLING = REPOSITORY / "playbooks" / "rolling.yml"
STACK = """
mini_stack_networks: [{name: site}]
mini_stack_images: [{name: box, src: /srv/box, env: {PATH: /bin}}]
mini_stack_containers:
  - name: web
    image: box
    command: [sh, -c, 'mkdir -p /www/cgi-bin; cp /bin/slow /www/cgi-bin/page; exec httpd -f -h /www']
    env: {VERSION: "VERSION"}
    networks: [{name: site}]
    published_ports: ["8080:80"]
    stop_signal: KILL
    healthcheck: {test: 'test "$VERSION" != broken', interval: 200ms, retries: 2, start_period: 0s}
    state: healthy
    healthy_wait_timeout: 5
rolling_grace: 2
rolling_drain: FRONT/drain.yml
rolling_restore: FRONT/restore.yml
"""
SLOW = "#!/bin/sh\nsleep 0.2\nprintf 'Content-Type: text/plain\\r\\n\\r\\n%s' \"$VERSION\"\n"
HOOK = """
- ansible.builtin.file: {path: 'FRONT/hosts/{{ inventory_hostname }}', state: STATE}
  delegate_to: localhost
"""


class Front:
    """What stands before the hosts: each request goes to the next one that takes any, once, and is not tried again."""

    def __init__(self, directory: Path, addresses: dict[str, str]) -> None:
        self.hosts = directory / "hosts"
        self.hosts.mkdir()
        self.addresses = addresses
        self.answers: Counter[str] = Counter()
        self.lost: list[str] = []
        self._turn = itertools.count()
        self._over = threading.Event()
        self._clients = [threading.Thread(target=self._ask_on) for _ in range(4)]
        for hook, state in (("drain", "absent"), ("restore", "touch")):
            text = HOOK.replace("FRONT", str(directory)).replace("STATE", state)
            (directory / f"{hook}.yml").write_text(text)

    def open(self) -> None:
        for client in self._clients:
            client.start()

    def close(self) -> None:
        self._over.set()
        for client in self._clients:
            client.join()

    def _ask_on(self) -> None:
        while not self._over.is_set():
            taking = sorted(path.name for path in self.hosts.iterdir())
            if taking:
                self._ask(taking[next(self._turn) % len(taking)])
            time.sleep(0.01)

    def _ask(self, host: str) -> None:
        connection = http.client.HTTPConnection(self.addresses[host], 8080, timeout=20)
        try:
            connection.request("GET", "/cgi-bin/page")
            answer = connection.getresponse()
            self.answers[f"{answer.status} {answer.read().decode()}"] += 1
        except (OSError, http.client.HTTPException) as exc:
            self.lost.append(f"{host}: {exc!r}")
        finally:
            connection.close()


@pytest.fixture
def front(lan, play, tmp_path):
    """The first version on all hosts, and clients that ask for it all the time."""
    for name in lan.names:
        lan.on(name, f"cat > /srv/box/bin/slow <<'END'\n{SLOW}END\nchmod +x /srv/box/bin/slow")
    made = Front(tmp_path, {name: lan.address(name) for name in lan.names})
    play(ROLLING, "-e", stack(tmp_path, "one"), rolling_batch="100%")
    made.open()
    yield made
    made.close()
    play(BOOK_ABSENT, "-e", stack(tmp_path, "one"))


BOOK_ABSENT = """
- hosts: mini_hosts
  gather_facts: false
  roles: [mini.containers.mini_stack]
  vars: {mini_stack_state: absent}
"""


def stack(front: Path, version: str) -> str:
    """The variables of a version, as an argument of ansible-playbook."""
    path = front / f"{version}.yml"
    path.write_text(STACK.replace('"VERSION"', version).replace("FRONT", str(front)))
    return f"@{path}"


def test_no_request_is_lost(front, play, tmp_path):
    updated = play(ROLLING, "-e", stack(tmp_path, "two"))
    changes = [where for where in updated.changed if "Containers" in where]
    assert changes, updated.output
    assert front.lost == []
    assert set(front.answers) == {"200 one", "200 two"}
    assert min(front.answers.values()) > 10

    failed = play(ROLLING, "-e", stack(tmp_path, "broken"), fails=True)
    assert [name for name, stats in failed.stats.items() if stats["failures"]] == ["h1"], "h2 and h3 are not touched"
    front.answers.clear()
    eventually(lambda: sum(front.answers.values()) > 20)
    assert sorted(path.name for path in front.hosts.iterdir()) == ["h2", "h3"], "who is not healthy gets no requests"
    assert set(front.answers) == {"200 two"}
    assert front.lost == []
