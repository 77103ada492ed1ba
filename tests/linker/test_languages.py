"""What other compilers than C's expect of a linker: exceptions, type information, panics, loops, backtraces."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import latebind as lb
from support import needs

if TYPE_CHECKING:
    from pathlib import Path

    from support.compiler import Compiler


def linked_to(cc: Compiler, *names: str) -> list[str]:
    return ["-Wl,--no-as-needed", f"-L{cc.folder}", f"-Wl,-rpath,{cc.folder}", *(f"-l{n}" for n in names)]


# C++ --------------------------------------------------------------------------------------------------------------

SHAPES = """
    #include <stdexcept>
    #include <string>
    struct Shape { virtual ~Shape() {} virtual int sides() const = 0; };
    struct Square : Shape { int sides() const override; };
    struct Failure : std::runtime_error { using std::runtime_error::runtime_error; ~Failure() override; int code = 7; };
    Shape *make(int n);
    void fail(int code);
"""


def test_exceptions_and_types_cross_libraries(cc: Compiler) -> None:
    cc.shared_cpp(
        SHAPES
        + """
        int Square::sides() const { return 4; }
        Failure::~Failure() {}
        struct Triangle : Shape { int sides() const override { return 3; } };
        Shape *make(int n) { if (n == 4) return new Square; return new Triangle; }
        void fail(int code) { Failure f("no " + std::to_string(code)); f.code = code; throw f; }""",
        name="libshapes.so",
    )
    text = (
        SHAPES
        + """
        #include <cstring>
        #include <typeinfo>
        static std::string *greeting = new std::string("started");
        extern "C" int square(int n) {
            Shape *s = make(n); int r = dynamic_cast<Square *>(s) ? s->sides() : -s->sides(); delete s; return r; }
        extern "C" int same_type() {
            Shape *s = make(4); bool same = typeid(*s) == typeid(Square); delete s; return same; }
        extern "C" int by_class(int c) { try { fail(c); } catch (const Failure &f) { return f.code; } return -1; }
        extern "C" int by_base(int c) {
            try { fail(c); } catch (const std::exception &e) { return std::strlen(e.what()); } return -1; }
        extern "C" int again(int c) {
            try { try { fail(c); } catch (...) { throw; } } catch (Failure &f) { return f.code + 1; } return -1; }
        extern "C" unsigned long greeted() { return greeting->size(); }"""
    )
    user = cc.shared_cpp(text, name="libuser.so", flags=linked_to(cc, "shapes"))
    with lb.load(user, namespace=lb.Namespace()) as library:
        call = {name: library.function(f"int {name}(int)") for name in ("square", "by_class", "by_base", "again")}
        assert [call["square"](4), call["square"](3)] == [4, -3]
        assert library.function("int same_type(void)")() == 1
        assert [call["by_class"](42), call["by_base"](42), call["again"](42)] == [42, 5, 43]
        assert library.function("unsigned long greeted(void)")() == 7


def test_an_exception_passes_through_a_c_library_in_between(cc: Compiler) -> None:
    cc.shared("void through(void (*f)(void)) { f(); }", name="libmiddle.so", flags=["-fexceptions"])
    text = """
        extern "C" void through(void (*)());
        struct Guard { int &n; ~Guard() { n += 10; } };
        static void thrower() { throw 5; }
        extern "C" int f() {
            int n = 0; try { Guard g{n}; through(thrower); } catch (int v) { return v + n; } return -1; }"""
    user = cc.shared_cpp(text, name="libuser.so", flags=linked_to(cc, "middle"))
    for binding in ("now", "lazy"):
        with lb.load(user, namespace=lb.Namespace(), binding=binding) as library:
            assert library.function("int f(void)")() == 15


def test_a_library_with_its_own_unwinder_catches(cc: Compiler) -> None:
    """Linked with -static-libgcc: its unwinder asks _dl_find_object or dl_iterate_phdr, and is answered."""
    text = """
        static int thrower(int n) { if (n) throw n; return 0; }
        extern "C" int f(int n) { try { return thrower(n); } catch (int v) { return v * 2; } }"""
    path = cc.shared_cpp(text, name="libown.so", flags=["-static-libgcc", "-static-libstdc++"])
    with lb.load(path, namespace=lb.Namespace()) as library:
        assert "libgcc_s.so.1" not in lb.read(path).dynamic.needed
        assert library.function("int f(int)")(21) == 42


# which objects are there --------------------------------------------------------------------------------------------

ITERATE = """
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <link.h>
    #include <string.h>
    struct query { const char *name; int count, found, headers; unsigned long long adds, subs; };
    static int look(struct dl_phdr_info *info, size_t size, void *data) {
        struct query *q = data;
        (void)size;
        q->count++; q->adds = info->dlpi_adds; q->subs = info->dlpi_subs;
        if (strstr(info->dlpi_name, q->name)) { q->found++; q->headers = info->dlpi_phnum; }
        if (strstr(info->dlpi_name, "/proc/self")) q->count += 1000;
        return 0;
    }
    int times(const char *name) {
        struct query q = {name}; dl_iterate_phdr(look, &q); return q.found * (q.headers > 2); }
    int count(void) { struct query q = {"?"}; dl_iterate_phdr(look, &q); return q.count; }
    long adds(void) { struct query q = {"?"}; dl_iterate_phdr(look, &q); return q.adds; }
    long subs(void) { struct query q = {"?"}; dl_iterate_phdr(look, &q); return q.subs; }
    const char *name_of(void *address) { Dl_info i; return dladdr(address, &i) ? i.dli_sname : "?"; }
    const char *file_of(void *address) { Dl_info i; return dladdr(address, &i) ? i.dli_fname : "?"; }
    __thread int tls = 3; int own_tls(void) { return tls; }
