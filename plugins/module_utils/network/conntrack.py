# SPDX-License-Identifier: GPL-3.0-or-later
"""Forgetting the kernel's memory of UDP flows (ctnetlink), where a published port changed.

A flow is translated as its first packet was, for as long as packets keep coming. A client that sends to a UDP port all
the time would never notice that the port is published now, or belongs to another container.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Collection

from .wire import NESTED, Netlink, attribute, attributes

NETLINK_NETFILTER = 12
_GET, _DELETE = 0x0101, 0x0102  # NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, IPCTNL_MSG_CT_DELETE
_NFGENMSG = struct.Struct("=BBH")
CTA_TUPLE_ORIG, CTA_TUPLE_PROTO = 1, 2
CTA_PROTO_NUM, CTA_PROTO_DST_PORT = 1, 3


class Conntrack(Netlink):
    """A socket to the table of connections."""

    protocol = NETLINK_NETFILTER


def forget_udp(ports: Collection[int]) -> None:
    """Delete the flows that began with a packet to one of these ports."""
    if not ports:
        return
    with Conntrack() as table:
        for flow in table.dump("list connections", _GET, _NFGENMSG.pack(socket.AF_UNSPEC, 0, 0)):
            tuple_ = attributes(flow[_NFGENMSG.size :]).get(CTA_TUPLE_ORIG, b"")
            if _is_udp_to(tuple_, ports):
                # ENOENT: it ended meanwhile
                with contextlib.suppress(FileNotFoundError):
                    body = _NFGENMSG.pack(flow[0], 0, 0) + attribute(CTA_TUPLE_ORIG | NESTED, tuple_)
                    table.request("forget a connection", _DELETE, 0, body)


def _is_udp_to(flow: bytes, ports: Collection[int]) -> bool:
    protocol = attributes(attributes(flow).get(CTA_TUPLE_PROTO, b""))
    port = protocol.get(CTA_PROTO_DST_PORT, b"")
    return protocol.get(CTA_PROTO_NUM) == bytes([socket.IPPROTO_UDP]) and int.from_bytes(port, "big") in ports
