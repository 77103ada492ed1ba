/* Files that two threads read: the one that was started for it, in order, and whoever asks for a file that it has not
 * come to; see ahead.h.
 *
 * The table of paths is written by one thread at a time (whoever starts, then the thread) and read without a lock. A file
 * is claimed by its state. The lock is for the table by inode, for `folders` and for waiting. */
#define _GNU_SOURCE /* MADV_POPULATE_READ */
#include "ahead.h"
#include "parallel.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* since Linux 5.14; an older one refuses, and the pages come when they are read */
#endif

enum state { TO_READ, BEING_READ, READ };

struct lb_ahead_file {
    _Atomic(enum state) state;
    struct lb_reading *found; /* `own`, or that of the same file under another path */
    struct lb_reading own;
    struct lb_ahead_file *same_inode_hash;
    struct lb_ahead_file *next; /* of those to be read soon */
    char path[];
};

struct lb_ahead {
    pthread_t thread;
    bool has_thread, is_whole;
    struct lb_whole whole;
    atomic_bool stop, is_awaited;
    pthread_mutex_t lock;
    pthread_cond_t change;
    char *folders[LB_AHEAD_FOLDERS];
    atomic_size_t folder_count;
    struct lb_ahead_file *soon, **soon_end; /* the thread's */
    size_t count, used, room, mask;         /* files given, files known, how many may be known, of the two tables */
    struct lb_ahead_file **by_inode;
    _Atomic(struct lb_ahead_file *) *by_path;
    struct lb_ahead_file *files[]; /* those given, then those that were led to */
};

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

/* ---- the tables ------------------------------------------------------------------------------------------------------- */

static size_t hash_path(const char *path) /* FNV-1a */
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *path; path++)
        hash = (hash ^ (uint8_t)*path) * UINT64_C(0x100000001b3);
    return (size_t)(hash ^ hash >> 32);
}

