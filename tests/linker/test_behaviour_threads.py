"""Thread-local storage, with threads from before and after.

Told by C programs that run under both linkers (tests/support/scenario.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.scenario import Plugin, Scenario, check

if TYPE_CHECKING:
    from support.compiler import Compiler

SCENARIOS: dict[str, Scenario] = {
    "thread-local storage": Scenario(
        """
         pthread_barrier_init(&opened, NULL, 2); pthread_barrier_init(&told, NULL, 2);
         pthread_t early, late; void *result;
        pthread_create(&early, NULL, wait_and_count, NULL);
        void *a = open_it("liba.so", RTLD_NOW); next = dlsym(a, "next"); say("%d", next());
        pthread_barrier_wait(&opened); pthread_barrier_wait(&told); pthread_join(early, &result);
        say("early %d", (int)(intptr_t)result);
        pthread_create(&late, NULL, count, NULL); pthread_join(late, &result); say("late %d", (int)(intptr_t)result);
        say("%d", next()); dlclose(a);
        a = open_it("liba.so", RTLD_NOW); next = dlsym(a, "next"); say("anew %d", next());
        """,
        "11\nearly 12\nlate 12\n12\nanew 11\n",
        {
            "a": Plugin(
                "static __thread int n = 10; static __thread char big[100000]; int next(void) { big[9] = 1; return ++n; }"
            )
        },
        top="""
pthread_barrier_t opened, told;
int (*next)(void);
void *wait_and_count(void *unused) { (void)unused; pthread_barrier_wait(&opened); next();
                                             pthread_barrier_wait(&told); return (void *)(intptr_t)next(); }
void *count(void *unused) { (void)unused; next(); return (void *)(intptr_t)next(); }
""",
    ),
    "aligned thread-local storage": Scenario(
        """
        void *a = open_it("liba.so", RTLD_NOW); pthread_t thread; void *result; check = dlsym(a, "check");
        say("%d", check()); pthread_create(&thread, NULL, elsewhere, NULL); pthread_join(thread, &result);
        say("%d", (int)(intptr_t)result);
        """,
        "15\n15\n",
        {
            "a": Plugin(
                """
                #include <stdint.h>
                static __thread int small = 1; static __thread int wide __attribute__((aligned(8192))) = 2;
                static __thread char page[4096] __attribute__((aligned(4096))); static __thread long zero;
                int check(void)
                {
                    return ((uintptr_t)&wide % 8192 == 0) + 2 * ((uintptr_t)page % 4096 == 0) +
                           4 * (small == 1 && wide == 2) + 8 * (zero == 0 && page[4095] == 0);
                }
                """
            )
        },
        top="""
int (*check)(void);
void *elsewhere(void *unused) { (void)unused; return (void *)(intptr_t)check(); }
""",
    ),
    "initial-exec from a loaded library": Scenario(
        """
        void *a = open_it("liba.so", RTLD_NOW);  pthread_t thread; void *result;
        next = dlsym(a, "next"); next(); pthread_create(&thread, NULL, elsewhere, NULL); pthread_join(thread, &result);
        say("%d %d", next(), (int)(intptr_t)result);
        """,
        "12 11\n",
        {
            "a": Plugin(
                "static __thread int n = 10; int next(void) { return ++n; }", flags=("-ftls-model=initial-exec",)
            )
        },
        top="""
int (*next)(void);
void *elsewhere(void *unused) { (void)unused; return (void *)(intptr_t)next(); }
""",
    ),
    "hundreds of thread-local modules": Scenario(
        r"""
        char command[9000];  int sum = 0;
        for (int i = 0; i < 150; i++) {
            snprintf(command, sizeof command, "%s/copy%d.so", folder, i);
            FILE *from = fopen(at("liba.so"), "r"), *to = fopen(command, "w"); int c;
            while ((c = getc(from)) != EOF) putc(c, to);
            fclose(from); fclose(to);
            handles[i] = dlopen(command, RTLD_NOW);
        }
        pthread_t threads[3]; void *result;
        sum = (int)(intptr_t)all(NULL); say("%d", sum);
        for (int i = 0; i < 3; i++) { pthread_create(&threads[i], NULL, all, NULL); pthread_join(threads[i], &result); say("%d", (int)(intptr_t)result); }
        for (int i = 0; i < 150; i += 2) dlclose(handles[i]);
        for (int i = 0; i < 150; i += 2) { snprintf(command, sizeof command, "%s/copy%d.so", folder, i); handles[i] = dlopen(command, RTLD_NOW); }
        say("%d", (int)(intptr_t)all(NULL));
        """,
        "450\n450\n450\n450\n525\n",
        {"a": Plugin("static __thread int n = 2; int next(void) { return ++n; }")},
        top="""
void *handles[150];
void *all(void *unused) { (void)unused; int n = 0; for (int i = 0; i < 150; i++) n += call(handles[i], "next"); return (void *)(intptr_t)n; }
""",
    ),
    "a thread that lives on when a library is closed": Scenario(
        """
         pthread_barrier_init(&used, NULL, 2); pthread_barrier_init(&closed, NULL, 2);
        void *a = open_it("liba.so", RTLD_NOW);  pthread_t thread;
        next = dlsym(a, "next"); pthread_create(&thread, NULL, user, NULL); pthread_barrier_wait(&used);
        dlclose(a); say("gone %d", open_it("liba.so", RTLD_NOW | RTLD_NOLOAD) == NULL);
        a = open_it("liba.so", RTLD_NOW); next = dlsym(a, "next"); say("%d", next());
        pthread_barrier_wait(&closed); pthread_join(thread, NULL); say("%d", next());
        """,
        "gone 1\n11\n12\n",
        {"a": Plugin("static __thread int n = 10; int next(void) { return ++n; }")},
        top="""
pthread_barrier_t used, closed;
int (*next)(void);
void *user(void *unused) { (void)unused; next(); pthread_barrier_wait(&used); pthread_barrier_wait(&closed); return NULL; }
""",
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_both_linkers_behave_as_documented(cc: Compiler, name: str) -> None:
    check(cc, SCENARIOS[name])
