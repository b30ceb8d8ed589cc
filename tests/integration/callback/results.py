# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what the tasks of a run gave, as JSON: for tests, which look at results and not at how they are printed."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: results
type: aggregate
short_description: The results of all tasks in a file
description: Needs the environment variable MINI_RESULTS, the path of the file.
"""


class CallbackModule(CallbackBase):
    """`{"tasks": [[task, host, result], …], "stats": {host: {"ok": …}}}`"""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "results"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._tasks: list[list[Any]] = []

    def v2_runner_on_ok(self, result: Any, **_more: Any) -> None:
        self._tasks.append([result.task.get_name(), result.host.get_name(), dict(result.result)])

    v2_runner_on_failed = v2_runner_on_unreachable = v2_runner_on_ok

    def v2_playbook_on_stats(self, stats: Any) -> None:
        written = {"tasks": self._tasks, "stats": {host: stats.summarize(host) for host in stats.processed}}
        with open(os.environ["MINI_RESULTS"], "w", encoding="utf-8") as file:
            json.dump(written, file, default=str)
