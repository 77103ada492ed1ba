/* Checks a packed plan (plan.h) before anything is done with it.
 *
 * A plan may come from a damaged cache or from an untrusted peer.  What can be said without the files is said here:
 * tables lie inside the plan, indexes inside their tables, segments follow one another inside the reservation.  What
 * needs the file (its size) or the mapped object (its relocation tables) is checked where that is at hand: image.c,
 * relocate.c. */
#define _GNU_SOURCE
#include <elf.h>
#include <unistd.h>

#include "image.h"

#define MAX_OBJECTS 65536u
#define MAX_SEGMENTS 1024u           /* of one object; real ones have four to six */
#define MAX_ALIGN (UINT64_C(1) << 30) /* the largest page size of the supported machines */
#define MAX_TLS_ALIGN (UINT64_C(1) << 20)
#define MAX_TLS_SIZE (UINT64_C(1) << 30)

struct check {
    const unsigned char *bytes;
    const struct lb_plan_header *header;
    uint64_t page;
    uint32_t object; /* being checked, or LB_NONE */
    struct lb_error *error;
};

#define BAD(c, offset, ...) lb_fail((c)->error, LB_MALFORMED, (c)->object, (offset), __VA_ARGS__)

static bool is_power_of_two(uint64_t value) { return value != 0 && (value & (value - 1)) == 0; }

static int check_header(struct check *c, size_t size)
{
    const struct lb_plan_header *h = c->header;
    const struct lb_machine *m = &lb_this_machine;
    if (size < sizeof *h)
        return BAD(c, 0, "the plan has %zu bytes, its header alone needs %zu", size, sizeof *h);
    if (memcmp(h->magic, LB_PLAN_MAGIC, sizeof h->magic) != 0)
        return BAD(c, 0, "not a packed plan: wrong magic number");
    if (h->version != LB_PLAN_VERSION)
        return lb_fail(c->error, LB_UNSUPPORTED, LB_NONE, 0, "packed plan of version %u, this core executes version %u",
                       h->version, LB_PLAN_VERSION);
    if (h->size != size)
        return BAD(c, 0, "the plan says that it has %llu bytes, but there are %zu", (unsigned long long)h->size, size);
    if (h->machine != m->machine || h->elf_class != m->elf_class || h->elf_data != m->data)
        return lb_fail(c->error, LB_UNSUPPORTED, LB_NONE, 0,
                       "a plan for machine %u, class %u, byte order %u cannot be executed on machine %u", h->machine,
                       h->elf_class, h->elf_data, m->machine);
    return 0;
}

static int check_table(struct check *c, const struct lb_table *table, uint64_t record, uint64_t align, const char *name)
{
    uint64_t end = table->offset + table->count * record; /* 32-bit numbers, small records: cannot overflow */
    if (table->offset % align != 0 || end > c->header->size)
        return BAD(c, table->offset, "the table of %s lies outside the plan or is misaligned", name);
    return 0;
}

static int check_string(struct check *c, uint32_t string, const char *name)
{
    if (string != LB_NO_STRING && string >= c->header->strings.count)
        return BAD(c, string, "its %s lies outside the plan's strings", name);
    return 0;
}

/* [first, first + count) inside a table of `total` records? */
static int check_slice(struct check *c, uint32_t first, uint32_t count, uint32_t total, const char *name)
{
    uint32_t end;
    if (__builtin_add_overflow(first, count, &end) || end > total)
        return BAD(c, 0, "its %s lie outside the plan's table", name);
    return 0;
}

static int check_bindings(struct check *c, const struct lb_plan_object *o, const struct lb_plan_binding *all)
{
    if (check_slice(c, o->first_binding, o->bindings, c->header->bindings.count, "bindings") < 0)
        return -1;
    for (uint32_t i = 0; i < o->bindings; i++) {
        const struct lb_plan_binding *b = &all[o->first_binding + i];
        if (i != 0 && b->symbol <= b[-1].symbol)
            return BAD(c, 0, "its bindings are not in ascending order of symbols (%u after %u)", b->symbol, b[-1].symbol);
        if (b->kind > LB_BIND_SERVICE)
            return BAD(c, 0, "symbol %u has a binding of unknown kind %u", b->symbol, b->kind);
        bool needs_object = b->kind == LB_BIND_DATA || b->kind == LB_BIND_FUNCTION || b->kind == LB_BIND_IFUNC ||
                            b->kind == LB_BIND_TLS;
        if (needs_object && b->object >= c->header->objects.count)
            return BAD(c, 0, "symbol %u is bound to object %u, which does not exist", b->symbol, b->object);
    }
    return 0;
}

