# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, platforms, logins and challenges: what a registry's client decides before it asks anybody."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, NotFound, RegistryFailed
from ansible_collections.mini.containers.plugins.module_utils.glue.registry import ANONYMOUS, connection
from ansible_collections.mini.containers.plugins.module_utils.image import index, media, platform
from ansible_collections.mini.containers.plugins.module_utils.image.manifest import Descriptor
from ansible_collections.mini.containers.plugins.module_utils.image.platform import Platform
from ansible_collections.mini.containers.plugins.module_utils.image.reference import parse
from ansible_collections.mini.containers.plugins.module_utils.image.registry import challenge, credentials
from ansible_collections.mini.containers.plugins.module_utils.image.registry.address import Address, address, mirror
from ansible_collections.mini.containers.plugins.module_utils.image.registry.credentials import Credentials

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("typed", "host", "repository", "version", "server"),
    [
        ("alpine", "docker.io", "library/alpine", "latest", "registry-1.docker.io"),
        ("alpine:3", "docker.io", "library/alpine", "3", "registry-1.docker.io"),
        ("grafana/loki:2", "docker.io", "grafana/loki", "2", "registry-1.docker.io"),
        ("a/b/c", "docker.io", "a/b/c", "latest", "registry-1.docker.io"),
        ("docker.io/alpine", "docker.io", "library/alpine", "latest", "registry-1.docker.io"),
        ("docker.io/library/alpine", "docker.io", "library/alpine", "latest", "registry-1.docker.io"),
        ("index.docker.io/library/alpine", "docker.io", "library/alpine", "latest", "registry-1.docker.io"),
        ("docker.io/grafana/loki", "docker.io", "grafana/loki", "latest", "registry-1.docker.io"),
        ("docker.io/library/a/b", "docker.io", "library/a/b", "latest", "registry-1.docker.io"),
        ("ghcr.io/x/y:tag", "ghcr.io", "x/y", "tag", "ghcr.io"),
        ("localhost/x", "localhost", "x", "latest", "localhost"),
        ("localhost:5000/x", "localhost:5000", "x", "latest", "localhost:5000"),
        ("host:5000/z", "host:5000", "z", "latest", "host:5000"),
        (f"host:5000/z@{DIGEST}", "host:5000", "z", DIGEST, "host:5000"),
        (f"host:5000/z:1@{DIGEST}", "host:5000", "z", DIGEST, "host:5000"),
        ("Host/z", "Host", "z", "latest", "Host"),
        ("127.0.0.1/z", "127.0.0.1", "z", "latest", "127.0.0.1"),
    ],
)
def test_whom_a_name_means(typed: str, host: str, repository: str, version: str, server: str) -> None:
    found = address(parse(typed))
    assert found == Address(host, repository, version)
    assert found.server == server


@pytest.mark.parametrize(
    ("typed", "canonical"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("arm64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v6"),
        ("Linux/AMD64/v1", "linux/amd64"),
        ("i686", "linux/386"),
    ],
)
def test_platforms(typed: str, canonical: str) -> None:
    assert str(platform.parse(typed)) == canonical


@pytest.mark.parametrize("typed", ["", "a/b/c/d", "linux/", "linux/a b", "../x", "linux/amd64\n"])
def test_no_platforms(typed: str) -> None:
    with pytest.raises(BadInput, match="is not a platform"):
        platform.parse(typed)


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ("linux/amd64", "amd64"),
        ("linux/amd64/v3", "amd64/v2"),
        ("linux/amd64/v2", "amd64/v2"),
        ("linux/arm/v7", "arm/v6"),
        ("linux/arm/v8", "arm/v6"),
        ("linux/arm/v5", ""),
        ("linux/arm64", "arm64/v8"),
        ("linux/riscv64", ""),
        ("windows/amd64", ""),
    ],
)
def test_the_image_for_a_platform(wanted: str, chosen: str) -> None:
    offered = ("amd64", "amd64/v2", "arm/v6", "arm64/v8", "s390x")
    found = [
        index.Offer(Descriptor(media.MANIFEST, name, 1), Platform.of("linux", *name.split("/"))) for name in offered
    ]
    found.append(index.Offer(Descriptor(media.MANIFEST, "attestation", 1), Platform("unknown", "unknown")))
    if chosen:
        assert index.choose(found, platform.parse(wanted), "x").digest == chosen
    else:
        with pytest.raises(NotFound, match=f"no image for {wanted}; it has linux/amd64, .*linux/s390x$"):
            index.choose(found, platform.parse(wanted), "x")


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("Basic realm=x", challenge.Challenge("basic", "x")),
        ('basic realm="a, b"', challenge.Challenge("basic", "a, b")),
        (
            'Bearer realm="https://a/t",service="s",scope="repository:x:pull,push"',
            challenge.Challenge("bearer", "https://a/t", "s", "repository:x:pull,push"),
        ),
        ('Basic realm="x", Bearer realm="https://a/t"', challenge.Challenge("bearer", "https://a/t")),
        ('Negotiate, Basic realm="x"', challenge.Challenge("basic", "x")),
        ("Basic", challenge.Challenge("basic")),
    ],
)
def test_challenges(header: str, found: challenge.Challenge) -> None:
    assert challenge.read(header, "host") == found


