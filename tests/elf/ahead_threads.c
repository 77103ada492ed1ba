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

static void *ask(void *argument)
{
    size_t number = (size_t)argument, needed = 0;
    for (size_t i = 0; i < count; i++) {
        const struct lb_reading *reading = reading_of(paths[number % 2 ? count - 1 - i : i]);
        if (reading && reading->outcome == LB_FILE_PLAIN)
            needed += reading->summary->needed_count;
        if (reading && reading->layout && reading->data[0] != 0x7f)
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
        const struct lb_whole whole = {62, 4096};
        if (!(ahead = lb_ahead_start((const char *const *)paths, count, round % 2 ? &whole : NULL)))
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
