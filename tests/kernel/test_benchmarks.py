# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench` in its short form: the table has its rows, and nothing is left. What the figures are is not judged."""

from __future__ import annotations

import glob
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ansible_collections.mini.containers.benchmarks import table
from ansible_collections.mini.containers.benchmarks.samples import Samples, part

from .waiting import PATIENCE, eventually

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
COMMAND = [sys.executable, str(BENCHMARKS), "--quick"]
MEASURED = (
    "create and start, network and a port",
    "create and start, no network",
    "exec true",
    "stop and remove, network and a port",
    "start, network and a port",
    "one container",
    "create and start, the last",
    "memory (PSS) of each, the last",
    "in an empty /24",
    "in a /64 with 60000 leases",
    "nftables, the last of 5000",
    "from a sibling",
    "from the host",
    "160 MB in 20000 files, gzip",
    "memory, more than before",
    "an empty module",
    "mini_container, nothing to do",
    "mini_container, create and start",
    "mini_container, remove",
    "alone",
)
LEFT_OUT = ("crun", "runc", "podman", "docker", "docker-module", "podman-module")


def _left() -> list[str]:
    """Directories and cgroups of a benchmark."""
    found = glob.glob(f"{tempfile.gettempdir()}/mini-bench-*") + glob.glob("/sys/fs/cgroup/**/mini-bench-*")
    return sorted(found)


def _row(table: str, label: str) -> list[str]:
    """The words behind the label, in the first row that has it."""
    found = re.search(rf"^ *{re.escape(label)}  +(.*)", table, re.MULTILINE)
    assert found, label
    return found[1].split()


def test_the_table_has_its_rows() -> None:
    before = _left()
    done = subprocess.run(COMMAND, capture_output=True, text=True, check=False, timeout=20 * PATIENCE)
    assert done.returncode == 0, done.stderr
    for label in MEASURED:
        count, median, unit, *_rest = _row(done.stdout, label)
        assert int(count) >= 2
        assert float(median) > 0
        assert unit in ("ms", "MB")
    for label in LEFT_OUT:
        assert _row(done.stdout, label) == ["left", "out", "by", "--quick"]
    assert done.stdout.count("MISSED") + done.stdout.count(" met") >= 6
    eventually(lambda: _left() == before)


def test_what_is_missed_says_where_it_goes() -> None:
    samples = Samples()
    for key, figure in (("mini loop-run", 40.0), ("crun loop-run", 50.0), ("mini list-run", 14.0)):
        samples.add(key, figure)
        for name, spent in (("start", figure / 2), ("publish", figure / 4), ("connect", figure / 8)):
            samples.add(part(key, name), spent)
    found = table.render(samples, 20)
    assert "MISSED" in found
    assert found.count("of that") == 1
    assert "\n    of that: start 20.0, publish 10.0, connect 5.0\n" in found


def test_an_interrupted_run_leaves_nothing() -> None:
    before = _left()
    with subprocess.Popen(COMMAND, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        eventually(lambda: [path for path in _left() if path not in before and "/sys/" in path])
        time.sleep(2)  # in the middle of it, wherever that is
        running.send_signal(signal.SIGINT)
        assert running.wait(2 * PATIENCE) != 0
    eventually(lambda: _left() == before)
