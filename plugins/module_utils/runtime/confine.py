# SPDX-License-Identifier: GPL-3.0-or-later
"""What a process is before the container's program runs in it: reset, stripped of privilege, then replaced.

A program started from an Ansible task would otherwise inherit the ssh session's limits, signal mask, niceness, keys
and environment. `exec` in a running container goes through the same functions as the first process.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import signal
import stat
from typing import Any, Callable, NoReturn

from ..linux import capabilities, libc, scheduling, seccomp
from ..linux.files import write_kernel
from .bundle import DEFAULT_PATH
from .filters import Filter
from .marks import LISTENER, NUMBER
from .report import StepError
from .users import User

COREDUMP_FILTER = "0x33"  # core(5): the kernel's default
GLIBC_SIGNALS = (32, 33)  # SIGCANCEL and SIGSETXID: signal(3) refuses them, so Python cannot reset them


def die_with(parent: int) -> None:
    """Be killed when the parent dies before the work is done; `parent` is its pid, 0 across a pid namespace."""
    libc.prctl(libc.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def reset_inherited(process: dict[str, Any]) -> None:
    """Signals, scheduling, processors, what a core dump holds, out-of-memory score, umask: set, not inherited.

    An ignored signal stays ignored across execve(2): Python itself ignores SIGPIPE and SIGXFSZ, a shell's background
    job SIGINT and SIGQUIT, glibc's posix_spawn(3) the two signals that its threads use.
    """
    for number in range(1, signal.NSIG):
        if signal.getsignal(number) not in (signal.SIG_DFL, None):
            signal.signal(number, signal.SIG_DFL)
    for number in GLIBC_SIGNALS:
        libc.default_action(number)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, 0, 0)
        scheduling.set_io_priority()
    with contextlib.suppress(OSError):
        # The kernel leaves of them what the cpuset allows.
        os.sched_setaffinity(0, range(os.sysconf("SC_NPROCESSORS_CONF")))
        write_kernel("/proc/self/coredump_filter", COREDUMP_FILTER)
    if process.get("oomScoreAdj") is not None:
        write_kernel("/proc/self/oom_score_adj", str(process["oomScoreAdj"]))
    os.umask(0o022)
    asked = process.get("ioPriority")  # config.md, "I/O Priority"
    if asked:
        scheduling.set_io_priority(scheduling.CLASSES[asked["class"]], asked.get("priority", 0))


def set_scheduler(process: dict[str, Any], pid: int = 0) -> None:
    """`scheduler` (config.md, "Scheduler"), of us or of another: children of some policies are born without it, or
    cannot be born at all. The kernel says what goes together."""
    asked = process.get("scheduler")
    if asked:
        flags = sum(scheduling.FLAGS[name] for name in asked.get("flags") or ())
        times = tuple(asked.get(name, 0) for name in ("runtime", "deadline", "period"))
        policy = scheduling.POLICIES[asked["policy"]]
        scheduling.set_scheduler(pid, policy, flags, asked.get("nice", 0), asked.get("priority", 0), times)


def open_stdio(given: tuple[int, int, int] | None, owner: tuple[int, int]) -> None:
    """The streams that are given, -1 for none; without any those that the process has.

    The host's /dev/null becomes the container's, which alone its program could open again; all others the user's own.
    `owner` are its user and group, by the numbers of the user namespace that we are in.
    """
    null = _open_null()
    for number, fd in enumerate(given or (0, 1, 2)):
        if fd < 0 or _is_null(fd):
            os.dup2(null, number)
            continue
        os.dup2(fd, number)
        # A file of a read-only or foreign file system cannot be given away, and need not be.
        with contextlib.suppress(OSError):
            os.fchown(number, *owner)
    os.close(null)


def _open_null() -> int:
    """The container's /dev/null, checked: a link to /proc/self/fd/N there would be one of our descriptors for good."""
    fd = os.open("/dev/null", os.O_RDWR | os.O_NOFOLLOW | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not _is_null(fd):
        raise StepError("the container's /dev/null is not the null device", "/dev/null")
    os.set_blocking(fd, True)
    return fd


def _is_null(fd: int) -> bool:
    found = os.fstat(fd)
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == os.makedev(1, 3)


def set_rlimits(process: dict[str, Any]) -> None:
    """Resource limits, set and not inherited; late, as a low number of open files would stop the work before."""
    for entry in process.get("rlimits") or ():
        number = getattr(resource, entry["type"])
        _set_rlimit(number, entry["soft"], entry["hard"])


def _set_rlimit(number: int, soft: int, hard: int) -> None:
    """Set a limit; without CAP_SYS_RESOURCE the hard one cannot be raised, and then it stays as high as it is."""
    wanted = (_rlimit(soft), _rlimit(hard))
    try:
        resource.setrlimit(number, wanted)
    except (ValueError, PermissionError):
        ceiling = resource.getrlimit(number)[1]
        reachable = ceiling if wanted[0] == resource.RLIM_INFINITY or wanted[0] > ceiling else wanted[0]
        resource.setrlimit(number, (reachable, ceiling))


def _rlimit(value: int) -> int:
    """The specification writes "no limit" as 2^64 - 1, Python as -1."""
    return resource.RLIM_INFINITY if value >= 2**63 else value


def new_keyring(name: str) -> None:
    """A session keyring of its own; a kernel without keyrings has nothing to hide."""
    try:
        libc.join_session_keyring(name)
    except OSError as exc:
        if exc.errno not in (errno.ENOSYS, errno.EDQUOT):
            raise


def _granted(process: dict[str, Any], kind: str) -> int:
    found = process.get("capabilities") or {}
    return capabilities.mask(found.get(kind) or ())


def set_label(process: dict[str, Any]) -> None:
    """Have execve(2) put the process under an AppArmor profile.

    Through the host's /proc, before the root changes: the container's could be a file of the image's (CVE-2019-19921).
    """
    profile = process.get("apparmorProfile")
    if profile:
        own = "/proc/self/attr/apparmor/exec"  # Linux 5.8; the other name may be that of another module
        try:
            write_kernel(own if os.path.exists(own) else "/proc/self/attr/exec", f"exec {profile}")
        except OSError as exc:
            text = f"the kernel does not take the AppArmor profile {profile}: {os.strerror(exc.errno or 0)}"
            raise StepError(text, errno=exc.errno or 0) from exc


def drop_bounding(process: dict[str, Any], last: int) -> None:
    """Give up for good the capabilities that the container is not to have."""
    capabilities.drop_bounding(_granted(process, "bounding"), last)


def become(user: User, process: dict[str, Any]) -> None:
    """Take on the user, with its umask, and exactly the capabilities given.

    Supplementary groups first, and always: the caller's must never be kept (CVE-2022-36109). With a user other than
    root, execve(2) empties the permitted and effective sets, as under Docker; ambient ones stay.
    """
    libc.prctl(libc.PR_SET_KEEPCAPS, 1)
    umask = (process.get("user") or {}).get("umask")
    if umask is not None:
        os.umask(umask)
    os.setgroups(user.groups)
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)
    libc.prctl(libc.PR_SET_KEEPCAPS, 0)
    sets = [_granted(process, kind) for kind in ("effective", "permitted", "inheritable", "ambient")]
    capabilities.limit_to(*sets)
    if process.get("noNewPrivileges"):
        libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)


