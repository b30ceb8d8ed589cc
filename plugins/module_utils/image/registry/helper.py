# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that keep logins for docker: `docker-credential-NAME get`, told the registry, answers with JSON.

Source: github.com/docker/docker-credential-helpers. What such a program says is a secret and is in no error.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import Optional

from ...core.errors import BadImage, RegistryFailed
from ..document import parse

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
_NONE = b"credentials not found in native keychain"
_TOKEN = "<token>"
_PATIENCE = 60.0


def ask(name: str, server: str) -> Optional[tuple[str, str]]:
    """The username and the password that the program has for a registry, None when it has none."""
    program = _find(f"docker-credential-{name}") if _NAME.match(name) else None
    if program is None:
        raise RegistryFailed(
            f"the program docker-credential-{name:.80}, which is to have the login for {server}, is not on this host",
            hint="install it, or give registry_username and registry_password",
        )
    try:
        done = subprocess.run(
            [program, "get"], input=server.encode(), capture_output=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise _failed(program, server) from exc
    if done.returncode:
        if _NONE in done.stdout:
            return None
        raise _failed(program, server)
    try:
        answer = parse(done.stdout, "the answer")
        username, password = answer.text("Username", ""), answer.text("Secret", "")
    except BadImage:
        raise _failed(program, server) from None
    if username == _TOKEN:
        raise RegistryFailed(f"{program} has a token for {server}, and not a password", hint="give registry_password")
    return (username, password) if password else None


def _find(program: str) -> Optional[str]:
    """Where PATH has it. Entries that are relative mean the directory that a task happens to be in: nobody's choice."""
    return shutil.which(program, path=os.pathsep.join(filter(os.path.isabs, os.get_exec_path())))


def _failed(program: str, server: str) -> RegistryFailed:
    hint = f"try it: echo {server} | {program} get"
    return RegistryFailed(f"{program} does not tell the login for {server}", hint=hint)
