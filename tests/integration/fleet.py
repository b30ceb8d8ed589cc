#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several hosts on one machine, for tests: a network between them, and what can happen to hosts and to a network.

::

    controller 192.0.2.254 ── lan0 ─┬─ eth0 192.0.2.11, the host h1
       (a network namespace         ├─ eth0 192.0.2.12, the host h2
        of the fleet's own)         └─ …

A host is a tree of processes in mount, pid, network, uts and cgroup namespaces of its own, with an sshd, a root that is
an overlay of this machine's, and its own /run and /var/lib/mini. Nothing of it is in the machine's own namespaces, so
that everything ends when the first processes do. They leave directories and empty cgroups, which `down` removes.

    fleet.py up DIRECTORY [NUMBER]      then: ansible-playbook -i DIRECTORY/hosts.yml …
    fleet.py down DIRECTORY
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
PATIENCE = 60.0
SSH = """\
#!/bin/sh
exec nsenter --net=/proc/{lan}/ns/net ssh "$@"
"""
INVENTORY = """\
---
mini_hosts:
  hosts:
{hosts}  vars:
    ansible_user: root
    ansible_python_interpreter: /usr/bin/python3
    ansible_ssh_executable: {directory}/ssh
    ansible_ssh_private_key_file: {directory}/key
    ansible_ssh_common_args: >-
      -F none -o UserKnownHostsFile={directory}/known_hosts -o StrictHostKeyChecking=yes
      -o ConnectTimeout=3 -o ServerAliveInterval=1 -o ServerAliveCountMax=3
    ansible_control_path_dir: {directory}/cp
"""
NAMESPACES = ("--net", "--mount", "--pid", "--uts", "--cgroup", "--ipc")
SSHD = """\
ListenAddress 0.0.0.0
ListenAddress [::]
HostKey /run/sshd/host_key
AuthorizedKeysFile /run/sshd/authorized_keys
PidFile none
UsePAM no
UseDNS no
PermitRootLogin prohibit-password
PasswordAuthentication no
MaxStartups 100
Subsystem sftp internal-sftp
"""


class Group(NamedTuple):
    """A host's own cgroup in one of this machine's hierarchies, and how that is mounted."""

    path: str
    target: str
    kind: str
    options: str


class Fleet:
    """The hosts whose directories are below one directory; whoever opens it again finds them running."""

    def __init__(self, directory: Path, count: int = 3) -> None:
        self.directory = directory
        self.names = [f"h{number}" for number in range(1, count + 1)]
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def __len__(self) -> int:
        return len(self.names)

    # Addresses and files

    def address(self, name: str, family: int = 4) -> str:
        """The host's address in the network between the hosts."""
        number = 10 + int(name[1:])
        return f"192.0.2.{number}" if family == 4 else f"2001:db8::{number}"

    @property
    def inventory(self) -> Path:
        """For `ansible-playbook -i`."""
        return self.directory / "hosts.yml"

    def at(self, name: str, *below: str) -> Path:
        """A file of a host."""
        return self.directory.joinpath(name, *below)

    def pid(self, name: str) -> int:
        """The process that holds the namespaces; 0 when it is gone. A pid that another program has now is not ours."""
        try:
            pid = int(self.at(name, "pid").read_text())
            return pid if os.fsencode(self.at(name)) in Path(f"/proc/{pid}/cmdline").read_bytes() else 0
        except (OSError, ValueError):
            return 0

    # The life of the fleet

    def up(self) -> None:
        """Make all of it."""
        for name in ("lan", *self.names):
            self.at(name).mkdir(parents=True)
        self._start("lan", "unshare", "--net", "--", "tail", "-f", str(self.at("lan", "log")))
        self.on_lan(
            "ip link set lo up; ip link add lan0 type bridge; ip link set lan0 up; "
            "ip address add 192.0.2.254/24 dev lan0; ip address add 2001:db8::fe/64 dev lan0 nodad"
        )
        self._write_for_the_controller()
        for name in self.names:
            self._write_for_the_host(name)
            self.boot(name)

    def down(self) -> None:
        """Unmake all of it."""
        for name in [*self.names, "lan"]:
            self.lose(name)
        shutil.rmtree(self.directory)

    def left(self) -> list[str]:
        """What there is of it on this machine, where nothing should be, but in its own namespaces."""
        links = [f"/sys/class/net/{name}" for name in ("lan0", *self.names)]
        groups = [group.path for name in self.names for group in self._groups(name)]
        mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(self.directory) in line]
        return [path for path in (*links, *groups, str(self.directory)) if os.path.exists(path)] + mounts

    def used(self) -> float:
        """Seconds of processors that all hosts have taken since they were made."""
        own = [Path(group.path, "cpuacct.usage") for name in self.names for group in self._groups(name)]
        return sum(int(path.read_text()) for path in own if path.exists()) / 1e9

    # What happens to a host

    def boot(self, name: str) -> None:
        """Start a host; one that was lost comes back with its disk, and nothing else."""
        groups = self._groups(name)
        self.at(name, "cgroups").write_text(
            "".join(f"{group.target} {group.kind} {group.options}\n" for group in groups)
        )
        for group in groups:
            _make(group)
        init = [str(HERE / "host_init"), name, str(self.at(name))]
        command = ["unshare", *NAMESPACES, "--fork", "--kill-child", "--propagation", "private", "--", *init]
        self._start(name, *command, cgroups=[group.path for group in groups])
        # A card keeps its address when a machine is started again. That of one that was lost may still be there: the
        # kernel takes namespaces down in the background.
        mac = f"02:00:00:00:00:{int(name[1:]):02x}"
        self.on_lan(
            f"ip link del {name} 2> /dev/null || true; "
            f"ip link add {name} type veth peer name eth0 address {mac} netns {self.pid(name)}; "
            f"ip link set {name} master lan0; ip link set {name} up"
        )
        self._enter(
            name,
            f"ip address add {self.address(name)}/24 dev eth0; ip link set eth0 up; "
            f"ip address add {self.address(name, 6)}/64 dev eth0 nodad; ip route add default via 192.0.2.254",
        )
        wait(lambda: self._listens(name), f"{name} does not answer")
        for connection in self.directory.glob("cp/*"):  # one to the host as it was is no use
            connection.unlink()

    def lose(self, name: str) -> None:
        """A host is gone at once, with every process on it."""
        pid = self.pid(name)
        if pid:
            os.kill(pid, signal.SIGKILL)
        if name in self._children:
            self._children.pop(name).wait()
        wait(lambda: not self.pid(name), f"{name} does not end")
        for group in self._groups(name):
            wait(lambda path=group.path: _unmake(path), f"{group.path} is not left")

    def cut(self, name: str) -> None:
        """Nothing reaches the host any more, nor leaves it."""
        self.on_lan(f"ip link set {name} down")

    def mend(self, name: str) -> None:
        """It is reached again."""
        self.on_lan(f"ip link set {name} up")

    # Commands

    def on_lan(self, script: str) -> str:
        """A shell script beside the hosts, where the controller is; its output."""
        return self._enter("lan", script)

    def on(self, name: str, script: str) -> str:
        """A shell script on a host, without a connection; its output."""
        pid = self.pid(name)
        # The host's first process. The one that we know holds its namespaces, but for that of its children.
        first = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]
        return _output("nsenter", f"--target={first}", "--all", "--", "sh", "-ec", script)

    def _enter(self, name: str, script: str) -> str:
        """A shell script of this machine in the network of a host."""
        return _output("nsenter", f"--net=/proc/{self.pid(name)}/ns/net", "--", "sh", "-ec", script)

    def _listens(self, name: str) -> bool:
        if not self.pid(name):
            raise RuntimeError(f"{name} did not start: {self.at(name, 'log').read_text()}")
        return ":22 " in self._enter(name, "ss -Htln")

    # How it is made

    def _start(self, name: str, *command: str, cgroups: Sequence[str] = ()) -> None:
        with open(self.at(name, "log"), "wb") as log:
            self._children[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: [Path(path, "cgroup.procs").write_text("0") for path in cgroups],
            )
        self.at(name, "pid").write_text(str(self._children[name].pid))
        wait(lambda: self._apart(name), f"{name} does not start")

    def _apart(self, name: str) -> bool:
        """Whether it has left this process's network: until then, what is done to it is done here."""
        pid = self.pid(name)
        return bool(pid) and os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net")

    def _groups(self, name: str) -> list[Group]:
        """In every hierarchy that this machine has."""
        own = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:8]
        found = []
        for line in Path("/proc/self/mounts").read_text().splitlines():
            _source, target, kind, options, *_ = line.split()
            if kind in ("cgroup", "cgroup2"):
                kept = [word for word in options.split(",") if word not in ("noexec", "nodev", "nosuid", "relatime")]
                found.append(Group(f"{target}/fleet-{own}-{name}", target, kind, ",".join(kept)))
        return found

    def _write_for_the_host(self, name: str) -> None:
        for below in ("upper", "work", "root", "state"):
            self.at(name, below).mkdir()
        _output("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.at(name, "host_key")))
        self.at(name, "sshd_config").write_text(SSHD)
        shutil.copy(self.directory / "key.pub", self.at(name, "authorized_keys"))
        key = self.at(name, "host_key.pub").read_text()
        with open(self.directory / "known_hosts", "a", encoding="ascii") as known:
            known.write("".join(f"{self.address(name, family)} {key}" for family in (4, 6)))

    def _write_for_the_controller(self) -> None:
        _output("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.directory / "key"))
        ssh = self.directory / "ssh"
        ssh.write_text(SSH.format(lan=self.pid("lan")))
        ssh.chmod(0o755)
        hosts = "".join(f"    {name}: {{ansible_host: {self.address(name)}}}\n" for name in self.names)
        self.inventory.write_text(INVENTORY.format(hosts=hosts, directory=self.directory))


def wait(condition: Callable[[], object], otherwise: str) -> None:
    """Until the condition is true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(otherwise)
        time.sleep(0.01)


def _output(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def _make(group: Group) -> None:
    """A new cpuset is empty (cpusets(7)): nobody can enter it."""
    os.makedirs(group.path, exist_ok=True)
    if "cpuset" in group.options.split(","):
        for file in ("cpuset.cpus", "cpuset.mems"):
            Path(group.path, file).write_text(Path(group.target, file).read_text())


def _unmake(path: str) -> bool:
    """Remove a cgroup and those below; false while processes that were killed are still in one."""
    for directory, _below, _files in os.walk(path, topdown=False):
        try:
            os.rmdir(directory)
        except OSError:
            return False
    return True


def main(verb: str, directory: str, count: str = "3") -> None:
    """Entry point."""
    fleet = Fleet(Path(directory).resolve(), int(count))
    if verb == "up":
        fleet.up()
    else:
        fleet.down()


if __name__ == "__main__":
    main(*sys.argv[1:])
