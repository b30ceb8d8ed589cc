# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes down how long each task takes, a line a task."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: stopwatch
type: notification
short_description: Write down how long each task takes
description: One line of JSON, name and milliseconds, for each task in the file named by C(BENCH_TIMES).
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """From the moment a task is handed to a worker until its result is there."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "stopwatch"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self._begin = time.perf_counter()

    def v2_runner_on_ok(self, result: Any) -> None:
        taken = (time.perf_counter() - self._begin) * 1000
        with open(os.environ["BENCH_TIMES"], "a", encoding="utf-8") as handle:
            handle.write(json.dumps([result.task.get_name(), taken]) + "\n")
