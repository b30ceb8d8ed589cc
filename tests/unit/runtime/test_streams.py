# SPDX-License-Identifier: GPL-3.0-or-later
"""The pipes between a container and its log: who may die, who may read, and how a pipe is found again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.mini.containers.plugins.module_utils.runtime import streams
from ansible_collections.mini.containers.plugins.module_utils.runtime.log import LogWriter, files


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = streams.open_pipe()
    yield ends
    for fd in ends:
        with contextlib.suppress(OSError):
            os.close(fd)


@pytest.fixture
def found(tmp_path: Path) -> streams.Streams:
    return streams.Streams(LogWriter(str(tmp_path / "log")))


@pytest.fixture
def no_patience() -> Iterator[None]:
    """What would wait for ever is interrupted."""

    def interrupt(*_arguments: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.alarm(5)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def _texts(tmp_path: Path) -> list[str]:
    return [
        line.split(" ", 3)[3]
        for name in files(str(tmp_path / "log"))
        for line in Path(name).read_text().split("\n")
        if line
    ]


def test_a_writer_outlives_every_reader(pipe: tuple[int, int], tmp_path: Path) -> None:
    """It is full one day, and then its writers wait."""
    read_end, write_end = pipe
    os.close(read_end)
    writer = subprocess.Popen(["sh", "-c", "while :; do echo 0123456789; done"], stdout=write_end)
    with pytest.raises(subprocess.TimeoutExpired):
        writer.wait(0.5)
    again = streams.find([writer.pid], {"stdout": os.fstat(write_end).st_ino})
    assert list(again.values()) == ["stdout"]
    assert os.read(next(iter(again)), 11) == b"0123456789\n"
    os.close(next(iter(again)))
    writer.kill()
    writer.wait()


def test_what_another_reader_took_is_not_waited_for(
    pipe: tuple[int, int], found: streams.Streams, no_patience: None
) -> None:
    """The container may open its pipe for reading, and be faster than the monitor."""
    read_end, write_end = pipe
    found.add(read_end, "stdout")
    os.write(write_end, b"gone\n")
    assert os.read(write_end, 100) == b"gone\n"
    assert not found.copy(read_end)
    assert found.names == {read_end: "stdout"}


def test_a_writer_without_end_is_not_drained_without_end(found: streams.Streams, no_patience: None) -> None:
    read_end, write_end = streams.open_pipe()
    found.add(read_end, "stdout")
    writer = subprocess.Popen(["sh", "-c", "while :; do echo 0123456789; done"], stdout=write_end)
    os.close(write_end)
    found.finish()
    assert not found.names
    writer.kill()
    writer.wait()


def test_the_end_of_a_pipe_closes_it(found: streams.Streams, tmp_path: Path) -> None:
    read_end, write_end = streams.open_pipe()
    found.add(read_end, "stderr")
    os.write(write_end, b"last\n")
    os.close(write_end)
    assert found.copy(read_end)
    assert not found.copy(read_end)
    assert not found.names
    assert _texts(tmp_path) == ["last"]


def test_only_the_pipe_itself_is_opened(pipe: tuple[int, int], tmp_path: Path) -> None:
    """Neither what has its name, nor another pipe, nor what is put in its place while we look."""
    inode = os.fstat(pipe[0]).st_ino
    decoy = tmp_path / f"pipe:[{inode + 1}]"
    decoy.write_text("secret")
    with decoy.open():
        assert streams.find([os.getpid()], {"stdout": inode + 1}) == {}
    assert streams.find([os.getpid()], {"stdout": 0}) == {}
    assert streams.find([2**22 + 1], {"stdout": inode}) == {}
    with decoy.open() as handle:
        assert streams._reopen(f"/proc/self/fd/{handle.fileno()}", os.fstat(handle.fileno()).st_ino) is None


def test_half_an_entry_of_a_writer_that_was_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"2030-01-01T00:00:00Z stdout F whole\n2030-01-01T00:00:00Z stdout F hal")
    LogWriter(str(log)).write(b"stdout", b"next\n")
    assert [line.split(" ", 3)[3] for line in log.read_text().splitlines()] == ["whole", "hal", "next"]


@pytest.mark.parametrize(("limit", "kept"), [(1, ["log"]), (2, ["log", "log.1"]), (3, ["log", "log.1", "log.2"])])
def test_fewer_files_from_now_on(tmp_path: Path, limit: int, kept: list[str]) -> None:
    log = LogWriter(str(tmp_path / "log"), 1000, 4)
    for number in range(200):
        log.write(b"stdout", b"line %d\n" % number)
    assert len(os.listdir(tmp_path)) == 4
    log.limit(1000, limit)
    for number in range(200, 300):
        log.write(b"stdout", b"line %d\n" % number)
    assert sorted(os.listdir(tmp_path)) == kept
    texts = _texts(tmp_path)
    assert texts[-1] == "line 299"
    assert all(os.path.getsize(tmp_path / name) <= 1000 for name in kept)
