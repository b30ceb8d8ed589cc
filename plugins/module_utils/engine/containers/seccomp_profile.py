# SPDX-License-Identifier: GPL-3.0-or-later
"""The system calls that a container may make: Docker's default profile, with one rule closed further.

The lists and conditions are those of seccomp/default.json of https://github.com/moby/profiles at cd3bed8061c7
(Apache-2.0, The Moby Authors), in a form of our own; groups for machines that no filter can be made for are left out.

Where this differs: `socket` is allowed for the address families up to 63 without AF_ALG and AF_VSOCK, not for all
above 40. The kernel looks at the lower 32 bits of the family only and a filter compares all 64, so that 2^32 + 38 is
"above 40" and yet AF_ALG. And x32 is not among the architectures: see linux/seccomp_filter.py.

What it leaves open, as upstream does: 32-bit programs reach AF_ALG and AF_VSOCK through socketcall(2), whose arguments
lie in memory where a filter cannot look, and which their C library uses for every socket.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

ALLOW, ERRNO = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
EPERM, ENOSYS = 1, 38
ADMIN = "CAP_SYS_ADMIN"
ARCHITECTURES = {
    "x86_64": ("amd64", ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]),
    "aarch64": ("arm64", ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]),
}

ALWAYS = """
accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 clock_adjtime
clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64
close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old
epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat
faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat
fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs
fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat
getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer
getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit
get_robust_list getrusage getsid getsockname getsockopt get_thread_area gettid gettimeofday getuid getuid32 getxattr
getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy io_getevents
io_pgetevents io_pgetevents_time64 ioprio_get ioprio_set io_setup io_submit ipc kill landlock_add_rule
landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr
listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier
memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr
mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal
msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open
openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll
ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 pwrite64 pwritev
pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages
removexattr removexattrat rename renameat renameat2 restart_syscall riscv_hwprobe rmdir rseq rt_sigaction
rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64
rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min
sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam
sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile
sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32
setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32
setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address setuid setuid32 setxattr setxattrat shmat
shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn socketcall socketpair splice stat
stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time
timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create
timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask
uname unlink unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write
writev
"""


class Group(NamedTuple):
    """Calls that are treated alike, and when: with a capability, without one, on a machine, from a kernel on."""

    names: str
    arguments: tuple[tuple[int, str, int, int], ...] = ()
    action: str = ALLOW
    errno: int | None = None
    capability: str = ""
    without: str = ""
    machines: tuple[str, ...] = ()
    kernel: tuple[int, int] = (0, 0)


def _one_of(name: str, argument: int, values: Iterable[int]) -> tuple[Group, ...]:
    return tuple(Group(name, ((argument, "EQ", value, 0),)) for value in values)


def _masked(name: str, mask: int, value: int) -> Group:
    return Group(name, ((0, "MASKED_EQ", mask, value),))


# CLONE_NEW*: without CAP_SYS_ADMIN no namespaces, a user namespace least of all.
NAMESPACES = 0x7E020000
# PER_LINUX, PER_LINUX32, UNAME26, both, and the question what it is.
PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)

GROUPS = (
    Group(ALWAYS),
    # Before 4.8 a tracer could step around a filter.
    Group("process_vm_readv process_vm_writev ptrace", kernel=(4, 8)),
    # All but 38, AF_ALG, and 40, AF_VSOCK: 0 to 37, 39, 41, 42 and 43, 44 to 47, 48 to 63.
    Group("socket", ((0, "LT", 38, 0),)),
    *_one_of("socket", 0, (39, 41)),
    _masked("socket", 2**64 - 2, 42),
    _masked("socket", 2**64 - 4, 44),
    _masked("socket", 2**64 - 16, 48),
    *_one_of("personality", 0, PERSONALITIES),
    Group(
        "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
        machines=("arm64",),
    ),
    Group("arch_prctl modify_ldt", machines=("amd64",)),
    Group("open_by_handle_at", capability="CAP_DAC_READ_SEARCH"),
    Group(
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr "
        "lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl "
        "quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare",
        capability=ADMIN,
    ),
    Group("clone", ((0, "MASKED_EQ", NAMESPACES, 0),), without=ADMIN),
    # Its flags lie in memory, out of the filter's sight. ENOSYS sends the C library to clone.
    Group("clone3", action=ERRNO, errno=ENOSYS, without=ADMIN),
    Group("reboot", capability="CAP_SYS_BOOT"),
    Group("chroot", capability="CAP_SYS_CHROOT"),
    Group("delete_module init_module finit_module", capability="CAP_SYS_MODULE"),
    Group("acct", capability="CAP_SYS_PACCT"),
    Group(
        "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
        capability="CAP_SYS_PTRACE",
    ),
    Group("iopl ioperm", capability="CAP_SYS_RAWIO"),
    Group("settimeofday stime clock_settime clock_settime64", capability="CAP_SYS_TIME"),
    Group("vhangup", capability="CAP_SYS_TTY_CONFIG"),
    Group("get_mempolicy mbind set_mempolicy set_mempolicy_home_node", capability="CAP_SYS_NICE"),
    Group("syslog", capability="CAP_SYSLOG"),
    Group("bpf", capability="CAP_BPF"),
    Group("perf_event_open", capability="CAP_PERFMON"),
)


def profile(capabilities: Collection[str], release: str, machine: str) -> dict[str, Any]:
    """`linux.seccomp` for a bounding set, a kernel (`os.uname().release`) and a machine.

    A machine without an entry gets all the rules for no architecture in particular: the runtime says that it has no
    filter for it.
    """
    family, architectures = ARCHITECTURES.get(machine, ("", []))
    kernel = version(release)
    return {
        "defaultAction": ERRNO,
        "defaultErrnoRet": EPERM,
        "architectures": architectures,
        "syscalls": [_rule(group) for group in GROUPS if _holds(group, capabilities, kernel, family)],
    }


def _holds(group: Group, capabilities: Collection[str], kernel: tuple[int, int], family: str) -> bool:
    return (
        (not group.capability or group.capability in capabilities)
        and (not group.without or group.without not in capabilities)
        and (not group.machines or family in group.machines)
        and kernel >= group.kernel
    )


def _rule(group: Group) -> dict[str, Any]:
    rule: dict[str, Any] = {"names": group.names.split(), "action": group.action}
    if group.errno is not None:
        rule["errnoRet"] = group.errno
    if group.arguments:
        rule["args"] = [
            {"index": index, "value": value, "valueTwo": second, "op": f"SCMP_CMP_{operator}"}
            for index, operator, value, second in group.arguments
        ]
    return rule


def version(release: str) -> tuple[int, int]:
    """`6.1.0-13-amd64` as (6, 1)."""
    major, minor = (release.replace("-", ".").split(".") + ["0"])[:2]
    return int(major), int(minor)
