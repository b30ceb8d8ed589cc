# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan does for a container's monitor, its pauses and its health, by tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput
from ansible_collections.mini.containers.plugins.module_utils.core.plan import Impact
from ansible_collections.mini.containers.plugins.module_utils.core.specs.container import ContainerSpec
from ansible_collections.mini.containers.plugins.module_utils.core.specs.image import Healthcheck, ImageConfig
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.observe import Observation
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.plan import Wish, plan
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.record import ContainerRecord
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.vitals import Vitals
from ansible_collections.mini.containers.plugins.module_utils.image.store import StoredImage

CHECK = Healthcheck(("CMD", "true"))
IMAGE = StoredImage("sha256:" + "1" * 64, ("box:latest",), ImageConfig(), ("sha256:l",), "", 0, "amd64", "linux")
SPEC = ContainerSpec(name="web", image="box", command=("httpd",))
RECORD = ContainerRecord("c" * 64, "web", "", SPEC, IMAGE.id, complete=True)
ABSENT = Observation(image=IMAGE)
RUNNING = Observation("running", RECORD, image=IMAGE)
UNWATCHED = replace(RUNNING, vitals=Vitals(unwatched=True, untold=True))
PAUSED = replace(RUNNING, vitals=Vitals(paused=True))
STOPPED = Observation("exited", RECORD, image=IMAGE)
GOING = replace(STOPPED, record=replace(RECORD, spec=replace(SPEC, auto_remove=True)))
CREATE = ["reserve-name", "make-directories", "write-record"]
START = ["make-netns", "write-bundle", "start"]
TOLD = ["write-bundle", "reload", "write-record"]


def given(**changes: Any) -> Wish:
    wish = {key: changes.pop(key) for key in ("state", "paused", "restart") if key in changes}
    return Wish(replace(SPEC, **changes), given=frozenset(changes), **wish)


@pytest.mark.parametrize(
    ("wish", "seen", "expected"),
    [
        pytest.param(Wish(SPEC), UNWATCHED, ["adopt"], id="its monitor is dead"),
        pytest.param(Wish(SPEC, "present"), UNWATCHED, ["adopt"], id="also where it need not run"),
        pytest.param(given(auto_remove=True), UNWATCHED, ["adopt", *TOLD], id="a new monitor, then the news"),
        pytest.param(Wish(SPEC, "stopped"), UNWATCHED, ["stop"], id="no new monitor for the last moments"),
        pytest.param(Wish(SPEC, restart=True), UNWATCHED, ["stop", *START], id="a restart brings one"),
        pytest.param(Wish(SPEC), replace(RUNNING, vitals=Vitals(untold=True)), ["reload"], id="a signal was lost"),
        pytest.param(given(healthcheck=CHECK), RUNNING, TOLD, id="a health check is live"),
        pytest.param(given(log_max_size=1), RUNNING, TOLD, id="log options are live"),
        pytest.param(given(healthcheck=CHECK), STOPPED, ["write-record", *START], id="nobody to tell"),
        pytest.param(given(paused=True), RUNNING, ["pause"], id="pause"),
        pytest.param(given(paused=True), PAUSED, [], id="is paused"),
        pytest.param(given(paused=False), PAUSED, ["unpause"], id="on again"),
        pytest.param(Wish(SPEC), PAUSED, [], id="a pause that the task says nothing of"),
        pytest.param(given(paused=True), STOPPED, [*START, "pause"], id="started to be paused"),
        pytest.param(given(paused=False), STOPPED, START, id="not started to be paused"),
        pytest.param(given(paused=True), ABSENT, [*CREATE, *START, "pause"], id="made to be paused"),
        pytest.param(given(paused=True, state="stopped"), RUNNING, ["stop"], id="who is stopped is not paused"),
        pytest.param(given(paused=True, restart=True), PAUSED, ["stop", *START, "pause"], id="paused after a restart"),
        pytest.param(Wish(SPEC), GOING, ["remove", *CREATE, *START], id="it should be gone"),
        pytest.param(Wish(SPEC, "absent"), GOING, ["remove"], id="it should be gone, and is to be"),
        pytest.param(given(state="healthy", healthcheck=CHECK), STOPPED, ["write-record", *START], id="healthy runs"),
        pytest.param(
            given(state="healthy", healthcheck=CHECK, command=("other",)),
            RUNNING,
            ["stop", "set-aside", *CREATE, *START, "wait-healthy", "discard"],
            id="a replacement is proved first",
        ),
        pytest.param(
            given(state="healthy", healthcheck=CHECK),
            replace(RUNNING, replaced="x", on_trial=True),
            ["resume", *TOLD, "wait-healthy", "discard"],
            id="a replacement is still to be proved",
        ),
    ],
)
def test_steps(wish: Wish, seen: Observation, expected: list[str]) -> None:
    assert [step.name for step in plan(wish, seen)] == expected


@pytest.mark.parametrize("wish", [given(healthcheck=CHECK), given(paused=True), given(auto_remove=True), Wish(SPEC)])
def test_nothing_of_it_costs_a_restart(wish: Wish) -> None:
    assert plan(wish, UNWATCHED).impact is Impact.LIVE


@pytest.mark.parametrize("seen", [ABSENT, RUNNING, STOPPED])
def test_who_has_no_health_check_cannot_become_healthy(seen: Observation) -> None:
    with pytest.raises(BadInput, match="has no health check"):
        plan(Wish(SPEC, "healthy"), seen)
    with pytest.raises(BadInput, match="has no health check"):
        plan(given(state="healthy", healthcheck=Healthcheck(("NONE",))), seen)
    with pytest.raises(BadInput, match="has no test"):
        plan(given(healthcheck=Healthcheck(interval=10**9)), seen)


def test_the_health_check_of_the_image_counts() -> None:
    image = replace(IMAGE, config=ImageConfig(healthcheck=CHECK))
    assert plan(Wish(SPEC, "healthy"), replace(ABSENT, image=image))
    record = replace(RECORD, image_config=image.config)
    seen = replace(RUNNING, record=record)
    assert plan(given(state="healthy", healthcheck=Healthcheck(interval=10**9)), seen).impact is Impact.LIVE


def test_the_reason_is_said() -> None:
    steps = plan(given(healthcheck=Healthcheck(("CMD-SHELL", "true"), interval=3 * 10**9 // 2, retries=2)), RUNNING)
    assert "healthcheck: none → CMD-SHELL true, interval 1.5s, retries 2" in "\n".join(steps.describe())
