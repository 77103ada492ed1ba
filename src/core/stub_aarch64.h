/* Stubs on AArch64: the code of one.  stubs.c includes exactly one such file. */
#define LB_STUB_SIZE 24u
#define LB_STUB_PROTECTION (PROT_READ | PROT_EXEC | lb_branch_target_protection())

/* Code of stub_aarch64.S; not callable from C: it takes the record in x17. */
void lb_stub_observe(void);

static void lb_prepare_stubs(void) {}

static void lb_write_stub(uint8_t *code, const struct lb_stub *record)
{
    /* x16 and x17 are free between caller and callee (AAPCS64 6.1.1). */
    static const uint32_t pattern[] = {
        0xd503245f, /* bti c             a legal target of indirect branches */
        0x58000071, /* ldr x17, .+12     the record, from the word behind the code */
        0xf9400230, /* ldr x16, [x17]    record->entry */
        0xd61f0200, /* br x16 */
    };
    const uint64_t address = (uint64_t)(uintptr_t)record;
    memcpy(code, pattern, sizeof pattern);
    memcpy(code + sizeof pattern, &address, sizeof address);
}
