/* The header, interpreter and dynamic section of a plain file; see summary.h.
 *
 * What a field means is defined in latebind/elf (header.py, segment.py, dynamic.py); tests/elf/test_summary.py holds the
 * two together. */
#define _GNU_SOURCE /* memmem */
#include "summary.h"

#include <elf.h>
#include <string.h>
#include <unistd.h>

#define NT_FDO_DLOPEN 0x407c0c0au /* uapi-group.org: "ELF dlopen metadata" */

void lb_source_open(struct lb_source *source, int fd, uint64_t size)
{
    source->data = NULL;
    source->fd = fd;
    source->size = size;
    source->headers.size = source->strings.size = 0;
}

/* Reads what is at `offset` ahead; where that fails the window stays empty, and `take` reads. */
static void look_ahead(const struct lb_source *source, struct lb_window *window, uint64_t offset)
{
    if (source->data)
        return;
    ssize_t got = pread(source->fd, window->bytes, sizeof window->bytes, (off_t)offset);
    window->offset = offset;
    window->size = got > 0 ? (uint32_t)got : 0;
}

static bool take_ahead(const struct lb_window *window, uint64_t offset, uint64_t size, void *into)
{
    if (offset < window->offset || offset - window->offset > window->size ||
        size > window->size - (offset - window->offset))
        return false;
    memcpy(into, window->bytes + (offset - window->offset), size);
    return true;
}

/* The one way to the file's bytes: `size` bytes from `offset` on, or false where they are not all in the file. */
static bool take(const struct lb_source *source, uint64_t offset, uint64_t size, void *into)
{
    if (offset > source->size || size > source->size - offset)
        return false;
    if (source->data) {
        memcpy(into, source->data + offset, size);
        return true;
    }
    if (take_ahead(&source->headers, offset, size, into) || take_ahead(&source->strings, offset, size, into))
        return true;
    return pread(source->fd, into, size, (off_t)offset) == (ssize_t)size; /* fails on a file that shrinks meanwhile */
}

static uint64_t number(const struct lb_summary *s, const uint8_t *at, unsigned width)
{
    uint16_t half;
    uint32_t word;
    uint64_t extended;
    switch (width) {
    case 2: memcpy(&half, at, 2); return s->swap ? __builtin_bswap16(half) : half;
    case 4: memcpy(&word, at, 4); return s->swap ? __builtin_bswap32(word) : word;
    default: memcpy(&extended, at, 8); return s->swap ? __builtin_bswap64(extended) : extended;
    }
}

static uint64_t round_up(uint64_t value, uint64_t step) /* to a multiple of `step`, a power of two */
{
    return (value + step - 1) & ~(step - 1);
}

/* header.py */
static bool read_header(const struct lb_source *source, struct lb_summary *s, uint64_t *table, uint64_t *count)
{
    uint8_t h[64];
    if (!take(source, 0, 16, h) || memcmp(h, ELFMAG, SELFMAG) != 0)
        return false;
    s->elf_class = h[EI_CLASS];
    s->data = h[EI_DATA];
    s->os_abi = h[EI_OSABI];
    if ((s->elf_class != ELFCLASS32 && s->elf_class != ELFCLASS64) || (s->data != ELFDATA2LSB && s->data != ELFDATA2MSB))
        return false;
    s->is64 = s->elf_class == ELFCLASS64;
    s->swap = (s->data == ELFDATA2MSB) != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
    if (!take(source, 0, s->is64 ? 64 : 52, h))
        return false;
    s->type = (uint16_t)number(s, h + 16, 2);
    s->machine = (uint16_t)number(s, h + 18, 2);
    *table = s->is64 ? number(s, h + 32, 8) : number(s, h + 28, 4);
    uint64_t entry_size = number(s, h + (s->is64 ? 54 : 42), 2);
    *count = number(s, h + (s->is64 ? 56 : 44), 2);
    if (*count == PN_XNUM) /* the real number stands in a section header */
        return false;
    if (!*table)
        *count = 0;
    return !*count || (entry_size == (s->is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)) && *count <= LB_SUMMARY_SEGMENTS);
}

