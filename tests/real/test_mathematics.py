"""Numbers: arbitrary precision, linear algebra on threads, transforms, integration with callbacks, OpenMP, secrets."""

from __future__ import annotations

import cmath
import ctypes
import hashlib
import math
import random
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

import latebind as lb
from real.calls import callback, number, work_with
from support import needs

if TYPE_CHECKING:
    from pathlib import Path

DOUBLE = ctypes.c_double


def test_gmp_computes_a_factorial() -> None:
    with work_with("libgmp.so.10", "libgmp10", """
        void __gmpz_init(void *)
        void __gmpz_fac_ui(void *, unsigned long)
        void *__gmpz_get_str(void *, int, void *)
        int __gmpz_probab_prime_p(void *, int)
        int __gmpz_set_str(void *, const char *, int)
        void __gmpz_clear(void *)
    """) as g:  # fmt: skip
        z = ctypes.create_string_buffer(16)
        getattr(g, "__gmpz_init")(z)
        getattr(g, "__gmpz_fac_ui")(z, 500)
        text = getattr(g, "__gmpz_get_str")(None, 10, z)
        assert int(ctypes.string_at(text)) == math.factorial(500)
        getattr(g, "__gmpz_set_str")(z, str(2**127 - 1), 10)
        assert getattr(g, "__gmpz_probab_prime_p")(z, 30) > 0
        getattr(g, "__gmpz_clear")(z)


def test_openssl_hashes_and_encrypts() -> None:
    """Its assembly is chosen by the processor it finds when its constructor runs."""
    with work_with("libcrypto.so.3", "libssl3", """
        void *EVP_sha256(void)
        int EVP_Digest(const char *, size_t, void *, void *, void *, void *)
        void *EVP_CIPHER_CTX_new(void)
        void *EVP_aes_256_gcm(void)
        int EVP_EncryptInit_ex(void *, void *, void *, const char *, const char *)
        int EVP_EncryptUpdate(void *, void *, void *, const char *, int)
        int EVP_DecryptInit_ex(void *, void *, void *, const char *, const char *)
        int EVP_DecryptUpdate(void *, void *, void *, const char *, int)
        void EVP_CIPHER_CTX_free(void *)
    """) as o:  # fmt: skip
        data = random.Random(1).randbytes(100_000)
        digest = bytearray(32)
        assert o.EVP_Digest(data, len(data), digest, None, o.EVP_sha256(), None) == 1
        assert digest == hashlib.sha256(data).digest()
        key, nonce, size = bytes(range(32)), bytes(12), bytearray(4)
        secret, clear = bytearray(len(data)), bytearray(len(data))
        context = o.EVP_CIPHER_CTX_new()
        assert o.EVP_EncryptInit_ex(context, o.EVP_aes_256_gcm(), None, key, nonce) == 1
        assert o.EVP_EncryptUpdate(context, secret, size, data, len(data)) == 1
        o.EVP_CIPHER_CTX_free(context)
        context = o.EVP_CIPHER_CTX_new()
        assert o.EVP_DecryptInit_ex(context, o.EVP_aes_256_gcm(), None, key, nonce) == 1
        assert o.EVP_DecryptUpdate(context, clear, size, bytes(secret), len(secret)) == 1
        o.EVP_CIPHER_CTX_free(context)
        assert secret != data
        assert clear == data


OPENMP = """
#include <omp.h>
long sum(long n){ long s = 0;
    #pragma omp parallel for reduction(+:s) num_threads(3)
    for (long i = 0; i < n; i++) s += i;
    return s; }
int team(void){ int n = 0;
    #pragma omp parallel num_threads(3)
    {
        #pragma omp atomic
        n++;
    }
    return n; }
static int private_one = 5;
#pragma omp threadprivate(private_one)
int private_sum(void){ int s = 0;
    #pragma omp parallel num_threads(3) reduction(+:s)
    { private_one += omp_get_thread_num(); s += private_one; }
    return s; }
"""


def test_openmp(tmp_path: Path) -> None:
    """Libgomp is the process's one copy; the team's threads run our code and its thread-local variables."""
    source, out = tmp_path / "omp.c", tmp_path / "libomp-user.so"
    source.write_text(OPENMP)
    subprocess.run([needs.program("cc", "gcc"), "-O2", "-fopenmp", "-shared", "-fPIC", "-o", out, source], check=True)
    with lb.load(out, namespace=lb.Namespace()) as library:
        assert library.function("long sum(long)")(100_000) == 4999950000
        assert library.function("int team(void)")() == 3
        assert library.function("int private_sum(void)")() == 5 + 6 + 7


