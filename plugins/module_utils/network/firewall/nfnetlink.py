# SPDX-License-Identifier: GPL-3.0-or-later
"""A table of nf_tables over netlink: which rules and elements it has, by their comments; elements that come and go.

`nft list` loads every element of every set before it prints one rule, which takes 60 ms where 5 000 ports are
published. Here a chain, a set or a single element is asked for, and the kernel looks it up. And `nft` takes longer to
start than the kernel to change a set.

Sources: include/uapi/linux/netfilter/nf_tables.h and nfnetlink.h; net/netfilter/nfnetlink.c (nfnetlink_rcv_batch);
libnftnl, include/udata.h (comments).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Optional

from ..conntrack import NETLINK_NETFILTER
from ..wire import (
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_EXCL,
    Message,
    Netlink,
    attribute,
    attributes,
    each_attribute,
    nested,
    text,
)
from .elements import Key

NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6 = 1, 2, 10
_SUBSYSTEM = 10 << 8  # NFNL_SUBSYS_NFTABLES
GETCHAIN, GETRULE = _SUBSYSTEM | 4, _SUBSYSTEM | 7
NEWSETELEM, GETSETELEM, DELSETELEM = _SUBSYSTEM | 12, _SUBSYSTEM | 13, _SUBSYSTEM | 14
NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END = 16, 17
NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME = 1, 3
NFTA_RULE_TABLE, NFTA_RULE_CHAIN, NFTA_RULE_USERDATA = 1, 2, 7
NFTA_LIST_TABLE, NFTA_LIST_SET, NFTA_LIST_ELEMENTS, NFTA_LIST_ELEM = 1, 2, 3, 1
NFTA_ELEM_KEY, NFTA_ELEM_DATA, NFTA_ELEM_USERDATA, NFTA_ELEM_KEY_END, NFTA_DATA_VALUE = 1, 2, 6, 10, 1
_COMMENT = 0  # NFTNL_UDATA_RULE_COMMENT, NFTNL_UDATA_SET_ELEM_COMMENT
_NFGENMSG = struct.Struct("=BBH")
_ENVELOPE = struct.pack("=BBH", 0, 0, socket.htons(_SUBSYSTEM >> 8))
_MANY = 200  # elements in one message: the length of their list has 16 bits


class Element(NamedTuple):
    """An element of a set, with its comment. Of a map's element that is new, `value` is what the key leads to."""

    key: Key
    comment: str = ""
    value: bytes = b""


class Exchange(NamedTuple):
    """Elements of a set that go and that come. With `ranges` its keys are pairs, also where both are the same."""

    name: str
    ranges: bool
    gone: Sequence[Key]
    come: Sequence[Element]


