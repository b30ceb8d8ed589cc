# SPDX-License-Identifier: GPL-3.0-or-later
"""An address for one more container: in an empty network, and in networks that have a great many."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

from ansible_collections.mini.containers.plugins.module_utils.core.specs.network import Subnet
from ansible_collections.mini.containers.plugins.module_utils.network import ipam
from ansible_collections.mini.containers.plugins.module_utils.network.leases import Pool

from .samples import Samples

MANY, FEW = 60_000, 300
NETWORKS = {"empty": "10.98.0.0/24", "full4": "10.99.0.0/16", "full6": "fd00:99::/64"}


def measure(samples: Samples, directory: Path, leases: int, rounds: int) -> None:
    """Take and give back, in each network in turn."""
    pools = {name: _pool(directory / "addresses" / name, subnet) for name, subnet in NETWORKS.items()}
    for name, pool in pools.items():
        _fill(pool, 0 if name == "empty" else leases)
    for turn in range(-1, 10 * rounds):  # the first makes the maps
        for name, pool in pools.items():
            with samples.timed(f"lease {name}" if turn >= 0 else "lease first"):
                ipam.take(pool, "one-more", (), lambda _owner, _ip: True)
            ipam.give_back(pool, "one-more")


def _pool(directory: Path, subnet: str) -> Pool:
    entry = Subnet(subnet, gateway=str(ipaddress.ip_network(subnet)[1]))
    return Pool(directory.name, (entry,), str(directory / "lease"), str(directory / "free"))


def _fill(pool: Pool, leases: int) -> None:
    os.makedirs(pool.directory)
    first = ipaddress.ip_network(pool.subnets[0].subnet)[2]
    for number in range(leases):
        os.symlink(f"{number:064x}", os.path.join(pool.directory, str(first + number)))