"""


def test_dl_iterate_phdr_shows_our_objects_and_the_systems(cc: Compiler) -> None:
    with lb.load(cc.shared(ITERATE, name="libiterate.so"), namespace=lb.Namespace()) as library:
        times = library.function("int times(const char *)")
        count = library.function("int count(void)")
        adds, subs = library.function("long adds(void)"), library.function("long subs(void)")
        assert [times(b"libiterate.so"), times(b"libc.so.6"), times(b"libnowhere")] == [1, 1, 0]
        before = count(), adds(), subs()
        with lb.load(cc.shared("int x;", name="libother.so"), namespace=lb.Namespace()):
            assert times(b"libother.so") == 1
            assert count() == before[0] + 1  # and no carrier of thread-local storage
            assert adds() == before[1] + 1
        assert (count(), subs()) == (before[0], before[2] + 1)


def test_dladdr_names_functions_of_both_linkers(cc: Compiler) -> None:
    with lb.load(cc.shared(ITERATE, name="libiterate.so"), namespace=lb.Namespace()) as library:
        name_of, file_of = (library.function(f"const char *{n}_of(void *)") for n in ("name", "file"))
        at = library.symbol("count")
        assert name_of(at) == b"count"
        assert name_of(at + 3) == b"count"
        assert file_of(at) == library.path.encode()
        labs = ctypes.cast(ctypes.CDLL(None).labs, ctypes.c_void_p).value
        assert name_of(labs) in {b"labs", b"llabs", b"imaxabs"}
        assert file_of(16) == b"?"


def test_a_backtrace_has_names(cc: Compiler) -> None:
    text = """
        #include <execinfo.h>
        #include <stdlib.h>
        #include <string.h>
        #include <unistd.h>
        __attribute__((noinline)) int innermost(char *out, int size, int fd) {
            void *frames[20]; int n = backtrace(frames, 20); char **lines = backtrace_symbols(frames, n);
            *out = 0;
            for (int i = 0; i < n && i < 3; i++) { strncat(out, lines[i], size - strlen(out) - 2); strcat(out, "\\n"); }
            free(lines);
            backtrace_symbols_fd(frames, 1, fd);
            return n;
        }
        __attribute__((noinline)) int outer(char *out, int size, int fd) { return innermost(out, size, fd) + 1; }
    """
    with lb.load(cc.shared(text, name="libtrace.so"), namespace=lb.Namespace()) as library:
        out = ctypes.create_string_buffer(4096)
        with tempfile.TemporaryFile() as file:
            assert library.function("int outer(char *, int, int)")(ctypes.addressof(out), len(out), file.fileno()) > 2
            os.lseek(file.fileno(), 0, os.SEEK_SET)
            written = file.read()
        lines = out.value.decode().splitlines()
        assert lines[0].startswith(f"{library.path}(innermost+0x")
        assert lines[1].startswith(f"{library.path}(outer+0x")
        assert lines[0].endswith("]")
        assert written == lines[0].encode() + b"\n"


def test_an_unwinder_that_comes_with_the_first_backtrace_knows_what_was_there(cc: Compiler) -> None:
    text = """
        #include <execinfo.h>
        __attribute__((noinline)) int inner(void) { void *f[9]; return backtrace(f, 9) > 2 ? 1 : 0; }
        int outer(void) { return inner() + 1; }"""
    script = f"""
