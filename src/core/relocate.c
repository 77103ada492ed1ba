/* Applies an object's relocation tables (gABI chapter 4, "Relocation").
 *
 * The tables are the file's own and untrusted: each target must lie in a segment that may be written, each symbol
 * must be one that the plan binds.  What a type means comes from the machine's table, in terms of a few generic rules.
 * A table is walked once in full (LB_PASS_PLAIN); references that must wait, for TLS blocks or for resolvers that may
 * use already relocated objects, are only marked then, and the later passes walk the marked part alone.  Nothing is
 * allocated and nothing is looked up by name here. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "image.h"
#include "parallel.h"
#include "services.h"

enum rule_kind {
    RULE_UNKNOWN = 0,
    RULE_NONE,
    RULE_BASE,              /* base + addend */
    RULE_SYMBOL,            /* symbol */
    RULE_ABSOLUTE,          /* symbol + addend, zero-extended to its width */
    RULE_ABSOLUTE_SIGNED,   /* the same, sign-extended */
    RULE_RELATIVE_TO_PLACE, /* symbol + addend - target */
    RULE_RESOLVER,          /* what the function at base + addend returns */
    RULE_TLS_MODULE,        /* module id of the symbol's object */
    RULE_TLS_OFFSET,        /* symbol + addend in its object's block */
    RULE_TLS_STATIC,        /* the same, from the thread pointer */
    RULE_TLS_DESCRIPTOR,    /* a function and its argument, which give that */
    RULE_COPY,
    RULE_REFUSED,
};

struct rule {
    const char *name;
    uint8_t kind;  /* enum rule_kind */
    uint8_t width; /* bytes written */
};

/* The segment that the last target was in.  An 8-byte write at `address` is inside if address - low < starts. */
struct window {
    uint64_t low, starts;
};

struct walk { /* one pass over one table */
    struct lb_execution *run;
    struct lb_member *member;
    enum lb_pass pass;
    bool is_lazy; /* this table's JUMP_SLOT records wait for the first call */
    struct lb_table_marks *marks; /* of this table, by pass */
    struct window window;
    uint64_t record; /* index of the one being applied */
    uint64_t target, addend;
    uint32_t type, symbol;
};

#if defined(__x86_64__)
#include "relocate_x86_64.h"
#elif defined(__aarch64__)
#include "relocate_aarch64.h"
#else
#error "no relocation table for this machine yet: write relocate_<machine>.h"
#endif

const struct lb_machine lb_this_machine = {LB_MACHINE, LB_ELF_CLASS, LB_ELF_DATA, LB_TLS_STATIC_TYPE};

static const char *type_name(uint32_t type)
{
    return type < sizeof rules / sizeof *rules && rules[type].name != NULL ? rules[type].name : "of unknown type";
}

#define FAIL(w, code, format, ...)                                                                                    \
    lb_fail_symbol((w)->run->error, (code), (w)->member->index, (w)->target, (w)->symbol, "relocation %s (%u)" format, \
                   type_name((w)->type), (w)->type __VA_OPT__(, ) __VA_ARGS__)

static int refuse_target(struct walk *w)
{
    return FAIL(w, LB_MALFORMED, ": its target lies outside the segments that may be written");
}

/* Finds the segment that may be written and holds `width` bytes at `address`. */
static bool open_window(struct walk *w, uint64_t address, uint64_t width)
{
    bool may_write_text = (w->member->record->flags & LB_OBJECT_TEXTREL) && w->pass != LB_PASS_IFUNC;
    const struct lb_image *image = w->member->image;
    for (uint32_t i = 0; i < image->segment_count; i++) {
        const struct lb_segment *s = &image->segments[i];
        if (!(s->protection & PF_W) && !may_write_text)
            continue;
        if (s->size < width || address - s->address > s->size - width)
            continue;
        w->window = (struct window){s->address, s->size >= 8 ? s->size - 7 : 0};
        return true;
    }
    return false;
}

static inline bool may_write_word(struct walk *w, uint64_t address)
{
    return __builtin_expect(address - w->window.low < w->window.starts, 1) || open_window(w, address, 8);
}

