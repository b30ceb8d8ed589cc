# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the monitors are: wherever a service manager would look for the processes of a session."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from ansible_collections.mini.containers.plugins.module_utils.linux.cgroups import detect, monitors

HYBRID = detect.Hierarchies(
    "", {"/cg/memory": "memory", "/cg/systemd": "name=systemd", "/cg/net": "net_cls,net_prio", "/cg/unified": ""}
)


def test_with_v1_only_where_processes_are_tracked() -> None:
    assert monitors.monitors(HYBRID).directories == ["/cg/systemd/mini/monitor", "/cg/unified/mini/monitor"]


def test_with_v2_beside_the_containers() -> None:
    found = detect.Hierarchies("/cg", {"/cg/unified": ""})
    assert monitors.monitors(found).directories == ["/cg/mini/monitor"]


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENODEV])
def test_a_place_that_is_removed_meanwhile_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    written: list[str] = []

    def join(path: str, value: str) -> None:
        assert Path(path).parent.is_dir()
        written.append(path)
        if len(written) == 1:
            Path(path).parent.rmdir()
            raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(monitors, "hierarchies", lambda: detect.Hierarchies("", {str(tmp_path): "name=systemd"}))
    monkeypatch.setattr(monitors, "write_kernel", join)
    monitors.move_in()
    assert written == [f"{tmp_path}/mini/monitor/tasks"] * 2
