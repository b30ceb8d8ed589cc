# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of mini_image in canonical form."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput
from ansible_collections.mini.containers.plugins.module_utils.glue.image import image_spec


@pytest.mark.parametrize(
    ("option", "value", "canonical"),
    [
        ("command", "sh -c 'echo a b'", ("sh", "-c", "echo a b")),
        ("command", ["httpd", "-p", 80], ("httpd", "-p", "80")),
        ("command", "", ()),
        ("entrypoint", [], ()),
        ("env", {"B": 2, "A": "x"}, {"A": "x", "B": "2"}),
        ("working_dir", "/srv//www/", "/srv/www"),
        ("user", "1000:10", "1000:10"),
        ("labels", {"x=y": ""}, {"x=y": ""}),
        (
            "exposed_ports",
            ["80", "53/udp", "80/tcp", "8000-8002"],
            ("53/udp", "80/tcp", "8000/tcp", "8001/tcp", "8002/tcp"),
        ),
        ("volumes", ["/b/", "/a", "/b"], ("/a", "/b")),
        ("stop_signal", "SIGRTMIN+3", "SIGRTMIN+3"),
    ],
)
def test_canonical(option: str, value: Any, canonical: Any) -> None:
    assert image_spec({"name": "x", option: value}).config == {option: canonical}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("command", "sh -c 'x"),
        ("command", {"a": 1}),
        ("command", [None]),
        ("command", ["a\0"]),
        ("entrypoint", [True]),
        ("env", {"": "x"}),
        ("env", {"A=B": "x"}),
        ("env", {"A": True}),
        ("env", {"A": None}),
        ("env", {"A": ["x"]}),
        ("working_dir", "srv"),
        ("working_dir", "/a/../b"),
        ("exposed_ports", ["0"]),
        ("exposed_ports", ["65536"]),
        ("exposed_ports", ["80/icmp"]),
        ("exposed_ports", ["9-8"]),
        ("exposed_ports", ["x"]),
        ("volumes", ["data"]),
        ("volumes", ["/"]),
        ("volumes", ["/a/.."]),
        ("stop_signal", "term now"),
        ("src", "relative.tar"),
        ("archive_path", "x"),
        ("name", "Web"),
        ("name", "web@sha256"),
        ("tag", "a b"),
    ],
)
def test_refused(option: str, value: Any) -> None:
    with pytest.raises(BadInput):
        image_spec({"name": "x", option: value})


@pytest.mark.parametrize(
    ("options", "pull"),
    [
        ({}, "missing"),
        ({"pull": "always"}, "always"),
        ({"source": "registry", "pull": "never"}, "never"),
        ({"source": "local", "pull": "always"}, "never"),
        ({"src": "/x"}, "never"),
        ({"src": "/x", "source": "rootfs"}, "never"),
        ({"from_container": "c", "source": "container"}, "never"),
        ({"load_path": "/x"}, "never"),
        ({"load_path": "/x", "source": "layout"}, "never"),
    ],
)
def test_when_a_registry_is_asked(options: dict[str, Any], pull: str) -> None:
    assert image_spec({"name": "x", **options}).pull == pull


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "archive"}, "give load_path"),
        ({"source": "rootfs"}, "give src"),
        ({"source": "container", "src": "/x"}, "give from_container"),
        ({"source": "registry", "src": "/x"}, "leave src out"),
        ({"source": "rootfs", "load_path": "/x"}, "give src"),
        ({"src": "/x", "load_path": "/y"}, "src and load_path cannot be given together"),
        ({"load_path": "x"}, "not an absolute path"),
        ({"platform": "a b"}, "not a platform"),
        ({"name": "web@sha256:" + "0" * 64, "src": "/x"}, "the content decides"),
        ({"name": "web@sha256:" + "0" * 64, "load_path": "/x"}, "the content decides"),
    ],
)
def test_sources_that_contradict(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        image_spec({"name": "x", **options})
