# SPDX-License-Identifier: GPL-3.0-or-later
"""The loopback interface, which is born down with its network namespace (netdevice(7))."""

from __future__ import annotations

import _socket  # the part in C, as in runtime/console.py
import fcntl
import struct

_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1
_IFREQ = "16sh22x"  # struct ifreq: a name, and a union of which the flags are the first two bytes


def bring_up() -> None:
    """In the network namespace of the caller, who rules it: programs count on 127.0.0.1 even without a network."""
    found = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        fcntl.ioctl(found.fileno(), _SIOCSIFFLAGS, struct.pack(_IFREQ, b"lo", _IFF_UP))
    finally:
        found.close()
