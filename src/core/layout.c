/* Reading where an object's tables are; layout.h says what for. */
#include "layout.h"

#include <elf.h>
#include <string.h>

#define PAGE UINT64_C(4096) /* the smallest of any machine: linkplan/format.py */

#ifndef DT_RELR
#define DT_RELRSZ 35
#define DT_RELR 36
#endif

/* What the dynamic section says: the value of each tag that is asked for; as in ld.so, the last entry of a tag counts. */
enum tag {
    TAG_HASH, TAG_STRTAB, TAG_SYMTAB, TAG_RELA, TAG_RELASZ, TAG_STRSZ, TAG_INIT, TAG_FINI, TAG_JMPREL, TAG_PLTRELSZ,
    TAG_PLTREL, TAG_PLTGOT, TAG_INIT_ARRAY, TAG_INIT_ARRAYSZ, TAG_FINI_ARRAY, TAG_FINI_ARRAYSZ, TAG_RELR, TAG_RELRSZ,
    TAG_GNU_HASH, TAG_VERSYM, TAG_VERDEF, TAG_VERDEFNUM, TAG_VERNEED, TAG_VERNEEDNUM, TAG_RELACOUNT, TAGS,
    TAG_OTHER = TAGS, TAG_UNUSUAL,
};

struct reader {
    const struct lb_view *view;
    struct lb_layout *out;
    Elf64_Phdr headers[LB_LAYOUT_SEGMENTS];
    uint32_t header_count;
    bool is_there[TAGS];
    uint64_t value[TAGS];
};

static enum tag tag_of(int64_t tag)
{
    switch (tag) {
    case DT_HASH: return TAG_HASH;
    case DT_STRTAB: return TAG_STRTAB;
    case DT_SYMTAB: return TAG_SYMTAB;
    case DT_RELA: return TAG_RELA;
    case DT_RELASZ: return TAG_RELASZ;
    case DT_STRSZ: return TAG_STRSZ;
    case DT_INIT: return TAG_INIT;
    case DT_FINI: return TAG_FINI;
    case DT_JMPREL: return TAG_JMPREL;
    case DT_PLTRELSZ: return TAG_PLTRELSZ;
    case DT_PLTREL: return TAG_PLTREL;
    case DT_PLTGOT: return TAG_PLTGOT;
    case DT_INIT_ARRAY: return TAG_INIT_ARRAY;
    case DT_INIT_ARRAYSZ: return TAG_INIT_ARRAYSZ;
    case DT_FINI_ARRAY: return TAG_FINI_ARRAY;
    case DT_FINI_ARRAYSZ: return TAG_FINI_ARRAYSZ;
    case DT_RELR: return TAG_RELR;
    case DT_RELRSZ: return TAG_RELRSZ;
    case DT_GNU_HASH: return TAG_GNU_HASH;
    case DT_VERSYM: return TAG_VERSYM;
    case DT_VERDEF: return TAG_VERDEF;
    case DT_VERDEFNUM: return TAG_VERDEFNUM;
    case DT_VERNEED: return TAG_VERNEED;
    case DT_VERNEEDNUM: return TAG_VERNEEDNUM;
    case DT_RELACOUNT: return TAG_RELACOUNT;
    case DT_REL: case DT_RELSZ:                    /* relocations without addends */
    case 0x6000000f: case 0x60000010: case 0x60000011: case 0x60000012: /* Android's packed ones, and its RELR */
    case 0x6fffe000: case 0x6fffe001:
    case 0x40000026: /* CREL */
        return TAG_UNUSUAL;
    default: return TAG_OTHER;
    }
}

static bool take(const struct lb_view *v, uint64_t offset, void *out, uint64_t size)
{
    if (offset > v->size || size > v->size - offset)
        return false;
    memcpy(out, v->data + offset, size);
    return true;
}

