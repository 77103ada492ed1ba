/* glibc keeps its linker's folders as consecutive strings, each with a slash at its end (elf/dl-load.c, `system_dirs`).
 * The bytes are untrusted; each is looked at a few times at most. */
#define _GNU_SOURCE /* memmem */
#include "folders.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct row {
    uint64_t start, size;
};

static bool may_be_in_folder(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z') ||
           (byte != 0 && strchr("_./+-", byte) != NULL);
}

static bool is_folder(const uint8_t *text, uint64_t size)
{
    if (size == 0 || text[0] != '/' || text[size - 1] != '/' || !memmem(text, size, "lib", 3))
        return false;
    for (uint64_t i = 0; i < size; i++)
        if (!may_be_in_folder(text[i]))
            return false;
    return true;
}

/* The end of a folder that another may follow: a slash, the NUL behind it, and a slash. */
static const uint8_t *next_pair(const uint8_t *data, uint64_t size, uint64_t from)
{
    const uint8_t *end = data + size, *at = data + from;
    while (end - at >= 3 && (at = memchr(at, '/', (size_t)(end - at) - 2)) != NULL) { /* slashes are rare: faster than memmem */
        if (at[1] == 0 && at[2] == '/')
            return at;
        at++;
    }
    return NULL;
}

/* What may be a folder's name, up to the slash at `last`; it need not stand alone. */
static uint64_t first_of(const uint8_t *data, uint64_t last)
{
    uint64_t at = last;
    while (at > 0 && may_be_in_folder(data[at - 1]))
        at--;
    while (data[at] != '/')
        at++;
    return at;
}

/* The row whose first folder ends with the slash at `last`; `next` is what follows the string that ended it. */
static struct row row_at(const uint8_t *data, uint64_t size, uint64_t last, uint64_t *next)
{
    uint64_t at = first_of(data, last), end = last + 1, count = 0;
    struct row row = {at, 0};
    while (is_folder(data + at, end - at)) {
        row.size = end - row.start;
        count++;
        at = end + 1; /* there is a NUL at `end` */
        const uint8_t *zero = memchr(data + at, 0, size - at);
        if (zero == NULL) {
            at = end = size;
            break;
        }
        end = (uint64_t)(zero - data);
    }
    *next = end < size ? end + 1 : size;
    return count > 1 ? row : (struct row){0, 0};
}

uint64_t lb_folder_row(const uint8_t *data, uint64_t size, uint64_t *start)
{
    struct row best = {0, 0};
    for (const uint8_t *pair = next_pair(data, size, 0); pair != NULL;) {
        uint64_t last = (uint64_t)(pair - data), next;
        struct row row = row_at(data, size, last, &next);
        if (row.size > best.size)
            best = row;
        pair = next_pair(data, size, next - 2 > last ? next - 2 : last + 1); /* what ended this row may begin another */
    }
    *start = best.start;
    return best.size;
}
