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
