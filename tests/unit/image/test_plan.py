# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done for which task, on which host."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import Conflict, NotFound
from ansible_collections.mini.containers.plugins.module_utils.core.specs.image import ImageConfig
from ansible_collections.mini.containers.plugins.module_utils.engine.images import removal
from ansible_collections.mini.containers.plugins.module_utils.engine.images.observe import Observation
from ansible_collections.mini.containers.plugins.module_utils.engine.images.plan import plan_present
from ansible_collections.mini.containers.plugins.module_utils.engine.images.removal import Doomed
from ansible_collections.mini.containers.plugins.module_utils.engine.images.spec import ImageSpec, overlay
from ansible_collections.mini.containers.plugins.module_utils.image.origin import Source
from ansible_collections.mini.containers.plugins.module_utils.image.reference import Reference
from ansible_collections.mini.containers.plugins.module_utils.image.store import StoredImage

NAME = Reference("web", "latest")
CONFIG = ImageConfig(command=("a",), env={"A": "1"})
IMAGE = StoredImage("sha256:" + "1" * 64, ("web:latest",), CONFIG, ("sha256:2",), "", 1, "amd64", "linux")
TWICE = replace(IMAGE, references=("other:1", "web:latest"))
SRC = Source("file", "/x.tar")
THERE = Observation(image=IMAGE, base=CONFIG)
MADE = Observation(image=IMAGE, source=SRC, unchanged=True)
PULLED = Source("registry", "docker.io/library/web:latest", "sha256:" + "3" * 64)
WITH_B = ImageSpec(NAME, config={"env": {"B": "2"}})
FROM_SRC = ImageSpec(NAME, src="/x.tar", config={"command": ("a",), "env": {"A": "1"}})

PRESENT: list[tuple[str, ImageSpec, Observation, list[str]]] = [
    ("new", FROM_SRC, Observation(source=SRC), ["import"]),
    ("again", FROM_SRC, MADE, []),
    ("new content", FROM_SRC, replace(MADE, unchanged=False), ["import", "sweep"]),
    ("new configuration", replace(FROM_SRC, config={}), MADE, ["configure", "sweep"]),
    ("unreadable", FROM_SRC, Observation(source=SRC, damaged=True), ["import"]),
    ("layers lost", FROM_SRC, replace(MADE, missing=("sha256:2",)), ["unpack"]),
    ("by name", ImageSpec(NAME), THERE, []),
    ("by name, layers lost", ImageSpec(NAME), replace(THERE, missing=("sha256:2",)), ["unpack"]),
    ("by name, same value", ImageSpec(NAME, config={"env": {"A": "1"}}), THERE, []),
    ("by name, a variable more", ImageSpec(NAME, config={"env": {"B": "2"}}), THERE, ["configure", "sweep"]),
    ("by name, no command", ImageSpec(NAME, config={"command": ()}), THERE, ["configure", "sweep"]),
    ("commit", ImageSpec(NAME, from_container="c"), Observation(source=SRC, base=CONFIG), ["commit"]),
    ("commit again", ImageSpec(NAME, from_container="c"), replace(MADE, base=CONFIG), []),
    ("pull", ImageSpec(NAME), Observation(source=PULLED), ["pull"]),
    ("pull again", ImageSpec(NAME), replace(MADE, source=PULLED, base=CONFIG), []),
    ("a tag that moved", ImageSpec(NAME), replace(THERE, source=PULLED), ["pull", "sweep"]),
    ("pulled, a variable more", WITH_B, replace(MADE, source=PULLED, base=CONFIG), ["configure", "sweep"]),
    ("load", ImageSpec(NAME, load_path="/x"), Observation(source=Source("archive", "/x")), ["load"]),
    ("load later", ImageSpec(NAME, load_path="/x"), Observation(source=Source("absent", "/x")), ["load"]),
    ("load again", ImageSpec(NAME, load_path="/x"), replace(MADE, base=CONFIG), []),
    ("export", replace(FROM_SRC, archive_path="/a"), replace(MADE, exported=False), ["export"]),
    ("exported", replace(FROM_SRC, archive_path="/a"), MADE, []),
    (
        "import and export",
        replace(FROM_SRC, archive_path="/a"),
        Observation(source=SRC, exported=False),
        ["import", "export"],
    ),
    ("change and export", replace(FROM_SRC, config={}, archive_path="/a"), MADE, ["configure", "export", "sweep"]),
    ("push", replace(FROM_SRC, push=True), replace(MADE, pushed=False), ["push"]),
    ("pushed", replace(FROM_SRC, push=True), MADE, []),
    ("unpack and pushed", replace(FROM_SRC, push=True), replace(MADE, missing=("sha256:2",)), ["unpack"]),
    ("import and push", replace(FROM_SRC, push=True), Observation(source=SRC, pushed=False), ["import", "push"]),
    ("change and push", replace(FROM_SRC, config={}, push=True), MADE, ["configure", "push", "sweep"]),
    ("leftovers", FROM_SRC, replace(MADE, leftovers=True), ["sweep"]),
]


