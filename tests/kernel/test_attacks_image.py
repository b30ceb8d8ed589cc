# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks by what an image says of itself: where to work, what is a volume, who it is, how it wants to be watched.

Each test fails without its defence: that was tried by taking it away. What is no valid configuration at all is in
tests/unit/image/test_documents.py.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import MiniError
from ansible_collections.mini.containers.plugins.module_utils.core.specs.image import Healthcheck
from ansible_collections.mini.containers.plugins.module_utils.linux import files
from ansible_collections.mini.containers.plugins.module_utils.runtime import bundle

from .waiting import eventually

SECOND = 10**9


@pytest.fixture
def evil(host: Any, rootfs: Path) -> Iterator[Any]:
    """Run a container of an image that says this of itself."""

    def start(name: str = "c", options: dict[str, Any] | None = None, **config: Any) -> Any:
        host.image("evil", rootfs, **config)
        return host.container(name, image="evil", **(options or {}))

    yield start
    host.absent("c")
    files.remove_tree(host.paths.volumes)


OUTWARD = ["/x/../../../../../..{canary}", "/way{canary}", "/proc/self/cwd{canary}", "/proc/1/root{canary}"]


@pytest.mark.parametrize("path", OUTWARD)
@pytest.mark.parametrize("option", ["working_dir", "volumes"])
def test_a_directory_that_an_image_wants_is_made_inside(
    host: Any, evil: Any, tmp_path: Path, path: str, option: str
) -> None:
    """CVE-2026-55686, CVE-2022-23648: it is root who makes it, and who copies what is there into the volume."""
    canary = tmp_path / "canary"
    canary.mkdir()
    (canary / "secret").write_text("host")
    wanted = path.format(canary=canary) + ("/made" if option == "working_dir" else "")
    with contextlib.suppress(MiniError):
        evil(options={"state": "present"}, **{option: wanted if option == "working_dir" else (wanted,)})
        (Path(host.paths.container(host.record().id, "upper")) / "way").symlink_to("/proc/self/cwd")
        host.container()
        host.exec("c", "sh", "-c", "echo evil > secret")
    assert sorted(os.listdir(canary)) == ["secret"]
    assert (canary / "secret").read_text() == "host"
    volumes = Path(host.paths.volumes)
    assert not list(volumes.glob("*/_data/secret")) if volumes.exists() else True


@pytest.mark.parametrize("path", ["/proc", "/proc/self/attr", "/proc/sys/kernel", "/x/../proc/1", "/"])
def test_proc_is_no_volume_of_an_image(evil: Any, path: str) -> None:
    """CVE-2019-16884: then the image, and not the kernel, would say which paths are masked."""
    with pytest.raises(MiniError, match="proc|root is a volume"):
        evil(volumes=(path,))


def test_labels_of_an_image_are_no_settings(host: Any, evil: Any) -> None:
    """CVE-2026-53488: not of the engine, whose own notes to the runtime look much like them."""
    names = [value for name, value in vars(bundle).items() if name.startswith("ANNOTATION_")]
    assert names
    labels = {name: json.dumps(["/bin/sh", "-c", "echo evil"]) for name in names}
    evil(labels=labels)
    annotations = bundle.load(host.paths.container(host.record().id)).config["annotations"]
    assert "evil" not in json.dumps(annotations)


def test_the_environment_of_an_image_is_the_containers_alone(host: Any, evil: Any, tmp_path: Path) -> None:
    """What would change how our own programs run."""
    trap = {"PATH": f"/bin:{tmp_path}", "PYTHONPATH": str(tmp_path), "LD_PRELOAD": f"{tmp_path}/x.so", "HOME": "/x\ny"}
    (tmp_path / "json.py").write_text(f"open('{tmp_path}/sprung', 'w')\n")
    evil(env=trap)
    assert host.exec("c", "sh", "-c", 'echo "$HOME"').stdout == b"/x\ny\n"
    monitor = Path(f"/proc/{host.state()['monitor']['pid']}/environ").read_bytes()
    assert str(tmp_path).encode() not in monitor
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("signal", ["JUNK", "0", "-9", "9" * 5000, "SIGTERM\n"])
def test_an_image_that_cannot_be_stopped(host: Any, evil: Any, signal: str) -> None:
    """A signal that does not exist is none: the container would be there for ever."""
    script = "trap 'exit 3' TERM; touch /ready; while :; do sleep 0.1; done"
    evil(options={"command": ["sh", "-c", script]}, stop_signal=signal)
    eventually(Path(f"/proc/{host.pid()}/root/ready").exists)
    host.container(state="stopped", stop_timeout=20)
    assert host.state()["exit_code"] == 3


def test_an_image_that_wants_to_be_watched_without_a_pause(host: Any, evil: Any) -> None:
    """The monitor's time is the host's: no limit of the container counts it."""
    check = Healthcheck(("CMD-SHELL", "echo x >> /count"), 1, SECOND, SECOND, 1, 3)
    evil(healthcheck=check)
    seen = host.state()
    eventually(lambda: host.state()["health"] != seen["health"])
    described = bundle.load(host.paths.container(host.record().id)).text(bundle.ANNOTATION_HEALTH)
    assert json.loads(described)["interval"] >= 1
    assert json.loads(described)["start_interval"] >= 1


@pytest.mark.parametrize("port", ["99999", "0", "x/y", "80/tcp/tcp", "80-", "-5", "9" * 5000])
def test_what_an_image_takes_for_a_port(host: Any, evil: Any, port: str) -> None:
    """It would be part of a rule of the packet filter when the task publishes all ports."""
    host.network()
    with pytest.raises(MiniError, match="exposed_ports"):
        evil(options={"networks": [{"name": "lan"}], "publish_all_ports": True}, exposed_ports=(port,))
    host.absent("c")
    host.no_network("lan")
