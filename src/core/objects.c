/* Which object is an address in, and which are there: dl_iterate_phdr, _dl_find_object, dladdr, and backtraces with
 * names, for callers inside our objects.
 *
 * The C library knows the system linker's objects and we know ours; each answer here is made of both.  Callbacks of
 * dl_iterate_phdr run under a lock of their own (recursive, as glibc's), which keeps images from going away; as with
 * glibc, a callback must not unload what it is shown. */
#define _GNU_SOURCE
#include <elf.h>
#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "image.h"
#include "services.h"

struct lb_image *lb_image_holding(uint64_t address)
{
    pthread_mutex_lock(&lb_process.lock);
    struct lb_image *image = lb_process.held; /* constructors ask thousands of times for the same one */
    if (image == NULL || address - image->start >= image->span)
        for (image = lb_process.images; image != NULL && address - image->start >= image->span;)
            image = image->next;
    lb_process.held = image;
    pthread_mutex_unlock(&lb_process.lock);
    return image;
}

/* ---- dl_iterate_phdr ----------------------------------------------------------------------------------------------- */

struct iteration {
    int (*callback)(struct dl_phdr_info *, size_t, void *);
    void *data;
    unsigned long long adds, subs; /* ours, to be added to the system linker's counts */
    unsigned long long system_adds, system_subs;
};

static int pass_on(struct dl_phdr_info *info, size_t size, void *data)
{
    struct iteration *it = data;
    struct dl_phdr_info copy = {0};
    if (info->dlpi_name != NULL && strncmp(info->dlpi_name, LB_CARRIER_PREFIX, strlen(LB_CARRIER_PREFIX)) == 0)
        return 0; /* a TLS block of ours: no library */
    memcpy(&copy, info, size < sizeof copy ? size : sizeof copy);
    it->system_adds = copy.dlpi_adds;
    it->system_subs = copy.dlpi_subs;
    copy.dlpi_adds += it->adds;
    copy.dlpi_subs += it->subs;
    return it->callback(&copy, size < sizeof copy ? size : sizeof copy, it->data);
}

static int pass_on_ours(struct iteration *it, const struct lb_image *image)
{
    struct dl_phdr_info info = {
        .dlpi_addr = image->base,
        .dlpi_name = image->name,
        .dlpi_phdr = image->program_headers,
        .dlpi_phnum = image->program_header_count,
        .dlpi_adds = it->system_adds + it->adds,
        .dlpi_subs = it->system_subs + it->subs,
        .dlpi_tls_modid = image->tls.module,
    };
    if (image->tls.carrier != NULL)
        (void)dlinfo(image->tls.carrier, RTLD_DI_TLS_DATA, &info.dlpi_tls_data);
    return it->callback(&info, sizeof info, it->data);
}

int lb_iterate_phdr(int (*callback)(struct dl_phdr_info *, size_t, void *), void *data)
{
    struct iteration it = {.callback = callback, .data = data};
    pthread_mutex_lock(&lb_process.lock);
    it.adds = lb_process.adds;
    it.subs = lb_process.subs;
    pthread_mutex_unlock(&lb_process.lock);
    int result = dl_iterate_phdr(pass_on, &it);
    if (result != 0)
        return result;
    pthread_mutex_lock(&lb_process.walking);
    pthread_mutex_lock(&lb_process.lock);
    const struct lb_image *image = lb_process.images; /* newer ones come in front of it */
    pthread_mutex_unlock(&lb_process.lock);
    for (; image != NULL && result == 0; image = image->next)
        if (image->program_header_count != 0)
            result = pass_on_ours(&it, image);
    pthread_mutex_unlock(&lb_process.walking);
    return result;
}

/* ---- _dl_find_object (glibc 2.35) --------------------------------------------------------------------------------- */

struct found_object { /* struct dl_find_object of machines without dlfo_eh_dbase, x86-64 and AArch64 among them */
    unsigned long long flags;
    void *map_start, *map_end;
    struct link_map *link_map;
    void *eh_frame; /* PT_GNU_EH_FRAME */
    unsigned long long reserved[7];
};

int lb_find_object(void *address, struct dl_find_object *result)
{
    const struct lb_image *image = lb_image_holding((uint64_t)(uintptr_t)address);
    if (image == NULL) {
        int (*find)(void *, struct dl_find_object *);
        void *function = dlsym(RTLD_DEFAULT, "_dl_find_object");
        memcpy(&find, &function, sizeof find);
        return find != NULL ? find(address, result) : -1;
    }
    struct found_object found = {.map_start = lb_pointer(image->start),
                                 .map_end = lb_pointer(image->start + image->span),
                                 .link_map = (struct link_map *)&image->map};
    if (image->eh_frame_header.size != 0)
        found.eh_frame = lb_pointer(image->base + image->eh_frame_header.address);
    memcpy((void *)result, &found, sizeof found);
    return found.eh_frame != NULL ? 0 : -1;
}