@pytest.mark.parametrize("header", ["", "Negotiate", '=="', "Digest realm=x", "x" * 10**6, "a=" * 10**5, ", " * 10**5])
def test_challenges_that_are_none(header: str) -> None:
    with pytest.raises(RegistryFailed, match="not known here"):
        challenge.read(header, "host")


@pytest.mark.parametrize(
    ("realm", "plain_http", "url"),
    [
        ("https://a/t", False, "https://a/t?service=s+1"),
        ("https://a/t?x=y#z", False, "https://a/t?x=y&service=s+1"),
        ("http://a/t", True, "http://a/t?service=s+1"),
        ("http://a/t", False, ""),
        ("https://ann:x@a/t", False, ""),
        ("//a/t", True, ""),
        ("", True, ""),
        ("http://169.254.169.254/t", True, ""),
        ("http://0xa9fea9fe/t", True, ""),
        ("https://[fe80::1]/t", False, ""),
        ("https://[x/t", False, ""),
        ("https://a:99999/t", False, ""),
    ],
)
def test_where_a_token_is_fetched(realm: str, plain_http: bool, url: str) -> None:
    asked = challenge.Challenge("bearer", realm, "s 1")
    if url:
        assert challenge.token_url(asked, "host", plain_http=plain_http) == url
    else:
        with pytest.raises(RegistryFailed, match="cannot be trusted"):
            challenge.token_url(asked, "host", plain_http=plain_http)


def coded(pair: str) -> dict[str, str]:
    return {"auth": base64.b64encode(pair.encode()).decode()}


@pytest.mark.parametrize(
    ("logins", "typed", "found"),
    [
        ({"host:5000": coded("ann:x:y")}, "host:5000/web", Credentials("ann", "x:y")),
        ({"https://host/v1/": coded("ann:x")}, "host.example/web", None),
        ({"https://host.example/v1/": coded("ann:x")}, "host.example/web", Credentials("ann", "x")),
        ({"https://index.docker.io/v1/": coded("ann:x")}, "alpine", Credentials("ann", "x")),
        ({"docker.io": coded("ann:x")}, "a/b", Credentials("ann", "x")),
        (
            {"ghcr.io": coded("all:x"), "ghcr.io/team": coded("team:x"), "ghcr.io/team/web": coded("web:x")},
            "ghcr.io/team/web",
            Credentials("web", "x"),
        ),
        ({"ghcr.io": coded("all:x"), "ghcr.io/team": coded("t:x")}, "ghcr.io/team/api", Credentials("t", "x")),
        ({"ghcr.io": coded("all:x"), "ghcr.io/team": coded("t:x")}, "ghcr.io/teams/api", Credentials("all", "x")),
        ({"ghcr.io": {"username": "ann", "password": "x"}}, "ghcr.io/a", Credentials("ann", "x")),
        ({"ghcr.io": {}}, "ghcr.io/a", None),
        ({}, "ghcr.io/a", None),
    ],
)
def test_logins(tmp_path: Path, logins: dict[str, Any], typed: str, found: Credentials | None) -> None:
    path = tmp_path / "auth.json"
    path.write_text(json.dumps({"auths": logins, "credHelpers": {"x": "y"}}))
    assert credentials.look_up([str(tmp_path / "none"), str(path)], address(parse(typed))) == found


HELPER = """#!/bin/sh
read server
[ "$1" = get ] || exit 9
case $server in
    host.example) echo '{"ServerURL": "x", "Username": "ann", "Secret": "s3cret"}' ;;
    https://index.docker.io/v1/) echo '{"Username": "hub", "Secret": "s3cret"}' ;;
    token.example) echo '{"Username": "<token>", "Secret": "s3cret"}' ;;
    none.example) echo "credentials not found in native keychain"; exit 1 ;;
    garbage.example) echo "s3cret" ;;
    *) echo "s3cret"; echo "s3cret" >&2; exit 1 ;;
esac
"""
BY_HOST = {"credHelpers": dict.fromkeys(("host.example", "none.example", "token.example", "other.example"), "x-y.z")}


@pytest.mark.parametrize(
    ("document", "typed", "found"),
    [
        (BY_HOST, "host.example/web", Credentials("ann", "s3cret")),
        (BY_HOST, "none.example/web", None),
        (BY_HOST, "elsewhere.example/web", None),
        ({"credsStore": "x-y.z", "auths": {"https://index.docker.io/v1/": {}}}, "alpine", Credentials("hub", "s3cret")),
        ({"credsStore": "missing", "auths": {}}, "alpine", None),
        ({"credsStore": "missing", "auths": {"docker.io": coded("ann:x")}}, "alpine", Credentials("ann", "x")),
        ({"credHelpers": {"docker.io": "x-y.z"}, "credsStore": "missing"}, "alpine", Credentials("hub", "s3cret")),
    ],
)
def test_programs_that_have_logins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, document: Any, typed: str, found: Credentials | None
) -> None:
    assert asked(tmp_path, monkeypatch, document, typed) == found


