"""What a closed library leaves behind: threads that run in it, and functions that the C library still knows."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import latebind as lb
from latebind import _core
from latebind.linker.lasting import Reason
from support import needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.compiler import Compiler


def is_mapped(path: object) -> bool:
    return any(str(path) in line and " r-xp " in line for line in Path("/proc/self/maps").read_text().splitlines())


def fresh(path: object) -> lb.Library:
    return lb.load(str(path), namespace=lb.Namespace())


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether it becomes true; a thread that ends is looked at when something is loaded."""
    for _ in range(500):
        fresh("libz.so.1").close()
        if condition():
            return True
        time.sleep(0.01)
    return False


# threads ------------------------------------------------------------------------------------------------------------

WAIT = """
    #include <pthread.h>
    #include <stdlib.h>
    #include <unistd.h>
    struct work { volatile int stop, began; };
    __attribute__((noinline)) static int step(struct work *w) { w->began = 1; usleep(2000); return !w->stop; }
    __attribute__((unused)) static void *wait_for(void *data) { while (step(data)) ; return NULL; }
    __attribute__((unused)) static int detached(void *(*f)(void *), void *w) {
        pthread_t t; int e = pthread_create(&t, NULL, f, w); pthread_detach(t); return e; }
"""


class Work(ctypes.Structure):
    _fields_ = [("stop", ctypes.c_int), ("began", ctypes.c_int)]


def start_in(library: lb.Library, prototype: str, work: Work) -> None:
    assert library.function(prototype)(ctypes.addressof(work)) == 0
    assert eventually(lambda: work.began == 1)


def test_code_stays_while_a_thread_that_started_there_runs(cc: Compiler) -> None:
    text = "int start(void *w) { return detached(wait_for, w); }"
    path, work = cc.shared(WAIT + text, name="libpool.so"), Work()
    library = fresh(path)
    assert library.lasting() == ()
    start_in(library, "int start(void *)", work)
    assert [(x.path, x.reason) for x in library.lasting()] == [(str(path), Reason.THREAD)]
    assert "1 thread runs in its code" in str(library.lasting()[0])
    library.close()
    assert is_mapped(path)
    work.stop = 1
    assert eventually(lambda: not is_mapped(path))


@pytest.mark.parametrize("leave", ["pthread_exit(NULL)", "for (;;) pause()"], ids=["exit", "cancel"])
def test_a_thread_may_end_by_other_ways(cc: Compiler, leave: str) -> None:
    text = """
        static void *begin(void *w) { wait_for(w); %s; return NULL; }
        static pthread_t t;
        int start(void *w) { return pthread_create(&t, NULL, begin, w); }
        int stop(void) { pthread_cancel(t); return pthread_join(t, NULL); }"""
    path, work = cc.shared(WAIT + text % leave, name="libpool.so"), Work()
    library = fresh(path)
    start_in(library, "int start(void *)", work)
    work.stop = 1
    assert library.function("int stop(void)")() == 0
    assert library.lasting() == ()
    library.close()
    assert not is_mapped(path)


def test_a_destructor_that_ends_its_thread_lets_the_library_go(cc: Compiler) -> None:
    text = """
        static pthread_t t; static struct work *mine;
        int start(void *w) { mine = w; return pthread_create(&t, NULL, wait_for, w); }
        __attribute__((destructor)) static void end(void) { mine->stop = 1; pthread_join(t, NULL); }"""
    path, work = cc.shared(WAIT + text, name="libpool.so"), Work()
    library = fresh(path)
    start_in(library, "int start(void *)", work)
    library.close()
    assert not is_mapped(path)


def test_code_stays_for_a_thread_of_c11(cc: Compiler) -> None:
    text = """
        #include <threads.h>
        static int begin(void *w) { wait_for(w); return 0; }
        int start(void *w) { thrd_t t; int e = thrd_create(&t, begin, w); thrd_detach(t); return e; }"""
    path, work = cc.shared(WAIT + text, name="libpool.so"), Work()
    library = fresh(path)
    start_in(library, "int start(void *)", work)
    library.close()
    assert is_mapped(path)
    work.stop = 1
    assert eventually(lambda: not is_mapped(path))