/* segment.py */
static bool read_segments(const struct lb_source *source, struct lb_summary *s, uint64_t table, uint64_t count)
{
    uint8_t bytes[LB_SUMMARY_SEGMENTS * sizeof(Elf64_Phdr)];
    uint64_t width = s->is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
    if (!take(source, table, count * width, bytes))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *p = bytes + i * width;
        s->segments[i] = (struct lb_segment){
            .type = number(s, p, 4),
            .offset = s->is64 ? number(s, p + 8, 8) : number(s, p + 4, 4),
            .address = s->is64 ? number(s, p + 16, 8) : number(s, p + 8, 4),
            .file_size = s->is64 ? number(s, p + 32, 8) : number(s, p + 16, 4),
            .align = s->is64 ? number(s, p + 48, 8) : number(s, p + 28, 4),
        };
    }
    s->segment_count = (uint32_t)count;
    return true;
}

static const struct lb_segment *segment_of(const struct lb_summary *s, uint64_t type)
{
    for (uint32_t i = 0; i < s->segment_count; i++)
        if (s->segments[i].type == type)
            return &s->segments[i];
    return NULL;
}

/* The string that starts at `offset` and ends, with its NUL, before `end`; it is appended to the text. */
static bool read_string(const struct lb_source *source, struct lb_summary *s, uint64_t offset, uint64_t end,
                        struct lb_string *string)
{
    uint32_t start = s->text_size;
    for (uint64_t piece = 64; offset < end; offset += piece, piece = 1024) {
        if (piece > end - offset)
            piece = end - offset;
        if (piece > sizeof s->text - s->text_size || !take(source, offset, piece, s->text + s->text_size))
            return false;
        const char *zero = memchr(s->text + s->text_size, 0, piece);
        if (zero) {
            s->text_size = (uint32_t)(zero - s->text);
            *string = (struct lb_string){start, s->text_size - start, true};
            return true;
        }
        s->text_size += (uint32_t)piece;
    }
    return false;
}

/* PT_INTERP: up to its first NUL, or to its end where it has none. */
static bool read_interpreter(const struct lb_source *source, struct lb_summary *s)
{
    const struct lb_segment *segment = segment_of(s, PT_INTERP);
    if (!segment)
        return true;
    if (segment->file_size > 1024 || !take(source, segment->offset, segment->file_size, s->text))
        return false;
    s->text_size = (uint32_t)strnlen(s->text, segment->file_size);
    s->interpreter = (struct lb_string){0, s->text_size, true};
    return true;
}

/* dynamic.py, `read_dynamic`: the entries before DT_NULL. */
static bool read_entries(const struct lb_source *source, struct lb_summary *s)
{
    const struct lb_segment *segment = segment_of(s, PT_DYNAMIC);
    unsigned word = s->is64 ? 8 : 4;
    uint64_t count = segment ? segment->file_size / (2 * word) : 0;
    uint8_t bytes[LB_SUMMARY_ENTRIES * 16];
    if (count > LB_SUMMARY_ENTRIES || (count && !take(source, segment->offset, count * 2 * word, bytes)))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t tag = number(s, bytes + i * 2 * word, word);
        if (tag == DT_NULL)
            break;
        s->tags[i] = tag;
        s->values[i] = number(s, bytes + i * 2 * word + word, word);
        s->entry_count = i + 1;
    }
    s->is_dynamic = s->entry_count > 0;
    return !segment || segment->file_size == 0 || count > 0 || segment->offset <= source->size;
}

/* The value of `tag`; as in ld.so, the last entry counts. */
static bool value_of(const struct lb_summary *s, uint64_t tag, uint64_t *value)
{
    for (uint32_t i = s->entry_count; i-- > 0;)
        if (s->tags[i] == tag) {
            *value = s->values[i];
            return true;
        }
    return false;
}

static bool offset_of(const struct lb_summary *s, uint64_t address, uint64_t *offset)
{
    for (uint32_t i = 0; i < s->segment_count; i++) {
        const struct lb_segment *p = &s->segments[i];
        if (p->type == PT_LOAD && address >= p->address && address - p->address < p->file_size)
            return !__builtin_add_overflow(address - p->address, p->offset, offset);
    }
    return false;
}

static bool is_string(uint64_t tag)
{
    switch (tag) {
    case DT_NEEDED: case DT_SONAME: case DT_RPATH: case DT_RUNPATH:
    case DT_AUXILIARY: case 0x7ffffffe /* DT_USED */: case DT_FILTER:
    case DT_CONFIG: case DT_DEPAUDIT: case DT_AUDIT:
        return true;
    default:
        return false;
    }
}

