# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds as tasks make them: what is done, what is not done again, what is said when it fails, what is left."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, MiniError, NotFound
from ansible_collections.mini.containers.plugins.module_utils.engine.images import converge as images
from ansible_collections.mini.containers.plugins.module_utils.engine.prune.converge import prune
from ansible_collections.mini.containers.plugins.module_utils.engine.prune.filters import Filters
from ansible_collections.mini.containers.plugins.module_utils.engine.prune.observe import Wanted
from ansible_collections.mini.containers.plugins.module_utils.image.store import ImageStore

from .cases import archive

APP = """
FROM box AS tools
RUN echo tool > /tool
FROM box
ARG WHO=world
LABEL who=$WHO
COPY app /app/
RUN echo hello $WHO > /greeting
COPY --from=tools /tool /bin/
CMD cat /greeting
"""


def test_what_was_made_is_not_made_again(builder: Any) -> None:
    builder.write(app__main="1", app__other="2")
    steps = ["run", "copy", "run", "copy", "name"]
    assert builder.actions(APP, check=True) == steps
    assert ImageStore(builder.paths).find("made") is None
    assert builder.actions(APP) == steps
    first = builder.image()
    assert builder.actions() == builder.actions(check=True) == []
    os.utime(builder.context / "app" / "main")
    assert builder.actions() == []
    assert builder.host.run(None, image="made").stdout == "hello world\n"
    # Another name finds all of it.
    assert builder.actions(name="again") == ["name"]
    assert builder.image("again").id == first.id


@pytest.mark.parametrize(
    ("change", "steps"),
    [
        (lambda b: b.write(app__main="new"), ["copy", "run", "copy"]),
        (lambda b: (b.context / "app" / "other").rename(b.context / "app" / "third"), ["copy", "run", "copy"]),
        (lambda b: (b.context / "app" / "main").chmod(0o600), ["copy", "run", "copy"]),
        (lambda b: b.write(elsewhere="new"), None),
        (lambda b: b.write(Containerfile=APP.replace("CMD cat", "CMD grep e")), []),
        (lambda b: b.write(Containerfile=APP.replace("LABEL who", "LABEL what")), []),
        (lambda b: b.write(Containerfile=APP.replace("hello", "bye")), ["run", "copy"]),
        (lambda b: b.write(Containerfile=APP.replace("echo tool", "echo tools")), ["run", "copy"]),
        (lambda b: b.write(Containerfile=APP.replace("ARG WHO=world", "ARG WHO=you")), ["run", "copy"]),
    ],
)
def test_only_what_a_change_reaches_is_made_anew(builder: Any, change: Any, steps: Any) -> None:
    builder.write(app__main="1", app__other="2")
    builder.build(APP)
    change(builder)
    expected = [] if steps is None else [*steps, "name", "sweep"]
    assert builder.actions(check=True) == expected
    assert builder.actions() == expected
    assert builder.actions() == []


def test_arguments_labels_and_what_asks_to_build_always(builder: Any) -> None:
    builder.write(app__main="1")
    builder.build(APP)
    outcome = builder.build(args={"WHO": "you", "UNUSED": "x"}, labels={"task": "yes"})
    assert [step.name for step in outcome.plan] == ["run", "copy", "name", "sweep"]
    assert outcome.warnings == ("args: Containerfile has no ARG for UNUSED",)
    assert builder.image().config.labels == {"who": "you", "task": "yes"}
    options = {"args": {"WHO": "you"}, "labels": {"task": "yes"}}
    assert builder.actions(nocache=True, **options) == ["run", "copy", "run", "copy", "name", "sweep"]
    assert builder.actions(Path.read_text(builder.context / "Containerfile") + "RUN false\n", rebuild="never") == []


def test_the_history_is_one_entry_an_instruction(builder: Any) -> None:
    builder.write(app__main="1")
    builder.build(APP)
    history = [(entry.created_by, entry.empty_layer) for entry in builder.image().history]
    assert history == [
        ("ARG WHO=world", True),
        ("LABEL who=world", True),
        ("COPY app /app/", False),
        ("RUN |1 WHO=world /bin/sh -c echo hello $WHO > /greeting", False),
        ("COPY --from=tools /tool /bin/", False),
        ('CMD ["/bin/sh", "-c", "cat /greeting"]', True),
    ]
    assert all(entry.created for entry in builder.image().history[2:])


