# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a secret would show: all that a playbook prints at its loudest, and every file that it leaves on the host."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.linux import files

CANARY = "canary-of-a-secret"
LATER = "canary-of-the-next-one"

PLAY = """
- hosts: localhost
  gather_facts: false
  module_defaults:
    mini.containers.mini_container: &root {{state_root: {root}}}
    mini.containers.mini_container_copy: *root
    mini.containers.mini_container_info: *root
  tasks:
    - mini.containers.mini_container: &web
        name: web
        image: box
        command: sleep 1000
        stop_timeout: 0
        secrets: [{{source: password, content: "{{{{ canary }}}}"}}]
    - mini.containers.mini_container: *web
    - mini.containers.mini_container:
        name: web
        stop_timeout: 0
        secrets: [{{source: password, content: "{{{{ later }}}}"}}]
    - mini.containers.mini_container_copy: {{container: web, content: "{{{{ canary }}}}", container_path: /etc/key}}
    - mini.containers.mini_container_copy: {{container: web, content: "{{{{ later }}}}", container_path: /etc/key}}
    - mini.containers.mini_container_info: {{name: web}}
    - mini.containers.mini_container:
        name: wrong
        image: box
        secrets: [{{source: password, content: "{{{{ canary }}}}", mode: "9"}}]
      ignore_errors: true
"""
GONE = """
- hosts: localhost
  gather_facts: false
  tasks:
    - mini.containers.mini_container: {{name: web, state: absent, state_root: {root}}}
"""


def test_a_secret_in_what_a_playbook_says_and_leaves(
    host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, play: Any
) -> None:
    """CVE-2019-13509. With every word and difference shown, and what is sent written to files on the way."""
    home = tmp_path / "home"
    home.mkdir()
    words = tmp_path / "words.yml"
    words.write_text(f"canary: {CANARY}\nlater: {LATER}\n")
    monkeypatch.setenv("ANSIBLE_PIPELINING", "0")
    monkeypatch.setenv("ANSIBLE_REMOTE_TMP", str(home / "tmp"))
    monkeypatch.setenv("ANSIBLE_LOG_PATH", str(home / "log"))
    paths = Paths(host.paths.state_root)
    try:
        done = play(PLAY.format(root=paths.state_root), "-vvv", "--diff", "-e", f"@{words}")
        assert done.returncode == 0, done.stdout + done.stderr
        _clean(done.stdout + done.stderr)
        for root in (paths.state_root, paths.run_root, str(home)):
            for path in _files(root):
                _clean(path.read_bytes().decode(errors="replace"), str(path))
    finally:
        assert play(GONE.format(root=paths.state_root)).returncode == 0
        files.remove_tree(paths.run_root)


def _files(root: str) -> list[Path]:
    """But for the container's memory of secrets, the file that was copied into it, and its network namespace."""
    found = [Path(where, name) for where, _below, names in os.walk(root) for name in names]
    return [
        path for path in found if path.is_file() and "secret" not in path.parts and path.name not in ("key", "netns")
    ]


def _clean(text: str, where: str = "the output") -> None:
    for word in (CANARY, LATER):
        found = text.find(word)
        assert found < 0, (where, text[max(0, found - 1500) : found + 200])
