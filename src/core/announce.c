/* Tells the unwinder about an object's frames, so that C++ exceptions, thread cancellation and backtraces pass.
 *
 * Unwinders ask dl_iterate_phdr or _dl_find_object, which do not know our objects; but libgcc also takes tables that
 * are registered by hand (__register_frame_info, libgcc/unwind-dw2-fde.c), as crtstuff.c does in static programs.  It
 * wants the .eh_frame section itself, which must end with a zero length, and offers no length of its own; and room for
 * its record.  (__register_frame makes the room itself, and writes to address 0 where there is no memory.)  The section is found through the header that PT_GNU_EH_FRAME
 * names (LSB core, 10.6.2) and walked once to see that it is sound and ends inside its segment.  Nothing is done when no
 * unwinder is in the process: announcements are made up for when one has come (execute.c). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>

#include "image.h"

/* DWARF pointer encodings (LSB core, 10.5.1) that linkers use in the header. */
#define ENCODING_PCREL_SDATA4 0x1b
#define ENCODING_PCREL_SDATA8 0x1c

static void *find(void *scope, const char *name)
{
    void *function = dlsym(scope, name);
    if (function == NULL)
        (void)dlerror(); /* ours: the next one to ask must not be told of it */
    return function;
}

static bool find_functions(void *scope, struct lb_unwinder *u)
{
    void *enlist = find(scope, "__register_frame_info");
    void *delist = enlist != NULL ? find(scope, "__deregister_frame_info") : NULL;
    if (enlist == NULL || delist == NULL)
        return false;
    void *backtrace = find(scope, "_Unwind_Backtrace"), *address_of = find(scope, "_Unwind_GetIP");
    void *frame_of = find(scope, "_Unwind_GetCFA");
    if (address_of == NULL || frame_of == NULL)
        backtrace = NULL;
    memcpy(&u->enlist, &enlist, sizeof enlist);
    memcpy(&u->delist, &delist, sizeof delist);
    memcpy(&u->backtrace, &backtrace, sizeof backtrace);
    memcpy(&u->address_of, &address_of, sizeof address_of);
    memcpy(&u->frame_of, &frame_of, sizeof frame_of);
    return true;
}

/* The unwinder must not go while it knows our frames: a reference to it is kept for good. */
static void keep_loaded(const struct lb_unwinder *u)
{
    Dl_info info;
    void *function;
    memcpy(&function, &u->enlist, sizeof function);
    if (dladdr(function, &info) != 0)
        (void)dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD); /* NULL for the program itself, which stays anyway */
}

static int is_unwinder(struct dl_phdr_info *info, size_t size, void *unused)
{
    const char *name = info->dlpi_name != NULL ? strrchr(info->dlpi_name, '/') : NULL;
    (void)size, (void)unused;
    return name != NULL && strcmp(name, "/libgcc_s.so.1") == 0;
}

bool lb_find_unwinder(struct lb_unwinder *unwinder)
{
    if (find_functions(RTLD_DEFAULT, unwinder)) {
        keep_loaded(unwinder);
        return true;
    }
    /* Often it is in a local scope, as a dependency of some extension module.  The link map is asked first: for a name
     * that nobody answers to, dlopen would search the file system. */
    void *library = dl_iterate_phdr(is_unwinder, NULL) != 0 ? dlopen("libgcc_s.so.1", RTLD_LAZY | RTLD_NOLOAD) : NULL;
    if (library == NULL)
        return false;
    if (find_functions(library, unwinder))
        return true;
    dlclose(library);
    return false;
}

/* The virtual address of .eh_frame, from its header; false if there is none that we can read. */
static bool find_eh_frame(const struct lb_image *image, uint64_t *address)
{
    struct lb_range header = image->eh_frame_header;
    uint64_t at = header.size >= 12 ? lb_image_at(image, header.address, 12, PF_R) : 0;
    if (at == 0)
        return false;
    uint8_t version, encoding;
    memcpy(&version, lb_pointer(at), 1);
    memcpy(&encoding, lb_pointer(at + 1), 1);
    if (version != 1)
        return false;
    if (encoding == ENCODING_PCREL_SDATA4)
        *address = header.address + 4 + (uint64_t)(int64_t)(int32_t)lb_load32(at + 4);
    else if (encoding == ENCODING_PCREL_SDATA8)
        *address = header.address + 4 + lb_load64(at + 4);
    else
        return false;
    return true;
}

