# SPDX-License-Identifier: GPL-3.0-or-later
"""All that a container sees of its confinement, kept as a table: it does not change unnoticed, whoever calls.

Where Docker is installed the same probe runs under it, and each difference is one that is listed here, with its reason.
`golden/probe.json` is written anew, to be read and judged, when MINI_GOLDEN=write is in the environment.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from confinement import Run, probe

GOLDEN = Path(__file__).parent / "golden" / "probe.json"
ENV = {"MINE": "yes"}
# Rows that differ between hosts for reasons of the host: memory, processors, their flaws, the limits root itself has.
OF_THE_HOST = re.compile(
    "dev core|limit (processes|pending signals|open files|locked memory)|(Cpus|Mems)_allowed_list|Spec|THP|CapBnd$"
)
# Rows that may be missing, as the kernel has not everything that is hidden: the path is behind the first blank.
HIDDEN = re.compile("mount (/proc/.|/sys/firmware|/sys/devices)")
# The row's name → why it is not Docker's. A name stands for all that it matches.
DIFFERENCES = {
    r"Cap(Eff|Prm|Bnd)": "Podman's shorter list: no AUDIT_WRITE, MKNOD, NET_RAW",
    "Groups": "the image's /etc/group counts for root, too, as in later versions of Docker",
    "cgroup": "a cgroup namespace on v1, too: the host's paths are no concern of the container",
    "ns cgroup": "the same",
    r"mount /sys/fs/cgroup.*": "the same, and the mount above the controllers is read-only, too",
    r"writable /sys/fs/cgroup/x": "the same",
    r"mount /": "device files in an image are inert (nodev), and nothing mounted on the host comes in (private)",
    r"mount /proc/interrupts": "GHSA-6fw5-f8r9-fgfm: hidden by later versions of Docker",
    r"mount /sys/devices/.*": "GHSA-6fw5-f8r9-fgfm, GHSA-jq35-85cj-fj4p: hidden by later versions of Docker",
    r"mount /(proc|sys)/.*": "what hides is of the host, not of the container's /dev, and has room for one inode",
    "dev core": "a link of later versions of Docker",
    "limit open files": "set, where Docker hands on what its service was given",
    "limit (processes|core file size)": "the same",
    "env PATH": "the image's here",
    "SigPnd|ShdPnd": "an accident",
}


def test_the_probe(host: Any) -> None:
    """From a caller as Ansible is one."""
    _compare(_start(host))


def test_exec_is_confined_alike(host: Any) -> None:
    host.container(hostname="probe", env=ENV)
    found = probe(lambda *words: host.exec("c", *words).stdout.decode())
    _compare(found)
    host.absent("c")


def test_nothing_of_the_caller_is_handed_on(host: Any) -> None:
    """A session's limits, signals, mask, niceness, priority for the kernel's killer, descriptors, environment."""
    usual = _start(host)
    with _peculiar():
        found = _start(host)
    assert _different(found, usual) == {}


def _start(host: Any) -> dict[str, str]:
    return probe(lambda *words: host.run(list(words), hostname="probe", env=ENV).stdout)


def _compare(found: dict[str, str]) -> None:
    if os.environ.get("MINI_GOLDEN") == "write":
        kept = {name: value for name, value in found.items() if not OF_THE_HOST.match(name)}
        GOLDEN.write_text(json.dumps(kept, indent=1) + "\n")
    different = _different(found, json.loads(GOLDEN.read_text()))
    assert not {name: pair for name, pair in different.items() if not _for_the_host(name, pair)}, "found and kept"


def _for_the_host(name: str, pair: tuple[str, str]) -> bool:
    absent = "" in pair and not os.path.exists(name.partition(" ")[2].replace("cpuN", "cpu0"))
    return bool(OF_THE_HOST.match(name) or (HIDDEN.match(name) and absent))


def _different(found: dict[str, str], other: dict[str, str]) -> dict[str, tuple[str, str]]:
    names = sorted({*found, *other})
    return {name: (found.get(name, ""), other.get(name, "")) for name in names if found.get(name) != other.get(name)}


@contextlib.contextmanager
def _peculiar() -> Iterator[None]:
    """A caller whose process is nothing like a fresh one. A child of ours, as most of it cannot be taken back."""
    limits = {kind: resource.getrlimit(kind) for kind in (resource.RLIMIT_FSIZE, resource.RLIMIT_STACK)}
    limits |= {kind: resource.getrlimit(kind) for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_MEMLOCK)}
    limits |= {kind: resource.getrlimit(kind) for kind in (resource.RLIMIT_CORE, resource.RLIMIT_CPU)}
    umask, score, processors = os.umask(0o077), Path("/proc/self/oom_score_adj").read_text(), os.sched_getaffinity(0)
    filter_, nice = Path("/proc/self/coredump_filter").read_text(), os.nice(0)
    ignored = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGHUP, signal.SIGINT)}
    leaked = os.open("/", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        for kind, value in zip(limits, (1 << 30, 1 << 22, 512, 1 << 20, 0, 10000)):
            resource.setrlimit(kind, (value, limits[kind][1]))
        Path("/proc/self/oom_score_adj").write_text("500")
        Path("/proc/self/coredump_filter").write_text("0x7f")
        os.sched_setaffinity(0, {min(processors)})
        os.nice(5)
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR2})
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, 0, nice)
        os.sched_setaffinity(0, processors)
        Path("/proc/self/coredump_filter").write_text(f"0x{filter_}")
        Path("/proc/self/oom_score_adj").write_text(score)
        for kind, value in limits.items():
            resource.setrlimit(kind, value)
        os.close(leaked)
        for number, handler in ignored.items():
            signal.signal(number, handler)
        os.umask(umask)


@pytest.mark.skipif(not shutil.which("dockerd"), reason="docker is not installed: nothing to compare with")
def test_docker_differs_where_it_is_said(host: Any, rootfs: Path, tmp_path: Path) -> None:
    ours = _start(host)
    with _dockerd(tmp_path / "docker") as docker:
        subprocess.run(["tar", "-C", str(rootfs), "-cf", str(tmp_path / "box.tar"), "."], check=True)
        subprocess.run([*docker, "import", "-c", "ENV PATH=/bin", str(tmp_path / "box.tar"), "box"], check=True)
        for theirs in (probe(_docker_start(docker)), probe(_docker_exec(docker))):
            different = _different(ours, theirs)
            listed = {name for name in different for pattern in DIFFERENCES if re.fullmatch(pattern, name)}
            assert not {name: pair for name, pair in different.items() if name not in listed}, "ours and Docker's"


OPTIONS = ("--network", "none", "--hostname", "probe", "--env", "MINE=yes")


def _docker_start(docker: list[str]) -> Run:
    return lambda *words: _output([*docker, "run", "--rm", *OPTIONS, "box", *words])


def _docker_exec(docker: list[str]) -> Run:
    subprocess.run([*docker, "run", "--detach", "--name", "probe", *OPTIONS, "box", "sleep", "1000"], check=True)
    return lambda *words: _output([*docker, "exec", "probe", *words])


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True).stdout


@contextlib.contextmanager
def _dockerd(directory: Path) -> Iterator[list[str]]:
    """The client's command for a daemon of our own, in the test's network namespace and without any network."""
    socket, exec_root = directory / "sock", Path(f"/run/mini-golden-{os.getpid()}")
    directory.mkdir()
    (directory / "daemon.json").write_text("{}")
    arguments = [
        *("unshare", "--mount", "dockerd", "--host", f"unix://{socket}", "--pidfile", str(directory / "pid")),
        *("--data-root", str(directory / "data"), "--exec-root", str(exec_root)),
        *("--config-file", str(directory / "daemon.json"), "--iptables=false", "--ip-forward=false", "--bridge=none"),
        *("--cgroup-parent", "/mini-golden"),
    ]
    with open(directory / "log", "wb") as log:
        daemon = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    docker = ["docker", "--host", f"unix://{socket}"]
    try:
        deadline = time.monotonic() + 60
        while subprocess.run([*docker, "version"], capture_output=True, check=False).returncode:
            up = daemon.poll() is None and time.monotonic() < deadline
            assert up, (directory / "log").read_text()[-2000:]
            time.sleep(0.2)
        yield docker
    finally:
        subprocess.run([*docker, "rm", "--force", "probe"], capture_output=True, check=False)
        daemon.terminate()
        daemon.wait(60)
        shutil.rmtree(exec_root, ignore_errors=True)
        for cgroup in [*Path("/sys/fs/cgroup").glob("*/mini-golden"), *Path("/sys/fs/cgroup").glob("mini-golden")]:
            cgroup.rmdir()
