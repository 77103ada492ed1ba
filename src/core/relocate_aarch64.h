/* What AArch64 relocation types mean (ELF for the Arm 64-bit Architecture, 5.7.12 "Dynamic relocations" and 5.7.5), and
 * the few other things that only this machine knows.  Names are as readelf prints them.  relocate.c includes exactly one
 * such file. */
#include <sys/auxv.h>
#include <sys/mman.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "big-endian AArch64 is not supported: packed plans are little-endian"
#endif

#define LB_MACHINE EM_AARCH64
#define LB_ELF_CLASS ELFCLASS64
#define LB_ELF_DATA ELFDATA2LSB
#define LB_RELATIVE_TYPE R_AARCH64_RELATIVE
#define LB_TLS_STATIC_TYPE R_AARCH64_TLS_TPREL
#define LB_JUMP_SLOT_TYPE R_AARCH64_JUMP_SLOT

#ifndef HWCAP2_BTI
#define HWCAP2_BTI (UINT64_C(1) << 17)
#endif
#ifndef PROT_BTI
#define PROT_BTI 0x10
#endif
#define STO_VARIANT_PCS 0x80 /* st_other: the function does not follow the base procedure call standard */

/* What a resolver gets (System V ABI for the Arm 64-bit Architecture, "GNU indirect functions"; glibc's sys/ifunc.h). */
#define IFUNC_ARG_HWCAP (UINT64_C(1) << 62)
struct ifunc_argument {
    uint64_t size, hwcap, hwcap2;
};

static uint64_t call_resolver(uint64_t address)
{
    const struct ifunc_argument argument = {sizeof argument, getauxval(AT_HWCAP), getauxval(AT_HWCAP2)};
    uint64_t (*resolver)(uint64_t, const struct ifunc_argument *);
    memcpy(&resolver, &address, sizeof resolver);
    return resolver(argument.hwcap | IFUNC_ARG_HWCAP, &argument);
}

static int branch_target_protection(void) { return getauxval(AT_HWCAP2) & HWCAP2_BTI ? PROT_BTI : 0; }

/* A PLT entry tells the entry (lazy_aarch64.S) its slot, not its record, so slots must follow in the records' order, as
 * link editors make them.  The entry keeps the registers of the base procedure call standard: a function with another
 * one (vector or SVE arguments) is bound at once, as the ABI demands (DT_AARCH64_VARIANT_PCS). */
static bool can_be_lazy(const struct walk *w)
{
    const struct lb_image *image = w->member->image;
    Elf64_Sym row;
    if (w->target != w->member->record->pltgot + 8 * (3 + w->record) || w->addend != 0)
        return false;
    if (w->symbol >= image->symtab.size / sizeof row)
        return false;
    memcpy(&row, lb_pointer(image->base + image->symtab.address + w->symbol * sizeof row), sizeof row);
    return (row.st_other & STO_VARIANT_PCS) == 0;
}

static const struct rule rules[] = {
    [R_AARCH64_NONE] = {"R_AARCH64_NONE", RULE_NONE, 0},
    [R_AARCH64_ABS64] = {"R_AARCH64_ABS64", RULE_ABSOLUTE, 8},                  /* S + A */
    [R_AARCH64_ABS32] = {"R_AARCH64_ABS32", RULE_ABSOLUTE, 4},                  /* S + A */
    [R_AARCH64_PREL64] = {"R_AARCH64_PREL64", RULE_RELATIVE_TO_PLACE, 8},       /* S + A - P */
    [R_AARCH64_PREL32] = {"R_AARCH64_PREL32", RULE_RELATIVE_TO_PLACE, 4},       /* S + A - P */
    [R_AARCH64_COPY] = {"R_AARCH64_COPY", RULE_COPY, 0},
    [R_AARCH64_GLOB_DAT] = {"R_AARCH64_GLOB_DAT", RULE_ABSOLUTE, 8},            /* S + A */
    [R_AARCH64_JUMP_SLOT] = {"R_AARCH64_JUMP_SLOT", RULE_ABSOLUTE, 8},          /* S + A */
    [R_AARCH64_RELATIVE] = {"R_AARCH64_RELATIVE", RULE_BASE, 8},                /* Delta(S) + A: here S is 0 */
    [R_AARCH64_TLS_DTPMOD] = {"R_AARCH64_TLS_DTPMOD64", RULE_TLS_MODULE, 8},
    [R_AARCH64_TLS_DTPREL] = {"R_AARCH64_TLS_DTPREL64", RULE_TLS_OFFSET, 8},      /* S + A in the block */
    [R_AARCH64_TLS_TPREL] = {"R_AARCH64_TLS_TPREL64", RULE_TLS_STATIC, 8},        /* the same from the thread pointer */
    [R_AARCH64_TLSDESC] = {"R_AARCH64_TLSDESC", RULE_TLS_DESCRIPTOR, 16},
    [R_AARCH64_IRELATIVE] = {"R_AARCH64_IRELATIVE", RULE_RESOLVER, 8},          /* (Delta(S) + A)() */
    /* Known, and refused by name: code is position-independent here, and these are too narrow for any address. */
    [R_AARCH64_ABS16] = {"R_AARCH64_ABS16", RULE_REFUSED, 0},
    [R_AARCH64_PREL16] = {"R_AARCH64_PREL16", RULE_REFUSED, 0},
    [R_AARCH64_ADR_PREL_LO21] = {"R_AARCH64_ADR_PREL_LO21", RULE_REFUSED, 0},
    [R_AARCH64_ADR_PREL_PG_HI21] = {"R_AARCH64_ADR_PREL_PG_HI21", RULE_REFUSED, 0},
    [R_AARCH64_ADD_ABS_LO12_NC] = {"R_AARCH64_ADD_ABS_LO12_NC", RULE_REFUSED, 0},
    [R_AARCH64_LDST64_ABS_LO12_NC] = {"R_AARCH64_LDST64_ABS_LO12_NC", RULE_REFUSED, 0},
    [R_AARCH64_JUMP26] = {"R_AARCH64_JUMP26", RULE_REFUSED, 0},
    [R_AARCH64_CALL26] = {"R_AARCH64_CALL26", RULE_REFUSED, 0},
};
