/* What x86-64 relocation types mean (System V psABI, AMD64 supplement, table 4.9), and the few other things that only
 * this machine knows.  relocate.c includes exactly one such file; nothing else in the core names a CPU. */
#define LB_MACHINE EM_X86_64
#define LB_ELF_CLASS ELFCLASS64
#define LB_ELF_DATA ELFDATA2LSB
#define LB_RELATIVE_TYPE R_X86_64_RELATIVE
#define LB_TLS_STATIC_TYPE R_X86_64_TPOFF64
#define LB_JUMP_SLOT_TYPE R_X86_64_JUMP_SLOT

/* glibc calls a resolver without arguments here (sysdeps/x86/dl-irel.h). */
static uint64_t call_resolver(uint64_t address) { return ((uint64_t(*)(void))(uintptr_t)address)(); }

/* Linux has no indirect branch tracking for programs here. */
static int branch_target_protection(void) { return 0; }

/* A PLT entry pushes its record's index, whatever slot it goes through, and the entry saves what any call can need. */
static bool can_be_lazy(const struct walk *w)
{
    (void)w;
    return true;
}

static const struct rule rules[] = {
    [R_X86_64_NONE] = {"R_X86_64_NONE", RULE_NONE, 0},
    [R_X86_64_64] = {"R_X86_64_64", RULE_ABSOLUTE, 8},                      /* S + A */
    [R_X86_64_PC32] = {"R_X86_64_PC32", RULE_RELATIVE_TO_PLACE, 4},         /* S + A - P, signed */
    [R_X86_64_PLT32] = {"R_X86_64_PLT32", RULE_RELATIVE_TO_PLACE, 4},       /* L + A - P: here L is S */
    [R_X86_64_COPY] = {"R_X86_64_COPY", RULE_COPY, 0},
    [R_X86_64_GLOB_DAT] = {"R_X86_64_GLOB_DAT", RULE_SYMBOL, 8},            /* S */
    [R_X86_64_JUMP_SLOT] = {"R_X86_64_JUMP_SLOT", RULE_SYMBOL, 8},          /* S */
    [R_X86_64_RELATIVE] = {"R_X86_64_RELATIVE", RULE_BASE, 8},              /* B + A */
    [R_X86_64_32] = {"R_X86_64_32", RULE_ABSOLUTE, 4},                      /* S + A, zero-extended */
    [R_X86_64_32S] = {"R_X86_64_32S", RULE_ABSOLUTE_SIGNED, 4},             /* S + A, sign-extended */
    [R_X86_64_PC64] = {"R_X86_64_PC64", RULE_RELATIVE_TO_PLACE, 8},         /* S + A - P */
    [R_X86_64_DTPMOD64] = {"R_X86_64_DTPMOD64", RULE_TLS_MODULE, 8},
    [R_X86_64_DTPOFF64] = {"R_X86_64_DTPOFF64", RULE_TLS_OFFSET, 8},        /* S + A in the block */
    [R_X86_64_TPOFF64] = {"R_X86_64_TPOFF64", RULE_TLS_STATIC, 8},          /* the same from the thread pointer */
    [R_X86_64_TPOFF32] = {"R_X86_64_TPOFF32", RULE_TLS_STATIC, 4},
    [R_X86_64_TLSDESC] = {"R_X86_64_TLSDESC", RULE_TLS_DESCRIPTOR, 16},
    [R_X86_64_IRELATIVE] = {"R_X86_64_IRELATIVE", RULE_RESOLVER, 8},        /* (B + A)() */
    /* Known, and refused by name: they do not occur in shared objects, or need the symbol's size. */
    [R_X86_64_GOT32] = {"R_X86_64_GOT32", RULE_REFUSED, 0},
    [R_X86_64_GOTPCREL] = {"R_X86_64_GOTPCREL", RULE_REFUSED, 0},
    [R_X86_64_16] = {"R_X86_64_16", RULE_REFUSED, 0},
    [R_X86_64_PC16] = {"R_X86_64_PC16", RULE_REFUSED, 0},
    [R_X86_64_8] = {"R_X86_64_8", RULE_REFUSED, 0},
    [R_X86_64_PC8] = {"R_X86_64_PC8", RULE_REFUSED, 0},
    [R_X86_64_TLSGD] = {"R_X86_64_TLSGD", RULE_REFUSED, 0},
    [R_X86_64_TLSLD] = {"R_X86_64_TLSLD", RULE_REFUSED, 0},
    [R_X86_64_DTPOFF32] = {"R_X86_64_DTPOFF32", RULE_REFUSED, 0},
    [R_X86_64_GOTTPOFF] = {"R_X86_64_GOTTPOFF", RULE_REFUSED, 0},
    [R_X86_64_GOTOFF64] = {"R_X86_64_GOTOFF64", RULE_REFUSED, 0},
    [R_X86_64_GOTPC32] = {"R_X86_64_GOTPC32", RULE_REFUSED, 0},
    [R_X86_64_SIZE32] = {"R_X86_64_SIZE32", RULE_REFUSED, 0},
    [R_X86_64_SIZE64] = {"R_X86_64_SIZE64", RULE_REFUSED, 0},
    [R_X86_64_RELATIVE64] = {"R_X86_64_RELATIVE64", RULE_REFUSED, 0},       /* x32 only */
};
