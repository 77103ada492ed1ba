/* Thread-local storage, carried by the C library.
 *
 * Only the C library can give every thread, old and new, a block.  It does so for any shared object that it loads, so
 * each of our objects with a PT_TLS gets a *carrier*: a small ELF file made in memory that has nothing but a PT_TLS of
 * the same size, alignment and initial image, and that the system's dlopen loads.  The carrier's module id serves
 * DTPMOD64 relocations and so __tls_get_addr.  Where code reaches the block at a fixed offset from the thread pointer
 * (initial-exec), the carrier has one relocation of its own that asks for that offset, which makes the C library place
 * the block in static TLS; the relocated word tells us where. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "image.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

/* Descriptors are quicker where the block is static, but work where it is not: so only small blocks take from what
 * glibc has (its own limit for such uses, glibc.rtld.optional_static_tls, is 512 bytes by default). */
#define OPTIONAL_STATIC_SIZE 256

struct carrier_file { /* virtual addresses are file offsets; the TLS image follows */
    Elf64_Ehdr header;
    Elf64_Phdr load, dynamic_segment, tls, stack;
    Elf64_Dyn dynamic[10];
    Elf64_Sym symbols[1]; /* the null symbol: the relocation means the carrier's own block */
    Elf64_Rela relocation;
    uint64_t static_offset; /* what the relocation fills in */
    uint32_t hash[4];       /* one empty bucket, one chain: glibc wants a table */
    char strings[8];
};

static void fill_header(Elf64_Ehdr *h)
{
    memcpy(h->e_ident, ELFMAG, SELFMAG);
    h->e_ident[EI_CLASS] = lb_this_machine.elf_class;
    h->e_ident[EI_DATA] = lb_this_machine.data;
    h->e_ident[EI_VERSION] = EV_CURRENT;
    h->e_type = ET_DYN;
    h->e_machine = lb_this_machine.machine;
    h->e_version = EV_CURRENT;
    h->e_phoff = offsetof(struct carrier_file, load);
    h->e_ehsize = sizeof *h;
    h->e_phentsize = sizeof(Elf64_Phdr);
    h->e_phnum = 4;
}

static void fill_dynamic(Elf64_Dyn *d, bool is_static)
{
    *d++ = (Elf64_Dyn){DT_HASH, {offsetof(struct carrier_file, hash)}};
    *d++ = (Elf64_Dyn){DT_SYMTAB, {offsetof(struct carrier_file, symbols)}};
    *d++ = (Elf64_Dyn){DT_SYMENT, {sizeof(Elf64_Sym)}};
    *d++ = (Elf64_Dyn){DT_STRTAB, {offsetof(struct carrier_file, strings)}};
    *d++ = (Elf64_Dyn){DT_STRSZ, {sizeof((struct carrier_file *)0)->strings}};
    if (is_static) {
        *d++ = (Elf64_Dyn){DT_FLAGS, {DF_STATIC_TLS}};
        *d++ = (Elf64_Dyn){DT_RELA, {offsetof(struct carrier_file, relocation)}};
        *d++ = (Elf64_Dyn){DT_RELASZ, {sizeof(Elf64_Rela)}};
        *d++ = (Elf64_Dyn){DT_RELAENT, {sizeof(Elf64_Rela)}};
    }
    *d = (Elf64_Dyn){DT_NULL, {0}};
}

/* The file's fixed part.  *image_at: where the initial image goes, congruent to its address in the object modulo the
 * alignment, because the C library gives the block that same remainder. */
