"""Which capability an imported symbol implies: the one table, and what a file's imports come to.

An import is evidence, not proof, in both directions: a plugin may import `connect` and never call it, and machine
code can make a system call without importing anything. So this is what inline isolation can say before a plugin
runs, and no boundary. The names are those of glibc and musl, with the variants that compilers put in their place
(`__open_2`, `fopen64`, `__isoc23_…` take no part: they only parse text).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from latebind.sandbox.capability import Capability

if TYPE_CHECKING:
    from collections.abc import Iterable

# The words of each line are symbols that imply the capability before them.
_TABLE: Final[dict[str, str]] = {
    "network:connect": """connect sendto sendmsg sendmmsg getaddrinfo getaddrinfo_a gethostbyname gethostbyname2
        gethostbyname_r gethostbyname2_r gethostbyaddr gethostbyaddr_r getnameinfo res_query res_search res_init
        __res_init __res_query __res_search res_nquery res_nsearch __res_nquery __res_nsearch res_send __res_nsend rcmd
        rexec""",
    "network:listen": "bind bindresvport listen accept accept4 rresvport",
    "network": "socket",
    "filesystem:read": """opendir fdopendir scandir scandir64 scandirat readdir readdir64 nftw nftw64 ftw ftw64 glob
        glob64 fts_open fts64_open readlink readlinkat realpath __realpath_chk canonicalize_file_name
        __readlink_chk inotify_init inotify_init1 fanotify_init""",
    "filesystem:write": """creat creat64 unlink unlinkat remove rename renameat renameat2 link linkat symlink symlinkat
        mkdir mkdirat rmdir mknod mknodat __xmknod __xmknodat mkfifo mkfifoat truncate truncate64 chmod fchmodat
        lchmod chown lchown fchownat utime utimes utimensat lutimes futimesat mkstemp mkstemp64 mkstemps mkstemps64
        mkostemp mkostemp64 mkostemps mkostemps64 mkdtemp mktemp tmpfile tmpfile64 setxattr lsetxattr removexattr
        lremovexattr copy_file_range""",
    "filesystem": """open open64 openat openat64 openat2 __open_2 __open64_2 __openat_2 __openat64_2 __open __open64
        fopen fopen64 _IO_fopen freopen freopen64 open_by_handle_at name_to_handle_at chdir fchdir
        _ZNSt12__basic_fileIcE4openEPKcSt13_Ios_Openmodei
        _ZNSt13basic_filebufIcSt11char_traitsIcEE4openEPKcSt13_Ios_Openmode
        _ZNSt14basic_ifstreamIcSt11char_traitsIcEEC1EPKcSt13_Ios_Openmode
        _ZNSt14basic_ofstreamIcSt11char_traitsIcEEC1EPKcSt13_Ios_Openmode
        _ZNSt13basic_fstreamIcSt11char_traitsIcEEC1EPKcSt13_Ios_Openmode""",
    "process:execute": """execve execv execvp execvpe execl execlp execle execveat fexecve system __libc_system popen
        _IO_popen posix_spawn posix_spawnp wordexp""",
    "process:fork": "fork vfork _Fork __fork __vfork __libc_fork forkpty daemon",
    "process:signal": "kill killpg tgkill sigqueue pidfd_send_signal pthread_kill pthread_sigqueue",
    "process:trace": "ptrace process_vm_readv process_vm_writev pidfd_getfd pidfd_open perf_event_open",
    "environment": "getenv secure_getenv __secure_getenv setenv putenv unsetenv clearenv environ __environ _environ",
    "threads": """pthread_create thrd_create clone __clone
        _ZNSt6thread15_M_start_threadESt10unique_ptrINS_6_StateESt14default_deleteIS1_EEPFvvE""",
    "code:load": "dlopen dlmopen dlsym dlvsym __libc_dlopen_mode __libc_dlsym memfd_create",
    "code:write": "mprotect pkey_mprotect",
    "system:call": "syscall",
    "system:admin": """mount umount umount2 reboot swapon swapoff sethostname setdomainname chroot pivot_root unshare
        setns setuid setgid seteuid setegid setreuid setregid setresuid setresgid initgroups setgroups settimeofday
        clock_settime adjtimex clock_adjtime init_module delete_module iopl ioperm acct quotactl capset bpf""",
}

IMPLIED: Final[dict[str, Capability]] = {
    symbol: Capability.parse(capability) for capability, symbols in _TABLE.items() for symbol in symbols.split()
}
"""Symbol → the capability family that importing it implies."""


@dataclass(frozen=True, slots=True)
class Implied:
    """A capability, and the imports that imply it."""

    capability: Capability
    symbols: tuple[str, ...]


def implied_by(symbols: Iterable[str]) -> tuple[Implied, ...]:
    """The capabilities that importing these symbols implies, in the order of the table."""
    found: dict[Capability, list[str]] = {}
    names = set(symbols)
    for symbol, capability in IMPLIED.items():
        if symbol in names:
            found.setdefault(capability, []).append(symbol)
    return tuple(Implied(capability, tuple(names)) for capability, names in found.items())
