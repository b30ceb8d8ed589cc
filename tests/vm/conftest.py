# SPDX-License-Identifier: GPL-3.0-or-later
"""One guest for all tests of this directory. They tell one story, in the order in which they stand."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from vm_guest import Guest
from vm_image import image


@pytest.fixture(scope="session")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """A freshly installed Debian that has just been switched on."""
    found = Guest(image(), tmp_path_factory.mktemp("vm"))
    try:
        found.power_on()
        yield found
    finally:
        found.power_cut()
        found.disk.unlink()
