# SPDX-License-Identifier: GPL-3.0-or-later
"""One small process a container: it starts the container's first process, writes its log, and records how it ended.

It is born by a fork of the launcher and is the parent of the container's init. Killing it does not kill the
container: another one can adopt that. It imports nothing once it runs: its code's directory may be replaced by a newer
version meanwhile. SIGHUP tells it that the bundle has changed.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from collections.abc import Iterable
from typing import Any, NoReturn

from ..linux import libc
from ..linux.cgroups.detect import Cgroup, Hierarchies, hierarchies, open_cgroup
from ..linux.process import Process, exit_code, exit_status
from . import bundle as bundles
from . import confine, init, report, restart, rootfs, spawn, state, streams
from .bundle import (
    ANNOTATION_AFTERWARDS,
    ANNOTATION_EXIT,
    ANNOTATION_LOG,
    ANNOTATION_LOG_FILES,
    ANNOTATION_LOG_SIZE,
    ANNOTATION_RESTART,
    ANNOTATION_STATE,
    Bundle,
)
from .checkup import Checkup
from .filters import Filter
from .log import MAX_FILES, MAX_SIZE, LogWriter, NoLog
from .outlets import Outlets
from .report import Report
from .wakeup import Wakeup

LONGEST = 86400.0  # seconds; poll(2) counts milliseconds in an int


class Monitor:
    """Start or adopt, watch and bury one container."""

    def __init__(self, bundle: Bundle, filter_: Filter | None, mounts: int) -> None:
        self.bundle = bundle
        self.mounts = mounts
        self.filter = filter_
        self.groups: Hierarchies = hierarchies()
        self.cgroup: Cgroup = open_cgroup(bundle.cgroup_path, self.groups)
        self.state_path = bundle.annotation(ANNOTATION_STATE)
        self.state: dict[str, Any] = {}
        self.log = _open_log(bundle)
        self.streams = streams.Streams(self.log)
        self.checkup = Checkup(self.cgroup, filter_)
        self.wakeup = Wakeup()
        self.init_pid = 0
        self.adopted: Process | None = None
        self.pidfd = -1
        self.oom_kills = 0
        self.backoff = restart.Backoff()

    def start(self) -> Report | None:
        """Bring the container up: None when its program runs, else what failed, and nothing is left of it."""
        try:
            self.cgroup.create(self.bundle.resources)
            failed = self._spawn()
        except BaseException as exc:
            failed = _as_report("cgroup", exc)
        if failed:
            self._abandon()
        return failed

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
        self.oom_kills = int(self.state.get("oom_kills", 0))
        self._take_care(self.state.get("health"))
        self._write(monitor=state.describe(os.getpid()), bundle=self._stamp())
        return None

    def _spawn(self) -> Report | None:
        child = init.Child(self.bundle, self.filter, self.groups, self.cgroup.join_files())
        child.host_fd = self.mounts if rootfs.shares(self.bundle) else -1
        outlets = Outlets(self.bundle, child)
        birth = spawn.spawn(child)
        self.init_pid = birth.pid
        outlets.forked()
        failed = birth.expect(init.READY)
        if failed:
            outlets.close()
            return failed
        outlets.read_into(self.streams)
        return self._release(birth)

    def _release(self, birth: spawn.Birth) -> Report | None:
        """Write down who the child is, let it go, and see whether its program starts."""
        self.pidfd = libc.pidfd_open(self.init_pid)
        self.state = {
            "status": state.RUNNING,
            "init": state.describe(self.init_pid),
            "monitor": state.describe(os.getpid()),
            "bundle": self._stamp(),
            "streams": self.streams.identities(),
            "started_at": state.now(),
            "restart_count": self.state.get("restart_count", 0),
            "oom_kills": self.oom_kills,
        }
        self._take_care(None)
        state.write(self.state_path, self.state)
        birth.let_go()
        return birth.problem()

    def _take_care(self, known: dict[str, Any] | None) -> None:
        """Begin the health check that the bundle asks for."""
        init_process = state.process(self.state)
        if init_process:
            self.checkup.begin(self.bundle, init_process, self.pidfd, known)
        self.state["health"] = self.checkup.describe()

    def _stamp(self) -> str:
        return state.stamp(os.path.join(self.bundle.directory, bundles.CONFIG))

    def _abandon(self) -> None:
        """Undo a start that failed."""
        self._kill()
        for remove in (self.cgroup.remove, lambda: os.unlink(self.state_path)):
            with contextlib.suppress(OSError):
                remove()

    def _kill(self) -> None:
        """End a child that did not become the container's program."""
        if self.init_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.init_pid, signal.SIGKILL)
            os.waitpid(self.init_pid, 0)
        self._let_go()
        self.streams.close()

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
                state.write(kept, self.state)

    def _watch_once(self) -> None:
        """Copy output to the log until the container's first process has ended; then note how."""
        while True:
            ready = _poll([self.pidfd, self.wakeup.fd, *self.streams.names, *self.checkup.fds], self.checkup.patience())
            for fd in ready & self.streams.names.keys():
                self.streams.copy(fd)
            if self.pidfd in ready:
                break
            if self.wakeup.fd in ready:
                self._reload()
            if self.checkup.step():
                self._write(health=self.checkup.describe())
        self._reap()

    def _reload(self) -> None:
        """Go by the bundle as it is now: what of it can change while the container runs."""
        self.wakeup.clear()
        stamp = self._stamp()
        with contextlib.suppress(OSError, ValueError):
            self.bundle = bundles.load(self.bundle.directory)
        self.log.limit(*_log_limits(self.bundle))
        if self.init_pid and not self.checkup.asked(self.bundle):
            self._take_care(None)
        self._write(bundle=stamp)

    def _lives_on(self) -> bool:
        """Wait for the next life; False when there is none. The policy may change meanwhile."""
        restarts = self.state.get("restart_count", 0)
        if not self._wanted(restarts):
            return False
        self._write(status=state.RESTARTING, restart_count=restarts + 1)
        due = time.monotonic() + self.backoff.pause()
        while (left := due - time.monotonic()) > 0:
            if _poll([self.wakeup.fd], left):
                self._reload()
                if not self._wanted(restarts):
                    return False
        return not restart.stopped(self.state_path)

    def _wanted(self, restarts: int) -> bool:
        policy = restart.parse(self.bundle.text(ANNOTATION_RESTART))
        return not restart.stopped(self.state_path) and restart.wanted(policy, self.state["exit_code"], restarts)

    def _spawn_again(self) -> bool:
        self.backoff.started()
        failed = self._spawn()
        if failed:
            self._kill()
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
            oom_killed=kills > self.oom_kills,
            finished_at=state.now(),
            health=self.checkup.finish(),
        )
        self.oom_kills = kills

    def _wait_status(self) -> int | None:
        """How the first process ended. Only its parent is always told."""
        if self.adopted:
            return exit_status(self.adopted, self.pidfd)
        return os.waitpid(self.init_pid, 0)[1]