/* The lowest value of an entry that means a string: linkers put those strings side by side. */
static uint64_t first_string(const struct lb_summary *s, uint64_t size)
{
    uint64_t first = size;
    for (uint32_t i = 0; i < s->entry_count; i++)
        if (is_string(s->tags[i]) && s->values[i] < first)
            first = s->values[i];
    return first;
}

/* Every entry that means a string is read, also where nobody asks for it: a bad one makes the section malformed. */
static bool read_strings(struct lb_source *source, struct lb_summary *s)
{
    uint64_t address, size = 0, start = 0, end = 0;
    bool has_table = value_of(s, DT_STRTAB, &address) && value_of(s, DT_STRSZ, &size) && size;
    if (has_table && (!offset_of(s, address, &start) || __builtin_add_overflow(start, size, &end) || end > source->size))
        return false;
    if (has_table)
        look_ahead(source, &source->strings, start + first_string(s, size));
    for (uint32_t i = 0; i < s->entry_count; i++) {
        if (!is_string(s->tags[i]))
            continue;
        struct lb_string string = {0, 0, false};
        if (has_table && (s->values[i] >= size || !read_string(source, s, start + s->values[i], end, &string)))
            return false;
        switch (s->tags[i]) {
        case DT_NEEDED: s->needed[s->needed_count++] = string; break;
        case DT_SONAME: s->soname = string; break;
        case DT_RPATH: s->rpath = string; break;
        case DT_RUNPATH: s->runpath = string; break;
        default: break;
        }
    }
    return true;
}

/* dynamic.py, `Dynamic.flags`: the older tags of one purpose each are folded in. */
static void read_flags(struct lb_summary *s)
{
    uint64_t ignored;
    value_of(s, DT_FLAGS, &s->flags);
    value_of(s, DT_FLAGS_1, &s->flags_1);
    s->flags |= value_of(s, DT_SYMBOLIC, &ignored) ? DF_SYMBOLIC : 0;
    s->flags |= value_of(s, DT_TEXTREL, &ignored) ? DF_TEXTREL : 0;
    s->flags |= value_of(s, DT_BIND_NOW, &ignored) ? DF_BIND_NOW : 0;
    if (value_of(s, DT_RUNPATH, &ignored))
        s->rpath.is_there = false; /* gABI, "Shared Object Dependencies" */
}

/* note.py, `_notes_at`: whether one of the notes is .note.dlopen's, or they cannot be told apart. */
static bool may_be_dlopen(const struct lb_summary *s, const uint8_t *notes, uint64_t size, uint64_t align)
{
    uint64_t step = align == 8 ? 8 : 4;
    for (uint64_t at = 0; at + 12 <= size;) {
        uint64_t name_size = number(s, notes + at, 4), desc_size = number(s, notes + at + 4, 4);
        uint64_t end = round_up(at + 12 + name_size, step) + desc_size;
        if (end > size || number(s, notes + at + 8, 4) == NT_FDO_DLOPEN)
            return true;
        at = round_up(end, step);
    }
    return false;
}

/* Whether it may have a .note.dlopen, whose owner's name FDO (systemd's) then stands somewhere in a PT_NOTE. Its package
 * notes have that too, and in some systems every file has one. */
static bool may_have_dlopen_note(const struct lb_source *source, const struct lb_summary *s)
{
    uint8_t bytes[LB_SUMMARY_WINDOW];
    for (uint32_t i = 0; i < s->segment_count; i++) {
        const struct lb_segment *p = &s->segments[i];
        if (p->type != PT_NOTE)
            continue;
        if (p->file_size > sizeof bytes || !take(source, p->offset, p->file_size, bytes))
            return true;
        if (memmem(bytes, p->file_size, "FDO", 3) && may_be_dlopen(s, bytes, p->file_size, p->align))
            return true;
    }
    return false;
}

bool lb_summarize(struct lb_source *source, struct lb_summary *summary)
{
    look_ahead(source, &source->headers, 0);
    memset(summary, 0, offsetof(struct lb_summary, needed));
    uint64_t table, count;
    if (!read_header(source, summary, &table, &count))
        return false;
    if (count && !read_segments(source, summary, table, count))
        return false;
    if (!read_interpreter(source, summary) || !read_entries(source, summary) || !read_strings(source, summary))
        return false;
    read_flags(summary);
    summary->has_dlopen_note = may_have_dlopen_note(source, summary);
    return true;
}
