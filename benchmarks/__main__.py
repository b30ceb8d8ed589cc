# SPDX-License-Identifier: GPL-3.0-or-later
"""`python benchmarks`: our times beside those of the engines that are installed, in one table."""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
# The code that is measured answers to its full name, as it does in a task; `make` has put it there.
sys.path[:1] = [str(REPOSITORY), str(REPOSITORY / ".venv" / "collections")]

from benchmarks.command import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