uint64_t lb_call_resolver(uint64_t address) { return call_resolver(address); }

int lb_branch_target_protection(void) { return branch_target_protection(); }

/* ---- RELR (gABI 4.3, "Relative relocation table"): an even entry is an address; an odd one is a bitmap of the 63 words
 * that follow the last. */

static int relocate_relr(struct walk *w)
{
    uint64_t base = w->member->base, at = base + w->member->record->relr.address;
    uint64_t end = at + w->member->record->relr.size, place = 0;
    w->type = LB_RELATIVE_TYPE;
    w->symbol = LB_NONE;
    if (at != end && (lb_load64(at) & 1))
        return FAIL(w, LB_MALFORMED, ": DT_RELR begins with a bitmap instead of an address");
    for (; at != end; at += 8) {
        uint64_t entry = lb_load64(at), bits = entry >> 1;
        if (!(entry & 1)) {
            place = entry + 8;
            w->target = entry;
            if (!may_write_word(w, entry))
                return refuse_target(w);
            lb_store64(base + entry, base + lb_load64(base + entry));
            continue;
        }
        for (; bits != 0; bits &= bits - 1) {
            uint64_t target = place + 8 * (uint64_t)__builtin_ctzll(bits);
            w->target = target;
            if (!may_write_word(w, target))
                return refuse_target(w);
            lb_store64(base + target, base + lb_load64(base + target));
        }
        place += 63 * 8;
    }
    return 0;
}

/* ---- RELA ---------------------------------------------------------------------------------------------------------- */

/* The plan's binding of the symbol that the record names; NULL for the null symbol. */
static int find_binding(struct walk *w, const struct lb_plan_binding **binding)
{
    const struct lb_member *m = w->member;
    uint32_t index = w->symbol < m->memo_size ? m->memo[w->symbol] : 0;
    *binding = index != 0 ? &m->bindings[index - 1] : NULL;
    if (index == 0 && w->symbol != STN_UNDEF)
        return FAIL(w, LB_MALFORMED, " refers to symbol %u, which the plan does not bind", w->symbol);
    if (index != 0 && (*binding)->kind == LB_BIND_UNRESOLVED)
        return FAIL(w, LB_UNRESOLVED, " refers to symbol %u, which has no definition", w->symbol);
    return 0;
}

static uint64_t bound_value(const struct walk *w, const struct lb_plan_binding *binding)
{
    return binding == NULL ? 0 : w->member->values[binding - w->member->bindings];
}

static bool fits(uint64_t value, const struct rule *rule)
{
    if (rule->width == 8)
        return true;
    return rule->kind == RULE_ABSOLUTE ? value <= UINT32_MAX : (int64_t)value == (int32_t)value;
}

static int store(struct walk *w, const struct rule *rule, uint64_t value)
{
    const struct lb_range *tls = &w->member->record->tls_image;
    bool is_late = w->pass != LB_PASS_PLAIN && w->member->record->tls_size != 0;
    if (!fits(value, rule))
        return FAIL(w, LB_UNSUPPORTED, ": the value %#llx does not fit in %u bytes", (unsigned long long)value, rule->width);
    if (rule->width == 8 ? !may_write_word(w, w->target) : !open_window(w, w->target, rule->width))
        return w->pass == LB_PASS_IFUNC && (w->member->record->flags & LB_OBJECT_TEXTREL)
                   ? FAIL(w, LB_UNSUPPORTED, ": an IFUNC in a segment that is not writable")
                   : refuse_target(w);
    if (is_late && w->target < tls->address + tls->size && w->target + rule->width > tls->address) /* the carrier has its copy of the image already */
        return FAIL(w, LB_UNSUPPORTED, ": a thread-local variable whose initial value is known only at the end");
    memcpy(lb_pointer(w->member->base + w->target), &value, rule->width); /* little-endian: the low bytes */
    return 0;
}

/* The TLS block that the record's symbol lives in: its own object's for the null symbol.  *tls is NULL for an undefined
 * weak one, whose record is left alone as in glibc. */
