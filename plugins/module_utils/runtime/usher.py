# SPDX-License-Identifier: GPL-3.0-or-later
"""How a further process comes into a running container, as confined as its first one: the order of work.

Nothing in the container may meet a process that still has more than the container: with CAP_SYS_PTRACE it would take
that over, whatever it does against it, and its `/proc/N/root` would be the host's. So two processes do the work.

1. The usher stays outside of the container's pid namespace, where nobody inside can name it. It goes through `OUTSIDE`,
   until it has nothing left that the container has not.
2. There it clones the process proper, which is born into the pid namespace and goes through `INSIDE`. That is a child
   of the usher's parent (CLONE_PARENT); the usher says which one it is, and ends.
"""

from __future__ import annotations

import errno
import os
from typing import Any, Callable, NoReturn

from ..linux import capabilities, libc
from ..linux.cgroups.detect import open_cgroup
from ..linux.files import write_kernel
from . import confine, console, marks, placement, report, users
from .bundle import Bundle, environment
from .filters import Filter
from .marks import BORN, NUMBER
from .report import StepError

# All but the pid namespace, which a process cannot enter; those two that most containers share with the host only
# where they are the container's own.
ENTERED = libc.CLONE_NEWNS | libc.CLONE_NEWUTS | libc.CLONE_NEWIPC | libc.CLONE_NEWNET | libc.CLONE_NEWCGROUP
ENTERED_IF_OWNED = (libc.CLONE_NEWTIME, libc.CLONE_NEWUSER)


class Visitor:
    """What the steps share. All of it is prepared before the fork; see `Child` in init.py for the fields."""

    def __init__(self, bundle: Bundle, filter_: Filter | None, process: dict[str, Any]) -> None:
        self.bundle = bundle
        self.filter = filter_
        self.process = process
        self.arguments = [os.fsencode(argument) for argument in process["args"]]
        self.join_files = open_cgroup(bundle.cgroup_path).join_files()
        self.last_capability = capabilities.last_capability()
        self.stdio: tuple[int, int, int] | None = None
        self.console_fd = -1
        self.preserved = 0
        self.sync_fd = -1
        self.go_fd = -1
        self.target_fd = -1
        self.terminal_fd = -1
        self.user = users.User(0, 0, (), "")
        self.environment: dict[bytes, bytes] = {}

    def choose_pids(self) -> None:
        """Where children are born from now on; who asks stays where it is."""
        libc.setns(self.target_fd, libc.CLONE_NEWPID)

    def join_cgroup(self) -> None:
        """By the host's files, so early."""
        placement.set_affinity(self.process, "initial")
        for path in self.join_files:
            write_kernel(path, "0")

    def reset_inherited(self) -> None:
        """A keyring and signals of its own."""
        confine.new_keyring("_ses.exec")
        confine.reset_inherited(self.process)

    def settle(self) -> None:
        """What it takes the machine for, and where in it it may run."""
        placement.settle(self.bundle.linux)
        placement.set_affinity(self.process, "final")

    def set_label(self) -> None:
        """While /proc is the host's."""
        confine.set_label(self.process)

    def enter_namespaces(self) -> None:
        """All at once. From here on the image's files are the process's files."""
        more = sum(flag for flag in ENTERED_IF_OWNED if self.bundle.owns(flag))
        libc.setns(self.target_fd, ENTERED | more)
        os.chdir("/")

    def find_user(self) -> None:
        """The user and the terminal, both by what the container has."""
        root_fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.user = users.of_process(root_fd, self.process.get("user") or {})
        self.environment = environment(self.process, self.user.home)
        if self.process.get("terminal"):
            terminal = console.open_terminal(root_fd, self.process.get("consoleSize"))
            os.fchown(terminal.slave, self.user.uid, -1)
            console.send(self.console_fd, terminal.master)
            self.terminal_fd = terminal.slave

    def open_stdio(self) -> None:
        """The terminal, or what the caller has given."""
        if self.terminal_fd >= 0:
            console.take_streams(self.terminal_fd)
        else:
            confine.open_stdio(self.stdio, (self.user.uid, self.user.gid))

    def close_descriptors(self) -> None:
        """All but those that the caller hands on, and the pipes between it and us."""
        self.sync_fd, self.go_fd = confine.keep_only([self.sync_fd, self.go_fd], self.preserved)

    def set_rlimits(self) -> None:
        """While the hard ones may still be raised."""
        confine.set_rlimits(self.process)

    def drop_bounding(self) -> None:
        """While the process may still do it."""
        confine.drop_bounding(self.process, self.last_capability)

    def filter_calls(self) -> None:
        """As long as the process may, unless no_new_privs lets it wait."""
        confine.filter_calls(self.filter, self.process, self._ask, last=False)

    def filter_calls_before_birth(self) -> None:
        """Who may trace could take the process before it has come under its filter; and a listener may be asked by all
        that comes after it.
        """
        granted = (self.process.get("capabilities") or {}).get("bounding") or ()
        if self.filter and (self.filter.listens or "CAP_SYS_PTRACE" in granted):
            self.filter_calls_at_last()
            self.filter = None

    def become(self) -> None:
        """Groups, user, capabilities."""
        confine.become(self.user, self.process)

    def enter_directory(self) -> None:
        """As the user, who may not be allowed where root is."""
        confine.enter_directory(self.process.get("cwd", "/"))

    def lead_session(self) -> None:
        """A session of its own, which the terminal controls."""
        os.setsid()
        if self.terminal_fd >= 0:
            console.take_control(0)

    def wait_for_go(self) -> None:
        """The caller knows of us; if it is gone, nobody does."""
        marks.wait(self.go_fd)

    def _ask(self, what: bytes) -> None:
        marks.ask(self.sync_fd, self.go_fd, what)

    def filter_calls_at_last(self) -> None:
        """With no_new_privs: nothing but the exec is left to do."""
        confine.filter_calls(self.filter, self.process, self._ask, last=True)

    def execute(self) -> None:
        """The sync pipe closes with the exec, which tells the caller that it worked."""
        confine.execute(self.arguments, self.environment)


