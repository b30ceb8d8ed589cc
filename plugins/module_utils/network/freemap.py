# SPDX-License-Identifier: GPL-3.0-or-later
"""Which addresses of a range are free, so that one is found without looking at the others.

::

    head      what this file is, how many places the range has, the place that was given last
    summary   a bit a page: all its places are taken
    pages     a bit a place: it is taken

A page has 4096 places and there are at most 4096 pages, so that finding a free place reads the summary and a page or
two, whether the range has ten addresses or sixteen million, and one of them is left or all. What nobody used takes no
room on the disk: the file is sparse.

The map only helps to find: leases are the truth. Where it is wrong after a crash the caller says so (`take`), and where
it is missing or damaged he has it made anew (`rebuild`). The caller holds the network's lock.
"""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Iterable, Iterator
from typing import Callable, Optional, TypeVar

from ..linux.files import make_private_dir

PAGE = 4096
LARGEST = PAGE * PAGE

_HEAD = struct.Struct("<8sQQ")
_MAGIC = b"minimap\1"
_PAGE_BYTES = PAGE // 8
_FIRST_PAGE = _HEAD.size + _PAGE_BYTES

Self = TypeVar("Self", bound="FreeMap")


class FreeMap:
    """An open map of `size` places, numbered from 0."""

    def __init__(self, fd: int, size: int, last: int) -> None:
        self._fd = fd
        self._last = last
        self.size = size
        self._pages = -(-size // PAGE)

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        os.close(self._fd)

    def each_free(self) -> Iterator[int]:
        """The free places, each once, beginning behind the one that was given last."""
        start = (self._last + 1) % self.size
        first = start // PAGE
        full = _bits(os.pread(self._fd, _PAGE_BYTES, _HEAD.size))
        yield from self._free_in(first, start % PAGE, PAGE)
        for page in itertools.chain(_clear(full, first + 1, self._pages), _clear(full, 0, first)):
            yield from self._free_in(page, 0, PAGE)
        yield from self._free_in(first, 0, start % PAGE)

    def _free_in(self, page: int, begin: int, end: int) -> Iterator[int]:
        end = min(end, self.size - page * PAGE)
        for place in _clear(self._page(page), begin, end):
            yield page * PAGE + place

    def _page(self, page: int) -> int:
        return _bits(os.pread(self._fd, _PAGE_BYTES, _FIRST_PAGE + page * _PAGE_BYTES))

    def take(self, place: int) -> None:
        """A place is taken."""
        self._set(place, lambda page, bit: page | bit)

    def give(self, place: int) -> None:
        """A place is taken, and the next search begins behind it."""
        self.take(place)
        self._last = place
        os.pwrite(self._fd, _HEAD.pack(_MAGIC, self.size, place), 0)

    def free(self, place: int) -> None:
        """A place is free."""
        self._set(place, lambda page, bit: page & ~bit)

    def _set(self, place: int, change: Callable[[int, int], int]) -> None:
        page, bit = divmod(place, PAGE)
        now = change(self._page(page), 1 << bit)
        self._put(_FIRST_PAGE + page * _PAGE_BYTES, now, bit)
        whole = (1 << min(PAGE, self.size - page * PAGE)) - 1
        summary = _bits(os.pread(self._fd, _PAGE_BYTES, _HEAD.size))
        if (now == whole) != bool(summary >> page & 1):
            self._put(_HEAD.size, summary ^ 1 << page, page)

    def _put(self, at: int, bits: int, bit: int) -> None:
        """Write the byte that has the bit: a write cut short leaves the old byte or the new one."""
        os.pwrite(self._fd, bytes([bits >> (bit & ~7) & 0xFF]), at + bit // 8)


def find(path: str, size: int) -> Optional[FreeMap]:
    """The map at `path`; None when there is none of that size, or it is damaged."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    head = os.pread(fd, _HEAD.size, 0)
    if len(head) == _HEAD.size and os.fstat(fd).st_size == _length(size):
        magic, recorded, last = _HEAD.unpack(head)
        if (magic, recorded) == (_MAGIC, size) and last < size:
            return FreeMap(fd, size, last)
    os.close(fd)
    return None


def rebuild(path: str, size: int, taken: Iterable[int], last: Optional[int] = None) -> FreeMap:
    """A new map in which exactly these places are taken. It takes the old one's place when it is complete."""
    make_private_dir(os.path.dirname(path))
    temporary = f"{path}.tmp"
    fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    last = size - 1 if last is None else last
    try:
        os.ftruncate(fd, _length(size))
        os.pwrite(fd, _HEAD.pack(_MAGIC, size, last), 0)
        _fill(fd, size, taken)
        os.rename(temporary, path)
    except BaseException:
        os.close(fd)
        raise
    return FreeMap(fd, size, last)


def _fill(fd: int, size: int, taken: Iterable[int]) -> None:
    pages: dict[int, int] = {}
    for place in taken:
        pages[place // PAGE] = pages.get(place // PAGE, 0) | 1 << place % PAGE
    summary = 0
    for page, bits in pages.items():
        os.pwrite(fd, bits.to_bytes(_PAGE_BYTES, "little"), _FIRST_PAGE + page * _PAGE_BYTES)
        if bits == (1 << min(PAGE, size - page * PAGE)) - 1:
            summary |= 1 << page
    os.pwrite(fd, summary.to_bytes(_PAGE_BYTES, "little"), _HEAD.size)


def _length(size: int) -> int:
    return _FIRST_PAGE + -(-size // PAGE) * _PAGE_BYTES


def _bits(raw: bytes) -> int:
    return int.from_bytes(raw, "little")


def _clear(bits: int, begin: int, end: int) -> Iterator[int]:
    """The places from `begin` to before `end` whose bit is 0."""
    left = ~bits & ((1 << end) - 1) >> begin << begin if begin < end else 0
    while left:
        lowest = left & -left
        yield lowest.bit_length() - 1
        left ^= lowest
