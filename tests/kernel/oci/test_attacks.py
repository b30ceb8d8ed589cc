# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles that mean harm, given to the command. Each test fails without its defence."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from ..waiting import eventually

SETS = ("bounding", "effective", "permitted")

PYTHON = os.path.realpath("/usr/bin/python3")
ATTACK = """#!/proc/self/exe -S
import os
exe = os.readlink('/proc/self/exe')
try:
    os.open('/proc/self/exe', os.O_WRONLY | os.O_TRUNC)
    print('OPENED', exe)
except OSError as exc:
    print(exc.errno, exe)
"""


@pytest.mark.skipif(not os.path.exists(PYTHON), reason="the command runs on /usr/bin/python3")
@pytest.mark.parametrize("way", ["run", "create", "exec"])
def test_the_hosts_interpreter_cannot_be_written(bundle: Any, way: str) -> None:
    """CVE-2019-5736: the image runs /proc/self/exe, which is the host's Python, and opens it for writing."""
    before = hashlib.sha256(Path(PYTHON).read_bytes()).hexdigest()
    (bundle.rootfs / "attack").write_text(ATTACK)
    (bundle.rootfs / "attack").chmod(0o755)
    for path in ("/usr", *(name for name in ("/lib", "/lib64") if os.path.exists(name))):
        bundle.mount(path, "bind", os.path.realpath(path), "rbind", "ro")
    if way == "exec":
        bundle.sh("sleep 1000")
        bundle.ok("run", "--detach", "c1")
        said = bundle.ok("exec", "c1", "/attack")
    elif way == "run":
        bundle.process["args"] = ["/attack"]
        said = bundle.run()
    else:
        bundle.process["args"] = ["/attack"]
        bundle.ok("create", "c1")
        bundle.ok("start", "c1")
        said = eventually((bundle.directory / "out.1").read_text)
    assert said.startswith("30 "), "EROFS is the answer"
    assert hashlib.sha256(Path(PYTHON).read_bytes()).hexdigest() == before


@pytest.mark.parametrize("path", ["/proc", "/sys", "/dev"])
def test_a_link_in_the_place_of_a_kernel_mount(bundle: Any, path: str) -> None:
    """CVE-2019-16884, CVE-2026-41579: masks, labels and device nodes would go to a place of the image's choice."""
    target = bundle.rootfs / path[1:]
    if target.exists():
        target.rmdir()
    (bundle.rootfs / "bad").mkdir()
    target.symlink_to("/bad")
    assert "must be an ordinary directory" in bundle.refused("create", "c1")
    assert not list((bundle.rootfs / "bad").iterdir())


@pytest.mark.parametrize("destination", ["/proc", "/proc/sys", "/proc/self/attr"])
def test_proc_is_the_kernels(bundle: Any, destination: str) -> None:
    """CVE-2019-19921: files of the image's in /proc would take what is written to the kernel's."""
    (bundle.directory / "fake").mkdir()
    bundle.mount(destination, "bind", bundle.directory / "fake", "rbind")
    assert "which only the kernel's own files" in bundle.refused("create", "c1")


def test_what_lxcfs_mounts_in_proc_is_let_through(bundle: Any) -> None:
    (bundle.directory / "uptime").write_text("5.00 5.00\n")
    bundle.mount("/proc/uptime", "bind", bundle.directory / "uptime", "bind")
    assert bundle.run("cat /proc/uptime") == "5.00 5.00\n"


@pytest.mark.parametrize("number", range(3, 20))
def test_no_descriptor_of_the_host_leads_out(bundle: Any, number: int) -> None:
    """CVE-2024-21626: a working directory that is one of our own descriptors."""
    bundle.process["cwd"] = f"/proc/self/fd/{number}"
    assert bundle.refused("create", "c1")


def test_descriptors_that_the_caller_left_open_are_closed(bundle: Any) -> None:
    kept = [os.open("/", os.O_RDONLY) for _ in range(20)]
    for fd in kept:
        os.set_inheritable(fd, True)
    said = bundle.run("ls /proc/self/fd", close_fds=False)
    for fd in kept:
        os.close(fd)
    assert said.split() == ["0", "1", "2", "3"], "3 is the directory that ls reads"