static int find_tls(struct walk *w, const struct lb_plan_binding *binding, struct lb_member **owner)
{
    *owner = w->member;
    if (binding == NULL)
        return 0;
    *owner = NULL;
    if (binding->kind == LB_BIND_WEAK_UNDEFINED)
        return 0;
    if (binding->kind != LB_BIND_TLS)
        return FAIL(w, LB_MALFORMED, " wants a thread-local variable, but symbol %u is bound to something else", w->symbol);
    *owner = &w->run->members[binding->object];
    return 0;
}

typedef void descriptor_function(void);

static int store_descriptor(struct walk *w, descriptor_function *function, uint64_t argument)
{
    uint64_t at = w->member->base + w->target;
    if (!open_window(w, w->target, 16))
        return refuse_target(w);
    lb_store64(at, (uint64_t)(uintptr_t)function);
    lb_store64(at + 8, argument);
    return 0;
}

/* A descriptor is a function and its argument: the offset from the thread pointer, or where to find module and offset
 * (room for which lb_tls_carry made). */
static int describe(struct walk *w, const struct lb_tls *tls, uint64_t offset)
{
    struct lb_image *image = w->member->image;
    if (tls->is_static)
        return store_descriptor(w, lb_tls_descriptor_static, offset + (uint64_t)tls->offset);
    if (image->tls_argument_count == w->member->descriptors)
        return FAIL(w, LB_MALFORMED, ": a TLS descriptor that was not there before");
    uint64_t *pair = image->tls_arguments[image->tls_argument_count++];
    pair[0] = tls->module;
    pair[1] = offset;
    return store_descriptor(w, lb_tls_descriptor_dynamic, (uint64_t)(uintptr_t)pair);
}

static int apply_tls(struct walk *w, const struct rule *rule, const struct lb_plan_binding *binding)
{
    struct lb_member *owner;
    if (find_tls(w, binding, &owner) < 0)
        return -1;
    if (owner == NULL)
        return rule->kind == RULE_TLS_DESCRIPTOR ? store_descriptor(w, lb_tls_descriptor_undefined, w->addend) : 0;
    if (owner->tls.module == 0)
        return FAIL(w, LB_MALFORMED, ": object %u has no TLS block", owner->index);
    uint64_t offset = bound_value(w, binding) + w->addend;
    if (rule->kind == RULE_TLS_MODULE)
        return store(w, rule, owner->tls.module);
    if (rule->kind == RULE_TLS_OFFSET)
        return store(w, rule, offset);
    if (rule->kind == RULE_TLS_DESCRIPTOR)
        return describe(w, &owner->tls, offset);
    if (!owner->tls.is_static)
        return FAIL(w, LB_UNSUPPORTED, ": the TLS block of object %u is not at a fixed offset from the thread pointer",
                    owner->index);
    return store(w, rule, offset + (uint64_t)owner->tls.offset);
}

static int apply_resolver(struct walk *w, const struct rule *rule)
{
    uint64_t resolver = lb_image_at(w->member->image, w->addend, 1, PF_X);
    if (resolver == 0)
        return FAIL(w, LB_MALFORMED, ": the resolver at %#llx lies outside the executable segments",
                    (unsigned long long)w->addend);
    return store(w, rule, lb_call_resolver(resolver));
}

static int apply_symbol(struct walk *w, const struct rule *rule, const struct lb_plan_binding *binding)
{
    uint64_t value = bound_value(w, binding);
    if (binding != NULL && binding->kind == LB_BIND_TLS)
        return FAIL(w, LB_MALFORMED, " wants an address, but symbol %u is bound to a thread-local variable", w->symbol);
    if (rule->kind != RULE_SYMBOL)
        value += w->addend;
    if (rule->kind == RULE_RELATIVE_TO_PLACE)
        value -= w->member->base + w->target;
    return store(w, rule, value);
}

