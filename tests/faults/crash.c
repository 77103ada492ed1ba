/* Where a process crashed or hung, for tests/faults/flips.py: in code of the linker, or in that of a damaged library?
 *
 * Each range of addresses that is executable has an owner.  The owner of the program counter is to blame; where that is
 * the C library, the one who called it: the first word on the stack that leads into somebody else's code. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

enum owner { NOBODY, LINKER, C_LIBRARY };
static struct {
    uint64_t start, end;
    enum owner owner;
} ranges[256];
static int count;

static struct report {
    int64_t signal;
    uint64_t pc, blamed; /* the address that decided */
    int64_t is_ours;
} *report;

void crash_range(uint64_t start, uint64_t end, int owner)
{
    if (count < 256) {
        ranges[count].start = start;
        ranges[count].end = end;
        ranges[count++].owner = (enum owner)owner;
    }
}

static enum owner owner_of(uint64_t address)
{
    for (int i = 0; i < count; i++)
        if (address - ranges[i].start < ranges[i].end - ranges[i].start)
            return ranges[i].owner;
    return NOBODY;
}

static void note(int number, siginfo_t *info, void *context)
{
    const ucontext_t *c = context;
#if defined(__x86_64__)
    uint64_t pc = (uint64_t)c->uc_mcontext.gregs[REG_RIP], stack = (uint64_t)c->uc_mcontext.gregs[REG_RSP];
#else
    uint64_t pc = c->uc_mcontext.pc, stack = c->uc_mcontext.sp;
#endif
    (void)info;
    *report = (struct report){number, pc, pc, 0};
    enum owner owner = owner_of(pc);
    /* A wild stack pointer ends this handler: then it is the library's doing, and is reported so already. */
    for (int i = 0; owner == C_LIBRARY && i < 4096; i++) {
        memcpy(&report->blamed, (const void *)(uintptr_t)(stack + 8 * (uint64_t)i), 8);
        if (owner_of(report->blamed) != C_LIBRARY && (owner_of(report->blamed) == LINKER || report->blamed >> 44 == 7))
            owner = owner_of(report->blamed);
    }
    report->is_ours = owner == LINKER;
    _exit(99);
}

void crash_watch(void *shared)
{
    static char stack[65536];
    const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGALRM, SIGPROF, SIGTRAP};
    report = shared;
    stack_t own = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&own, NULL);
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND | SA_NODEFER};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, NULL);
}
