# SPDX-License-Identifier: GPL-3.0-or-later
"""Sparse files in tar archives: GNU's old header type `S`, and the pax formats 0.0, 0.1 and 1.0.

All four say the same in different places: the file's real size, and a list of (offset, length) of the pieces that
are stored; between them lies nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Callable

from ..core.errors import BadImage
from .tarheader import BLOCK, decimal, number, size_of

Pieces = tuple[tuple[int, int], ...]
MAX_PIECES = 100_000


def old_gnu(block: bytes, read_block: Callable[[], bytes]) -> tuple[int, Pieces]:
    """Type `S`: four pieces in the header, then extension blocks of 21 before the data."""
    real = size_of(number(block[483:495], "real size"))
    pieces = _from_fields(block[386:482])
    more = block[482]
    while more:
        extension = read_block()
        pieces += _from_fields(extension[:504])
        more = extension[504]
        if len(pieces) > MAX_PIECES:
            raise BadImage("a sparse file in the archive has too many pieces")
    return real, tuple(pieces)


def _from_fields(raw: bytes) -> list[tuple[int, int]]:
    fields = [raw[start : start + 12] for start in range(0, len(raw), 12)]
    pairs = zip(fields[::2], fields[1::2])
    return [(size_of(number(a, "offset")), size_of(number(b, "length"))) for a, b in pairs if a.strip(b"\0 ")]


def pax_map(records: dict[bytes, bytes]) -> Pieces:
    """Formats 0.0 and 0.1: `GNU.sparse.map` is offset,length,offset,length…"""
    numbers = [decimal(item, "sparse map") for item in records[b"GNU.sparse.map"].split(b",") if item]
    return _pairs(numbers)


def pax_leading(read_block: Callable[[], bytes]) -> tuple[Pieces, int]:
    """Format 1.0: the map stands before the data, decimal numbers on lines, padded to whole blocks.

    Returned with the number of bytes it took.
    """
    text, used, lines = b"", 0, -1
    numbers: list[int] = []
    while lines < 0 or len(numbers) < 2 * lines:
        *whole, text = (text + read_block()).split(b"\n")
        used += BLOCK
        if len(text.rstrip(b"\0")) > 20:
            raise BadImage("a sparse file's map in the archive is malformed")
        for line in whole:
            if lines < 0:
                lines = decimal(line, "sparse map")
                if lines > MAX_PIECES:
                    raise BadImage("a sparse file in the archive has too many pieces")
            elif len(numbers) < 2 * lines:
                numbers.append(decimal(line, "sparse map"))
    return _pairs(numbers), used


def _pairs(numbers: list[int]) -> Pieces:
    if len(numbers) % 2 or len(numbers) > 2 * MAX_PIECES:
        raise BadImage("a sparse file's map in the archive is malformed")
    return tuple(zip(numbers[::2], numbers[1::2]))


def check(pieces: Iterable[tuple[int, int]], stored: int, real: int) -> None:
    """Pieces in order, inside the file, and exactly as long together as what is stored."""
    position = total = 0
    for offset, length in pieces:
        if offset < position or offset + length > real:
            raise BadImage("a sparse file's map in the archive leads outside the file")
        position = offset + length
        total += length
    if total != stored:
        raise BadImage("a sparse file's map in the archive does not fit its data")
