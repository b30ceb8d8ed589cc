# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks on what a container may do: capabilities that a task hands on, its own cgroup, programs of the host.

Each test fails without its defence: that was tried by taking it away.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.engine.containers import firstborn
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.waiting import wait
from ansible_collections.mini.containers.plugins.module_utils.linux import capabilities

from .conftest import BUSYBOX
from .waiting import eventually

VFS_CAP_EFFECTIVE_V2 = 0x02000001  # <linux/capability.h>: VFS_CAP_REVISION_2 with the bit that raises them at once


@pytest.fixture
def generous() -> Iterator[None]:
    """A session that hands its capabilities on, as pam_cap or a container around us may have it."""
    everything = capabilities.mask(capabilities.available())
    capabilities.limit_to(everything, everything, everything, everything)
    yield
    capabilities.limit_to(everything, everything)


@pytest.mark.usefixtures("generous")
@pytest.mark.parametrize("way", ["start", "exec"])
def test_a_file_asks_for_capabilities_that_the_caller_hands_on(host: Any, way: str) -> None:
    """CVE-2022-24769, CVE-2022-29162: what is in the inheritable set of the process and of the file is granted."""
    attack = ["grep", "^Cap[IPEA]", "/proc/self/status"]
    host.container(state="present", user="alice", command=attack if way == "start" else "sleep 1000")
    program = Path(host.paths.container(host.record().id, "upper"), "bin", "grep")
    program.parent.mkdir(exist_ok=True)
    shutil.copy2(BUSYBOX, program)
    wanted = capabilities.mask(capabilities.DEFAULT)
    value = struct.pack("<5I", VFS_CAP_EFFECTIVE_V2, 0, wanted & 0xFFFFFFFF, 0, wanted >> 32)
    os.setxattr(program, "security.capability", value)
    host.container()
    said = wait(host.paths, host.record()).stdout if way == "start" else host.exec("c", *attack).stdout.decode()
    assert [line.split()[1] for line in said.splitlines()] == ["0" * 16] * 4
    host.absent("c")


@pytest.mark.usefixtures("generous")
def test_what_the_caller_hands_on_is_not_handed_on_to_root(host: Any) -> None:
    """Nor are the ambient ones, which survive the execution of any program."""
    script = "grep ^Cap /proc/self/status"
    found = dict(line.split() for line in host.run(["sh", "-c", script]).stdout.splitlines())
    granted = f"{capabilities.mask(capabilities.DEFAULT):016x}"
    assert found == {
        "CapInh:": "0" * 16,
        "CapAmb:": "0" * 16,
        **dict.fromkeys(("CapPrm:", "CapEff:", "CapBnd:"), granted),
    }


def test_the_program_that_comes_with_init_cannot_be_written(host: Any) -> None:
    """CVE-2019-5736 once more: it is a file of the host's, and runs as the container's first process."""
    program = firstborn.program()
    assert program, "the tests need tini-static, docker-init or catatonit (Debian: tini)"
    before = Path(program).read_bytes()
    host.container(init=True)
    for path in ("/proc/1/exe", firstborn.PLACE):
        # To be busy (ETXTBSY) would be no answer: that ends with the last process of the program.
        assert "Read-only file system" in host.exec("c", "sh", "-c", f": > {path}").stderr.decode()
        assert host.exec("c", "sh", "-c", f"mount -o remount,rw,bind {path}; umount {path}; rm {path}").rc != 0
    assert Path(program).read_bytes() == before
    host.absent("c")


CGROUP_ATTACK = """
for d in /sys/fs/cgroup /sys/fs/cgroup/*; do
  test -d $d || continue
  mkdir $d/mine && echo made $d
  for f in release_agent notify_on_release cgroup.procs pids.max memory.max memory.limit_in_bytes devices.allow; do
    test -e $d/$f && (echo 1 > $d/$f) && echo wrote $d/$f
  done
done 2>/dev/null
echo end
"""


@pytest.mark.parametrize("userns_mode", ["host", "private"])
@pytest.mark.parametrize("way", ["start", "exec"])
def test_its_own_cgroup_is_not_its_own_to_change(host: Any, way: str, userns_mode: str) -> None:
    """CVE-2022-0492: a release_agent is run by the kernel as root of the host. Nor may it lift its own limits."""
    command = CGROUP_ATTACK if way == "start" else "sleep 1000"
    host.container(command=["sh", "-c", f"({command}) > /said; sleep 1000"], userns_mode=userns_mode)
    if way == "exec":
        assert host.exec("c", "sh", "-c", CGROUP_ATTACK).stdout == b"end\n"
    else:
        said = Path(f"/proc/{host.pid()}/root/said")
        eventually(lambda: said.exists() and "end" in said.read_text())
        assert said.read_text() == "end\n"
    host.absent("c")
