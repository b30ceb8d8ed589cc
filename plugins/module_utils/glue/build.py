# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of `mini_image_build` as a canonical `BuildSpec`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..core.errors import BadInput, NotFound
from ..core.names import check_name
from ..core.units import parse_extent
from ..engine.builds.spec import HOST, NONE, BuildSpec
from ..image import platform
from ..image.reference import parse
from .options import table

_MAX_SECRET = 500 * 1024  # as in Docker


def build_spec(params: Mapping[str, Any]) -> BuildSpec:
    """The specification behind a task's parameters. `BadInput` names the first option that makes no sense."""
    reference = parse(params["name"], params.get("tag"))
    if reference.digest:
        raise BadInput(f"name: {params['name']!r} has a digest, which the content decides", hint="give name and tag")
    file, network = params.get("dockerfile") or "", params.get("network") or ""
    if not os.path.isabs(params["path"]) or "\0" in params["path"] + file:
        raise BadInput(f"path: {params['path']!r} is not an absolute path on the managed host")
    if network not in ("", "default", NONE, HOST):
        check_name("network", network)
    return BuildSpec(
        reference=reference,
        context=params["path"],
        file=file,
        args=table("args", params.get("args") or {}),
        target=params.get("target") or "",
        labels=table("labels", params.get("labels") or {}),
        network="" if network == "default" else network,
        pull=bool(params.get("pull")),
        nocache=bool(params.get("nocache")),
        renew=params.get("rebuild") != "never",
        secrets=dict(_secret(secret) for secret in params.get("secrets") or ()),
        platform=platform.parse(params["platform"]) if params.get("platform") else None,
        etc_hosts=_hosts(params["etc_hosts"]) if params.get("etc_hosts") else {},
        shm_size=parse_extent("shm_size", params["shm_size"]) if params.get("shm_size") else 0,
    )


def _hosts(value: dict[str, Any]) -> dict[str, str]:
    from .container import host_names  # with all that containers have of options

    return host_names(value)


def _secret(secret: Mapping[str, Any]) -> tuple[str, bytes]:
    """The id and the content, from where the type says."""
    known, kind = secret["id"], secret["type"]
    given = secret.get({"file": "src", "env": "env", "value": "value"}[kind])
    if given is None:
        raise BadInput(f"secrets: {known} is of type {kind}, and has no {'src' if kind == 'file' else kind}")
    if kind == "value":
        content = str(given).encode()
    elif kind == "env":
        if given not in os.environ:
            raise NotFound(f"secrets: {known}: the task's environment has no {given}")
        content = os.environb[os.fsencode(given)]
    else:
        content = _read(known, given)
    if len(content) > _MAX_SECRET:
        raise BadInput(f"secrets: {known} is larger than {_MAX_SECRET} bytes")
    return known, content


def _read(known: str, path: str) -> bytes:
    try:
        with open(path, "rb") as handle:
            return handle.read(_MAX_SECRET + 1)
    except OSError as exc:
        raise NotFound(f"secrets: {known}: {path} cannot be read: {exc.strerror}", path=path, errno=exc.errno) from exc
