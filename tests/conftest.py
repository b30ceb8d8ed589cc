# SPDX-License-Identifier: GPL-3.0-or-later
"""The code under test answers to its full name, `ansible_collections.mini.containers…`, as it does in a task."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much the fuzz tests try."""
    parser.addoption("--fuzz", type=int, default=500, help="random images to try (tests/kernel/image/test_fuzz.py)")
    parser.addoption("--fuzz-from", type=int, default=0, help="the first seed")


def _collections() -> str:
    """A directory that holds this repository as a collection: the one of `make`, or a throw-away one."""
    made = REPOSITORY / ".venv" / "collections"
    if (made / "ansible_collections" / "mini" / "containers" / "galaxy.yml").exists():
        return str(made)
    root = tempfile.mkdtemp(prefix="mini-collections-")
    atexit.register(_remove, root, os.getpid())
    namespace = Path(root, "ansible_collections", "mini")
    namespace.mkdir(parents=True)
    (namespace / "containers").symlink_to(REPOSITORY)
    return root


def _remove(root: str, owner: int) -> None:
    # A forked child that leaves by sys.exit must not take the parent's tree with it.
    if os.getpid() == owner:
        shutil.rmtree(root, ignore_errors=True)


sys.path.insert(0, _collections())
