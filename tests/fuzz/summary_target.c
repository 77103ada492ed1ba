/* Fuzz the core's summary of a file (summary.c) and its look for folders (folders.c): any bytes, no undefined behaviour, no read outside, no hang.
 *
 * The bytes are read in memory, where they stand in a block of their own so that AddressSanitizer sees each read beyond
 * them, and through a descriptor; both must say the same. */
#define _GNU_SOURCE
#include "folders.h"
#include "summary.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void check(const struct lb_summary *s, const struct lb_string *string)
{
    if (string->is_there && (string->start > s->text_size || string->length > s->text_size - string->start))
        abort();
}

static void same(const struct lb_summary *a, const struct lb_summary *b)
{
    if (a->elf_class != b->elf_class || a->data != b->data || a->os_abi != b->os_abi || a->type != b->type ||
        a->machine != b->machine || a->is_dynamic != b->is_dynamic || a->has_dlopen_note != b->has_dlopen_note ||
        a->flags != b->flags || a->flags_1 != b->flags_1 || a->needed_count != b->needed_count)
        abort();
    if (a->text_size != b->text_size || memcmp(a->text, b->text, a->text_size) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static struct lb_summary in_memory, in_file;
    static struct lb_source source;
    if (fd < 0 && (fd = memfd_create("input", MFD_CLOEXEC)) < 0)
        abort();
    uint8_t *file = malloc(size ? size : 1);
    if (!file)
        return 0;
    memcpy(file, data, size);
    source = (struct lb_source){.data = file, .fd = -1, .size = size};
    bool plain = lb_summarize(&source, &in_memory);
    uint64_t start, length = lb_folder_row(file, size, &start);
    if (length && (start > size || length > size - start || file[start] != '/' || file[start + length - 1] != '/'))
        abort();
    free(file);
    if (plain) {
        check(&in_memory, &in_memory.interpreter);
        check(&in_memory, &in_memory.soname);
        check(&in_memory, &in_memory.rpath);
        check(&in_memory, &in_memory.runpath);
        for (uint32_t i = 0; i < in_memory.needed_count; i++)
            check(&in_memory, &in_memory.needed[i]);
    }
    if (ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    lb_source_open(&source, fd, size);
    if (lb_summarize(&source, &in_file) != plain)
        abort();
    if (plain)
        same(&in_memory, &in_file);
    return 0;
}
