/* Lazy binding: a call through the PLT is bound when it is first made.
 *
 * While an object is relocated its JUMP_SLOT words are left leading back into its PLT, and GOT[1] and GOT[2] get the
 * image and our entry (lazy_<machine>.S).  The plan knows every binding already, so the first call is a look-up in a
 * table: no names, no lock, no interpreter.  Two threads may bind one slot at once; they store the same word.
 * A symbol without a definition is looked for once more at the call, in what was loaded since (lb_process.find_late);
 * where it is nowhere, the process ends as ld.so ends it: there is no caller that could be told. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "image.h"

#define STATUS_SYMBOL_LOOKUP 127 /* ld.so's exit status for "symbol lookup error" */

void lb_lazy_entry(void);
uint64_t lb_lazy_bind(struct lb_image *image, uint64_t index);

int lb_lazy_prepare(struct lb_execution *run, struct lb_member *m)
{
    if (!m->is_lazy)
        return 0;
    struct lb_lazy *lazy = &m->image->lazy;
    lazy->records = m->base + m->record->jmprel.address;
    lazy->record_count = m->record->jmprel.size / sizeof(Elf64_Rela);
    lazy->kinds = calloc(m->record->bindings + UINT64_C(1), sizeof *lazy->kinds);
    if (lazy->kinds == NULL)
        return lb_fail_errno(run->error, m->index, 0, "allocating");
    for (uint32_t i = 0; i < m->record->bindings; i++) {
        bool is_called = m->bindings[i].kind == LB_BIND_IFUNC && m->resolvers_called;
        lazy->kinds[i] = is_called ? LB_BIND_FUNCTION : (uint8_t)m->bindings[i].kind;
    }
    lazy->memo = m->memo; /* the image's from now on */
    lazy->memo_size = m->memo_size;
    lazy->values = m->values;
    m->memo = NULL;
    m->values = NULL;
    lb_store64(m->base + m->record->pltgot + 8, (uint64_t)(uintptr_t)m->image);
    lb_store64(m->base + m->record->pltgot + 16, (uint64_t)(uintptr_t)lb_lazy_entry);
    return 0;
}

void lb_lazy_free(struct lb_lazy *lazy)
{
    free(lazy->memo);
    free(lazy->values);
    free(lazy->kinds);
    *lazy = (struct lb_lazy){0};
}

/* ---- at the call ------------------------------------------------------------------------------------------------- */

__attribute__((noreturn)) static void give_up(const struct lb_image *image, uint32_t symbol, const char *hint)
{
    const char *name = lb_image_symbol_name(image, symbol);
    fprintf(stderr, "latebind: symbol lookup error: %s: undefined symbol: %s%s\n", image->name,
            name != NULL ? name : "(unknown)", hint);
    fflush(stderr);
    _exit(STATUS_SYMBOL_LOOKUP);
}

/* The function that the symbol stands for; does not return where there is none. */
static uint64_t look_up(const struct lb_image *image, uint32_t symbol)
{
    const struct lb_lazy *lazy = &image->lazy;
    uint32_t row = symbol < lazy->memo_size ? lazy->memo[symbol] : 0;
    uint64_t address = 0;
    char hint[256] = "";
    if (row == 0)
        give_up(image, symbol, "");
    switch (lazy->kinds[row - 1]) {
    case LB_BIND_UNRESOLVED:
    case LB_BIND_WEAK_UNDEFINED:
        if (lb_process.find_late != NULL)
            address = lb_process.find_late(image, symbol, hint, sizeof hint);
        if (address == 0)
            give_up(image, symbol, hint);
        return address;
    case LB_BIND_IFUNC:
        return lb_call_resolver(lazy->values[row - 1]);
    default:
        return lazy->values[row - 1];
    }
}

uint64_t lb_lazy_bind(struct lb_image *image, uint64_t index)
{
    int saved_errno = errno; /* the function that is about to run must not see ours */
    Elf64_Rela record;
    if (index >= image->lazy.record_count)
        give_up(image, LB_NONE, "");
    memcpy(&record, lb_pointer(image->lazy.records + index * sizeof record), sizeof record);
    uint64_t address = look_up(image, (uint32_t)ELF64_R_SYM(record.r_info));
    __atomic_store_n((uint64_t *)lb_pointer(image->base + record.r_offset), address, __ATOMIC_RELEASE);
    errno = saved_errno;
    return address;
}
