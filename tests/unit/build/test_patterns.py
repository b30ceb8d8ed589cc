# SPDX-License-Identifier: GPL-3.0-or-later
"""Patterns of COPY, and the rules of a .dockerignore."""

from __future__ import annotations

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput
from ansible_collections.mini.containers.plugins.module_utils.image.containerfile.patterns import (
    component,
    has_magic,
    read_ignore,
)


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("abc", "abc", True),
        ("*", "abc", True),
        ("*", "", True),
        ("*c", "abc", True),
        ("a*", "a", True),
        ("a*b*c", "axxbxxc", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("a?", "aü", True),
        ("*", ".hidden", True),
        ("[a-c]", "b", True),
        ("[a-c]", "d", False),
        ("[^a-c]", "d", True),
        ("[^a-c]", "a", False),
        ("[ab-c]", "a", True),
        (r"[\-x]", "-", True),
        (r"[\]a]", "]", True),
        (r"a\*b", "a*b", True),
        (r"a\*b", "axb", False),
        ("a.c", "abc", False),
        ("**", "abc", True),
    ],
)
def test_names(pattern: str, name: str, matches: bool) -> None:
    assert bool(component(pattern).match(name)) is matches


@pytest.mark.parametrize("pattern", ["[", "[a", "[]a]", "[-]", "[x-]", "[b-a]", "a\\", "[\\"])
def test_what_is_no_pattern(pattern: str) -> None:
    assert has_magic(pattern)
    with pytest.raises(BadInput, match="is not a pattern of names"):
        component(pattern)


@pytest.mark.parametrize(
    ("rules", "path", "ignored"),
    [
        ("a", "a", True),
        ("a", "a/b/c", True),
        ("a", "b/a", False),
        ("/a", "a", True),
        ("a/", "a/b", True),
        ("./a", "a", True),
        ("b/../a", "a", True),
        ("*.md", "x.md", True),
        ("*.md", "d/x.md", False),
        ("*/x", "d/x", True),
        ("*/x", "d/e/x", False),
        ("**/x", "x", True),
        ("**/x", "d/e/x", True),
        ("**/*.o", "d/e/x.o", True),
        ("d/**", "d/e/x", True),
        ("d/**", "d", False),
        ("**", "a/b", True),
        ("a?c", "abc", True),
        ("a[0-9]", "a5", True),
        ("# a\n", "# a", False),
        ("  a  ", "a", True),
        ("*\n!a", "a", False),
        ("*\n!a", "b", True),
        ("!a\n*", "a", True),
        ("d\n!d/keep", "d/keep", False),
        ("d\n!d/keep", "d/keep/x", False),
        ("d\n!d/keep\nd/keep/x", "d/keep/x", True),
        ("*\n! a", "a", False),
        ("**\n!**/*.py", "d/e.py", False),
        ("\n\n", "a", False),
        (".", "a", False),
    ],
)
def test_ignore(rules: str, path: str, ignored: bool) -> None:
    assert read_ignore(rules, "F").matches(path) is ignored


def test_a_rule_that_is_none_is_said_with_its_line() -> None:
    with pytest.raises(BadInput, match=r"F:3: 'x\[' is not a pattern of names"):
        read_ignore("a\n\n!x[\n", "F")
