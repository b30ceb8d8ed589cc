# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook run from here on the guest, as a user would run it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from vm_guest import Guest

REPOSITORY = Path(__file__).resolve().parents[2]
PLAYBOOKS = Path(__file__).parent / "playbooks"
SITE = REPOSITORY / "playbooks" / "site.yml"


def play(guest: Guest, playbook: Path, *arguments: str) -> int:
    """Run it, with the variables of the site; how many tasks have changed something."""
    inventory = guest.console.parent / "inventory.json"
    inventory.write_text(json.dumps(guest.inventory()))
    program = Path(sys.executable).parent / "ansible-playbook"
    sources = ("-i", str(REPOSITORY / "inventory"), "-i", str(inventory), "--limit", "guest")
    done = subprocess.run(
        [str(program), *sources, str(playbook), *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    print(done.stdout)
    assert done.returncode == 0, f"{playbook.name} failed; what it said is above"
    match = re.search(r"^guest +: .*\bchanged=(\d+)", done.stdout, re.MULTILINE)
    assert match is not None
    return int(match[1])
