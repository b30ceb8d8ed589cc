# SPDX-License-Identifier: GPL-3.0-or-later
"""Containerfiles as text, and what is read of them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput
from ansible_collections.mini.containers.plugins.module_utils.image.containerfile.instruction import Instruction
from ansible_collections.mini.containers.plugins.module_utils.image.containerfile.parse import parse


def one(text: str, head: str = "FROM x\n") -> Instruction:
    """The only instruction of a stage."""
    (found,) = parse(head + text, "F").stages[0].instructions
    return found


@pytest.mark.parametrize(
    ("text", "name", "args"),
    [
        ("RUN a b", "RUN", ("a b",)),
        ("run  a  b ", "RUN", ("a  b",)),
        ("\tRUN a", "RUN", ("a",)),
        ("RUN a \\\n  b", "RUN", ("a   b",)),
        ("RUN a \\  \n  b", "RUN", ("a   b",)),
        ("RUN a \\\n# no\n  # no\n  b", "RUN", ("a   b",)),
        ("RUN a \\\n\n  b", "RUN", ("a   b",)),
        ("RUN a \\\n# last", "RUN", ("a",)),
        ("RUN a\\\\", "RUN", ("a\\\\",)),
        ("RUN a # b", "RUN", ("a # b",)),
        ("RUN \\\na", "RUN", ("a",)),
        ("RUN a\r\n", "RUN", ("a",)),
        ("R\\\nUN a", "RUN", ("a",)),
        ("ENV a=b c=d", "ENV", ("a", "b", "c", "d")),
        ("ENV a b c", "ENV", ("a", "b c")),
        ("ENV a=\"b c\" d='e f'", "ENV", ("a", '"b c"', "d", "'e f'")),
        (r"ENV a=b\ c d=e", "ENV", ("a", r"b\ c", "d", "e")),
        ("ENV a=b=c", "ENV", ("a", "b=c")),
        ("ENV a=", "ENV", ("a", "")),
        ("LABEL a=b", "LABEL", ("a", "b")),
        ('LABEL "a b"="c d"', "LABEL", ('"a b"', '"c d"')),
        ("ARG a b=c d='e f'", "ARG", ("a", "b=c", "d='e f'")),
        ("EXPOSE 80  443/udp", "EXPOSE", ("80", "443/udp")),
        ("COPY a b /c/", "COPY", ("a", "b", "/c/")),
        ('COPY ["a b", "/c"]', "COPY", ("a b", "/c")),
        ("VOLUME /a /b", "VOLUME", ("/a", "/b")),
        ("WORKDIR /a b", "WORKDIR", ("/a b",)),
        ("USER a:b", "USER", ("a:b",)),
        ("STOPSIGNAL 9", "STOPSIGNAL", ("9",)),
        ("MAINTAINER Some One <a@b>", "MAINTAINER", ("Some One <a@b>",)),
        ("CMD a b", "CMD", ("a b",)),
        ("CMD", "CMD", ()),
        ("HEALTHCHECK NONE", "HEALTHCHECK", ("NONE",)),
        ("HEALTHCHECK CMD a b", "HEALTHCHECK", ("CMD", "a b")),
        ('HEALTHCHECK CMD ["a", "b"]', "HEALTHCHECK", ("CMD", "a", "b")),
        ("ONBUILD RUN a", "ONBUILD", ("RUN a",)),
        ("CMD ['a']", "CMD", ("['a']",)),
        ('CMD ["a"', "CMD", ('["a"',)),
    ],
)
def test_instructions(text: str, name: str, args: tuple[str, ...]) -> None:
    found = one(text)
    assert (found.name, found.args) == (name, args)


@pytest.mark.parametrize(
    ("text", "flags", "rest"),
    [
        ("COPY --from=a b c", (("from", "a"),), ("b", "c")),
        ("COPY --chown=a:b --chmod=755 c d", (("chown", "a:b"), ("chmod", "755")), ("c", "d")),
        ("COPY --link a b", (("link", "true"),), ("a", "b")),
        ("COPY -- --from=a b", (), ("--from=a", "b")),
        ('COPY "--from" b', (), ('"--from"', "b")),
        ("RUN --mount=type=cache,target=/a --mount=type=tmpfs,target=/b c --d", None, ("c --d",)),
        ("RUN --mount=type=cache,target='/a b' c", (("mount", "type=cache,target=/a b"),), ("c",)),
        ("HEALTHCHECK --interval=5s --retries=3 CMD a", (("interval", "5s"), ("retries", "3")), ("CMD", "a")),
    ],
)
def test_flags(text: str, flags: Any, rest: tuple[str, ...]) -> None:
    found = one(text)
    assert found.args == rest
    if flags is None:
        assert found.every("mount") == ["type=cache,target=/a", "type=tmpfs,target=/b"]
    else:
        assert found.flags == flags


def test_the_list_form_is_told_from_the_other() -> None:
    assert one('RUN ["a", "b c"]').exec_form
    assert not one("RUN [a]").exec_form
    assert one('RUN  [ "a" ] ').args == ("a",)


@pytest.mark.parametrize(
    ("text", "content", "expand"),
    [
        ("COPY <<EOF /a\nb $x\n\nEOF\n", "b $x\n\n", True),
        ("COPY <<'EOF' /a\nb\nEOF\n", "b\n", False),
        ('COPY <<"EOF" /a\nb\nEOF\n', "b\n", False),
        ("COPY <<-EOF /a\n\t\tb\n\tEOF\n", "b\n", True),
        ("COPY << EOF /a\n# no comment\nEOF\n", "# no comment\n", True),
        ("RUN <<EOF\necho \\\n a\nEOF\n", "echo \\\n a\n", True),
        ("COPY <<EOF /a\nEOF\n", "", True),
    ],
)
def test_here_documents(text: str, content: str, expand: bool) -> None:
    (document,) = one(text).heredocs
    assert (document.name, document.content, document.expand) == ("EOF", content, expand)


def test_several_here_documents() -> None:
    found = one("COPY <<a <<b /c/\n1\na\n2\nb\n")
    assert [(doc.name, doc.content) for doc in found.heredocs] == [("a", "1\n"), ("b", "2\n")]


def test_what_only_looks_like_a_here_document() -> None:
    assert one("RUN echo '<<EOF' $((1<<2))").heredocs == ()
    assert one("RUN cat <<< a").heredocs == ()
    assert one("CMD cat <<EOF").heredocs == ()


def test_the_escape_directive() -> None:
    head = "# syntax=docker/dockerfile:1\n# escape=`\nFROM x\n"
    assert one("RUN a `\n b\\\n", head).args == ("a  b\\",)
    assert one("RUN a \\\n b", "\n# escape=`\nFROM x\n").args == ("a  b",)
    assert one("RUN a \\\n b", "# a comment\n# escape=`\nFROM x\n").args == ("a  b",)


def test_stages() -> None:
    found = parse(
        "ARG v=1\nFROM a:$v AS First\nRUN a\nFROM --platform=linux/arm64 first as second\nFROM scratch\n", "F"
    )
    assert [arg.args for arg in found.arguments] == [("v=1",)]
    assert [(s.number, s.image, s.name, s.platform) for s in found.stages] == [
        (0, "a:$v", "first", ""),
        (1, "first", "second", "linux/arm64"),
        (2, "scratch", "", ""),
    ]
    assert found.stage("First") == found.stage("0") == found.stages[0]
    with pytest.raises(BadInput, match="F has no stage 'third'"):
        found.stage("third")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "F:1: there is no FROM"),
        ("RUN a", "F:1: RUN stands before the first FROM"),
        ("FROM x\nRUM a", "F:2: there is no instruction RUM"),
        ("FROM x\n\nRUN a\\\n b\nFOO", "F:5: there is no instruction FOO"),
        ("FROM a b", "F:1: FROM is written as FROM IMAGE, or FROM IMAGE AS NAME"),
        ("FROM a AS 1", "F:1: '1' is not a name for a stage"),
        ("FROM a AS b\nFROM c AS B", "F:2: there is a stage b already"),
        ("FROM x\nRUN", "F:2: RUN says nothing"),
        ("FROM x\nCOPY a", "F:2: COPY needs a source and a destination"),
        ("FROM x\nCOPY --form=a b c", "F:2: COPY has no flag --form"),
        ("FROM x\nCOPY --from b c", "F:2: --from has no value"),
        ("FROM x\nCOPY --from=a --from=b c d", "F:2: --from is given twice"),
        ("FROM x\nENV a", "F:2: a has no value"),
        ("FROM x\nENV a=b c", "F:2: there is no = in 'c'"),
        ("FROM x\nENV =b", "F:2: ENV has a value without a name"),
        ("FROM x\nARG =b", "F:2: ARG has a value without a name"),
        ("FROM x\nSHELL /bin/sh", "F:2: SHELL needs a list in JSON"),
        ("FROM x\nCMD [1]", "F:2: a list in JSON may only have strings in it"),
        ("FROM x\nHEALTHCHECK a", "F:2: HEALTHCHECK a is neither"),
        ("FROM x\nHEALTHCHECK CMD", "F:2: HEALTHCHECK CMD names no command"),
        ("FROM x\nHEALTHCHECK NONE a", "F:2: HEALTHCHECK NONE takes no arguments"),
        ("FROM x\nONBUILD FROM y", "F:2: ONBUILD FROM is not allowed"),
        ("FROM x\nONBUILD RUM y", "F:2: there is no instruction RUM"),
        ("FROM x\nCOPY <<EOF /a\nb\n", "F:2: the here-document EOF is not ended by a line of that name"),
        ("# escape=x\nFROM x", "F:1: escape is 'x', and can only be"),
        ("# escape=`\n# escape=`\nFROM x", "F:2: the directive escape is given twice"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(text, "F")
    assert caught.value.message.startswith(message)