def filter_calls(found: Filter | None, process: dict[str, Any], ask: Callable[[bytes], None], *, last: bool) -> None:
    """Go under the filter of system calls, if there is one and this is the time; asked twice, it happens once.

    Without no_new_privs the kernel wants CAP_SYS_ADMIN for it, so it comes before the capabilities go, and the
    filter has to let pass what is still to do. With it the filter comes last of all: what it has to allow is
    the program's need alone.

    Who is outside takes a copy of the listener's end by the number that we `ask` with: so no call but write(2) has to
    get through before a listener answers.
    """
    if found and bool(process.get("noNewPrivileges")) == last:
        fd = seccomp.install(found.program, found.flags)
        if found.listens:
            ask(LISTENER + NUMBER.pack(fd))
            os.close(fd)


def keep_only(fds: list[int], preserved: int = 0) -> list[int]:
    """Close every descriptor but the standard streams, the `preserved` ones from 3 on, and `fds`, which are moved
    behind these; their new numbers.

    Before the working directory is entered: `/proc/self/fd/N` must not lead out (CVE-2024-21626).
    """
    first = 3 + preserved
    floor = first + len(fds)
    moved = []
    parked = [_duplicate_above(fd, floor) for fd in fds]
    for fd in range(3, first):
        _close_ours(fd)
    for number, fd in enumerate(parked, start=first):
        os.dup2(fd, number, inheritable=False)
        moved.append(number)
    libc.close_range(floor)
    return moved


def _close_ours(fd: int) -> None:
    """Close a descriptor among those to be preserved that is no gift of the caller's: what we open is close-on-exec."""
    with contextlib.suppress(OSError):
        if fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC:
            os.close(fd)


def _duplicate_above(fd: int, floor: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, floor)


def enter_directory(path: str) -> None:
    """Enter the working directory and check that it is inside: getcwd(2) fails with ENOENT when it is not."""
    os.chdir(path)
    try:
        where = os.getcwd()
    except OSError as exc:
        raise StepError(f"the working directory {path} lies outside the container", path) from exc
    if not where.startswith("/"):
        raise StepError(f"the working directory {path} lies outside the container", path)


def find_program(program: bytes, environment: dict[bytes, bytes]) -> None:
    """Check that there is something to execute, where execvp(3) would look for it; its errors if not."""
    refused: OSError | None = None
    for path in _candidates(program, environment):
        try:
            if stat.S_ISDIR(os.stat(path).st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), program)
            if not os.access(path, os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), program)
            return
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as exc:
            refused = exc
    raise refused or FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)


def _candidates(program: bytes, environment: dict[bytes, bytes]) -> list[bytes]:
    if b"/" in program:
        return [program]
    path = environment.get(b"PATH", DEFAULT_PATH.encode())
    return [(directory or b".") + b"/" + program for directory in path.split(b":")]


def execute(arguments: list[bytes], environment: dict[bytes, bytes]) -> NoReturn:
    """Replace the process, looking for the program in the container's PATH as execvp(3) does."""
    refused: OSError | None = None
    for path in _candidates(arguments[0], environment):
        try:
            os.execve(path, arguments, environment)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as exc:
            refused = exc
    raise refused or FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), arguments[0])
