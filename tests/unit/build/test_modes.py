# SPDX-License-Identifier: GPL-3.0-or-later
"""Modes as chmod(1) takes them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput
from ansible_collections.mini.containers.plugins.module_utils.engine.builds import modes

TEXTS = (
    "0",
    "755",
    "00755",
    "4711",
    "u+x",
    "a+X",
    "+X",
    "go-rwx",
    "u=rwX,go=rX",
    "u=rw,g=u,o=g",
    "ug+s",
    "+t",
    "a=",
    "g=o-w+x",
    "u-s,o=",
    "a-x+X",
)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("directory", [False, True])
def test_as_the_program_has_it(text: str, directory: bool, tmp_path: Path) -> None:
    for before in (0o600, 0o755, 0o640, 0o6777):
        path = tmp_path / f"{before}"
        path.mkdir() if directory else path.touch()
        path.chmod(before)
        subprocess.run(["sh", "-c", f"umask 0; chmod {text} {path}"], check=True)
        after = path.stat().st_mode & 0o7777
        found = modes.changed(modes.check(text), before, directory=directory)
        # GNU's program keeps the setuid bits of directories, which POSIX leaves open.
        assert (found ^ after) & (0o1777 if directory else 0o7777) == 0, (
            f"{before:o} {text} is {after:o}, not {found:o}"
        )


@pytest.mark.parametrize("text", ["", "8", "10000", "z+x", "u", "u+q", "u+x,", "+x;-w"])
def test_what_is_none(text: str) -> None:
    with pytest.raises(BadInput, match="is not a mode"):
        modes.check(text)