/* Notes that the record has to wait for `pass`, and what it will want then. */
static int mark(struct walk *w, const struct rule *rule, const struct lb_plan_binding *binding, enum lb_pass pass)
{
    struct lb_table_marks *marks = &w->marks[pass];
    struct lb_member *owner;
    if (marks->end == 0)
        marks->first = w->record;
    marks->end = w->record + 1;
    if (rule->kind != RULE_TLS_STATIC && rule->kind != RULE_TLS_DESCRIPTOR)
        return 0;
    if (find_tls(w, binding, &owner) < 0)
        return -1;
    if (rule->kind == RULE_TLS_DESCRIPTOR)
        w->member->descriptors++;
    if (owner != NULL && rule->kind == RULE_TLS_DESCRIPTOR)
        __atomic_store_n(&owner->would_use_static_tls, true, __ATOMIC_RELAXED); /* two threads may note it */
    else if (owner != NULL)
        __atomic_store_n(&owner->wants_static_tls, true, __ATOMIC_RELAXED);
    return 0;
}

/* Leaves a JUMP_SLOT leading back into the PLT, as the link editor made it.  False where it must be bound at once: it
 * will be protected, does not lead to code, or the machine's entry could not bind it. */
static bool leave_unbound(struct walk *w)
{
    const struct lb_range *relro = &w->member->record->relro;
    if (w->target % 8 != 0 || !may_write_word(w, w->target) || w->target - relro->address < relro->size || !can_be_lazy(w))
        return false;
    if (w->pass != LB_PASS_PLAIN)
        return true;
    uint64_t back = lb_load64(w->member->base + w->target);
    if (lb_image_at(w->member->image, back, 1, PF_X) == 0)
        return false;
    lb_store64(w->member->base + w->target, w->member->base + back);
    return true;
}

static int apply(struct walk *w)
{
    const struct rule *rule = w->type < sizeof rules / sizeof *rules ? &rules[w->type] : NULL;
    const struct lb_plan_binding *binding;
    if (rule == NULL || rule->kind == RULE_UNKNOWN || rule->kind == RULE_REFUSED)
        return FAIL(w, LB_UNSUPPORTED, " is not supported");
    if (rule->kind == RULE_NONE)
        return 0;
    if (rule->kind == RULE_COPY)
        return FAIL(w, LB_UNSUPPORTED, ": only a program may copy a variable out of its libraries");
    if (w->is_lazy && w->type == LB_JUMP_SLOT_TYPE && leave_unbound(w))
        return 0;
    if (find_binding(w, &binding) < 0)
        return -1;
    bool is_tls = rule->kind >= RULE_TLS_MODULE && rule->kind <= RULE_TLS_DESCRIPTOR;
    bool is_ifunc = rule->kind == RULE_RESOLVER || (binding != NULL && binding->kind == LB_BIND_IFUNC && !is_tls);
    enum lb_pass due = is_tls ? LB_PASS_TLS : is_ifunc ? LB_PASS_IFUNC : LB_PASS_PLAIN;
    if (due != w->pass)
        return w->pass == LB_PASS_PLAIN ? mark(w, rule, binding, due) : 0;
    if (is_tls)
        return apply_tls(w, rule, binding);
    if (rule->kind == RULE_BASE)
        return store(w, rule, w->member->base + w->addend);
    return rule->kind == RULE_RESOLVER ? apply_resolver(w, rule) : apply_symbol(w, rule, binding);
}

/* Applies RELATIVE records from `first` on, and returns the number of the first that is something else, or whose target
 * may not be written: apply() says so.  Linkers sort them to the front, hundreds of thousands in a large library, hence
 * the bare loop: one comparison guards each write. */
static uint64_t relocate_relative(struct walk *w, uint64_t table, uint64_t first, uint64_t end)
{
    const uint64_t base = w->member->base, relative = ELF64_R_INFO(0, LB_RELATIVE_TYPE);
    uint64_t at = table + first * sizeof(Elf64_Rela), stop = table + end * sizeof(Elf64_Rela);
    for (; at != stop && lb_load64(at + 8) == relative; at += sizeof(Elf64_Rela)) {
        uint64_t target = lb_load64(at);
        if (!may_write_word(w, target))
            break;
        lb_store64(base + target, base + lb_load64(at + 16));
    }
    return (at - table) / sizeof(Elf64_Rela);
}

