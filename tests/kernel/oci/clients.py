# SPDX-License-Identifier: GPL-3.0-or-later
"""What podman's and docker's command lines have in common."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path
from typing import Any

from ..waiting import PATIENCE

SCRIPT = "echo hello; trap 'exit 3' TERM; while :; do sleep 0.1; done"
WHO = ("sh", "-c", "id -un; pwd")
ASK = ("sh", "-c", "test -t 0 && test -t 1 && echo yes")


class Client:
    """An engine's command; `words` are the beginning of each call."""

    def __init__(self, words: list[str]) -> None:
        self.words = words

    def call(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """What came of a call."""
        given = {"capture_output": True, "text": True, "timeout": 4 * PATIENCE, **options}
        return subprocess.run([*self.words, *arguments], check=False, **given)

    def ok(self, *arguments: str, **options: Any) -> str:
        """What a call that must succeed has said."""
        done = self.call(*arguments, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def import_box(self, rootfs: Path, packed: Path) -> None:
        """The image `box` from a directory, by way of the archive `packed`."""
        subprocess.run(["tar", "-C", str(rootfs), "-cf", str(packed), "."], check=True)
        self.ok("import", "--change", "ENV PATH=/bin", str(packed), "box")

    def on_a_terminal(self, *arguments: str) -> bytes:
        """What a call that must succeed says to a terminal of ours."""
        master, slave = pty.openpty()
        words = [*self.words, *arguments]
        with subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, start_new_session=True) as process:
            os.close(slave)
            said = _until_hung_up(master)
        assert process.returncode == 0, said
        return said


def _until_hung_up(master: int) -> bytes:
    """All that comes until nobody has the terminal any more."""
    said = b""
    while True:
        try:
            said += os.read(master, 4096)
        except OSError:
            os.close(master)
            return said