def test_a_failing_command_is_shown_and_what_was_done_is_kept(builder: Any) -> None:
    text = "FROM box\nRUN echo 1 > /1\nENV A=1\nRUN echo out; \\\n  echo err >&2; exit 7\nRUN echo 3\n"
    with pytest.raises(MiniError) as caught:
        builder.build(text)
    assert str(caught.value) == "Containerfile:4: the command ended with exit code 7:\nout\nerr"
    assert ImageStore(builder.paths).find("made") is None
    assert builder.actions(text.replace("exit 7", "exit 0")) == ["run", "run", "name", "sweep"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM box\nCOPY nothing /\n", "Containerfile:2: there is no nothing; names count from the top of the context"),
        ("FROM box\nCOPY ../../etc/passwd /\n", "Containerfile:2: there is no ../../etc/passwd"),
        ("FROM box\nCOPY hidden /\n", "Containerfile:2: there is no hidden"),
        ("FROM box\nCOPY f g /x\n", "Containerfile:2: COPY has several sources, so /x must be a directory"),
        ("FROM box\nCOPY [fg] /x\n", "Containerfile:2: [fg] is more than one file, so /x must be a directory"),
        ("FROM box\nCOPY f /etc/passwd/x\n", "Containerfile:2: /etc/passwd is there, and is no directory"),
        ("FROM box\nCOPY --chown=nobody f /x\n", "Containerfile:2: the container has no user 'nobody'"),
        ("FROM box\nCOPY --chmod=z+x f /x\n", "Containerfile:2: --chmod=z+x is not a mode"),
        (
            "FROM box AS a\nCOPY --from=later f /\nFROM box AS later\nFROM a\n",
            "Containerfile:2: --from=later: the stage has to stand",
        ),
        ("FROM box\nADD https://example.org/x /\n", "Containerfile:2: ADD https://example.org/x: nothing is fetched"),
        ("FROM nowhere\n", "Containerfile:1: there is no registry for nowhere"),
        ("FROM $none\n", "Containerfile:1: FROM $none names no image"),
        ("FROM box\nRUN --security=insecure true\n", "Containerfile:2: --security=insecure"),
        ("FROM box\nRUN --mount=type=ssh true\n", "Containerfile:2: --mount=type=ssh: there is no agent"),
        ("FROM box\nRUN --mount=type=secret,id=x,required true\n", "Containerfile:2: the secret x is required"),
        ("FROM scratch\nRUN true\n", "Containerfile:2: there is nothing to run: the stage is empty"),
        ('FROM box\nRUN ["/nothing"]\n', "Containerfile:2: cannot run it: the command '/nothing' is not in"),
        ('FROM box\nENV A="${B:?say B}"\n', "Containerfile:2: B: say B"),
        ("FROM box\nEXPOSE x\n", "Containerfile:2: 'x' is not a port"),
    ],
)
def test_errors_say_where(builder: Any, text: str, message: str) -> None:
    builder.write(f="f", g="g", hidden="x", _dotdockerignore="hidden\n")
    with pytest.raises(MiniError) as caught:
        builder.build(text)
    assert str(caught.value).startswith(message)


def test_a_build_needs_its_context_its_file_and_its_network(builder: Any) -> None:
    with pytest.raises(NotFound, match="there is no Containerfile and no Dockerfile in"):
        builder.build()
    with pytest.raises(NotFound, match="there is no network nowhere"):
        builder.build("FROM box\n", network="nowhere")
    shutil.rmtree(builder.context)
    with pytest.raises(NotFound, match=r"path: .* cannot be used: No such file"):
        builder.build()


def test_the_file_may_be_called_otherwise_and_have_its_own_rules(builder: Any) -> None:
    builder.write(
        a="a",
        b="b",
        _dotdockerignore="a\n",
        Dockerfile="FROM scratch\nCOPY . /1/\n",
        sub__Other="FROM scratch\nCOPY . /2/\n",
        sub__Other_dotdockerignore="b\nsub\n",
    )
    builder.build()
    assert [line.split()[-1] for line in builder.tree() if line.endswith(("/a", "/b"))] == ["1/b"]
    builder.build(dockerfile="sub/Other")
    assert [line.split()[-1] for line in builder.tree()] == ["2", "2/.dockerignore", "2/Dockerfile", "2/a"]
    elsewhere = builder.context.parent / "elsewhere"
    elsewhere.write_text("FROM scratch\nCOPY b /3\n")
    builder.build(dockerfile=str(elsewhere))
    assert [line.split()[-1] for line in builder.tree()] == ["3"]


