/* parallel.h says what for.  A thread takes some 50 microseconds to come and go: callers ask for it only where each half
 * is several times that. */
#define _GNU_SOURCE
#include "parallel.h"

#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

struct second_half {
    void (*work)(void *data, int half);
    void *data;
    bool is_done;
};

static __thread bool is_second; /* this thread is such a half itself: the first one has a processor, too */

static void *run_second(void *argument)
{
    struct second_half *half = argument;
    is_second = true;
    half->work(half->data, 1);
    __atomic_store_n(&half->is_done, true, __ATOMIC_RELEASE);
    return NULL;
}

/* More threads than processors take longer than one after the other. */
bool lb_second_processor(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > (is_second ? 2 : 1);
}

bool lb_thread_start(pthread_t *thread, void *(*run)(void *), void *argument)
{
    static const int faults[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP};
    sigset_t all, before;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&all, faults[i]);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0)
        return false;
    bool is_started = pthread_create(thread, NULL, run, argument) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return is_started;
}

bool lb_in_halves(void (*work)(void *data, int half), void *data)
{
    struct second_half second = {work, data, false};
    pthread_t thread;
    const pid_t process = getpid();
    bool is_started = lb_second_processor() && lb_thread_start(&thread, run_second, &second);
    work(data, 0);
    if (!is_started)
        work(data, 1);
    else if (getpid() != process)
        return __atomic_load_n(&second.is_done, __ATOMIC_ACQUIRE);
    else
        pthread_join(thread, NULL);
    return true;
}