/* One segment: congruent with its file offset, inside the reservation, and after the page where the last one ended
 * (gABI chapter 5: PT_LOAD entries ascend by p_vaddr; p_vaddr and p_offset are congruent modulo the page size). */
static int check_segment(struct check *c, const struct lb_plan_object *o, const struct lb_plan_segment *s, uint64_t *free)
{
    uint64_t end, file_end, mask = c->page - 1;
    if (__builtin_add_overflow(s->address, s->memory_size, &end) || end > UINT64_MAX - mask ||
        __builtin_add_overflow(s->file_offset, s->file_size, &file_end) || file_end > (uint64_t)INT64_MAX - mask)
        return BAD(c, s->address, "a segment wraps around the address space");
    if (s->file_size > s->memory_size)
        return BAD(c, s->address, "a segment has more bytes in the file than in memory");
    if (((s->address ^ s->file_offset) & mask) != 0 && s->file_size != 0)
        return BAD(c, s->address, "a segment's address and file offset differ modulo the page size");
    if (s->protection & ~(uint32_t)(PF_R | PF_W | PF_X))
        return BAD(c, s->address, "a segment has unknown protection bits %#x", s->protection);
    if ((s->address & ~mask) < *free)
        return BAD(c, s->address, "a segment overlaps the one before it or is out of order");
    *free = (end + mask) & ~mask;
    if (*free > o->low + o->span)
        return BAD(c, s->address, "a segment reaches beyond the object's span");
    return 0;
}

static int check_segments(struct check *c, const struct lb_plan_object *o, const struct lb_plan_segment *all)
{
    uint64_t end, mask = c->page - 1;
    if (check_slice(c, o->first_segment, o->segments, c->header->segments.count, "segments") < 0)
        return -1;
    if (o->segments > MAX_SEGMENTS)
        return BAD(c, 0, "it has %u segments to load", o->segments);
    if ((o->low & mask) != 0 || (o->span & mask) != 0 || o->span == 0 || __builtin_add_overflow(o->low, o->span, &end))
        return BAD(c, o->low, "its span is empty, wraps or is not in whole pages");
    if (!is_power_of_two(o->align) || o->align < c->page || o->align > MAX_ALIGN)
        return BAD(c, o->low, "its alignment %#llx is not a power of two from the page size to 1 GiB",
                   (unsigned long long)o->align);
    uint64_t free = o->low;
    for (uint32_t i = 0; i < o->segments; i++)
        if (check_segment(c, o, &all[o->first_segment + i], &free) < 0)
            return -1;
    return 0;
}

/* Does one segment with the given protection hold all of [address, address + size)?  `rounded`: its whole pages do. */
static bool is_inside(const struct check *c, const struct lb_plan_object *o, const struct lb_plan_segment *all,
                      struct lb_range range, uint32_t needed, bool rounded)
{
    uint64_t mask = rounded ? c->page - 1 : 0;
    for (uint32_t i = 0; i < o->segments; i++) {
        const struct lb_plan_segment *s = &all[o->first_segment + i];
        uint64_t low = s->address & ~mask, size = ((s->address + s->memory_size + mask) & ~mask) - low;
        if ((s->protection & needed) == needed && range.address - low <= size && range.size <= size - (range.address - low))
            return true;
    }
    return false;
}

static int check_ranges(struct check *c, const struct lb_plan_object *o, const struct lb_plan_segment *all)
{
    const struct {
        struct lb_range range;
        uint64_t record;
        const char *name;
    } tables[] = {
        {o->relr, 8, "DT_RELR"},
        {o->rela, sizeof(Elf64_Rela), "DT_RELA"},
        {o->jmprel, sizeof(Elf64_Rela), "DT_JMPREL"},
        {o->init_array, 8, "DT_INIT_ARRAY"},
        {o->fini_array, 8, "DT_FINI_ARRAY"},
        {o->eh_frame_header, 1, "PT_GNU_EH_FRAME"},
        {o->tls_image, 1, "PT_TLS"},
    };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        if (tables[i].range.size % tables[i].record != 0)
            return BAD(c, tables[i].range.address, "%s has a size that is no multiple of its records'", tables[i].name);
        if (tables[i].range.size != 0 && !is_inside(c, o, all, tables[i].range, PF_R, false))
            return BAD(c, tables[i].range.address, "%s lies outside the readable segments", tables[i].name);
    }
    if (o->relro.size != 0 && !is_inside(c, o, all, o->relro, PF_R | PF_W, true))
        return BAD(c, o->relro.address, "PT_GNU_RELRO lies outside the writable segments");
    const uint64_t functions[] = {o->init, o->fini};
    for (size_t i = 0; i < 2; i++)
        if (functions[i] != 0 && !is_inside(c, o, all, (struct lb_range){functions[i], 1}, PF_X, false))
            return BAD(c, functions[i], "%s lies outside the executable segments", i == 0 ? "DT_INIT" : "DT_FINI");
    if ((o->flags & LB_OBJECT_LAZY) && !is_inside(c, o, all, (struct lb_range){o->pltgot, 24}, PF_R | PF_W, false))
        return BAD(c, o->pltgot, "DT_PLTGOT lies outside the writable segments");
    return 0;
}

