# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation says what the argument specs do."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (REPOSITORY / "plugins" / "modules").glob("*.py"))
# What the action plugin sends in their stead is for no task, and has the arguments of any of them.
FOR_TASKS = [name for name in NAMES if name != "mini_kept"]
PACKAGE = "ansible_collections.mini.containers.plugins.modules"
ACTION_GROUPS = yaml.safe_load((REPOSITORY / "meta" / "runtime.yml").read_text(encoding="utf-8"))["action_groups"]


def _ansible_doc(*arguments: str) -> Any:
    """What ansible-doc prints, run from the tools of `make` whichever Python runs the tests."""
    beside, made = Path(sys.executable).with_name("ansible-doc"), REPOSITORY / ".venv" / "bin" / "ansible-doc"
    program = beside if beside.exists() else made
    assert program.exists(), "ansible-doc is missing: make tools"
    collections = next(path for path in sys.path if Path(path, "ansible_collections", "mini").is_dir())
    done = subprocess.run(
        [str(program), "--type", "module", "--json", *arguments],
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": collections,
            "PYTHONWARNINGS": "ignore",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@lru_cache(maxsize=1)
def documentation() -> dict[str, Any]:
    """All modules' documentation, its fragments merged."""
    shown: dict[str, Any] = _ansible_doc(*[f"mini.containers.{name}" for name in NAMES])
    return shown


def spec(name: str) -> dict[str, Any]:
    """A module's argument spec."""
    result: dict[str, Any] = importlib.import_module(f"{PACKAGE}.{name}").ARGUMENT_SPEC
    return result


def comparable(options: dict[str, Any], below: str) -> dict[str, Any]:
    """What an argument spec and a documentation have in common; the options of an option are `below`."""
    return {
        name: {
            "type": option.get("type", "str"),
            "default": option.get("default"),
            "choices": list(option.get("choices") or []),
            "required": bool(option.get("required", False)),
            "elements": option.get("elements"),
            "aliases": sorted(option.get("aliases") or []),
            "suboptions": comparable(option.get(below) or {}, below),
        }
        for name, option in options.items()
    }


def test_every_module_is_listed() -> None:
    assert NAMES
    listed = set(_ansible_doc("--list", "mini.containers"))
    assert listed == {f"mini.containers.{name}" for name in NAMES}


def test_every_module_for_tasks_has_its_action() -> None:
    actions = REPOSITORY / "plugins" / "action"
    assert sorted(path.stem for path in actions.glob("*.py") if path.is_symlink()) == FOR_TASKS
    assert {path.resolve().name for path in actions.glob("*.py")} == {"mini.py"}


def test_action_group_has_every_module() -> None:
    assert ACTION_GROUPS["mini"] == FOR_TASKS


@pytest.mark.parametrize("name", FOR_TASKS)
def test_options(name: str) -> None:
    documented = documentation()[f"mini.containers.{name}"]["doc"].get("options") or {}
    assert comparable(documented, "suboptions") == comparable(spec(name), "options")


@pytest.mark.parametrize("name", NAMES)
def test_texts(name: str) -> None:
    shown = documentation()[f"mini.containers.{name}"]
    assert shown["doc"]["module"] == name
    assert shown["doc"]["short_description"].strip()
    assert shown["doc"]["author"]
    assert isinstance(shown["return"], dict)
    for key, value in shown["return"].items():
        assert {"description", "returned", "type"} <= set(value), f"RETURN of {key}"


@pytest.mark.parametrize("name", FOR_TASKS)
def test_examples(name: str) -> None:
    tasks = yaml.safe_load(documentation()[f"mini.containers.{name}"]["examples"])
    used = [key for task in tasks for key in task if key.startswith("mini.containers.")]
    assert f"mini.containers.{name}" in used
    for task in tasks:
        assert task.get("name"), "an example says what it shows"
        unknown = set(task.get(f"mini.containers.{name}") or {}) - _accepted(spec(name))
        assert not unknown, f"an example uses an option that does not exist: {unknown}"


def _accepted(options: dict[str, Any]) -> set[str]:
    return set(options) | {alias for option in options.values() for alias in option.get("aliases") or []}
