/* The table of services (plan.h, enum lb_service): which function of the core answers for which of the C library. */
#define _GNU_SOURCE
#include "services.h"

#include "plan.h"

uint64_t lb_service_address(uint64_t service)
{
#define AT(function) ((uint64_t)(uintptr_t)(function))
    const uint64_t table[LB_SERVICES] = {
        [LB_SERVICE_THREAD_ATEXIT] = AT(lb_thread_atexit),
        [LB_SERVICE_THREAD_ATEXIT_IMPL] = AT(lb_thread_atexit),
        [LB_SERVICE_ITERATE_PHDR] = AT(lb_iterate_phdr),
        [LB_SERVICE_FIND_OBJECT] = AT(lb_find_object),
        [LB_SERVICE_ADDR] = AT(lb_addr),
        [LB_SERVICE_ADDR1] = AT(lb_addr1),
        [LB_SERVICE_BACKTRACE_SYMBOLS] = AT(lb_backtrace_symbols),
        [LB_SERVICE_BACKTRACE_SYMBOLS_FD] = AT(lb_backtrace_symbols_fd),
        [LB_SERVICE_OPEN] = AT(lb_dlopen),
        [LB_SERVICE_MOPEN] = AT(lb_dlmopen),
        [LB_SERVICE_SYM] = AT(lb_dlsym),
        [LB_SERVICE_VSYM] = AT(lb_dlvsym),
        [LB_SERVICE_CLOSE] = AT(lb_dlclose),
        [LB_SERVICE_ERROR] = AT(lb_dlerror),
        [LB_SERVICE_INFO] = AT(lb_dlinfo),
        [LB_SERVICE_CXA_ATEXIT] = AT(lb_cxa_atexit),
        [LB_SERVICE_REGISTER_ATFORK] = AT(lb_register_atfork),
        [LB_SERVICE_ON_EXIT] = AT(lb_on_exit),
        [LB_SERVICE_KEY_CREATE] = AT(lb_key_create),
        [LB_SERVICE_KEY_DELETE] = AT(lb_key_delete),
        [LB_SERVICE_TSS_CREATE] = AT(lb_tss_create),
        [LB_SERVICE_TSS_DELETE] = AT(lb_tss_delete),
        [LB_SERVICE_THREAD_CREATE] = AT(lb_thread_create),
        [LB_SERVICE_THRD_CREATE] = AT(lb_thrd_create),
        [LB_SERVICE_SIGACTION] = AT(lb_sigaction),
        [LB_SERVICE_SIGNAL] = AT(lb_signal),
        [LB_SERVICE_SYSV_SIGNAL] = AT(lb_sysv_signal),
        [LB_SERVICE_BACKTRACE] = AT(lb_backtrace),
    };
#undef AT
    return service < LB_SERVICES ? table[service] : 0;
}
