/* One object's memory: reserve the whole span, map the segments over it, protect them, give it back.
 *
 * The span is reserved with PROT_NONE first, so that the gaps between segments stay inaccessible and nothing else can
 * move in.  Segments come from a file (private mappings) or from bytes in memory (copied into anonymous mappings).
 * plan.c has checked every number here that needs no file. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image.h"
#include "parallel.h"

#define READ_WRITE (PROT_READ | PROT_WRITE)

static int mmap_protection(const struct lb_image *image, uint32_t flags)
{
    return (flags & PF_R ? PROT_READ : 0) | (flags & PF_W ? PROT_WRITE : 0) |
           (flags & PF_X ? PROT_EXEC | image->code_protection : 0);
}

/* Code that was written as data: on some machines the processor has to be told before it executes it. */
static void flush_code(uint64_t address, uint64_t size, uint32_t flags)
{
    if (flags & PF_X)
        __builtin___clear_cache(lb_pointer(address), lb_pointer(address + size));
}

uint64_t lb_image_at(const struct lb_image *image, uint64_t address, uint64_t size, uint32_t needed)
{
    for (uint32_t i = 0; i < image->segment_count; i++) {
        const struct lb_segment *s = &image->segments[i];
        if ((s->protection & needed) == needed && address - s->address <= s->size &&
            size <= s->size - (address - s->address))
            return image->base + address;
    }
    return 0;
}

const char *lb_image_symbol_name(const struct lb_image *image, uint32_t symbol)
{
    Elf64_Sym row;
    if (symbol >= image->symtab.size / sizeof row)
        return NULL;
    memcpy(&row, lb_pointer(image->base + image->symtab.address + symbol * sizeof row), sizeof row);
    if (row.st_name >= image->strtab.size)
        return NULL;
    return lb_pointer(image->base + image->strtab.address + row.st_name);
}

bool lb_is_rewritten(const struct lb_execution *run, const struct lb_plan_object *o, const struct lb_plan_segment *s)
{
    uint64_t relocations = (o->rela.size + o->jmprel.size) / sizeof(Elf64_Rela) + o->relr.size;
    return (s->protection & PF_W) && relocations / 4 >= s->file_size / run->page;
}

/* Reserves `span` bytes at a runtime address congruent to `low` modulo `align`: more than a page of alignment is had
 * by reserving too much and giving the ends back.  A segment that will have huge pages begins at a multiple of them, and
 * ends with one. */
static int reserve_around(struct lb_execution *run, struct lb_member *member)
{
    const struct lb_plan_object *o = member->record;
    struct lb_image *image = member->image;
    const struct lb_plan_segment *huge = lb_huge_find(run, member);
    uint64_t align = huge != NULL ? LB_HUGE_PAGE : o->align, span = o->span, size;
    uint64_t place = huge != NULL ? o->low - (huge->address & ~(run->page - 1)) : o->low; /* what `start` is congruent to */
    if (huge != NULL && __builtin_add_overflow(span, (0 - place - span) & (LB_HUGE_PAGE - 1), &span))
        span = o->span;
    if (__builtin_add_overflow(span, align - run->page, &size))
        return lb_fail(run->error, LB_MALFORMED, member->index, o->low, "its span and alignment exceed the address space");
    void *got = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (got == MAP_FAILED)
        return lb_fail_errno(run->error, member->index, o->low, "reserving its address range");
    uint64_t first = (uint64_t)(uintptr_t)got, start = first + ((place - first) & (align - 1));
    uint64_t end = start + span, behind = first + size - end;
    bool is_cut = behind == 0 || munmap(lb_pointer(end), behind) == 0;
    if (!is_cut || (start != first && munmap(got, start - first) < 0)) { /* cutting takes one more mapping */
        lb_fail_errno(run->error, member->index, o->low, "aligning its address range");
        lb_unmap(first, is_cut ? end - first : size);
        return -1;
    }
    image->start = start;
    image->span = span;
    image->base = start - o->low;
    member->base = image->base;
    member->huge.segment = huge;
    return 0;
}

