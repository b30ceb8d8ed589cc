# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for `signal`: the part in C, whose signals are plain numbers."""

from __future__ import annotations

from _signal import *  # type: ignore[import-not-found]  # noqa: F403
