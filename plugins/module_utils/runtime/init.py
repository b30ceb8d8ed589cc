# SPDX-License-Identifier: GPL-3.0-or-later
"""The first process of a container, from the fork to its program: the order of work, and why it is that order.

`STEPS` is the whole story. Everything that could run code or decode data of the image happens before `pivot`: after
it only calls into C that is already loaded (an image could bring its own Python library, locale or NSS modules). The
process has been non-dumpable since the launcher, so nothing in the container can open it through /proc while it
still holds the host's privileges (CVE-2016-9962).
"""

from __future__ import annotations

import json
import os
from typing import Any, Callable, NoReturn

from ..linux import capabilities, libc, loopback
from ..linux.cgroups.detect import Hierarchies
from ..linux.files import write_kernel
from ..linux.inroot import make_dirs_in_root
from . import confine, console, hooks, marks, placement, report, rootfs, users
from .bundle import OF_CHILDREN, Bundle, environment
from .filters import Filter
from .mounts import Mounter


class Child:
    """What the steps share. All of it is prepared by its parent, before the fork."""

    def __init__(self, bundle: Bundle, filter_: Filter | None, groups: Hierarchies, join_files: list[str]) -> None:
        self.bundle = bundle
        self.filter = filter_
        self.groups = groups
        self.join_files = join_files
        self.last_capability = capabilities.last_capability()
        self.arguments = [os.fsencode(argument) for argument in bundle.process["args"]]
        # The parent may give the process other streams than its own (-1: the container's /dev/null), a socket that
        # waits for the terminal, descriptors from 3 on that stay open, a fifo to wait at once all is ready, and the
        # host's mount namespace, when mounts are to go out to it and the parent is in another.
        self.stdio: tuple[int, int, int] | None = None
        self.console_fd = -1
        self.preserved = 0
        self.start_fd = -1
        self.use_pivot = True
        self.use_keyring = True
        self.hook_state: dict[str, Any] = {}
        self.sync_fd = -1
        self.go_fd = -1
        self.root_fd = -1
        self.mounter: Mounter | None = None
        self.null_fd = -1
        self.terminal_fd = -1
        self.users_fd = -1
        self.host_fd = -1
        self.user = users.User(0, 0, (), "")
        self.environment: dict[bytes, bytes] = {}
        self.start_hooks: tuple[list[dict[str, Any]], bytes] = ([], b"")

    def join_cgroup(self) -> None:
        """Before the cgroup namespace is made, whose root the process's cgroup becomes."""
        for path in self.join_files:
            write_kernel(path, "0")

    def enter_namespaces(self) -> None:
        """Those of the pids and of the times are there already: the process was born into them."""
        if self.host_fd >= 0:
            rootfs.return_to_host(self.host_fd)
        new = 0
        for flag, path in self.bundle.namespaces():
            if flag & OF_CHILDREN:
                continue
            if flag == libc.CLONE_NEWUSER and path:
                self.users_fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                continue
            if path:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                libc.setns(fd, flag)
                os.close(fd)
            else:
                new |= flag
        libc.unshare(new)
        if new & libc.CLONE_NEWNET:
            loopback.bring_up()

    def new_keyring(self) -> None:
        """Before anything could be found in the one inherited."""
        if self.use_keyring:
            confine.new_keyring(f"_ses.{os.path.basename(self.bundle.directory)}")

    def reset_inherited(self) -> None:
        """Signals, umask and what else a session hands on."""
        confine.reset_inherited(self.bundle.process)

    def set_scheduler(self) -> None:
        """The kernel's answer says only that it refuses: the step has a name of its own."""
        confine.set_scheduler(self.bundle.process)

    def settle(self) -> None:
        """What it takes the machine for."""
        placement.settle(self.bundle.linux)

    def set_sysctls(self) -> None:
        """Through the host's /proc, which shows each reader its own namespaces; the container's could be a fake."""
        for name, value in (self.bundle.linux.get("sysctl") or {}).items():
            write_kernel("/proc/sys/" + sysctl_path(name), value)

    def set_names(self) -> None:
        """Host name, in the UTS namespace of the container."""
        if self.bundle.config.get("hostname"):
            libc.sethostname(self.bundle.config["hostname"])
        if self.bundle.config.get("domainname"):
            libc.setdomainname(self.bundle.config["domainname"])

    def act_for_users(self) -> None:
        """What is made from here on belongs to the container's root, who on the host is a nobody.

        The kernel takes the capabilities over files away from who acts as another than root; they are taken back.
        """
        if self.users_fd >= 0:
            libc.act_as(*self.bundle.on_host(0, 0))
            everything = capabilities.mask(capabilities.available())
            capabilities.limit_to(everything, everything)
            libc.prctl(libc.PR_SET_DUMPABLE, 0)

    def mount_root(self) -> None:
        """The overlay, or the bundle's directory, seen by this mount namespace only."""
        self.null_fd = rootfs.open_null()
        self.root_fd = rootfs.mount_root(self.bundle, self.users_fd)

    def mount_all(self) -> None:
        """proc, sys, dev, the volumes."""
        self.mounter = Mounter(self.root_fd, self.bundle, self.groups, self.users_fd)
        self.mounter.mount_all()

    def find_user(self) -> None:
        """Names are looked up in the image while its root is still only a directory."""
        self.user = users.of_process(self.root_fd, self.bundle.process.get("user") or {})
        self.environment = environment(self.bundle.process, self.user.home)

    def make_working_directory(self) -> None:
        """As Docker does: a missing one is made, inside the root whatever the image's links say."""
        os.close(make_dirs_in_root(self.root_fd, self.bundle.process.get("cwd", "/")))

    def open_terminal(self) -> None:
        """A pty, whose master goes to whoever waits for it."""
        if not self.bundle.process.get("terminal"):
            return
        terminal = console.open_terminal(self.root_fd, self.bundle.process.get("consoleSize"))
        owner, _group = self.bundle.on_host(self.user.uid, self.user.gid)
        os.fchown(terminal.slave, owner, -1)
        console.mount_console(self.root_fd, terminal.slave)
        console.send(self.console_fd, terminal.master)
        os.close(terminal.master)
        self.terminal_fd = terminal.slave

    def wait_for_hooks(self) -> None:
        """Those that run outside: the namespaces are there, the host is still in sight, nothing of the image runs."""
        if any(self.bundle.hooks.get(kind) for kind in HOOKS_OUTSIDE):
            self._ask(marks.HOOKS)

    def run_hooks(self) -> None:
        """Those that run inside but are the host's programs; and what those of the image will be told."""
        kind = "createContainer"
        told = json.dumps(self.hook_state).encode()
        hooks.run(kind, self.bundle.hooks.get(kind) or [], told, self.bundle.directory)
        later = {**self.hook_state, "status": "created", "pid": os.getpid()}
        self.start_hooks = (self.bundle.hooks.get("startContainer") or [], json.dumps(later).encode())

    def set_label(self) -> None:
        """After the hooks, which are not the container's processes."""
        confine.set_label(self.bundle.process)

    def hide(self) -> None:
        """Last of all mounts, so that none can be laid over them."""
        if self.mounter:
            self.mounter.restrict()
        rootfs.mask(self.root_fd, self.bundle.linux.get("maskedPaths") or [], self.null_fd)
        rootfs.protect(self.root_fd, self.bundle.linux.get("readonlyPaths") or [])

    def pivot(self) -> None:
        """From here on the image's files are the process's files."""
        change = rootfs.pivot if self.use_pivot else rootfs.move
        change(self.root_fd, self.bundle)

    def open_stdio(self) -> None:
        """The terminal, or what the parent has given; it belongs to the user, who may reopen it."""
        if self.terminal_fd >= 0:
            console.take_control(self.terminal_fd)
            console.take_streams(self.terminal_fd)
        else:
            confine.open_stdio(self.stdio, self.bundle.on_host(self.user.uid, self.user.gid))

    def close_descriptors(self) -> None:
        """All but those that the caller hands on and those to the parent."""
        names = [name for name in ("sync_fd", "go_fd", "start_fd", "users_fd") if getattr(self, name) >= 0]
        kept = confine.keep_only([getattr(self, name) for name in names], self.preserved)
        for name, fd in zip(names, kept):
            setattr(self, name, fd)

    def set_rlimits(self) -> None:
        """While the hard ones may still be raised."""
        confine.set_rlimits(self.bundle.process)

    def enter_users(self) -> None:
        """Late: who is in it can do nothing to the host any more, and has all capabilities over what is its own.

        Its mounts are its own then as well, but for those that it found.
        """
        if self.users_fd >= 0:
            libc.setns(self.users_fd, libc.CLONE_NEWUSER)
            libc.unshare(libc.CLONE_NEWNS)
            os.close(self.users_fd)

    def drop_bounding(self) -> None:
        """While the process may still do it."""
        confine.drop_bounding(self.bundle.process, self.last_capability)

    def filter_calls(self) -> None:
        """As long as the process may, unless no_new_privs lets it wait."""
        confine.filter_calls(self.filter, self.bundle.process, self._ask, last=False)

    def become(self) -> None:
        """Groups, user, capabilities."""
        confine.become(self.user, self.bundle.process)

    def enter_directory(self) -> None:
        """As the user, who may not be allowed where root is."""
        confine.enter_directory(self.bundle.process.get("cwd", "/"))

    def find_program(self) -> None:
        """A program that is not there is an error of the creation, not of the start."""
        confine.find_program(self.arguments[0], self.environment)

    def filter_calls_for_listener(self) -> None:
        """With no_new_privs: while the parent is there, who alone can reach the listener."""
        if self.filter and self.filter.listens:
            confine.filter_calls(self.filter, self.bundle.process, self._ask, last=True)
            self.filter = None

    def wait_for_go(self) -> None:
        """The parent writes down who we are before the program can run, so that no crash can orphan it."""
        self._ask(marks.READY)
        libc.prctl(libc.PR_SET_PDEATHSIG, 0)

    def _ask(self, what: bytes) -> None:
        marks.ask(self.sync_fd, self.go_fd, what)

    def wait_for_start(self) -> None:
        """The parent need not be there any more: whoever wants the program to run writes to the fifo, and is told there
        what fails then. With the exec the fifo closes."""
        if self.start_fd >= 0:
            os.close(self.sync_fd)
            self.sync_fd = -1
            os.read(self.start_fd, 1)

    def run_start_hooks(self) -> None:
        """The image's own programs, as confined as the one that they prepare for."""
        hooks.run("startContainer", *self.start_hooks)

    def filter_calls_at_last(self) -> None:
        """With no_new_privs: nothing but the exec is left to do."""
        confine.filter_calls(self.filter, self.bundle.process, self._ask, last=True)

    def execute(self) -> None:
        """The sync pipe closes with the exec, which tells the monitor that it worked."""
        confine.execute(self.arguments, self.environment)


