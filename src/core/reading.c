/* reading.h says what for. */
#define _GNU_SOURCE /* MADV_POPULATE_READ */
#include "reading.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* since Linux 5.14; an older one refuses, and the pages come when they are read */
#endif

int lb_file_open(const char *path, struct lb_identity *identity, enum lb_outcome *outcome)
{
    struct stat status;
    /* Without O_NONBLOCK, opening a pipe would wait for a writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        *outcome = errno == ENOENT || errno == ENOTDIR ? LB_FILE_ABSENT : LB_FILE_ODD;
        return -1;
    }
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        *outcome = LB_FILE_ODD;
        close(fd);
        return -1;
    }
    *identity = (struct lb_identity){
        .device = status.st_dev,
        .inode = status.st_ino,
        .size = (uint64_t)status.st_size,
        .time = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec,
    };
    *outcome = LB_FILE_PLAIN;
    return fd;
}

void lb_reading_summarize(struct lb_reading *reading, int fd, struct lb_summary *room)
{
    struct lb_source source;
    lb_source_open(&source, fd, reading->identity.size);
    size_t fixed = 0;
    if (lb_summarize(&source, room)) {
        fixed = offsetof(struct lb_summary, needed) + room->needed_count * sizeof room->needed[0];
        reading->summary = malloc(fixed + room->text_size);
    }
    if (!reading->summary) {
        reading->outcome = LB_FILE_ODD;
        return;
    }
    reading->outcome = LB_FILE_PLAIN;
    char *text = (char *)reading->summary + fixed;
    memcpy(reading->summary, room, fixed);
    memcpy(text, room->text, room->text_size);
    reading->text = text;
}

void lb_reading_map(struct lb_reading *reading, int fd, const struct lb_target *target)
{
    const struct lb_summary *s = reading->summary;
    uint64_t size = reading->identity.size;
    void *start = size == 0 || size > PTRDIFF_MAX ? MAP_FAILED : mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (start == MAP_FAILED)
        return;
    reading->data = start;
    reading->map = (struct lb_guarded){NULL, (uint64_t)(uintptr_t)start, size};
    lb_guard(&reading->map);
    struct lb_view view = {reading->data, size, s->is64, s->swap};
    if (s->machine != target->machine || !(reading->layout = malloc(sizeof *reading->layout)))
        return;
    if (!lb_layout_read(&view, target->largest_page, reading->layout)) {
        free(reading->layout);
        reading->layout = NULL;
    }
}

static void extend(uint64_t range[2], uint64_t offset, uint64_t size)
{
    if (offset == LB_ABSENT)
        return;
    range[0] = offset < range[0] ? offset : range[0];
    range[1] = offset + size > range[1] ? offset + size : range[1];
}

void lb_reading_populate(const struct lb_reading *reading)
{
    const struct lb_layout *l = reading->layout;
    if (l == NULL)
        return;
    uint64_t range[2] = {UINT64_MAX, 0}, symbols = l->record.symtab.size / 24;
    extend(range, l->tables.symtab, l->record.symtab.size);
    extend(range, l->tables.strtab, l->tables.strtab_size);
    extend(range, l->tables.gnu_hash, 0);
    extend(range, l->tables.versym, symbols * 2);
    for (uint32_t i = 0; i < l->relocation_count; i++)
        extend(range, l->relocations[i].offset, l->relocations[i].size);
    range[0] &= ~UINT64_C(4095);
    if (range[0] < range[1] && range[1] <= reading->identity.size)
        madvise((void *)(uintptr_t)(reading->data + range[0]), range[1] - range[0], MADV_POPULATE_READ);
}

void lb_reading_release(struct lb_reading *reading)
{
    free(reading->summary);
    free(reading->layout);
    if (reading->map.size == 0)
        return;
    lb_unguard(&reading->map); /* first: another mapping may take its place at once */
    munmap((void *)(uintptr_t)reading->map.start, reading->map.size);
}
