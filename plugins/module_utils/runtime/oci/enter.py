# SPDX-License-Identifier: GPL-3.0-or-later
"""The way into the command: once more from the start, by an interpreter that no container can write to.

A container may execute `/proc/self/exe` of the process that becomes it and write to the file that it finds there,
which is the host's Python (CVE-2019-5736). So the command makes a mount namespace in which that file is read-only,
executes it from there, and goes back: what a process has been executed from stays the read-only mount. Hooks, and
mounts that are to be seen by the host, need the namespace that the command was called in.

Nothing but what that takes is imported here.
"""

from __future__ import annotations

import os
import sys

from ...linux import libc
from ...linux.seal import seal

SELF = "/proc/self/exe"
MARK = "--sealed="


def main() -> None:
    """Called by the archive's `__main__`."""
    arguments = sys.argv[1:]
    if not os.statvfs(SELF).f_flag & os.ST_RDONLY:
        _again(os.path.abspath(sys.argv[0]), arguments)
    libc.prctl(libc.PR_SET_DUMPABLE, 0)
    if arguments and arguments[0].startswith(MARK):
        _go_back(arguments.pop(0))
    from . import main as command

    command.main(arguments)


def _again(archive: str, arguments: list[str]) -> None:
    """Execute the interpreter from a read-only mount; where to go back to is handed on as descriptors."""
    executable = os.readlink(SELF)
    home = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in ("/proc/self/ns/mnt", "/", ".")]
    try:
        seal(executable)
    except OSError as exc:
        os.write(2, f"mini-oci needs root on this host: {exc.strerror}\n".encode())
        os._exit(1)
    for fd in home:
        os.set_inheritable(fd, True)
    os.chdir("/")
    os.execv(executable, [executable, "-I", "-S", archive, MARK + ",".join(map(str, home)), *arguments])


def _go_back(mark: str) -> None:
    """setns(2) leads to the namespace's root; the caller may have been in a chroot."""
    namespace, root, directory = (int(fd) for fd in mark[len(MARK) :].split(","))
    libc.setns(namespace, libc.CLONE_NEWNS)
    os.fchdir(root)
    os.chroot(".")
    os.fchdir(directory)
    for fd in (namespace, root, directory):
        os.close(fd)