def test_code_stays_for_a_thread_that_a_runtime_started(cc: Compiler) -> None:
    """Libstdc++, which the system's linker loaded, starts the thread, at a function of its own."""
    text = """
        #include <chrono>
        #include <thread>
        struct work { volatile int stop, began; };
        extern "C" int start(void *data) {
            auto w = static_cast<work *>(data);
            std::thread([w] {
                while (!w->stop) { w->began = 1; std::this_thread::sleep_for(std::chrono::milliseconds(2)); }
            }).detach();
            return 0; }"""
    path, work = cc.shared_cpp(text, name="libpool.so"), Work()
    library = fresh(path)
    start_in(library, "int start(void *)", work)
    library.close()
    assert is_mapped(path)
    work.stop = 1
    assert eventually(lambda: not is_mapped(path))


def test_code_and_what_it_needs_stay_for_a_thread_of_another_library(cc: Compiler) -> None:
    """As GLib starts threads for others: the start routine says nothing about whose code will run."""
    text = """
        struct job { void *(*run)(void *); void *data; };
        static void *proxy(void *data) { struct job j = *(struct job *)data; free(data); j.run(j.data); return NULL; }
        int start_thread(void *(*run)(void *), void *data) {
            struct job *j = malloc(sizeof *j); *j = (struct job){run, data}; return detached(proxy, j); }"""
    threads = cc.shared(WAIT + text, name="libthreads.so")
    link = [f"-L{cc.folder}", f"-Wl,-rpath,{cc.folder}", "-lthreads", "-lsteps"]
    steps = cc.shared("#include <unistd.h>\nvoid step(void) { usleep(1000); }", name="libsteps.so")
    user_text = """
        int start_thread(void *(*)(void *), void *); void step(void);
        struct work { volatile int stop, began; };
        static void *wait_for(void *data) {
            struct work *w = data; while (!w->stop) { w->began = 1; step(); } return 0; }
        int start(void *w) { return start_thread(wait_for, w); }"""
    user, work = cc.shared(user_text, name="libuser.so", flags=link), Work()
    library = fresh(user)
    start_in(library, "int start(void *)", work)
    library.close()
    assert [is_mapped(p) for p in (user, steps, threads)] == [True] * 3
    work.stop = 1
    assert eventually(lambda: not any(is_mapped(p) for p in (user, steps, threads)))


def test_a_library_is_loaded_anew_while_its_closed_copy_still_runs(cc: Compiler) -> None:
    text = """
        int n;
        int next(void) { return ++n; }
        int start(void *w) { return detached(wait_for, w); }"""
    path, work, space = cc.shared(WAIT + text, name="libpool.so"), Work(), lb.Namespace()
    first = lb.load(path, namespace=space)
    start_in(first, "int start(void *)", work)
    assert first.function("int next(void)")() == 1
    first.close()
    with lb.load(path, namespace=space) as second:
        assert second.function("int next(void)")() == 1
    work.stop = 1
    assert eventually(lambda: not is_mapped(path))


def test_a_library_is_closed_from_a_callback_that_it_called(cc: Compiler) -> None:
    text = "int call(void (*f)(void)) { f(); return 42; }"
    path = cc.shared(text, name="libcall.so")
    library = fresh(path)
    seen = []

    def close() -> None:
        library.close()
        seen.append(is_mapped(path))

    callback = ctypes.CFUNCTYPE(None)(close)
    call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(library.symbol("call"))
    assert call(ctypes.cast(callback, ctypes.c_void_p)) == 42
    assert seen == [True]
    assert eventually(lambda: not is_mapped(path))