/* ---- dladdr --------------------------------------------------------------------------------------------------------- */

/* The symbol that an address belongs to (glibc's elf/dl-addr.c): the one that starts last at or before it and reaches
 * that far; one without a size only at its very address. */
static const Elf64_Sym *nearest_symbol(const struct lb_image *image, uint64_t address)
{
    const Elf64_Sym *best = NULL, *rows = lb_pointer(image->base + image->symtab.address);
    uint64_t count = image->symtab.size / sizeof *rows, best_value = 0;
    for (uint64_t i = 1; i < count; i++) {
        Elf64_Sym row;
        memcpy(&row, &rows[i], sizeof row);
        if (row.st_shndx == SHN_UNDEF || row.st_shndx == SHN_ABS || row.st_name >= image->strtab.size ||
            ELF64_ST_TYPE(row.st_info) == STT_TLS)
            continue;
        uint64_t distance = address - row.st_value;
        if ((row.st_size == 0 ? distance == 0 : distance < row.st_size) && (best == NULL || row.st_value > best_value)) {
            best = &rows[i];
            best_value = row.st_value;
        }
    }
    return best;
}

int lb_addr1(const void *address, Dl_info *info, void **extra, int flags)
{
    const struct lb_image *image = lb_image_holding((uint64_t)(uintptr_t)address);
    if (image == NULL)
        return extra != NULL ? dladdr1(address, info, extra, flags) : dladdr(address, info);
    const Elf64_Sym *symbol = nearest_symbol(image, (uint64_t)(uintptr_t)address - image->base);
    *info = (Dl_info){.dli_fname = image->name, .dli_fbase = lb_pointer(image->start)};
    if (symbol != NULL) {
        Elf64_Sym row;
        memcpy(&row, symbol, sizeof row);
        info->dli_sname = lb_pointer(image->base + image->strtab.address + row.st_name);
        info->dli_saddr = lb_pointer(image->base + row.st_value);
    }
    if (extra != NULL && flags == RTLD_DL_SYMENT)
        *extra = (void *)symbol;
    else if (extra != NULL && flags == RTLD_DL_LINKMAP)
        *extra = (void *)&image->map;
    return 1;
}

int lb_addr(const void *address, Dl_info *info) { return lb_addr1(address, info, NULL, 0); }

/* ---- backtraces ----------------------------------------------------------------------------------------------------- */

/* One frame as glibc's backtrace_symbols writes it: file(function+0x1) [0x2].  Returns the length, as snprintf does. */
static int describe(char *text, size_t size, void *frame)
{
    Dl_info info;
    if (lb_addr(frame, &info) == 0 || info.dli_fname == NULL || *info.dli_fname == 0)
        return snprintf(text, size, "[%p]", frame);
    const char *function = info.dli_sname != NULL ? info.dli_sname : "";
    const char *start = info.dli_sname != NULL ? info.dli_saddr : info.dli_fbase;
    return snprintf(text, size, "%s(%s+%#tx) [%p]", info.dli_fname, function, (const char *)frame - start, frame);
}

/* The C library loads an unwinder for its first backtrace; before that, ours were announced to nobody.  The frame of this
 * function is left out, where the compiler made one. */
__attribute__((noinline)) int lb_backtrace(void **frames, int count)
{
    void *here[1], *caller = __builtin_return_address(0);
    if (lb_process.unwinder.enlist == NULL && backtrace(here, 1) >= 0)
        lb_announce_all();
    int found = backtrace(frames, count), own = 0;
    while (own < found && own < 3 && frames[own] != caller)
        own++;
    if (own == found || own == 3)
        return found;
    memmove(frames, frames + own, (size_t)(found - own) * sizeof *frames);
    return found - own;
}

char **lb_backtrace_symbols(void *const *frames, int count)
{
    size_t table = (count > 0 ? (size_t)count : 0) * sizeof(char *), size = table;
    for (int i = 0; i < count; i++)
        size += (size_t)describe(NULL, 0, frames[i]) + 1;
    char **lines = malloc(size), *text = (char *)lines + table;
    for (int i = 0; lines != NULL && i < count; i++) {
        lines[i] = text;
        int length = describe(text, size - (size_t)(text - (char *)lines), frames[i]);
        text += length + 1;
    }
    return lines;
}

void lb_backtrace_symbols_fd(void *const *frames, int count, int fd)
{
    for (int i = 0; i < count; i++) {
        char text[1024];
        int length = describe(text, sizeof text - 1, frames[i]);
        size_t size = length < (int)sizeof text - 1 ? (size_t)length : sizeof text - 2;
        text[size++] = '\n';
        if (write(fd, text, size) < 0)
            return; /* as glibc: there is nobody to tell */
    }
}
