/* How much room the extended state of an x86-64 processor takes, for the entries that save it (lazy_x86_64.S). */
#include <cpuid.h>
#include <stdint.h>

/* Read by lazy_x86_64.S: the order and the sizes of the fields are its business too. */
struct lb_vectors {
    uint64_t components; /* of the processor's extended state to save; 0: fxsave */
    uint64_t size;       /* bytes to reserve, a multiple of 64 */
};
struct lb_vectors lb_vectors = {0, 512};

#define LEGACY_SIZE 576 /* x87, SSE and the xsave header */
/* x87, SSE, AVX, MPX, AVX-512: what can hold arguments.  Not PKRU (9) and not AMX's tiles (17, 18: 8 KiB, never kept
 * across calls). */
#define WANTED_COMPONENTS UINT32_C(0xff)

/* Intel SDM volume 1, 13.3: CPUID leaf 0xd tells each component's offset and size in the standard format. */
__attribute__((constructor)) static void measure_vectors(void)
{
    uint32_t a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0)); /* XCR0: the components that the system has enabled */
    uint64_t size = LEGACY_SIZE;
    for (uint32_t i = 2; i < 8; i++) {
        if (!(low & (1u << i)) || !__get_cpuid_count(0xd, i, &a, &b, &c, &d))
            continue;
        if ((uint64_t)a + b > size)
            size = (uint64_t)a + b;
    }
    lb_vectors.components = low & WANTED_COMPONENTS;
    lb_vectors.size = (size + 63) & ~UINT64_C(63);
}
