# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner of containers, by tables: it is a pure function."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, NotFound
from ansible_collections.mini.containers.plugins.module_utils.core.plan import Impact, Plan, Step
from ansible_collections.mini.containers.plugins.module_utils.core.specs.container import ContainerSpec, Limits
from ansible_collections.mini.containers.plugins.module_utils.core.specs.image import ImageConfig
from ansible_collections.mini.containers.plugins.module_utils.core.specs.network import Attachment, PublishedPort
from ansible_collections.mini.containers.plugins.module_utils.core.specs.volume import Mount
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.observe import Observation
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.plan import Wish, plan
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.record import ContainerRecord, Endpoint
from ansible_collections.mini.containers.plugins.module_utils.image.store import StoredImage

IMAGE = StoredImage("sha256:" + "1" * 64, ("box:latest",), ImageConfig(), ("sha256:l",), "", 0, "amd64", "linux")
NEWER = replace(IMAGE, id="sha256:" + "2" * 64)
SPEC = ContainerSpec(
    name="web",
    image="box",
    command=("httpd",),
    env={"A": "1"},
    mounts=(Mount("/data", "data", kind="volume"),),
    limits=Limits(memory=64 << 20),
    networks=(Attachment("lan"),),
    ports=(PublishedPort(8080, 80),),
)
RECORD = ContainerRecord("c" * 64, "web", "", SPEC, IMAGE.id, networks={"lan": Endpoint("10.0.0.2")}, complete=True)
ABSENT = Observation(image=IMAGE)
RUNNING = Observation("running", RECORD, image=IMAGE)
STOPPED = Observation("exited", RECORD, image=IMAGE)
TRIED = replace(RUNNING, replaced="x", on_trial=True)
START = ["claim-ports", "make-netns", "connect", "publish", "write-bundle", "start"]
CREATE = ["reserve-name", "make-directories", "make-volume", "lease-address", "write-record"]
REPLACE = ["stop", "set-aside", *CREATE, *START, "discard"]


def names(wish: Wish, seen: Observation) -> list[str]:
    return [step.name for step in plan(wish, seen)]


def given(*fields: str, **changes: Any) -> Wish:
    return Wish(replace(SPEC, **changes), given=frozenset((*fields, *changes)))


