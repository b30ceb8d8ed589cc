# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own code on the host's disk, for what must run when no task does.

Ansible deletes a task's code when it ends. So a program's files are written below the state root, in a directory named
by their digest, and started from there as `python3 -I <directory>/__main__.py`.
"""

from __future__ import annotations

import hashlib
import os
from typing import NamedTuple

from ..core.paths import Paths
from ..linux.files import make_private_dir, remove_tree, sync_tree

_PACKAGE = "mini_runtime"
# Started by its path and not by its directory's, a program is spared what `runpy` imports.
_START = """\
import sys

sys.path.insert(0, __file__.rpartition("/")[0])
from {package}.{module} import main

main()
"""
_MODULE_UTILS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Program(NamedTuple):
    """`files` are relative to `module_utils`; `entry` is the one among them whose `main` is called."""

    entry: str
    files: tuple[str, ...]


def installed(paths: Paths, program: Program) -> str:
    """The directory of this version of the program, written when it is not there yet."""
    sources = {name: _source(name) for name in program.files}
    directory = os.path.join(paths.runtimes, _digest(program, sources))
    if not os.path.isdir(directory):
        _install(directory, program, sources)
    return directory


def version(program: Program) -> str:
    """The name of the directory of this version."""
    return _digest(program, {name: _source(name) for name in program.files})


def _digest(program: Program, sources: dict[str, bytes]) -> str:
    return hashlib.sha256(b"\0".join([program.entry.encode(), *sources.values()])).hexdigest()[:16]


def _source(name: str) -> bytes:
    """One of our files, wherever we were imported from: a directory, or the archive that Ansible sends."""
    loader = globals()["__loader__"]
    data: bytes = loader.get_data(os.path.join(_MODULE_UTILS, name))
    return data


def _install(directory: str, program: Program, sources: dict[str, bytes]) -> None:
    """Write the files beside their place and rename: a directory of that name is always whole."""
    temporary = f"{directory}.{os.getpid()}.tmp"
    module = program.entry[: -len(".py")].replace("/", ".")
    start = _START.format(package=_PACKAGE, module=module)
    for name, data in {**sources, "../__main__.py": start.encode()}.items():
        path = os.path.normpath(os.path.join(temporary, _PACKAGE, name))
        make_private_dir(os.path.dirname(path))
        with open(path, "wb") as handle:
            handle.write(data)
    sync_tree(temporary)
    try:
        os.rename(temporary, directory)
    except OSError:
        remove_tree(temporary)
        if not os.path.isdir(directory):
            raise
