# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of images: by whom, why, for which platform, how large, and who stands on them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput
from ansible_collections.mini.containers.plugins.module_utils.engine.images import describe
from ansible_collections.mini.containers.plugins.module_utils.engine.images.observe import used
from imagehost import Host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def shown(host: Host, name: str) -> dict[str, Any]:
    """What the task shows."""
    image, every = host.find(name), host.store.images()
    users = used(host.paths)
    assert users is not None
    further = describe.describe_among(image, describe.sharing(every), users)
    return {**describe.describe(host.store, image), **further}


def test_author_and_message(host: Host) -> None:
    made = {"src": str(host.tar), "author": "Ann <ann@example>", "message": "first"}
    assert host.actions(**made, check=True) == ["import"]
    assert host.actions(**made) == ["import"]
    assert host.actions(**made) == []
    image = host.image(**made).image
    assert (image["Author"], image["Comment"]) == ("Ann <ann@example>", "first")
    ids = host.find().layers
    (configure, _sweep) = host.image(**{**made, "message": "second"}).plan
    assert configure.describe() == "configure web:latest: message first → second"
    assert host.find().comment == "second"
    assert host.find().layers == ids
    host.container(host.find())
    committed = {"from_container": "c", "author": "Bob", "message": "third"}
    assert host.actions("made", **committed) == ["commit"]
    assert host.actions("made", **committed) == []
    assert [(item.author, item.comment) for item in host.find("made").history] == [
        ("Ann <ann@example>", "second"),
        ("Bob", "third"),
    ]
    assert host.find("made").author == "Bob"
    assert host.actions("made", from_container="c") == ["configure", "sweep"]
    for source in ({"load_path": "/x"}, {}):
        with pytest.raises(BadInput, match="author is said of an image that is made here"):
            host.image(**source, author="Ann")


def test_platform_of_an_image_that_is_made_here(host: Host) -> None:
    made = {"src": str(host.tar), "platform": "linux/arm/v7"}
    assert host.actions(**made) == ["import"]
    assert host.actions(**made) == []
    image = host.image(**made).image
    assert (image["Os"], image["Architecture"], image["Variant"]) == ("linux", "arm", "v7")
    assert host.actions(src=str(host.tar), platform="linux/arm64") == ["import", "sweep"]
    with pytest.raises(BadInput, match="platform: an image of a container"):
        host.image("made", from_container="c", platform="linux/arm64")


def test_sizes_history_and_users(host: Host) -> None:
    host.image("base:1", src=str(host.tar), message="first")
    record = host.container(host.find("base:1"))
    Path(host.paths.container(record.id, "upper"), "new").write_text("new")
    host.image("made:1", from_container="c", message="second")
    base, made = shown(host, "base:1"), shown(host, "made:1")
    assert base["Containers"] == ["c"]
    assert made["Containers"] == []
    assert (base["SharedSize"], base["UniqueSize"]) == (base["Size"], 0)
    assert (made["SharedSize"], made["UniqueSize"]) == (base["Size"], made["Size"] - base["Size"])
    assert [(item["CreatedBy"], item["Comment"], item["Size"]) for item in made["History"]] == [
        ("commit", "second", made["UniqueSize"]),
        ("import", "first", base["Size"]),
    ]


def test_history_of_others_is_kept(host: Host, layout: Path, tmp_path: Path) -> None:
    """Entries without a layer, and what is said in them: another configuration changes nothing of that."""
    shutil.copytree(layout, tmp_path / "layout")
    options = ["--author", "Ann", "--history.comment", "why", "--history.author", "Ann", "--config.user", "7"]
    subprocess.run(["umoci", "config", "--image", f"{tmp_path}/layout:1", *options], check=True)
    host.image("web:1", load_path=f"{tmp_path}/layout")
    before = shown(host, "web:1")
    assert before["Author"] == "Ann"
    assert [item["Size"] == 0 for item in before["History"]] == [True, True, False, False]
    host.image("web:1", load_path=f"{tmp_path}/layout", env={"A": "1"})
    after = shown(host, "web:1")
    assert (after["Author"], after["Comment"], after["History"]) == (
        before["Author"],
        before["Comment"],
        before["History"],
    )
    subprocess.run(
        ["skopeo", "copy", "-q", f"oci:{host.paths.image_layout}:web:1", f"docker-archive:{tmp_path}/a.tar"], check=True
    )
    raw = json.loads(Path(host.store.layout.blob(host.find("web:1").id)).read_text())
    assert [item.get("empty_layer", False) for item in raw["history"]] == [False, False, True, True]