static size_t hash_inode(const struct lb_identity *identity)
{
    return (size_t)((identity->inode ^ identity->device << 32) * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

/* The place of `path` in the table: its file, or the free one where it belongs. It is never full. */
static _Atomic(struct lb_ahead_file *) *place_of(struct lb_ahead *ahead, const char *path)
{
    for (size_t at = hash_path(path) & ahead->mask;; at = (at + 1) & ahead->mask) {
        struct lb_ahead_file *file = atomic_load_explicit(&ahead->by_path[at], memory_order_acquire);
        if (!file || strcmp(file->path, path) == 0)
            return &ahead->by_path[at];
    }
}

struct lb_ahead_file *lb_ahead_find(struct lb_ahead *ahead, const char *path)
{
    return atomic_load_explicit(place_of(ahead, path), memory_order_acquire);
}

/* A new file, or NULL: `path` is known already, or there is no room. */
static struct lb_ahead_file *add(struct lb_ahead *ahead, const char *path)
{
    _Atomic(struct lb_ahead_file *) *place = place_of(ahead, path);
    size_t size = strlen(path) + 1;
    struct lb_ahead_file *file;
    if (atomic_load_explicit(place, memory_order_relaxed) || ahead->used == ahead->room ||
        !(file = calloc(1, sizeof *file + size)))
        return NULL;
    memcpy(file->path, path, size);
    ahead->files[ahead->used++] = file;
    atomic_store_explicit(place, file, memory_order_release);
    return file;
}

/* ---- one file --------------------------------------------------------------------------------------------------------- */

static bool is_read(const struct lb_ahead_file *file) { return atomic_load(&file->state) == READ; }

static void await(struct lb_ahead *ahead, const struct lb_ahead_file *file)
{
    if (is_read(file))
        return;
    pthread_mutex_lock(&ahead->lock);
    atomic_store(&ahead->is_awaited, true); /* it stays true: there are few to wait for */
    while (!is_read(file))
        pthread_cond_wait(&ahead->change, &ahead->lock);
    pthread_mutex_unlock(&ahead->lock);
}

/* The file with the same inode that somebody reads or has read, or NULL, and `file` is the one from now on. */
static struct lb_ahead_file *same_file(struct lb_ahead *ahead, struct lb_ahead_file *file)
{
    const struct lb_identity *wanted = &file->own.identity;
    struct lb_ahead_file **bucket = &ahead->by_inode[hash_inode(wanted) & ahead->mask];
    pthread_mutex_lock(&ahead->lock);
    struct lb_ahead_file *other = *bucket;
    while (other && (other->own.identity.inode != wanted->inode || other->own.identity.device != wanted->device))
        other = other->same_inode_hash;
    if (!other) {
        file->same_inode_hash = *bucket;
        *bucket = file;
    }
    pthread_mutex_unlock(&ahead->lock);
    return other;
}

static bool map_whole(struct lb_reading *reading, int fd)
{
    uint64_t size = reading->identity.size;
    void *start = size == 0 || size > PTRDIFF_MAX ? MAP_FAILED : mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (start == MAP_FAILED)
        return false;
    reading->data = start;
    reading->map = (struct lb_guarded){NULL, (uint64_t)(uintptr_t)start, size};
    lb_guard(&reading->map);
    return true;
}

static void unmap_whole(struct lb_reading *reading)
{
    if (reading->map.size == 0)
        return;
    lb_unguard(&reading->map); /* first: another mapping may take its place at once */
    munmap((void *)(uintptr_t)reading->map.start, reading->map.size);
    reading->map.size = 0;
}

/* The layout of the file, whose summary is in `room`. */
static void lay_out(struct lb_reading *reading, const struct lb_whole *whole, const struct lb_summary *room)
{
    struct lb_view view = {reading->data, reading->identity.size, room->is64, room->swap};
    if (room->machine != whole->machine || !(reading->layout = malloc(sizeof *reading->layout)))
        return;
    if (!lb_layout_read(&view, whole->largest_page, reading->layout)) {
        free(reading->layout);
        reading->layout = NULL;
    }
}

void lb_reading_fill(struct lb_reading *reading, int fd, const struct lb_whole *whole, struct lb_summary *room)
{
    struct lb_source source;
    lb_source_open(&source, fd, reading->identity.size);
    size_t fixed = 0;
    if (whole && map_whole(reading, fd))
        source.data = reading->data;
    if ((!whole || source.data) && lb_summarize(&source, room)) {
        fixed = offsetof(struct lb_summary, needed) + room->needed_count * sizeof room->needed[0];
        reading->summary = malloc(fixed + room->text_size);
    }
    if (!reading->summary) {
        reading->outcome = LB_FILE_ODD;
        unmap_whole(reading);
        return;
    }
    reading->outcome = LB_FILE_PLAIN;
    if (whole)
        lay_out(reading, whole, room);
    char *text = (char *)reading->summary + fixed;
    memcpy(reading->summary, room, fixed);
    memcpy(text, room->text, room->text_size);
    reading->text = text;
}

void lb_reading_release(struct lb_reading *reading)
{
    free(reading->summary);
    free(reading->layout);
    unmap_whole(reading);
}

/* Reads the file where nobody else has claimed it. */
static void read_file(struct lb_ahead *ahead, struct lb_ahead_file *file, struct lb_summary *room)
{
    enum state expected = TO_READ;
    if (!atomic_compare_exchange_strong(&file->state, &expected, BEING_READ))
        return;
    file->found = &file->own;
    int fd = lb_file_open(file->path, &file->own.identity, &file->own.outcome);
    struct lb_ahead_file *same = fd < 0 ? NULL : same_file(ahead, file);
    if (same) { /* whoever reads that waits for nothing */
        await(ahead, same);
        file->found = &same->own;
    } else if (fd >= 0) {
        lb_reading_fill(&file->own, fd, lb_ahead_whole(ahead), room);
    }
    if (fd >= 0)
        close(fd);
    atomic_store(&file->state, READ);
    if (atomic_load(&ahead->is_awaited)) {
        pthread_mutex_lock(&ahead->lock);
        pthread_cond_broadcast(&ahead->change);
        pthread_mutex_unlock(&ahead->lock);
    }
}

struct lb_reading *lb_ahead_peek(const struct lb_ahead_file *file) { return is_read(file) ? file->found : NULL; }

struct lb_reading *lb_ahead_take(struct lb_ahead *ahead, struct lb_ahead_file *file)
{
    static struct lb_reading odd = {.outcome = LB_FILE_ODD};
    if (atomic_load(&file->state) == TO_READ) {
        struct lb_summary *room = malloc(sizeof *room);
        if (!room)
            return &odd;
        read_file(ahead, file, room);
        free(room);
    }
    await(ahead, file);
    return file->found;
}

/* ---- the thread ------------------------------------------------------------------------------------------------------- */

/* What `file` needs, in the folders that are known: to be read soon where it is not known yet. */
static void lead_on(struct lb_ahead *ahead, const struct lb_ahead_file *file)
{
    const struct lb_reading *reading = lb_ahead_peek(file);
    char path[4096];
    size_t folders = atomic_load(&ahead->folder_count);
    if (!folders || !reading || reading->outcome != LB_FILE_PLAIN)
        return;
    for (uint32_t i = 0; i < reading->summary->needed_count; i++) {
        const struct lb_string *name = &reading->summary->needed[i];
        const char *text = reading->text + name->start;
        if (!name->length || memchr(text, '/', name->length) || memchr(text, '$', name->length))
            continue;
        for (size_t n = 0; n < folders; n++) {
            size_t length = strlen(ahead->folders[n]);
            if (length + name->length + 2 > sizeof path)
                continue;
            memcpy(path, ahead->folders[n], length);
            path[length] = '/';
            memcpy(path + length + 1, text, name->length);
            path[length + 1 + name->length] = 0;
            struct lb_ahead_file *next = add(ahead, path);
            if (next) {
                *ahead->soon_end = next;
                ahead->soon_end = &next->next;
            }
        }
    }
}

/* Reads the file, or sees to it that whoever is at it has, and then those that it leads to are known. */
static void follow(struct lb_ahead *ahead, struct lb_ahead_file *file, struct lb_summary *room)
{
    read_file(ahead, file, room);
    await(ahead, file);
    lead_on(ahead, file);
}

static void read_soon(struct lb_ahead *ahead, struct lb_summary *room)
{
    while (ahead->soon && !atomic_load(&ahead->stop)) {
        struct lb_ahead_file *file = ahead->soon;
        if (!(ahead->soon = file->next))
            ahead->soon_end = &ahead->soon;
        follow(ahead, file, room);
    }
}

static void extend(uint64_t range[2], uint64_t offset, uint64_t size)
{
    if (offset == LB_ABSENT)
        return;
    range[0] = offset < range[0] ? offset : range[0];
    range[1] = offset + size > range[1] ? offset + size : range[1];
}

/* The pages of the tables that binding looks into: link editors put those side by side.  The mapping is somebody else's by
 * now, and may have gone: then nothing is read, or pages of another one that are not needed. */
static void populate(const struct lb_reading *reading)
{
    const struct lb_layout *l = reading->layout;
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

static void populate_all(struct lb_ahead *ahead)
{
    for (size_t i = 0; i < ahead->used && !atomic_load(&ahead->stop); i++) {
        const struct lb_reading *reading = lb_ahead_peek(ahead->files[i]);
        if (reading && reading == &ahead->files[i]->own && reading->outcome == LB_FILE_PLAIN && reading->layout)
            populate(reading);
    }
}

static void *read_all(void *argument)
{
    struct lb_ahead *ahead = argument;
    struct lb_summary *room = malloc(sizeof *room);
    size_t folders = 0;
    for (size_t i = 0; room && i < ahead->count && !atomic_load(&ahead->stop); i++) {
        follow(ahead, ahead->files[i], room);
        if (folders < atomic_load(&ahead->folder_count)) {
            folders = atomic_load(&ahead->folder_count);
            for (size_t done = 0; done < ahead->used; done++) /* those read before the folder was known */
                lead_on(ahead, ahead->files[done]);
        }
        read_soon(ahead, room);
    }
    free(room);
    if (ahead->is_whole)
        populate_all(ahead);
    return NULL;
}

/* ---- all of them ------------------------------------------------------------------------------------------------------ */

static struct lb_ahead *make_tables(size_t count)
{
    size_t room = 2 * count + 1024, size = 1024;
    while (size < 2 * room)
        size *= 2;
    struct lb_ahead *ahead = calloc(1, sizeof *ahead + room * sizeof ahead->files[0]);
    if (!ahead)
        return NULL;
    ahead->room = room;
    ahead->mask = size - 1;
    ahead->soon_end = &ahead->soon;
    pthread_mutex_init(&ahead->lock, NULL);
    pthread_cond_init(&ahead->change, NULL);
    ahead->by_path = calloc(size, sizeof ahead->by_path[0]);
    ahead->by_inode = calloc(size, sizeof ahead->by_inode[0]);
    if (ahead->by_path && ahead->by_inode)
        return ahead;
    lb_ahead_end(ahead);
    return NULL;
}

struct lb_ahead *lb_ahead_start(const char *const *paths, size_t count, const struct lb_whole *whole)
{
    struct lb_ahead *ahead = make_tables(count);
    if (!ahead)
        return NULL;
    ahead->is_whole = whole != NULL;
    if (whole)
        ahead->whole = *whole;
    for (size_t i = 0; i < count; i++)
        add(ahead, paths[i]); /* one that is given twice, or finds no memory, is read when it is asked for */
    ahead->count = ahead->used;
    /* Where no thread can be had, each file is read when it is asked for. */
    ahead->has_thread = lb_thread_start(&ahead->thread, read_all, ahead);
    return ahead;
}

const struct lb_whole *lb_ahead_whole(const struct lb_ahead *ahead) { return ahead->is_whole ? &ahead->whole : NULL; }

void lb_ahead_look_into(struct lb_ahead *ahead, const char *folder)
{
    pthread_mutex_lock(&ahead->lock);
    size_t count = atomic_load(&ahead->folder_count);
    if (count < LB_AHEAD_FOLDERS && (ahead->folders[count] = strdup(folder)))
        atomic_store(&ahead->folder_count, count + 1);
    pthread_mutex_unlock(&ahead->lock);
}

void lb_ahead_end(struct lb_ahead *ahead)
{
    atomic_store(&ahead->stop, true);
    if (ahead->has_thread)
        pthread_join(ahead->thread, NULL);
    for (size_t i = 0; i < ahead->used; i++) {
        lb_reading_release(&ahead->files[i]->own);
        free(ahead->files[i]);
    }
    for (size_t i = 0; i < LB_AHEAD_FOLDERS; i++)
        free(ahead->folders[i]);
    free(ahead->by_path);
    free(ahead->by_inode);
    pthread_cond_destroy(&ahead->change);
    pthread_mutex_destroy(&ahead->lock);
    free(ahead);
}