def sysctl_path(name: str) -> str:
    """`net.ipv4.conf.eth0/1.forwarding` has a dot in a name; with `/` before the first dot it is a path already."""
    first = min((position for position in (name.find("."), name.find("/")) if position >= 0), default=-1)
    return name if first >= 0 and name[first] == "/" else name.translate(str.maketrans("./", "/."))


HOOKS_OUTSIDE = ("prestart", "createRuntime")

STEPS: tuple[tuple[str, Callable[[Child], Any]], ...] = (
    ("cgroup-join", Child.join_cgroup),
    ("namespaces", Child.enter_namespaces),
    ("keyring", Child.new_keyring),
    ("reset", Child.reset_inherited),
    ("scheduler", Child.set_scheduler),
    ("placement", Child.settle),
    ("hostname", Child.set_names),
    ("users", Child.act_for_users),
    ("root", Child.mount_root),
    ("mounts", Child.mount_all),
    ("user", Child.find_user),
    ("working-directory", Child.make_working_directory),
    ("terminal", Child.open_terminal),
    ("hooks", Child.wait_for_hooks),
    ("sysctl", Child.set_sysctls),
    ("hooks", Child.run_hooks),
    ("label", Child.set_label),
    ("masks", Child.hide),
    ("pivot", Child.pivot),
    ("stdio", Child.open_stdio),
    ("descriptors", Child.close_descriptors),
    ("rlimits", Child.set_rlimits),
    ("users", Child.enter_users),
    ("bounding-set", Child.drop_bounding),
    ("seccomp", Child.filter_calls),
    ("identity", Child.become),
    ("working-directory", Child.enter_directory),
    ("exec", Child.find_program),
    ("seccomp", Child.filter_calls_for_listener),
    ("ready", Child.wait_for_go),
    ("start", Child.wait_for_start),
    ("hooks", Child.run_start_hooks),
    ("seccomp", Child.filter_calls_at_last),
    ("exec", Child.execute),
)


def run(child: Child) -> NoReturn:
    """Go through the steps; the one that fails is reported, and the process ends."""
    name = "start"
    try:
        for name, step in STEPS:
            step(child)
    except BaseException as exc:
        report.send(child.sync_fd if child.sync_fd >= 0 else child.start_fd, name, exc)
    finally:
        os._exit(1)
