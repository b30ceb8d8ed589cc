# SPDX-License-Identifier: GPL-3.0-or-later
"""The templates of the report put nothing into the page that is not escaped: Ansible's do not escape by themselves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TEMPLATES = sorted((Path(__file__).resolve().parents[2] / "playbooks" / "templates" / "report").glob("*.j2"))
MACRO = re.compile(r"bar\(.*\)\Z")  # what it puts out is escaped where it is made


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_every_expression_is_escaped(path):
    expressions = re.findall(r"\{\{(.*?)\}\}", path.read_text())
    assert len(expressions) > 10
    assert [text for text in map(str.strip, expressions) if not (text.endswith("| e") or MACRO.match(text))] == []


def test_there_is_something_to_check():
    assert len(TEMPLATES) == 2