@pytest.mark.parametrize(
    ("document", "typed", "message"),
    [
        (BY_HOST, "token.example/web", "a token for token.example"),
        (BY_HOST, "other.example/web", "does not tell the login for other.example; try it"),
        ({"credHelpers": {"garbage.example": "x-y.z"}}, "garbage.example/web", "does not tell the login"),
        (
            {"credHelpers": {"a.example": "missing"}},
            "a.example/web",
            "credential-missing, .* is not on this host",
        ),
        ({"credHelpers": {"a.example": "../x"}}, "a.example/web", "is not on this host"),
        ({"credsStore": "missing", "auths": {"a.example": {}}}, "a.example/web", "is not on this host"),
    ],
)
def test_programs_that_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, document: Any, typed: str, message: str
) -> None:
    with pytest.raises(RegistryFailed, match=message) as failure:
        asked(tmp_path, monkeypatch, document, typed)
    assert "s3cret" not in str(failure.value)


@pytest.mark.parametrize("path", [".", "", "sub/..", ":/usr/bin", "bin:."])
def test_no_program_of_the_directory_that_we_are_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    assert asked(tmp_path, monkeypatch, BY_HOST, "host.example/web") is not None
    with pytest.raises(RegistryFailed, match="is not on this host"):
        asked(tmp_path, monkeypatch, BY_HOST, "host.example/web", path=path)


def asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, document: Any, typed: str, path: str | None = None
) -> Credentials | None:
    program, logins = tmp_path / "docker-credential-x-y.z", tmp_path / "auth.json"
    program.write_text(HELPER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin" if path is None else path)
    logins.write_text(json.dumps(document))
    return credentials.look_up([str(logins)], address(parse(typed)))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mirror.example", ("mirror.example/library/alpine:3", False)),
        ("https://mirror.example/", ("mirror.example/library/alpine:3", False)),
        ("http://mirror:5000/hub/x", ("mirror:5000/hub/x/library/alpine:3", True)),
        ("[fd00::1]:5000", ("[fd00::1]:5000/library/alpine:3", False)),
    ],
)
def test_mirrors(text: str, found: tuple[str, bool]) -> None:
    where, plain = mirror(text, address(parse("alpine:3")))
    assert (str(where), plain) == found


@pytest.mark.parametrize("content", ["", "[]", '{"auths": []}', '{"auths": {"a.b": {"auth": "s3cret!"}}}'])
def test_files_that_have_no_logins(tmp_path: Path, content: str) -> None:
    path = tmp_path / "auth.json"
    path.write_text(content)
    with pytest.raises(BadInput, match="is not a file of logins") as failure:
        credentials.look_up([str(path)], address(parse("a.b/c")))
    assert "s3cret" not in str(failure.value)
    assert failure.value.__cause__ is None


def test_a_pipe_is_no_file_of_logins(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "auth.json")
    with pytest.raises(BadInput, match="is not a regular file"):
        credentials.look_up([str(tmp_path / "auth.json")], address(parse("a.b/c")))


def test_where_logins_are_looked_for() -> None:
    named = {"REGISTRY_AUTH_FILE": "/a", "XDG_RUNTIME_DIR": "/r", "DOCKER_CONFIG": "/d"}
    assert credentials.usual_files(named, "/root", 0) == ["/a"]
    home = "/root/.config/containers/auth.json"
    assert credentials.usual_files({}, "/root", 0) == [
        "/run/containers/0/auth.json",
        home,
        "/root/.docker/config.json",
    ]
    del named["REGISTRY_AUTH_FILE"]
    assert credentials.usual_files(named, "/root", 0) == ["/r/containers/auth.json", home, "/d/config.json"]


def test_a_login_is_not_shown() -> None:
    assert "phrase" not in f"{Credentials('ann', 'phrase')!r} {Credentials('ann', 'phrase')}"


@pytest.mark.parametrize(
    ("named", "typed", "told"),
    [
        (None, "a.example/web", True),
        ("a.example", "a.example/web", True),
        ("a.example", "b.example/web", False),
        ("a.example:5000", "a.example/web", False),
        ("a.example", "alpine", False),
        ("docker.io", "alpine", True),
        ("index.docker.io", "team/web", True),
    ],
)
def test_a_login_is_for_one_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str | None, typed: str, told: bool
) -> None:
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "none"))
    login = {"registry": named, "registry_username": "ann", "registry_password": "s3cret"}
    client = connection({**ANONYMOUS, **login}, parse(typed))()
    assert client._session._credentials == (Credentials("ann", "s3cret") if told else None)
