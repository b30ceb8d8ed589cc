# SPDX-License-Identifier: GPL-3.0-or-later
"""The site on a stock Debian 12: its own kernel, systemd, cgroup v2."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from vm_guest import Guest
from vm_play import PLAYBOOKS, REPOSITORY, SITE, play

UNIT = "mini-containers@var-lib-mini.service"
# Elements of a map come in any order.
RULES = "nft -s list ruleset | tr , '\\n' | sed 's/elements =//' | tr -d ' \\t{}' | sort"
PROCESSES = "cat /sys/fs/cgroup/mini/*/cgroup.procs"
# Everything that must be as before when the site is gone.
TRACES = """
ip -o link | cut -d: -f2
nft list tables
cat /proc/sys/net/ipv4/ip_forward
find /var/lib/mini* /run/mini* /sys/fs/cgroup/mini -maxdepth 0 2>/dev/null
find /etc/systemd/system -name 'mini-*'
systemctl list-units --all --plain --no-legend 'mini-*'
grep mini /proc/self/mountinfo
grep -ls '[m]ini/runtime' /proc/[0-9]*/cmdline
true
"""


@pytest.fixture(scope="module", autouse=True)
def traces(guest: Guest) -> str:
    """What there is before the first test."""
    return guest.read(TRACES)


def records(guest: Guest) -> dict[str, Any]:
    """The records of all containers by name, as they are on the disk."""
    texts = guest.read("for path in /var/lib/mini/container/*/record.json; do tr -d '\\n' < $path; echo; done")
    found = [json.loads(line) for line in texts.splitlines()]
    return {record["name"]: record for record in found}


def test_the_site_converges_and_a_second_run_changes_nothing(guest: Guest) -> None:
    assert guest.read("stat -fc %T /sys/fs/cgroup") == "cgroup2fs"
    assert play(guest, SITE) > 0
    assert play(guest, SITE) == 0


def test_the_published_port_answers_outside(guest: Guest) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{guest.published}/", timeout=60) as answer:
        assert answer.read() == b"Hello from a container.\n"


def test_limits(guest: Guest) -> None:
    play(guest, PLAYBOOKS / "limits.yml")


def test_a_profile_of_apparmor(guest: Guest) -> None:
    play(guest, PLAYBOOKS / "apparmor.yml")


def test_the_runtime_by_itself(guest: Guest, tmp_path: Path) -> None:
    command = tmp_path / "mini-oci"
    subprocess.run([sys.executable, str(REPOSITORY / "tools" / "make_runtime.py"), str(command)], check=True)
    play(guest, PLAYBOOKS / "runtime.yml", "-e", f"command={command}")


def test_the_end_of_a_session_is_not_the_end_of_its_containers(guest: Guest) -> None:
    """systemd kills what is in the cgroup of a session: the stray process shows that it does so here."""
    log = f"/var/lib/mini/container/{records(guest)['limited']['id']}/log"
    before = guest.read(PROCESSES)
    stray = guest.read("setsid sleep 1000000 > /dev/null 2>&1 & echo $!")
    assert guest.read(f"cat /proc/{stray}/comm") == "sleep"
    guest.ssh(
        "loginctl list-sessions --no-legend | while read id rest; do loginctl terminate-session $id; done", check=False
    )
    deadline = time.monotonic() + 60
    while guest.ssh(f"test -e /proc/{stray}", check=False).returncode != 1:
        assert time.monotonic() < deadline
        time.sleep(1)
    size = int(guest.read(f"stat -c %s {log}"))
    assert guest.read(PROCESSES) == before
    time.sleep(5)
    assert int(guest.read(f"stat -c %s {log}")) > size


def test_the_unit(guest: Guest) -> None:
    """It ends nothing when it stops, and puts back what others have flushed."""
    assert guest.read(f"systemctl is-active {UNIT}") == "active"
    assert guest.read(f"systemd-analyze verify {UNIT} 2>&1") == ""
    before, rules = guest.read(PROCESSES), guest.read(RULES)
    guest.ssh(f"systemctl stop {UNIT}")
    assert guest.read(PROCESSES) == before
    guest.ssh(f"systemctl start {UNIT}")
    guest.ssh("nft flush ruleset")
    assert guest.read(RULES) != rules
    guest.ssh(f"systemctl reload {UNIT}")
    assert guest.read(RULES) == rules
    assert guest.read(PROCESSES) == before


def test_a_power_cut(guest: Guest) -> None:
    """What a task has reported as done is on the disk, however soon the power fails; and what should run, runs."""
    play(guest, PLAYBOOKS / "late.yml")
    before = records(guest)
    guest.power_cut()
    guest.power_on()
    wait_for_the_unit(guest)
    test_the_published_port_answers_outside(guest)
    assert records(guest) == before
    play(guest, PLAYBOOKS / "what_runs.yml")
    assert play(guest, SITE) == 0


def test_a_shutdown(guest: Guest) -> None:
    """Containers are asked to end, and come back."""
    play(guest, PLAYBOOKS / "late.yml")
    log = f"/var/lib/mini/container/{records(guest)['late']['id']}/log"
    assert "told" not in guest.read(f"cat {log}")
    guest.shut_down()
    guest.power_on()
    wait_for_the_unit(guest)
    test_the_published_port_answers_outside(guest)
    assert "told" in guest.read(f"tail -n 1 {log}")


def wait_for_the_unit(guest: Guest) -> None:
    """It may still be at work when the guest answers."""
    deadline = time.monotonic() + 120
    while guest.ssh(f"systemctl is-active {UNIT}", check=False).stdout.strip() != "active":
        assert time.monotonic() < deadline, guest.read(f"journalctl --no-pager -b -u {UNIT}")
        time.sleep(2)


def test_nothing_is_left(guest: Guest, traces: str) -> None:
    play(guest, PLAYBOOKS / "absent.yml")
    play(guest, SITE, "-e", "mini_stack_state=absent")
    assert guest.read(TRACES) == traces
