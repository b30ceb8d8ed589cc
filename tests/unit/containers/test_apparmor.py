# SPDX-License-Identifier: GPL-3.0-or-later
"""AppArmor: on a host that has it a profile is taken, if it is loaded; on one that has not it is an error."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, HostLacks
from ansible_collections.mini.containers.plugins.module_utils.core.specs.container import ContainerSpec
from ansible_collections.mini.containers.plugins.module_utils.core.specs.image import ImageConfig
from ansible_collections.mini.containers.plugins.module_utils.engine.containers import bundle, confinement
from ansible_collections.mini.containers.plugins.module_utils.glue import security
from ansible_collections.mini.containers.plugins.module_utils.linux import apparmor
from ansible_collections.mini.containers.plugins.module_utils.runtime import confine
from ansible_collections.mini.containers.plugins.module_utils.runtime.report import StepError

LOADED = "docker-default (enforce)\n/usr/bin/man (complain)\nwith a space (and more) (enforce)\n"


@pytest.fixture
def sys(tmp_path: Path) -> Path:
    """The /sys of a host with AppArmor."""
    (tmp_path / "module/apparmor/parameters").mkdir(parents=True)
    (tmp_path / "module/apparmor/parameters/enabled").write_text("Y\n")
    (tmp_path / "kernel/security/apparmor").mkdir(parents=True)
    (tmp_path / "kernel/security/apparmor/profiles").write_text(LOADED)
    return tmp_path


def test_a_host_that_has_it(sys: Path) -> None:
    assert security.apparmor("docker-default", str(sys)) == "docker-default"
    assert security.apparmor("unconfined", str(sys)) == ""
    assert apparmor.profiles(str(sys)) == {"docker-default", "/usr/bin/man", "with a space (and more)"}


@pytest.mark.parametrize("text", ["N\n", ""])
def test_a_host_where_it_is_off(sys: Path, text: str) -> None:
    (sys / "module/apparmor/parameters/enabled").write_text(text)
    assert security.apparmor("unconfined", str(sys)) == ""
    with pytest.raises(HostLacks, match="no AppArmor; leave it out, or say apparmor=unconfined"):
        security.apparmor("docker-default", str(sys))


def test_a_kernel_without_it(tmp_path: Path) -> None:
    assert security.apparmor("unconfined", str(tmp_path)) == ""
    with pytest.raises(HostLacks, match="no AppArmor"):
        security.apparmor("docker-default", str(tmp_path))


def test_a_name_that_is_two_lines(sys: Path) -> None:
    with pytest.raises(BadInput, match="is not the name"):
        security.apparmor("a\nb", str(sys))


def test_only_a_profile_that_is_loaded_is_there(sys: Path) -> None:
    assert confinement.lacking(ContainerSpec("c"), "/no/such") == []
    assert confinement.lacking(ContainerSpec("c", apparmor="with a space (and more)"), str(sys)) == []
    (found,) = confinement.lacking(ContainerSpec("c", apparmor="docker"), str(sys))
    assert found == "the AppArmor profile docker is not loaded on this host"
    (sys / "kernel/security/apparmor/profiles").unlink()
    (found,) = confinement.lacking(ContainerSpec("c", apparmor="docker-default"), str(sys))
    assert "securityfs is not mounted" in found


def test_the_bundle_names_it() -> None:
    image = ImageConfig(command=("true",))
    assert bundle.process(ContainerSpec("c", apparmor="p"), image)["apparmorProfile"] == "p"
    assert "apparmorProfile" not in json.dumps(bundle.process(ContainerSpec("c"), image))


def test_a_kernel_that_does_not_take_the_profile_says_which() -> None:
    """Whether it has no AppArmor or no such profile."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            confine.set_label({"apparmorProfile": "mini-no-such-profile"})
        except StepError as exc:
            os.write(write_end, exc.message.encode())
        finally:
            os._exit(0)
    os.close(write_end)
    os.waitpid(child, 0)
    assert b"does not take the AppArmor profile mini-no-such-profile: " in os.read(read_end, 4096)
    os.close(read_end)