def _open_log(bundle: Bundle) -> NoLog:
    if not bundle.text(ANNOTATION_LOG):
        return NoLog()
    return LogWriter(bundle.annotation(ANNOTATION_LOG), *_log_limits(bundle))


def _log_limits(bundle: Bundle) -> tuple[int, int]:
    return int(bundle.text(ANNOTATION_LOG_SIZE) or MAX_SIZE), int(bundle.text(ANNOTATION_LOG_FILES) or MAX_FILES)


def _poll(fds: Iterable[int], patience: float | None) -> set[int]:
    """The descriptors that have something for us; none when `patience` seconds are over."""
    poller = select.poll()
    for fd in fds:
        poller.register(fd, select.POLLIN)
    timeout = None if patience is None else 1000 * min(patience, LONGEST) + 1
    return {fd for fd, _events in poller.poll(timeout)}


def _as_report(step: str, exc: BaseException) -> Report:
    path = getattr(exc, "path", None) or getattr(exc, "filename", None) or ""
    return Report(step, getattr(exc, "errno", 0) or 0, str(path), str(exc))


def afterwards(bundle: Bundle, mounts: int) -> None:
    """Start the command that the bundle's author wants to be run when the container has ended, where the host is."""
    command = json.loads(bundle.text(ANNOTATION_AFTERWARDS) or "[]")
    if command and os.fork() == 0:
        libc.setns(mounts, libc.CLONE_NEWNS)
        os.execve(command[0], command, dict(os.environ))


def fork(bundle: Bundle, filter_: Filter | None, hold: list[int], mounts: int, *, adopt: bool = False) -> int:
    """Fork a monitor for the bundle; the descriptor returned reads its report, empty when the container runs.

    The monitor keeps the descriptors `hold` open until then, and `mounts`, the host's mount namespace, for its life.
    With `adopt` the container runs already.
    """
    read_end, write_end = os.pipe()
    if os.fork():
        os.close(write_end)
        return read_end
    _main(bundle, filter_, [write_end, mounts, *hold], adopt=adopt)


def _main(bundle: Bundle, filter_: Filter | None, fds: list[int], *, adopt: bool) -> NoReturn:
    report_fd = fds[0]
    code = 1
    try:
        os.setsid()
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        report_fd, mounts, *held = confine.keep_only(fds)
        monitor = Monitor(bundle, filter_, mounts)
        failed = monitor.adopt() if adopt else monitor.start()
        if failed:
            os.write(report_fd, "\0".join(map(str, failed)).encode("utf-8", "surrogateescape"))
        for fd in (report_fd, *held):
            os.close(fd)
        if not failed:
            monitor.watch()
            afterwards(monitor.bundle, mounts)
        code = 0
    except BaseException as exc:
        with contextlib.suppress(OSError):
            report.send(report_fd, "monitor", exc)
    finally:
        os._exit(code)
