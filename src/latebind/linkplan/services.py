"""Functions of the C library that answer for the system linker's objects only; the core has its own versions of them.

References to them from the objects that we load are bound to the core's, which know both. The numbers are
`enum lb_service` of src/core/plan.h.
"""

from __future__ import annotations

from typing import Final

SERVICES: Final = {
    name: number
    for number, name in enumerate(
        (
            "__cxa_thread_atexit",
            "__cxa_thread_atexit_impl",
            "dl_iterate_phdr",
            "_dl_find_object",
            "dladdr",
            "dladdr1",
            "backtrace_symbols",
            "backtrace_symbols_fd",
            "dlopen",
            "dlmopen",
            "dlsym",
            "dlvsym",
            "dlclose",
            "dlerror",
            "dlinfo",
            "__cxa_atexit",
            "__register_atfork",
            "on_exit",
            "pthread_key_create",
            "pthread_key_delete",
            "tss_create",
            "tss_delete",
            "pthread_create",
            "thrd_create",
            "sigaction",
            "signal",
            "__sysv_signal",
            "backtrace",
        )
    )
}
