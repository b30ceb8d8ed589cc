# SPDX-License-Identifier: GPL-3.0-or-later
"""Random images. Whatever they are, umoci and we make the same tree of them or both refuse; and nothing else happens.

`pytest tests/kernel/image/test_fuzz.py --fuzz 10000` tries so many seeds, `--fuzz-from` where they begin. A seed that
fails is named; `randomtar.layers(seed)` are its layers.

Where umoci does otherwise, on purpose or not, stands in `_accepted`, with the reason.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import randomtar
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadImage, MiniError
from ansible_collections.mini.containers.plugins.module_utils.image.intake import take_in
from ansible_collections.mini.containers.plugins.module_utils.image.workspace import Workspace
from ansible_collections.mini.containers.plugins.module_utils.linux import libc
from laboratory import Lab
from trees import Look, by_umoci, difference, looks, merged, write_layout

from .test_load import Host, Saved

PARTS = 10
SECONDS = 10
MEMORY = 256 * 2**20


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """In memory: thousands of layers are brought to the disk otherwise."""
    libc.mount("tmpfs", str(tmp_path), "tmpfs", 0, "mode=755")
    try:
        with bounded(tmp_path):
            yield Lab(tmp_path)
    finally:
        libc.umount2(str(tmp_path))


@contextmanager
def bounded(directory: Path) -> Iterator[None]:
    """No more memory than now and a bit, and at the end as many descriptors, children and mounts as before."""
    before = _held(directory)
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_data() + MEMORY, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limits)
    assert _held(directory) == before


def _held(directory: Path) -> tuple[int, list[str], str]:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(directory) in line]
    return len(os.listdir("/proc/self/fd")), mounts, children


def _data() -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmData"))


@contextmanager
def hurried(seed: int) -> Iterator[None]:
    """The seed in the error of whatever goes wrong, and of what takes too long."""

    def late(*_signal: object) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    previous = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    except BaseException as exc:
        raise AssertionError(f"seed {seed}") from exc
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


@pytest.fixture
def seeds(request: pytest.FixtureRequest, part: int) -> range:
    begin, count = request.config.getoption("--fuzz-from"), request.config.getoption("--fuzz")
    return range(begin + part, begin + count, PARTS)


def ours(lab: Lab, layers: Sequence[bytes], since_ns: int) -> dict[bytes, Look] | str:
    """What we make of the layers, or why not."""
    directories: list[str] = []
    with Workspace(lab.paths) as work:
        try:
            for layer in layers:
                directories.append(take_in(io.BytesIO(layer), work, below=tuple(directories)).directory)
        except BadImage as exc:
            str(exc).encode()  # a task's result is JSON
            return str(exc)
        with merged(directories, lab.canary.with_name("seen")) as root:
            return looks(root, since_ns)


def theirs(lab: Lab, layers: Sequence[bytes], since_ns: int) -> dict[bytes, Look] | str:
    """What umoci makes of them."""
    layout, place = lab.canary.with_name("layout"), lab.canary.with_name("theirs")
    subprocess.run(["rm", "-rf", layout, place], check=True)
    root, why = by_umoci(write_layout(layout, layers), place)
    return looks(root, since_ns) if root else why


def disagreement(mine: dict[bytes, Look] | str, other: dict[bytes, Look] | str) -> list[str]:
    """What the two make different, but for what is accepted."""
    if isinstance(mine, str) and isinstance(other, str):
        return []
    if isinstance(mine, str) or isinstance(other, str):
        lines = [f"only we refuse: {mine}" if isinstance(mine, str) else f"only umoci refuses: {other}"]
    else:
        lines = difference(mine, other)
    return [line for line in lines if not _accepted(line)]


def _accepted(line: str) -> bool:
    return (
        # umoci removes the first name before it makes the second, though both are one.
        line.endswith("link: no such file or directory")
        # umoci restores the time of a directory after each change right in it, but not after one further down.
        or (" mtime_ns: " in line and line.endswith(" theirs 0"))
        # A file of a lower layer that gets a second name is copied up, as by any overlay, from the names it has there.
        or " twin: " in line
    )


@pytest.mark.parametrize("part", range(PARTS))
def test_the_same_tree_as_umoci(lab: Lab, seeds: range) -> None:
    since_ns = time.time_ns() - 10**9
    for seed in seeds:
        layers = randomtar.layers(seed)
        packed = [gzip.compress(layer, 1) if seed % 3 == number else layer for number, layer in enumerate(layers)]
        with hurried(seed):
            mine = ours(lab, packed, since_ns)
            assert disagreement(mine, theirs(lab, layers, since_ns)) == []
            assert lab.look() == lab.before
            assert os.listdir(lab.paths.layers) == ["tmp"]
            assert os.listdir(os.path.join(lab.paths.layers, "tmp")) == []


@pytest.mark.parametrize("part", range(PARTS))
def test_damaged(lab: Lab, seeds: range) -> None:
    since_ns = time.time_ns() - 10**9
    for seed in seeds:
        chance = random.Random(seed)
        layers = [randomtar.damaged(layer, chance) for layer in randomtar.layers(seed, most=9)]
        with hurried(seed):
            mine, other = ours(lab, layers, since_ns), theirs(lab, layers, since_ns)
            if not isinstance(mine, str) and not isinstance(other, str):
                assert disagreement(mine, other) == []
            assert lab.look() == lab.before
            assert os.listdir(os.path.join(lab.paths.layers, "tmp")) == []


@pytest.mark.parametrize("part", range(PARTS))
def test_damaged_archives_of_images(lab: Lab, seeds: range) -> None:
    directory = lab.canary.parent
    for seed in seeds:
        chance = random.Random(seed)
        with hurried(seed):
            saved = Saved(*randomtar.layers(seed, most=5))
            for document in (saved.config, saved.entry):
                if chance.random() < 0.5:
                    _spoil(document, chance)
            path = Path(saved.write(directory / "image.tar"))
            if chance.random() < 0.5:
                path.write_bytes(randomtar.damaged(path.read_bytes(), chance))
            host = Host(directory / "host")
            try:
                host.image(load_path=str(path))
            except MiniError as exc:
                json.dumps(exc.message)
                assert host.kept() == []
            else:
                assert host.actions(load_path=str(path)) == []
            assert lab.look() == lab.before
            subprocess.run(["rm", "-rf", directory / "host"], check=True)


def _spoil(document: dict[str, Any], chance: random.Random) -> None:
    """Another value somewhere in it, of another type as a rule."""
    key = chance.choice(sorted(document))
    junk = (None, True, 7, -1, 2**70, 1.5, "", "\ud800", "../../x", [], [7], {}, {"a": None}, "sha256:" + "0" * 64)
    if isinstance(document[key], dict) and document[key] and chance.random() < 0.7:
        _spoil(document[key], chance)
    elif chance.random() < 0.2:
        del document[key]
    else:
        document[key] = chance.choice(junk)
