# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks on a process that comes into a running container: it is met by those that are there already.

Each test fails without its defence: that was tried by taking it away.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.execute import Talk

from .waiting import eventually

ROUNDS = 60
WATCHER = """
granted=$(grep CapBnd /proc/self/status)
granted=${granted##*[!0-9a-f]}
echo watching > /ready
while :; do
  for process in /proc/[0-9]*; do
    test -e $process/root$0 && echo host $process >> /caught
    while read -r name value; do
      case $name in
        Cap[PEB]*) test $((0x$value & ~0x$granted)) = 0 || echo $name $value >> /caught ;;
        Seccomp:) test $value = 2 || echo $name $value >> /caught ;;
      esac
    done < $process/status
  done
done 2> /dev/null
"""


def _execs(host: Any, **options: Any) -> None:
    for _round in range(ROUNDS):
        assert host.exec("c", "true", **options).rc == 0


def _probes(host: Any) -> None:
    done = Path(f"/proc/{host.pid()}/root/probes")
    eventually(lambda: done.exists() and len(done.read_bytes()) >= ROUNDS)


@pytest.mark.parametrize("no_new_privs", [False, True])
@pytest.mark.parametrize(
    "join",
    [_execs, lambda host: _execs(host, talk=Talk(tty=True)), _probes],
    ids=["exec", "terminal", "health"],
)
def test_who_may_trace_meets_nobody_with_more_than_its_own(
    host: Any, tmp_path: Path, join: Callable[[Any], None], no_new_privs: bool
) -> None:
    """With CAP_SYS_PTRACE every process of the pid namespace is one's own, with its root, its rights and its calls."""
    canary = tmp_path / "canary"
    canary.touch()
    host.container(
        command=["sh", "-c", WATCHER, str(canary)],
        capabilities=["SYS_PTRACE"],
        no_new_privs=no_new_privs,
        healthcheck={"test": ["CMD-SHELL", "printf x >> /probes"], "interval": "10ms"},
    )
    inside = Path(f"/proc/{host.pid()}/root")
    eventually((inside / "ready").exists)
    join(host)
    caught = inside / "caught"
    assert not caught.exists(), caught.read_text()
    host.absent("c")
