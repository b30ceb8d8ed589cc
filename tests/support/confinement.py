# SPDX-License-Identifier: GPL-3.0-or-later
"""A probe of a container's confinement: commands of busybox that print what they see, and that as one flat table.

What is an accident of one run, such as the number of a pipe or a container's id, is replaced by its kind.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator

STATUS = (
    "Umask Uid Gid Groups NoNewPrivs Seccomp Seccomp_filters CapInh CapPrm CapEff CapBnd CapAmb SigIgn SigBlk SigPnd"
    " ShdPnd Cpus_allowed_list Mems_allowed_list THP_enabled Speculation_Store_Bypass"
).split()
VALUES = "oom_score_adj loginuid sessionid personality coredump_filter uid_map gid_map setgroups".split()
SYSCTLS = "net.ipv4.ip_unprivileged_port_start net.ipv4.ping_group_range kernel.hostname kernel.domainname".split()
NAMESPACES = "cgroup ipc mnt net pid time user uts".split()
SCRIPT = f"""
for file in {" ".join(VALUES)}; do echo "$file: "$(cat /proc/self/$file); done
for kind in {" ".join(NAMESPACES)}; do echo "ns $kind: $(readlink /proc/self/ns/$kind)"; done
for name in {" ".join(SYSCTLS)}; do echo "sysctl $name: "$(cat /proc/sys/$(echo $name | tr . /)); done
echo "keys in sight: $(cat /proc/keys | wc -l)"
echo "terminal: $(tty)"
echo "directory: $(pwd)"
cd /dev; for name in * pts/* shm/* mqueue/*; do
  if test -L $name; then echo "dev $name: -> $(readlink $name)"
  elif test -e $name; then stat -c 'dev %n: %F %a %u:%g %t:%T' $name; fi; done
cgroup=/sys/fs/cgroup; for file in /proc/sys/kernel/hostname /proc/sysrq-trigger $cgroup/x $cgroup/*/cgroup.procs; do
  (: > $file) 2>/dev/null && echo "writable: $file"; done; true
"""
PATHS = ("lowerdir", "upperdir", "workdir", "uuid")
IDS = re.compile(r"[0-9a-f]{64}")
NUMBERED = re.compile(r"\b(pipe|socket|anon_inode):\[\d+\]")

Run = Callable[..., str]
"""A command's words → what it prints."""


def probe(run: Run) -> dict[str, str]:
    """Every row of the table. What says its own state is not started by a shell, which has signals of its own."""
    found = {}
    for rows in (
        _status(run("cat", "/proc/self/status")),
        _limits(run("cat", "/proc/self/limits")),
        _mounts(run("cat", "/proc/self/mountinfo")),
        _stat(run("cat", "/proc/self/stat")),
        _cgroup(run("cat", "/proc/self/cgroup")),
        _descriptors(run("ls", "-l", "/proc/self/fd")),
        (("env " + line).split("=", 1) for line in run("env").splitlines()),
        _script(run("sh", "-c", SCRIPT)),
    ):
        found.update(rows)
    return {name: IDS.sub("ID", value) for name, value in sorted(found.items())}


def _status(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, _colon, value = line.partition(":")
        if name in STATUS:
            yield name, " ".join(value.split())


def _limits(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines()[1:]:
        words = re.split(r"  +", line.strip())
        yield f"limit {words[0][4:]}", " ".join(words[1:3])


def _stat(text: str) -> Iterator[tuple[str, str]]:
    """proc_pid_stat(5): fields 18, 19 and 41, counted from behind the name."""
    fields = text[text.rindex(")") + 2 :].split()
    yield "priority, nice, policy", " ".join((fields[15], fields[16], fields[38]))


def _cgroup(text: str) -> Iterator[tuple[str, str]]:
    yield "cgroup", " ".join(sorted({line.split(":", 2)[2] for line in text.splitlines()}))


def _descriptors(text: str) -> Iterator[tuple[str, str]]:
    """`ls` opens the directory it lists."""
    for line in text.splitlines():
        match = re.search(r"(\d+) -> (.*)", line)
        if match and not re.fullmatch(r"/proc/\d+/fd", match[2]):
            yield f"fd {match[1]}", NUMBERED.sub(r"\1", match[2])


def _script(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, _colon, value = line.partition(": ")
        if name.startswith("ns "):
            value = "the host's" if value == os.readlink(f"/proc/self/ns/{name[3:]}") else "its own"
        yield (f"{name} {value}", "yes") if name == "writable" else (name, value)


def _mounts(text: str) -> Iterator[tuple[str, str]]:
    """`mount /proc` → `proc; rw,nosuid,…; rw`. What comes from a file system of the host has no kind of its own, and
    all controllers of cgroup v1 are one row, as are the files of all processors."""
    for line in text.splitlines():
        fields, _dash, rest = line.partition(" - ")
        _id, _parent, _device, root, target, options, *shared = fields.split()
        kind, _source, own = rest.split()
        if kind in ("ext4", "xfs", "btrfs") or root == "/null":
            kind, own = "file", ""
        own = ",".join(
            option for option in own.split(",") if not option.startswith(("lowerdir", "upperdir", "workdir"))
        )
        if re.match("/sys/fs/cgroup/.", target):
            target, own = "/sys/fs/cgroup/*", root
        target = re.sub(r"/cpu\d+/", "/cpuN/", target)
        yield f"mount {target}", "; ".join(filter(None, [kind, options, own, *(one.split(":")[0] for one in shared)]))
