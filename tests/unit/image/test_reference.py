# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of images."""

from __future__ import annotations

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput
from ansible_collections.mini.containers.plugins.module_utils.image.reference import full_id, id_prefix, parse

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "tag", "canonical"),
    [
        ("busybox", None, "busybox:latest"),
        ("busybox:1.36", None, "busybox:1.36"),
        ("busybox", "1.36", "busybox:1.36"),
        ("busybox:1.36", "1.36", "busybox:1.36"),
        ("a/b/c", None, "a/b/c:latest"),
        ("localhost:5000/web", None, "localhost:5000/web:latest"),
        ("localhost:5000/web:v1", None, "localhost:5000/web:v1"),
        ("Registry.Example.org/team/web", None, "Registry.Example.org/team/web:latest"),
        ("[fd00::1]:5000/web:1", None, "[fd00::1]:5000/web:1"),
        ("[::1]/team/web", None, "[::1]/team/web:latest"),
        ("a__b--c.d_e", None, "a__b--c.d_e:latest"),
        ("web:_Tag.1-x", None, "web:_Tag.1-x"),
        (f"web:1@sha256:{HEX}", None, "web:1"),
        (f"web@sha256:{HEX}", None, f"web@sha256:{HEX}"),
        (f"web@sha256:{HEX}", "1", "web:1"),
        ("docker.io/busybox", None, "busybox:latest"),
        ("docker.io/library/busybox:1", None, "busybox:1"),
        ("index.docker.io/team/web", None, "team/web:latest"),
        ("library/busybox", None, "library/busybox:latest"),
    ],
)
def test_canonical(text: str, tag: str | None, canonical: str) -> None:
    assert str(parse(text, tag)) == canonical


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("", None),
        (None, None),
        (7, None),
        ("Web", None),
        ("web:", None),
        ("-web", None),
        ("web-", None),
        ("a//b", None),
        ("a b", None),
        ("web\n", None),
        ("web:1\n", None),
        ("../x", None),
        ("/x", None),
        ("x/", None),
        ("web:.1", None),
        ("web:" + "x" * 129, None),
        ("x" * 256, None),
        ("web@md5:00", None),
        ("web@sha256:00", None),
        ("web:1", "2"),
        ("web", "a/b"),
        ("w\u00e9b", None),
        ("a.._b", None),
        (HEX, None),
        ("http://x/y", None),
        ("x\0y", None),
        ("[fd00::1/web", None),
        ("[fd00::1]", None),
        ("fd00::1/web", None),
        ("[x]/web", None),
    ],
)
def test_refused(text: object, tag: str | None) -> None:
    with pytest.raises(BadInput):
        parse(text, tag)


def test_lower_case_is_offered() -> None:
    with pytest.raises(BadInput, match="write 'web'"):
        parse("Web")


def test_ids() -> None:
    assert full_id(HEX) == full_id(f"sha256:{HEX}") == f"sha256:{HEX}"
    assert full_id(HEX[:63]) is None
    assert id_prefix(HEX[:12]) == f"sha256:{HEX[:12]}"
    assert id_prefix(HEX[:11]) is None
    assert id_prefix("web") is None
