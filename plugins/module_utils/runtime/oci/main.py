# SPDX-License-Identifier: GPL-3.0-or-later
"""The command: an option parser, a table of verbs, and what becomes of an error."""

from __future__ import annotations

import argparse
import os
from typing import Callable, NoReturn, Optional

from ...core.errors import MiniError
from ..report import StepError
from . import change, ending, life, log, options, show, visit

VERBS: dict[str, Callable[[argparse.Namespace], Optional[int]]] = {
    "create": life.create,
    "start": life.start,
    "run": life.run,
    "exec": visit.execute,
    "state": show.state,
    "list": show.list_,
    "ps": show.processes,
    "features": show.features,
    "spec": show.spec,
    "version": show.version,
    "kill": ending.kill,
    "delete": ending.delete,
    "pause": change.pause,
    "resume": change.resume,
    "update": change.update,
}


def main(arguments: list[str]) -> NoReturn:
    """Serve the one call. Its status is that of the process which was waited for, or 0; 1 for an error.

    With exec an error is 255, as with runc: 1 may be what the command has to say.
    """
    found = options.parse(arguments)
    log.configure(found.log, found.log_format)
    code = 255 if found.verb == "exec" else 1
    try:
        code = VERBS[found.verb](found) or 0
    except (MiniError, StepError) as exc:
        log.error(str(exc))
    except OSError as exc:
        log.error(f"{exc.strerror or exc}" + (f": {exc.filename}" if exc.filename else ""))
    except (KeyError, TypeError, AttributeError, ValueError) as exc:
        log.error(f"the bundle is not as the specification has it: {type(exc).__name__}: {exc}")
    # An orderly end of the interpreter takes longer than the work did.
    os._exit(code)
