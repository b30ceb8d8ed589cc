# SPDX-License-Identifier: GPL-3.0-or-later
"""The freezer and groups within groups, in both versions of cgroups that the kernel has mounted."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.linux.cgroups.detect import hierarchies
from ansible_collections.mini.containers.plugins.module_utils.linux.cgroups.v1 import CgroupV1
from ansible_collections.mini.containers.plugins.module_utils.linux.cgroups.v2 import CgroupV2
from ansible_collections.mini.containers.plugins.module_utils.linux.mountinfo import mounts

from .waiting import eventually, stays


@pytest.fixture(params=[1, 2])
def cgroup(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A cgroup of the version, with the freezer; another one than any container's."""
    path = f"/mini-test-{os.getpid()}"
    if request.param == 1:
        found = {mount: options for mount, options in hierarchies().v1.items() if "freezer" in options}
        made: Any = CgroupV1(found, path) if found else None
    else:
        targets = [entry.target for entry in mounts("/proc/self/mountinfo") if entry.fstype == "cgroup2"]
        made = CgroupV2(targets[0], path) if targets else None
    if made is None:
        pytest.skip(f"cgroup v{request.param} is not mounted here, or has no freezer")
    for directory in made.directories:
        os.mkdir(directory)
    yield made
    made.remove()


@pytest.fixture
def counter(tmp_path: Any) -> Iterator[Any]:
    """A process that makes a file grow."""
    process = subprocess.Popen(["sh", "-c", f"while :; do echo x >> {tmp_path}/count; sleep 0.02; done"])
    yield process
    process.kill()
    process.wait()


def _join(cgroup: Any, pid: int) -> None:
    for path in cgroup.join_files():
        with open(path, "w") as handle:
            handle.write(str(pid))


def _size(tmp_path: Any) -> int:
    path = tmp_path / "count"
    return int(path.stat().st_size) if path.exists() else 0


def test_frozen_and_on_again(cgroup: Any, counter: Any, tmp_path: Any) -> None:
    _join(cgroup, counter.pid)
    assert not cgroup.frozen()
    cgroup.freeze(frozen=True)
    assert cgroup.frozen()
    before = _size(tmp_path)
    stays(lambda: _size(tmp_path) == before, 0.3)
    cgroup.freeze(frozen=False)
    assert not cgroup.frozen()
    eventually(lambda: _size(tmp_path) > before)
    counter.kill()
    counter.wait()


def test_a_group_within_the_group(cgroup: Any, counter: Any) -> None:
    """Its processes are told from the others, and are the whole's all the same."""
    other = subprocess.Popen(["sleep", "1000"])
    _join(cgroup, other.pid)
    inner = cgroup.inner("health")
    assert cgroup.inner("health").directories == inner.directories
    _join(inner, counter.pid)
    assert counter.pid in inner.processes()
    assert other.pid not in inner.processes()
    assert {counter.pid, other.pid} <= set(cgroup.processes())
    cgroup.freeze(frozen=True)
    assert cgroup.frozen()
    cgroup.freeze(frozen=False)
    for process in (counter, other):
        process.kill()
        process.wait()


def test_what_is_not_there_is_not_frozen() -> None:
    for kind in (CgroupV1({"/nowhere": "freezer"}, "/x"), CgroupV1({}, "/x"), CgroupV2("/nowhere", "/x")):
        assert not kind.frozen()
