# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: runc's, so that whoever can call runc can call this."""

from __future__ import annotations

import argparse
from typing import Callable

DEFAULT_ROOT = "/run/mini-oci"
VERSION = "0.1.0"
SPEC_VERSION = "1.2.0"


def parse(arguments: list[str]) -> argparse.Namespace:
    """The global options, the verb, and the verb's own: only its parser is made."""
    parser = _parser()
    found = parser.parse_args(arguments)
    if found.version:
        return argparse.Namespace(verb="version", **vars(_without_verb(found)))
    if found.verb not in VERBS:
        parser.error(f"there is no command {found.verb!r}" if found.verb else "a command is missing")
    found.systemd_cgroup = found.systemd_cgroup or found.cgroup_manager == "systemd"
    own = argparse.ArgumentParser(prog=f"mini-oci {found.verb}", allow_abbrev=False)
    VERBS[found.verb](own)
    return own.parse_args(found.rest, found)


def _without_verb(found: argparse.Namespace) -> argparse.Namespace:
    return argparse.Namespace(**{name: value for name, value in vars(found).items() if name != "verb"})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mini-oci",
        description="A runtime for OCI bundles.",
        epilog="commands: " + " ".join(VERBS),
        allow_abbrev=False,
    )
    parser.add_argument("--root", default=DEFAULT_ROOT, help="where the state of containers is kept")
    parser.add_argument("--log", default="", help="a file that errors are written to, too")
    parser.add_argument("--log-format", default="text", choices=("text", "json"))
    parser.add_argument("--debug", action="store_true", help="accepted")
    parser.add_argument("--cgroup-manager", default="cgroupfs", choices=("cgroupfs", "systemd"), help="as crun has it")
    parser.add_argument("--systemd-cgroup", action="store_true", help="slice:prefix:name as cgroupsPath")
    parser.add_argument("--rootless", default="auto", help="accepted")
    parser.add_argument("--criu", default="", help="accepted")
    parser.add_argument("-v", "--version", action="store_true")
    parser.add_argument("verb", nargs="?", default="")
    parser.add_argument("rest", nargs=argparse.REMAINDER)
    return parser


def _id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id")


def _start_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-b", "--bundle", default=".")
    parser.add_argument("-f", "--config", default="config.json", help="another name for config.json, as crun has it")
    parser.add_argument("--console-socket", default="")
    parser.add_argument("--pid-file", default="")
    parser.add_argument("--no-pivot", action="store_true")
    parser.add_argument("--no-new-keyring", action="store_true")
    parser.add_argument("--preserve-fds", type=int, default=0)


def _create(parser: argparse.ArgumentParser) -> None:
    _start_options(parser)
    _id(parser)


def _run(parser: argparse.ArgumentParser) -> None:
    _start_options(parser)
    parser.add_argument("-d", "--detach", action="store_true")
    parser.add_argument("--keep", action="store_true", help="do not delete it when it has ended")
    parser.add_argument("--no-subreaper", action="store_true", help="accepted")
    _id(parser)


def _kill(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-a", "--all", action="store_true", help="every process of the container")
    _id(parser)
    parser.add_argument("signal", nargs="?", default="SIGTERM")


def _delete(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--force", action="store_true", help="kill it first")
    _id(parser)


def _exec(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--console-socket", default="")
    parser.add_argument("--pid-file", default="")
    parser.add_argument("--cwd", default="")
    parser.add_argument("-e", "--env", action="append", default=[])
    parser.add_argument("-t", "--tty", action="store_true")
    parser.add_argument("-u", "--user", default="")
    parser.add_argument("-g", "--additional-gids", type=int, action="append", default=[])
    parser.add_argument("-p", "--process", default="")
    parser.add_argument("-d", "--detach", action="store_true")
    parser.add_argument("-c", "--cap", action="append", default=[])
    parser.add_argument("--no-new-privs", action="store_true")
    parser.add_argument("--preserve-fds", type=int, default=0)
    parser.add_argument("--ignore-paused", action="store_true")
    parser.add_argument("--no-subreaper", action="store_true", help="accepted")
    _id(parser)
    parser.add_argument("command", nargs=argparse.REMAINDER)


def _list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--format", default="table", choices=("table", "json"))
    parser.add_argument("-q", "--quiet", action="store_true", help="ids only")


def _ps(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--format", default="table", choices=("table", "json"))
    _id(parser)
    parser.add_argument("options", nargs=argparse.REMAINDER, help="of ps(1), accepted")


def _spec(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-b", "--bundle", default=".")


def _update(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-r", "--resources", default="", help="a file with linux.resources, - for standard input")
    for name in NUMBERS:
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--memory", type=_size)
    parser.add_argument("--memory-reservation", type=_size)
    parser.add_argument("--memory-swap", type=_size)
    parser.add_argument("--cpuset-cpus")
    parser.add_argument("--cpuset-mems")
    _id(parser)


def _size(text: str) -> int:
    """Bytes, or with a unit: `64M`."""
    units = {"k": 10, "m": 20, "g": 30, "t": 40}
    number, unit = (text[:-1], text[-1].lower()) if text[-1:].lower() in units else (text, "")
    return int(number) << units.get(unit, 0)


def _nothing(parser: argparse.ArgumentParser) -> None:
    del parser


NUMBERS = ("blkio-weight", "cpu-period", "cpu-quota", "cpu-rt-period", "cpu-rt-runtime", "cpu-share", "pids-limit")
VERBS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "create": _create,
    "start": _id,
    "state": _id,
    "kill": _kill,
    "delete": _delete,
    "run": _run,
    "exec": _exec,
    "ps": _ps,
    "pause": _id,
    "resume": _id,
    "list": _list,
    "update": _update,
    "features": _nothing,
    "spec": _spec,
}
