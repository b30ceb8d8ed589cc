# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that want out of their layer, or more than their share: refused without a trace, or contained.

Each case is unpacked beside a canary, a tree that stands for the host's. Links in the archives point at it by its
absolute path, and as deep as `..` goes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadImage
from ansible_collections.mini.containers.plugins.module_utils.image.intake import take_in
from ansible_collections.mini.containers.plugins.module_utils.image.workspace import Workspace
from corpus import DIR, PLACED, REFUSED, SMALL, aimed, chain, tree, x
from laboratory import Lab
from rawtar import archive, member, pax


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    os.chmod(tmp_path, 0o755)
    return Lab(tmp_path)


@pytest.mark.parametrize("case", REFUSED)
def test_refused(lab: Lab, case: str) -> None:
    with pytest.raises(BadImage) as caught:
        lab.unpack(aimed(REFUSED[case], lab.canary), limits=SMALL)
    str(caught.value).encode()  # a task's result is JSON


@pytest.mark.parametrize("case", PLACED)
def test_placed(lab: Lab, case: str) -> None:
    members, expected = PLACED[case]
    root = lab.unpack(aimed(members, lab.canary))
    assert tree(root, str(lab.canary)) == expected
    assert stat.S_IMODE(root.stat().st_mode) == 0o755
    lab.close()


def test_nothing_is_unpacked_before_the_end_is_seen(lab: Lab) -> None:
    whole = archive(x("a", b"y" * 1000), member("d", DIR), x("d/b"))
    for end in range(0, len(whole), 512):
        with pytest.raises(BadImage):
            lab.unpack(whole[:end])
    packed = gzip.compress(whole)
    for end in range(0, len(packed) - 1, 7):
        with pytest.raises(BadImage):
            lab.unpack(packed[:end])
    lab.unpack(packed)
    lab.close()


@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_the_umask_does_not_matter(lab: Lab, umask: int) -> None:
    before = os.umask(umask)
    try:
        root = lab.unpack(archive(x("a/b/c", mode=0o666)))
    finally:
        os.umask(before)
    assert [stat.S_IMODE((root / name).stat().st_mode) for name in ("a", "a/b", "a/b/c")] == [0o755, 0o755, 0o666]
    lab.close()


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=data, check=True, capture_output=True).stdout


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, zstd])
def test_bombs(lab: Lab, compress: Any) -> None:
    behind_the_end = compress(archive(x("a")) + bytes(2**25))
    one_file = compress(member("f", data=bytes(2**25)) + bytes(1024))
    headers = compress(pax({"comment": "x" * 500_000}) * 20 + archive(x("a")))
    for bomb in (one_file, behind_the_end, headers):
        with pytest.raises(BadImage):
            lab.unpack(bomb, limits=SMALL)


def test_a_tar_may_be_padded(lab: Lab) -> None:
    data = archive(x("a")) + bytes(10240)
    root = lab.unpack(data)
    assert tree(root) == {"a": "x"}
    lab.close()


def test_digests_cover_every_byte(lab: Lab) -> None:
    for packed, plain in ((gzip.compress, False), (zstd, False), (lzma.compress, True), (bytes, True)):
        inner = archive(x("a")) + bytes(5000)
        data = packed(inner)
        with Workspace(lab.paths) as work:
            layer = take_in(io.BytesIO(data), work)
            expected = inner if plain else data
            assert layer.descriptor.digest == "sha256:" + hashlib.sha256(expected).hexdigest()
            assert layer.descriptor.size == len(expected)
            assert Path(layer.blob).read_bytes() == expected
            assert layer.diff_id == "sha256:" + hashlib.sha256(inner).hexdigest()


@pytest.mark.parametrize("depth", [2, 8, 15])
def test_links_that_expand_beyond_the_longest_path(lab: Lab, depth: int) -> None:
    """realpath(3) gives up on such a name; the kernel's own walk does not, and stays inside."""
    root = lab.unpack(archive(*chain(depth, lab.canary)))
    inside = root / str(lab.canary).lstrip("/") / "out"
    assert inside.read_text() == "x"
    assert sorted(path.name for path in lab.canary.iterdir()) == ["secret"]
    lab.close()