/* Virtual address → file offset, through the parts of PT_LOAD segments that the file holds. */
static bool offset_of(const struct reader *r, uint64_t address, uint64_t *offset)
{
    for (uint32_t i = 0; i < r->header_count; i++) {
        const Elf64_Phdr *p = &r->headers[i];
        if (p->p_type == PT_LOAD && address - p->p_vaddr < p->p_filesz) {
            *offset = address - p->p_vaddr + p->p_offset;
            return true;
        }
    }
    return false;
}

static bool read_headers(struct reader *r)
{
    Elf64_Ehdr head;
    if (!take(r->view, 0, &head, sizeof head) || head.e_machine == EM_S390 || head.e_machine == EM_ALPHA ||
        head.e_machine == EM_MIPS || head.e_phentsize != sizeof(Elf64_Phdr) || head.e_phnum == 0 ||
        head.e_phnum > LB_LAYOUT_SEGMENTS || head.e_phoff == 0)
        return false;
    r->header_count = head.e_phnum;
    if (!take(r->view, head.e_phoff, r->headers, r->header_count * sizeof(Elf64_Phdr)))
        return false;
    uint64_t at = head.e_phoff, size = r->header_count * sizeof(Elf64_Phdr);
    for (uint32_t i = 0; i < r->header_count; i++) {
        const Elf64_Phdr *p = &r->headers[i];
        if (p->p_type == PT_LOAD && p->p_offset <= at && at + size <= p->p_offset + p->p_filesz) {
            r->out->record.program_headers = (struct lb_range){at - p->p_offset + p->p_vaddr, size};
            return true;
        }
    }
    return true;
}

/* The segments to map.  In order and apart, as the gABI has them; nothing that could overflow below. */
static bool read_loads(struct reader *r, uint64_t largest_page)
{
    struct lb_layout *out = r->out;
    uint64_t start = 0, end = 0, align = PAGE;
    for (uint32_t i = 0; i < r->header_count; i++) {
        const Elf64_Phdr *p = &r->headers[i];
        if (p->p_type != PT_LOAD)
            continue;
        if (p->p_vaddr < end || p->p_vaddr >= UINT64_C(1) << 47 || p->p_memsz >= UINT64_C(1) << 47 ||
            p->p_filesz > p->p_memsz || p->p_offset >= UINT64_C(1) << 47)
            return false;
        if (out->segment_count == 0)
            start = p->p_vaddr;
        end = p->p_vaddr + p->p_memsz;
        align = p->p_align > align ? p->p_align : align;
        out->segments[out->segment_count++] = (struct lb_plan_segment){
            p->p_vaddr, p->p_offset, p->p_filesz, p->p_memsz, p->p_flags & (PF_R | PF_W | PF_X), 0};
    }
    /* Whole pages, however large they are where it will be loaded: up to what the file was aligned for. */
    uint64_t page = align < largest_page ? align : largest_page;
    out->record.low = start & -page;
    out->record.span = (end + page - 1) / page * page - out->record.low;
    out->record.align = align;
    return out->segment_count != 0;
}

uint32_t lb_build_id(const void *notes, uint64_t size, uint8_t out[LB_LAYOUT_BUILD_ID])
{
    static const char owner[4] = "GNU";
    Elf64_Nhdr note;
    for (const uint8_t *at = notes; size >= sizeof note;) {
        memcpy(&note, at, sizeof note);
        uint64_t name = ((uint64_t)note.n_namesz + 3) & ~UINT64_C(3), data = ((uint64_t)note.n_descsz + 3) & ~UINT64_C(3);
        if (sizeof note + name + data > size)
            return 0;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof owner && note.n_descsz <= LB_LAYOUT_BUILD_ID &&
            memcmp(at + sizeof note, owner, sizeof owner) == 0) {
            memcpy(out, at + sizeof note + name, note.n_descsz);
            return note.n_descsz;
        }
        at += sizeof note + name + data;
        size -= sizeof note + name + data;
    }
    return 0;
}

static void read_build_id(struct reader *r, const Elf64_Phdr *p)
{
    if (p->p_offset <= r->view->size && p->p_filesz <= r->view->size - p->p_offset)
        r->out->build_id_size = lb_build_id(r->view->data + p->p_offset, p->p_filesz, r->out->build_id);
}

