# SPDX-License-Identifier: GPL-3.0-or-later
"""Our code, compiled once a host instead of once a task.

Ansible sends a module and all that it imports as an archive of sources, and Python keeps no bytecode of an archive: to
compile takes longer than what most tasks do. So the first task compiles the archive's files of ours as a whole, and
those after it find them, by what is in the archive and by the version of Python, in one file below /run. It is gone
at a reboot, never needed, and read only when nobody but root can have written it.
"""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import os
import stat
import sys
import zipfile
import zipimport
from importlib.machinery import ModuleSpec, SourcelessFileLoader
from importlib.util import MAGIC_NUMBER, spec_from_file_location
from typing import Any, Optional

from ..core.paths import BYTECODE

_OURS = "ansible_collections/mini/containers/plugins/module_utils/"
_KEPT = 32  # an archive each for a dozen modules, and for the version before


def use() -> None:
    """Take our modules that are imported from now on out of the cache. Does nothing outside of an archive."""
    loader = globals()["__loader__"]
    if not isinstance(loader, zipimport.zipimporter) or os.geteuid() != 0:
        return
    with contextlib.suppress(OSError), zipfile.ZipFile(loader.archive) as archive:
        members = [member for member in archive.infolist() if member.filename.startswith(_OURS)]
        path = os.path.join(BYTECODE, _digest(members))
        codes = _read(path) or _write(path, archive, members)
        sys.meta_path.insert(0, _Finder(loader, codes))


class _Finder:
    """Finds what the cache has; the archive remains for everything else, and for the sources as data."""

    def __init__(self, archive: zipimport.zipimporter, codes: dict[str, bytes]) -> None:
        self._archive = archive
        self._codes = codes

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> Optional[ModuleSpec]:
        """See `importlib.abc.MetaPathFinder`."""
        name = fullname.replace(".", "/") + ".py"
        if name not in self._codes:
            return None
        place = os.path.join(self._archive.archive, name)
        return spec_from_file_location(
            fullname, place, loader=_Loader(fullname, place, self._codes[name], self._archive)
        )


class _Loader(SourcelessFileLoader):
    """One module, whose path is that in the archive."""

    def __init__(self, fullname: str, path: str, code: bytes, archive: zipimport.zipimporter) -> None:
        super().__init__(fullname, path)
        self._code = code
        self._archive = archive

    def get_code(self, fullname: str) -> Any:
        return marshal.loads(self._code)

    def get_data(self, path: str) -> bytes:
        return self._archive.get_data(path)


def _digest(members: list[zipfile.ZipInfo]) -> str:
    content = [(member.filename, member.CRC, member.file_size) for member in members]
    return hashlib.sha256(repr((MAGIC_NUMBER, sys.version, sorted(content))).encode()).hexdigest()[:32]


def _read(path: str) -> dict[str, bytes]:
    """What is kept, when nobody but root can have put it there."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return {}
    with open(fd, "rb") as handle, contextlib.suppress(EOFError, ValueError, TypeError):
        if _private(os.fstat(fd)) and _private(os.lstat(BYTECODE)):
            found: dict[str, bytes] = marshal.load(handle)
            return found
    return {}


def _private(found: os.stat_result) -> bool:
    return found.st_uid == 0 and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not stat.S_ISLNK(found.st_mode)


def _write(path: str, archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> dict[str, bytes]:
    """Compile, and keep it for the others. A host where that is not possible is a slower host."""
    names = [member.filename for member in members]
    codes = {name: marshal.dumps(compile(archive.read(name), name, "exec", dont_inherit=True)) for name in names}
    with contextlib.suppress(OSError):
        os.makedirs(BYTECODE, 0o700, exist_ok=True)
        if _private(os.lstat(BYTECODE)):
            _forget_the_oldest()
            temporary = f"{path}.{os.getpid()}"
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as handle:
                marshal.dump(codes, handle)
            os.rename(temporary, path)
    return codes


def _forget_the_oldest() -> None:
    """Each version of the collection leaves its files behind."""
    found = sorted(os.scandir(BYTECODE), key=lambda entry: entry.stat(follow_symlinks=False).st_mtime)
    for entry in found[: max(0, len(found) - _KEPT)]:
        os.unlink(entry)
