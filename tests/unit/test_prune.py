# SPDX-License-Identifier: GPL-3.0-or-later
"""What the filters of mini_prune mean."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput
from ansible_collections.mini.containers.plugins.module_utils.engine.prune.filters import Filters, seconds
from ansible_collections.mini.containers.plugins.module_utils.glue.prune import wanted

NOW = 1_700_000_000.0  # 2023-11-14T22:13:20Z
THEN = "2023-11-14T20:13:20Z"
KEEP = {"keep": "", "team": "web"}


def filters(kind: str, **given: Any) -> Any:
    """The filters of one kind."""
    found = wanted({kind: True, f"{kind}_filters": given}, lambda: NOW)
    return getattr(found, kind)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({}, True),
        ({"until": "1h"}, True),
        ({"until": "2h1s"}, False),
        ({"until": "2h"}, False),
        ({"until": 1_699_992_801}, True),
        ({"until": "1699992800"}, False),
        ({"until": "2023-11-14T20:13:21Z"}, True),
        ({"until": "2023-11-14T22:13:20+02:00"}, False),
        ({"until": "2023-11-14T22:13:21+02:00"}, True),
        ({"until": "2023-11-16"}, True),
        ({"label": "keep"}, True),
        ({"label": "keep="}, True),
        ({"label": "keep=x"}, False),
        ({"label": ["keep", "team=web"]}, True),
        ({"label": ["keep", "other"]}, False),
        ({"label!": "other"}, True),
        ({"label!": ["other", "team"]}, False),
        ({"label!": "team=db"}, True),
    ],
)
def test_what_is_taken(given: dict[str, Any], taken: bool) -> None:
    assert filters("containers", **given).take(THEN, KEEP) is taken


def test_what_has_no_age_stays_when_that_is_asked() -> None:
    assert Filters().take("", {})
    assert not Filters(before=NOW).take("", {})
    assert not Filters(before=NOW).take("yesterday", {})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2023-11-14T22:13:20Z", NOW),
        ("2023-11-14T22:13:20.123456789Z", NOW),
        ("2023-11-15T00:13:20+02:00", NOW),
        ("2023-11-14 22:13:20", None),
        ("2023-13-14T22:13:20Z", None),
        ("", None),
    ],
)
def test_times(text: str, value: float | None) -> None:
    assert seconds(text) == value


def test_what_is_wider() -> None:
    assert [filters("images", dangling=value).every for value in (True, False, "false", [False], 0)] == [
        *(False, True, True, True, True)
    ]
    assert [filters("volumes", all=value).every for value in (True, "1", False)] == [True, True, False]
    assert not filters("images").every
    found = wanted({"containers": False, "containers_filters": {"until": "1h"}})
    assert (found.containers, found.images, found.networks, found.volumes) == (None, None, None, None)
    assert not found.builder_cache
    assert wanted({"builder_cache": True}).builder_cache


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("containers", {"dangling": True}),
        ("networks", {"all": True}),
        ("volumes", {"until": "1h"}),
        ("images", {"unti": "1h"}),
        ("images", {"dangling": "perhaps"}),
        ("containers", {"until": "soon"}),
        ("containers", {"until": True}),
        ("containers", {"until": ""}),
        ("containers", {"label": "=x"}),
        ("containers", {"label": [True]}),
        ("containers", {"label": {"a": "b"}}),
    ],
)
def test_refused(kind: str, given: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=f"{kind}_filters"):
        filters(kind, **given)
