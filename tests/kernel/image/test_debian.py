# SPDX-License-Identifier: GPL-3.0-or-later
"""A Debian as its mirror has it, imported, does in a container what people do in one."""

from __future__ import annotations

import hashlib
import re
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from ansible_collections.mini.containers.plugins.module_utils.engine.images import converge
from ansible_collections.mini.containers.plugins.module_utils.glue.image import image_spec

from ..waiting import eventually
from . import debian

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LEFT_OUT = "missing +/usr/share/(doc|locale|man)/"
LAN = [{"name": "lan"}]
CONTROL = """Package: {name}
Version: 1.0
Architecture: all
Maintainer: nobody <nobody@example.org>
Depends: {depends}
Description: a package for a test
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two packages, one of which needs the other, as `deb file:` wants them."""
    place = tmp_path / "repository"
    place.mkdir()
    index = []
    for name, depends in (("hello-data", "base-files"), ("hello-mini", "hello-data, python3-minimal")):
        control = CONTROL.format(name=name, depends=depends)
        tree = tmp_path / name
        for path, content in (("DEBIAN/control", control), (f"usr/share/{name}/file", f"this is {name}\n")):
            (tree / path).parent.mkdir(parents=True)
            (tree / path).write_text(content)
        if name == "hello-mini":
            script = tree / "DEBIAN" / "postinst"
            script.write_text("#!/bin/sh\nuseradd --system mini && chown mini /usr/share/hello-mini\n")
            script.chmod(0o755)
        target = place / f"{name}_1.0_all.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, target], check=True, capture_output=True)
        digest = hashlib.sha256(target.read_bytes()).hexdigest()
        index.append(f"{control}Filename: ./{target.name}\nSize: {target.stat().st_size}\nSHA256: {digest}\n")
    (place / "Packages").write_text("\n".join(index))
    return place


def test_debian(host: Any, repository: Path) -> None:
    converge.ensure(host.paths, image_spec({"name": "debian:12", "src": str(debian.rootfs())}))
    _apt(host, repository)
    _nginx(host)


def _apt(host: Any, repository: Path) -> None:
    host.container("deb", image="debian:12", command="sleep 1000", volumes=[f"{repository}:/repository:ro"])

    def run(*command: str) -> str:
        done = host.exec("deb", *command, env={"DEBIAN_FRONTEND": "noninteractive", "PATH": PATH})
        assert done.rc == 0, done.stderr.decode()
        return str(done.stdout.decode())

    run("dpkg", "-i", "/repository/hello-data_1.0_all.deb")
    run("dpkg", "--purge", "hello-data")
    run("sh", "-c", "rm /etc/apt/sources.list && echo 'deb [trusted=yes] file:/repository ./' > /etc/apt/sources.list")
    run("apt-get", "-q", "update")
    run("apt-get", "-qy", "install", "hello-mini")
    assert run("cat", "/usr/share/hello-data/file") == "this is hello-data\n"
    assert run("stat", "-c", "%U", "/usr/share/hello-mini") == "mini\n"
    wrong = run("dpkg", "--verify").splitlines()  # every file's digest
    assert [line for line in wrong if not re.match(LEFT_OUT, line)] == []
    assert run("python3", "-c", "import sys, zlib; print(sys.platform)") == "linux\n"
    host.absent("deb")


def _nginx(host: Any) -> None:
    host.network()
    options = {"command": ["nginx", "-g", "daemon off;"], "env": {"PATH": PATH}, "networks": LAN}
    host.container("web", image="debian:12", published_ports=["8080:80"], **options)
    assert "Welcome to nginx" in eventually(_page)
    host.absent("web")
    host.no_network("lan")


def _page() -> str:
    with suppress(OSError), urlopen("http://127.0.0.1:8080/", timeout=10) as answer:
        return str(answer.read().decode())
    return ""
