/* Files that two threads read: the one that was started for it, in order, and whoever asks for a file that it has not
 * come to; see ahead.h.
 *
 * The table of paths is written by one thread at a time (whoever starts, then the thread) and read without a lock. A file
 * is claimed by its state. The lock is for the table by inode, for `folders` and for waiting. */
#include "ahead.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum state { TO_READ, BEING_READ, READ };

struct lb_ahead_file {
    _Atomic(enum state) state;
    const struct lb_reading *found; /* `own`, or that of the same file under another path */
    struct lb_reading own;
    struct lb_ahead_file *same_inode_hash;
    struct lb_ahead_file *next; /* of those to be read soon */
    char path[];
};

struct lb_ahead {
    pthread_t thread;
    bool has_thread;
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

/* `room` is to read into; what was found is copied, since most of it is empty. */
static void summarize(int fd, struct lb_summary *room, struct lb_reading *reading)
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
    char *text = (char *)reading->summary + fixed;
    memcpy(reading->summary, room, fixed);
    memcpy(text, room->text, room->text_size);
    reading->text = text;
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
        summarize(fd, room, &file->own);
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

const struct lb_reading *lb_ahead_peek(const struct lb_ahead_file *file) { return is_read(file) ? file->found : NULL; }

const struct lb_reading *lb_ahead_take(struct lb_ahead *ahead, struct lb_ahead_file *file)
{
    static const struct lb_reading odd = {.outcome = LB_FILE_ODD};
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

static void read_soon(struct lb_ahead *ahead, struct lb_summary *room)
{
    while (ahead->soon && !atomic_load(&ahead->stop)) {
        struct lb_ahead_file *file = ahead->soon;
        if (!(ahead->soon = file->next))
            ahead->soon_end = &ahead->soon;
        read_file(ahead, file, room);
        lead_on(ahead, file);
    }
}

static void *read_all(void *argument)
{
    struct lb_ahead *ahead = argument;
    struct lb_summary *room = malloc(sizeof *room);
    size_t folders = 0;
    for (size_t i = 0; room && i < ahead->count && !atomic_load(&ahead->stop); i++) {
        read_file(ahead, ahead->files[i], room);
        lead_on(ahead, ahead->files[i]);
        if (folders < atomic_load(&ahead->folder_count)) {
            folders = atomic_load(&ahead->folder_count);
            for (size_t done = 0; done < ahead->used; done++) /* those read before the folder was known */
                lead_on(ahead, ahead->files[done]);
        }
        read_soon(ahead, room);
    }
    free(room);
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

struct lb_ahead *lb_ahead_start(const char *const *paths, size_t count)
{
    struct lb_ahead *ahead = make_tables(count);
    if (!ahead)
        return NULL;
    for (size_t i = 0; i < count; i++)
        add(ahead, paths[i]); /* one that is given twice, or finds no memory, is read when it is asked for */
    ahead->count = ahead->used;
    sigset_t all, before; /* signals are for the threads that the process knows of */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    /* Where no thread can be had, each file is read when it is asked for. */
    ahead->has_thread = pthread_create(&ahead->thread, NULL, read_all, ahead) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return ahead;
}

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
        free(ahead->files[i]->own.summary);
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