static void fill_carrier(struct carrier_file *f, const struct lb_plan_object *o, bool is_static, uint64_t page,
                         uint64_t *image_at)
{
    uint64_t align = o->tls_align != 0 ? o->tls_align : 1;
    *image_at = sizeof *f + ((o->tls_image.address - sizeof *f) & (align - 1));
    uint64_t size = *image_at + o->tls_image.size;
    memset(f, 0, sizeof *f);
    fill_header(&f->header);
    f->load = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_filesz = size, .p_memsz = size, .p_align = page};
    uint64_t dynamic = offsetof(struct carrier_file, dynamic);
    f->dynamic_segment = (Elf64_Phdr){.p_type = PT_DYNAMIC, .p_flags = PF_R | PF_W, .p_offset = dynamic, .p_vaddr = dynamic,
                                      .p_filesz = sizeof f->dynamic, .p_memsz = sizeof f->dynamic, .p_align = 8};
    f->tls = (Elf64_Phdr){.p_type = PT_TLS, .p_flags = PF_R, .p_offset = *image_at, .p_vaddr = *image_at,
                          .p_filesz = o->tls_image.size, .p_memsz = o->tls_size, .p_align = align};
    /* Without this one glibc would take the carrier to need an executable stack. */
    f->stack = (Elf64_Phdr){.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W, .p_align = 16};
    fill_dynamic(f->dynamic, is_static);
    f->relocation = (Elf64_Rela){.r_offset = offsetof(struct carrier_file, static_offset),
                                 .r_info = ELF64_R_INFO(0, lb_this_machine.tls_static_type)};
    f->hash[0] = f->hash[1] = 1;
}

static int write_all(int fd, const void *bytes, uint64_t size, uint64_t at)
{
    for (uint64_t done = 0; done < size;) {
        ssize_t n = pwrite(fd, (const char *)bytes + done, size - done, (off_t)(at + done));
        if (n < 0 && errno != EINTR)
            return -1;
        done += n > 0 ? (uint64_t)n : 0;
    }
    return 0;
}