/* Walks records [first, end) of the table at the runtime address `table`. */
static int relocate_rela(struct walk *w, uint64_t table, uint64_t first, uint64_t end)
{
    for (w->record = first; w->record < end; w->record++) {
        if (w->pass == LB_PASS_PLAIN)
            w->record = relocate_relative(w, table, w->record, end);
        if (w->record == end)
            return 0;
        uint64_t at = table + w->record * sizeof(Elf64_Rela), info = lb_load64(at + 8);
        w->target = lb_load64(at);
        w->addend = lb_load64(at + 16);
        w->type = (uint32_t)ELF64_R_TYPE(info);
        w->symbol = (uint32_t)ELF64_R_SYM(info);
        if (apply(w) < 0)
            return -1;
    }
    return 0;
}

#define MANY_RECORDS (UINT64_C(1) << 16) /* half of them take several times what a thread does */

struct halves { /* the RELATIVE records at the beginning of each half of a table */
    struct walk walks[2];
    uint64_t table, bounds[3], done[2]; /* numbers of records */
};

/* Has the pages of a range mapped at once, where the system can do that: each would be a fault. */
static void populate(uint64_t address, uint64_t size)
{
#ifdef MADV_POPULATE_READ
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), first = address & ~(page - 1);
    (void)madvise(lb_pointer(first), address + size - first, MADV_POPULATE_READ);
#else
    (void)address, (void)size;
#endif
}

static void relocate_half(void *data, int half)
{
    struct halves *h = data;
    const uint64_t first = h->bounds[half], end = h->bounds[half + 1];
    populate(h->table + first * sizeof(Elf64_Rela), (end - first) * sizeof(Elf64_Rela));
    h->done[half] = relocate_relative(&h->walks[half], h->table, first, end);
}

/* A large table by two processors, where there are two.  RELATIVE records do not depend on each other or on anything
 * else; what remains is done here, in order. */
static int relocate_large(struct walk *w, uint64_t table, uint64_t end)
{
    struct halves h = {.walks = {*w, *w}, .table = table, .bounds = {0, end / 2, end}};
    lb_in_halves(relocate_half, &h);
    if (relocate_rela(w, table, h.done[0], h.bounds[1]) < 0)
        return -1;
    return relocate_rela(w, table, h.done[1], end);
}

/* ---- one object ------------------------------------------------------------------------------------------------------ */

/* DT_JMPREL may be the tail of DT_RELA (older linkers): then it is only walked as itself. */
static struct lb_range rela_without_jmprel(const struct lb_plan_object *o)
{
    struct lb_range rela = o->rela;
    if (o->jmprel.size != 0 && o->jmprel.address - rela.address < rela.size &&
        o->jmprel.address + o->jmprel.size == rela.address + rela.size)
        rela.size = o->jmprel.address - rela.address;
    return rela;
}

/* What the IFUNC resolver at `address` returns; it is called once. */
static bool resolve(struct lb_execution *run, uint64_t address, uint64_t *result)
{
    struct lb_resolved *known = &run->resolved[address / 16 % (sizeof run->resolved / sizeof *run->resolved)];
    if (known->resolver != address) {
        if (!lb_is_code(run, address))
            return false;
        *known = (struct lb_resolved){address, lb_call_resolver(address)};
    }
    *result = known->result;
    return true;
}

/* Calls the resolvers that this object's symbols are bound to. */
static int call_resolvers(struct lb_execution *run, struct lb_member *m)
{
    if (m->resolvers_called)
        return 0;
    m->resolvers_called = true;
    for (uint32_t i = 0; i < m->record->bindings; i++) {
        if (m->bindings[i].kind != LB_BIND_IFUNC)
            continue;
        if (!resolve(run, m->values[i], &m->values[i]))
            return lb_fail_symbol(run->error, LB_MALFORMED, m->index, 0, m->bindings[i].symbol,
                                  "symbol %u is bound to a resolver that is not in executable memory",
                                  m->bindings[i].symbol);
    }
    return 0;
}

