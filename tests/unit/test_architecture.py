# SPDX-License-Identifier: GPL-3.0-or-later
"""The walls of the house: who imports whom, what no file may do, and what each module costs to send."""

from __future__ import annotations

import ast
import io
import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from ansible_collections.mini.containers.plugins.module_utils.engine.boot.files import FILES as BOOT_FILES

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
UTILS = PLUGINS / "module_utils"
PREFIX = "ansible_collections.mini.containers.plugins."
FILES = sorted(path for path in PLUGINS.rglob("*.py") if not path.is_symlink())
MODULES = sorted((PLUGINS / "modules").glob("*.py"))

MAY_IMPORT = {
    "core": {"core"},
    "linux": {"core", "linux"},
    "runtime": {"core", "linux", "runtime"},
    "image": {"core", "linux", "image"},
    "network": {"core", "linux", "network"},
    "engine": {"core", "linux", "runtime", "image", "network", "engine"},
    "glue": {"core", "linux", "runtime", "image", "network", "engine", "glue"},
}
ANSIBLE = {
    "glue": ("ansible.module_utils.basic",),
    "modules": ("ansible.module_utils.basic",),
    "glue/http.py": ("ansible.module_utils.urls",),
}
FORBIDDEN_CALLS = {"print", "sys.exit", "exit", "quit", "eval", "exec", "os.system"}
MAY_EXIT = "runtime/main.py"
CONTROLLER = ("action", "connection", "doc_fragments", "inventory", "callback", "lookup", "filter")
MAY_IMPORT_MODULES = "doc_fragments/container_list.py"  # their documentation; it never leaves the controller


class Import:
    """One imported module by its full dotted name. `inner` is an import inside a function."""

    def __init__(self, target: str, inner: bool) -> None:
        self.target = target
        self.inner = inner

    @property
    def room(self) -> str:
        """`core`, `linux` … for our own files, `plugins` for what is beside module_utils, empty for all others."""
        if not self.target.startswith(PREFIX):
            return ""
        parts = self.target[len(PREFIX) :].split(".")
        return parts[1] if parts[0] == "module_utils" and len(parts) > 1 else "plugins"


def label(path: Path) -> str:
    """A file's name as the rules have it: `linux/libc.py`, `modules/mini_image.py`."""
    return str(path.relative_to(UTILS if UTILS in path.parents else PLUGINS))


