# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bundle asks for, seen from inside; where runc is installed, beside what the same bundle looks like there."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..waiting import eventually

RUNC = shutil.which("runc")
PROBE = """
id; pwd; umask; hostname; env | sort
grep -E 'Cap|NoNewPrivs|Seccomp:|SigIgn|SigBlk|Groups' /proc/self/status
cat /proc/self/limits /proc/self/oom_score_adj
cat /proc/sys/kernel/domainname /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax
cut -d' ' -f4- /proc/self/mountinfo | sed 's/ shared:[0-9]*//; s/ master:[0-9]*/ slave/' | grep -v -E '^/[^ ]* / '
find /dev ! -type d | sort | while read f; do stat -c '%n %F %t:%T %a %u:%g' "$f"; done
for link in ptmx fd; do readlink /dev/$link; done
ls -d /proc/acpi /extra/*; cat /extra/file; cat /proc/keys | wc -c; ls /proc/scsi | wc -l
touch /proc/sys/x /ro/x /rw/x; echo a > /proc/sysrq-trigger
ls /proc/self/fd
"""
USER = {"uid": 1000, "gid": 10, "additionalGids": [29, 77], "umask": 0o027}
ALL_SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")


def _rich(bundle: Any) -> None:
    """Most of what the specification has, with effects that show."""
    for name in ("extra", "ro", "rw"):
        (bundle.directory / name).mkdir()
    (bundle.directory / "extra" / "file").write_text("content")
    bundle.config.update(hostname="one", domainname="two")
    bundle.process.update(user={**USER}, cwd="/tmp", noNewPrivileges=True, oomScoreAdj=77)
    bundle.process["env"].append("A=b c")
    bundle.process["capabilities"] = {kind: ["CAP_KILL", "CAP_NET_BIND_SERVICE"] for kind in ALL_SETS}
    bundle.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]
    bundle.mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=64k")
    bundle.mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev")
    bundle.mount("/extra", "bind", bundle.directory / "extra", "rbind", "rprivate", "nosuid", "nodev", "noatime")
    bundle.mount("/ro", "bind", bundle.directory / "ro", "bind", "ro")
    bundle.mount("/rw", "bind", bundle.directory / "rw", "bind", "rw", "rslave")
    bundle.mount("/etc/name", "bind", "/etc/hostname", "bind", "ro")
    bundle.mount("/scratch", "tmpfs", "tmpfs", "noexec", "size=32k", "mode=0700")
    bundle.linux.update(
        sysctl={"net.ipv4.ip_forward": "1", "kernel.msgmax": "9000"},
        devices=[
            {"path": "/dev/mine", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 1000, "gid": 10},
            {"path": "/dev/deep/pipe", "type": "p", "fileMode": 0o600},
        ],
        maskedPaths=["/proc/acpi", "/proc/keys", "/proc/scsi", "/nothing"],
        readonlyPaths=["/proc/sys", "/proc/sysrq-trigger", "/nothing"],
        rootfsPropagation="rprivate",
    )


@pytest.mark.skipif(not RUNC, reason="runc is not installed")
def test_the_same_bundle_under_runc_looks_the_same(bundle: Any) -> None:
    _rich(bundle)
    # Old ones do not know the domain name, and give /dev the process's umask.
    del bundle.config["domainname"], bundle.process["user"]["umask"]
    bundle.sh(f"({PROBE}) 2>&1")
    ours = bundle.call("run", "c1").stdout.splitlines()
    theirs = bundle.call("run", "c2", runtime=RUNC).stdout.splitlines()
    assert _neutral(ours, "c1") == _neutral(theirs, "c2")


def _neutral(lines: list[str], name: str) -> list[str]:
    """Without what differs for a reason: what a masked path is hidden by (their /dev/null is the container's own), and
    the signals that are ignored (runc hands on what its caller ignores).
    """
    differing = (" /proc/acpi ", " /proc/keys ", " /proc/scsi ", "SigIgn:")
    return [line.replace(name, "NAME") for line in lines if not any(text in line for text in differing)]


