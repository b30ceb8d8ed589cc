# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that ADD unpacks: a tar, plain or compressed, told by what is in it and not by its name."""

from __future__ import annotations

import os
from contextlib import ExitStack

from ...core.errors import BadImage
from ...image.intake import Buffered, expanded
from ...image.layer import unpack
from ...image.tarheader import BLOCK, parse_header
from ...image.tarstream import TarStream
from ...linux.mount import fd_path


def is_archive(fd: int) -> bool:
    """Whether the file, whatever it is compressed with, begins as a tar does."""
    with open(fd, "rb", buffering=0, closefd=False) as source, ExitStack() as stack:
        try:
            stream = Buffered(expanded(source, fd_path(fd), stack))
            block = b""
            while len(block) < BLOCK:
                piece = stream.read(BLOCK - len(block))
                if not piece:
                    return False
                block += piece
            parse_header(block)
        except BadImage:
            return False
    return True


def unpack_into(fd: int, directory: str) -> None:
    """What is in the archive. Nothing in it reaches outside, whatever it says."""
    os.lseek(fd, 0, os.SEEK_SET)
    with open(fd, "rb", buffering=0, closefd=False) as source, ExitStack() as stack:
        unpack(TarStream(Buffered(expanded(source, fd_path(fd), stack))), directory)
