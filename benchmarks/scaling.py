# SPDX-License-Identifier: GPL-3.0-or-later
"""`python benchmarks/scaling.py`, as root: what a network over many hosts costs a host, and a play the controller.

What a host keeps is not simulated: it is computed by the code of the collection, and put into a kernel, in a network
namespace of its own. What a task costs is measured on three hosts of `tests/integration/fleet.py`, over ssh, in time of
processors, which does not depend on what else the machine does; the time of plays on more hosts is simulated from that.
"""

from __future__ import annotations

import heapq
import ipaddress
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, NamedTuple, TypeVar

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:1] = [str(REPOSITORY), str(REPOSITORY / ".venv" / "collections")]

from ansible_collections.mini.containers.plugins.module_utils.core import codec  # noqa: E402
from ansible_collections.mini.containers.plugins.module_utils.core.specs.network import Vxlan  # noqa: E402
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.far import FarNames  # noqa: E402
from ansible_collections.mini.containers.plugins.module_utils.linux import libc  # noqa: E402
from ansible_collections.mini.containers.plugins.module_utils.network import overlay, slices  # noqa: E402
from ansible_collections.mini.containers.plugins.module_utils.network.rtnl import Rtnl  # noqa: E402

from tests.integration.fleet import Fleet  # noqa: E402

Answer = TypeVar("Answer")
HOSTS = (10, 100, 1_000, 10_000)
FORKS = (5, 50, 200)
CONTAINERS = 10  # on each host
ROUND_TRIPS = 3 * 0.005  # seconds: to a host that is some way off
TASKS = 8  # of the role mini_stack, with one network and nothing to change
PLAY = """
- hosts: mini_hosts
  gather_facts: false
  tasks:
    - mini.containers.mini_network_info:
      loop: "{{ range(COUNT) | list }}"
"""


class Kept(NamedTuple):
    """What one host has of a network over so many: entries, bytes of a task, of names, of a hosts file, and seconds."""

    entries: int
    task: int
    names: int
    hosts_file: int
    compute: float
    write: float
    read: float


class Cost(NamedTuple):
    """Of one task on one host: seconds of a processor of the controller, and of one of the host."""

    controller: float
    host: float


def main() -> None:
    """Entry point."""
    print(f"a host of so many, {CONTAINERS} containers on each:\n")
    print(f"{'hosts':>7} {'entries':>8} {'task KiB':>9} {'names KiB':>10} {'hosts file KiB':>15} {'compute ms':>11} "
          f"{'write ms':>9} {'read ms':>8}")  # fmt: skip
    for count in HOSTS:
        kept = keep(count)
        print(f"{count:7} {kept.entries:8} {kept.task / 1024:9.1f} {kept.names / 1024:10.1f} "
              f"{kept.hosts_file / 1024:15.1f} {kept.compute * 1e3:11.1f} {kept.write * 1e3:9.1f} "
              f"{kept.read * 1e3:8.1f}")  # fmt: skip
    cost = measure()
    cores = os.cpu_count() or 1
    print(f"\na task: {cost.controller * 1e3:.0f} ms of the controller, {cost.host * 1e3:.0f} ms of the host")
    print(f"a play of {TASKS} tasks that changes nothing, from a controller with {cores} processors, in seconds:\n")
    print(f"{'hosts':>7}" + "".join(f"{f'{forks} forks':>12}" for forks in FORKS))
    for count in HOSTS:
        print(f"{count:7}" + "".join(f"{play_time(count, TASKS, forks, cores, cost):12.0f}" for forks in FORKS))


# What a host keeps


