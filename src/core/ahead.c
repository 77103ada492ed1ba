/* A list of files that two threads read from: the one that was started for it, in order, and whoever asks for a file that
 * it has not come to; see ahead.h. */
#include "ahead.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum state { TO_READ, BEING_READ, READ };

struct entry {
    char *path;
    enum state state;
    struct lb_reading reading;
};

struct lb_ahead {
    pthread_t thread;
    bool has_thread, stop, is_awaited;
    pthread_mutex_t lock; /* for each `state`, `stop` and `is_awaited` */
    pthread_cond_t change;
    size_t count;
    struct entry entries[];
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

/* `room` is to read into; what was found is copied, since most of it is empty. */
static void read_file(const char *path, struct lb_summary *room, struct lb_reading *reading)
{
    struct lb_source source;
    int fd = lb_file_open(path, &reading->identity, &reading->outcome);
    if (fd < 0)
        return;
    lb_source_open(&source, fd, reading->identity.size);
    size_t fixed = 0;
    if (lb_summarize(&source, room)) {
        fixed = offsetof(struct lb_summary, needed) + room->needed_count * sizeof room->needed[0];
        reading->summary = malloc(fixed + room->text_size);
    }
    if (reading->summary) {
        char *text = (char *)reading->summary + fixed;
        memcpy(reading->summary, room, fixed);
        memcpy(text, room->text, room->text_size);
        reading->text = text;
    } else {
        reading->outcome = LB_FILE_ODD;
    }
    close(fd);
}

/* Reads the entry, which is claimed; the lock is held, and let go meanwhile. */
static void read_entry(struct lb_ahead *ahead, struct entry *entry, struct lb_summary *room)
{
    entry->state = BEING_READ;
    pthread_mutex_unlock(&ahead->lock);
    if (room)
        read_file(entry->path, room, &entry->reading);
    else
        entry->reading.outcome = LB_FILE_ODD;
    pthread_mutex_lock(&ahead->lock);
    entry->state = READ;
    if (ahead->is_awaited)
        pthread_cond_broadcast(&ahead->change);
}

static void *read_all(void *argument)
{
    struct lb_ahead *ahead = argument;
    struct lb_summary *room = malloc(sizeof *room);
    pthread_mutex_lock(&ahead->lock);
    for (size_t i = 0; room && i < ahead->count && !ahead->stop; i++)
        if (ahead->entries[i].state == TO_READ)
            read_entry(ahead, &ahead->entries[i], room);
    pthread_mutex_unlock(&ahead->lock);
    free(room);
    return NULL;
}

struct lb_ahead *lb_ahead_start(const char *const *paths, size_t count)
{
    struct lb_ahead *ahead = calloc(1, sizeof *ahead + count * sizeof ahead->entries[0]);
    if (!ahead)
        return NULL;
    pthread_mutex_init(&ahead->lock, NULL);
    pthread_cond_init(&ahead->change, NULL);
    for (; ahead->count < count; ahead->count++) {
        struct entry *entry = &ahead->entries[ahead->count];
        if (!(entry->path = strdup(paths[ahead->count]))) {
            lb_ahead_end(ahead);
            return NULL;
        }
    }
    sigset_t all, before; /* signals are for the threads that the process knows of */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    /* Where no thread can be had, each file is read when it is asked for. */
    ahead->has_thread = pthread_create(&ahead->thread, NULL, read_all, ahead) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return ahead;
}

const struct lb_reading *lb_ahead_take(struct lb_ahead *ahead, size_t index)
{
    struct entry *entry = &ahead->entries[index];
    pthread_mutex_lock(&ahead->lock);
    if (entry->state == TO_READ) {
        struct lb_summary *room = malloc(sizeof *room);
        read_entry(ahead, entry, room);
        free(room);
    }
    while (entry->state != READ) {
        ahead->is_awaited = true;
        pthread_cond_wait(&ahead->change, &ahead->lock);
    }
    ahead->is_awaited = false; /* whoever else waits is woken by the same change, and says so again */
    pthread_mutex_unlock(&ahead->lock);
    return &entry->reading;
}

size_t lb_ahead_count(const struct lb_ahead *ahead) { return ahead->count; }

void lb_ahead_end(struct lb_ahead *ahead)
{
    pthread_mutex_lock(&ahead->lock);
    ahead->stop = true;
    pthread_mutex_unlock(&ahead->lock);
    if (ahead->has_thread)
        pthread_join(ahead->thread, NULL);
    for (size_t i = 0; i < ahead->count; i++) {
        free(ahead->entries[i].path);
        free(ahead->entries[i].reading.summary);
    }
    pthread_cond_destroy(&ahead->change);
    pthread_mutex_destroy(&ahead->lock);
    free(ahead);
}
