# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter of system calls from the inside: raw calls, with the filter and, to see that it is the filter, without."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import MiniError
from ansible_collections.mini.containers.plugins.module_utils.engine.containers import bundle
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.waiting import wait
from ansible_collections.mini.containers.plugins.module_utils.engine.records import save
from ansible_collections.mini.containers.plugins.module_utils.linux.bpf import assemble, give
from ansible_collections.mini.containers.plugins.module_utils.linux.seccomp_filter import architectures
from ansible_collections.mini.containers.plugins.module_utils.runtime.bundle import ANNOTATION_SECCOMP

NUMBERS = architectures(platform.machine())[0].numbers
PYTHON = os.path.realpath(sys.executable)
EPERM, ENOSYS = 1, 38
HIGH = 1 << 32
NEWUSER, THREAD, AF_ALG, AF_VSOCK = 0x10000000, 0x10000, 38, 40

# One raw call a line, in a process of its own: 0 or the errno.
PROBE = """
import ctypes, json, os, sys
call = ctypes.CDLL(None, use_errno=True).syscall
def answer(arguments):
    found = call(*map(ctypes.c_uint64, arguments))
    return ctypes.get_errno() if found == -1 else 0
for arguments in json.loads(sys.argv[1]):
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, b"%d" % answer(arguments))
        os._exit(0)
    os.wait()
    print(os.read(reader, 8).decode(), flush=True)
"""

# What the filter refuses, and would do, or fail at otherwise, without it. Capabilities refuse none of these.
REFUSED: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("unshare", (0,)),
    ("unshare", (NEWUSER,)),
    ("mount", (0, 0, 0, 0, 0)),
    ("setns", (2**64 - 1, 0)),
    ("keyctl", (0, 2**64 - 3, 0)),
    ("add_key", (0, 0, 0, 0, 0)),
    ("request_key", (0, 0, 0, 0)),
    ("io_uring_setup", (0, 0)),
    ("userfaultfd", (0xFFFF,)),
    ("clone", (NEWUSER | THREAD, 0, 0, 0, 0)),
    ("socket", (AF_ALG, 5, 0)),
    ("socket", (AF_VSOCK, 1, 0)),
    ("socket", (HIGH + AF_ALG, 5, 0)),
    ("socket", (HIGH + AF_VSOCK, 1, 0)),
    ("personality", (0x40000,)),
    ("set_mempolicy", (0, 0, 0)),
    ("pidfd_getfd", (2**64 - 1, 0, 0)),
)
ALLOWED: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("getpid", ()),
    ("socket", (1, 1, 0)),
    ("socket", (2, 1, 0)),
    ("socket", (16, 3, 0)),
    *(("personality", (value,)) for value in (0, 8, 0x20000, 0x20008, 0xFFFFFFFF)),
)


def system() -> list[str]:
    """The host's libraries and its interpreter."""
    libraries = ("/usr/lib", "/lib", "/lib64", str(Path(PYTHON).parent.parent / "lib"))
    found = [path for path in dict.fromkeys(libraries) if Path(path).is_dir()]
    return [f"{path}:{path}:ro" for path in (*found, PYTHON)]


def unconfined(host: Any, name: str = "c", **options: Any) -> None:
    """A container without the filter."""
    host.container(name, state="present", **options)
    record = host.record(name)
    save(replace(record, spec=replace(record.spec, seccomp="unconfined")), host.paths.container_record(record.id))
    host.container(name)


def python(host: Any, way: str, code: str, *arguments: str, filtered: bool = True, **options: Any) -> str:
    """What a program writes that runs in a container as its first process or beside it."""
    command = [PYTHON, "-I", "-S", "-c", code, *arguments]
    options = {"volumes": system(), **options}
    make = host.container if filtered else lambda **more: unconfined(host, **more)
    try:
        if way == "start":
            make(command=command, **options)
            done = wait(host.paths, host.record())
        else:
            make(**options)
            done = host.exec("c", *command)
            done = done._replace(stdout=done.stdout.decode(), stderr=done.stderr.decode())
        assert done.rc == 0, done.stderr
        return str(done.stdout)
    finally:
        host.absent("c")


