# SPDX-License-Identifier: GPL-3.0-or-later
"""One stage: its instructions, in order, become a configuration, a history, and the steps that make layers. Pure.

Source: buildkit, frontend/dockerfile/dockerfile2llb/convert.go. An ENV goes before an ARG of the same name, as Docker
documents it, wherever they stand.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Callable, Optional

from ...core.errors import BadInput
from ...core.specs.image import Healthcheck, ImageConfig
from ...core.units import parse_duration
from ...image.containerfile.expand import Lexer, variables_only
from ...image.containerfile.instruction import Instruction
from ...image.containerfile.lines import heredoc
from . import modes
from .runmounts import run_mount
from .works import CONTEXT, Copy, Entry, Origin, Run, Work, Workdir

SHELL = ("/bin/sh", "-c")
PROXIES = tuple(
    name for kind in ("http", "https", "ftp", "no", "all") for name in (f"{kind}_proxy", f"{kind.upper()}_PROXY")
)
NETWORKS = ("default", "none", "host")
_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?\Z", re.IGNORECASE)
_SIGNAL = re.compile(r"(?:SIG)?[A-Za-z0-9+-]{2,12}\Z|\d{1,2}\Z")


class Reader:
    """Reads one stage. `args` are the task's, `known` the ARGs before the first FROM; `origin` finds a --from."""

    def __init__(
        self,
        escape: str,
        config: ImageConfig,
        args: Mapping[str, str],
        known: Mapping[str, str],
        origin: Callable[[str], Origin],
    ) -> None:
        self.config = config
        self.entries: list[Entry] = []
        self.author = ""
        self.declared: dict[str, str] = {}
        self._lexer = Lexer(escape)
        self._args = args
        self._known = known
        self._origin = origin
        self._own_command = False

    @property
    def variables(self) -> dict[str, str]:
        """What `$name` means."""
        return {**self.declared, **self.config.env}

    def read(self, found: Instruction) -> None:
        """Go on by one instruction."""
        getattr(self, f"_{found.name.lower()}")(found)

    def _word(self, text: str) -> str:
        return self._lexer.word(text, self.variables)

    def _note(self, text: str, work: Optional[Work] = None) -> None:
        self.entries.append(Entry(text, work))

    def _set(self, text: str, **fields: object) -> None:
        self.config = replace(self.config, **fields)  # type: ignore[arg-type]
        self._note(text)

    # variables

    def _arg(self, found: Instruction) -> None:
        shown = []
        for word in found.args:
            name, equals, default = word.partition("=")
            value = self._args.get(name)
            if value is None:
                value = self._word(default) if equals else self._known.get(name)
            if value is not None:
                self.declared[name] = value
            shown.append(name if value is None else f"{name}={value}")
        self._note("ARG " + " ".join(shown))

    def _pairs(self, found: Instruction) -> dict[str, str]:
        """All words with the variables as they are before the instruction: `ENV a=1 b=$a` does not see the new a."""
        words = [self._word(word) for word in found.args]
        pairs = dict(zip(words[::2], words[1::2]))
        if "" in pairs:
            raise BadInput(f"{found.name} has a value without a name")
        return pairs

    def _env(self, found: Instruction) -> None:
        pairs = self._pairs(found)
        shown = " ".join(f"{name}={value}" for name, value in pairs.items())
        self._set(f"ENV {shown}", env={**self.config.env, **pairs})

    def _label(self, found: Instruction) -> None:
        pairs = self._pairs(found)
        shown = " ".join(f"{name}={value}" for name, value in pairs.items())
        self._set(f"LABEL {shown}", labels={**self.config.labels, **pairs})

    # how a container runs

    def _maintainer(self, found: Instruction) -> None:
        self.author = found.args[0]
        self._note(f"MAINTAINER {self.author}")

    def _user(self, found: Instruction) -> None:
        user = self._word(found.args[0])
        self._set(f"USER {user}", user=user)

    def _stopsignal(self, found: Instruction) -> None:
        signal = self._word(found.args[0])
        if not _SIGNAL.match(signal):
            raise BadInput(f"{signal!r} is not a signal", hint="write it as SIGTERM")
        self._set(f"STOPSIGNAL {signal}", stop_signal=signal)

    def _shell(self, found: Instruction) -> None:
        self._set(f"SHELL {json.dumps(found.args)}", shell=found.args)

    def _command(self, found: Instruction) -> tuple[str, ...]:
        if found.exec_form or not found.args:
            return found.args
        return (*(self.config.shell or SHELL), *found.args)

    def _cmd(self, found: Instruction) -> None:
        command = self._command(found)
        self._own_command = True
        self._set(f"CMD {json.dumps(command)}", command=command)

    def _entrypoint(self, found: Instruction) -> None:
        """An entry point of its own sets an inherited command aside."""
        command = self._command(found)
        kept = self.config.command if self._own_command else None
        self._set(f"ENTRYPOINT {json.dumps(command)}", entrypoint=command, command=kept)

    def _healthcheck(self, found: Instruction) -> None:
        kind, *command = found.args
        if kind.upper() == "NONE":
            check = Healthcheck(("NONE",))
        else:
            times = {
                flag.replace("-", "_"): parse_duration(f"--{flag}", value)
                for flag, value in found.flags
                if flag != "retries"
            }
            retries = found.flag("retries") or "0"
            if not retries.isdigit():
                raise BadInput(f"--retries: {retries!r} is not a number")
            test = ("CMD" if found.exec_form else "CMD-SHELL", *command)
            check = Healthcheck(test, **times, retries=int(retries))
        self._set(f"HEALTHCHECK {found.text}", healthcheck=check)

    def _expose(self, found: Instruction) -> None:
        ports = set(self.config.exposed_ports)
        for word in self._lexer.words(" ".join(found.args), self.variables):
            match = _PORT.match(word)
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
            if match is None or not 0 < first <= last < 65536:
                raise BadInput(f"{word!r} is not a port", hint="write it as 80, 53/udp or 8000-8003")
            ports.update(f"{port}/{(match[3] or 'tcp').lower()}" for port in range(first, last + 1))
        self._set(f"EXPOSE {' '.join(found.args)}", exposed_ports=tuple(sorted(ports)))

    def _volume(self, found: Instruction) -> None:
        paths = [self._word(path) for path in found.args]
        if "" in paths:
            raise BadInput("VOLUME has an empty path")
        self._set(f"VOLUME {json.dumps(paths)}", volumes=tuple(sorted({*self.config.volumes, *paths})))

    def _onbuild(self, found: Instruction) -> None:
        """With its here-documents, which are read again when it is triggered."""
        text = "".join([found.text, *(f"\n{doc.content}{doc.name}" for doc in found.heredocs)])
        self.config = replace(self.config, on_build=(*self.config.on_build, text))
        self._note(f"ONBUILD {found.text}")

    # layers

    def _workdir(self, found: Instruction) -> None:
        path = posixpath.normpath(posixpath.join("/", self.config.working_dir, self._word(found.args[0])))
        path = "/" + path.lstrip("/")
        self.config = replace(self.config, working_dir=path)
        work = Workdir(found.line, f"WORKDIR {path}", path, self.config.user) if path != "/" else None
        self._note(f"WORKDIR {path}", work)

    def _run(self, found: Instruction) -> None:
        if found.flag("security") not in ("", "sandbox"):
            raise BadInput("--security=insecure: a build has no more rights than any container")
        network = self._word(found.flag("network"))
        if network and network not in NETWORKS:
            raise BadInput(f"--network={network} is none of {', '.join(NETWORKS)}")
        args, script = _script(found)
        command = args if found.exec_form or script else (*(self.config.shell or SHELL), *args)
        hidden = {name: self._args[name] for name in PROXIES if name in self._args and name not in self.declared}
        mounts = tuple(run_mount(self._word(text), self.config, self._origin) for text in found.every("mount"))
        env = {**self.declared, **self.config.env}
        text = "RUN " + " ".join([*_shown(self.declared), *command])
        self._note(text, Run(found.line, text, command, self.config, env, hidden, mounts, network, script))

    def _copy(self, found: Instruction) -> None:
        *sources, target = (self._word(word) for word in found.args)
        contents = []
        for document in found.heredocs:
            content = variables_only(document.content, self.variables) if document.expand else document.content
            contents.append(document._replace(content=content))
        paths = [word for word, raw in zip(sources, found.args) if not heredoc(raw)]
        self._refuse(found, paths, target)
        origin = self._origin(found.flag("from")) if found.flag("from") else CONTEXT
        mode = self._word(found.flag("chmod"))
        work = Copy(
            found.line,
            f"{found.name} {' '.join([*(f'--{flag}={value}' for flag, value in found.flags), *sources, target])}",
            tuple(paths),
            tuple(contents),
            self._absolute(target),
            origin,
            self._word(found.flag("chown")),
            modes.check(mode) if mode else "",
            unpack=found.name == "ADD",
            exclude=tuple(self._word(pattern) for pattern in found.every("exclude")),
        )
        self._note(work.text, work)

    _add = _copy

    def _refuse(self, found: Instruction, paths: list[str], target: str) -> None:
        if len(found.args) > 2 and not target.endswith("/") and target not in (".", ".."):
            raise BadInput(
                f"{found.name} has several sources, so {target} must be a directory", hint=f"write {target}/"
            )
        for path in paths:
            if found.name == "ADD" and re.match(r"(?:https?|git|ssh)://|git@", path):
                raise BadInput(
                    f"ADD {path}: nothing is fetched from elsewhere in a build",
                    hint="fetch it with ansible.builtin.get_url, which checks it, into the context",
                )

    def _absolute(self, target: str) -> str:
        """From the working directory. A slash at the end stays, and a dot means one."""
        slash = "/" if target.endswith(("/", "/.", "/..")) or target in ("", ".", "..") else ""
        path = "/" + posixpath.normpath(posixpath.join("/", self.config.working_dir, target)).strip("/")
        return path.rstrip("/") + slash if path != "/" else path


def _script(found: Instruction) -> tuple[tuple[str, ...], str]:
    """The words of RUN. A here-document alone is the script itself; beside other words it is left to the shell."""
    if not found.heredocs or found.exec_form:
        return found.args, ""
    first = found.heredocs[0]
    if heredoc(found.args[0]) and len(found.heredocs) == 1:
        return ((), first.content) if first.content.startswith("#!") else ((first.content,), "")
    return ("".join([found.args[0], *(f"\n{doc.content}{doc.name}" for doc in found.heredocs)]),), ""


def _shown(declared: Mapping[str, str]) -> list[str]:
    """The ARGs that a RUN can see, as Docker's history has them."""
    return [f"|{len(declared)}", *(f"{name}={value}" for name, value in declared.items())] if declared else []