static int write_carrier(struct lb_execution *run, struct lb_member *m, bool is_static, int *fd)
{
    const struct lb_plan_object *o = m->record;
    struct carrier_file file;
    uint64_t image_at;
    *fd = memfd_create("latebind-tls", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
    if (*fd < 0 && errno == EINVAL)
        *fd = memfd_create("latebind-tls", MFD_CLOEXEC);
    if (*fd < 0)
        return lb_fail_errno(run->error, m->index, o->tls_image.address, "memfd_create for its TLS");
    fill_carrier(&file, o, is_static, run->page, &image_at);
    if (ftruncate(*fd, (off_t)(image_at + o->tls_image.size)) < 0 || write_all(*fd, &file, sizeof file, 0) < 0 ||
        write_all(*fd, lb_pointer(m->base + o->tls_image.address), o->tls_image.size, image_at) < 0) {
        lb_fail_errno(run->error, m->index, o->tls_image.address, "writing its TLS image");
        close(*fd);
        return -1;
    }
    return 0;
}

/* A path to the descriptor that no earlier carrier had: glibc takes a name that it has seen for the same library, and
 * descriptors are reused.  A serial number is spelled in "/." and "/", which the kernel skips. */
static void carrier_path(char *path, size_t size, int fd)
{
    char digits[2 * 64 + 1], *end = digits;
    for (uint64_t n = __atomic_add_fetch(&lb_process.carriers, 1, __ATOMIC_RELAXED); n != 0; n >>= 1) {
        *end++ = '/';
        if (n & 1)
            *end++ = '.';
    }
    *end = 0;
    snprintf(path, size, LB_CARRIER_PREFIX "%s/fd/%d", digits, fd);
}

static int open_carrier(struct lb_execution *run, struct lb_member *m, int fd, bool is_static)
{
    char path[256];
    struct link_map *map;
    struct lb_tls *tls = &m->image->tls;
    size_t module;
    carrier_path(path, sizeof path, fd);
    tls->carrier = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (tls->carrier == NULL)
        return lb_fail(run->error, LB_SYSTEM, m->index, m->record->tls_image.address,
                       "the C library refused its TLS block of %" PRIu64 " bytes%s: %s", m->record->tls_size,
                       is_static ? " (static: see GLIBC_TUNABLES=glibc.rtld.optional_static_tls)" : "", dlerror());
    if (dlinfo(tls->carrier, RTLD_DI_TLS_MODID, &module) < 0 || dlinfo(tls->carrier, RTLD_DI_LINKMAP, &map) < 0 ||
        module == 0)
        return lb_fail(run->error, LB_SYSTEM, m->index, m->record->tls_image.address,
                       "the C library gave its TLS block no module id");
    tls->module = module;
    tls->is_static = is_static;
    if (is_static)
        tls->offset = (int64_t)lb_load64(map->l_addr + offsetof(struct carrier_file, static_offset));
    return 0;
}

/* ---- static TLS is given back in the order in which it can be ------------------------------------------------------
 * glibc takes static blocks from the end of what is used, and gets back only what is at that end when it is closed
 * (elf/dl-close.c); the rest would be lost for good.  So a carrier stays until the newer ones are closed as well. */

struct lb_static_carrier {
    struct lb_static_carrier *older;
    void *handle;
    bool is_done;
};

static int note_static(struct lb_execution *run, struct lb_member *m)
{
    struct lb_static_carrier *carrier = calloc(1, sizeof *carrier);
    if (carrier == NULL)
        return lb_fail_errno(run->error, m->index, 0, "allocating");
    carrier->handle = m->image->tls.carrier;
    pthread_mutex_lock(&lb_process.lock);
    carrier->older = lb_process.static_carriers;
    lb_process.static_carriers = carrier;
    pthread_mutex_unlock(&lb_process.lock);
    return 0;
}

/* Takes out, newest first, what can be closed now that `handle` is done with; false if it is none of these. */
static bool finish_static(void *handle, struct lb_static_carrier **closable)
{
    struct lb_static_carrier *done, **end = closable;
    pthread_mutex_lock(&lb_process.lock);
    for (done = lb_process.static_carriers; done != NULL && done->handle != handle;)
        done = done->older;
    if (done != NULL)
        done->is_done = true;
    *closable = lb_process.static_carriers;
    while (*end != NULL && (*end)->is_done)
        end = &(*end)->older;
    lb_process.static_carriers = *end;
    *end = NULL;
    pthread_mutex_unlock(&lb_process.lock);
    return done != NULL;
}

static int carry(struct lb_execution *run, struct lb_member *m, bool is_static)
{
    int fd;
    if (write_carrier(run, m, is_static, &fd) < 0)
        return -1;
    int result = open_carrier(run, m, fd, is_static);
    close(fd);
    if (result == 0 && is_static)
        result = note_static(run, m);
    m->tls = m->image->tls;
    return result;
}

int lb_tls_carry(struct lb_execution *run, struct lb_member *m)
{
    bool is_static = m->wants_static_tls || (m->record->flags & LB_OBJECT_STATIC_TLS);
    bool is_optional = !is_static && m->would_use_static_tls && m->record->tls_size <= OPTIONAL_STATIC_SIZE;
    if (m->descriptors != 0) {
        m->image->tls_arguments = calloc(m->descriptors, sizeof *m->image->tls_arguments);
        if (m->image->tls_arguments == NULL)
            return lb_fail_errno(run->error, m->index, 0, "allocating");
    }
    if (m->record->tls_size == 0)
        return 0;
    if (is_optional && carry(run, m, true) == 0)
        return 0;
    lb_tls_drop(&m->image->tls);
    return carry(run, m, is_static);
}

void lb_tls_drop(struct lb_tls *tls)
{
    struct lb_static_carrier *closable = NULL;
    if (tls->carrier != NULL && !finish_static(tls->carrier, &closable))
        dlclose(tls->carrier);
    while (closable != NULL) { /* without our lock: the system linker's is never taken under it */
        struct lb_static_carrier *carrier = closable;
        closable = carrier->older;
        dlclose(carrier->handle);
        free(carrier);
    }
    *tls = (struct lb_tls){0};
}