/* The first of each kind counts. */
static const Elf64_Phdr *find(const struct reader *r, uint32_t type)
{
    for (uint32_t i = 0; i < r->header_count; i++)
        if (r->headers[i].p_type == type)
            return &r->headers[i];
    return NULL;
}

static void read_others(struct reader *r)
{
    struct lb_plan_object *record = &r->out->record;
    const Elf64_Phdr *p;
    if ((p = find(r, PT_GNU_RELRO)) != NULL)
        record->relro = (struct lb_range){p->p_vaddr, p->p_memsz};
    if ((p = find(r, PT_GNU_EH_FRAME)) != NULL)
        record->eh_frame_header = (struct lb_range){p->p_vaddr, p->p_memsz};
    if ((p = find(r, PT_TLS)) != NULL) {
        record->tls_image = (struct lb_range){p->p_vaddr, p->p_filesz};
        record->tls_size = p->p_memsz;
        record->tls_align = p->p_align > 1 ? p->p_align : 1;
    }
    if ((p = find(r, PT_GNU_STACK)) != NULL) {
        r->out->has_stack = true;
        r->out->stack_flags = p->p_flags;
    }
    for (uint32_t i = 0; i < r->header_count && r->out->build_id_size == 0; i++)
        if (r->headers[i].p_type == PT_NOTE && r->headers[i].p_align != 8)
            read_build_id(r, &r->headers[i]);
}

static bool read_dynamic(struct reader *r)
{
    const Elf64_Phdr *p = find(r, PT_DYNAMIC);
    if (p == NULL || p->p_filesz == 0 || p->p_filesz / sizeof(Elf64_Dyn) > LB_LAYOUT_ENTRIES)
        return false;
    r->out->record.dynamic = p->p_vaddr;
    for (uint64_t i = 0; i < p->p_filesz / sizeof(Elf64_Dyn); i++) {
        Elf64_Dyn entry;
        if (!take(r->view, p->p_offset + i * sizeof entry, &entry, sizeof entry))
            return false;
        if (entry.d_tag == DT_NULL)
            break;
        enum tag tag = tag_of(entry.d_tag);
        if (tag == TAG_UNUSUAL)
            return false;
        if (tag == TAG_OTHER)
            continue;
        r->is_there[tag] = true;
        r->value[tag] = entry.d_un.d_val;
    }
    return !r->is_there[TAG_PLTREL] || r->value[TAG_PLTREL] == DT_RELA;
}

static bool locate(const struct reader *r, enum tag tag, uint64_t *offset)
{
    *offset = LB_ABSENT;
    return !r->is_there[tag] || offset_of(r, r->value[tag], offset);
}

/* How many symbols there are: the hash tables know (elf/symbolhash.py). */
static bool count_symbols(const struct reader *r, uint64_t *count)
{
    const struct lb_tables *t = &r->out->tables;
    uint32_t head[4], words[2];
    if (t->sysv_hash != LB_ABSENT) {
        if (!take(r->view, t->sysv_hash, words, sizeof words))
            return false;
        *count = words[1];
        return true;
    }
    if (t->gnu_hash == LB_ABSENT || !take(r->view, t->gnu_hash, head, sizeof head))
        return false;
    uint64_t buckets = t->gnu_hash + sizeof head + (uint64_t)head[2] * 8, chains = buckets + (uint64_t)head[0] * 4;
    uint32_t last = 0, word = 0;
    for (uint32_t i = 0; i < head[0]; i++) {
        if (!lb_read32(r->view, buckets + (uint64_t)i * 4, &word))
            return false;
        last = word > last ? word : last;
    }
    if (last < head[1])
        return false;
    for (uint64_t index = last;; index++) {
        if (!lb_read32(r->view, chains + (index - head[1]) * 4, &word))
            return false;
        if (word & 1) {
            *count = index + 1;
            return true;
        }
    }
}