def probe(host: Any, way: str, calls: Sequence[tuple[str, tuple[int, ...]]], **options: Any) -> list[int]:
    numbered = [(NUMBERS[name], *arguments) for name, arguments in calls]
    return [int(line) for line in python(host, way, PROBE, json.dumps(numbered), **options).split()]


WAYS = pytest.mark.parametrize("way", ["start", "exec"])


@WAYS
@pytest.mark.parametrize(
    "options", [{}, {"no_new_privs": True}, {"user": "alice"}, {"user": "alice", "no_new_privs": True}]
)
def test_every_process_is_filtered_once(host: Any, way: str, options: dict[str, Any]) -> None:
    """As root and not, before the capabilities go and after."""
    status = python(host, way, "print(open('/proc/self/status').read())", **options)
    found = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert found["Seccomp"] == "2"
    assert found.get("Seccomp_filters", "1") == "1"
    assert found["NoNewPrivs"] == str(int("no_new_privs" in options))


@WAYS
def test_what_is_refused_and_that_it_is_the_filter_that_does(host: Any, way: str) -> None:
    with_filter = probe(host, way, REFUSED)
    assert dict(zip(REFUSED, with_filter)) == dict.fromkeys(REFUSED, EPERM)
    without = dict(zip(REFUSED, probe(host, way, REFUSED, filtered=False)))
    # A host may have turned user namespaces and io_uring off by itself.
    told = [call for call, answer in without.items() if answer != EPERM]
    assert set(REFUSED) - set(told) <= {REFUSED[1], REFUSED[7]}


@WAYS
def test_what_is_answered_as_by_an_older_kernel(host: Any, way: str) -> None:
    calls = (("clone3", (0, 0)), ("open_tree_attr", (0, 0, 0, 0, 0)))
    assert probe(host, way, calls) == [ENOSYS, ENOSYS]
    assert probe(host, way, calls[:1], filtered=False) != [ENOSYS]


def test_what_is_allowed(host: Any) -> None:
    assert probe(host, "start", ALLOWED) == [0] * len(ALLOWED)


def test_capabilities_open_what_they_are_for(host: Any) -> None:
    calls = (("unshare", (0,)), ("setns", (2**64 - 1, 0)), ("clone3", (0, 0)), ("keyctl", (0, 2**64 - 3, 0)))
    answers = probe(host, "start", calls, capabilities=["SYS_ADMIN"])
    assert EPERM not in answers[:2]
    assert answers[2] not in (EPERM, ENOSYS)
    assert answers[3] == EPERM


def test_privileged_is_not_filtered(host: Any) -> None:
    assert "Seccomp:\t0" in python(host, "start", "print(open('/proc/self/status').read())", privileged=True)


def test_threads_and_children_work(host: Any) -> None:
    code = """
import os, subprocess, threading
seen = []
threads = [threading.Thread(target=seen.append, args=(number,)) for number in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(sorted(seen), subprocess.run(["/bin/echo", "child"], capture_output=True).stdout)
"""
    assert python(host, "start", code) == "[0, 1, 2, 3, 4, 5, 6, 7] b'child\\n'\n"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="int 0x80 is of x86")
def test_the_32_bit_interface_has_the_same_rules(host: Any) -> None:
    """By `int $0x80`, which any program may execute; x32 by its bit in the number."""
    code = """
import ctypes, mmap, os, sys
# push %rbx; mov %edi,%eax; mov %esi,%ebx; xor %ecx,%ecx; int $0x80; pop %rbx; ret
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex("5389f889f331c9cd805bc3"))
old = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_uint)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
new = ctypes.CDLL(None, use_errno=True).syscall
child = os.fork()
if child == 0:
    print(old(20, 0) > 0, old(310, 0), old(359, 38), old(136, 0x40000), old(435, 0), flush=True)
    os._exit(0)
if os.waitpid(child, 0)[1]:
    print("none", flush=True)
print(new(ctypes.c_long(0x40000000 + 39)), ctypes.get_errno())
"""
    old, new = python(host, "start", code).splitlines()
    assert old in ("True -1 -1 -1 -38", "none")
    assert new == f"-1 {ENOSYS}"


