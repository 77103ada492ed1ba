/* Several threads ask for files that another one reads ahead: `ahead_threads FILE...`, built with a sanitizer.  Each must
 * be told the same; what is printed is how many names all files need, as each thread counted them. */
#include "ahead.h"

#include <pthread.h>
#include <stdio.h>

enum { ROUNDS = 8, THREADS = 3 };

static struct lb_ahead *ahead;
static char **paths;
static size_t count;

static const struct lb_reading *reading_of(const char *path)
{
    struct lb_ahead_file *file = lb_ahead_find(ahead, path);
    const struct lb_reading *reading = file ? lb_ahead_peek(file) : NULL;
    return file && !reading ? lb_ahead_take(ahead, file) : reading;
}

/* Whether the file, which was taken, is mapped where it should be. */
static bool is_mapped(const char *path)
{
    const struct lb_reading *reading = lb_ahead_map(ahead, lb_ahead_find(ahead, path));
    if (!reading) /* too late */
        return true;
    if (!lb_ahead_target(ahead) || reading->outcome != LB_FILE_PLAIN)
        return reading->data == NULL;
    return reading->data == NULL || reading->data[0] == 0x7f; /* too many may be open */
}

static void *ask(void *argument)
{
    size_t number = (size_t)argument, needed = 0;
    for (size_t i = 0; i < count; i++) {
        const char *path = paths[number % 2 ? count - 1 - i : i];
        const struct lb_reading *reading = reading_of(path);
        if (reading && reading->outcome == LB_FILE_PLAIN)
            needed += reading->summary->needed_count;
        if (reading && i % 3 == 0 && !is_mapped(path))
            return NULL;
        if (i == 4 * number)
            lb_ahead_look_into(ahead, "/lib/x86_64-linux-gnu");
        if (i % 4 == 0) /* led to, under another path than the one that may have been given */
            reading_of("/lib/x86_64-linux-gnu/libc.so.6");
    }
    return (void *)needed;
}

int main(int argc, char **argv)
{
    paths = argv + 1;
    count = (size_t)argc - 1;
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t threads[THREADS];
        int started = round % (THREADS + 1); /* with none, it ends while it reads */
        const struct lb_target target = {62, 4096};
        if (!(ahead = lb_ahead_start((const char *const *)paths, count, round % 2 ? &target : NULL)))
            return 1;
        for (int i = 0; i < started; i++)
            pthread_create(&threads[i], NULL, ask, (void *)(size_t)i);
        for (int i = 0; i < started; i++) {
            void *needed;
            pthread_join(threads[i], &needed);
            printf("%zu\n", (size_t)needed);
        }
        lb_ahead_end(ahead);
    }
    return 0;
}