def test_an_object_with_threads_is_not_unmapped(cc: Compiler) -> None:
    text = "int start(void *w) { return detached(wait_for, w); }"
    path, work = cc.shared(WAIT + text, name="libpool.so"), Work()
    library = fresh(path)
    start_in(library, "int start(void *)", work)
    image = library.closure[0].image
    assert image is not None
    assert image.threads == 1
    with pytest.raises(ValueError, match="threads that started in its code run"):
        image.unmap()
    work.stop = 1
    assert eventually(lambda: image.threads == 0)
    library.close()


def test_threads_are_looked_for_in_mapped_objects_only(cc: Compiler) -> None:
    library = fresh(cc.shared("int x;"))
    image = library.closure[0].image
    assert image is not None
    assert _core.running_in([image]) == (0,)
    library.close()
    with pytest.raises(ValueError, match="not an object that is mapped"):
        _core.running_in([image])
    with pytest.raises(ValueError, match="not an object that is mapped"):
        _core.running_in([3])  # type: ignore[list-item]


def test_the_runtime_of_openmp_stays_with_its_threads(cc: Compiler) -> None:
    """Its pool waits in its code for the next parallel region, in whatever library that will be."""
    text = """
        int run(void) { int sum = 0;
            #pragma omp parallel for num_threads(3) reduction(+ : sum)
            for (int i = 0; i < 100; i++) sum += i;
            return sum; }"""
    path = cc.shared(text, name="libomp_user.so", flags=["-fopenmp"])
    for _ in range(2):
        library = fresh(path)
        assert library.function("int run(void)")() == 4950
        library.close()
        assert not is_mapped(path)
        assert is_mapped("libgomp.so.1")


# what is registered with the C library -------------------------------------------------------------------------------

KEY = """
    #include <pthread.h>
    static pthread_key_t key; int *told;
    static void end(void *value) { *told += *(int *)value; }
    static int one = 1;
    int make(int *where) { told = where; return pthread_key_create(&key, end); }
    int use(void) { return pthread_setspecific(key, &one); }
    int drop(void) { return pthread_key_delete(key); }
    int number(void) { return (int)key; }
"""


def test_a_keys_destructor_runs_when_a_thread_ends(cc: Compiler) -> None:
    told = ctypes.c_int()
    with fresh(cc.shared(KEY)) as library:
        assert library.function("int make(void *)")(ctypes.addressof(told)) == 0
        thread = threading.Thread(target=library.function("int use(void)"))
        thread.start()
        assert eventually(lambda: told.value == 1)  # join returns a little before
        thread.join()


def test_a_keys_destructor_is_withdrawn_with_its_code(cc: Compiler) -> None:
    told, used, closed = ctypes.c_int(), threading.Event(), threading.Event()
    library = fresh(cc.shared(KEY))
    assert library.function("int make(void *)")(ctypes.addressof(told)) == 0
    use = library.function("int use(void)")

    def work() -> None:
        use()
        used.set()
        closed.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    used.wait(10)
    library.close()
    closed.set()
    assert eventually(lambda: not os.path.exists(f"/proc/self/task/{thread.native_id}"))
    thread.join()  # glibc would call what is not there any more
    assert told.value == 0


def test_a_key_that_was_deleted_is_left_to_its_next_owner(cc: Compiler) -> None:
    library = fresh(cc.shared(KEY))
    assert library.function("int make(void *)")(0) == 0
    number = library.function("int number(void)")()
    assert library.function("int drop(void)")() == 0
    other = fresh(cc.shared(KEY, name="libother.so"))
    assert other.function("int make(void *)")(0) == 0
    assert other.function("int number(void)")() == number
    library.close()
    assert other.function("int drop(void)")() == 0  # EINVAL, had it gone with the first library
    other.close()


AT_EXIT = """
    #include <pthread.h>
    #include <stdlib.h>
    #define NOTE(l) { *at++ = l; }
    static char *at; static void *told;
    static void first(void) NOTE('a') static void last(void) NOTE('b')
    static void with_status(int status, void *data) { *at++ = status == 0 && data == told ? 'c' : '?'; }
    static void child(void) NOTE('f')
    int begin(char *where) {
        at = where; told = where;
        return atexit(last) | atexit(first) | on_exit(with_status, where) | pthread_atfork(NULL, NULL, child); }
"""


