# SPDX-License-Identifier: GPL-3.0-or-later
"""Containerfiles that buildah and we have to make the same image of: every instruction, and odd corners of them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from typing import Any, NamedTuple, Union


class Case(NamedTuple):
    """A Containerfile, the other files of its context (a text that begins with `->` is a link), and options."""

    text: str
    files: Mapping[str, Union[str, bytes]] = {}
    options: Mapping[str, Any] = {}


def archive(kind: str = "") -> bytes:
    """A tar with a directory, a file of another owner and a link."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=f"w:{kind}") as tar:
        for name, member, content in (("in", "5", ""), ("in/file", "0", "packed"), ("in/link", "2", "file")):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.mtime = member.encode(), 0o750, 1_000_000_000
            info.uid = info.gid = 7
            info.size, info.linkname = (len(content), "") if member == "0" else (0, content)
            tar.addfile(info, io.BytesIO(content.encode()))
    return made.getvalue()


TREE = {"d/a": "a", "d/e/b": "b", "d/e/.hidden": "h", "f.txt": "f", "g.txt": "g", "x.md": "x"}

CASES = {
    "configuration": Case(
        """
FROM box
MAINTAINER Somebody <somebody@example.org>
ENV A=1 B="two words" C=$A
ENV OLD the old way
ENV A=2 D=$A E=${A:-x} F=${NONE:-"x y"} G=${A:+set} H=\\$A I='$A'
LABEL one=1 "two words"="a b" three=$A multi="line \\
 goes on"
EXPOSE 80 443/udp
VOLUME /data /cache
VOLUME ["/with blank"]
USER alice
WORKDIR /srv
WORKDIR app/$A
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s --timeout=1m30s --start-period=2s --retries=4 CMD test -e /x || exit 1
ENTRYPOINT ["/bin/echo", "$A"]
CMD ["a", "b c"]
"""
    ),
    "commands-of-the-shell": Case(
        """
FROM box
RUN echo $0 "$@" > /how
RUN ["sh", "-c", "echo exec >> /how"]
CMD echo a
ENTRYPOINT echo b
SHELL ["/bin/sh", "-ec"]
RUN echo shell >> /how
HEALTHCHECK CMD ["true", "x"]
HEALTHCHECK NONE
"""
    ),
    "an-entrypoint-sets-an-inherited-command-aside": Case(
        """
FROM box AS one
CMD ["inherited"]
FROM one
ENTRYPOINT ["/bin/echo"]
"""
    ),
    "arguments": Case(
        """
ARG BASE=nothing
ARG BOTH=global
FROM ${BASE}
ARG BOTH
ARG GIVEN=default
ARG DEFAULT=d$GIVEN
ARG NOT
ENV KEPT=$GIVEN
RUN echo "$BOTH|$GIVEN|$DEFAULT|$NOT|$BASE|$KEPT" > /args
ARG KEPT=arg
RUN echo "$KEPT" >> /args
LABEL given=$GIVEN none="$BASE"
""",
        {},
        {"args": {"BASE": "box", "GIVEN": "task"}},
    ),
    "continuations": Case(
        "FROM box\nRUN echo a \\\n  # a comment\n\n   && echo 'b \\\n c' > /b \\\n  && echo 'd' \\  \n >> /b\n"
        "ENV X=1 \\\n    Y=2\n"
    ),
    "escape": Case("# escape=`\nFROM box\nENV P=C:/dir\nRUN echo a > `\n  /a\n"),
    "copies": Case(
        """
FROM box
COPY f.txt /one/renamed
COPY f.txt /two/
COPY f.txt g.txt /three/
COPY d /four
COPY d/ /five/
COPY *.txt /six/
COPY d/?  /seven/
COPY [f-g].txt /eight/
COPY ["f.txt", "/with blank/"]
WORKDIR /nine
COPY f.txt .
COPY d/e ./deep/er/
COPY f.txt /tmp
COPY . /all/
""",
        TREE,
    ),
    "owners-and-modes": Case(
        """
FROM box
COPY --chown=alice f.txt /alice
COPY --chown=alice:wheel d /aw
COPY --chown=1234 f.txt /number
COPY --chown=5:6 f.txt /new/parent/numbers
COPY --chmod=0640 f.txt /mode
COPY --chown=alice --chmod=4755 f.txt /both
""",
        TREE,
    ),
    "links": Case(
        """
FROM box
RUN mkdir /real && ln -s /real /to-dir && ln -s real /relative && ln -s ../../../real /tmp/climbs
COPY f.txt /to-dir/
COPY d /relative/d
COPY g.txt /tmp/climbs/
COPY to-f /followed
COPY d /d
""",
        {**TREE, "to-f": "->f.txt", "d/link": "->a", "d/dangling": "->/nowhere", "d/up": "->../../../etc/passwd"},
    ),
    "what-is-there-already": Case(
        """
FROM box
RUN mkdir -p /t/e && chmod 700 /t /t/e && echo old > /t/e/b && ln -s /etc/passwd /t/a && touch /t/stays
COPY d /t
RUN rm -r /t/e/b
""",
        TREE,
    ),
    "ignored": Case(
        "FROM box\nCOPY . /c/\n",
        {
            **TREE,
            ".dockerignore": "# comment\n*.md\n**/.hidden\nd\n!d/e/b\n/g.txt\nContainerfile\n",
            "deep/er/.hidden": "",
            "deep/x.md": "stays",
        },
    ),
    "stages": Case(
        """
FROM box AS build
WORKDIR /out
RUN echo built > program && chown 7:8 program && chmod 4750 program && ln -s program link && mkdir sub
FROM build AS more
RUN echo more > more
FROM box as unused
RUN false
FROM scratch
COPY --from=build /out /from-name
COPY --from=1 /out/more /from-number
COPY --from=box /etc/passwd /from-image
COPY --from=more --chown=1:2 /out/program /chowned/
""",
    ),
    "target": Case(
        "FROM box AS first\nRUN echo 1 > /1\nFROM first AS second\nRUN echo 2 > /2\nFROM second\nRUN false\n",
        {},
        {"target": "second"},
    ),
    "archives": Case(
        """
FROM box
ADD plain.tar /plain/
ADD zipped.tgz packed.tar.xz /all/
ADD f.txt not.tar /files/
COPY plain.tar /copied/
""",
        {
            "plain.tar": archive(),
            "zipped.tgz": archive("gz"),
            "packed.tar.xz": archive("xz"),
            "not.tar": "text",
            "f.txt": "f",
        },
    ),
    "removed": Case(
        """
FROM box
RUN rm /etc/group && rm -r /var && mkdir /var && echo new > /var/new
RUN mkdir -p /a/b && echo x > /a/b/c
RUN rm -r /a && mkdir /a
"""
    ),
    "mounts": Case(
        """
FROM box AS tools
RUN echo tool > /tool
FROM box
RUN --mount=type=bind,target=/ctx cat /ctx/f.txt > /from-context
RUN --mount=type=bind,from=tools,source=/tool,target=/t/tool cat /t/tool > /from-stage && rmdir /none; true
RUN --mount=type=tmpfs,target=/scratch echo gone > /scratch/x && ls /scratch > /seen
RUN --mount=type=cache,target=/cache echo kept >> /cache/x && cat /cache/x > /cached
""",
        TREE,
    ),
    "triggers": Case(
        """
FROM box AS base
ONBUILD ARG V=1
ONBUILD COPY f.txt /triggered/
ONBUILD RUN echo $V > /v
FROM base
RUN cat /v /triggered/f.txt > /both
""",
        TREE,
    ),
}
