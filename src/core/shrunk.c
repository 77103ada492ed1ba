/* shrunk.h says what for.  The handler is installed with the first mapping and stays; a fault that is not in one of our
 * mappings goes to whoever handled SIGBUS before.  It is a fault of the very thread that reads, which holds no lock of
 * ours then: the list's lock may be taken in the handler. */
#define _GNU_SOURCE
#include "shrunk.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct {
    pthread_mutex_t lock;
    struct lb_guarded *first;
    struct sigaction before;
    uint64_t page;
    bool is_installed;
} guards = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool is_guarded(uint64_t address)
{
    bool found = false;
    pthread_mutex_lock(&guards.lock);
    for (const struct lb_guarded *m = guards.first; m != NULL && !found; m = m->next)
        found = address - m->start < m->size;
    pthread_mutex_unlock(&guards.lock);
    return found;
}

static void pass_on(int number, siginfo_t *info, void *context)
{
    if (guards.before.sa_flags & SA_SIGINFO)
        guards.before.sa_sigaction(number, info, context);
    else if (guards.before.sa_handler != SIG_DFL && guards.before.sa_handler != SIG_IGN)
        guards.before.sa_handler(number);
    else
        sigaction(SIGBUS, &guards.before, NULL); /* the access is tried again, and then ends the process as it should */
}

static void handle(int number, siginfo_t *info, void *context)
{
    uint64_t address = (uint64_t)(uintptr_t)info->si_addr;
    void *page = (void *)(uintptr_t)(address & ~(guards.page - 1));
    if (info->si_code != BUS_ADRERR || !is_guarded(address) ||
        mmap(page, guards.page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
        pass_on(number, info, context);
}

static void install(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    guards.page = (uint64_t)sysconf(_SC_PAGESIZE);
    guards.is_installed = sigaction(SIGBUS, &action, &guards.before) == 0;
}

void lb_guard(struct lb_guarded *mapping)
{
    pthread_mutex_lock(&guards.lock);
    if (!guards.is_installed)
        install();
    mapping->next = guards.first;
    guards.first = mapping;
    pthread_mutex_unlock(&guards.lock);
}

void lb_unguard(struct lb_guarded *mapping)
{
    pthread_mutex_lock(&guards.lock);
    struct lb_guarded **link = &guards.first;
    while (*link != NULL && *link != mapping)
        link = &(*link)->next;
    if (*link != NULL)
        *link = mapping->next;
    pthread_mutex_unlock(&guards.lock);
}
