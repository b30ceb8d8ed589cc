# SPDX-License-Identifier: GPL-3.0-or-later
"""Quotes, escapes and variables in a Containerfile, as Docker's builder has them: close to a shell, and not one.

Source: buildkit, frontend/dockerfile/shell/lex.go. `$x`, `${x}`, and with a colon also where x is empty: `${x-word}`,
`${x+word}`, `${x?word}`; `${x#pattern}`, `${x##pattern}`, `${x%pattern}`, `${x%%pattern}`, `${x/pattern/text}`,
`${x//pattern/text}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Callable, NamedTuple

from ...core.errors import BadInput

_END = ""
_SPECIAL = "@*#?-$!0"
_CLOSING = {"'": "single quote", '"': "double quote"}


class Lexer(NamedTuple):
    """How words are read. `raw`: quotes and escapes stay in them, and so do variables that nothing is known of."""

    escape: str = "\\"
    raw: bool = False

    def word(self, text: str, variables: Mapping[str, str]) -> str:
        """The text as one word: quotes gone, variables replaced."""
        return _Scan(self, text, variables).until(_END)[0]

    def words(self, text: str, variables: Mapping[str, str]) -> list[str]:
        """The text split at blanks that are in no quotes, those in values of variables among them."""
        return _Scan(self, text, variables).until(_END)[1]


def variables_only(text: str, variables: Mapping[str, str]) -> str:
    """Text in which quotes mean nothing: the content of a here-document."""
    return _Scan(Lexer(), text, variables, quotes=False).until(_END)[0]


class _Words:
    """Words as they grow; what is quoted or escaped is in a word whatever it is."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self._current = ""

    def add(self, text: str) -> None:
        for character in text:
            if not character.isspace():
                self._current += character
            else:
                self.finish()

    def add_quoted(self, text: str) -> None:
        self._current += text

    def finish(self) -> list[str]:
        if self._current:
            self.done.append(self._current)
            self._current = ""
        return self.done


class _Scan:
    """One reading of a text, from its beginning to its end."""

    def __init__(self, lexer: Lexer, text: str, variables: Mapping[str, str], *, quotes: bool = True) -> None:
        self._escape = lexer.escape
        self._raw = lexer.raw
        self._text = text
        self._at = 0
        self._variables = variables
        self._special: dict[str, Callable[[], str]] = {"$": self._dollar}
        if quotes:
            self._special.update({"'": self._single, '"': self._double})

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        character = self._peek()
        self._at += 1
        return character

    def until(self, stop: str, *, keep_escapes: bool = False) -> tuple[str, list[str]]:
        """Up to the character `stop`, or to the end: as one word, and as words."""
        keep_escapes = keep_escapes or self._raw
        result, words = "", _Words()
        while True:
            character = self._peek()
            if character == stop:
                self._at += 1
                return result, words.finish()
            if not character:
                raise BadInput("'}' is missing" if stop == "}" else f"{stop!r} is missing in a ${{}}")
            if character in self._special:
                piece = self._special[character]()
                (words.add if character == "$" else words.add_quoted)(piece)
            elif self._next() == self._escape:
                piece = (character if keep_escapes else "") + self._next()
                words.add_quoted(piece)
            else:
                piece = character
                words.add(piece)
            result += piece

    def _single(self) -> str:
        """All that is between single quotes is taken as it is."""
        quote = self._next()
        end = self._text.find(quote, self._at)
        if end < 0:
            raise _unclosed(quote)
        inside = self._text[self._at : end]
        self._at = end + 1
        return quote + inside + quote if self._raw else inside

    def _double(self) -> str:
        """Between double quotes there are variables; the escape character escapes itself, quotes and dollars."""
        quote = self._next()
        result = quote if self._raw else ""
        while self._peek() != quote:
            character = self._peek()
            if not character:
                raise _unclosed(quote)
            if character == "$":
                result += self._dollar()
                continue
            self._at += 1
            if character == self._escape:
                result += character if self._raw else ""
                if not self._peek():
                    continue
                if self._peek() in (quote, "$", self._escape):
                    character = self._next()
                elif self._raw:
                    continue
            result += character
        self._at += 1
        return result + quote if self._raw else result

    def _dollar(self) -> str:
        begin = self._at
        self._at += 1
        if self._peek() != "{":
            name = self._name()
            known = not name or name in self._variables or not self._raw
            return (self._variables.get(name, "") if name else "$") if known else self._text[begin : self._at]
        self._at += 1
        if self._peek() in ("", "{", "}", ":"):
            raise BadInput("'}' is missing" if not self._peek() else "a ${} without a name")
        name = self._name()
        value = self._variables.get(name)
        found = self._modified(name, value)
        return self._text[begin : self._at] if self._raw and value is None else found

    def _modified(self, name: str, value: str | None) -> str:
        """What stands in braces, behind the name."""
        modifier = self._next()
        if modifier == "}":
            return value or ""
        if modifier == "/":
            return self._replaced(value or "")
        colon = modifier == ":"
        if colon:
            modifier = self._next()
        if modifier not in (("-", "+", "?") if colon else ("-", "+", "?", "#", "%")):
            raise BadInput(f"${{{name}{':' if colon else ''}{modifier}…}} is nothing that is known")
        word, _words = self.until("}", keep_escapes=modifier in "#%")
        if modifier in "#%":
            return _trimmed(modifier, word, value or "")
        absent = value is None or (colon and not value)
        if modifier == "-":
            return word if absent else value or ""
        if modifier == "+":
            return "" if absent else word
        if absent and not self._raw:
            raise BadInput(f"{name}: {word or ('it is not set' if value is None else 'it is empty')}")
        return value or ""

    def _replaced(self, value: str) -> str:
        every = self._peek() == "/"
        self._at += every
        pattern, _words = self.until("/", keep_escapes=True)
        text, _words = self.until("}", keep_escapes=True)
        return re.sub(_expression(pattern), lambda _match: text, value, count=0 if every else 1)

    def _name(self) -> str:
        rest = self._text[self._at :]
        found = re.match(r"[0-9]+|\w+", rest)
        name = found[0] if found else rest[:1] if rest[:1] and rest[0] in _SPECIAL else ""
        self._at += len(name)
        return name


def _unclosed(quote: str) -> BadInput:
    return BadInput(f"a {_CLOSING[quote]} is not closed")


def _trimmed(modifier: str, pattern: str, value: str) -> str:
    """`#` takes away what matches at the beginning, `%` at the end; written twice, as much as matches."""
    greedy = pattern.startswith(modifier)
    expression = re.compile(_expression(pattern[greedy:]))
    ends = range(len(value) + 1)
    if modifier == "#":
        order = reversed(ends) if greedy else ends
        return next((value[end:] for end in order if expression.fullmatch(value, 0, end)), value)
    order = ends if greedy else reversed(ends)
    return next((value[:begin] for begin in order if expression.fullmatch(value, begin)), value)


def _expression(pattern: str) -> str:
    """A pattern of a shell, without its brackets, as a regular expression."""
    result, characters = "", iter(pattern)
    for character in characters:
        if character == "*":
            result += ".*"
        elif character == "?":
            result += "."
        elif character == "\\":
            result += re.escape(next(characters, "\\"))
        else:
            result += re.escape(character)
    return f"(?s:{result})"
