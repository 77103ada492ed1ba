/* Tells the unwinder about an object's frames, so that C++ exceptions, thread cancellation and backtraces pass.
 *
 * Unwinders ask dl_iterate_phdr or _dl_find_object, which do not know our objects; but libgcc also takes tables that
 * are registered by hand (__register_frame, gcc/unwind-dw2-fde.c).  It wants the .eh_frame section itself, which must end
 * with a zero length, and offers no length of its own.  The section is found through the header that PT_GNU_EH_FRAME
 * names (LSB core, 10.6.2) and walked once to see that it is sound and ends inside its segment.  Nothing is done when no
 * unwinder is in the process: announcements are made up for when one has come (execute.c). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>

#include "image.h"

/* DWARF pointer encodings (LSB core, 10.5.1) that linkers use in the header. */
#define ENCODING_PCREL_SDATA4 0x1b
#define ENCODING_PCREL_SDATA8 0x1c

static bool find_functions(void *scope, struct lb_unwinder *u)
{
    void *enlist = dlsym(scope, "__register_frame"), *delist = dlsym(scope, "__deregister_frame");
    memcpy(&u->enlist, &enlist, sizeof enlist);
    memcpy(&u->delist, &delist, sizeof delist);
    return enlist != NULL && delist != NULL;
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

bool lb_find_unwinder(struct lb_unwinder *unwinder)
{
    if (find_functions(RTLD_DEFAULT, unwinder)) {
        keep_loaded(unwinder);
        return true;
    }
    /* Often it is in a local scope, as a dependency of some extension module. */
    void *library = dlopen("libgcc_s.so.1", RTLD_LAZY | RTLD_NOLOAD);
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

/* Is it a chain of records inside one segment that ends with a zero length and has at least one record?  Each record is
 * a CIE (id 0) or points back at one. */
static bool is_sound(const struct lb_image *image, uint64_t first)
{
    uint64_t at = first, runtime = lb_image_at(image, first, 4, PF_R);
    const struct lb_segment *s = image->segments;
    if (runtime == 0)
        return false;
    while (first - s->address >= s->size)
        s++;
    uint64_t left = s->size - (first - s->address);
    for (;;) {
        if (left < 4)
            return false;
        uint32_t length = lb_load32(image->base + at);
        if (length == 0)
            return at != first;
        if (length < 4 || length >= 0xfffffff0u || length > left - 4) /* the 64-bit form does not occur in .eh_frame */
            return false;
        uint32_t id = lb_load32(image->base + at + 4);
        if (id != 0 && (id > at + 4 - first || lb_load32(image->base + at + 4 - id + 4) != 0))
            return false;
        at += 4 + (uint64_t)length;
        left -= 4 + (uint64_t)length;
    }
}

void lb_announce(struct lb_image *image, const struct lb_unwinder *unwinder)
{
    uint64_t eh_frame;
    if (image->frames.address != 0 || !find_eh_frame(image, &eh_frame))
        return;
    if (!is_sound(image, eh_frame)) {
        image->eh_frame_header.size = 0; /* do not walk it again */
        return;
    }
    image->frames = (struct lb_frames){image->base + eh_frame, unwinder->delist};
    unwinder->enlist(lb_pointer(image->frames.address));
}

void lb_renounce(struct lb_image *image)
{
    if (image->frames.address != 0)
        image->frames.delist(lb_pointer(image->frames.address));
    image->frames = (struct lb_frames){0};
}
