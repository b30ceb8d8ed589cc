# SPDX-License-Identifier: GPL-3.0-or-later
"""A terminal for a container: a pty of its own devpts, never the host's terminal (pty(7), ioctl_tty(2)).

The master leaves the container through a socket, to whoever holds it: the monitor, an engine's `--console-socket`,
or us. The slave is had from the master, by number and not by a path that an image could redirect (CVE-2025-52565).
"""

from __future__ import annotations

import _socket  # the part in C: what socket.py adds takes longer to import than a container takes to start
import fcntl
import os
import select
import signal
import struct
import termios
import tty
from typing import Any, NamedTuple

from ..linux import libc
from ..linux.files import open_in_root
from ..linux.inroot import make_dirs_in_root
from ..linux.mount import bind
from .report import StepError

TIOCSPTLCK = 0x40045431
TIOCGPTPEER = 0x5441
DEVPTS_SUPER_MAGIC = 0x1CD1
PTMX = "/dev/pts/ptmx"
CHUNK = 65536


class Terminal(NamedTuple):
    """The two ends of a pty."""

    master: int
    slave: int


def open_terminal(root_fd: int, size: dict[str, Any] | None) -> Terminal:
    """A new pty of the devpts in the container's root, of OCI's `process.consoleSize`."""
    try:
        resolve = libc.RESOLVE_IN_ROOT | libc.RESOLVE_NO_SYMLINKS
        master = libc.openat2(root_fd, PTMX, os.O_RDWR | os.O_NOCTTY, resolve)
    except OSError as exc:
        raise StepError(f"a terminal needs a devpts at /dev/pts: {os.strerror(exc.errno or 0)}", PTMX) from exc
    if libc.file_system(master) != DEVPTS_SUPER_MAGIC:
        raise StepError("a terminal needs a devpts at /dev/pts, and something else is there", PTMX)
    fcntl.ioctl(master, TIOCSPTLCK, struct.pack("i", 0))
    slave = fcntl.ioctl(master, TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    if size:
        set_size(master, size["height"], size["width"])
    return Terminal(master, slave)


def set_size(master: int, rows: int, columns: int) -> None:
    """TIOCSWINSZ."""
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def mount_console(root_fd: int, slave: int) -> None:
    """The terminal as /dev/console, by descriptor."""
    dev = make_dirs_in_root(root_fd, "/dev")
    try:
        os.close(open_in_root(dev, "console", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o666))
        target = open_in_root(dev, "console", os.O_PATH | os.O_NOFOLLOW)
        os.close(bind(slave, target, recursive=False))
        os.close(target)
    finally:
        os.close(dev)


def connect(path: str) -> int:
    """Connect to the socket of somebody who waits for the master; its descriptor."""
    found = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    found.connect(path)
    return found.detach()


def pair() -> tuple[int, int]:
    """Two connected sockets, for a master that stays in the family."""
    one, other = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
    return one.detach(), other.detach()


def send(socket_fd: int, fd: int, said: bytes = b"/dev/ptmx") -> None:
    """Hand over a descriptor, a terminal's master unless `said` says what it is, with a name as runc sends one."""
    to = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, socket_fd)
    try:
        sent = to.sendmsg([said], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", fd))])
        if sent < len(said):  # who has all of it may be gone, and even nothing can then not be sent
            to.sendall(said[sent:])
    finally:
        to.detach()


def receive(socket_fd: int) -> int:
    """The master that comes; -1 when the other end went away without."""
    source = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, socket_fd)
    try:
        _data, extra, _flags, _address = source.recvmsg(64, _socket.CMSG_LEN(4), _socket.MSG_CMSG_CLOEXEC)
    finally:
        source.detach()
    return int(struct.unpack("i", extra[0][2][:4])[0]) if extra else -1


def take_control(slave: int) -> None:
    """Make the terminal the one that controls the process, which leads a session without one."""
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)


def take_streams(slave: int) -> None:
    """Make the terminal the three streams of the process."""
    for number in (0, 1, 2):
        os.dup2(slave, number)


def read(master: int) -> bytes:
    """What the terminal shows; nothing at its end, which Linux reports as EIO when the last slave is closed."""
    try:
        return os.read(master, CHUNK)
    except OSError:
        return b""


class Relay:
    """Copies what is typed on `source` (-1: nothing) to the terminal, and what that shows to `sink`."""

    def __init__(self, master: int, source: int, sink: int) -> None:
        self.master = master
        self.source = source
        self.sink = sink
        self.typed = b""
        # A terminal takes no more input while its output waits to be read, and it is we who read it.
        os.set_blocking(master, False)

    def until(self, ended: int) -> None:
        """Go on until `ended` (a pidfd) is readable, and all that the process has written before is copied."""
        while ended not in (ready := self._wait(ended)):
            if self.source in ready:
                self._read_source()
            if self.typed:
                self._type()
            if self.master in ready and not self._show():
                self.master = -1
        while self.master >= 0 and self._show():
            pass

    def _wait(self, ended: int) -> set[int]:
        poller = select.poll()
        poller.register(ended, select.POLLIN)
        if self.master >= 0:
            poller.register(self.master, select.POLLIN | (select.POLLOUT if self.typed else 0))
        if self.source >= 0 and not self.typed:
            poller.register(self.source, select.POLLIN)
        return {fd for fd, _events in poller.poll()}

    def _read_source(self) -> None:
        """At its end the terminal is told so, as a person would: control-D, for a reader of lines."""
        try:
            self.typed = os.read(self.source, 1024)
        except OSError:
            self.typed = b""
        if not self.typed:
            self.typed, self.source = b"\x04", -1

    def _type(self) -> None:
        try:
            self.typed = self.typed[os.write(self.master, self.typed) :]
        except BlockingIOError:
            pass
        except OSError:
            self.typed, self.source = b"", -1

    def _show(self) -> bool:
        """Copy a piece; False at the end, or when there is nothing just now."""
        try:
            chunk = os.read(self.master, CHUNK)
        except BlockingIOError:
            return self.typed != b""
        except OSError:
            return False
        view = memoryview(chunk)
        while view:
            view = view[os.write(self.sink, view) :]
        return bool(chunk)


class RawMode:
    """Our own terminal while it stands for the container's: no line editing here, and its size handed on."""

    def __init__(self, master: int) -> None:
        self.master = master
        self.before: list[Any] | None = None

    def __enter__(self) -> None:
        if os.isatty(0):
            self.before = termios.tcgetattr(0)
            tty.setraw(0)
            self._resize()
            signal.signal(signal.SIGWINCH, lambda *_: self._resize())

    def _resize(self) -> None:
        size = os.get_terminal_size(0)
        set_size(self.master, size.lines, size.columns)

    def __exit__(self, *_exc: object) -> None:
        if self.before is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, self.before)
