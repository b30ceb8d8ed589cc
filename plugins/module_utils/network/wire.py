# SPDX-License-Identifier: GPL-3.0-or-later
"""Netlink on the wire: messages, attributes, acknowledgements and dumps (netlink(7)).

A request is a header, a fixed struct and attributes; an attribute is (length, type, bytes), padded to four, and may
hold attributes itself. The kernel answers a change with an errno (0 is success), and a dump with a series of messages
that NLMSG_DONE ends.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import Optional, TypeVar

from .netns import entered

NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP_INTR = 0x01, 0x04, 0x10
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE, NLM_F_DUMP = 0x100, 0x200, 0x400, 0x300
SO_SNDBUFFORCE = 32  # asm-generic/socket.h
SOL_NETLINK, NETLINK_CAP_ACK, NETLINK_EXT_ACK, NLMSGERR_ATTR_MSG = 270, 10, 11, 1
NESTED = 0x8000

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_U32 = struct.Struct("=I")
_TYPE_MASK = 0x3FFF
_BUFFER = 1 << 16

Self = TypeVar("Self", bound="Netlink")
Message = tuple[int, int, bytes]
"""Kind, flags, body."""


def attribute(number: int, payload: bytes) -> bytes:
    """One attribute. Its length field has 16 bits: what does not fit is refused, not cut (CVE-2021-43784)."""
    length = _ATTRIBUTE.size + len(payload)
    if length > 0xFFFF:
        raise OSError(errno.EMSGSIZE, f"netlink attribute {number} of {len(payload)} bytes")
    return _ATTRIBUTE.pack(length, number) + payload + bytes(-length % 4)


def nested(number: int, *attributes: bytes) -> bytes:
    """An attribute made of attributes."""
    return attribute(number | NESTED, b"".join(attributes))


def text(number: int, value: str) -> bytes:
    """A string attribute, with the NUL the kernel expects."""
    return attribute(number, value.encode() + b"\0")


def number32(number: int, value: int) -> bytes:
    """A 32-bit attribute."""
    return attribute(number, _U32.pack(value))


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes in `data` by their number."""
    return dict(each_attribute(data))


def each_attribute(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The attributes in `data` one after the other: in a list they all have the same number."""
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, number = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            break
        yield number & _TYPE_MASK, data[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3


class Netlink:
    """A netlink socket. It stays in the network namespace in which it was opened: `netns` is that one's path."""

    protocol = socket.NETLINK_ROUTE

    def __init__(self, netns: Optional[str] = None) -> None:
        with entered(netns):
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, self.protocol)
        self._socket.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        self._socket.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._socket.close()

    def request(self, what: str, kind: int, flags: int, body: bytes) -> list[bytes]:
        """Send one message and wait for its acknowledgement; the messages that came before it are returned."""
        return self.send(what, (kind, flags | NLM_F_ACK, body))

    def send(self, what: str, *messages: Message) -> list[bytes]:
        """Send messages in one packet and wait for the first acknowledgement; an OSError where it is a refusal."""
        self._send(*messages)
        answers: list[bytes] = []
        while True:
            for answered, _flags, payload in self._receive():
                if answered == NLMSG_ERROR:
                    _raise_refusal(what, payload)
                    return answers
                answers.append(payload)

    def dump(self, what: str, kind: int, body: bytes) -> list[bytes]:
        """All objects of a kind. A list that changed while it was read (NLM_F_DUMP_INTR) is read again."""
        while True:
            self._send((kind, NLM_F_DUMP, body))
            answers: list[bytes] = []
            interrupted = done = False
            while not done:
                for answered, flags, payload in self._receive():
                    interrupted = interrupted or bool(flags & NLM_F_DUMP_INTR)
                    if answered == NLMSG_ERROR:
                        _raise_refusal(what, payload)
                    done = done or answered in (NLMSG_DONE, NLMSG_ERROR)
                    answers.append(payload)
            if not interrupted:
                return answers[:-1]

    def _send(self, *messages: Message) -> None:
        self._sequence += 1
        raw = b"".join(
            _HEADER.pack(_HEADER.size + len(body), kind, flags | NLM_F_REQUEST, self._sequence, 0) + body
            for kind, flags, body in messages
        )
        if len(raw) > _BUFFER:  # they must be in one packet, and more than this a socket does not take unasked
            self._socket.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, len(raw))
        self._socket.sendto(raw, (0, 0))

    def _receive(self) -> Iterator[tuple[int, int, bytes]]:
        data = self._socket.recv(_BUFFER)
        at = 0
        while at + _HEADER.size <= len(data):
            length, kind, flags, sequence, _port = _HEADER.unpack_from(data, at)
            if sequence == self._sequence:
                yield kind, flags, data[at + _HEADER.size : at + length]
            at += (length + 3) & ~3


def _raise_refusal(what: str, payload: bytes) -> None:
    (code,) = struct.unpack_from("=i", payload)
    if code == 0:
        return
    # After the errno comes the header of the refused request, then, from Linux 4.12, the kernel's own words.
    words = attributes(payload[4 + _HEADER.size :]).get(NLMSGERR_ATTR_MSG, b"").rstrip(b"\0").decode(errors="replace")
    raise OSError(-code, f"{what}: {os.strerror(-code)}" + (f" ({words})" if words else ""))