/* A CIE's augmentation string and data (LSB core, 10.6.1.1.1): the width of the addresses in its FDEs, 0 if it is one
 * that libgcc could stumble over.  `at` is the runtime address of the CIE's version byte, `end` that of its end. */
static uint32_t address_width(uint64_t at, uint64_t end)
{
    const unsigned char *p = lb_pointer(at), *stop = lb_pointer(end), *letters = p + 1;
    if (stop - p < 8 || (*p != 1 && *p != 3))
        return 0;
    const unsigned char *data = memchr(letters, 0, (size_t)(stop - letters));
    if (data == NULL || (*letters != 'z' && *letters != 0))
        return 0;
    data++;
    for (int numbers = *letters == 0 ? 3 : 4; numbers != 0; data++) { /* alignments, return register, data's length */
        if (data == stop)
            return 0;
        numbers -= *data < 0x80; /* the last byte of a LEB128 number */
    }
    for (const unsigned char *c = letters + (*letters == 'z'); *c != 0; c++) {
        uint64_t left = (uint64_t)(stop - data), skipped = 0;
        if (*c == 'R')
            return left == 0 || (*data != ENCODING_PCREL_SDATA4 && *data != ENCODING_PCREL_SDATA8) ? 0 : *data & 4 ? 8 : 4;
        if (*c == 'P') /* encoding and address of the personality routine; the low bits 2 and 3 of four-byte encodings */
            skipped = left != 0 && (*data & 7) == 3 ? 5 : left != 0 && (*data & 7) != 2 ? 9 : 3;
        else if (*c == 'L')
            skipped = 1;
        if (skipped > left || (*c != 'P' && *c != 'L' && *c != 'S' && *c != 'B'))
            return 0;
        data += skipped;
    }
    return 8; /* DW_EH_PE_absptr */
}

/* Is it a chain of records inside one segment that ends with a zero length and has at least one record?  Each is a CIE
 * (id 0), or an FDE that points back at one and has room for two addresses.  Newer versions of libgcc read those at once
 * and abort on nonsense. */
static bool is_sound(const struct lb_image *image, uint64_t first)
{
    uint64_t start = lb_image_at(image, first, 4, PF_R), at = start, known_cie = 0;
    const struct lb_segment *s = image->segments;
    uint32_t width = 0; /* of known_cie */
    if (start == 0)
        return false;
    while (first - s->address >= s->size)
        s++;
    for (uint64_t left = s->size - (first - s->address); left >= 4;) {
        uint32_t length = lb_load32(at), id;
        if (length == 0)
            return at != start;
        if (length < 12 || length > left - 4) /* so the 64-bit form, which .eh_frame does not use, is no chain */
            return false;
        id = lb_load32(at + 4);
        uint64_t cie = id == 0 ? at : at + 4 - id;
        if (cie != known_cie) {
            if (cie < start || cie > at || lb_load32(cie) > left - 4 + (at - cie) || lb_load32(cie + 4) != 0)
                return false;
            width = address_width(cie + 8, cie + 4 + lb_load32(cie));
            known_cie = cie;
        }
        if (width == 0 || (id != 0 && length < 4 + 2 * width))
            return false;
        at += 4 + (uint64_t)length;
        left -= 4 + (uint64_t)length;
    }
    return false;
}

void lb_announce(struct lb_image *image, const struct lb_unwinder *unwinder)
{
    uint64_t eh_frame;
    if (image->frames.address != 0 || !find_eh_frame(image, &eh_frame))
        return;
    if (!image->frames_are_sound && !is_sound(image, eh_frame)) {
        image->eh_frame_header.size = 0; /* do not walk it again */
        return;
    }
    image->frames_are_sound = true;
    image->frames = (struct lb_frames){.address = image->base + eh_frame, .delist = unwinder->delist};
    unwinder->enlist(lb_pointer(image->frames.address), image->frames.record);
}

void lb_renounce(struct lb_image *image)
{
    if (image->frames.address != 0)
        (void)image->frames.delist(lb_pointer(image->frames.address)); /* returns the record, which is ours */
    image->frames = (struct lb_frames){0};
}
