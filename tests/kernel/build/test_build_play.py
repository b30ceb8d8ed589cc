# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds as a playbook has them, on an image that is in a registry only."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))

from registries import certificates, debian

PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - mini.containers.mini_image_build:
        name: made:1
        path: {context}
        state_root: {state}
        network: none
        args: {{REGISTRY: "{registry}"}}
        ca_path: {ca}
        secrets:
          - {{id: key, type: value, value: s3cr3t}}
      register: made
    - ansible.builtin.copy: {{content: "{{{{ made.actions | to_json }}}}", dest: {out}}}
      check_mode: false
"""
TEXT = """ARG REGISTRY
FROM $REGISTRY/base
COPY f /f
RUN --mount=type=secret,id=key grep -q "^s3cr" /run/secrets/key
"""


@pytest.fixture
def registry(builder: Any, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A registry that has `base`, and the certificate of its authority."""
    tls = certificates(tmp_path)
    with debian(tmp_path / "registry", tls) as where:
        source = f"oci:{builder.paths.image_layout}:box:latest"
        command = ["skopeo", "copy", "-q", "--dest-tls-verify=false", source, f"docker://{where}/base"]
        subprocess.run(command, check=True)
        yield where, tls["ca"]


def test_a_play(builder: Any, play: Any, registry: tuple[str, Path], tmp_path: Path) -> None:
    builder.write(f="f", Containerfile=TEXT)
    where, ca = registry
    state = builder.context.parent / "other"
    out = tmp_path / "actions"
    text = PLAY.format(context=builder.context, state=state, registry=where, ca=ca, out=out)

    def actions(*arguments: str) -> Any:
        done = play(text, "-vvv", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "s3cr3t" not in done.stdout
        return json.loads(out.read_text())

    assert actions("--check", "--diff") == ["pull", "copy", "run", "name"]
    assert not (state / "image").exists()
    assert actions() == ["pull", "copy", "run", "name"]
    assert actions() == []
    builder.write(Containerfile=TEXT.replace("^s3cr", "other"))
    done = play(text)
    assert done.returncode != 0
    assert "Containerfile:4: the command ended with exit code 1, and wrote nothing" in done.stdout
