# SPDX-License-Identifier: GPL-3.0-or-later
"""A host keeps the modules: run from there when they are root's own, sent whole when they are not there."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.action import mini
from ansible_collections.mini.containers.plugins.module_utils.core import paths
from ansible_collections.mini.containers.plugins.module_utils.glue import kept
from ansible_collections.mini.containers.plugins.module_utils.linux.files import remove_tree

SCRIPT = Path(__file__).resolve().parents[2] / "plugins" / "modules" / "mini_kept.py"
MODULE = "ansible_collections/mini/containers/plugins/modules/mini_volume_info.py"
SPOILT = """
import json
def main():
    print(json.dumps({"changed": False, "kept_says": "spoilt"}))
"""
TREE = Path(paths.KEPT, mini._digest())
HOSTS = ",".join(f"host{number}" for number in range(12)) + ","


def _text(hosts: str = "localhost", name: str = "", **keywords: Any) -> str:
    options = {"state_root": "/nowhere", **({"name": name} if name else {})}
    task = {"mini.containers.mini_volume_info": options, "register": "result", **keywords}
    told = {"ansible.builtin.copy": {"content": "{{ result | to_json }}", "dest": "{{ out }}/{{ inventory_hostname }}"}}
    return json.dumps([{"hosts": hosts, "gather_facts": False, "tasks": [task, told]}])


@pytest.fixture
def ask(play: Any, tmp_path: Path) -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """The results of the task on each host. Nothing is kept before and after."""
    _forget()

    def run(text: str = _text(), *arguments: str, **environment: str) -> list[dict[str, Any]]:
        out = tmp_path / "out"
        remove_tree(str(out))
        out.mkdir()
        done = play(text, "-e", f"out={out}", *arguments, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return [json.loads(path.read_text()) for path in out.iterdir()]

    yield run
    _forget()


def _forget() -> None:
    if TREE.is_symlink():
        TREE.unlink()
    remove_tree(str(TREE))
    remove_tree(f"{TREE}.elsewhere")
    if TREE.parent.exists():
        TREE.parent.chmod(0o700)


def _spoil(tree: Path) -> None:
    """Let the copy say something else than the sources, so that it is seen whose word counts."""
    (tree / MODULE).write_text(SPOILT)
    for compiled in (tree / MODULE).parent.glob("__pycache__/*"):
        compiled.unlink()


def test_the_second_task_is_sent_nothing(ask: Any) -> None:
    (first,) = ask()
    tree = TREE
    assert first["volumes"] == []
    assert (tree.parent.stat().st_mode & 0o777, tree.stat().st_mode & 0o777) == (0o700, 0o700)
    (second,) = ask()
    assert second == first
    _spoil(tree)
    assert ask()[0]["kept_says"] == "spoilt"
    assert not list(tree.rglob("*.[0-9]*")), "no draft is left"


def test_all_is_compiled_whatever_the_environment_says(ask: Any) -> None:
    ask(PYTHONDONTWRITEBYTECODE="1")
    sources = {path.stem for path in TREE.rglob("*.py")}
    assert sources == {path.name.split(".")[0] for path in TREE.rglob("*.pyc")}


def _one_is_missing(tree: Path) -> None:
    (tree / MODULE).unlink()


TROUBLE = {
    "gone": remove_tree,
    "another module only": _one_is_missing,
    "writable": lambda tree: tree.chmod(0o777),
    "below what is writable": lambda tree: tree.parent.chmod(0o777),
    "somebody's": lambda tree: os.chown(tree, 1000, 1000),
    "a link": lambda tree: tree.symlink_to(tree.rename(f"{tree}.elsewhere")),
}


@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE)
def test_what_is_not_there_or_not_roots_own_is_sent_again(ask: Any, trouble: Any) -> None:
    ask()
    _spoil(TREE)
    trouble(TREE)
    assert "kept_says" not in ask()[0]


def test_many_first_tasks_at_once(ask: Any) -> None:
    """Hosts that are all this one: each leaves the same, and all have their result."""
    assert len(ask(_text("all"), "-i", HOSTS, "-f", "12")) == 13
    assert all(result["volumes"] == [] for result in ask(_text("all"), "-i", HOSTS, "-f", "12"))
    assert not list(TREE.rglob("*.[0-9]*"))


def test_arguments_arrive_as_they_are(ask: Any) -> None:
    name = "\"\"\"'''\\\\\" é\n{{ '{{' }} <<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>> \\N{BULLET}"
    text = _text(name=name, ignore_errors=True)
    (first,), (second,) = ask(text), ask(text)
    assert TREE.is_dir()
    assert first["msg"] == second["msg"]
    assert repr(name.replace("{{ '{{' }}", "{{")) in second["msg"]


def test_an_asynchronous_task_and_one_without_a_pipe(ask: Any) -> None:
    waited = _text(**{"async": 60, "poll": 1})
    assert ask(waited)[0]["volumes"] == []
    assert not TREE.exists()
    for _ in range(2):
        assert ask(ANSIBLE_PIPELINING="0")[0]["volumes"] == []
    _spoil(TREE)
    assert ask(ANSIBLE_PIPELINING="0")[0]["kept_says"] == "spoilt"


def test_somebody_else_gets_no_answer(ask: Any, tmp_path: Path) -> None:
    """Nor does the working directory have a say in what is imported."""
    ask()
    asked = {"tree": str(TREE), "module": "mini.containers.mini_volume_info", "arguments": {}}
    script = SCRIPT.read_text().replace("<<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>", json.dumps(asked))
    (tmp_path / "json.py").write_text("print('hijacked')\n")
    tmp_path.chmod(0o755)
    for user in (0, 65534):
        done = subprocess.run(
            ["/usr/bin/python3"], input=script, cwd=tmp_path, check=False, capture_output=True, text=True, user=user
        )
        assert "hijacked" not in done.stdout
        assert ("volumes" in done.stdout) is (user == 0), done.stderr


def test_old_versions_go_but_not_under_a_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "KEPT", str(tmp_path))
    for number in range(7):
        (tmp_path / str(number)).mkdir()
        os.utime(tmp_path / str(number), (number, number))
    fd = os.open(tmp_path / "0", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    kept._forget_the_oldest()
    os.close(fd)
    assert sorted(os.listdir(tmp_path)) == ["0", "4", "5", "6"]
