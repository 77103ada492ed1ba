/* What searching for shared objects needs to know of a file: its header, its interpreter, its dynamic section.
 *
 * This is a fast reader of plain files, not a second definition of the format: where anything is unusual (damaged, cut
 * off, larger than any honest file's) it says so and stops, and latebind.elf reads the file and gives the answer or the
 * error.  The bytes are untrusted: each read goes through one function that checks bounds, and lengths are limited by
 * the buffers below. */
#ifndef LATEBIND_SUMMARY_H
#define LATEBIND_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LB_SUMMARY_WINDOW = 1024,  /* read at once: in most files all headers with the interpreter, or all strings needed */
    LB_SUMMARY_ENTRIES = 1024, /* of the dynamic section */
    LB_SUMMARY_TEXT = 1 << 15, /* bytes of strings */
    LB_SUMMARY_SEGMENTS = 64,
};

struct lb_window { /* bytes of the file that were read ahead */
    uint64_t offset;
    uint32_t size;
    uint8_t bytes[LB_SUMMARY_WINDOW];
};

struct lb_source { /* a file's bytes: in memory, or behind a descriptor */
    const uint8_t *data;
    int fd; /* where data is NULL */
    uint64_t size;
    struct lb_window headers, strings;
};

struct lb_string { /* inside lb_summary.text */
    uint32_t start, length;
    bool is_there;
};

struct lb_segment {
    uint64_t type, offset, address, file_size, align;
};

struct lb_summary {
    uint8_t elf_class, data, os_abi;
    uint16_t type, machine;
    bool is64, swap;     /* swap: the other byte order than this machine's */
    bool is_dynamic;     /* it has a dynamic section that is not empty */
    bool has_dlopen_note; /* one of its notes may be .note.dlopen's */
    uint64_t flags, flags_1;
    struct lb_string interpreter, soname, rpath, runpath;
    uint32_t needed_count, segment_count, entry_count, text_size;

    struct lb_string needed[LB_SUMMARY_ENTRIES];
    struct lb_segment segments[LB_SUMMARY_SEGMENTS];
    uint64_t tags[LB_SUMMARY_ENTRIES], values[LB_SUMMARY_ENTRIES];
    char text[LB_SUMMARY_TEXT];
};

/* The source of an open regular file of `size` bytes; the descriptor stays the caller's. */
void lb_source_open(struct lb_source *source, int fd, uint64_t size);

/* Reads `source` into `summary`; false where the file is not plain, and then `summary` means nothing. */
bool lb_summarize(struct lb_source *source, struct lb_summary *summary);

#endif
