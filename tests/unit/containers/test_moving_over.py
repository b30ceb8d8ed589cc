# SPDX-License-Identifier: GPL-3.0-or-later
"""The page for those who come from docker_container says what a change costs; the planner says the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.plan import RECREATE
from ansible_collections.mini.containers.plugins.module_utils.glue.container import COMPARED

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "docker_container.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("heading", "anew"), [("while the container runs:", False), ("take a new container", True)])
def test_costs(heading: str, anew: bool) -> None:
    paragraph = PAGE.partition(heading)[2].partition("\n\n")[2].partition("\n\n")[0]
    costly = {option for option, fields in COMPARED.items() if set(fields) & set(RECREATE)} | {"image"}
    assert set(re.findall(r"`(\w+)`", paragraph)) == (costly if anew else set(COMPARED) - costly)