OUTSIDE: tuple[tuple[str, Callable[[Visitor], Any]], ...] = (
    ("namespaces", Visitor.choose_pids),
    ("cgroup-join", Visitor.join_cgroup),
    ("reset", Visitor.reset_inherited),
    ("placement", Visitor.settle),
    ("label", Visitor.set_label),
    ("namespaces", Visitor.enter_namespaces),
    ("user", Visitor.find_user),
    ("stdio", Visitor.open_stdio),
    ("descriptors", Visitor.close_descriptors),
    ("rlimits", Visitor.set_rlimits),
    ("bounding-set", Visitor.drop_bounding),
    ("seccomp", Visitor.filter_calls),
    ("identity", Visitor.become),
    ("working-directory", Visitor.enter_directory),
    ("seccomp", Visitor.filter_calls_before_birth),
)
INSIDE: tuple[tuple[str, Callable[[Visitor], Any]], ...] = (
    ("session", Visitor.lead_session),
    ("go", Visitor.wait_for_go),
    ("seccomp", Visitor.filter_calls_at_last),
    ("exec", Visitor.execute),
)


def enter(visitor: Visitor) -> NoReturn:
    """Be the usher, and then, in its clone, the process."""
    step = "start"
    try:
        for step, action in OUTSIDE:
            action(visitor)
        step = "birth"
        pid = _clone()
        if pid:
            os.write(visitor.sync_fd, BORN + NUMBER.pack(pid))
            os._exit(0)
        for step, action in INSIDE:
            action(visitor)
    except BaseException as exc:
        report.send(visitor.sync_fd, step, exc)
    finally:
        os._exit(1)


def _clone() -> int:
    """By now the container's limits hold, and without no_new_privs its filter of system calls."""
    try:
        return libc.clone_beside()
    except BlockingIOError as exc:  # EAGAIN
        text = "the container has no room for a further process (pids_limit, or nproc of its user)"
        raise StepError(text, errno=errno.EAGAIN) from exc
    except PermissionError as exc:
        raise StepError("the container's seccomp profile lets no process be born", errno=errno.EPERM) from exc