int lb_relocate(struct lb_execution *run, struct lb_member *member, enum lb_pass pass)
{
    const struct lb_range tables[] = {rela_without_jmprel(member->record), member->record->jmprel};
    struct walk w = {.run = run, .member = member, .pass = pass};
    if (pass == LB_PASS_PLAIN && relocate_relr(&w) < 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        w.marks = member->marks[i];
        w.is_lazy = member->is_lazy && i == 1;
        struct lb_table_marks part = {0, tables[i].size / sizeof(Elf64_Rela)};
        if (pass != LB_PASS_PLAIN)
            part = w.marks[pass];
        if (pass == LB_PASS_IFUNC && part.end != 0 && call_resolvers(run, member) < 0)
            return -1;
        uint64_t table = member->base + tables[i].address;
        bool is_large = pass == LB_PASS_PLAIN && part.end >= MANY_RECORDS;
        if (is_large ? relocate_large(&w, table, part.end) < 0 : relocate_rela(&w, table, part.first, part.end) < 0)
            return -1;
    }
    return 0;
}

/* What a reference to the symbol becomes; for an IFUNC the resolver's address until call_resolvers. */
static int bind_value(struct lb_execution *run, struct lb_member *m, const struct lb_plan_binding *b, uint64_t *value)
{
    const struct lb_member *target = NULL;
    switch (b->kind) {
    case LB_BIND_DATA:
    case LB_BIND_FUNCTION:
    case LB_BIND_IFUNC:
        target = &run->members[b->object];
        if (target->image != NULL && b->value - target->record->low > target->record->span)
            return lb_fail_symbol(run->error, LB_MALFORMED, m->index, 0, b->symbol,
                                  "symbol %u is bound outside object %u", b->symbol, b->object);
        *value = target->base + b->value;
        return 0;
    case LB_BIND_HOOK:
        if (b->value >= run->hook_count)
            return lb_fail_symbol(run->error, LB_MALFORMED, m->index, 0, b->symbol,
                                  "symbol %u is bound to hook %llu of %llu", b->symbol, (unsigned long long)b->value,
                                  (unsigned long long)run->hook_count);
        *value = run->hooks[b->value];
        return 0;
    case LB_BIND_TLS:
        target = &run->members[b->object];
        if (target->image != NULL && b->value > target->record->tls_size)
            return lb_fail_symbol(run->error, LB_MALFORMED, m->index, 0, b->symbol,
                                  "symbol %u is bound outside the TLS block of object %u", b->symbol, b->object);
        *value = b->value;
        return 0;
    case LB_BIND_SERVICE:
        *value = lb_service_address(b->value);
        if (*value == 0)
            return lb_fail_symbol(run->error, LB_MALFORMED, m->index, 0, b->symbol,
                                  "symbol %u is bound to a service that this core does not have", b->symbol);
        return 0;
    case LB_BIND_ABSOLUTE:
        *value = b->value;
        return 0;
    default: /* undefined weak: 0; unresolved: an error when a record refers to it */
        *value = 0;
        return 0;
    }
}

int lb_relocate_prepare(struct lb_execution *run, struct lb_member *m)
{
    uint32_t count = m->record->bindings;
    if (count == 0)
        return 0;
    /* A symbol table inside the object bounds its indexes, and so the memo of a damaged plan. */
    uint64_t last = m->bindings[count - 1].symbol;
    if (last >= m->record->span / sizeof(Elf64_Sym))
        return lb_fail_symbol(run->error, LB_MALFORMED, m->index, 0, (uint32_t)last,
                              "symbol %u is more than the object can have", (uint32_t)last);
    m->memo_size = last + 1;
    m->memo = calloc(m->memo_size, sizeof *m->memo);
    m->values = calloc(count, sizeof *m->values);
    if (m->memo == NULL || m->values == NULL)
        return lb_fail_errno(run->error, m->index, 0, "allocating");
    for (uint32_t i = 0; i < count; i++) {
        m->memo[m->bindings[i].symbol] = i + 1;
        if (bind_value(run, m, &m->bindings[i], &m->values[i]) < 0)
            return -1;
    }
    return 0;
}