static int map_failed(struct lb_execution *run, struct lb_member *member, const struct lb_plan_segment *s)
{
    return lb_fail_errno(run->error, member->index, s->address, "mapping a segment");
}

static uint64_t page_end(const struct lb_execution *run, const struct lb_plan_segment *s)
{
    return (s->address + s->memory_size + run->page - 1) & ~(run->page - 1);
}

/* Whether the whole span may be mapped like the first segment: it is the file's, to be read or executed, and lowest. */
static bool can_map_start(const struct lb_execution *run, const struct lb_member *member)
{
    const struct lb_plan_object *o = member->record;
    const struct lb_plan_segment *s = &run->plan.segments[o->first_segment];
    return member->fd >= 0 && o->align == run->page && s->file_size != 0 &&
           s->file_size == s->memory_size && !(s->protection & PF_W) && (s->address & ~(run->page - 1)) == o->low;
}

/* Reserves the span and maps its first segment in one call; the others are mapped over it, and what is between them is
 * made inaccessible. */
static int reserve_with_start(struct lb_execution *run, struct lb_member *member)
{
    const struct lb_plan_object *o = member->record;
    const struct lb_plan_segment *s = &run->plan.segments[o->first_segment];
    uint64_t head = s->address & (run->page - 1);
    void *got = mmap(NULL, o->span, mmap_protection(member->image, s->protection), MAP_PRIVATE, member->fd,
                     (off_t)(s->file_offset - head));
    if (got == MAP_FAILED)
        return lb_fail_errno(run->error, member->index, o->low, "reserving its address range");
    member->image->start = (uint64_t)(uintptr_t)got;
    member->image->span = o->span;
    member->image->base = member->base = member->image->start - o->low;
    member->start_is_mapped = true;
    for (uint32_t i = 0; i < o->segments; i++) {
        uint64_t end = page_end(run, &s[i]), next = i + 1 < o->segments ? s[i + 1].address & ~(run->page - 1) : o->low + o->span;
        if (end < next && mprotect(lb_pointer(member->base + end), next - end, PROT_NONE) < 0)
            return lb_fail_errno(run->error, member->index, end, "closing the gap between two segments");
    }
    return 0;
}

static int reserve(struct lb_execution *run, struct lb_member *member)
{
    if (lb_huge_find(run, member) == NULL && can_map_start(run, member))
        return reserve_with_start(run, member);
    return reserve_around(run, member);
}

#define MANY_PAGES 64 /* as many faults take longer than what MAP_POPULATE does besides */

static int map_file_part(struct lb_execution *run, struct lb_member *member, const struct lb_plan_segment *s)
{
    uint64_t head = s->address & (run->page - 1), first = member->base + s->address - head;
    uint64_t end = member->base + s->address + s->file_size, rounded = (end + run->page - 1) & ~(run->page - 1);
    int wanted = mmap_protection(member->image, s->protection);
    bool has_tail = s->memory_size > s->file_size && end != rounded;
    int early = has_tail && !(wanted & PROT_WRITE) ? READ_WRITE : wanted;
    bool is_worth_it = rounded - first >= MANY_PAGES * run->page && lb_is_rewritten(run, member->record, s);
    int populate = is_worth_it ? MAP_POPULATE : 0;
    if (mmap(lb_pointer(first), rounded - first, early, MAP_PRIVATE | MAP_FIXED | populate,
             member->fd, (off_t)(s->file_offset - head)) == MAP_FAILED)
        return map_failed(run, member, s);
    if (has_tail)
        memset(lb_pointer(end), 0, rounded - end);
    if (early != wanted && mprotect(lb_pointer(first), rounded - first, wanted) < 0)
        return map_failed(run, member, s);
    return 0;
}

