# SPDX-License-Identifier: GPL-3.0-or-later
"""What other hosts say of names: what can be is believed, and the rest is said."""

from __future__ import annotations

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput
from ansible_collections.mini.containers.plugins.module_utils.core.specs.network import Vxlan
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.hearsay import sift

HOSTS = {"h1": "192.0.2.11", "h2": "192.0.2.12", "h3": "192.0.2.13"}
VXLAN = Vxlan("h1", HOSTS, ("10.50.0.0/16", "fd00:50::/64"), 256, 77)


def test_what_can_be_is_believed():
    told = {
        "h1": {"own": "10.50.99.2"},
        "h2": {"web": "10.50.12.2", "db": ["10.50.12.3", "FD00:50:0:0:0c00::1"]},
        "h3": {},
    }
    names = {"h2": {"db": ("10.50.12.3", "fd00:50::c00:0:0:1"), "web": ("10.50.12.2",)}, "h3": {}}
    assert sift(VXLAN, told) == (names, ())
    assert sift(VXLAN, {}) == ({}, ())


@pytest.mark.parametrize(
    ("table", "taken", "words"),
    [
        ({"bad": "10.50.11.2"}, {}, "10.50.11.2 of bad is not in its slice, 10.50.12.0/24"),
        ({"bad": ["10.50.12.9", "192.0.2.1"]}, {"bad": ("10.50.12.9",)}, "192.0.2.1 of bad is not in"),
        ({"bad": "10.50.12.2\n127.0.0.1 bank"}, {}, r"10.50.12.2\n127.0.0.1 bank' of bad is no IP address"),
        ({"bad": "fd00:50::2%\n10.50.12.2 bank"}, {}, "is no IP address"),
        ({"bad": ["fd00:50::2%eth0"]}, {}, "fd00:50::2%eth0 of bad is no IP address"),
        ({"bad": 3}, {}, "3 of bad is no IP address"),
        ({"bad": {"x": 1}}, {}, "is no IP address"),
        ({"b ad\n": "10.50.12.2"}, {}, "is not a container name"),
        ({7: "10.50.12.2"}, {}, "7 is not a container name"),
        ({"x" * 300: "10.50.12.2"}, {}, "…"),
        ({f"n{number}": "::1" for number in range(99)}, {}, "; 94 more"),
    ],
)
def test_the_rest_is_left_out_and_said(table, taken, words):
    """Nothing else of that host is lost, and nothing of another; and what is said is one line."""
    heard = sift(VXLAN, {"h2": {**table, "web": "10.50.12.2"}, "h3": {"api": "10.50.13.2"}})
    assert heard.names == {"h2": {**taken, "web": ("10.50.12.2",)}, "h3": {"api": ("10.50.13.2",)}}
    (doubt,) = heard.doubts
    assert doubt.startswith("names: left out of what h2 says: ")
    assert words in doubt
    assert doubt.isprintable()
    assert len(doubt) < 1000


@pytest.mark.parametrize("junk", [[], "text", 3, None, "x\n" * 1000])
def test_what_is_no_table_changes_nothing_that_is_known(junk):
    heard = sift(VXLAN, {"h2": junk, "h3": {"api": "10.50.13.2"}})
    assert list(heard.names) == ["h3"]
    assert "of h2 is no table" in heard.doubts[0]
    assert heard.doubts[0].isprintable()


def test_a_host_that_is_none():
    """The host for whom the task is knows them: so this is its own mistake."""
    with pytest.raises(BadInput, match="h9 is none of the hosts"):
        sift(VXLAN, {"h9": {}})