def test_a_rich_bundle(bundle: Any) -> None:
    """The same without runc: what matters of it, line by line."""
    _rich(bundle)
    said = bundle.run(f"({PROBE}) 2>&1; exit 0").splitlines()
    assert said[:4] == ["uid=1000(alice) gid=10(wheel) groups=29(audio),77", "/tmp", "0027", "one"]
    both = f"{1 << 5 | 1 << 10:016x}"
    for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb"):
        assert f"Cap{kind}:\t{both}" in said
    assert {"A=b c", "HOME=/home/alice", "77", "two", "9000", "NoNewPrivs:\t1"} <= set(said)
    assert "SigIgn:\t0000000000000000" in said
    assert any(line.split()[:5] == ["Max", "open", "files", "100", "200"] for line in said)
    assert "/dev/mine character special file 1:5 640 1000:10" in said
    assert any(line.startswith("/dev/deep/pipe fifo") for line in said)
    assert "touch: /ro/x: Read-only file system" in said
    assert not [line for line in said if line.startswith("touch: /rw/x: Read-only")]


@pytest.mark.parametrize(("options", "inner", "outer"), [(["ro"], "rw", "ro"), (["rro"], "ro", "ro"), ([], "rw", "rw")])
def test_read_only_and_recursively_so(bundle: Any, mounted: Path, options: list[str], inner: str, outer: str) -> None:
    bundle.mount("/mnt", "bind", mounted, "rbind", *options)
    said = bundle.run("grep ' /mnt' /proc/self/mountinfo").splitlines()
    assert [line.split()[5].split(",")[0] for line in said] == [outer, inner]


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A directory on the host, shared, with another file system in it."""
    where = tmp_path / "mounted"
    (where / "inner").mkdir(parents=True)
    subprocess.run(["mount", "--bind", where, where], check=True)
    subprocess.run(["mount", "--make-shared", where], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", where / "inner"], check=True)
    yield where
    subprocess.run(["umount", "--recursive", where], check=True)


@pytest.mark.parametrize(
    ("root", "option", "inwards", "outwards"),
    [
        ("", "rprivate", False, False),
        ("rslave", "rslave", True, False),
        ("shared", "rshared", True, True),
    ],
)
def test_propagation(bundle: Any, mounted: Path, root: str, option: str, inwards: bool, outwards: bool) -> None:
    """Mounts that the host makes later arrive or not, and so do those that the container makes, on the host."""
    for name in ("in", "out"):
        (mounted / name).mkdir()
    bundle.linux["rootfsPropagation"] = root
    for kind in ("bounding", "effective", "permitted"):
        bundle.process["capabilities"] = {**bundle.process["capabilities"], kind: ["CAP_SYS_ADMIN"]}
    bundle.mount("/mnt", "bind", mounted, "rbind", option)
    bundle.sh("mount -t tmpfs tmpfs /mnt/out; mkfifo /go /said; read x < /go; grep -c /mnt/in /proc/mounts > /said")
    bundle.ok("run", "--detach", "c1")
    eventually((bundle.rootfs / "said").exists)
    assert (f" {mounted}/out " in Path("/proc/mounts").read_text()) == outwards
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", mounted / "in"], check=True)
    (bundle.rootfs / "go").write_text("go\n")
    # `inner` is one of them.
    assert int((bundle.rootfs / "said").read_text()) == 1 + inwards
    with contextlib.suppress(subprocess.CalledProcessError):
        subprocess.run(["umount", mounted / "in"], check=True)


@pytest.mark.parametrize(("link", "place"), [("../run/x/y", "run/x/y"), ("/srv/z", "srv/z"), ("../../../up", "up")])
def test_a_link_that_leads_to_nothing_as_a_mounts_place(bundle: Any, link: str, place: str) -> None:
    """Images have their /etc/resolv.conf and /etc/localtime so: what the link says is made, inside the root."""
    (bundle.directory / "host").mkdir()
    (bundle.directory / "host" / "file").write_text("shown")
    (bundle.rootfs / "etc").mkdir(exist_ok=True)
    (bundle.rootfs / "etc" / "file").symlink_to(f"{link}/file")
    (bundle.rootfs / "etc" / "directory").symlink_to(f"{link}/directory")
    bundle.mount("/etc/file", "bind", bundle.directory / "host" / "file", "bind")
    bundle.mount("/etc/directory/below", "bind", bundle.directory / "host", "bind")
    bundle.mount("/etc/directory", "tmpfs", "tmpfs", "mode=750")
    assert bundle.run(f"cat /{place}/file /etc/file; stat -c %a /{place}/directory") == "shownshown750\n"
    assert sorted(os.listdir(bundle.rootfs / place / "directory")) == ["below"]


def test_a_terminal_in_a_read_only_dev(bundle: Any) -> None:
    bundle.process["terminal"] = True
    bundle.config["mounts"][1]["options"].append("ro")
    assert bundle.run("tty; touch /dev/x; exit 0").splitlines() == [
        "/dev/pts/0",
        "touch: /dev/x: Read-only file system",
    ]


def test_a_link_in_a_circle_is_no_place(bundle: Any) -> None:
    (bundle.rootfs / "one").symlink_to("two")
    (bundle.rootfs / "two").symlink_to("one")
    bundle.mount("/one", "tmpfs", "tmpfs")
    assert "Too many levels" in bundle.refused("create", "c1")


def test_restrictions_of_new_file_systems(bundle: Any) -> None:
    """With an `r` an option holds for what is mounted below, too; without one for the mount alone."""
    (bundle.directory / "host").mkdir()
    for place, option in (("/all", "rro"), ("/one", "ro")):
        bundle.mount(place, "tmpfs", "tmpfs", option, "rnoexec")
        bundle.mount(f"{place}/in", "bind", bundle.directory / "host", "bind")
    bundle.config["mounts"][0]["options"] = ["rro"]
    bundle.sh("for place in /all /all/in /one /one/in /proc; do grep \" $place \" /proc/mounts | cut -d' ' -f4; done")
    kept = [sorted({"ro", "rw", "noexec"} & set(line.split(","))) for line in bundle.run().splitlines()]
    assert kept == [["noexec", "ro"], ["noexec", "ro"], ["noexec", "ro"], ["noexec", "rw"], ["ro"]]


def test_an_ambient_capability_that_the_kernel_would_not_let_be(bundle: Any) -> None:
    """It is left out, as under runc and crun, and the others stay."""
    sets = bundle.process["capabilities"]
    sets.update(inheritable=["CAP_CHOWN"], ambient=["CAP_CHOWN", "CAP_KILL"])
    bundle.sh("grep CapAmb /proc/self/status")
    done = bundle.call("run", "c1")
    assert (done.returncode, done.stdout) == (0, "CapAmb:\t0000000000000001\n")
    assert "not ambient: CAP_KILL" in done.stderr


def test_an_empty_home_is_none(bundle: Any) -> None:
    bundle.process["env"].append("HOME=")
    assert bundle.run("echo $HOME") == bundle.run("unset HOME; echo ~root") != "\n"


def test_the_loopback_interface_is_up(bundle: Any) -> None:
    assert int(bundle.run("cat /sys/class/net/lo/flags"), 16) & 1


def test_tmpfs_with_what_was_below(bundle: Any) -> None:
    deep = bundle.rootfs / "data" / "deep"
    deep.mkdir(parents=True)
    (deep / "file").write_text("kept")
    (deep / "file").chmod(0o4750)
    os.chown(deep, 1000, 10)
    (bundle.rootfs / "data" / "link").symlink_to("/etc/passwd")
    bundle.mount("/data", "tmpfs", "tmpfs", "tmpcopyup")
    said = bundle.run(
        "cat /data/deep/file; readlink /data/link; stat -c '%a %u:%g' /data/deep/file /data/deep; : > /data/more"
    )
    assert said.splitlines() == ["kept/etc/passwd", "4750 0:0", "755 1000:10"]
    assert not (bundle.rootfs / "data" / "more").exists()


def test_without_a_cgroup_namespace_only_the_own_cgroup_shows(bundle: Any) -> None:
    bundle.linux["namespaces"] = [one for one in bundle.linux["namespaces"] if one["type"] != "cgroup"]
    bundle.linux["cgroupsPath"] = place = f"/mini-oci-deep-{os.getpid()}/c1"
    bundle.linux["resources"]["pids"] = {"limit": 55}
    bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "ro")
    said = bundle.run(
        "cat /sys/fs/cgroup/pids/pids.max; grep :pids: /proc/self/cgroup; mkdir /sys/fs/cgroup/pids/x 2>&1; exit 0"
    )
    assert said.splitlines()[0] == "55"
    assert said.splitlines()[1].endswith(f":{place}")
    assert "Read-only" in said
    for path in Path("/sys/fs/cgroup").glob(f"*{os.path.dirname(place)}"):
        path.rmdir()


def test_namespaces_of_another_container(bundle: Any) -> None:
    bundle.sh("sleep 1000")
    bundle.ok("run", "--detach", "c1")
    pid = bundle.state()["pid"]
    kinds = {"pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts"}
    bundle.linux["namespaces"] = [
        *({"type": kind, "path": f"/proc/{pid}/ns/{name}"} for kind, name in kinds.items()),
        {"type": "mount"},
    ]
    bundle.sh("for n in pid net ipc uts; do readlink /proc/self/ns/$n; done; ps | grep -c 'sleep 1000'; sleep 1000")
    bundle.ok("run", "--detach", "c2")
    other = bundle.state("c2")["pid"]
    for name in kinds.values():
        assert os.readlink(f"/proc/{other}/ns/{name}") == os.readlink(f"/proc/{pid}/ns/{name}")
    bundle.ok("kill", "c2", "KILL")
    bundle.ok("delete", "--force", "c2")
    assert bundle.state()["status"] == "running"


def test_a_container_without_pids_of_its_own_ends_whole(bundle: Any) -> None:
    bundle.linux["namespaces"] = [one for one in bundle.linux["namespaces"] if one["type"] != "pid"]
    bundle.sh("sleep 1000 & echo $! > /pid; wait")
    bundle.ok("run", "--detach", "c1")
    eventually((bundle.rootfs / "pid").exists)
    child = int(eventually((bundle.rootfs / "pid").read_text))
    os.kill(child, 0)
    bundle.ok("delete", "--force", "c1")
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        return " Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:2]
    except OSError:
        return False


@pytest.mark.skipif(not os.path.exists("/proc/self/ns/time"), reason="this kernel has no time namespaces")
def test_clocks_of_its_own(bundle: Any) -> None:
    bundle.linux["namespaces"].append({"type": "time"})
    bundle.linux["timeOffsets"] = {"boottime": {"secs": 10_000_000, "nanosecs": 0}}
    assert float(bundle.run("cat /proc/uptime").split()[0]) > 10_000_000


@pytest.mark.parametrize(
    ("scheduler", "number", "nice"),
    [
        ({"policy": "SCHED_BATCH", "nice": 7}, os.SCHED_BATCH, 7),
        ({"policy": "SCHED_OTHER", "nice": -3, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}, os.SCHED_OTHER, -3),
        ({"policy": "SCHED_IDLE"}, os.SCHED_IDLE, 0),
    ],
)
def test_a_place_among_the_others(bundle: Any, scheduler: dict[str, Any], number: int, nice: int) -> None:
    bundle.process["scheduler"] = scheduler
    bundle.process["ioPriority"] = {"class": "IOPRIO_CLASS_BE", "priority": 6}
    bundle.process["args"] = ["sleep", "1000"]
    bundle.ok("run", "--detach", "c1")
    pid = bundle.state("c1")["pid"]
    assert os.sched_getscheduler(pid) & ~getattr(os, "SCHED_RESET_ON_FORK", 0x40000000) == number
    assert os.getpriority(os.PRIO_PROCESS, pid) == nice
    shown = subprocess.run(["ionice", "-p", str(pid)], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "best-effort: prio 6"
    bundle.ok("delete", "--force", "c1")


def test_seccomp_as_the_specification_has_it(bundle: Any) -> None:
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}],
    }
    assert "No space left" in bundle.run("mkdir /x 2>&1; exit 0")
    bundle.process["noNewPrivileges"] = True
    assert "No space left" in bundle.run("mkdir /x 2>&1; exit 0")


def _limit(kind: str, soft: int = 1) -> dict[str, Any]:
    return {"type": kind, "soft": soft, "hard": 1}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda config: config.pop("ociVersion"), "ociVersion: None"),
        (lambda config: config.update(ociVersion="2.0.0"), "ociVersion: '2.0.0'"),
        (lambda config: config.pop("root"), "root.path is missing"),
        (lambda config: config["root"].update(path="nosuch"), "nosuch is not a directory"),
        (lambda config: config["process"].pop("args"), "process.args is missing"),
        (lambda config: config["process"].update(cwd="tmp"), "process.cwd: 'tmp'"),
        (lambda config: config["process"].update(apparmorProfile="x"), "no AppArmor"),
        (lambda config: config["process"].update(scheduler={"policy": "SCHED_ISO"}), "no policy 'SCHED_ISO'"),
        (lambda config: config["process"].update(scheduler={"policy": "SCHED_RR", "flags": ["X"]}), "no flag X"),
        (lambda config: config["process"].update(scheduler={"policy": "SCHED_RR", "priority": 2**40}), "is no number"),
        (
            lambda config: config["process"].update(scheduler={"policy": "SCHED_RR", "priority": 1000}),
            "failed at scheduler: Invalid arg",
        ),
        (lambda config: config["process"].update(rlimits=[_limit("RLIMIT_MANY")]), "no limit ['RLIMIT_MANY']"),
        (lambda config: config["process"].update(rlimits=[_limit("RLIMIT_CORE")] * 2), "rlimits names one twice"),
        (lambda config: config["process"].update(rlimits=[_limit("RLIMIT_CORE", soft=2)]), "soft is above hard"),
        (lambda config: config["process"].update(ioPriority={"class": "IOPRIO_CLASS_NONE"}), "there is no class"),
        (
            lambda config: config["process"].update(ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 8}),
            "from 0 to 7",
        ),
        (lambda config: config["linux"]["namespaces"].append({"type": "pid"}), "names one twice"),
        (lambda config: config["linux"]["namespaces"].append({"type": "other"}), "no namespace"),
        (lambda config: config["linux"].update(namespaces=[]), "needs a mount namespace"),
        (lambda config: config["linux"].update(namespaces=[{"type": "mount"}]), "hostname needs a uts namespace"),
        (lambda config: config["linux"].update(sysctl={"kernel.panic": "1"}), "kernel.panic needs"),
        (lambda config: config["linux"]["namespaces"].append({"type": "user"}), "uidMappings goes with"),
        (lambda config: config["linux"].update(cgroupsPath="/"), "root of a hierarchy"),
        (lambda config: config["linux"]["resources"].update(psi={"x": 1}), "resources.psi cannot be had"),
        (lambda config: config.update(hooks={"prestart": [{"path": "relative"}]}), "a path is not absolute"),
        (lambda config: config["mounts"].append({"type": "tmpfs"}), "has no destination"),
        (lambda config: config["mounts"].append({"destination": "/x", "type": "nofs"}), "cannot mount nofs on /x"),
        (
            lambda config: config["mounts"].append({"destination": "/x", "source": "/nosuch", "options": ["bind"]}),
            "cannot mount /nosuch on /x",
        ),
        (lambda config: config["process"].update(user={"uid": 2**32}), "is not a user or group id"),
    ],
)
def test_a_bad_bundle_is_one_sentence_and_leaves_nothing(bundle: Any, change: Any, text: str) -> None:
    change(bundle.config)
    assert text in bundle.refused("create", "c1")
    assert not (bundle.state_root / "c1").exists()


def test_what_is_not_json_or_not_there(bundle: Any, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert "config.json not found" in bundle.refused("create", "--bundle", "other", "c1")
    (tmp_path / "other" / "config.json").write_text("{")
    assert "is not JSON" in bundle.refused("create", "--bundle", "other", "c1")
    (tmp_path / "other" / "config.json").write_text("[]")
    assert "is not an object" in bundle.refused("create", "--bundle", "other", "c1")
    assert "no container's id" in bundle.refused("create", "../c1")


def test_a_cgroup_that_is_in_use_is_refused(bundle: Any) -> None:
    """Whatever is in a container's cgroup ends with it: it must not be somebody else's."""
    bundle.sh("sleep 1000")
    bundle.ok("run", "--detach", "c1")
    bundle.linux["cgroupsPath"] = "/" + str(bundle.group("pids").relative_to("/sys/fs/cgroup/pids"))
    assert "there are processes in the cgroup" in bundle.refused("create", "c2")
    assert bundle.state()["status"] == "running"
    bundle.ok("kill", "c1", str(int(signal.SIGKILL)))


def _with_users(bundle: Any) -> None:
    bundle.linux["namespaces"].append({"type": "user"})
    for name in ("uidMappings", "gidMappings"):
        bundle.linux[name] = [
            {"containerID": 1, "hostID": 300001, "size": 65535},
            {"containerID": 0, "hostID": 200000, "size": 1},
        ]
    for directory, directories, files in os.walk(bundle.rootfs):
        for entry in (".", *directories, *files):
            os.chown(os.path.join(directory, entry), 200000, 200000, follow_symlinks=False)


def test_users_of_its_own(bundle: Any) -> None:
    _with_users(bundle)
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    said = bundle.run("id -u; cat /proc/self/uid_map; stat -c %u:%g /etc/passwd /dev/null").split("\n")
    assert said[0] == "1000"
    assert [line.split() for line in said[1:3]] == [["0", "200000", "1"], ["1", "300001", "65535"]]
    assert said[3:5] == ["0:0", "0:0"]


def test_users_and_groups_apart(bundle: Any) -> None:
    """What the runtime makes belongs to both, and the streams to the user, who may open them again."""
    _with_users(bundle)
    bundle.linux["gidMappings"] = [{"containerID": 0, "hostID": 500000, "size": 65536}]
    bundle.process["user"] = {"uid": 1000, "gid": 10}
    script = "stat -c %u:%g /dev /dev/full; stat -L -c %u:%g /proc/self/fd/1"
    assert bundle.run(script).split() == ["0:0", "0:0", "1000:10"]


def test_users_of_another(bundle: Any) -> None:
    """By its path alone, also when nobody lives in it any more."""
    _with_users(bundle)
    bundle.sh("sleep 1000")
    bundle.ok("run", "--detach", "c1")
    pinned = bundle.directory / "users"
    pinned.touch()
    subprocess.run(["mount", "--bind", f"/proc/{bundle.state()['pid']}/ns/user", pinned], check=True)
    try:
        bundle.ok("delete", "--force", "c1")
        for name in ("uidMappings", "gidMappings"):
            del bundle.linux[name]
        bundle.linux["namespaces"][-1]["path"] = str(pinned)
        said = bundle.run("cat /proc/self/uid_map; touch /tmp/mine")
        assert [line.split() for line in said.splitlines()] == [["0", "200000", "1"], ["1", "300001", "65535"]]
    finally:
        subprocess.run(["umount", pinned], check=True)
    assert (bundle.rootfs / "tmp" / "mine").stat().st_uid == 200000
    bundle.linux["namespaces"][-1]["path"] = str(bundle.directory / "nosuch")
    assert "cannot be joined: No such file" in bundle.refused("run", "c1")


def test_root_of_its_own_users_is_a_nobody(bundle: Any) -> None:
    _with_users(bundle)
    for kind in ("bounding", "effective", "permitted"):
        bundle.process["capabilities"][kind] = ["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_CHOWN", "CAP_SYS_CHROOT"]
    (bundle.directory / "secret").write_text("secret")
    (bundle.directory / "secret").chmod(0o600)
    bundle.mount("/secret", "bind", bundle.directory / "secret", "bind")
    bundle.sh("sleep 1000")
    bundle.ok("run", "--detach", "c1")
    assert os.stat(f"/proc/{bundle.state()['pid']}").st_uid == 200000
    assert "Permission denied" in bundle.call("exec", "c1", "cat", "/secret").stderr
    script = "id -u; touch /tmp/mine; mount -t tmpfs x /tmp && echo mounted"
    assert bundle.ok("exec", "c1", "sh", "-c", script) == "0\nmounted\n"
    assert (bundle.rootfs / "tmp" / "mine").stat().st_uid == 200000
