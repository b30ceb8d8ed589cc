# SPDX-License-Identifier: GPL-3.0-or-later
"""What a version is, and where a path begins to exist."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.mini.containers.plugins.module_utils.linux import probe


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("5.10", (5, 10)),
        ("6.1.0-18-amd64", (6, 1, 0)),
        ("6.18.44-custom", (6, 18, 44)),
        ("5.10.0+", (5, 10, 0)),
        ("0.7.2", (0, 7, 2)),
        ("0.9.1rc1", (0, 9, 1)),
        ("3.13.0", (3, 13, 0)),
        ("", ()),
        ("unknown", ()),
    ],
)
def test_numbers(version: str, expected: tuple[int, ...]) -> None:
    assert probe.numbers(version) == expected


def test_numbers_compare_as_numbers() -> None:
    assert probe.numbers("5.9.16") < (5, 10) < probe.numbers("5.100")


def test_existing(tmp_path: Path) -> None:
    assert probe.existing(str(tmp_path)) == str(tmp_path)
    assert probe.existing(str(tmp_path / "a" / "b")) == str(tmp_path)
