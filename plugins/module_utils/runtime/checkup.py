# SPDX-License-Identifier: GPL-3.0-or-later
"""The health check of a container at work: it starts the probes that are due, and ends those that take too long."""

from __future__ import annotations

import errno
import time
from typing import Any

from ..linux.cgroups.detect import Cgroup, Hierarchies, open_cgroup
from ..linux.process import Process
from . import health, probe, state
from .bundle import ANNOTATION_HEALTH, Bundle
from .filters import Filter
from .health import NO_RESULT, Health, Result
from .probe import Probe
from .usher import Visitor

GONE = (errno.ESRCH, errno.ENOMEM)  # nothing is born any more into a pid namespace whose first process is dead


class Checkup:
    """One container's health check, if it has one. Call `step` when one of `fds` is ready or `patience` is over."""

    def __init__(self, groups: Hierarchies, filter_: Filter | None) -> None:
        self._groups = groups
        self._cgroup: Cgroup
        self._filter = filter_
        self._asked = ""
        self._health: Health | None = None
        self._probe: Probe | None = None
        self._bundle: Bundle
        self._init: Process
        self._process: dict[str, Any] = {}
        self._target = -1

    def begin(self, bundle: Bundle, init: Process, target: int, known: dict[str, Any] | None) -> None:
        """Go by the bundle's check. `target` is a pidfd of the container's first process, `init`.

        `known` is what a monitor before us has found out.
        """
        self._stop()
        self._cgroup = open_cgroup(bundle.cgroup_path, self._groups)
        if known:
            probe.clear(self._cgroup)
        self._bundle, self._init = bundle, init
        self._asked, self._target = bundle.text(ANNOTATION_HEALTH), target
        check = health.parse(self._asked)
        now = time.monotonic()
        self._health = Health(check, now - init.age(), now, known) if check else None
        self._process = {**bundle.process, "args": check.args, "terminal": False} if check else {}

    def asked(self, bundle: Bundle) -> bool:
        """Whether this is the bundle's check already."""
        return self._asked == bundle.text(ANNOTATION_HEALTH)

    def describe(self) -> dict[str, Any] | None:
        """As it is written into the state; None without a check."""
        return self._health.describe() if self._health else None

    @property
    def fds(self) -> list[int]:
        """The descriptors of the probe that runs."""
        return self._probe.fds if self._probe else []

    def patience(self) -> float | None:
        """Seconds until there is something to do."""
        if self._health is None or (self._probe and self._probe.killed):
            return None
        due = self._probe.began + self._health.check.timeout if self._probe else self._health.due
        return max(0.0, due - time.monotonic())

    def step(self) -> bool:
        """Do what is to be done now; whether there is news."""
        now = time.monotonic()
        if self._health is None:
            return False
        if self._probe is None:
            return now >= self._health.due and self._start(self._health, now)
        result = self._probe.step()
        if result:
            began, self._probe = self._probe.began, None
            if self._init.ending():
                return False  # and so its result says nothing: all the others are killed first
            self._health.judge(result, began, now)
        elif not self._probe.killed and now >= self._probe.began + self._health.check.timeout:
            if self._cgroup.frozen():
                self._probe.began = now  # nothing of it runs, so its time does not either
            else:
                self._probe.kill(self._health.check.timeout)
        return result is not None

    def _start(self, found: Health, now: float) -> bool:
        if self._cgroup.frozen():
            found.postpone(now)
            return False
        try:
            self._probe = Probe(Visitor(self._bundle, self._filter, self._process), self._target, self._cgroup)
        except OSError as exc:
            if exc.errno in GONE:
                found.postpone(now)
                return False
            found.judge(Result(state.now(), state.now(), NO_RESULT, str(exc)), now, now)
            return True
        return False

    def finish(self) -> dict[str, Any] | None:
        """The container has ended: what does not run is not healthy (as in Docker)."""
        self._stop()
        found, self._health = self.describe(), None
        return {**found, "status": health.UNHEALTHY} if found else None

    def _stop(self) -> None:
        if self._probe:
            self._probe.cancel()
            self._probe = None
