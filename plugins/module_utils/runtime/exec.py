# SPDX-License-Identifier: GPL-3.0-or-later
"""A further process in a running container, as confined as its first one.

The caller stays outside, whatever happens to it. Its child is born into the container's pid namespace and enters the
others itself, once nothing of the host is needed any more.
"""

from __future__ import annotations

import errno
import os
from typing import Any, Callable, NoReturn

from ..linux import capabilities, libc
from ..linux.cgroups.detect import open_cgroup
from ..linux.files import write_kernel
from ..linux.process import Process, exit_code
from . import confine, console, report, users
from .bundle import Bundle, environment
from .filters import Filter
from .report import Report

# All but the pid namespace, which a process cannot enter; those two that most containers share with the host only
# where they are the container's own.
ENTERED = libc.CLONE_NEWNS | libc.CLONE_NEWUTS | libc.CLONE_NEWIPC | libc.CLONE_NEWNET | libc.CLONE_NEWCGROUP
ENTERED_IF_OWNED = (libc.CLONE_NEWTIME, libc.CLONE_NEWUSER)
NOT_RUNNING = Report("join", 0, "", "the container is not running")


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
        self.target_fd = -1
        self.terminal_fd = -1
        self.user = users.User(0, 0, (), "")
        self.environment: dict[bytes, bytes] = {}

    def join_cgroup(self) -> None:
        """By the host's files, so first."""
        for path in self.join_files:
            write_kernel(path, "0")

    def reset_inherited(self) -> None:
        """A session, a keyring and signals of its own."""
        os.setsid()
        confine.new_keyring("_ses.exec")
        confine.reset_inherited(self.process)

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
            console.take(self.terminal_fd)
        else:
            confine.open_stdio(self.stdio, self.user)

    def close_descriptors(self) -> None:
        """All but those that the caller hands on, and the pipe to it."""
        (self.sync_fd,) = confine.keep_only([self.sync_fd], self.preserved)

    def set_rlimits(self) -> None:
        """While the hard ones may still be raised."""
        confine.set_rlimits(self.process)

    def drop_bounding(self) -> None:
        """While the process may still do it."""
        confine.drop_bounding(self.process, self.last_capability)

    def filter_calls(self) -> None:
        """As long as the process may, unless no_new_privs lets it wait."""
        confine.filter_calls(self.filter, self.process, last=False)

    def become(self) -> None:
        """Groups, user, capabilities."""
        confine.become(self.user, self.process)

    def enter_directory(self) -> None:
        """As the user, who may not be allowed where root is."""
        confine.enter_directory(self.process.get("cwd", "/"))

    def filter_calls_at_last(self) -> None:
        """With no_new_privs: nothing but the exec is left to do."""
        confine.filter_calls(self.filter, self.process, last=True)

    def execute(self) -> None:
        """The sync pipe closes with the exec, which tells the caller that it worked."""
        confine.execute(self.arguments, self.environment)


STEPS: tuple[tuple[str, Callable[[Visitor], Any]], ...] = (
    ("cgroup-join", Visitor.join_cgroup),
    ("reset", Visitor.reset_inherited),
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
    ("seccomp", Visitor.filter_calls_at_last),
    ("exec", Visitor.execute),
)


def begin(visitor: Visitor, target: Process) -> int | Report:
    """Start the process beside `target`: the pid of our child once its program runs, or what failed.

    Python reads files at any time: a traceback shows lines of source, decoded as they themselves ask for. A caller
    whose root was the container's would take the image's files for its own (CVE-2019-14271).
    """
    pidfd = target.open()
    if pidfd is None:
        return NOT_RUNNING
    visitor.target_fd = pidfd
    sync_read, visitor.sync_fd = os.pipe()
    try:
        libc.setns(pidfd, libc.CLONE_NEWPID)
        child = os.fork()
    except OSError as exc:
        # ENOMEM: nothing is born any more into a pid namespace whose first process is dead.
        gone = exc.errno in (errno.ESRCH, errno.ENOMEM)
        return NOT_RUNNING if gone else Report("fork", exc.errno or 0, "", "")
    if child == 0:
        enter(visitor)
    os.close(visitor.sync_fd)
    problem = report.read_all(sync_read)
    os.close(sync_read)
    if not problem:
        return child
    os.waitpid(child, 0)
    failed = report.parse(problem)
    return NOT_RUNNING if failed.errno == errno.ESRCH and failed.step == "namespaces" else failed


def wait(pid: int) -> int:
    """How the process ended: its exit code, or 128 and the number of the signal that ended it."""
    return exit_code(os.waitpid(pid, 0)[1])


def enter(visitor: Visitor) -> NoReturn:
    """Become the process, in a child that was born into the container's pid namespace; `sync_fd` takes the report."""
    step = "start"
    try:
        for step, action in STEPS:
            action(visitor)
    except BaseException as exc:
        report.send(visitor.sync_fd, step, exc)
    finally:
        os._exit(1)