def test_a_null_device_of_the_images_is_not_believed(bundle: Any) -> None:
    """CVE-2025-31133: what masks a path is the host's own device, whatever stands in the image's /dev."""
    bundle.config["mounts"] = [one for one in bundle.config["mounts"] if not one["destination"].startswith("/dev")]
    (bundle.rootfs / "dev").mkdir(exist_ok=True)
    (bundle.rootfs / "dev" / "null").symlink_to("/proc/sys/kernel/core_pattern")
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    bundle.linux["maskedPaths"] = ["/proc/keys"]
    bundle.sh("echo '|/evil' > /proc/keys; cat /proc/keys")
    bundle.call("run", "c1")
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


def test_a_terminal_is_not_made_of_the_images_files(bundle: Any) -> None:
    """CVE-2025-52565: links where the container's devpts should be."""
    bundle.config["mounts"] = [one for one in bundle.config["mounts"] if not one["destination"].startswith("/dev")]
    (bundle.rootfs / "dev" / "pts").mkdir(parents=True)
    (bundle.rootfs / "dev" / "pts" / "ptmx").symlink_to("/etc/passwd")
    bundle.process["terminal"] = True
    assert "a terminal needs a devpts" in bundle.refused("run", "c1")
    (bundle.rootfs / "dev" / "pts" / "ptmx").unlink()
    (bundle.rootfs / "dev" / "pts" / "ptmx").write_text("")
    assert "a terminal needs a devpts" in bundle.refused("run", "c1")


def test_a_console_link_leads_nowhere(bundle: Any) -> None:
    victim = bundle.rootfs / "victim"
    victim.write_text("kept")
    bundle.config["mounts"] = [one for one in bundle.config["mounts"] if one["destination"] != "/dev"]
    (bundle.rootfs / "dev").mkdir(exist_ok=True)
    (bundle.rootfs / "dev" / "console").symlink_to("/victim")
    bundle.process["terminal"] = True
    assert bundle.refused("run", "c1")
    assert victim.read_text() == "kept"


def test_the_created_process_cannot_be_read(bundle: Any) -> None:
    """CVE-2016-9962: whoever shares its pids sees a process that still has the host's files open."""
    bundle.sh("sleep 1000")
    bundle.ok("run", "--detach", "c1")
    pid = bundle.state()["pid"]
    bundle.linux["namespaces"] = [
        *(one for one in bundle.linux["namespaces"] if one["type"] != "pid"),
        {"type": "pid", "path": f"/proc/{pid}/ns/pid"},
    ]
    bundle.ok("create", "c2")
    look = "readlink $p/exe $p/cwd $p/root; for f in $p/fd/*; do readlink $f; done"
    said = bundle.ok("exec", "c1", "sh", "-c", f"for p in /proc/[0-9]*; do [ $p = /proc/2 ] && ({look}); done; exit 0")
    assert os.path.samefile(f"/proc/{bundle.state('c2')['pid']}/exe", PYTHON)
    assert said == ""
    bundle.ok("delete", "--force", "c2")


def test_nothing_of_the_callers_environment_comes_in(bundle: Any) -> None:
    said = bundle.run("env | sort", env={**os.environ, "SECRET": "x", "PYTHONPATH": "/tmp", "LD_DEBUG": ""})
    assert said == "HOME=/root\nPATH=/bin\nPWD=/\nSHLVL=1\nTERM=xterm\n"


def test_python_of_the_callers_directory_is_not_run(bundle: Any) -> None:
    for name in ("json", "argparse", "os", "encodings"):
        (bundle.directory / f"{name}.py").write_text("open('/tmp/sprung-oci', 'w')\n")
    bundle.run("true", env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(bundle.directory)})
    assert not os.path.exists("/tmp/sprung-oci")


def test_a_root_that_is_moved_leaves_no_whole_proc(bundle: Any) -> None:
    """Root of a user namespace may mount one where it sees one, and write to what is masked or read-only here."""
    (bundle.rootfs / "bin" / "unshare").symlink_to("busybox")
    bundle.process["capabilities"] = {kind: ["CAP_SETFCAP"] for kind in SETS}
    bundle.linux["maskedPaths"] = ["/proc/kcore"]
    bundle.linux["readonlyPaths"] = ["/proc/sys"]
    before = Path("/proc/self/mountinfo").read_text()
    for kind, target in (("proc", "/proc"), ("sysfs", "/sys")):
        bundle.sh(f"echo inside; unshare -mrpf mount -t {kind} none {target} && echo whole; exit 0")
        assert bundle.ok("run", "--no-pivot", "c1") == "inside\n"
    assert Path("/proc/self/mountinfo").read_text() == before