/* Whether what reserve_with_start has mapped are this segment's bytes already: they lie in the file as in memory. */
static bool is_in_place(const struct lb_execution *run, const struct lb_member *member, const struct lb_plan_segment *s)
{
    const struct lb_plan_segment *first = &run->plan.segments[member->record->first_segment];
    return member->start_is_mapped && s->file_size == s->memory_size && !(s->protection & PF_W) &&
           s->address - first->address == s->file_offset - first->file_offset;
}

/* A change of protection costs a third of a mapping. */
static int protect_in_place(struct lb_execution *run, struct lb_member *member, const struct lb_plan_segment *s)
{
    uint64_t first = member->base + (s->address & ~(run->page - 1)), end = member->base + page_end(run, s);
    int wanted = mmap_protection(member->image, s->protection);
    int before = mmap_protection(member->image, run->plan.segments[member->record->first_segment].protection);
    if (wanted != before && mprotect(lb_pointer(first), end - first, wanted) < 0)
        return map_failed(run, member, s);
    return 0;
}

static int map_from_file(struct lb_execution *run, struct lb_member *member, const struct lb_plan_segment *s)
{
    uint64_t mask = run->page - 1, first = member->base + (s->address & ~mask);
    uint64_t end = (member->base + s->address + s->memory_size + mask) & ~mask;
    if (s == member->huge.segment)
        return lb_huge_begin(run, member) < 0 ? map_failed(run, member, s) : 0;
    if (is_in_place(run, member, s))
        return protect_in_place(run, member, s);
    if (s->file_size != 0) {
        if (map_file_part(run, member, s) < 0)
            return -1;
        first = (member->base + s->address + s->file_size + mask) & ~mask;
    }
    if (first < end && mmap(lb_pointer(first), end - first, mmap_protection(member->image, s->protection),
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
        return map_failed(run, member, s);
    return 0;
}

static int map_from_memory(struct lb_execution *run, struct lb_member *member, const struct lb_plan_segment *s)
{
    uint64_t mask = run->page - 1, first = member->base + (s->address & ~mask);
    uint64_t end = (member->base + s->address + s->memory_size + mask) & ~mask;
    int wanted = mmap_protection(member->image, s->protection);
    if (mmap(lb_pointer(first), end - first, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
        return map_failed(run, member, s);
    if (s->file_size != 0)
        memcpy(lb_pointer(member->base + s->address), (const char *)member->source->bytes + s->file_offset, s->file_size);
    flush_code(first, end - first, s->protection);
    if (wanted != READ_WRITE && mprotect(lb_pointer(first), end - first, wanted) < 0)
        return map_failed(run, member, s);
    return 0;
}

static bool is_as_planned(const struct lb_plan_object *o, const struct stat *status)
{
    uint64_t time = (uint64_t)status->st_mtim.tv_sec * 1000000000 + (uint64_t)status->st_mtim.tv_nsec;
    return status->st_dev == o->device && status->st_ino == o->inode && (uint64_t)status->st_size == o->file_size &&
           time == o->mtime_ns;
}

static int open_named(struct lb_execution *run, struct lb_member *member)
{
    if (member->record->path == LB_NO_STRING)
        return lb_fail(run->error, LB_MALFORMED, member->index, 0, "the plan names no file for it");
    /* Without O_NONBLOCK, opening what has become a pipe would wait for a writer. */
    member->fd = open(run->plan.strings + member->record->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (member->fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return lb_fail(run->error, LB_ABSENT, member->index, 0, "there is no such file");
    return member->fd < 0 ? lb_fail_errno(run->error, member->index, 0, "open") : 0;
}

/* Opens what is to be opened, and says how many bytes there are. */
static int open_source(struct lb_execution *run, struct lb_member *member, uint64_t *size)
{
    bool is_named = member->source->kind == LB_SOURCE_NAMED;
    struct stat status;
    *size = member->source->size;
    if (member->source->kind == LB_SOURCE_MEMORY)
        return 0;
    member->fd = is_named ? -1 : member->source->fd;
    if (is_named && open_named(run, member) < 0)
        return -1;
    if (fstat(member->fd, &status) < 0)
        return lb_fail_errno(run->error, member->index, 0, "reading the size of its file");
    if (is_named && !is_as_planned(member->record, &status))
        return lb_fail(run->error, LB_CHANGED, member->index, 0, "its file has changed since the plan was made");
    if (!S_ISREG(status.st_mode))
        return lb_fail(run->error, LB_MALFORMED, member->index, 0, "its file descriptor is not a regular file");
    *size = (uint64_t)status.st_size;
    return 0;
}

void lb_image_close_source(struct lb_member *member)
{
    if (member->source->kind == LB_SOURCE_NAMED && member->fd >= 0)
        close(member->fd); /* of a file that was only read: nothing can be lost */
    member->fd = -1;
}

static int map_segments(struct lb_execution *run, struct lb_member *member, uint64_t available)
{
    for (uint32_t i = 0; i < member->record->segments; i++) {
        const struct lb_plan_segment *s = &run->plan.segments[member->record->first_segment + i];
        if (s->file_size != 0 && s->file_offset + s->file_size > available)
            return lb_fail(run->error, LB_MALFORMED, member->index, s->address,
                           "a segment needs bytes up to %#llx of a file of %#llx bytes: it is cut off",
                           (unsigned long long)(s->file_offset + s->file_size), (unsigned long long)available);
        member->image->segments[i] = (struct lb_segment){s->address, s->memory_size, s->protection};
        if (s->memory_size == 0 || (i == 0 && member->start_is_mapped))
            continue;
        if ((member->fd >= 0 ? map_from_file : map_from_memory)(run, member, s) < 0)
            return -1;
    }
    return 0;
}

/* Names are for people: tables that are damaged are done without. */
static void take_names(struct lb_image *image, const struct lb_plan_object *o)
{
    const struct lb_range *strings = &o->strtab;
    uint64_t end = strings->address + strings->size;
    if (strings->size == 0 || lb_image_at(image, strings->address, strings->size, PF_R) == 0 ||
        *(const char *)lb_pointer(image->base + end - 1) != 0)
        return;
    if (o->symtab.size == 0 || lb_image_at(image, o->symtab.address, o->symtab.size, PF_R) == 0)
        return;
    image->strtab = *strings;
    image->symtab = o->symtab;
}

static void take_program_headers(struct lb_image *image, const struct lb_plan_object *o)
{
    const struct lb_range *headers = &o->program_headers;
    uint64_t count = headers->size / sizeof(Elf64_Phdr), at = lb_image_at(image, headers->address, headers->size, PF_R);
    if (at == 0 || at % _Alignof(Elf64_Phdr) != 0 || count > UINT16_MAX)
        return;
    image->program_headers = lb_pointer(at);
    image->program_header_count = (uint16_t)count;
}

static char *copy_name(const struct lb_execution *run, const struct lb_plan_object *o)
{
    uint32_t string = o->path != LB_NO_STRING ? o->path : o->soname;
    return strdup(string != LB_NO_STRING ? run->plan.strings + string : "");
}

int lb_image_map(struct lb_execution *run, struct lb_member *member)
{
    const struct lb_plan_object *o = member->record;
    lb_unmap_rest();
    struct lb_image *image = calloc(1, sizeof *image);
    if (image == NULL)
        return lb_fail_errno(run->error, member->index, 0, "allocating");
    member->image = image;
    image->segments = calloc(o->segments, sizeof *image->segments);
    image->name = copy_name(run, o);
    if (image->segments == NULL || image->name == NULL)
        return lb_fail_errno(run->error, member->index, 0, "allocating");
    image->segment_count = o->segments;
    image->code_protection = o->flags & LB_OBJECT_BRANCH_TARGETS ? lb_branch_target_protection() : 0;
    image->init_array = o->init_array;
    image->fini_array = o->fini_array;
    image->init = o->init;
    image->fini = o->fini;
    image->eh_frame_header = o->eh_frame_header;
    image->frames_are_sound = (o->flags & LB_OBJECT_FRAMES_SOUND) != 0;
    uint64_t available;
    int result = open_source(run, member, &available);
    if (result == 0)
        result = reserve(run, member);
    if (result == 0)
        result = map_segments(run, member, available);
    if (result < 0 || member->huge.parts == 0)
        lb_image_close_source(member); /* else it is read still */
    if (result < 0)
        return -1;
    if (member->huge.parts == 0)
        take_names(image, o);
    take_program_headers(image, o);
    image->map = (struct link_map){.l_addr = image->base, .l_name = image->name};
    if (o->dynamic != 0 && lb_image_at(image, o->dynamic, sizeof(Elf64_Dyn), PF_R) != 0)
        image->map.l_ld = lb_pointer(image->base + o->dynamic);
    return 0;
}

/* The end of what lb_huge_begin began. */
static int complete_huge(struct lb_execution *run, struct lb_member *member)
{
    const struct lb_huge *huge = &member->huge;
    const struct lb_plan_segment *s = huge->segment;
    const int protection = mmap_protection(member->image, s->protection), failure = lb_huge_end(member);
    lb_image_close_source(member);
    if (failure == LB_HUGE_CUT_OFF)
        return lb_fail(run->error, LB_MALFORMED, member->index, s->address, "its file became shorter");
    if ((errno = failure) != 0)
        return lb_fail_errno(run->error, member->index, s->address, "reading a segment");
    flush_code(huge->to, huge->size, s->protection);
    if (protection != READ_WRITE && mprotect(lb_pointer(huge->to), huge->room, protection) < 0)
        return map_failed(run, member, s);
    return 0;
}

int lb_image_complete(struct lb_execution *run, struct lb_member *member)
{
    if (member->huge.parts == 0)
        return 0;
    if (complete_huge(run, member) < 0)
        return -1;
    take_names(member->image, member->record); /* they may have been in it */
    return 0;
}

void lb_image_unmap(struct lb_image *image)
{
    if (image->span != 0)
        lb_unmap(image->start, image->span);
    image->span = 0;
}

static int protect_text(struct lb_execution *run, struct lb_member *member, bool open)
{
    uint64_t mask = run->page - 1;
    for (uint32_t i = 0; i < member->image->segment_count; i++) {
        const struct lb_segment *s = &member->image->segments[i];
        uint64_t low = s->address & ~mask, size = ((s->address + s->size + mask) & ~mask) - low;
        if ((s->protection & PF_W) || size == 0)
            continue;
        int wanted = open ? READ_WRITE : mmap_protection(member->image, s->protection);
        if (!open)
            flush_code(member->base + low, size, s->protection);
        if (mprotect(lb_pointer(member->base + low), size, wanted) < 0)
            return lb_fail_errno(run->error, member->index, s->address, "changing the protection of code (DT_TEXTREL)");
    }
    return 0;
}

int lb_image_open_text(struct lb_execution *run, struct lb_member *member)
{
    return member->record->flags & LB_OBJECT_TEXTREL ? protect_text(run, member, true) : 0;
}

int lb_image_close_text(struct lb_execution *run, struct lb_member *member)
{
    return member->record->flags & LB_OBJECT_TEXTREL ? protect_text(run, member, false) : 0;
}

/* PT_GNU_RELRO: both ends are rounded down to pages, as glibc's _dl_protect_relro does; a page that RELRO shares with
 * ordinary data stays writable. */
int lb_image_protect(struct lb_execution *run, struct lb_member *member)
{
    const struct lb_range *relro = &member->record->relro;
    uint64_t mask = run->page - 1;
    if (relro->size == 0)
        return 0;
    uint64_t first = relro->address & ~mask, end = (relro->address + relro->size) & ~mask;
    if (first < end && mprotect(lb_pointer(member->base + first), end - first, PROT_READ) < 0)
        return lb_fail_errno(run->error, member->index, relro->address, "protecting PT_GNU_RELRO");
    return 0;
}
