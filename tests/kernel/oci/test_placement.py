# SPDX-License-Identifier: GPL-3.0-or-later
"""What a process takes its machine for, where in it it runs, and whose the files of a mount are: mini-oci."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ONE_CPU = len(os.sched_getaffinity(0)) < 2
NUMA = pytest.mark.skipif(not os.path.exists("/proc/self/numa_maps"), reason="this kernel knows no memory nodes")
POLICY = "head -n 1 /proc/self/numa_maps | cut -d ' ' -f 2"


def _entered(bundle: Any, script: str) -> str:
    """What a further process says, in a container that only waits."""
    bundle.process["args"] = ["sleep", "1000"]
    bundle.ok("run", "--detach", "c1")
    said = bundle.ok("exec", "c1", "sh", "-c", script)
    bundle.ok("delete", "--force", "c1")
    return str(said)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="its other personality has another name elsewhere")
@pytest.mark.parametrize(("domain", "machine"), [("LINUX32", "i686\n"), ("LINUX", "x86_64\n")])
def test_a_personality(bundle: Any, domain: str, machine: str) -> None:
    """Also where the filter refuses to change it."""
    bundle.linux["personality"] = {"domain": domain, "flags": []}
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["personality"], "action": "SCMP_ACT_ERRNO"}],
    }
    assert bundle.run("uname -m") == machine
    assert _entered(bundle, "uname -m") == machine


@pytest.mark.skipif(shutil.which("setarch") is None, reason="needs setarch")
def test_the_callers_personality_is_not_handed_on(bundle: Any) -> None:
    """Without it addresses would not be random inside."""
    bundle.sh("cat /proc/self/personality")
    bundle.write("c1")
    words = ["setarch", "--addr-no-randomize", bundle.command, "--root", bundle.state_root, "run", "c1"]
    done = subprocess.run(words, cwd=bundle.directory, capture_output=True, text=True, check=True)
    assert int(done.stdout, 16) == 0


@NUMA
@pytest.mark.parametrize(
    ("policy", "shown"),
    [
        ({"mode": "MPOL_INTERLEAVE", "nodes": "0"}, "interleave:0"),
        ({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}, "bind=static:0"),
        ({"mode": "MPOL_PREFERRED", "nodes": "0", "flags": ["MPOL_F_RELATIVE_NODES"]}, "prefer=relative:0"),
        ({"mode": "MPOL_DEFAULT"}, "default"),
    ],
)
def test_a_policy_for_memory(bundle: Any, policy: dict[str, Any], shown: str) -> None:
    bundle.linux["memoryPolicy"] = policy
    assert bundle.run(POLICY).strip() == shown
    assert _entered(bundle, POLICY).strip() == shown


@pytest.mark.skipif(ONE_CPU, reason="needs two processors")
def test_the_processors_of_an_exec(bundle: Any) -> None:
    """They are no matter of the first process; what one exec says goes before what the bundle says."""
    first, second = sorted(os.sched_getaffinity(0))[:2]
    bundle.process["execCPUAffinity"] = {"initial": str(first), "final": str(second)}
    shown = "grep Cpus_allowed_list /proc/self/status | cut -f 2"
    assert bundle.run(shown).strip() not in (str(first), str(second))
    bundle.process["args"] = ["sleep", "1000"]
    bundle.ok("run", "--detach", "c1")
    assert bundle.ok("exec", "c1", "sh", "-c", shown).strip() == str(second)
    process = {"args": ["sh", "-c", shown], "cwd": "/", "env": ["PATH=/bin"]}
    path = bundle.directory / "process.json"
    for affinity, wanted in ((None, second), ({"final": str(first)}, first)):
        path.write_text(json.dumps({**process, "execCPUAffinity": affinity}))
        assert bundle.ok("exec", "--process", str(path), "c1").strip() == str(wanted)
    bundle.ok("delete", "--force", "c1")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda config: config["linux"].update(personality={"domain": "BSD"}), "no domain 'BSD'"),
        (lambda config: config["linux"].update(personality={"domain": "LINUX", "flags": ["X"]}), "no flag"),
        (lambda config: config["linux"].update(memoryPolicy={}), "invalid memory policy mode None"),
        (lambda config: config["linux"].update(memoryPolicy={"mode": "BIND"}), "invalid memory policy mode 'BIND'"),
        (
            lambda config: config["linux"].update(memoryPolicy={"mode": "MPOL_BIND", "nodes": "0", "flags": ["X"]}),
            "invalid memory policy flag 'X'",
        ),
        (
            lambda config: config["linux"].update(memoryPolicy={"mode": "MPOL_BIND", "nodes": "0-9876543210"}),
            "invalid memory policy nodes",
        ),
        (
            lambda config: config["linux"].update(memoryPolicy={"mode": "MPOL_DEFAULT", "nodes": "0-7"}),
            "mode requires 0 nodes but got 8",
        ),
        (lambda config: config["process"].update(execCPUAffinity={"initial": "x"}), "execCPUAffinity.initial: 'x'"),
        (
            lambda config: config["mounts"].append(
                {"destination": "/m", "source": "x", "options": ["bind"], "uidMappings": [_line(0, 1, 1)]}
            ),
            "uidMappings and gidMappings go together",
        ),
        (
            lambda config: config["mounts"].append({"destination": "/m", "type": "tmpfs", **_mapped(0, 1, 1)}),
            "only the files of a bind mount",
        ),
    ],
)
def test_what_there_is_not(bundle: Any, change: Any, text: str) -> None:
    change(bundle.config)
    done = bundle.call("run", "c1")
    assert (done.returncode, text in done.stderr) == (1, True), done.stderr


def _line(inside: int, outside: int, size: int) -> dict[str, int]:
    return {"containerID": inside, "hostID": outside, "size": size}


def _mapped(inside: int, outside: int, size: int) -> dict[str, Any]:
    """Users and, from one higher on the host, groups."""
    return {
        "uidMappings": [_line(inside, outside, size)],
        "gidMappings": [_line(inside, outside + 1, size)],
    }


@pytest.fixture
def files(bundle: Any) -> Iterator[Path]:
    """A directory with a file of user 100, and another file system in it with one of user 101."""
    directory = Path(bundle.directory / "files")
    (directory / "below").mkdir(parents=True)
    (directory / "one").touch()
    os.chown(directory / "one", 100, 100)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", directory / "below"], check=True)
    (directory / "below" / "two").touch()
    os.chown(directory / "below" / "two", 101, 101)
    yield directory
    subprocess.run(["umount", directory / "below"], check=True)


@pytest.mark.parametrize(
    ("option", "seen"),
    [("", "1000:1001 101:101"), ("idmap", "1000:1001 101:101"), ("ridmap", "1000:1001 1001:1002")],
)
def test_files_of_others(bundle: Any, files: Path, option: str, seen: str) -> None:
    """The same directory twice, once with others for owners; what is mounted below belongs to it only when asked."""
    options = ["rbind", option] if option else ["rbind"]
    bundle.mount("/mapped", "bind", files, *options)
    bundle.config["mounts"][-1].update(_mapped(100, 1000, 10))
    bundle.mount("/plain", "bind", files, "rbind")
    shown = bundle.run("stat -c %u:%g /mapped/one /mapped/below/two /plain/one; touch /mapped/three; exit 0")
    assert shown.split() == [*seen.split(), "100:100"]
    assert not (files / "three").exists(), "root is nobody's owner there"


def test_files_of_others_among_users_of_its_own(bundle: Any, files: Path) -> None:
    """What is on the disk is 0 and up inside, by a map that differs from the container's; who writes is on the disk."""
    bundle.linux["namespaces"].append({"type": "user"})
    for name in ("uidMappings", "gidMappings"):
        bundle.linux[name] = [_line(0, 200000, 65536)]
    for path in (bundle.rootfs, *bundle.rootfs.rglob("*")):
        os.chown(path, 200000, 200000, follow_symlinks=False)
    os.chown(files, 100, 99)
    bundle.mount("/mapped", "bind", files, "bind")
    bundle.config["mounts"][-1].update(uidMappings=[_line(100, 200000, 10)], gidMappings=[_line(99, 200000, 10)])
    assert bundle.run("stat -c %u:%g /mapped/one; touch /mapped/three").strip() == "0:1"
    made = (files / "three").stat()
    assert (made.st_uid, made.st_gid) == (100, 99)
