# SPDX-License-Identifier: GPL-3.0-or-later
"""Quotes, escapes and variables, as Docker's builder has them."""

from __future__ import annotations

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput
from ansible_collections.mini.containers.plugins.module_utils.image.containerfile.expand import Lexer, variables_only

VARIABLES = {"x": "val", "empty": "", "path": "/a/b/c.tar.gz", "two": "a  b", "1": "one", "ünï": "u"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$x", "val"),
        ("${x}", "val"),
        ("a${x}b", "avalb"),
        ("$xy", ""),
        ("$x.y", "val.y"),
        ("$1x", "onex"),
        ("${ünï}", "u"),
        ("$", "$"),
        ("a$", "a$"),
        ("$.", "$."),
        ("$?", ""),
        (r"\$x", "$x"),
        (r"\\$x", r"\val"),
        (r"\${x}", "${x}"),
        ('"$x y"', "val y"),
        ("'$x y'", "$x y"),
        ("\"'$x'\"", "'val'"),
        ("'\"$x\"'", '"$x"'),
        (r'"\$x"', "$x"),
        (r'"a\tb"', r"a\tb"),
        (r'"a\"b"', 'a"b'),
        (r"'a\'", "a\\"),
        (r"a\tb", "atb"),
        ("a\\", "a"),
        ("it''s", "its"),
        ("${x:-y}", "val"),
        ("${none:-y}", "y"),
        ("${none-y}", "y"),
        ("${empty:-y}", "y"),
        ("${empty-y}", ""),
        ("${x:+y}", "y"),
        ("${empty:+y}", ""),
        ("${empty+y}", "y"),
        ("${none+y}", ""),
        ("${x:?no}", "val"),
        ("${empty?no}", ""),
        ("${none:-${x}}", "val"),
        ("${none:-${none:-$x}!}", "val!"),
        (r"${none:-\$x}", "$x"),
        (r"${none:-a\}b}", "a}b"),
        ('${none:-"a b"}', "a b"),
        ("${path#*/}", "a/b/c.tar.gz"),
        ("${path##*/}", "c.tar.gz"),
        ("${path%.*}", "/a/b/c.tar"),
        ("${path%%.*}", "/a/b/c"),
        ("${path#nothing}", "/a/b/c.tar.gz"),
        (r"${path#\/a}", "/b/c.tar.gz"),
        ("${path%.??}", "/a/b/c.tar"),
        ("${x/a/o}", "vol"),
        ("${path//a/A}", "/A/b/c.tAr.gz"),
        (r"${path//\//-}", "-a-b-c.tar.gz"),
        ("${x//?/.}", "..."),
        ("${none#x}", ""),
    ],
)
def test_word(text: str, expected: str) -> None:
    assert Lexer().word(text, VARIABLES) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("'a", "a single quote is not closed"),
        ('"a', "a double quote is not closed"),
        ('"a\\"', "a double quote is not closed"),
        ("${x", "${x…} is nothing that is known"),
        ("${", "'}' is missing"),
        ("${none:-x", "'}' is missing"),
        ("${}", "a ${} without a name"),
        ("${:x}", "a ${} without a name"),
        ("${{x}}", "a ${} without a name"),
        ("${x:y}", "${x:y…} is nothing that is known"),
        ("${x:=y}", "${x:=…} is nothing that is known"),
        ("${x:#y}", "${x:#…} is nothing that is known"),
        ("${none:?say it}", "none: say it"),
        ("${none?}", "none: it is not set"),
        ("${empty:?}", "empty: it is empty"),
        ("${x/a}", "'/' is missing in a ${}"),
    ],
)
def test_what_is_refused(text: str, reason: str) -> None:
    with pytest.raises(BadInput) as caught:
        Lexer().word(text, VARIABLES)
    assert caught.value.message == reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b", ["a", "b"]),
        ("  a   b  ", ["a", "b"]),
        ("'a b' c", ["a b", "c"]),
        ("$two", ["a", "b"]),
        ('"$two"', ["a  b"]),
        (r"a\ b", ["a b"]),
        ("x$two", ["xa", "b"]),
        ("$none", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert Lexer().words(text, VARIABLES) == expected


def test_a_backtick_escapes_where_the_file_says_so() -> None:
    assert Lexer("`").word(r"c:\$x`$x", VARIABLES) == r"c:\val$x"


def test_raw_words_keep_what_is_written() -> None:
    assert Lexer(raw=True).words(r"""a 'b c' "$none" \d""", {}) == ["a", "'b c'", '"$none"', r"\d"]


def test_quotes_mean_nothing_in_a_here_document() -> None:
    assert variables_only('it\'s "$x" \\$x\n', VARIABLES) == 'it\'s "val" $x\n'
