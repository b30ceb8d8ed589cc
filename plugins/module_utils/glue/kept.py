# SPDX-License-Identifier: GPL-3.0-or-later
"""Our code, kept on the host for the tasks that come after.

A module that Ansible sent whole unpacks the archive that it came in below /run, Ansible's own half included, under the
name that the action plugin gave, and compiles it; the next task runs the module from there (`mini_kept`). It is gone
at a reboot, never needed, and used only where nobody but root can write.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import py_compile
import zipfile
from importlib.util import cache_from_source
from py_compile import PycInvalidationMode

from ..core.paths import KEPT
from ..linux.files import make_private_dir, remove_tree

_VERSIONS = 4


def keep(name: str) -> None:
    """Leave the code behind as `name`. A host where that is not possible is a slower host."""
    archive = getattr(globals()["__loader__"], "archive", "")
    if not archive or os.geteuid() != 0:
        return
    with contextlib.suppress(OSError):
        tree = os.path.join(KEPT, os.path.basename(name))
        if not os.path.isdir(tree):
            make_private_dir(KEPT)
            _forget_the_oldest()
            make_private_dir(tree)
        _unpack(archive, tree)


def _unpack(archive: str, tree: str) -> None:
    """What is there already is the same; the module itself comes last, for its presence says that all is there."""
    with zipfile.ZipFile(archive) as opened:
        names = [name for name in opened.namelist() if name.endswith(".py") and name != "sitecustomize.py"]
        for name in sorted(names, key=lambda name: "/plugins/modules/mini_" in name):
            path = os.path.join(tree, name)
            if not os.path.exists(path):
                _write(path, opened.read(name))


def _write(path: str, data: bytes) -> None:
    make_private_dir(os.path.dirname(path))
    draft = f"{path}.{os.getpid()}"
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as handle:
        handle.write(data)
    # Beside the draft, which is renamed next: what is compiled is there when the source is.
    py_compile.compile(draft, cache_from_source(path), path, True, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)
    os.rename(draft, path)


def _forget_the_oldest() -> None:
    """Each version of the collection leaves its code behind. What runs holds a lock on its own."""
    found = sorted(os.scandir(KEPT), key=lambda entry: entry.stat(follow_symlinks=False).st_mtime)
    for entry in found[: max(0, len(found) - _VERSIONS + 1)]:
        with contextlib.suppress(OSError):
            _forget(entry.path)


def _forget(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove_tree(path)
    finally:
        os.close(fd)