static bool read_symbols(struct reader *r)
{
    struct lb_tables *t = &r->out->tables;
    uint64_t count = 0;
    if (!locate(r, TAG_SYMTAB, &t->symtab) || !locate(r, TAG_STRTAB, &t->strtab) ||
        !locate(r, TAG_GNU_HASH, &t->gnu_hash) || !locate(r, TAG_HASH, &t->sysv_hash) ||
        !locate(r, TAG_VERSYM, &t->versym) || !locate(r, TAG_VERDEF, &t->verdef) || !locate(r, TAG_VERNEED, &t->verneed))
        return false;
    t->strtab_size = r->value[TAG_STRSZ];
    t->verdef_count = r->value[TAG_VERDEFNUM];
    t->verneed_count = r->value[TAG_VERNEEDNUM];
    if (t->symtab == LB_ABSENT || t->strtab == LB_ABSENT || t->strtab_size == 0 ||
        t->strtab > r->view->size || t->strtab_size > r->view->size - t->strtab || !count_symbols(r, &count))
        return false;
    r->out->record.symtab = (struct lb_range){r->value[TAG_SYMTAB], count * sizeof(Elf64_Sym)};
    r->out->record.strtab = (struct lb_range){r->value[TAG_STRTAB], t->strtab_size};
    return true;
}

static void set_range(const struct reader *r, struct lb_range *range, enum tag place, enum tag size)
{
    if (r->value[size] != 0)
        *range = (struct lb_range){r->value[place], r->value[size]};
}

static bool add_relocations(struct reader *r, uint64_t address, uint64_t size)
{
    uint64_t offset;
    if (!offset_of(r, address, &offset))
        return false;
    r->out->relocations[r->out->relocation_count++] = (struct lb_relocation_table){offset, size, true};
    return true;
}

/* As `relocation_tables` of elf/relocation.py and `_plain_tables` of linkplan/resolve.py. */
static bool read_relocations(struct reader *r)
{
    uint64_t rela = r->value[TAG_RELA], size = r->value[TAG_RELASZ], end = rela + size;
    uint64_t start = r->value[TAG_JMPREL], calls = r->value[TAG_PLTRELSZ], counted;
    bool has_rela = r->is_there[TAG_RELA] && size != 0;
    if (has_rela) {
        if (__builtin_mul_overflow(r->value[TAG_RELACOUNT], sizeof(Elf64_Rela), &counted) || counted > size)
            counted = 0;
        if (!add_relocations(r, rela, size))
            return false;
        r->out->relocations[0].offset += counted;
        r->out->relocations[0].size -= counted;
    }
    if (!r->is_there[TAG_JMPREL] || calls == 0)
        return true;
    if (r->is_there[TAG_RELA] && rela <= start && start < end) { /* entries that DT_RELASZ counts too are in RELA alone */
        if (calls <= end - start)
            return true;
        calls -= end - start;
        start = end;
    }
    return add_relocations(r, start, calls);
}

bool lb_layout_read(const struct lb_view *view, uint64_t largest_page, struct lb_layout *layout)
{
    struct reader r = {.view = view, .out = layout};
    memset(layout, 0, sizeof *layout);
    if (!view->is64 || view->swap || !read_headers(&r) || !read_loads(&r, largest_page) || !read_dynamic(&r) || !read_symbols(&r) ||
        !read_relocations(&r))
        return false;
    read_others(&r);
    struct lb_plan_object *record = &layout->record;
    set_range(&r, &record->relr, TAG_RELR, TAG_RELRSZ);
    set_range(&r, &record->rela, TAG_RELA, TAG_RELASZ);
    set_range(&r, &record->jmprel, TAG_JMPREL, TAG_PLTRELSZ);
    set_range(&r, &record->init_array, TAG_INIT_ARRAY, TAG_INIT_ARRAYSZ);
    set_range(&r, &record->fini_array, TAG_FINI_ARRAY, TAG_FINI_ARRAYSZ);
    record->init = r.value[TAG_INIT];
    record->fini = r.value[TAG_FINI];
    record->pltgot = r.value[TAG_PLTGOT];
    return true;
}
