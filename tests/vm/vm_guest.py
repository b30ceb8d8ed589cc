# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest under qemu, on a throw-away layer over the image's disk, reached by ssh on a port of the loopback.

Without KVM, so that it runs wherever the tests run: everything in it takes some thirty times as long.
"""

from __future__ import annotations

import ctypes
import signal
import socket
import subprocess
import time
from pathlib import Path

from vm_image import Image

PATIENCE = 300
COMMAND_LINE = "root=/dev/vda rw console=ttyS0 quiet mitigations=off systemd.show_status=no"
PUBLISHED = 8080


class Guest:
    """One virtual machine. Its disk outlives a power cut, and goes with `directory`."""

    def __init__(self, image: Image, directory: Path) -> None:
        self.image = image
        self.console = directory / "console"
        self.disk = directory / "disk.qcow2"
        self.port, self.published = _free_ports(2)
        self.ssh_options = _options(
            BatchMode="yes",
            ConnectTimeout=60,
            ControlMaster="auto",
            ControlPath=directory / "ssh",
            ControlPersist=PATIENCE,
            IdentityFile=image.key,
            KexAlgorithms="curve25519-sha256",  # the default one takes seconds here
            LogLevel="ERROR",
            StrictHostKeyChecking="no",
            UserKnownHostsFile="/dev/null",
        )
        self._qemu: subprocess.Popen[bytes] | None = None
        backing = ("-b", str(image.disk), "-F", "raw")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, str(self.disk)], check=True)

    def power_on(self) -> None:
        """Boot, and wait until it answers ssh."""
        self._qemu = subprocess.Popen(self._command(), stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent)
        deadline = time.monotonic() + PATIENCE
        while self.ssh("true", check=False).returncode:
            if time.monotonic() > deadline or self._qemu.poll() is not None:
                raise AssertionError(f"the guest does not answer; its console:\n{self.console.read_text()[-4000:]}")
            time.sleep(1)

    def shut_down(self) -> None:
        """As by the button: the guest ends what runs, and switches itself off."""
        self.ssh("systemctl --no-block poweroff", check=False)
        if self._qemu is not None:
            self._qemu.wait(PATIENCE)
            self._qemu = None

    def power_cut(self) -> None:
        """As by pulling the plug: what the guest has not written to its disk is lost."""
        if self._qemu is not None:
            self._qemu.kill()
            self._qemu.wait()
            self._qemu = None

    def ssh(self, command: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A command line, in the session that Ansible's tasks are in, too."""
        words = ["ssh", *self.ssh_options, "-p", str(self.port), "root@127.0.0.1", command]
        # No pipes: the connection that stays open would keep them.
        done = subprocess.run(
            words, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE
        )
        assert not check or done.returncode == 0, (command, done.returncode, done.stdout, done.stderr)
        return done

    def read(self, command: str) -> str:
        """What a command prints."""
        return self.ssh(command).stdout.strip()

    def inventory(self) -> dict[str, object]:
        """The guest as Ansible knows it."""
        host = {
            "ansible_host": "127.0.0.1",
            "ansible_port": self.port,
            "ansible_user": "root",
            "ansible_ssh_args": " ".join(self.ssh_options),
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        return {"mini_hosts": {"hosts": {"guest": host}}}

    def _command(self) -> list[str]:
        forwards = f"hostfwd=tcp:127.0.0.1:{self.port}-:22,hostfwd=tcp:127.0.0.1:{self.published}-:{PUBLISHED}"
        options = {
            "accel": "tcg,thread=multi",
            "cpu": "max,la57=off,svm=off",
            "smp": "2",
            "m": "1536",
            "display": "none",
            "monitor": "none",
            "serial": f"file:{self.console}",
            "kernel": str(self.image.kernel),
            "initrd": str(self.image.initrd),
            "append": COMMAND_LINE,
            "drive": f"file={self.disk},format=qcow2,if=virtio",
            "netdev": f"user,id=net,restrict=on,{forwards}",
        }
        words = [word for name, value in options.items() for word in (f"-{name}", value)]
        devices = ("virtio-net-pci,netdev=net", "virtio-rng-pci")
        return ["qemu-system-x86_64", "-nodefaults", *words, *(word for name in devices for word in ("-device", name))]


def _options(**options: object) -> list[str]:
    return [f"-o{name}={value}" for name, value in options.items()]


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _number in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _die_with_parent() -> None:
    """No guest outlives the tests, however they end."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