static int check_tls(struct check *c, const struct lb_plan_object *o)
{
    if (o->tls_size == 0)
        return 0;
    if (o->tls_image.size > o->tls_size)
        return BAD(c, o->tls_image.address, "PT_TLS has more bytes in the file than in memory");
    if (o->tls_align != 0 && !is_power_of_two(o->tls_align))
        return BAD(c, o->tls_image.address, "PT_TLS has an alignment that is no power of two");
    if (o->tls_size > MAX_TLS_SIZE || o->tls_align > MAX_TLS_ALIGN)
        return lb_fail(c->error, LB_UNSUPPORTED, c->object, o->tls_image.address,
                       "a TLS block of %llu bytes aligned to %llu", (unsigned long long)o->tls_size,
                       (unsigned long long)o->tls_align);
    return 0;
}

static int check_object(struct check *c, const struct lb_plan_object *o, const struct lb_plan *plan)
{
    if (o->role > LB_ROLE_OWN)
        return BAD(c, 0, "unknown role %u", o->role);
    if (check_string(c, o->soname, "soname") < 0 || check_string(c, o->path, "path") < 0 ||
        check_string(c, o->build_id, "build-id") < 0)
        return -1;
    if (o->role != LB_ROLE_OWN || o->segments == 0) /* nothing to map: loaded before, or refused by lb_execute */
        return 0;
    if (check_bindings(c, o, plan->bindings) < 0 || check_segments(c, o, plan->segments) < 0 ||
        check_ranges(c, o, plan->segments) < 0)
        return -1;
    return check_tls(c, o);
}

static int check_order(struct check *c, const struct lb_plan *plan)
{
    for (uint32_t i = 0; i < plan->order_count; i++)
        if (plan->order[i] >= plan->object_count)
            return BAD(c, 0, "the order of constructors names object %u, which does not exist", plan->order[i]);
    return 0;
}

int lb_plan_check(const void *bytes, size_t size, struct lb_plan *plan, struct lb_error *error)
{
    const struct lb_plan_header *h = bytes;
    struct check c = {bytes, h, (uint64_t)sysconf(_SC_PAGESIZE), LB_NONE, error};
    if (check_header(&c, size) < 0 ||
        check_table(&c, &h->objects, sizeof(struct lb_plan_object), 8, "objects") < 0 ||
        check_table(&c, &h->segments, sizeof(struct lb_plan_segment), 8, "segments") < 0 ||
        check_table(&c, &h->bindings, sizeof(struct lb_plan_binding), 8, "bindings") < 0 ||
        check_table(&c, &h->order, sizeof(uint32_t), 4, "the order of constructors") < 0 ||
        check_table(&c, &h->strings, 1, 1, "strings") < 0)
        return -1;
    if (h->strings.count != 0 && c.bytes[h->strings.offset + (uint64_t)h->strings.count - 1] != 0)
        return BAD(&c, h->strings.offset, "the plan's strings do not end with a NUL");
    if (h->objects.count == 0 || h->objects.count > MAX_OBJECTS)
        return BAD(&c, 0, "the plan has %u objects", h->objects.count);
    *plan = (struct lb_plan){
        .object_count = h->objects.count,
        .order_count = h->order.count,
        .strings = (const void *)(c.bytes + h->strings.offset),
        .objects = (const void *)(c.bytes + h->objects.offset),
        .segments = (const void *)(c.bytes + h->segments.offset),
        .bindings = (const void *)(c.bytes + h->bindings.offset),
        .order = (const void *)(c.bytes + h->order.offset),
    };
    for (c.object = 0; c.object < plan->object_count; c.object++)
        if (check_object(&c, &plan->objects[c.object], plan) < 0)
            return -1;
    c.object = LB_NONE;
    return check_order(&c, plan);
}