def test_what_is_registered_for_the_exit_runs_when_the_library_goes(cc: Compiler) -> None:
    text = ctypes.create_string_buffer(16)
    library = fresh(cc.shared(AT_EXIT))
    assert library.function("int begin(void *)")(ctypes.addressof(text)) == 0
    assert text.value == b""
    library.close()
    assert text.value == b"abc"


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_handlers_for_fork_are_forgotten_with_the_library(cc: Compiler) -> None:
    text = ctypes.create_string_buffer(16)

    def forked() -> bytes:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, text.value[-1:] + b".")
            os._exit(0)
        os.waitpid(child, 0)
        result = os.read(reader, 2)
        os.close(reader)
        os.close(writer)
        return result

    library = fresh(cc.shared(AT_EXIT))
    assert library.function("int begin(void *)")(ctypes.addressof(text)) == 0
    assert forked() == b"f."
    library.close()
    assert forked() == b"c."


def test_an_object_without_start_files_is_finalised_too(cc: Compiler) -> None:
    """Nothing in it calls __cxa_finalize, as crtbeginS.o does for others."""
    text = """
        int __cxa_atexit(void (*)(void *), void *, void *);
        static char self; static void end(void *where) { *(char *)where = 'x'; }
        int begin(void *where) { return __cxa_atexit(end, where, &self); }"""
    told = ctypes.create_string_buffer(2)
    library = fresh(cc.shared(text, flags=["-nostartfiles"]))
    assert library.function("int begin(void *)")(ctypes.addressof(told)) == 0
    library.close()
    assert told.value == b"x"


@pytest.mark.parametrize("call", ["sigaction(SIGUSR2, &(struct sigaction){.sa_handler = handle}, 0) == 0",
                                  "signal(SIGUSR2, handle) != SIG_ERR"], ids=["sigaction", "signal"])  # fmt: skip
def test_a_signals_handler_gives_way_to_the_one_before(cc: Compiler, call: str) -> None:
    text = f"""
        #include <signal.h>
        static volatile int got; static void handle(int n) {{ got += n; }}
        int begin(void) {{ return {call}; }}
        int count(void) {{ return got; }}"""
    seen: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda number, _frame: seen.append(number))
    try:
        library = fresh(cc.shared(text))
        assert library.function("int begin(void)")() == 1
        signal.raise_signal(signal.SIGUSR2)
        assert library.function("int count(void)")() == signal.SIGUSR2
        assert seen == []
        library.close()
        signal.raise_signal(signal.SIGUSR2)
        assert seen == [signal.SIGUSR2]
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_handlers_of_two_libraries_are_taken_back_in_any_order(cc: Compiler) -> None:
    text = """
        #include <signal.h>
        static void handle(int n) { (void)n; }
        int begin(void) { return signal(SIGUSR2, handle) != SIG_ERR; }"""
    before = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    try:
        first, second = fresh(cc.shared(text, name="libone.so")), fresh(cc.shared(text, name="libtwo.so"))
        assert first.function("int begin(void)")() == second.function("int begin(void)")() == 1
        first.close()
        signal.raise_signal(signal.SIGUSR2)
        second.close()
        signal.raise_signal(signal.SIGUSR2)  # ignored again: its default action would end the process
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_a_string_of_the_environment_is_copied(cc: Compiler) -> None:
    text = """
        #include <stdlib.h>
        static char late[] = "LATEBIND_TEST_LEFT=behind";
        int begin(void) { return putenv(late); }"""
    library = fresh(cc.shared(text))
    assert library.function("int begin(void)")() == 0
    library.close()
    printed = ctypes.CDLL(None)
    printed.getenv.restype = ctypes.c_char_p
    assert printed.getenv(b"LATEBIND_TEST_LEFT") == b"behind"
    printed.unsetenv(b"LATEBIND_TEST_LEFT")
    assert subprocess.run([needs.program("true", "coreutils")], check=False).returncode == 0
