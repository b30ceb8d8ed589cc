# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Containerfile comes to before anything is run: configuration, stages, and the steps that make layers."""

from __future__ import annotations

from typing import Any, Optional

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput
from ansible_collections.mini.containers.plugins.module_utils.core.specs.image import Healthcheck, ImageConfig
from ansible_collections.mini.containers.plugins.module_utils.engine.builds.evaluate import Evaluation, evaluate
from ansible_collections.mini.containers.plugins.module_utils.engine.builds.spec import BuildSpec
from ansible_collections.mini.containers.plugins.module_utils.image import platform
from ansible_collections.mini.containers.plugins.module_utils.image.containerfile.parse import parse
from ansible_collections.mini.containers.plugins.module_utils.image.reference import parse as reference
from ansible_collections.mini.containers.plugins.module_utils.image.store import StoredImage
from ansible_collections.mini.containers.plugins.module_utils.runtime.bundle import DEFAULT_PATH

BASE = ImageConfig(command=("base",), env={"PATH": "/bin", "B": "base"}, working_dir="/w", labels={"l": "base"})
KEPT = ImageConfig(on_build=("ENV T=$B", "RUN echo $T", "COPY <<E /h\nhi\nE"))
GREEDY = ImageConfig(on_build=("RUN --network=host x",))
IMAGES = {"base": BASE, "kept": KEPT, "greedy": GREEDY, "other": ImageConfig()}


def evaluated(text: str, **options: Any) -> Evaluation:
    """The file, with the images above."""
    asked: list[tuple[str, Any]] = options.pop("asked", [])

    def find(name: str, wanted: Optional[platform.Platform]) -> Optional[StoredImage]:
        asked.append((name, wanted and str(wanted)))
        config = IMAGES.get(name)
        return config and StoredImage(f"id-{name}", (name,), config, (f"chain-{name}",), "", 0, "amd64", "linux")

    return evaluate(parse(text, "F"), BuildSpec(reference("made"), "/c", **options), find)


def config(text: str, **options: Any) -> ImageConfig:
    """That of the target."""
    return evaluated(text, **options).target.config


@pytest.mark.parametrize(
    ("text", "field", "expected"),
    [
        ("FROM base", "command", ("base",)),
        ("FROM scratch", "env", {}),
        ("FROM base\nENV A=$B B=new C=$B", "env", {"PATH": "/bin", "B": "new", "A": "base", "C": "base"}),
        ("FROM scratch\nENV A=1\nENV A=$A$A", "env", {"A": "11"}),
        ("FROM scratch\nENV ${X:-A}=1", "env", {"A": "1"}),
        ("FROM scratch\nARG A=arg\nENV A=env B=$A", "env", {"A": "env", "B": "arg"}),
        ("FROM scratch\nENV A=env\nARG A=arg\nENV B=$A", "env", {"A": "env", "B": "env"}),
        ("ARG A=g\nFROM scratch\nENV B=$A", "env", {"B": ""}),
        ("ARG A=g\nFROM scratch\nARG A\nENV B=$A", "env", {"B": "g"}),
        ("ARG A=g\nFROM scratch\nARG A=own\nENV B=$A", "env", {"B": "own"}),
        ("FROM scratch\nARG TARGETOS\nENV B=$TARGETOS", "env", {"B": "linux"}),
        ("FROM scratch\nENV B=$TARGETOS", "env", {"B": ""}),
        ("FROM scratch AS a\nARG A=1\nFROM a\nENV B=$A", "env", {"B": "1"}),
        ("FROM base\nENTRYPOINT e", "command", None),
        ("FROM base\nCMD c\nENTRYPOINT e", "command", ("/bin/sh", "-c", "c")),
        ('FROM base\nENTRYPOINT e\nCMD ["c"]', "command", ("c",)),
        ("FROM base\nCMD []", "command", ()),
        ("FROM base\nENTRYPOINT []", "entrypoint", ()),
        ('FROM base\nSHELL ["ash", "-xc"]\nCMD c $B', "command", ("ash", "-xc", "c $B")),
        ('FROM base\nSHELL ["ash"]', "shell", ("ash",)),
        ("FROM base\nWORKDIR a\nWORKDIR ../b/./c", "working_dir", "/w/b/c"),
        ("FROM base\nWORKDIR /$B//x/", "working_dir", "/base/x"),
        ("FROM scratch\nWORKDIR ../..", "working_dir", "/"),
        ("FROM base\nUSER ${B}:$B", "user", "base:base"),
        ("FROM base\nLABEL k=$B '$B'=x", "labels", {"l": "base", "k": "base", "$B": "x"}),
        ("FROM base\nEXPOSE 80 $P 8000-8002/UDP", "exposed_ports", ("80/tcp", "8000/udp", "8001/udp", "8002/udp")),
        ("FROM base\nENV P='1 2'\nEXPOSE $P", "exposed_ports", ("1/tcp", "2/tcp")),
        ("FROM base\nVOLUME /$B [x]", "volumes", ("/base", "[x]")),
        ("FROM base\nSTOPSIGNAL SIG${S:-INT}", "stop_signal", "SIGINT"),
        ("FROM base\nONBUILD RUN $B", "on_build", ("RUN $B",)),
        ("FROM base\nHEALTHCHECK CMD a  b", "healthcheck", Healthcheck(("CMD-SHELL", "a  b"))),
        (
            'FROM base\nHEALTHCHECK --interval=1m --timeout=500ms --start-interval=1s --retries=2 CMD ["a"]',
            "healthcheck",
            Healthcheck(("CMD", "a"), 60 * 10**9, 500 * 10**6, 0, 10**9, 2),
        ),
        ("FROM kept", "on_build", ()),
        ("FROM kept", "env", {"T": ""}),
        ("FROM base AS b\nONBUILD ENV X=$B\nFROM b AS c\nFROM c", "env", {"PATH": "/bin", "B": "base", "X": "base"}),
    ],
)
def test_configuration(text: str, field: str, expected: Any) -> None:
    found = getattr(config(text), field)
    assert (without_default(found) if field == "env" else found) == expected


