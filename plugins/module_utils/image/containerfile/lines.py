# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a Containerfile as instructions, each on one line: directives, comments, continuations, here-documents.

Source: buildkit, frontend/dockerfile/parser/parser.go and split_command.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, Optional

from ...core.errors import BadInput
from .expand import Lexer
from .where import located

_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*\Z")
_DIRECTIVES = ("syntax", "escape", "check")
_HEREDOC = re.compile(r"(\d*)<<(-?)\s*([^<]+)\Z")
_WITH_HEREDOC = re.compile(r"(?:ONBUILD\s+)?(?:ADD|COPY|RUN)\b", re.IGNORECASE)
_BLANKS = re.compile(r"[\t\v\f\r ]+")


class Heredoc(NamedTuple):
    """A here-document: the word that ends it, its content, and whether variables in that are replaced."""

    name: str
    content: str
    expand: bool


class Line(NamedTuple):
    """An instruction on one line, with the number of its first line in the file."""

    number: int
    name: str
    flags: tuple[str, ...]
    rest: str
    heredocs: tuple[Heredoc, ...] = ()


def escape_of(text: str, file: str) -> str:
    """The escape character that the file's directives choose. They stand before all else, each once."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        match = _DIRECTIVE.match(line.strip())
        name = match[1].lower() if match else ""
        if match is None or name not in _DIRECTIVES:
            break
        with located(file, number):
            if name in found:
                raise BadInput(f"the directive {name} is given twice")
            found[name] = match[2]
            if name == "escape" and match[2] not in ("\\", "`"):
                raise BadInput(f"escape is {match[2]!r}, and can only be \\ or `")
    return found.get("escape", "\\")


def read(text: str, escape: str, file: str) -> Iterator[Line]:
    """All instructions. An error says where in `file`."""
    return _Reader(text, escape, file).lines()


class _Reader:
    """A place in the file."""

    def __init__(self, text: str, escape: str, file: str) -> None:
        self._file = file
        self._physical = [line.rstrip("\r") for line in text.split("\n")]
        self._escape = escape
        self._at = 0

    def lines(self) -> Iterator[Line]:
        while self._at < len(self._physical):
            number = self._at + 1
            with located(self._file, number):
                text = self._logical()
                line = self._line(number, text) if text.strip() else None
            if line:
                yield line

    def _line(self, number: int, text: str) -> Line:
        name, flags, rest = split(text, self._escape)
        return Line(number, name, flags, rest, self._heredocs(text))

    def _logical(self) -> str:
        """One line and those that continue it. Comments and empty lines among those are left out, as in Docker."""
        text, goes_on = self._part(self._take().lstrip())
        while goes_on and self._at < len(self._physical):
            line = self._take()
            if line.strip() and not line.lstrip().startswith("#"):
                part, goes_on = self._part(line)
                text += part
        return text

    def _take(self) -> str:
        self._at += 1
        return self._physical[self._at - 1]

    def _part(self, line: str) -> tuple[str, bool]:
        """A line without its comment, and whether the next one continues it: an escaped escape character does not."""
        if line.startswith("#"):
            return "", False
        bare = line.rstrip(" \t")
        if bare.endswith(self._escape) and not bare[:-1].endswith(self._escape):
            return bare[:-1], True
        return line, False

    def _heredocs(self, text: str) -> tuple[Heredoc, ...]:
        if "<<" not in text or not _WITH_HEREDOC.match(text):
            return ()
        joined = re.sub(r"<<(-?)[ \t]+", r"<<\1", text)
        found = [heredoc(word) for word in Lexer(raw=True).words(joined, {})]
        return tuple(self._content(*mark) for mark in found if mark)

    def _content(self, name: str, chomp: bool, expand: bool) -> Heredoc:
        content: list[str] = []
        while self._at < len(self._physical):
            line = self._take()
            line = line.lstrip("\t") if chomp else line
            if line == name:
                return Heredoc(name, "".join(f"{one}\n" for one in content), expand)
            content.append(line)
        raise BadInput(f"the here-document {name} is not ended by a line of that name")


def heredoc(word: str) -> Optional[tuple[str, bool, bool]]:
    """What a word of an instruction says of a here-document: its name, whether tabs go, whether variables count."""
    match = _HEREDOC.match(word)
    words = Lexer().words(match[3], {}) if match else []
    if match is None or len(words) != 1:
        return None
    quoted = any(quote in match[3] for quote in "'\"")
    return words[0], bool(match[2]), not quoted


def split(text: str, escape: str) -> tuple[str, tuple[str, ...], str]:
    """The name of an instruction in upper case, its flags, and the rest."""
    name, *rest = _BLANKS.split(text.strip(), maxsplit=1)
    flags, rest_text = _flags(rest[0] if rest else "", escape)
    return name.upper(), flags, rest_text.strip()


def _flags(text: str, escape: str) -> tuple[tuple[str, ...], str]:
    """The words at the beginning that begin with `--`; one that is nothing more ends them."""
    found: list[str] = []
    while text.lstrip().startswith("--"):
        word, text = _word(text.lstrip(), escape)
        if word == "--":
            break
        found.append(word)
    return tuple(found), text


def _word(text: str, escape: str) -> tuple[str, str]:
    """The first word, without quotes and escapes, and what is behind it."""
    word, quote, at = "", "", 0
    while at < len(text):
        character = text[at]
        at += 1
        if character == escape:
            word += text[at : at + 1]
            at += 1
        elif quote:
            quote, word = ("", word) if character == quote else (quote, word + character)
        elif character in "'\"":
            quote = character
        elif character.isspace():
            return word, text[at:]
        else:
            word += character
    return word, ""
