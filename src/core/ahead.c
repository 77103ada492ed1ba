/* Files that two threads read: the one that was started for it, in order, and whoever asks for a file that it has not
 * come to; see ahead.h.
 *
 * The table of paths is written by one thread at a time (whoever starts, then the thread) and read without a lock. A file
 * is claimed by its state. The lock is for the table by inode, for `folders` and for waiting. */
#include "ahead.h"
#include "parallel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 60000 /* nanoseconds: a file takes less */
#define MOST_OPEN 128 /* files that were read and are still to be mapped */

enum state { TO_READ, BEING_READ, READ };

struct lb_ahead_file {
    _Atomic(enum state) state, mapping;
    struct lb_ahead_file *real; /* itself, or the same file under another path */
    struct lb_reading own;
    int fd; /* to be mapped; -1 where that is done, or not to be */
    struct lb_ahead_file *same_inode_hash;
    struct lb_ahead_file *next; /* of those to be read soon */
    char path[];
};

struct lb_ahead {
    pthread_t thread;
    pid_t process; /* whose thread it is */
    bool has_thread, has_target;
    struct lb_target target;
    atomic_int open_count;
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

static void await(struct lb_ahead *ahead, const _Atomic(enum state) *state)
{
    if (atomic_load(state) == READ)
        return;
    pthread_mutex_lock(&ahead->lock);
    atomic_store(&ahead->is_awaited, true); /* it stays true: there are few to wait for */
    while (atomic_load(state) != READ)
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

static void tell(struct lb_ahead *ahead)
{
    if (!atomic_load(&ahead->is_awaited))
        return;
    pthread_mutex_lock(&ahead->lock);
    pthread_cond_broadcast(&ahead->change);
    pthread_mutex_unlock(&ahead->lock);
}

/* Whether the file is kept open, to be mapped. */
static bool stays_open(struct lb_ahead *ahead, const struct lb_ahead_file *file)
{
    if (!ahead->has_target || file->own.outcome != LB_FILE_PLAIN)
        return false;
    return atomic_fetch_add(&ahead->open_count, 1) < MOST_OPEN; /* it may count too many: no harm */
}

/* Reads the file where nobody else has claimed it. */
static void read_file(struct lb_ahead *ahead, struct lb_ahead_file *file, struct lb_summary *room)
{
    enum state expected = TO_READ;
    if (!atomic_compare_exchange_strong(&file->state, &expected, BEING_READ))
        return;
    file->real = file;
    file->fd = -1;
    int fd = lb_file_open(file->path, &file->own.identity, &file->own.outcome);
    struct lb_ahead_file *same = fd < 0 ? NULL : same_file(ahead, file);
    if (same) { /* whoever reads that waits for nothing */
        await(ahead, &same->state);
        file->real = same;
    } else if (fd >= 0) {
        lb_reading_summarize(&file->own, fd, room);
        if (stays_open(ahead, file)) {
            file->fd = fd;
            fd = -1;
        }
    }
    if (fd >= 0)
        close(fd);
    atomic_store(&file->state, READ);
    tell(ahead);
}

/* The same for mapping one that is read, and is no other under another path. */
static void map_file(struct lb_ahead *ahead, struct lb_ahead_file *file)
{
    enum state expected = TO_READ;
    if (!atomic_compare_exchange_strong(&file->mapping, &expected, BEING_READ))
        return;
    if (file->fd >= 0) {
        lb_reading_map(&file->own, file->fd, &ahead->target);
        close(file->fd);
        file->fd = -1;
        atomic_fetch_sub(&ahead->open_count, 1);
    }
    atomic_store(&file->mapping, READ);
    tell(ahead);
}

struct lb_reading *lb_ahead_peek(const struct lb_ahead_file *file)
{
    return atomic_load(&file->state) == READ ? &file->real->own : NULL;
}

/* Reads the file if nobody else is at it; false where memory is short. */
static bool read_now(struct lb_ahead *ahead, struct lb_ahead_file *file)
{
    if (atomic_load(&file->state) != TO_READ)
        return true;
    struct lb_summary *room = malloc(sizeof *room);
    if (!room)
        return false;
    read_file(ahead, file, room);
    free(room);
    return true;
}

struct lb_reading *lb_ahead_take(struct lb_ahead *ahead, struct lb_ahead_file *file)
{
    static struct lb_reading odd = {.outcome = LB_FILE_ODD};
    if (!read_now(ahead, file))
        return &odd;
    await(ahead, &file->state);
    return &file->real->own;
}

static int64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Sleeping would take longer than what is waited for. */
static bool is_soon(const _Atomic(enum state) *state)
{
    if (atomic_load(state) == READ)
        return true;
    for (int64_t end = nanoseconds() + PATIENCE; nanoseconds() < end;)
        if (atomic_load(state) == READ)
            return true;
    return false;
}

struct lb_reading *lb_ahead_try(struct lb_ahead *ahead, struct lb_ahead_file *file)
{
    return read_now(ahead, file) && is_soon(&file->state) ? &file->real->own : NULL;
}

struct lb_reading *lb_ahead_map(struct lb_ahead *ahead, struct lb_ahead_file *file)
{
    map_file(ahead, file->real);
    return is_soon(&file->real->mapping) ? &file->real->own : NULL;
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
    await(ahead, &file->state);
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

/* What is left when all are read: they are mapped first, since somebody is about to ask for that. */
static void prepare_all(struct lb_ahead *ahead)
{
    for (size_t i = 0; i < ahead->used && !atomic_load(&ahead->stop); i++)
        if (ahead->files[i]->real == ahead->files[i])
            map_file(ahead, ahead->files[i]);
    for (size_t i = 0; i < ahead->used && !atomic_load(&ahead->stop); i++) {
        struct lb_ahead_file *file = ahead->files[i];
        await(ahead, &file->real->mapping);
        if (file->real == file)
            lb_reading_populate(&file->own);
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
    if (room && ahead->has_target && !atomic_load(&ahead->stop))
        prepare_all(ahead);
    free(room);
    return NULL;
}

/* ---- all of them ------------------------------------------------------------------------------------------------------ */

static struct lb_ahead *make_tables(size_t count, bool has_target)
{
    size_t room = 2 * count + (has_target ? 256 : 1024), size = 512; /* one library needs fewer than many programs */
    while (size < 2 * room)
        size *= 2;
    struct lb_ahead *ahead = calloc(1, sizeof *ahead + room * sizeof ahead->files[0]);
    if (!ahead)
        return NULL;
    ahead->process = getpid();
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

struct lb_ahead *lb_ahead_start(const char *const *paths, size_t count, const struct lb_target *target)
{
    struct lb_ahead *ahead = make_tables(count, target != NULL);
    if (!ahead)
        return NULL;
    ahead->has_target = target != NULL;
    if (target)
        ahead->target = *target;
    for (size_t i = 0; i < count; i++)
        add(ahead, paths[i]); /* one that is given twice, or finds no memory, is read when it is asked for */
    ahead->count = ahead->used;
    /* Where no thread can be had, each file is read when it is asked for.  For one library it pays where it has a processor. */
    ahead->has_thread = (!target || lb_second_processor()) && lb_thread_start(&ahead->thread, read_all, ahead);
    return ahead;
}

const struct lb_target *lb_ahead_target(const struct lb_ahead *ahead)
{
    return ahead->has_target ? &ahead->target : NULL;
}

void lb_ahead_look_into(struct lb_ahead *ahead, const char *folder)
{
    pthread_mutex_lock(&ahead->lock);
    size_t count = atomic_load(&ahead->folder_count);
    if (count < LB_AHEAD_FOLDERS && (ahead->folders[count] = strdup(folder)))
        atomic_store(&ahead->folder_count, count + 1);
    pthread_mutex_unlock(&ahead->lock);
}

void lb_ahead_stop(struct lb_ahead *ahead)
{
    if (getpid() != ahead->process)
        return;
    atomic_store(&ahead->stop, true);
    if (ahead->has_thread)
        pthread_join(ahead->thread, NULL);
    ahead->has_thread = false;
}

void lb_ahead_end(struct lb_ahead *ahead)
{
    if (getpid() != ahead->process)
        return;
    lb_ahead_stop(ahead);
    for (size_t i = 0; i < ahead->used; i++) {
        if (atomic_load(&ahead->files[i]->state) == READ && ahead->files[i]->fd >= 0)
            close(ahead->files[i]->fd);
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