@pytest.mark.parametrize(
    ("wish", "seen", "expected"),
    [
        pytest.param(Wish(SPEC), ABSENT, CREATE + START, id="new and started"),
        pytest.param(Wish(SPEC, "present"), ABSENT, [*CREATE, "write-hosts"], id="new, only present"),
        pytest.param(Wish(SPEC, "stopped"), ABSENT, [*CREATE, "write-hosts"], id="new, only stopped"),
        pytest.param(Wish(SPEC, "absent"), ABSENT, [], id="nothing to remove"),
        pytest.param(Wish(SPEC, "absent"), RUNNING, ["stop", "remove"], id="remove what runs"),
        pytest.param(Wish(SPEC, "absent"), STOPPED, ["remove"], id="remove what is stopped"),
        pytest.param(Wish(SPEC, "absent"), Observation(half_made="x"), ["sweep"], id="remove a wreck"),
        pytest.param(
            Wish(SPEC), Observation(half_made="x", image=IMAGE), ["sweep", *CREATE, *START], id="a wreck, then new"
        ),
        pytest.param(
            Wish(SPEC), replace(STOPPED, restore=True, replaced="x"), ["restore", *START], id="a replacement cut short"
        ),
        pytest.param(
            Wish(SPEC),
            replace(STOPPED, restore=True, replaced="x", half_made="y"),
            ["sweep", "restore", *START],
            id="a replacement cut short, with a wreck",
        ),
        pytest.param(Wish(SPEC), replace(RUNNING, replaced="x"), ["discard"], id="a replacement not tidied up"),
        pytest.param(Wish(SPEC), TRIED, ["resume", "discard"], id="a replacement that runs"),
        pytest.param(Wish(SPEC), replace(TRIED, status="exited"), ["resume", *START, "discard"], id="one that is down"),
        pytest.param(given(env={}), TRIED, ["resume", "sweep", *CREATE, *START, "discard"], id="another replacement"),
        pytest.param(
            given(env={}),
            replace(STOPPED, record=replace(RECORD, wanted="started"), restore=True, replaced="x"),
            ["restore", "stop", "set-aside", *CREATE, *START, "discard"],
            id="a replacement of one that was up, once more",
        ),
        pytest.param(Wish(SPEC, "stopped"), TRIED, ["stop"], id="nothing is decided by a stop"),
        pytest.param(Wish(SPEC, "present"), TRIED, [], id="nothing is decided where nothing has to run"),
        pytest.param(Wish(SPEC, settles=False), TRIED, [], id="nothing is decided where nobody waits"),
        pytest.param(Wish(SPEC, "absent"), TRIED, ["discard", "stop", "remove"], id="remove both, on trial"),
        pytest.param(
            Wish(SPEC, "absent"), replace(RUNNING, replaced="x"), ["discard", "stop", "remove"], id="remove both"
        ),
        pytest.param(Wish(SPEC), RUNNING, [], id="as it should be"),
        pytest.param(Wish(SPEC, "present"), STOPPED, [], id="present is content with stopped"),
        pytest.param(Wish(SPEC), STOPPED, START, id="start again"),
        pytest.param(Wish(SPEC, "stopped"), RUNNING, ["stop"], id="stop"),
        pytest.param(Wish(SPEC, "stopped"), STOPPED, [], id="is stopped"),
        pytest.param(Wish(SPEC, restart=True), RUNNING, ["stop", *START], id="restart"),
        pytest.param(Wish(SPEC, restart=True), STOPPED, START, id="restart what is stopped: one start"),
        pytest.param(Wish(SPEC, recreate=True), RUNNING, REPLACE, id="recreate"),
        pytest.param(given(env={}), RUNNING, REPLACE, id="fewer variables"),
        pytest.param(Wish(replace(SPEC, env={})), RUNNING, [], id="an option left out is not compared"),
        pytest.param(given(labels={"a": "b"}), RUNNING, ["write-record"], id="labels need no restart"),
        pytest.param(
            given("memory", limits=Limits(memory=128 << 20)),
            RUNNING,
            ["set-limits", "write-record"],
            id="limits are live",
        ),
        pytest.param(
            given(ports=(PublishedPort(8081, 80),)),
            RUNNING,
            ["claim-ports", "publish", "write-record"],
            id="ports are live",
        ),
        pytest.param(
            Wish(SPEC), replace(RUNNING, limit_drift=("memory: 1 → 2",)), ["set-limits"], id="a limit changed by hand"
        ),
        pytest.param(Wish(SPEC), replace(RUNNING, lost_networks=("lan",)), ["connect"], id="an interface is gone"),
        pytest.param(
            Wish(SPEC), replace(RUNNING, lost_ports=("8080",)), ["claim-ports", "publish"], id="rules were flushed"
        ),
        pytest.param(Wish(SPEC), replace(RUNNING, lost_files=("hosts",)), ["write-hosts"], id="names are out of date"),
        pytest.param(
            Wish(SPEC),
            replace(RUNNING, network_repair=Plan((Step("create-bridge", "lan"),))),
            ["create-bridge"],
            id="its network is broken",
        ),
    ],
)
def test_steps(wish: Wish, seen: Observation, expected: list[str]) -> None:
    assert names(wish, seen) == expected


def test_another_image_behind_the_name_recreates_and_says_why() -> None:
    steps = plan(given(image="box"), replace(RUNNING, image=NEWER))
    assert steps.impact is Impact.RECREATE
    assert any("image: 111111111111 → 222222222222" in line for line in steps.describe())


def test_the_reason_of_a_limit_is_readable() -> None:
    steps = plan(given("memory", limits=Limits(memory=128 << 20)), RUNNING)
    assert "memory: 64M → 128M" in steps.steps[0].reason


def test_the_environment_is_never_shown() -> None:
    steps = plan(given(env={"PASSWORD": "s3cret"}), RUNNING)
    assert "s3cret" not in "\n".join(steps.describe())


@pytest.mark.parametrize(
    ("wish", "seen", "error", "text"),
    [
        (Wish(replace(SPEC, image="")), ABSENT, BadInput, "image is needed"),
        (Wish(SPEC), Observation(), NotFound, "image box is not in the store"),
        (Wish(replace(SPEC, command=None)), ABSENT, BadInput, "nothing to run"),
        (Wish(replace(SPEC, networks=()), given=frozenset({"ports"})), ABSENT, BadInput, "in no network"),
        (Wish(SPEC), replace(ABSENT, missing=("network lan does not exist",)), NotFound, "network lan does not exist"),
        (given(image="other"), replace(RUNNING, image=None), NotFound, "image other is not in the store"),
    ],
)
def test_refusals(wish: Wish, seen: Observation, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        plan(wish, seen)
