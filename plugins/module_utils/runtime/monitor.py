# SPDX-License-Identifier: GPL-3.0-or-later
"""One small process a container: it has the container's program started, writes its log, and records how it ended.

It is born by a fork of the launcher (detach.py) and becomes the parent of the container's init (starter.py). Killing it
does not kill the container: another one can adopt that. It imports nothing once it runs: its code's directory may be
replaced by a newer version meanwhile. SIGHUP tells it that the bundle has changed.

It shares its memory with its siblings, page by page, until one of them writes there: a counter of references is
enough. So what is not needed while the container runs is not even touched here.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable
from typing import Any

from ..linux import libc
from ..linux.cgroups.detect import Cgroup, Hierarchies, open_cgroup
from ..linux.process import Process, exit_code, exit_status
from . import log, orphan, restart, starter, state, streams
from .bundle import (
    ANNOTATION_EXIT,
    ANNOTATION_HEALTH,
    ANNOTATION_RESTART,
    ANNOTATION_STATE,
    Bundle,
)
from .checkup import Checkup
from .door import Door, Serve
from .filters import Filter
from .outlets import Outlets
from .report import Report
from .starter import Starter
from .wakeup import Wakeup

LONGEST = 86400.0  # seconds; poll(2) counts milliseconds in an int


class Monitor:
    """Start or adopt, watch and bury one container."""

    def __init__(self, bundle: Bundle, filter_: Filter | None, groups: Hierarchies, mounts: int) -> None:
        self.bundle = bundle
        self.mounts = mounts
        self.filter = filter_
        self.groups = groups
        self.state_path = bundle.annotation(ANNOTATION_STATE)
        self.state: dict[str, Any] = {}
        self.log = log.of(bundle)
        self.streams = streams.Streams(self.log)
        self.checkup = Checkup(groups, filter_)
        self.door = Door()
        self.serve: Serve
        self.wakeup = Wakeup()
        self.starter: Starter | None = None
        self.init_pid = 0
        self.adopted: Process | None = None
        self.pidfd = -1
        self.backoff = restart.Backoff()

    @property
    def cgroup(self) -> Cgroup:
        """Opened when it is asked for, at the end as a rule: what is never used need not be in memory."""
        return open_cgroup(self.bundle.cgroup_path, self.groups)

    def start(self) -> Report | None:
        """Bring the container up: None when its program runs, else what failed, and nothing is left of it."""
        outlets = Outlets(self.bundle)
        order = starter.Order(self.bundle, self.filter, self.groups, self.mounts, outlets, self.state)
        self.starter = Starter(order)
        begun = self.starter.outcome()
        if begun is starter.KILLED:
            self.starter.bury()
            begun = self._orphan() or begun
        if isinstance(begun, Report):
            self.starter.bury()
            outlets.close()
            return begun
        self.state, self.init_pid = begun, begun["init"]["pid"]
        self.pidfd = libc.pidfd_open(self.init_pid)
        for fd, name in outlets.take().items():
            self.streams.add(fd, name)
        if self.bundle.text(ANNOTATION_HEALTH):
            self._take_care(None)
            self._write()
        return None

    def _orphan(self) -> dict[str, Any] | None:
        """The state of a program that runs though nobody has told us. If none does, nothing is left of the start."""
        found = orphan.settle(self.state_path)
        if found is None and not self.state:
            with contextlib.suppress(OSError):
                self.cgroup.remove()
            with contextlib.suppress(OSError):
                os.unlink(self.state_path)
        return found

    def adopt(self) -> Report | None:
        """Watch on where a monitor that was killed has left off; what is in the pipes comes first."""
        self.state = state.read(self.state_path)
        self.adopted = state.process(self.state)
        pidfd = self.adopted.open() if self.adopted else None
        if self.adopted is None or pidfd is None:
            return Report("adopt", 0, "", "the container does not run")
        self.pidfd, self.init_pid = pidfd, self.adopted.pid
        pids = [self.init_pid, *self.cgroup.processes()]
        for fd, name in streams.find(pids, self.state.get("streams", {})).items():
            self.streams.add(fd, name)
        self._take_care(self.state.get("health"))
        self._write(monitor=state.describe(os.getpid()), bundle=self.bundle.stamp)
        return None

    def open_door(self, name: str, front: str, serve: Serve) -> None:
        """Let others have a child of ours `serve` them. Without a door they start a launcher."""
        self.serve = serve
        with contextlib.suppress(OSError):
            self.door.open(os.path.dirname(self.state_path), name, self.mounts, front)

    def _take_care(self, known: dict[str, Any] | None) -> None:
        """Begin the health check that the bundle asks for."""
        init_process = state.process(self.state)
        if init_process:
            self.checkup.begin(self.bundle, init_process, self.pidfd, known)
        self.state["health"] = self.checkup.describe()

    def _let_go(self) -> None:
        if self.pidfd >= 0:
            os.close(self.pidfd)
        self.pidfd, self.init_pid, self.adopted = -1, 0, None

    def watch(self) -> None:
        """See the container to its end, and to those of its later lives if the restart policy gives it some."""
        while True:
            self._watch_once()
            while self._lives_on():
                if self._spawn_again():
                    break
            else:
                break
        with contextlib.suppress(OSError):
            self.cgroup.remove()
        self._write(status=state.EXITED)
        kept = self.bundle.text(ANNOTATION_EXIT)
        if os.path.isdir(os.path.dirname(kept)):
            with contextlib.suppress(OSError):
                state.write(kept, self.state, durable=True)

    def _watch_once(self) -> None:
        """Copy output to the log until the container's first process has ended; then note how."""
        if self.starter:
            self.starter.bury()
        while True:
            others = (*self.streams.names, *self.checkup.fds, *self.door.fds)
            ready = _poll([self.pidfd, self.wakeup.fd, *others], self.checkup.patience())
            for fd in ready & self.streams.names.keys():
                self.streams.copy(fd)
            if self.pidfd in ready:
                break
            self.door.step(ready, self.serve)
            if self.wakeup.fd in ready:
                self._reload()
            if self.checkup.step():
                self._write(health=self.checkup.describe())
        self._reap()

    def _reload(self) -> None:
        """Go by the bundle as it is now: what of it can change while the container runs."""
        self.wakeup.clear()
        with contextlib.suppress(OSError, ValueError):
            self.bundle = self.bundle.current()
        self.log.limit(*log.limits(self.bundle))
        if self.init_pid and not self.checkup.asked(self.bundle):
            self._take_care(None)
        self._write(bundle=self.bundle.stamp)

    def _lives_on(self) -> bool:
        """Wait for the next life; False when there is none. The policy may change meanwhile."""
        restarts = self.state.get("restart_count", 0)
        if not self._wanted(restarts):
            return False
        self._write(status=state.RESTARTING, restart_count=restarts + 1)
        due = time.monotonic() + self.backoff.pause()
        while (left := due - time.monotonic()) > 0:
            ready = _poll([self.wakeup.fd, *self.door.fds], left)
            self.door.step(ready, self.serve)
            if self.wakeup.fd in ready:
                self._reload()
                if not self._wanted(restarts):
                    return False
        return not restart.stopped(self.state_path)

    def _wanted(self, restarts: int) -> bool:
        policy = restart.parse(self.bundle.text(ANNOTATION_RESTART))
        return not restart.stopped(self.state_path) and restart.wanted(policy, self.state["exit_code"], restarts)

    def _spawn_again(self) -> bool:
        self.backoff.started()
        failed = self.start()
        if failed:
            code = 127 if failed.step == "exec" else 128
            self._write(exit_code=code, error=failed.message or failed.step, health=self.checkup.finish())
        return failed is None

    def _write(self, **changes: Any) -> None:
        self.state.update(changes)
        with contextlib.suppress(OSError):
            state.write(self.state_path, self.state)

    def _end_the_rest(self) -> None:
        """In a pid namespace that is the host's or another container's, nobody but us ends what is left."""
        for pid in self.cgroup.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        """All of the pid namespace is dead with its first process."""
        status = self._wait_status()
        self._let_go()
        self._end_the_rest()
        self.streams.finish()
        kills = self.cgroup.oom_kills()
        self.state.update(
            exit_code=None if status is None else exit_code(status),
            oom_killed=kills > self.state.get("oom_kills", 0),
            oom_kills=kills,
            finished_at=state.now(),
            health=self.checkup.finish(),
        )

    def _wait_status(self) -> int | None:
        """How the first process ended. Only its parent is always told."""
        if self.adopted:
            return exit_status(self.adopted, self.pidfd)
        return os.waitpid(self.init_pid, 0)[1]


def _poll(fds: Iterable[int], patience: float | None) -> set[int]:
    """The descriptors that have something for us; none when `patience` seconds are over."""
    poller = select.poll()
    for fd in fds:
        poller.register(fd, select.POLLIN)
    timeout = None if patience is None else 1000 * min(patience, LONGEST) + 1
    return {fd for fd, _events in poller.poll(timeout)}
