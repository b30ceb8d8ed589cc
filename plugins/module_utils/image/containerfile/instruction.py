# SPDX-License-Identifier: GPL-3.0-or-later
"""One instruction of a Containerfile, its arguments taken apart. Variables are not replaced yet.

Source: buildkit, frontend/dockerfile/parser/line_parsers.go and frontend/dockerfile/instructions/parse.go.
"""

from __future__ import annotations

import json
import re
from typing import Callable, NamedTuple, Optional

from ...core.errors import BadInput
from .lines import Heredoc, Line, split

_BLANKS = re.compile(r"[\t\v\f\r ]+")
_COPY_FLAGS = ("chown", "chmod", "link", "exclude")
# Which flags an instruction may have.
_FLAGS = {
    "FROM": ("platform",),
    "RUN": ("mount", "network", "security"),
    "COPY": ("from", *_COPY_FLAGS),
    "ADD": _COPY_FLAGS,
    "HEALTHCHECK": ("interval", "timeout", "start-period", "start-interval", "retries"),
}
_SWITCHES = ("link",)
_REPEATED = ("mount", "exclude")


class Instruction(NamedTuple):
    """An instruction. `args` are its words; of ENV and LABEL names and values in turn.

    `exec_form`: the words came as a list in JSON. `text` is all behind the name, as it was written.
    """

    line: int
    name: str
    args: tuple[str, ...]
    text: str
    exec_form: bool = False
    flags: tuple[tuple[str, str], ...] = ()
    heredocs: tuple[Heredoc, ...] = ()

    def flag(self, name: str) -> str:
        """The value of a flag, empty when it is not there."""
        return next((value for flag, value in self.flags if flag == name), "")

    def every(self, name: str) -> list[str]:
        """The values of a flag that may be there several times."""
        return [value for flag, value in self.flags if flag == name]


class Words(NamedTuple):
    """What stands behind the name."""

    args: tuple[str, ...]
    exec_form: bool = False


def instruction(line: Line, escape: str) -> Instruction:
    """The instruction that a line is. `BadInput` when it is none, or not a complete one."""
    read = _READERS.get(line.name)
    if read is None:
        raise BadInput(f"there is no instruction {line.name}")
    words = read(line.rest, escape)
    found = Instruction(
        line.number, line.name, words.args, line.rest, words.exec_form, _flags(line.name, line.flags), line.heredocs
    )
    if (not words.args and line.name not in ("CMD", "ENTRYPOINT")) or words.args == ("",):
        raise BadInput(f"{line.name} says nothing", hint="write something behind it, or leave it out")
    _check(found)
    return found


