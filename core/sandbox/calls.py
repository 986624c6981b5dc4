"""The system calls that a daemon written in Python needs.

A call that is not in these tables fails with ENOSYS, as in a kernel that does not have it. glibc
and Python ask for new calls first and fall back to older ones, so they may change under this list.
Calls that no fallback replaces (starting programs, sockets of another family) fail with an error
that names the reason.

Not here, on purpose: what changes the system (mount, module, reboot, clock, host name, user ids),
reaches into other processes (ptrace, process_vm_*, pidfd_getfd), makes namespaces, or was a way
around permissions before (io_uring, bpf, keyctl, userfaultfd, open_by_handle_at, perf_event_open).
"""

FILES = (
    "access chdir chmod close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 "
    "fadvise64 fallocate fchdir fchmod fchmodat fcntl fdatasync flock fstat fstatfs fsync "
    "ftruncate getcwd getdents getdents64 inotify_add_watch inotify_init inotify_init1 "
    "inotify_rm_watch ioctl link linkat lseek lstat mkdir mkdirat newfstatat open openat openat2 "
    "pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink "
    "readlinkat readv rename renameat renameat2 rmdir sendfile stat statfs statx symlink symlinkat "
    "sync syncfs truncate umask unlink unlinkat utime utimensat utimes write writev"
)
MEMORY = (
    "brk madvise membarrier mincore mlock mlock2 mmap mprotect mremap msync munlock munmap"
)  # fmt: skip
WAITING = (
    "alarm clock_getres clock_gettime clock_nanosleep epoll_create epoll_create1 epoll_ctl "
    "epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 futex futex_waitv getitimer gettimeofday "
    "nanosleep pause poll ppoll pselect6 select setitimer time timer_create timer_delete "
    "timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime "
    "times"
)
SIGNALS = (
    "kill restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn "
    "rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sigaltstack signalfd signalfd4 tgkill tkill"
)
PROCESS = (
    "arch_prctl capget capset exit exit_group get_robust_list getcpu getegid geteuid getgid "
    "getgroups getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit "
    "getrusage getsid gettid getuid prctl prlimit64 riscv_hwprobe rseq sched_get_priority_max "
    "sched_get_priority_min sched_getaffinity sched_getparam sched_getscheduler sched_setaffinity "
    "sched_yield set_robust_list set_tid_address setpriority setrlimit sysinfo uname"
)
CONNECTIONS = (
    "accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg "
    "recvmsg sendmmsg sendmsg sendto setsockopt shutdown"
)
ALLOWED = " ".join((FILES, MEMORY, WAITING, SIGNALS, PROCESS, CONNECTIONS)).split()

# For daemons that run programs; the others get EPERM.
PROGRAMS = ["execve", "execveat", "fork", "vfork"]
AFTER_PROGRAMS = ["pidfd_open", "pidfd_send_signal", "setpgid", "setsid", "wait4", "waitid"]

SOCKETS = ("socket", "socketpair")  # by their family
