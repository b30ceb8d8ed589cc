# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds that are killed, meet each other, or find the disk full: nothing is left, and the next one ends well."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import MiniError
from ansible_collections.mini.containers.plugins.module_utils.core.plan import Step
from ansible_collections.mini.containers.plugins.module_utils.engine.builds import names
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.living import live_process
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.record import find
from ansible_collections.mini.containers.plugins.module_utils.image import workspace
from ansible_collections.mini.containers.plugins.module_utils.image.store import ImageStore
from ansible_collections.mini.containers.plugins.module_utils.runtime import state

from ..forking import in_a_process
from ..waiting import eventually

TEXT = """FROM box AS tools
RUN echo tool > /tool
FROM box
WORKDIR /app
COPY f .
RUN echo run > /run
COPY --from=tools /tool /tool
"""
FIXED = {"args": {"SOURCE_DATE_EPOCH": "1000000000"}}


def _killed(event: str, number: int) -> Callable[[str, Step], None]:
    """Kills itself at the given step."""
    seen = [0]

    def observe(now: str, step: Step) -> None:
        seen[0] += now == event
        if now == event and seen[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return observe


def _left(builder: Any) -> list[str]:
    """Whatever should not be there when nothing goes on, and layers that no image needs."""
    store = ImageStore(builder.paths)
    layers = {layer.rpartition(":")[2] for image in store.images() for layer in image.layers}
    built = set(os.listdir(builder.paths.layers)) - {"tmp"}
    return [*workspace.abandoned(builder.paths), *sorted(layers - built), *os.listdir(builder.paths.layers + "/tmp")]


@pytest.mark.parametrize("event", ["begin", "done"])
@pytest.mark.parametrize("number", [1, 3, 5, 6])
def test_killed_between_steps(builder: Any, event: str, number: int) -> None:
    builder.write(f="f")
    builder.build(TEXT, name="whole", **FIXED)
    pid = in_a_process(lambda: builder.build(observer=_killed(event, number), nocache=True, **FIXED))
    assert os.WIFSIGNALED(os.waitpid(pid, 0)[1]), "there was no such step"
    builder.build(**FIXED)
    assert builder.image().id == builder.image("whole").id
    assert builder.actions(**FIXED) == []
    builder.build(nocache=True, **FIXED)
    assert _left(builder) == []


def test_killed_while_a_command_runs(builder: Any) -> None:
    """The container goes on alone; the next build of the name removes it first."""
    text = "FROM box\nRUN --mount=type=cache,target=/c test -e /c/go || { touch /c/begun; sleep 1000; }\n"
    pid = in_a_process(lambda: builder.build(text, network="default"))
    volumes = Path(builder.paths.volumes)
    (begun,) = eventually(lambda: list(volumes.glob("*/_data/begun")))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    builder.host._look()
    record = find(builder.paths, names.container("made:latest"))
    assert record is not None
    assert live_process(state.read(builder.paths.run_state(record.id)))
    (begun.parent / "go").touch()
    assert builder.actions(text, network="default", check=True) == ["clear", "run", "name", "sweep"]
    assert builder.actions(text, network="default") == ["clear", "run", "name", "sweep"]
    assert find(builder.paths, names.container("made:latest")) is None
    assert _left(builder) == []


@pytest.mark.parametrize("moment", [0.02, 0.06, 0.1, 0.2])
def test_killed_at_any_moment(builder: Any, moment: float) -> None:
    builder.write(f="f")
    pid = in_a_process(lambda: builder.build(TEXT, **FIXED))
    time.sleep(moment)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    builder.host._look()
    builder.build(TEXT, **FIXED)
    assert builder.actions(**FIXED) == []
    assert _left(builder) == []


def test_twice_at_once(builder: Any) -> None:
    """The second waits, and finds all made."""
    text = "FROM box\nRUN --mount=type=cache,target=/c echo x >> /c/x; cp /c/x /seen\n"
    (builder.context / "Containerfile").write_text(text)
    pids = [in_a_process(builder.build) for _number in range(3)]
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0]
    assert builder.top().joinpath("seen").read_text() == "x\n"
    assert builder.actions() == []


def test_two_names_at_once(builder: Any) -> None:
    builder.write(f="f")
    (builder.context / "Containerfile").write_text(TEXT)
    pids = [in_a_process(lambda name=name: builder.build(name=name, **FIXED)) for name in ("one", "two")]  # type: ignore[misc]
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0]
    assert builder.image("one").id == builder.image("two").id
    assert _left(builder) == []


def test_a_full_disk(builder: Any, tmp_path: Path) -> None:
    builder.write(f="f")
    builder.build("FROM box\nCOPY f /\n")
    size = sum(path.lstat().st_size for path in Path(builder.paths.state_root).rglob("*")) + 6 * 2**20
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], check=True)
    try:
        subprocess.run(["cp", "-a", f"{builder.paths.state_root}/.", disk], check=True)
        subprocess.run(["mount", "--bind", disk, builder.paths.state_root], check=True)
        try:
            for text, why in (
                ("COPY large /", "No space left"),
                ("RUN dd if=/dev/zero of=/large bs=1M count=20 2>&1", r"exit code 1(?s:.*)is full: make room"),
            ):
                (builder.context / "large").write_bytes(bytes(20 * 2**20))
                with pytest.raises(MiniError, match=f"Containerfile:2: .*{why}"):
                    builder.build(f"FROM box\n{text}\n")
                assert _left(builder) == []
                assert builder.actions("FROM box\nCOPY f /\n") == []
        finally:
            subprocess.run(["umount", builder.paths.state_root], check=True)
    finally:
        subprocess.run(["umount", disk], check=True)
