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
    };
#undef AT
    return service < LB_SERVICES ? table[service] : 0;
}