@pytest.mark.slow
def test_openblas_multiplies_on_threads() -> None:
    with work_with("libopenblas.so.0", "libopenblas0-pthread", """
        void cblas_dgemm(int, int, int, int, int, int, double, void *, int, void *, int, double, void *, int)
        void openblas_set_num_threads(int)
        void dgesv_(void *, void *, void *, void *, void *, void *, void *, void *)
    """) as b:  # fmt: skip
        b.openblas_set_num_threads(2)
        n, dice = 150, random.Random(3)
        a = (DOUBLE * (n * n))(*(dice.random() for _ in range(n * n)))
        identity = (DOUBLE * (n * n))(*(float(i % (n + 1) == 0) for i in range(n * n)))
        out = (DOUBLE * (n * n))()
        b.cblas_dgemm(101, 111, 111, n, n, n, 2.0, a, n, identity, n, 0.0, out, n)
        assert list(out) == pytest.approx([2 * v for v in a])
        # Solve a·x = a·1 with LAPACK, which is Fortran.
        sums = (DOUBLE * n)(*(sum(a[row + n * column] for column in range(n)) for row in range(n)))
        size, one, info = (bytearray(v.to_bytes(4, "little")) for v in (n, 1, 9))
        b.dgesv_(size, one, a, size, ctypes.create_string_buffer(4 * n), sums, size, info)
        assert number(info, 0, 4) == 0
        assert list(sums) == pytest.approx([1.0] * n, abs=1e-6)


@pytest.mark.slow
def test_mpfr_knows_pi() -> None:
    with work_with("libmpfr.so.6", "libmpfr6", """
        void mpfr_init2(void *, long)
        int mpfr_const_pi(void *, int)
        void *mpfr_get_str(void *, void *, int, size_t, void *, int)
        void mpfr_free_str(void *)
        void mpfr_clear(void *)
    """) as m:  # fmt: skip
        pi, exponent = ctypes.create_string_buffer(32), bytearray(8)
        m.mpfr_init2(pi, 500)
        m.mpfr_const_pi(pi, 0)
        text = m.mpfr_get_str(None, exponent, 10, 60, pi, 0)
        assert ctypes.string_at(text) == b"314159265358979323846264338327950288419716939937510582097494"
        m.mpfr_free_str(text)
        m.mpfr_clear(pi)


@pytest.mark.slow
def test_gsl_integrates_a_python_function() -> None:
    with work_with("libgsl.so.27", "libgsl27", """
        void *gsl_integration_workspace_alloc(size_t)
        int gsl_integration_qags(void *, double, double, double, double, size_t, void *, void *, void *)
        void gsl_integration_workspace_free(void *)
    """) as g:  # fmt: skip
        integrand = callback("double f(double, void *)", lambda x, _data: math.exp(-x * x))
        function = ctypes.create_string_buffer(integrand.address.to_bytes(8, "little") + bytes(8), 16)
        result, error, space = DOUBLE(), DOUBLE(), g.gsl_integration_workspace_alloc(1000)
        assert g.gsl_integration_qags(function, -6.0, 6.0, 0.0, 1e-10, 1000, space, result, error) == 0
        assert result.value == pytest.approx(math.sqrt(math.pi), abs=1e-9)
        g.gsl_integration_workspace_free(space)


@pytest.mark.slow
def test_fftw_transforms() -> None:
    with work_with("libfftw3.so.3", "libfftw3-double3", """
        void *fftw_plan_dft_1d(int, void *, void *, int, unsigned)
        void fftw_execute(void *)
        void fftw_destroy_plan(void *)
    """) as f:  # fmt: skip
        n, out = 60, (DOUBLE * 120)()
        signal = [cmath.exp(2j * cmath.pi * 7 * k / n) for k in range(n)]
        flat = (DOUBLE * 120)(*(part for value in signal for part in (value.real, value.imag)))
        plan = f.fftw_plan_dft_1d(n, flat, out, -1, 64)
        f.fftw_execute(plan)
        f.fftw_destroy_plan(plan)
        powers = [abs(complex(out[2 * k], out[2 * k + 1])) for k in range(n)]
        assert powers == pytest.approx([float(n) if k == 7 else 0.0 for k in range(n)], abs=1e-9)


@pytest.mark.slow
def test_sodium_signs() -> None:
    with work_with("libsodium.so.23", "libsodium23", """
        int sodium_init(void)
        int crypto_sign_keypair(void *, void *)
        int crypto_sign_detached(void *, void *, const char *, unsigned long long, void *)
        int crypto_sign_verify_detached(void *, const char *, unsigned long long, void *)
    """) as s:  # fmt: skip
        assert s.sodium_init() >= 0
        public, private, signature = bytearray(32), bytearray(64), bytearray(64)
        s.crypto_sign_keypair(public, private)
        s.crypto_sign_detached(signature, None, b"a plan", 6, private)
        assert s.crypto_sign_verify_detached(signature, b"a plan", 6, public) == 0
        assert s.crypto_sign_verify_detached(signature, b"a plot", 6, public) == -1


@pytest.mark.slow
def test_two_copies_of_openblas_in_threads() -> None:
    """Each copy has its own pool of threads and its own thread-local storage."""
    needs.library("libopenblas.so.0", "libopenblas0-pthread")
    results: list[float] = []

    def work() -> None:
        with lb.load("libopenblas.so.0", namespace=lb.Namespace()) as library:
            dot = library.function("double cblas_ddot(int, void *, int, void *, int)")
            values = (DOUBLE * 20_000)(*([0.5] * 20_000))
            results.extend(dot(20_000, values, 1, values, 1) for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [5000.0] * 40
