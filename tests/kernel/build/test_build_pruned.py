# SPDX-License-Identifier: GPL-3.0-or-later
"""What builds keep of their steps goes when that is asked, and nothing else goes with it."""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.mini.containers.plugins.module_utils.core.specs.volume import VolumeSpec
from ansible_collections.mini.containers.plugins.module_utils.engine.builds import cache
from ansible_collections.mini.containers.plugins.module_utils.engine.prune import converge as pruning
from ansible_collections.mini.containers.plugins.module_utils.engine.volumes import use
from ansible_collections.mini.containers.plugins.module_utils.glue.prune import wanted
from ansible_collections.mini.containers.plugins.module_utils.linux.files import locked

TEXT = """
FROM box AS tools
RUN dd if=/dev/zero of=/large bs=1024 count=500 && echo made > /result
FROM box
COPY --from=tools /result /result
"""
STEPS = {"images": True, "builder_cache": True}


def prune(builder: Any, **options: Any) -> Any:
    """What the task returns, which check mode told before."""
    told = pruning.prune(builder.paths, wanted(options), check=True)
    done = pruning.prune(builder.paths, wanted(options))
    assert (told.plan.describe(), told.removed) == (done.plan.describe(), done.removed)
    return done


CACHED = "FROM box\nRUN --mount=type=cache,target=/c dd if=/dev/zero of=/c/x bs=1024 count=300\n"


def test_the_steps_of_builds(builder: Any) -> None:
    builder.build(TEXT)
    image = builder.image()
    assert not prune(builder, images=True).plan
    with locked(cache.lock(builder.paths, "made:latest"), "a build"):
        assert not prune(builder, **STEPS).plan
    done = prune(builder, **STEPS)
    assert [step.describe() for step in done.plan][0] == "forget-build made:latest: its steps are not kept any longer"
    assert done.removed["images"] == []
    assert done.removed["images_space_reclaimed"] == 0
    assert done.removed["builder_cache_space_reclaimed"] > 500 * 1024
    assert builder.image() == image
    assert not prune(builder, **STEPS).plan
    assert "run" in " ".join(builder.actions(TEXT)).lower()
    assert not builder.actions(TEXT)
    assert prune(builder, builder_cache=True).removed["builder_cache_space_reclaimed"] > 500 * 1024


def test_the_caches_that_steps_mount(builder: Any) -> None:
    builder.build(CACHED)
    (volume,) = os.listdir(builder.paths.volumes)
    assert not prune(builder, volumes=True, volumes_filters={"all": True}).plan
    use.make(builder.paths, VolumeSpec("build-cache-mine"))
    builder.host.container("holder", volumes=[f"{volume}:/c"])
    assert prune(builder, builder_cache=True).removed["builder_cache_caches_deleted"] == ["made:latest"]
    builder.host.absent("holder")
    done = prune(builder, builder_cache=True)
    assert done.removed["builder_cache_caches_deleted"] == [volume]
    assert done.removed["builder_cache_space_reclaimed"] > 300 * 1024
    assert os.listdir(builder.paths.volumes) == ["build-cache-mine"]
    assert prune(builder, volumes=True, volumes_filters={"all": True}).removed["volumes"] == ["build-cache-mine"]
    assert builder.actions(CACHED)
