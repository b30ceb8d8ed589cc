# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that make no sense are refused by name, before anything is looked at."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.core.units import parse_size
from ansible_collections.mini.containers.plugins.module_utils.engine.containers import logs
from ansible_collections.mini.containers.plugins.module_utils.glue.command import process_overrides


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"command": ""}, "command: there is nothing to run"),
        ({"command": None, "argv": []}, "argv: there is nothing to run"),
        ({"command": "sh 'x"}, "command: .* cannot be split"),
        ({"command": "ls", "chdir": "tmp"}, "chdir: 'tmp' is not an absolute path"),
    ],
)
def test_a_command_that_cannot_be_run(params: dict[str, Any], text: str) -> None:
    with pytest.raises(BadInput, match=text):
        process_overrides(params)


@pytest.mark.parametrize("since", ["yesterday", "10m", "2030-1-1", "2030-01-31 12:00", "1893456000"])
def test_times_that_no_log_has(tmp_path: Any, since: str) -> None:
    with pytest.raises(BadInput, match="since: .* is not a time"):
        logs.entries(Paths(str(tmp_path)), "c" * 64, since)


@pytest.mark.parametrize("since", ["2030-01-31", "2030-01-31T12:00", "2030-01-31T12:00:00", "2030-01-31T12:00:00.123"])
def test_times_that_are_as_long_as_needed(tmp_path: Any, since: str) -> None:
    assert list(logs.entries(Paths(str(tmp_path)), "c" * 64, since)) == []


def test_fewer_lines_than_none() -> None:
    with pytest.raises(BadInput, match="tail: -1 is negative"):
        logs.tail([], -1)


def test_digits_are_those_of_the_kernel() -> None:
    with pytest.raises(BadInput, match="is not a size"):
        parse_size("memory", "\N{ARABIC-INDIC DIGIT ONE}\N{ARABIC-INDIC DIGIT TWO}M")