def test_a_pattern_may_match_nothing_and_names_may_be_excluded(builder: Any) -> None:
    builder.write(lock="l", d__a_dottxt="a", d__b_dotmd="b", d__e__c_dottxt="c", d__e__keep_dottxt="k")
    flags = "--exclude=*.md --exclude=**/*.txt --exclude=!e/keep.txt --chmod=go-r,u+X"
    builder.build(f"FROM box\nCOPY lock none* /x/\nCOPY none* /y/\nCOPY {flags} d /z\n")
    assert builder.tree() == ["40711 0:0 z", "40711 0:0 z/e", "100600 0:0 z/e/keep.txt"]
    builder.write(d__a_dottxt="new")
    assert builder.actions() == []
    builder.write(d__e__keep_dottxt="new")
    assert builder.actions() == ["copy", "name", "sweep"]


def test_here_documents(builder: Any) -> None:
    builder.build(
        """FROM box
ENV WHO=world
RUN <<EOF
echo "hello $WHO" > /a
echo two >> /a
EOF
RUN <<EOF
echo $((2 + 1)) > /three
EOF
RUN cat <<one > /b && cat <<two >> /b
1 $WHO
one
2
two
COPY <<plain <<'quoted' /docs/
hello $WHO
plain
hello $WHO
quoted
COPY --chmod=0755 <<-EOF /bin/script
	#!/bin/sh
	echo $WHO
EOF
"""
    )
    script = "cat /a /b /docs/plain /docs/quoted; script"
    lines = builder.host.run(["sh", "-c", script], image="made").stdout.splitlines()
    assert lines == ["hello world", "two", "1 world", "2", "hello world", "hello $WHO", "world"]


def test_a_here_document_may_be_a_program(builder: Any, request: pytest.FixtureRequest) -> None:
    """Also for somebody else than root, whatever the umask of the task."""
    before = os.umask(0o077)
    request.addfinalizer(lambda: os.umask(before))
    builder.build("FROM box\nUSER alice\nRUN <<EOF\n#!/bin/sh -e\ncp $0 /tmp/out\nEOF\n")
    assert builder.top().joinpath("tmp/out").read_text() == "#!/bin/sh -e\ncp $0 /tmp/out\n"


def test_secrets_are_in_no_layer_and_no_record(builder: Any) -> None:
    text = """FROM box
RUN --mount=type=secret,id=token cat /run/secrets/token | wc -c > /length
RUN --mount=type=secret,id=token,target=/root/key,mode=0440,uid=1000 stat -c '%a %u' /root/key > /look; cat /root/key
RUN --mount=type=secret,id=absent ls /run/secrets > /none 2>&1 || true
"""
    secret = {"id": "token", "type": "value", "value": "s3cr3t-t0ken"}
    builder.build(text, secrets=[secret])
    done = builder.host.run(["cat", "/length", "/look"], image="made")
    assert done.stdout.split() == ["12", "440", "1000"]
    # Another content is no reason to do it again, as in Docker.
    assert builder.actions(secrets=[{**secret, "value": "other"}]) == []
    for path in builder.host.directory.rglob("*"):
        if path.is_file() and not path.is_symlink() and path != builder.context / "Containerfile":
            assert b"s3cr3t-t0ken" not in path.read_bytes(), path
    file = builder.host.directory / "file"
    file.write_text("from a file")
    builder.build(text.replace("wc -c", "cat"), secrets=[{"id": "token", "type": "file", "src": str(file)}])
    assert builder.host.run(["cat", "/length"], image="made").stdout == "from a file"


