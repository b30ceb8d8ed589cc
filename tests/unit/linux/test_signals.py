# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals as people and images write them."""

from __future__ import annotations

import signal

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput
from ansible_collections.mini.containers.plugins.module_utils.linux.signals import signal_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", signal.SIGTERM),
        ("SIGTERM", signal.SIGTERM),
        ("quit", signal.SIGQUIT),
        ("10", 10),
        ("SIGRTMIN", signal.SIGRTMIN),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
        ("rtmin+0", signal.SIGRTMIN),
        ("RTMAX-14", signal.SIGRTMAX - 14),
    ],
)
def test_a_signal(text: str, number: int) -> None:
    assert signal_number(text) == number


@pytest.mark.parametrize("text", ["0", "65", "-1", "SIG", "TERM9", "SIGRTMIN+31", "RTMAX-31", "RTMIN+\u0663", "RTMIN+"])
def test_no_signal(text: str) -> None:
    with pytest.raises(BadInput, match="there is no signal"):
        signal_number(text)