def without_default(env: dict[str, str]) -> dict[str, str]:
    """Variables but for the PATH that is there where no image says one."""
    return {name: value for name, value in env.items() if value != DEFAULT_PATH}


def test_there_is_always_a_path() -> None:
    assert config("FROM scratch\nENV PATH=/x:$PATH").env == {"PATH": f"/x:{DEFAULT_PATH}"}
    assert config("FROM base\nENV PATH=/x:$PATH").env["PATH"] == "/x:/bin"


def test_the_tasks_arguments_go_before_defaults() -> None:
    text = "ARG IMAGE=none\nFROM $IMAGE\nARG V=1\nARG W=$V\nENV X=$V$W\n"
    found = evaluated(text, args={"IMAGE": "base", "V": "2", "HTTP_PROXY": "p", "X": "x"})
    assert found.target.config.env["X"] == "22"
    assert found.unused == ("X",)


def test_an_argument_that_a_trigger_or_an_unneeded_stage_asks_for_is_not_unused() -> None:
    text = "FROM base AS a\nONBUILD ARG T\nFROM base AS unneeded\nARG U\nFROM a\n"
    assert evaluated(text, args={"T": "1", "U": "1", "SOURCE_DATE_EPOCH": "1", "X": "1"}).unused == ("X",)


def test_only_the_stages_that_the_target_needs_are_read() -> None:
    text = """FROM base AS a
RUN 1
FROM nowhere AS unused
FROM a AS b
COPY --from=c x /
FROM other AS c
FROM b AS last
COPY --from=0 /x /
RUN --mount=from=other,target=/o 2
"""
    asked: list[Any] = []
    with pytest.raises(BadInput, match="F:5: --from=c: the stage has to stand before this one"):
        evaluated(text)
    found = evaluated(text.replace("--from=c", "--from=other"), asked=asked)
    assert [stage.index for stage in found.stages] == [0, 2, 4]
    assert [name for name, _platform in asked] == ["base", "other", "other"]
    assert evaluated(text, target="a").target.index == 0
    assert evaluated(text, target="C").target.index == 3


def test_platforms() -> None:
    asked: list[Any] = []
    evaluated("FROM --platform=$BUILDPLATFORM base AS a\nFROM other\nCOPY --from=a x /\n", asked=asked)
    assert asked == [("other", None), ("base", str(platform.host()))]
    asked.clear()
    found = evaluated(
        "FROM other\nARG TARGETARCH\nENV A=$TARGETARCH\n", asked=asked, platform=platform.parse("linux/arm/v7")
    )
    assert asked == [("other", "linux/arm/v7")]
    assert without_default(found.target.config.env) == {"A": "arm"}