import latebind as lb
l = lb.load({str(cc.shared(text, name="libtrace.so"))!r})
print(l.function('int outer(void)')())"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert (run.stdout, run.stderr) == ("2\n", "")


def test_an_unwinder_and_dladdr_name_the_frames(cc: Compiler) -> None:
    text = """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <stdio.h>
        #include <unwind.h>
        #include <string.h>
        static char out[400];
        static _Unwind_Reason_Code see(struct _Unwind_Context *c, void *data) {
            Dl_info i;
            if (dladdr((void *)_Unwind_GetIP(c), &i) && i.dli_sname && strlen(out) < 300) {
                strcat(out, i.dli_sname); strcat(out, " "); }
            return _URC_NO_REASON; }
        __attribute__((noinline)) void trace(void) { _Unwind_Backtrace(see, 0); __asm__ volatile(""); }
        __attribute__((noinline)) void middle(void) { trace(); __asm__ volatile(""); }
        const char *outer(void) { middle(); return out; }"""
    with lb.load(cc.shared(text, name="libtrace.so"), namespace=lb.Namespace()) as library:
        assert library.function("const char *outer(void)")().startswith(b"trace middle outer ")


def test_an_exception_that_nobody_catches_is_named(cc: Compiler) -> None:
    text = """
        #include <stdexcept>
        extern "C" void boom() noexcept { throw std::runtime_error("the tea is cold"); }"""
    path = cc.shared_cpp(text, name="libboom.so")
    script = f"import latebind as lb; lb.load({str(path)!r}).function('void boom(void)')()"
    run = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", script], capture_output=True, text=True, check=False
    )
    assert run.returncode == -signal.SIGABRT
    assert "terminate called after throwing an instance of 'std::runtime_error'" in run.stderr
    assert "the tea is cold" in run.stderr
    assert "Fatal Python error: Aborted" in run.stderr


# Rust, Fortran, OpenMP ----------------------------------------------------------------------------------------------


def compiled(command: list[str], source: Path, text: str, output: Path) -> Path:
    source.write_text(text, encoding="utf-8")
    subprocess.run([*command, "-o", str(output), str(source)], check=True, capture_output=True, timeout=120)
    return output


