# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for `collections`, of which nothing is used but `collections.abc`; `os.path` is made in the same way."""

from __future__ import annotations

import _collections_abc as abc
import sys

sys.modules[f"{__name__}.abc"] = abc
