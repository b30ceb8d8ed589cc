# SPDX-License-Identifier: GPL-3.0-or-later
"""Replacing a container: the new one takes over, or the old one is back as it was."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import MiniError, StepFailed
from ansible_collections.mini.containers.plugins.module_utils.core.plan import Step

TASK: dict[str, Any] = {
    "image": "box",
    "command": "sleep 1000",
    "stop_timeout": 0,
    "networks": [{"name": "lan"}],
    "published_ports": ["8080:80"],
}


@pytest.fixture
def lan(host: Any) -> Any:
    """A host with a network and a running container."""
    host.network()
    host.container(**TASK)
    host.exec("c", "touch", "/mark")
    yield host
    host.absent("c")
    host.no_network("lan")


def _is_the_old_one(host: Any, before: Any) -> None:
    assert host.record() == before
    assert host.pid()
    assert host.exec("c", "ls", "/mark").rc == 0
    assert not host.container(**TASK).plan


def test_the_new_one_has_the_addresses_of_the_old_one(lan: Any) -> None:
    before = lan.record()
    lan.container(**{**TASK, "command": "sleep 999"})
    assert lan.record().id != before.id
    assert lan.record().networks == before.networks
    assert os.listdir(lan.paths.names) == ["c"]
    assert os.listdir(lan.paths.containers) == [lan.record().id]
    assert lan.exec("c", "ls", "/mark").rc != 0


@pytest.mark.parametrize(
    "change", [{"command": "nothing"}, {"user": "mallory"}, {"working_dir": "/proc/self/fd/4"}, {"cpuset_cpus": "4000"}]
)
def test_one_that_does_not_come_up_gives_way_to_the_old_one(lan: Any, change: dict[str, Any]) -> None:
    before = lan.record()
    with pytest.raises(StepFailed):
        lan.container(**{**TASK, "hostname": "other", **change})
    _is_the_old_one(lan, before)


@pytest.mark.parametrize("name", ["set-aside", "reserve-name", "lease-address", "connect", "publish", "start"])
def test_an_error_at_any_step_brings_the_old_one_back(lan: Any, name: str) -> None:
    def observer(event: str, step: Step) -> None:
        if (event, step.name) == ("done", name):
            raise OSError(errno.EIO, os.strerror(errno.EIO), "/some/file")

    before = lan.record()
    with pytest.raises(MiniError, match="Input/output error"):
        lan.container(**{**TASK, "hostname": "other"}, observer=observer)
    _is_the_old_one(lan, before)


def test_one_that_was_stopped_stays_stopped(lan: Any) -> None:
    lan.container(state="stopped")
    before = lan.record()
    with pytest.raises(StepFailed):
        lan.container(**{**TASK, "command": "nothing"})
    assert lan.record() == before
    assert lan.pid() == 0


def test_bad_input_does_not_even_stop_the_old_one(lan: Any) -> None:
    pid = lan.pid()
    for change in ({"image": "nowhere"}, {"networks": [{"name": "nowhere"}]}, {"volumes": ["/no/such/path:/x"]}):
        with pytest.raises(MiniError):
            lan.container(**{**TASK, **change})
    assert lan.pid() == pid
