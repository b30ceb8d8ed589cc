# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel or the image refuses: one sentence that says it, and nothing is left behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import (
    BadInput,
    HostLacks,
    MiniError,
    NotFound,
)
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths


@pytest.mark.parametrize(
    ("options", "step", "number", "text"),
    [
        ({"command": "nothing"}, "exec", errno.ENOENT, "'nothing' is not in the container"),
        ({"command": "/bin/nothing"}, "exec", errno.ENOENT, "'/bin/nothing' is not in the container"),
        ({"command": "/etc/passwd"}, "exec", errno.EACCES, "'/etc/passwd' is not executable"),
        ({"command": "/tmp"}, "exec", errno.EISDIR, "'/tmp' is a directory"),
        ({"user": "nobody"}, "user", None, "no user 'nobody'"),
        ({"user": "alice:nobody"}, "user", None, "no group 'nobody'"),
        ({"user": "4294967296"}, "user", None, "is not a user or group id"),
        ({"groups": ["nobody"]}, "user", None, "no group 'nobody'"),
        ({"working_dir": "/etc/passwd"}, "working-directory", None, "/etc/passwd"),
        ({"sysctls": {"net.ipv4.no_such": "1"}}, "sysctl", errno.ENOENT, "net"),
        ({"sysctls": {"net.ipv4.ip_default_ttl": "x"}}, "sysctl", errno.EINVAL, "ip_default_ttl"),
        ({"cpuset_cpus": "1000"}, "cgroup", None, "cpuset.cpus"),
        ({"cpuset_mems": "77"}, "cgroup", errno.EINVAL, "cpuset.mems"),
        ({"volumes": ["/tmp:/etc/passwd/x"]}, "mounts", errno.ENOTDIR, "/etc/passwd/x"),
        ({"tmpfs": ["/t:uid=many"]}, "mounts", errno.EINVAL, "uid=many"),
    ],
)
def test_a_start_that_is_refused(host: Any, options: dict[str, Any], step: str, number: Any, text: str) -> None:
    with pytest.raises(MiniError, match=text) as caught:
        host.container(**options)
    assert caught.value.step == step
    if number is not None:
        assert caught.value.errno == number


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"image": "nothing"}, NotFound, "image nothing is not in the store"),
        ({"image": "Box"}, BadInput, "must be in lower case"),
        ({"volumes": ["/no/such:/x"]}, NotFound, "the bind source /no/such does not exist"),
        ({"devices": ["/dev/nothing"]}, NotFound, "the host has no device /dev/nothing"),
        ({"devices": ["/etc/passwd"]}, NotFound, "the host has no device /etc/passwd"),
        ({"device_read_bps": [{"path": "/dev/null", "rate": "1M"}]}, NotFound, "/dev/null is no block device"),
        ({"platform": "linux/s390x"}, BadInput, "not for linux/s390x"),
        ({"platform": "windows/amd64"}, BadInput, "not for windows/amd64"),
        ({"security_opts": ["apparmor=mini"]}, (HostLacks, NotFound), "no AppArmor|not loaded"),
    ],
)
def test_what_is_not_there(host: Any, options: dict[str, Any], error: type[MiniError], text: str) -> None:
    with pytest.raises(MiniError, match=text) as caught:
        host.container(**options)
    assert isinstance(caught.value, error) or caught.value.step == "cgroup"


@pytest.mark.parametrize("options", [{"cpuset_cpus": "1000"}, {"memory": "6M", "memory_swap": "6M"}])
def test_a_limit_that_is_refused_leaves_the_others(host: Any, options: dict[str, Any]) -> None:
    """What runs goes on under its old limits, and the next task with sense is no surprise."""
    host.container(memory="64M", command=["sh", "-c", "dd if=/dev/zero of=/dev/shm/x bs=1M count=20; sleep 1000"])
    host.exec("c", "sh", "-c", "until [ $(stat -c %s /dev/shm/x) = 20971520 ]; do sleep 0.1; done")
    pid = host.pid()
    with pytest.raises(MiniError, match="kernel refuses") as caught:
        host.container(**options)
    assert caught.value.errno in (errno.EINVAL, errno.ERANGE, errno.EBUSY)
    assert os.path.dirname(caught.value.path or "").endswith(host.record().id)
    assert not host.container(memory="64M").plan, "its record and its cgroup say what they said before"
    assert host.pid() == pid
    host.absent("c")


def test_check_mode_takes_for_granted_what_an_earlier_task_makes(host: Any) -> None:
    options = {
        "image": "later",
        "networks": [{"name": "later"}],
        "volumes": ["/no/such:/x"],
        "network_mode": "default",
    }
    outcome = host.container(check=True, **options)
    assert [step.name for step in outcome.plan][-1] == "start"
    assert len(outcome.warnings) == 3
    with pytest.raises(NotFound):
        host.container(**options)
    with pytest.raises(BadInput):
        host.container(check=True, **options, published_ports=["x"])


STACK = """
- hosts: localhost
  gather_facts: false
  roles:
    - role: mini.containers.mini_stack
      vars:
        mini_stack_state_root: {root}
        mini_stack_networks: [{{name: lan, ipam_config: [{{subnet: 10.99.0.0/24}}], {network}}}]
        mini_stack_images: [{{name: later, src: {root}/no/such, user: alice}}]
        mini_stack_containers:
          - {{name: web, image: later, command: sleep 1000, networks: [{{name: lan}}], read_only: true, {container}}}
"""


class TestRole:
    """The role `mini_stack` hands on what it is given, whatever that is."""

    def test_check_mode_of_a_host_that_has_nothing(self, play: Any, tmp_path: Path) -> None:
        done = play(STACK.format(root=tmp_path / "s", network="labels: {}", container="cap_drop: [ALL]"), "-C")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "failed=0" in done.stdout
        assert not (tmp_path / "s").exists()

    def test_a_host_that_has_nothing_is_not_changed_by_taking_it_away(self, play: Any, tmp_path: Path) -> None:
        root = tmp_path / "s"
        done = play(
            STACK.format(root=root, network="labels: {}", container="tty: false"), "-e", "mini_stack_state=absent"
        )
        assert "changed=0    unreachable=0    failed=0" in done.stdout, done.stdout + done.stderr
        assert not root.exists()
        assert not Path(Paths(str(root)).run_root).exists()

    @pytest.mark.parametrize(
        ("network", "container", "module"),
        [("labels: {}", "memroy: 64M", "mini_containers"), ("iternal: true", "tty: false", "mini_network")],
    )
    def test_an_option_that_does_not_exist(
        self, play: Any, tmp_path: Path, network: str, container: str, module: str
    ) -> None:
        done = play(STACK.format(root=tmp_path / "s", network=network, container=container), "-C")
        assert done.returncode != 0
        assert f"Unsupported parameters for (mini.containers.{module}) module" in done.stdout.replace("\n", " ")
