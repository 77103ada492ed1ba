/* Makes stubs, and is what an observed call passes through on its way; see stubs.h. */
#define _GNU_SOURCE
#include "stubs.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__x86_64__)
#include "stub_x86_64.h"
#elif defined(__aarch64__)
#include "stub_aarch64.h"
#else
#error "no stubs for this machine yet: write stub_<machine>.h and .S"
#endif

/* Where a stub leads that has nothing behind it: an IFUNC resolver that calls another function can get here before the
 * stubs are pointed, and a destructor after the interpreter with the hook is gone. */
static void nowhere(void)
{
    static const char text[] = "latebind: a hooked function was called before it was bound, or after the interpreter's end\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) { /* nobody to tell */
    }
    abort();
}

/* From the machine's lb_stub_observe.  The callee must find errno as the caller left it. */
void lb_stub_report(const struct lb_stub *stub, const struct lb_stub_frame *frame, const uint64_t *stack)
{
    int saved = errno;
    stub->owner->observer(stub, frame, stack);
    errno = saved;
}

int lb_stubs_make(struct lb_stubs *stubs, uint32_t count, lb_observer *observer, void *context, struct lb_error *error)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t code = ((size_t)count * LB_STUB_SIZE + page - 1) & -page;
    const size_t records = ((size_t)count * sizeof(struct lb_stub) + page - 1) & -page;
    if (count == 0 || code + records > INT32_MAX) /* a stub reaches its record with a signed 32-bit distance */
        return lb_fail(error, LB_UNSUPPORTED, LB_NONE, 0, "%u stubs", count);
    uint8_t *start = mmap(NULL, code + records, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED)
        return lb_fail_errno(error, LB_NONE, 0, "mapping stubs");
    *stubs = (struct lb_stubs){start, (struct lb_stub *)(void *)(start + code), count, code + records, observer, context};
    lb_prepare_stubs();
    for (uint32_t i = 0; i < count; i++) {
        stubs->records[i] = (struct lb_stub){(uint64_t)(uintptr_t)nowhere, (uint64_t)(uintptr_t)nowhere, stubs, i, 0};
        lb_write_stub(start + (size_t)i * LB_STUB_SIZE, &stubs->records[i]);
    }
    __builtin___clear_cache((char *)start, (char *)start + code);
    if (mprotect(start, code, LB_STUB_PROTECTION) < 0) {
        lb_fail_errno(error, LB_NONE, 0, "making stubs executable");
        lb_stubs_free(stubs);
        return -1;
    }
    return 0;
}

void lb_stubs_free(struct lb_stubs *stubs)
{
    if (stubs->size != 0)
        lb_unmap((uint64_t)(uintptr_t)stubs->code, stubs->size);
    stubs->size = 0;
    stubs->count = 0;
}

uint64_t lb_stub_address(const struct lb_stubs *stubs, uint32_t index)
{
    return (uint64_t)(uintptr_t)stubs->code + (uint64_t)index * LB_STUB_SIZE;
}

/* Threads may be passing through meanwhile: the target is in place before the entry that leads to it is. */
static void set(struct lb_stub *stub, uint64_t target, uint64_t entry)
{
    __atomic_store_n(&stub->target, target, __ATOMIC_RELEASE);
    __atomic_store_n(&stub->entry, entry, __ATOMIC_RELEASE);
}

void lb_stub_point(struct lb_stubs *stubs, uint32_t index, uint64_t target)
{
    uint64_t end = target != 0 ? target : (uint64_t)(uintptr_t)nowhere;
    set(&stubs->records[index], end, end);
}

void lb_stub_observed(struct lb_stubs *stubs, uint32_t index, uint64_t target, uint32_t stack_words)
{
    stubs->records[index].stack_words = stack_words;
    set(&stubs->records[index], target, (uint64_t)(uintptr_t)lb_stub_observe);
}
