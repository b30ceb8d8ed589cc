# SPDX-License-Identifier: GPL-3.0-or-later
"""The table's rows: what is shown, beside whom, and what is allowed. Budgets are ratios or plain figures."""

from __future__ import annotations

from dataclasses import dataclass

MS, MB = "ms", "MB"


@dataclass(frozen=True)
class Against:
    """A comparison: with a key of the same run, or with nobody (`key` empty) and a plain limit."""

    key: str = ""
    limit: float | None = None


@dataclass(frozen=True)
class Row:
    """A figure. `key` is that of the samples."""

    key: str
    label: str
    against: tuple[Against, ...] = ()
    unit: str = MS


@dataclass(frozen=True)
class Group:
    """Rows with a heading."""

    heading: str
    rows: tuple[Row, ...]


def _beside(verb: str, *peers: str) -> tuple[Against, ...]:
    return tuple(Against(f"{peer} {verb}") for peer in peers)


def _peers(verb: str, *peers: str, unit: str = MS) -> tuple[Row, ...]:
    return tuple(Row(f"{peer} {verb}", f"  {peer}", unit=unit) for peer in peers)


def _edges(verb: str, label: str, unit: str = MS) -> tuple[Row, Row]:
    """The first and the last of many, which should cost the same."""
    first = Row(f"mini {verb}-first", f"{label}, the first", unit=unit)
    return first, Row(f"mini {verb}-last", f"{label}, the last", (Against(first.key, 1.2),), unit)


def _load(what: str, label: str) -> tuple[Row, ...]:
    """An image of a kind, beside those who load it, and by how much our memory grows meanwhile."""
    verb = f"load-{what}"
    against = (Against(f"docker {verb}", 1.0), Against(f"podman {verb}"), Against(f"umoci {verb}"))
    memory = Row(f"mini load-memory-{what}", "  memory, more than before", (Against("", 64.0),), MB)
    return Row(f"mini {verb}", label, against), memory, *_peers(verb, "docker", "podman", "umoci")


_ALL = ("crun", "runc", "podman", "docker")
_ENGINES = ("podman", "docker")
_EXEC = (Against("crun exec", 1.0), Against("runc exec"), Against("podman exec"), Against("docker exec", 0.3))
_BATCH = (Against("", 15.0), Against("crun loop-run", 1.0), *_beside("loop-run", "runc", "podman", "docker"))
_FLOOR = "task empty"
_EACH = (Against("", 1.0), *_beside("loop-each", *_ENGINES))
_MODULES = ("docker-module", "podman-module")