class Table(Netlink):
    """A socket for one table; what does not exist has nothing in it."""

    protocol = NETLINK_NETFILTER

    def __init__(self, name: str, family: int = NFPROTO_INET) -> None:
        super().__init__()
        self.name = name
        self._head = _NFGENMSG.pack(family, 0, 0)

    def has_chain(self, chain: str) -> bool:
        """Whether there is a chain of this name."""
        body = self._head + text(NFTA_CHAIN_TABLE, self.name) + text(NFTA_CHAIN_NAME, chain)
        try:
            return bool(self.request("look a chain up", GETCHAIN, 0, body))
        except FileNotFoundError:
            return False

    def comments(self, chain: str) -> list[str]:
        """The comments of the rules of a chain, in order; empty where a rule has none."""
        body = self._head + text(NFTA_RULE_TABLE, self.name) + text(NFTA_RULE_CHAIN, chain)
        try:
            rules = self.dump("list rules", GETRULE, body)
        except FileNotFoundError:
            return []
        return [_comment(self._fields(rule).get(NFTA_RULE_USERDATA, b"")) for rule in rules]

    def elements(self, name: str) -> list[Element]:
        """All elements of a set."""
        try:
            answers = self.dump("list elements", GETSETELEM, self._set(name))
        except FileNotFoundError:
            return []
        return [element for answer in answers for element in self._read(answer)]

    def element(self, name: str, key: Key) -> Optional[Element]:
        """The element that covers a key."""
        body = self._set(name) + nested(NFTA_LIST_ELEMENTS, _packed(Element(key), ranges=False))
        try:
            answers = self.request("look an element up", GETSETELEM, 0, body)
        except FileNotFoundError:
            return None
        return next((element for answer in answers for element in self._read(answer)), None)

    def exchange(self, exchanges: Iterable[Exchange]) -> None:
        """Take elements out and put others in, as one transaction: when it fails, nothing has changed.

        What goes has to be there (ENOENT), and no key that comes (EEXIST). The last message asks for an answer: what
        is wrong with one before it, or with the whole, is told first.
        """
        *others, (kind, flags, body) = [message for each in exchanges for message in self._changes(each)]
        begin, end = (NFNL_MSG_BATCH_BEGIN, 0, _ENVELOPE), (NFNL_MSG_BATCH_END, 0, _ENVELOPE)
        self.send("change elements", begin, *others, (kind, flags | NLM_F_ACK, body), end)

    def _changes(self, each: Exchange) -> Iterator[Message]:
        going = [Element(key) for key in each.gone]
        for kind, flags, elements in ((DELSETELEM, 0, going), (NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, each.come)):
            for begin in range(0, len(elements), _MANY):
                packed = (_packed(element, each.ranges) for element in elements[begin : begin + _MANY])
                yield kind, flags, self._set(each.name) + nested(NFTA_LIST_ELEMENTS, *packed)

    def _set(self, name: str) -> bytes:
        return self._head + text(NFTA_LIST_TABLE, self.name) + text(NFTA_LIST_SET, name)

    def _fields(self, message: bytes) -> dict[int, bytes]:
        return attributes(message[_NFGENMSG.size :])

    def _read(self, message: bytes) -> Iterator[Element]:
        for _number, entry in each_attribute(self._fields(message).get(NFTA_LIST_ELEMENTS, b"")):
            fields = attributes(entry)
            first = _value(fields.get(NFTA_ELEM_KEY, b""))
            last = _value(fields[NFTA_ELEM_KEY_END]) if NFTA_ELEM_KEY_END in fields else first
            yield Element(Key(first, last), _comment(fields.get(NFTA_ELEM_USERDATA, b"")))


def supported() -> bool:
    """Whether the kernel has nf_tables; asking loads the module, where it is one."""
    try:
        with Table("mini") as table:
            table.has_chain("raw")
    except OSError:  # EINVAL, or EPROTONOSUPPORT without any nfnetlink
        return False
    return True


def _value(data: bytes) -> bytes:
    return attributes(data).get(NFTA_DATA_VALUE, b"")


def _packed(element: Element, ranges: bool) -> bytes:
    """An element of a list, as `nft` makes it."""
    fields = [_data(NFTA_ELEM_KEY, element.key.first)]
    if ranges:
        fields.append(_data(NFTA_ELEM_KEY_END, element.key.last))
    if element.value:
        fields.append(_data(NFTA_ELEM_DATA, element.value))
    if element.comment:
        comment = element.comment.encode() + b"\0"
        fields.append(attribute(NFTA_ELEM_USERDATA, bytes([_COMMENT, len(comment)]) + comment))
    return nested(NFTA_LIST_ELEM, *fields)


def _data(number: int, value: bytes) -> bytes:
    return nested(number, attribute(NFTA_DATA_VALUE, value))


def _comment(userdata: bytes) -> str:
    """Of a series of (type, length, value) with a byte each for the first two."""
    at = 0
    while at + 2 <= len(userdata):
        kind, length = userdata[at], userdata[at + 1]
        if kind == _COMMENT:
            return userdata[at + 2 : at + 2 + length].rstrip(b"\0").decode(errors="replace")
        at += 2 + length
    return ""