def test_a_rust_panic_is_caught_and_thread_locals_are_destroyed(cc: Compiler) -> None:
    text = """
        use std::cell::RefCell;
        use std::sync::atomic::{AtomicI32, Ordering};
        static DROPPED: AtomicI32 = AtomicI32::new(0);
        struct Guard(i32);
        impl Drop for Guard { fn drop(&mut self) { DROPPED.fetch_add(self.0, Ordering::SeqCst); } }
        thread_local! { static GUARD: RefCell<Guard> = RefCell::new(Guard(1)); }
        #[no_mangle] pub extern "C" fn guarded(n: i32) -> i32 {
            std::panic::set_hook(Box::new(|_| {}));
            match std::panic::catch_unwind(|| { let _g = Guard(100); if n < 0 { panic!("negative") }; n * 2 }) {
                Ok(v) => v, Err(_) => -1 }
        }
        #[no_mangle] pub extern "C" fn in_thread() -> i32 {
            std::thread::spawn(|| GUARD.with(|g| g.borrow_mut().0 += 1)).join().unwrap();
            DROPPED.load(Ordering::SeqCst)
        }"""
    command = [needs.working("rustc", "rustc"), "--crate-type", "cdylib", "-C", "debuginfo=0"]
    path = compiled(command, cc.folder / "lib.rs", text, cc.folder / "librust.so")
    with lb.load(path, namespace=lb.Namespace()) as library:
        assert library.role == "own"
        guarded = library.function("int guarded(int)")
        assert [guarded(21), guarded(-1)] == [42, -1]
        assert library.function("int in_thread(void)")() == 202


def test_a_rust_panics_backtrace_has_our_functions_and_lines(cc: Compiler) -> None:
    text = """
        #[inline(never)] fn inner(n: i32) -> i32 { if n > 2 { panic!("too many") }; n }
        #[no_mangle] #[inline(never)] pub extern "C" fn outer(n: i32) -> i32 {
            match std::panic::catch_unwind(|| inner(n)) { Ok(v) => v, Err(_) => -1 } }"""
    command = [needs.working("rustc", "rustc"), "--crate-type", "cdylib", "-g"]
    path = compiled(command, cc.folder / "lib.rs", text, cc.folder / "librust.so")
    script = f"import latebind as lb; print(lb.load({str(path)!r}).function('int outer(int)')(3))"
    run = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"RUST_BACKTRACE": "1"},
    )
    assert run.stdout == "-1\n"
    assert "too many" in run.stderr
    assert "::inner" in run.stderr
    assert "lib.rs:2:" in run.stderr.partition("stack backtrace")[2]


def test_fortran_with_its_runtime(cc: Compiler) -> None:
    text = """
        subroutine describe(n, text, length) bind(c)
          use iso_c_binding
          integer(c_int), value :: n, length
          character(kind=c_char), intent(out) :: text(length)
          character(len=length) :: buffer
          integer :: i
          write (buffer, '(A,I0,A,F6.3)') 'n=', n, ' root=', sqrt(real(n))
          do i = 1, length
            text(i) = buffer(i:i)
          end do
        end subroutine
    """
    path = compiled([needs.program("gfortran", "gfortran"), "-shared", "-fPIC"], cc.folder / "f.f90", text,
                    cc.folder / "libfortran.so")  # fmt: skip
    with lb.load(path, namespace=lb.Namespace()) as library:
        out = ctypes.create_string_buffer(24)
        library.function("void describe(int, char *, int)")(16, ctypes.addressof(out), 24)
        assert out.raw.decode().strip() == "n=16 root= 4.000"


def test_openmp_loops_run_in_parallel(cc: Compiler) -> None:
    text = """
        #include <omp.h>
        static int counts[64];
        int run(int threads) {
            int sum = 0, seen = 0;
            #pragma omp parallel for num_threads(threads) reduction(+ : sum)
            for (int i = 0; i < 1000; i++) { sum += i; counts[omp_get_thread_num()]++; }
            for (int i = 0; i < 64; i++) seen += counts[i] != 0;
            return sum == 499500 ? seen : -1;
        }
        static int per_thread;
        #pragma omp threadprivate(per_thread)
        int separate(int threads) {
            int ok = 1;
            #pragma omp parallel num_threads(threads) reduction(&& : ok)
            { per_thread = omp_get_thread_num(); ok = ok && per_thread == omp_get_thread_num(); }
            return ok;
        }"""
    path = cc.shared(text, name="libomp_user.so", flags=["-fopenmp"])
    script = (
        f"import latebind as lb; l = lb.load({str(path)!r}); print(l.function('int run(int)')(4),"
        " l.function('int separate(int)')(4)); l.close(); print(l.closed)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert (run.stdout.split(), run.stderr) == (["4", "1", "True"], "")