# the kept program


@pytest.fixture
def kept(host: Any) -> Iterator[Path]:
    """The file with the default's program, after a first start."""
    host.container(volumes=system())
    (found,) = Path(host.paths.runtimes, "seccomp").iterdir()
    assert found.stat().st_mode & 0o777 == 0o600
    yield found
    host.absent("c")


def restarted(host: Any) -> str:
    host.container(restart=True)
    return str(host.exec("c", "cat", "/proc/1/status").stdout.decode())


def test_the_program_is_made_once_and_read_from_then_on(host: Any, kept: Path) -> None:
    before = kept.stat()
    host.container("other", env={"A": "b"})
    assert "Seccomp:\t2" in restarted(host)
    assert kept.stat().st_mtime_ns == before.st_mtime_ns
    assert len(list(kept.parent.iterdir())) == 1
    # A program of one instruction that allows all: what is kept is what is used.
    kept.write_bytes(assemble(give(0x7FFF0000)))
    restarted(host)
    done = host.exec("c", PYTHON, "-I", "-S", "-c", PROBE, json.dumps([[NUMBERS["unshare"], 0]]))
    assert done.stdout == b"0\n"
    host.absent("other")


@pytest.mark.parametrize("content", [b"", b"torn"])
def test_a_torn_program_is_made_anew(host: Any, kept: Path, content: bytes) -> None:
    whole = kept.read_bytes()
    kept.write_bytes(content)
    assert "Seccomp:\t2" in restarted(host)
    assert kept.read_bytes() == whole


def test_a_program_that_cannot_be_kept_is_used_all_the_same(host: Any, kept: Path) -> None:
    kept.unlink()
    kept.parent.rmdir()
    kept.parent.write_text("in the way")
    assert "Seccomp:\t2" in restarted(host)


# a bundle of anybody's making


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the bundles of this test say of system calls. It is kept nowhere."""
    found: dict[str, Any] = {"defaultAction": "SCMP_ACT_ALLOW"}
    build = bundle.build

    def changed(*arguments: Any) -> dict[str, Any]:
        config = build(*arguments)
        config["linux"]["seccomp"] = found
        del config["annotations"][ANNOTATION_SECCOMP]
        return config

    monkeypatch.setattr(bundle, "build", changed)
    return found


def test_a_bundle_alone_is_enough(host: Any, asked: dict[str, Any]) -> None:
    asked["syscalls"] = [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]
    assert host.run(["sh", "-c", "mkdir /x 2>&1; grep Seccomp: /proc/self/status"]).stdout.endswith(
        "No space left on device\nSeccomp:\t2\n"
    )
    assert not Path(host.paths.runtimes, "seccomp").exists()


def test_with_no_new_privs_the_filter_may_refuse_all_but_the_program(host: Any, asked: dict[str, Any]) -> None:
    """What the runtime still does before the program starts need not be allowed."""
    needless = "capset setgroups setresuid setresgid chdir getcwd pipe2 unshare mount"
    asked["syscalls"] = [{"names": needless.split(), "action": "SCMP_ACT_KILL_PROCESS"}]
    assert host.run("echo here", no_new_privs=True).stdout == "here\n"
    with pytest.raises(MiniError):
        host.container()
    host.absent("c")


@pytest.mark.parametrize(
    ("field", "value"),
    [("defaultAction", "SCMP_ACT_NONSENSE"), ("flags", ["SECCOMP_FILTER_FLAG_NEW_LISTENER"])],
)
def test_what_cannot_be_had_is_an_error(host: Any, asked: dict[str, Any], field: str, value: Any) -> None:
    asked[field] = value
    with pytest.raises(MiniError, match=r"cannot start c: linux\.seccomp"):
        host.container()
