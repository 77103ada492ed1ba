/* Stubs on x86-64: the code of one, and the size of the vector state that stub_x86_64.S saves.  stubs.c includes
 * exactly one such file. */
#include <cpuid.h>

#define LB_STUB_SIZE 16u
#define LB_STUB_PROTECTION (PROT_READ | PROT_EXEC)

/* Code of stub_x86_64.S; not callable from C: it takes the record in r11. */
void lb_stub_observe(void);

/* Bytes that XSAVE needs for the components in LB_VECTOR_STATE; 0 where the machine has no XSAVE (then FXSAVE). */
__attribute__((visibility("hidden"))) uint64_t lb_vector_state_size;
#define LB_VECTOR_STATE 0xe6u /* SSE, AVX and the three of AVX-512: what can hold an argument (Intel SDM 1, 13.1) */

static void lb_prepare_stubs(void)
{
    uint32_t a, b, c, d;
    uint64_t size = 512 + 64; /* legacy area and header */
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return;
    for (uint32_t component = 2; component < 8; component++) {
        if (!(LB_VECTOR_STATE >> component & 1) || !__get_cpuid_count(0xd, component, &a, &b, &c, &d))
            continue;
        if (a != 0 && b + (uint64_t)a > size) /* eax: size, ebx: offset; zero where not supported */
            size = b + (uint64_t)a;
    }
    lb_vector_state_size = size;
}

static void lb_write_stub(uint8_t *code, const struct lb_stub *record)
{
    /* endbr64                 f3 0f 1e fa            a legal target of indirect jumps
     * lea record(%rip), %r11  4c 8d 1d <distance>    r11 is free between caller and callee (psABI 3.2.1)
     * jmp *(%r11)             41 ff 23               record->entry
     * int3                    cc cc */
    static const uint8_t pattern[LB_STUB_SIZE] = {0xf3, 0x0f, 0x1e, 0xfa, 0x4c, 0x8d, 0x1d, 0, 0, 0, 0,
                                                  0x41, 0xff, 0x23, 0xcc, 0xcc};
    int32_t distance = (int32_t)((const uint8_t *)record - (code + 11));
    memcpy(code, pattern, sizeof pattern);
    memcpy(code + 7, &distance, sizeof distance);
}