@cache
def tree(path: Path) -> ast.Module:
    """A file, parsed."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def dotted(path: Path) -> str:
    return PREFIX + ".".join(path.relative_to(PLUGINS).with_suffix("").parts)


@cache
def imports(path: Path) -> tuple[Import, ...]:
    """Every import of a file, wherever it stands: Ansible ships those inside functions, too."""
    return tuple(_imports(tree(path), dotted(path).split("."), inner=False))


def _imports(node: ast.AST, name: list[str], inner: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(alias.name, inner) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        package = ".".join(name[: -node.level]) + "." if node.level else ""
        base = (package + (node.module or "")).rstrip(".")
        for alias in node.names:
            whole = f"{base}.{alias.name}"
            # `from ..linux import libc` names a file, `from ..linux.libc import mount` something in one.
            yield Import(whole if locate(whole) or not locate(base) else base, inner)
    inner = inner or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
    for child in ast.iter_child_nodes(node):
        yield from _imports(child, name, inner)


def locate(name: str) -> Path | None:
    """The file of one of our modules, or None."""
    if not name.startswith(PREFIX):
        return None
    path = PLUGINS.joinpath(*name[len(PREFIX) :].split(".")).with_suffix(".py")
    return path if path.is_file() else None


def closure(path: Path) -> set[Path]:
    """The file and all of ours that it can import: what Ansible sends."""
    found, waiting = {path}, [path]
    while waiting:
        for item in imports(waiting.pop()):
            target = locate(item.target)
            if target and target not in found:
                found.add(target)
                waiting.append(target)
    return found


def calls(node: ast.AST) -> Iterator[str]:
    for child in ast.walk(node):
        if isinstance(child, ast.Call) and isinstance(child.func, (ast.Name, ast.Attribute)):
            yield ast.unparse(child.func)


def test_there_is_something_to_check() -> None:
    assert MODULES
    assert {path.relative_to(UTILS).parts[0] for path in FILES if UTILS in path.parents} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", FILES, ids=label)
def test_imports_point_one_way(path: Path) -> None:
    room = label(path).split("/")[0] if UTILS in path.parents else "plugins"
    allowed = MAY_IMPORT.get(room, set(MAY_IMPORT)) | ({"plugins"} if label(path) == MAY_IMPORT_MODULES else set())
    wrong = {item.target for item in imports(path) if item.room and item.room not in allowed}
    assert not wrong, f"{room} may import {sorted(allowed)} only"


@pytest.mark.parametrize("path", FILES, ids=label)
def test_own_files_exist(path: Path) -> None:
    missing = {item.target for item in imports(path) if item.room and not locate(item.target)}
    assert not missing, "such an import works here and fails on a managed host"


@pytest.mark.parametrize("path", FILES, ids=label)
def test_ansible_stays_at_the_edge(path: Path) -> None:
    name = label(path)
    allowed = ANSIBLE.get(name, ANSIBLE.get(name.split("/")[0], ()))
    found = {item.target for item in imports(path) if item.target.split(".")[0] == "ansible"}
    found = {target for target in found if not any(f"{target}.".startswith(f"{one}.") for one in allowed)}
    assert not found or path.parent.name in CONTROLLER


@pytest.mark.parametrize("path", FILES, ids=label)
def test_pyroute2_is_imported_late_and_in_one_place(path: Path) -> None:
    found = [item for item in imports(path) if item.target.split(".")[0] == "pyroute2"]
    assert not found or (label(path) == "network/netlink.py" and all(item.inner for item in found))


@pytest.mark.parametrize("path", FILES, ids=label)
def test_nothing_else_is_needed_on_a_host(path: Path) -> None:
    # Python 3.9 has no list of its standard library; compression.zstd belongs to it from 3.14 on.
    known = getattr(sys, "stdlib_module_names", None)
    named = {item.target.split(".")[0] for item in imports(path)} - {"ansible", "ansible_collections", "pyroute2"}
    found = {name for name in named if name not in known} if known else set()
    assert not found - {"compression"}


@pytest.mark.parametrize("path", FILES, ids=label)
def test_habits(path: Path) -> None:
    body = tree(path).body
    if not body:
        return
    first = next(node for node in body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)))
    assert isinstance(first, ast.ImportFrom), "from __future__ import annotations comes first"
    assert first.module == "__future__"
    nodes = list(ast.walk(tree(path)))
    assert not [node.lineno for node in nodes if isinstance(node, ast.Assert)], "python -O drops an assert"
    assert not [node.lineno for node in nodes if type(node).__name__ == "Match"], "Python 3.9 has no match"
    allowed = {"sys.exit"} if label(path) == MAY_EXIT else set()
    assert not (set(calls(tree(path))) & FORBIDDEN_CALLS) - allowed


@pytest.mark.parametrize("path", FILES, ids=label)
def test_licence(path: Path) -> None:
    head = path.read_text(encoding="utf-8").splitlines()[:20]
    if UTILS in path.parents:
        assert head[0] == "# SPDX-License-Identifier: GPL-3.0-or-later"
    else:
        assert any(
            line.startswith("# GNU General Public License v3.0+ (see LICENSE or https://www.gnu") for line in head
        )


def test_no_init_files() -> None:
    assert not list(PLUGINS.rglob("__init__.py")), "Ansible does without, and mypy takes them for another package"


def test_all_files_of_the_program_that_runs_at_boot_are_listed() -> None:
    """It runs without the collection: what is imported and not listed is missing at boot, and only then."""
    assert sorted(label(path) for path in closure(UTILS / "engine" / "boot" / "main.py")) == sorted(BOOT_FILES)


def test_payload_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    """Printed, not judged: what each module costs to send and to compile once a host, and `mini_kept` each time."""
    rows = [(path.stem, *_payload(closure(path))) for path in MODULES]
    with capsys.disabled():
        print(f"\n\n{'module':24}{'files':>8}{'lines':>8}{'KiB':>8}")
        for name, files, lines, size in rows:
            print(f"{name:24}{files:8}{lines:8}{size / 1024:8.1f}")
    assert [name for name, files, _lines, _size in rows if files == 1] == ["mini_kept"]


def _payload(files: set[Path]) -> tuple[int, int, int]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(files):
            archive.write(path, path.relative_to(PLUGINS))
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)
    return len(files), lines, len(buffer.getvalue())
