# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of `mini_image` as a canonical `ImageSpec`, one canonicaliser an option."""

from __future__ import annotations

import os
import re
from typing import Any, Callable, Optional

from ..core.errors import BadInput
from ..engine.images.spec import ARCHIVE, MISSING, NEVER, NONE, ROOTFS, ExportSpec, ImageSpec
from ..image import platform
from ..image.reference import full_id, id_prefix, parse
from .options import table, text, words

_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?\Z")
# Which option says where an image comes from, and which values of `source` go with it.
_OPTIONS = {"src": ("rootfs",), "from_container": ("container",), "load_path": ("archive", "layout")}
_SIGNAL = re.compile(r"(?:SIG)?[A-Z0-9+-]{2,12}\Z|\d{1,2}\Z")


def image_spec(params: dict[str, Any]) -> ImageSpec:
    """The specification behind a task's parameters. `BadInput` names the first option that makes no sense."""
    reference = parse(params["name"], params.get("tag"))
    kind = _source(params)
    if reference.digest and kind not in ("registry", "local"):
        raise BadInput(
            f"name: {params['name']!r} has a digest, which the content decides", hint="give a name and a tag"
        )
    push = bool(params.get("push"))
    if push and (reference.digest or "/" not in reference.name):
        raise BadInput(f"push: {params['name']!r} says no registry to push to, or no tag", hint="write host/name:tag")
    if kind == "container" and params.get("platform"):
        raise BadInput("platform: an image of a container is for the platform of that container", hint="leave it out")
    if kind not in ("rootfs", "container"):
        _refuse(params, ("author", "message"), "is said of an image that is made here, of src or from_container")
    given = {option: params[option] for option, _read in CONFIG if params.get(option) is not None}
    return ImageSpec(
        reference=reference,
        src=absolute_path("src", params.get("src")),
        from_container=params.get("from_container") or "",
        load_path=absolute_path("load_path", params.get("load_path")),
        source=params.get("source") or "",
        pull=(params.get("pull") or MISSING) if kind == "registry" else NEVER,
        platform=platform.parse(params["platform"]) if params.get("platform") else None,
        archive_path=absolute_path("archive_path", params.get("archive_path")),
        push=push,
        author=text("author", params.get("author") or ""),
        message=text("message", params.get("message") or ""),
        config={option: read(given[option]) for option, read in CONFIG if option in given},
    )


def image_name(name: str, tag: Optional[str]) -> str:
    """What an image is looked up by: a name with its tag, or an id as it is. `tag` is for a name that has none."""
    if full_id(name) or (id_prefix(name) and not tag):
        return name
    wanted = parse(name, tag)
    return f"{wanted}@{wanted.digest}" if wanted.tag and wanted.digest else str(wanted)


def names_for(repositories: list[str]) -> tuple[str, ...]:
    """Names that an image is to get, each with its tag, in canonical form."""
    found = [parse(name) for name in repositories]
    if not found:
        raise BadInput("repository: there is no name in it")
    wrong = next((name for name in found if name.digest), None)
    if wrong:
        raise BadInput(f"repository: {wrong} has a digest, which the content decides", hint="give a name and a tag")
    return tuple(dict.fromkeys(map(str, found)))


def export_spec(params: dict[str, Any]) -> ExportSpec:
    """The specification behind the parameters of `mini_image_export`."""
    names = tuple(dict.fromkeys(image_name(name, params.get("tag")) for name in params.get("names") or ()))
    container, kind = params.get("container") or "", params.get("kind") or ""
    if bool(names) == bool(container):
        raise BadInput("names and container: just one of them is needed", hint="say what is to be exported")
    if container and kind == ARCHIVE:
        raise BadInput("kind: a container has a root file system, and is no image", hint="make one with mini_image")
    if kind == ROOTFS and len(names) > 1:
        raise BadInput("kind: a file holds one root file system, and there are several names", hint="give one of them")
    return ExportSpec(
        path=absolute_path("path", params["path"]),
        names=names,
        container=container,
        kind=ROOTFS if container else kind or ARCHIVE,
        compression=params.get("compression") or NONE,
        force=bool(params.get("force")),
    )


def _refuse(params: dict[str, Any], options: tuple[str, ...], why: str) -> None:
    given = next((option for option in options if params.get(option)), None)
    if given:
        raise BadInput(f"{given} {why}", hint=f"leave {given} out")


def _source(params: dict[str, Any]) -> str:
    """Where the image comes from, by what is given; `source`, when it is given too, must not say otherwise."""
    given = [option for option in _OPTIONS if params.get(option)]
    if len(given) > 1:
        raise BadInput(f"{' and '.join(given)} cannot be given together", hint="an image has one source")
    stated = params.get("source")
    possible = _OPTIONS[given[0]] if given else ("registry", "local")
    if stated and stated not in possible:
        needs = next((option for option, kinds in _OPTIONS.items() if stated in kinds), "")
        hint = f"give {needs}" if needs else f"leave {given[0]} out"
        raise BadInput(f"source: {stated} does not go with {given[0] if given else 'what is given'}", hint=hint)
    return stated or possible[0]


def ports(value: list[Any]) -> tuple[str, ...]:
    """`80`, `53/udp`, `8000-8003`: each port with its protocol, in order."""
    found: set[tuple[int, str]] = set()
    for item in value:
        match = _PORT.match(str(item))
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not match or not 0 < first <= last < 65536:
            raise BadInput(f"exposed_ports: {item!r} is not a port", hint="write it as 80, 53/udp or 8000-8003")
        found.update((port, match[3] or "tcp") for port in range(first, last + 1))
    return tuple(f"{port}/{protocol}" for port, protocol in sorted(found))


def directories(value: list[str]) -> tuple[str, ...]:
    """Absolute paths inside the image, without `..`, in order."""
    return tuple(sorted({_absolute("volumes", item) for item in value}))


def _absolute(option: str, value: str) -> str:
    if not value.startswith("/") or ".." in value.split("/") or "\0" in value:
        raise BadInput(f"{option}: {value!r} is not a path from the root of the image", hint="begin it with /")
    path = "/" + os.path.normpath(value).strip("/")
    if option == "volumes" and path == "/":
        raise BadInput("volumes: the root itself cannot be a volume")
    return path


def absolute_path(option: str, value: Any) -> str:
    """A path on the managed host; empty when it is not given."""
    if not value:
        return ""
    if "\0" in value or not os.path.isabs(value):
        raise BadInput(f"{option}: {value!r} is not an absolute path on the managed host")
    return str(value)


def _signal(value: str) -> str:
    if not _SIGNAL.match(value):
        raise BadInput(f"stop_signal: {value!r} is not a signal", hint="write it as SIGTERM")
    return value


# The option, which is also the field of the configuration, and the way from one to the other.
CONFIG: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("command", lambda value: words("command", value)),
    ("entrypoint", lambda value: words("entrypoint", value)),
    ("env", lambda value: table("env", value)),
    ("working_dir", lambda value: _absolute("working_dir", value)),
    ("user", lambda value: text("user", value)),
    ("labels", lambda value: table("labels", value)),
    ("exposed_ports", ports),
    ("volumes", directories),
    ("stop_signal", _signal),
)