@pytest.mark.parametrize(("wanted", "seen", "names"), [row[1:] for row in PRESENT], ids=[row[0] for row in PRESENT])
def test_present(wanted: ImageSpec, seen: Observation, names: list[str]) -> None:
    assert [step.name for step in plan_present(wanted, seen)] == names


DOOMED = Doomed("web:latest", IMAGE, ("web:latest",))
MANY = Doomed("111111111111", TWICE, TWICE.references, by_id=True)


@pytest.mark.parametrize(
    ("seen", "force", "names"),
    [
        (Doomed("web:latest"), False, []),
        (DOOMED, False, ["untag", "sweep"]),
        (Doomed("web:latest", names=("web:latest",), damaged=True), False, ["untag", "sweep"]),
        (Doomed("web:latest", leftovers=True), False, ["sweep"]),
        (replace(DOOMED, users=("c",)), True, ["untag", "sweep"]),
        (replace(DOOMED, image=TWICE, users=("c",)), False, ["untag", "sweep"]),
        (MANY, True, ["untag", "untag", "sweep"]),
        (replace(MANY, image=replace(IMAGE, references=()), names=()), False, ["sweep"]),
    ],
)
def test_absent(seen: Doomed, force: bool, names: list[str]) -> None:
    assert [step.name for step in removal.plan(seen, force=force)] == names


@pytest.mark.parametrize(
    ("seen", "message"),
    [
        (replace(DOOMED, users=("a", "b")), "the containers a, b stand on it; .* force: true"),
        (MANY, "several names .other:1, web:latest."),
    ],
)
def test_refuses_to_remove(seen: Doomed, message: str) -> None:
    with pytest.raises(Conflict, match=message):
        removal.plan(seen)


def test_nothing_to_make_it_from() -> None:
    with pytest.raises(NotFound, match="there is no image web:latest .* give src"):
        plan_present(ImageSpec(NAME), Observation())


def test_reasons_name_values_but_no_secrets() -> None:
    wanted = ImageSpec(NAME, config={"command": ("b", "c"), "env": {"PASSWORD": "hunter2"}})
    (step, _sweep) = plan_present(wanted, THERE)
    assert step.describe() == "configure web:latest: command a → b c, env A → A,PASSWORD"


@pytest.mark.parametrize(
    ("base", "given", "result"),
    [
        (None, {"command": ("x",)}, {"command": ("x",), "env": {}}),
        (CONFIG, {"command": ("x",)}, {"command": ("x",), "env": {"A": "1"}}),
        (CONFIG, {"env": {"A": "2", "B": "3"}}, {"command": ("a",), "env": {"A": "2", "B": "3"}}),
        (CONFIG, {}, {"command": ("a",), "env": {"A": "1"}}),
    ],
)
def test_overlay(base: ImageConfig | None, given: dict[str, Any], result: dict[str, Any]) -> None:
    assert overlay(base, given) == ImageConfig(**result)
