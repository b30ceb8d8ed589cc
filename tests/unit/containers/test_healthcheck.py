# SPDX-License-Identifier: GPL-3.0-or-later
"""Health checks without a kernel: whose values count, and what results mean, by tables."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadImage
from ansible_collections.mini.containers.plugins.module_utils.core.specs.container import ContainerSpec
from ansible_collections.mini.containers.plugins.module_utils.core.specs.image import Healthcheck, ImageConfig
from ansible_collections.mini.containers.plugins.module_utils.core.units import parse_duration
from ansible_collections.mini.containers.plugins.module_utils.engine.containers import healthcheck
from ansible_collections.mini.containers.plugins.module_utils.glue.healthcheck import healthcheck as option
from ansible_collections.mini.containers.plugins.module_utils.image.manifest import ImageDocument, plain_config
from ansible_collections.mini.containers.plugins.module_utils.runtime.health import Check, Health, Result

SECOND = 10**9
OF_IMAGE = Healthcheck(("CMD-SHELL", "image"), interval=7 * SECOND, retries=9)


@pytest.mark.parametrize(
    ("task", "image", "args", "interval", "retries"),
    [
        (None, None, None, 0, 0),
        (None, OF_IMAGE, ["/bin/sh", "-c", "image"], 7, 9),
        ({"test": ["CMD", "a", "b"]}, None, ["a", "b"], 30, 3),
        ({"test": "task"}, OF_IMAGE, ["/bin/sh", "-c", "task"], 7, 9),
        ({"retries": 2, "interval": "1m30s"}, OF_IMAGE, ["/bin/sh", "-c", "image"], 90, 2),
        ({"test": ["NONE"]}, OF_IMAGE, None, 0, 0),
        ({"test": "NONE"}, OF_IMAGE, None, 0, 0),
        ({"retries": 2, "test_cli_compatible": False}, OF_IMAGE, None, 0, 0),
        (None, Healthcheck(("NONE",)), None, 0, 0),
        (None, Healthcheck(("WHATEVER", "x")), None, 0, 0),
        (None, Healthcheck(("CMD",)), None, 0, 0),
    ],
)
def test_whose_values_count(task: Any, image: Any, args: Any, interval: float, retries: int) -> None:
    spec = ContainerSpec("c", healthcheck=option(task) if task else None)
    text = healthcheck.annotation(spec, ImageConfig(healthcheck=image))
    found = json.loads(text) if text else {"args": None, "interval": 0, "retries": 0}
    assert (found["args"], found["interval"], found["retries"]) == (args, interval, retries)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1m30s", 90 * SECOND), ("500ms", SECOND // 2), ("1h", 3600 * SECOND), ("0s", 0), ("1h1m1s1ms1us", 3661001001000)],
)
def test_durations(text: str, value: int) -> None:
    assert parse_duration("interval", text) == value


def test_an_image_keeps_its_health_check() -> None:
    raw = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Healthcheck": {"Test": ["CMD-SHELL", "image"], "Interval": 7 * SECOND, "Retries": 9}},
        "rootfs": {"type": "layers", "diff_ids": []},
    }
    found = ImageDocument.read(json.dumps(raw).encode(), "test").config
    assert found.healthcheck == OF_IMAGE
    assert plain_config(found) == raw["config"]


@pytest.mark.parametrize("junk", [{"Test": "true"}, {"Test": [1]}, {"Interval": -1}, {"Retries": "3"}, [], "x"])
def test_an_image_whose_health_check_is_junk(junk: Any) -> None:
    raw = {"architecture": "amd64", "os": "linux", "config": {"Healthcheck": junk}, "rootfs": {"type": "layers"}}
    with pytest.raises(BadImage):
        ImageDocument.read(json.dumps(raw).encode(), "test")


def _result(code: int) -> Result:
    return Result("a", "b", code, "")


@pytest.mark.parametrize(
    ("codes", "status", "streak"),
    [
        ([], "starting", 0),
        ([0], "healthy", 0),
        ([1], "starting", 1),
        ([1, -1, 137], "unhealthy", 3),
        ([0, 1, 1], "healthy", 2),
        ([0, 1, 1, 1], "unhealthy", 3),
        ([1, 1, 1, 0], "healthy", 0),
        ([1, 1, 0, 1, 1], "healthy", 2),
    ],
)
def test_what_results_mean(codes: list[int], status: str, streak: int) -> None:
    health = Health(Check(["true"], 30, 30, 0, 5, 3), born=100, now=100)
    for number, code in enumerate(codes):
        health.judge(_result(code), began=101 + number, now=102 + number)
    found = health.describe()
    assert (found["status"], found["failing_streak"], len(found["log"])) == (status, streak, min(len(codes), 5))


def test_the_start_period() -> None:
    """Failures do not count and probes come faster, until one has succeeded or the time is over."""
    health = Health(Check(["true"], 30, 30, 60, 5, 1), born=100, now=100)
    assert health.due == 105
    health.judge(_result(1), began=105, now=106)
    assert (health.status, health.due) == ("starting", 111)
    health.judge(_result(0), began=111, now=112)
    assert (health.status, health.due) == ("healthy", 142)
    health.judge(_result(1), began=142, now=143)
    assert (health.status, health.due) == ("unhealthy", 173)
    late = Health(Check(["true"], 30, 30, 60, 5, 1), born=100, now=100)
    late.judge(_result(1), began=160, now=161)
    assert (late.status, late.due) == ("unhealthy", 191)