def test_what_makes_layers() -> None:
    text = """FROM base
ENV V=v
ARG X=x
WORKDIR sub
RUN echo $V
RUN ["a", "$V"]
COPY --chown=$V:$X --chmod=0644 a$V "b" ./c/
ADD x z
"""
    words = evaluated(text).target.works
    assert [work.name for work in words] == ["workdir", "run", "run", "copy", "add"]
    workdir, shell, plain, copy, add = words  # type: ignore[misc]
    assert (workdir.path, workdir.owner) == ("/w/sub", "")
    assert shell.command == ("/bin/sh", "-c", "echo $V")
    assert shell.env == {"PATH": "/bin", "B": "base", "V": "v", "X": "x"}
    assert plain.command == ("a", "$V")
    assert (copy.sources, copy.target, copy.owner, copy.mode) == (("av", "b"), "/w/sub/c/", "v:x", "0644")
    assert (add.sources, add.target, add.unpack) == (("x",), "/w/sub/z", True)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/a", "/a"),
        ("a", "/w/a"),
        (".", "/w/"),
        ("./", "/w/"),
        ("..", "/"),
        ("../x/", "/x/"),
        ("/", "/"),
        ("a/.", "/w/a/"),
    ],
)
def test_destinations(target: str, expected: str) -> None:
    (copy,) = evaluated(f"FROM base\nCOPY f {target}\n").target.works
    assert copy.target == expected  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("mount", "expected"),
    [
        ("type=cache,target=/c", ("cache", "/c", "", {})),
        ("type=cache,dst=c,id=i,sharing=locked,mode=0700,uid=1", None),
        ("target=/b", ("bind", "/b", "", {})),
        ("type=bind,source=s,target=rel,rw", ("bind", "/w/rel", "s", {"rw": "true"})),
        ("type=tmpfs,target=/t,size=1m", ("tmpfs", "/t", "", {"size": "1m"})),
        ("type=secret,id=s", ("secret", "/run/secrets/s", "", {"id": "s"})),
        ("type=secret,id=s,target=/k,required", ("secret", "/k", "", {"id": "s", "required": "true"})),
        ("type=cache,target=/$B", ("cache", "/base", "", {})),
    ],
)
def test_mounts(mount: str, expected: Any) -> None:
    (run,) = evaluated(f"FROM base\nRUN --mount={mount} x\n").target.works
    (found,) = run.mounts  # type: ignore[union-attr]
    assert expected is None or (found.kind, found.target, found.source, found.options) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RUN --mount=type=what,target=/x y", "--mount=type=what: it is none of bind, cache, tmpfs, secret"),
        ("RUN --mount=type=cache y", "--mount=type=cache has no target"),
        ("RUN --mount=type=bind,target=/ y", "--mount=type=bind: the root itself cannot be the target"),
        ("RUN --mount=type=tmpfs,target=/x,id=y z", "--mount=type=tmpfs has no option id"),
        ("RUN --mount=type=cache,target=/x,mode=999 y", "--mount: mode=999 is not a mode"),
        ("RUN --mount=type=cache,target=/x,sharing=all y", "--mount: sharing=all is none of"),
        ("RUN --mount=type=cache,target=/x,from=other y", "--mount=type=cache takes nothing from elsewhere"),
        ("RUN --mount=type=secret,id=x,env=X y", "--mount=type=secret,env=…: variables are written down"),
        ("RUN --network=lan y", "--network=lan is none of default, none, host"),
        ("RUN --network=host y", "--network=host: the task does not give the host's network"),
        ("HEALTHCHECK --retries=x CMD y", "--retries: 'x' is not a number"),
        ("HEALTHCHECK --interval=x CMD y", "--interval: 'x' is not a time"),
        ("STOPSIGNAL a b", "'a b' is not a signal"),
        ('VOLUME ["/a", ""]', "VOLUME has an empty path"),
        ("COPY --from=7 a b", "--from=7: there is no such stage before this one"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        evaluated(f"FROM base\n\n{text}\n")
    assert str(caught.value).startswith(f"F:3: {message}")


def test_only_the_task_gives_the_network_of_the_host() -> None:
    """Neither the file nor what its base image has kept."""
    for network in ("", "none", "lan"):
        for text in ("FROM base\nRUN --network=host x\n", "FROM greedy\n"):
            with pytest.raises(BadInput, match="the task does not give the host's network"):
                evaluated(text, network=network)
    for text in ("FROM base\nRUN --network=host x\n", "FROM greedy\n"):
        assert evaluated(text, network="host").target.entries