def _flags(name: str, flags: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for flag in flags:
        key, equals, value = flag[2:].partition("=")
        if key not in _FLAGS.get(name, ()):
            raise BadInput(f"{name} has no flag --{key}")
        if key in (one for one, _value in found) and key not in _REPEATED:
            raise BadInput(f"--{key} is given twice")
        if not equals and key not in _SWITCHES:
            raise BadInput(f"--{key} has no value", hint=f"write --{key}=VALUE")
        found.append((key, value if equals else "true"))
    return tuple(found)


def _check(found: Instruction) -> None:
    """What can be seen to be wrong before anything is known of variables."""
    count = len(found.args)
    if found.name in ("COPY", "ADD") and count < 2:
        raise BadInput(f"{found.name} needs a source and a destination")
    if found.name == "SHELL" and not found.exec_form:
        raise BadInput("SHELL needs a list in JSON", hint='write SHELL ["/bin/sh", "-c"]')
    if found.name == "FROM" and not (count == 1 or (count == 3 and found.args[1].upper() == "AS")):
        raise BadInput("FROM is written as FROM IMAGE, or FROM IMAGE AS NAME")
    if found.name == "ARG" and any(word.startswith("=") for word in found.args):
        raise BadInput("ARG has a value without a name")
    if found.name in ("ENV", "LABEL") and "" in found.args[::2]:
        raise BadInput(f"{found.name} has a value without a name")
    if found.name == "HEALTHCHECK":
        _check_health(found)


def _check_health(found: Instruction) -> None:
    kind, rest = found.args[0].upper(), found.args[1:]
    if kind not in ("CMD", "NONE"):
        raise BadInput(f"HEALTHCHECK {found.args[0]} is neither HEALTHCHECK CMD nor HEALTHCHECK NONE")
    if kind == "NONE" and (rest or found.flags):
        raise BadInput("HEALTHCHECK NONE takes no arguments")
    if kind == "CMD" and not rest:
        raise BadInput("HEALTHCHECK CMD names no command")


def json_list(text: str) -> Optional[tuple[str, ...]]:
    """The strings of a list in JSON; None when the text is no such list, which is then taken as it is."""
    if not text.lstrip().startswith("["):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise BadInput("a list in JSON may only have strings in it")
    return tuple(found)


def _command(text: str, escape: str) -> Words:
    """A list, or one string for the shell."""
    found = json_list(text)
    return Words(found, True) if found is not None else Words((text,) if text else ())


def _list(text: str, escape: str) -> Words:
    found = json_list(text)
    return Words(found, True) if found is not None else _blanks(text, escape)


def _blanks(text: str, escape: str) -> Words:
    return Words(tuple(word for word in _BLANKS.split(text) if word))


def _whole(text: str, escape: str) -> Words:
    return Words((text,) if text else ())


def _words(text: str, escape: str) -> Words:
    return Words(tuple(quoted_words(text, escape)))


def _pairs(text: str, escape: str) -> Words:
    """`a=b c="d e"`, or the old way, a single name and the rest of the line as its value."""
    words = quoted_words(text, escape)
    if words and "=" not in words[0]:
        name, *value = _BLANKS.split(text, maxsplit=1)
        if not value:
            raise BadInput(f"{name} has no value", hint=f"write {name}=VALUE")
        return Words((name, value[0]))
    for word in words:
        if "=" not in word:
            raise BadInput(f"there is no = in {word!r}", hint="write NAME=VALUE, with quotes around blanks")
    return Words(tuple(part for word in words for part in word.split("=", 1)))


def _health(text: str, escape: str) -> Words:
    kind, *rest = text.split(None, 1) or [""]
    command = _command(rest[0].strip(), escape) if rest else Words(())
    return Words((kind, *command.args), command.exec_form)


def _trigger(text: str, escape: str) -> Words:
    """ONBUILD keeps the instruction for later; what is wrong with it is said now."""
    name, flags, rest = split(text, escape) if text else ("", (), "")
    if name in ("ONBUILD", "FROM", "MAINTAINER"):
        raise BadInput(f"ONBUILD {name} is not allowed")
    if name:
        instruction(Line(0, name, flags, rest), escape)
    return Words((text,) if text else ())


_READERS: dict[str, Callable[[str, str], Words]] = {
    "ADD": _list,
    "ARG": _words,
    "CMD": _command,
    "COPY": _list,
    "ENTRYPOINT": _command,
    "ENV": _pairs,
    "EXPOSE": _blanks,
    "FROM": _blanks,
    "HEALTHCHECK": _health,
    "LABEL": _pairs,
    "MAINTAINER": _whole,
    "ONBUILD": _trigger,
    "RUN": _command,
    "SHELL": _command,
    "STOPSIGNAL": _whole,
    "USER": _whole,
    "VOLUME": _list,
    "WORKDIR": _whole,
}


def quoted_words(text: str, escape: str) -> list[str]:
    """Split at blanks that are in no quotes. Quotes and escapes stay."""
    words, word, quote, at = [], "", "", 0
    while at < len(text):
        character = text[at]
        at += 1
        if character == escape and quote != "'":
            if at == len(text):
                break
            word += character + text[at]
            at += 1
        elif not quote and character.isspace():
            words += [word] if word else []
            word = ""
        else:
            if character in ("'", '"') and quote in ("", character):
                quote = "" if quote else character
            word += character
    return [*words, word] if word else words
