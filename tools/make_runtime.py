#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the command `mini-oci`, one executable file, of the runtime's sources: tools/make_runtime.py FILE.

It runs on the Python that makes it at full speed, and on any newer or older one (3.9) from the sources in it.
"""

from __future__ import annotations

import io
import os
import py_compile
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "mini_runtime"
SOURCES = Path(__file__).resolve().parent.parent / "plugins" / "module_utils"
ROOMS = ("core", "linux", "runtime")
INTERPRETER = b"#!/usr/bin/python3 -IS\n"
MAIN = f"from {PACKAGE}.runtime.oci.enter import main\n\nmain()\n"
EPOCH = (1980, 1, 1, 0, 0, 0)


def archive() -> bytes:
    """The same bytes for the same sources and the same Python."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target, tempfile.TemporaryDirectory() as work:
        _add(target, "__main__.py", MAIN.encode())
        _add(target, f"{PACKAGE}/", b"")
        for path in sorted(path for room in ROOMS for path in [SOURCES / room, *(SOURCES / room).rglob("*")]):
            name = f"{PACKAGE}/{path.relative_to(SOURCES)}"
            if path.is_dir() and path.name != "__pycache__":
                # A package without __init__.py is found by its directory's own entry.
                _add(target, f"{name}/", b"")
            elif path.suffix == ".py":
                _add(target, name, path.read_bytes())
                _add(target, f"{name}c", _compiled(path, name, Path(work)))
    return INTERPRETER + packed.getvalue()


def _add(target: zipfile.ZipFile, name: str, data: bytes) -> None:
    target.writestr(zipfile.ZipInfo(name, EPOCH), data, zipfile.ZIP_DEFLATED)


def _compiled(path: Path, name: str, work: Path) -> bytes:
    """Byte code that is not compared to anything: its source is beside it, in the same file."""
    made = work / "code.pyc"
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(path), str(made), name, doraise=True, invalidation_mode=mode)
    return made.read_bytes()


def main() -> None:
    """Write the file whole, executable."""
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_bytes(archive())
    temporary.chmod(0o755)
    temporary.rename(target)


if __name__ == "__main__":
    main()
