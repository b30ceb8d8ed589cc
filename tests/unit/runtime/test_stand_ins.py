# SPDX-License-Identifier: GPL-3.0-or-later
"""What the runtime takes for modules of the standard library does what those do, and spares what they import."""

from __future__ import annotations

import ast
import contextlib
import importlib
import json
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine import runtime
from ansible_collections.mini.containers.plugins.module_utils.runtime.files import FILES, STAND_INS
from ansible_collections.mini.containers.plugins.module_utils.runtime.lean import contextlib as lean_contextlib
from ansible_collections.mini.containers.plugins.module_utils.runtime.lean import json as lean_json
from ansible_collections.mini.containers.plugins.module_utils.runtime.lean import typing as lean_typing

UTILS = Path(__file__).resolve().parents[3] / "plugins" / "module_utils"
NAMES = sorted(path.stem for path in (UTILS / STAND_INS).glob("*.py"))
PREFIX = "ansible_collections.mini.containers.plugins.module_utils.runtime.lean."
# Each is large, and none is imported by what is left of the standard library.
SPARED = {"enum", "re", "functools", "json.decoder", "inspect", "subprocess", "socket", "hashlib", "dataclasses"}

VALUES = [{}, [], "", 'é\ud83d\n"\\', 0, -1, 2**64, 1.5, True, False, None, {"a": [{"b": None}]}]

both_contextlibs = pytest.mark.parametrize("module", [contextlib, lean_contextlib])
both_jsons = pytest.mark.parametrize("module", [json, lean_json])
both_typings = pytest.mark.parametrize("module", [typing, lean_typing])


def used(path: Path) -> Iterator[tuple[str, str]]:
    """Module and attribute, for all that a file takes from what has a stand-in."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.value.id, node.attr


def test_there_is_a_stand_in_for_everything_that_is_used() -> None:
    found = {pair for name in FILES if not name.startswith(STAND_INS) for pair in used(UTILS / name)}
    taken = [(name, attribute) for name, attribute in found if name in NAMES]
    assert len(taken) > 20
    assert not [pair for pair in taken if not hasattr(importlib.import_module(PREFIX + pair[0]), pair[1])]


def test_the_launcher_imports_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    directory = runtime.installed(Paths(str(tmp_path)))
    start = Path(directory, "__main__.py").read_text().replace("main()\n", "print(*sys.modules)\n")
    Path(directory, "__main__.py").write_text(start)
    done = subprocess.run(
        [sys.executable, "-I", "-S", f"{directory}/__main__.py"], check=True, capture_output=True, text=True
    )
    loaded = set(done.stdout.split())
    assert "mini_runtime.runtime.monitor" in loaded
    assert loaded & SPARED == set()


@both_jsons
@pytest.mark.parametrize("value", VALUES)
def test_documents_come_back(module: Any, value: object) -> None:
    assert module.dumps(value) == json.dumps(value)
    assert module.loads(json.dumps(value)) == value
    assert module.loads(json.dumps(value, indent=1).encode()) == value
    assert module.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")) == value


@both_jsons
@pytest.mark.parametrize("text", ["", " ", "{", "[1,]", '{"a" 1}', '"a', "1 2", "nul", b"\xff"])
def test_what_is_no_document(module: Any, text: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        module.loads(text)


def test_no_document_is_an_error_where_the_real_module_is_out_of_reach() -> None:
    program = f"""
import sys
sys.path.insert(0, {str(UTILS / STAND_INS)!r})
import json
for text in ("", "{{", "[1,]", '{{"a" 1}}', '"a'):
    try:
        json.loads(text)
    except ValueError:
        print("refused")
"""
    done = subprocess.run([sys.executable, "-I", "-S", "-B", "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["refused"] * 5


@both_jsons
def test_what_has_no_document(module: Any) -> None:
    with pytest.raises(TypeError):
        module.dumps({"a": object()})


def entry(module: Any) -> Any:
    class Entry(module.NamedTuple):  # type: ignore[misc]
        name: str
        size: int = 4
        tags: tuple[str, ...] = ()

        @property
        def doubled(self) -> int:
            return self.size * 2

    return Entry


@both_typings
def test_tuples_with_names(module: Any) -> None:
    made = entry(module)("a", tags=("x",))
    assert made == ("a", 4, ("x",))
    assert (made.name, made.size, made.tags, made.doubled) == ("a", 4, ("x",), 8)
    assert made._asdict() == {"name": "a", "size": 4, "tags": ("x",)}
    assert made._replace(size=5) == ("a", 5, ("x",))
    name, *_others = made
    assert name == "a"
    assert {made: 1}[entry(module)("a", 4, ("x",))] == 1


@both_typings
@pytest.mark.parametrize(("values", "named"), [((), {}), ((1, 2, 3, 4), {}), ((1,), {"name": 2}), ((1,), {"other": 2})])
def test_tuples_need_their_fields(module: Any, values: tuple[int, ...], named: dict[str, int]) -> None:
    with pytest.raises(TypeError):
        entry(module)(*values, **named)


@both_contextlibs
def test_errors_are_suppressed_by_kind(module: Any) -> None:
    with module.suppress(FileNotFoundError, KeyError):
        raise KeyError
    with module.suppress(OSError):
        raise FileNotFoundError
    with pytest.raises(ValueError, match="other"), module.suppress(OSError):
        raise ValueError("other")
    with pytest.raises(OSError, match="none"), module.suppress():
        raise OSError("none")


@both_contextlibs
def test_a_block_has_a_begin_and_an_end(module: Any) -> None:
    told = []

    @module.contextmanager  # type: ignore[untyped-decorator]
    def manager(name: str) -> Iterator[str]:
        told.append(f"begin {name}")
        try:
            yield name
        except KeyError:
            told.append("missing")
        finally:
            told.append("end")

    with manager("a") as name:
        told.append(name)
    with manager("b"):
        raise KeyError
    with pytest.raises(OSError, match="passed"), manager("c"):
        raise OSError("passed")
    assert told == ["begin a", "a", "end", "begin b", "missing", "end", "begin c", "end"]