def keep(count: int) -> Kept:
    """Of the first of so many hosts. The subnet is the smallest with 62 containers a host that has room for all."""
    parts = 1 << (count + 1).bit_length()
    subnet = f"10.0.0.0/{32 - 6 - (parts.bit_length() - 1)}"
    names = {f"host{number}": str(ipaddress.IPv4Address("172.16.0.0") + number) for number in range(1, count + 1)}
    vxlan = Vxlan("host1", names, (subnet,), parts, 77)
    wanted = device(vxlan)
    _entries, compute = timed(lambda: device(vxlan).entries)
    table = {
        peer.name: {f"web-{index}": (address(peer.slices[0].subnet, index),) for index in range(CONTAINERS)}
        for peer in slices.peers(vxlan)
    }  # fmt: skip
    lines = sum(
        len(f"{found[0]}\t{name} {name}.{host}\n") for host, own in table.items() for name, found in own.items()
    )
    write, read = in_a_kernel(wanted)
    return Kept(
        len(wanted.entries), len(json.dumps(names)), len(codec.encode(FarNames(table))), lines, compute, write, read
    )


def address(subnet: str, index: int) -> str:
    """The first container has the address behind the gateway's."""
    return str(ipaddress.ip_network(subnet)[index + 2])


def device(vxlan: Vxlan) -> overlay.Overlay:
    """The host's device, and what it must know."""
    own = slices.slices_of(vxlan, vxlan.host)[0]
    return overlay.Overlay("vx-scaling", "mini:scaling", vxlan.vni, vxlan.port, vxlan.address, (own.gateway,),
                            vxlan.subnets, 1450, tuple(slices.peers(vxlan)))  # fmt: skip


def in_a_kernel(wanted: overlay.Overlay) -> tuple[float, float]:
    """Seconds that it takes to write all entries, and to read them and find that nothing is missing."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    libc.unshare(libc.CLONE_NEWNET)
    try:
        gateway = wanted.gateways[0]
        subprocess.run(["ip", "address", "add", f"{gateway}/26", "dev", "lo"], check=True)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        overlay.create(wanted)
        _none, write = timed(lambda: overlay.set_entries(wanted))
        with Rtnl() as host:
            state, read = timed(lambda: overlay.observe(host, wanted.name))
        if state is None or state.entries != wanted.entries:
            raise RuntimeError("the kernel does not have what it was given")
        return write, read
    finally:
        libc.setns(home, libc.CLONE_NEWNET)
        os.close(home)


def timed(work: Callable[[], Answer]) -> tuple[Answer, float]:
    """What it returns, and how long a processor works on it, here and in the kernel."""
    begin = time.process_time()
    found = work()
    return found, time.process_time() - begin


# What a play costs


def measure(count: int = 20) -> Cost:
    """A task that reads: what a play with more of them takes more than a play with one."""
    with tempfile.TemporaryDirectory(prefix="mini-scaling-") as directory:
        fleet = Fleet(Path(directory, "fleet"))
        fleet.up()
        try:
            run(fleet, 1)  # which sends the code
            few, many = run(fleet, 1), run(fleet, 1 + count)
        finally:
            fleet.down()
    tasks = count * len(fleet.names)
    return Cost((many.controller - few.controller) / tasks, (many.host - few.host) / tasks)


def run(fleet: Fleet, count: int) -> Cost:
    """A play with so many tasks on all hosts of the fleet, as a whole."""
    book = fleet.directory / "book.yml"
    book.write_text(PLAY.replace("COUNT", str(count)))
    env = {**os.environ, "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg")}
    command = [str(REPOSITORY / ".venv/bin/ansible-playbook"), "-i", str(fleet.inventory), str(book)]
    before, idle = resource.getrusage(resource.RUSAGE_CHILDREN), fleet.used()
    subprocess.run(command, check=True, capture_output=True, env=env, cwd=REPOSITORY)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, fleet.used() - idle)


def play_time(hosts: int, tasks: int, forks: int, cores: int, cost: Cost) -> float:
    """The strategy `linear`: a task begins when the one before has ended on all hosts. A fork prepares it on one of the
    processors, and then waits for the host."""
    now = 0.0
    for _task in range(tasks):
        free, idle = [now] * forks, [now] * cores
        for _host in range(hosts):
            fork, core = heapq.heappop(free), heapq.heappop(idle)
            prepared = max(fork, core) + cost.controller
            heapq.heappush(idle, prepared)
            heapq.heappush(free, prepared + cost.host + ROUND_TRIPS)
        now = max(free)
    return now


if __name__ == "__main__":
    main()
