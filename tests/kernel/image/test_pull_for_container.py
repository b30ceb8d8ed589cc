# SPDX-License-Identifier: GPL-3.0-or-later
"""A container whose image is in a registry only."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import ImageMissing
from ansible_collections.mini.containers.plugins.module_utils.glue.container import wish
from ansible_collections.mini.containers.plugins.module_utils.glue.pull import converge_with_images
from ansible_collections.mini.containers.plugins.modules.mini_container import ARGUMENT_SPEC
from registries import certificates, debian

DEFAULTS = {name: option.get("default") for name, option in ARGUMENT_SPEC.items()}
LOOPBACK = ["ip", "link", "set", "lo", "up"]  # the host of a test is a network namespace of its own


@pytest.fixture
def registry(host: Any, tmp_path: Path, layout: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """One whose authority this host trusts; `web` is in it."""
    subprocess.run(LOOPBACK, check=True)
    tls = certificates(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tls["ca"]))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with debian(tmp_path / "registry", tls) as where:
        push(layout, where)
        yield where


def push(layout: Path, where: str) -> None:
    command = ["skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{layout}:1", f"docker://{where}/web"]
    subprocess.run(command, check=True)


@pytest.fixture
def actions(host: Any, registry: str) -> Iterator[Callable[..., list[str]]]:
    """The steps of a task, with the image of the registry."""

    def run(check: bool = False, **options: Any) -> list[str]:
        params = {**DEFAULTS, "name": "c", "image": f"{registry}/web", "state": "present", **options}
        (outcome,) = converge_with_images(host.paths, [(wish(params), params)], check=check)
        if outcome.error:
            raise outcome.error
        return [step.name for step in outcome.plan]

    yield run
    host.absent("c")


def test_it_is_pulled_when_it_is_needed_and_not_there(actions: Any) -> None:
    with pytest.raises(ImageMissing):
        actions(pull="never")
    assert "pull" not in actions(check=True)
    assert actions()[:2] == ["pull", "reserve-name"]
    assert actions() == actions(pull="always") == actions(pull="never") == []


def test_another_image_under_the_name(actions: Any, registry: str, layout: Path, tmp_path: Path) -> None:
    actions()
    subprocess.run(["cp", "-r", layout, tmp_path / "other"], check=True)
    command = ["umoci", "config", "--image", f"{tmp_path}/other:1", "--config.env", "NEW=1"]
    subprocess.run(command, check=True)
    push(tmp_path / "other", registry)
    assert actions() == []
    assert actions(check=True, pull="always")[0] == "pull"
    done = actions(pull="always")
    assert done[0] == "pull"
    assert "discard" in done, "the container is replaced by one of the other image"
    assert actions(pull="always") == []


def test_a_registry_that_does_not_have_it(actions: Any, registry: str) -> None:
    with pytest.raises(ImageMissing, match=r"is not in the store, and .*/none"):
        actions(image=f"{registry}/none")