GROUPS = (
    Group(
        "one container, without Ansible: ours in this process; crun and runc have no network, podman and docker a port",
        (
            Row("mini run", "create and start, network and a port", _beside("run", *_ALL)),
            Row("mini-bare run", "create and start, no network", _beside("run", "crun", "runc")),
            *_peers("run", *_ALL),
            Row("mini exec", "exec true", _EXEC),
            *_peers("exec", *_ALL),
            Row("mini remove", "stop and remove, network and a port", _beside("remove", *_ALL)),
            Row("mini-bare remove", "stop and remove, no network", _beside("remove", "crun", "runc")),
            *_peers("remove", *_ALL),
        ),
    ),
    Group(
        "one more container in a batch, one after the other, without Ansible",
        (
            Row("mini loop-run", "create and start, network and a port", _BATCH),
            Row("mini-bare loop-run", "create and start, no network", _beside("loop-run", "crun", "runc")),
            *_peers("loop-run", *_ALL),
            Row("mini loop-create", "create, network and a port", _beside("loop-create", *_ALL)),
            *_peers("loop-create", *_ALL),
            Row("mini loop-start", "start, network and a port", _beside("loop-start", *_ALL)),
            *_peers("loop-start", *_ALL),
            Row("mini loop-remove", "remove, network and a port", _beside("loop-remove", *_ALL)),
            *_peers("loop-remove", *_ALL),
        ),
    ),
    Group(
        "one container of a list in one task, without Ansible; the peers are those of a batch",
        (
            Row("mini list-run", "create and start, network and a port", _BATCH),
            Row("mini list-again", "nothing to do"),
            Row("mini list-remove", "remove, network and a port", _beside("loop-remove", *_ALL)),
        ),
    ),
    Group(
        "the runtime alone: bundles are written, one launcher or a monitor that is there starts them",
        (
            Row("mini launch-one", "one container", _beside("run", "crun", "runc")),
            Row(
                "mini launch-next", "one beside another", (Against("mini launch-one"), *_beside("run", "crun", "runc"))
            ),
            Row("mini launch-batch", "each of a batch", _beside("loop-run", "crun", "runc")),
        ),
    ),
    Group(
        "200 containers on one host, network and a port: the first ten and the last ten, which should cost the same",
        (
            *_edges("crowd", "create and start"),
            *_edges("crowd-each", "memory (PSS) of a monitor", MB),
            *_edges("crowd-launch", "each of ten by one launcher"),
            *_edges("crowd-launch-each", "memory (PSS) of each", MB),
        ),
    ),
    Group(
        "an address for one more container, which should cost the same everywhere",
        (
            Row("lease empty", "in an empty /24"),
            Row("lease full4", "in a /16 with 60000 leases", (Against("lease empty", 1.2),)),
            Row("lease full6", "in a /64 with 60000 leases", (Against("lease empty", 1.2),)),
        ),
    ),
    Group(
        "a hundred new connections through a published port, from a neighbour",
        (
            Row("connect nftables-one", "nftables, the only one"),
            Row("connect nftables-many", "nftables, the last of 5000", (Against("connect nftables-one", 1.1),)),
            Row("connect iptables-one", "iptables, the only one"),
            Row("connect iptables-many", "iptables, the last of 5000", (Against("connect iptables-one"),)),
        ),
    ),
    Group(
        "4 GiB by TCP to a container, through the bridge of each engine",
        (
            Row(
                "mini stream-between",
                "from a sibling",
                (Against("docker stream-between", 1.0), Against("podman stream-between")),
            ),
            *_peers("stream-between", *_ENGINES),
            Row("mini stream-in", "from the host", (Against("docker stream-in", 1.0), Against("podman stream-in"))),
            *_peers("stream-in", *_ENGINES),
        ),
    ),
    Group(
        "an archive of docker save becomes an image, without Ansible; umoci only unpacks",
        (
            *_load("small", "50 MB in 10000 files"),
            *_load("large", "480 MB in 8 files"),
            *_load("gzip", "160 MB in 20000 files, gzip"),
        ),
    ),
    Group(
        "a task through Ansible, container with a network and a port",
        (
            Row(_FLOOR, "an empty module"),
            Row(
                "task unchanged",
                "mini_container, nothing to do",
                (Against(_FLOOR, 1.1), *_beside("unchanged", *_MODULES)),
            ),
            *_peers("unchanged", *_MODULES),
            Row(
                "task create",
                "mini_container, create and start",
                (Against(_FLOOR, 1.5), *(Against(f"{module} create", 0.6) for module in _MODULES)),
            ),
            *_peers("create", *_MODULES),
            Row("task remove", "mini_container, remove", (Against(_FLOOR, 1.2), *_beside("remove", *_MODULES))),
            *_peers("remove", *_MODULES),
        ),
    ),
    Group(
        "memory (PSS) of what watches an idle container: ours, conmon, containerd-shim",
        (
            Row("mini alone", "alone", (Against("", 3.0), *_beside("alone", *_ENGINES)), MB),
            *_peers("alone", *_ENGINES, unit=MB),
            Row("mini loop-each", "each of a batch, one after the other", _beside("loop-each", *_ENGINES), MB),
            Row("mini each", "each of a batch, by one launcher", _EACH, MB),
            *_peers("loop-each", *_ENGINES, unit=MB),
        ),
    ),
)
