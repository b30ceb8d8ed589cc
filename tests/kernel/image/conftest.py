# SPDX-License-Identifier: GPL-3.0-or-later
"""The maker of raw tar archives, importable."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))