def test_a_cache_is_kept_and_is_a_volume(builder: Any) -> None:
    text = "FROM box\nRUN --mount=type=cache,id=c,target=/c,mode=0700 echo x >> /c/x && cat /c/x > /seen # {}\n"
    builder.build(text.format(1))
    builder.build(text.format(2))
    assert builder.host.run(["cat", "/seen"], image="made").stdout == "x\nx\n"
    assert not [line for line in builder.tree() if line.endswith(" c")]
    (volume,) = os.listdir(builder.paths.volumes)
    assert re.match(r"build-cache-[0-9a-f]{12}\Z", volume)
    assert os.stat(builder.paths.volume_data(volume)).st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("network", "flag", "links"),
    [("none", "", 1), ("default", "", 2), ("default", "--network=none", 1), ("lan", "", 2)],
)
def test_networks(builder: Any, network: str, flag: str, links: int) -> None:
    builder.host.network("lan")
    builder.build(f"FROM box\nRUN {flag} ip -o link | wc -l > /links; cat /etc/resolv.conf > /dns\n", network=network)
    assert int(builder.top().joinpath("links").read_text()) == links
    assert not [line for line in builder.tree() if " etc/" in line]
    builder.host.no_network("lan")


def test_hosts_and_shared_memory(builder: Any) -> None:
    text = "FROM box\nRUN grep peer /etc/hosts > /hosts; grep /dev/shm /proc/mounts > /shm\n"
    builder.build(text, etc_hosts={"peer": "192.0.2.7"}, shm_size="3M")
    assert builder.top().joinpath("hosts").read_text().split() == ["192.0.2.7", "peer"]
    assert "size=3072k" in builder.top().joinpath("shm").read_text()
    assert builder.actions(etc_hosts={"peer": "192.0.2.7"}, shm_size="3M") == []
    assert builder.actions(etc_hosts={"peer": "192.0.2.8"}) == ["run", "name", "sweep"]


def test_an_archive_may_be_given_to_others(builder: Any) -> None:
    builder.write(plain_dottar=archive())
    builder.build("FROM box\nADD --chown=alice:9 plain.tar /new/\n")
    assert builder.tree() == [
        "40755 1000:9 new",
        "40750 1000:9 new/in",
        "100750 1000:9 new/in/file",
        "120777 1000:9 new/in/link",
    ]


def test_the_same_context_gives_the_same_image_where_times_are_bounded(builder: Any) -> None:
    builder.write(app__main="1")
    text = "FROM box\nWORKDIR /w\nCOPY app /app\nCOPY <<a /b\nb\na\nRUN echo > /c\n"
    ids = []
    for name in ("one", "two"):
        os.utime(builder.context / "app" / "main")
        builder.build(text, name=name, args={"SOURCE_DATE_EPOCH": "1000000000"}, nocache=True)
        ids.append(builder.image(name).id)
        assert builder.image(name).created == "2001-09-09T01:46:40Z"
    assert ids[0] == ids[1]


def test_the_cache_goes_with_the_image(builder: Any) -> None:
    box = ImageStore(builder.paths).resolve("box")
    builder.build("FROM box AS a\nRUN echo a > /a\nFROM box\nCOPY --from=a /a /b\n")
    assert len(os.listdir(builder.paths.layers)) == 4
    images.remove(builder.paths, "made")
    assert sorted(os.listdir(builder.paths.layers)) == sorted([box.layers[0][7:], "tmp"])
    assert len(os.listdir(os.path.join(builder.paths.image_layout, "blobs", "sha256"))) == 3


def test_what_a_failed_build_has_made_may_be_pruned(builder: Any) -> None:
    with pytest.raises(MiniError):
        builder.build("FROM box\nRUN echo 1 > /1\nRUN false\n")
    layers = sorted(os.listdir(builder.paths.layers))
    images.remove(builder.paths, "none", force=True)
    assert sorted(os.listdir(builder.paths.layers)) == layers
    assert [step.name for step in prune(builder.paths, Wanted(images=Filters())).plan] == ["sweep"]
    assert len(os.listdir(builder.paths.layers)) == len(layers) - 1
    assert builder.actions("FROM box\nRUN echo 1 > /1\n", check=True) == ["run", "name"]


def test_bad_options(builder: Any) -> None:
    for options in ({"network": "no such/name"}, {"args": {"SOURCE_DATE_EPOCH": "yesterday"}}, {"target": "x"}):
        with pytest.raises(BadInput):
            builder.build("FROM box\n", **options)
