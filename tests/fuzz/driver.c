/* A small coverage-guided fuzzer for machines without clang's libFuzzer: `driver CORPUS SECONDS RUNS FINDING`.
 *
 * GCC's -fsanitize-coverage=trace-pc calls us at every edge of the target (not of this file); an input that reaches an
 * edge for the first time joins the corpus.  The input that is being tried stands in the file FINDING, mapped shared, so
 * it survives whatever the target does (zero bytes follow it); at the end the file is removed. */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { EDGES = 1 << 16, INPUTS = 1 << 14, LONGEST = 1 << 18, SLOWEST = 10 };

static uint8_t seen[EDGES];
static uint32_t edges, before;
static struct { uint8_t *data; size_t size; } corpus[INPUTS];
static size_t inputs;
static uint64_t dice_state;

void __sanitizer_cov_trace_pc(void); /* what GCC calls; it has no header */
void __sanitizer_cov_trace_pc(void)
{
    uint32_t here = (uint32_t)((uintptr_t)__builtin_return_address(0) * UINT64_C(0x9e3779b97f4a7c15) >> 40);
    uint32_t edge = (here ^ before >> 1) % EDGES;
    before = here;
    if (!seen[edge]) {
        seen[edge] = 1;
        edges++;
    }
}

static uint64_t dice(uint64_t sides) /* xorshift64* */
{
    dice_state ^= dice_state >> 12;
    dice_state ^= dice_state << 25;
    dice_state ^= dice_state >> 27;
    return dice_state * UINT64_C(0x2545f4914f6cdd1d) % sides;
}

static void keep(const uint8_t *data, size_t size)
{
    if (inputs == INPUTS)
        return;
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        return;
    memcpy(copy, data, size);
    corpus[inputs].data = copy;
    corpus[inputs++].size = size;
}

static void load(const char *folder)
{
    static uint8_t buffer[LONGEST];
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "rb");
        if (!file)
            continue;
        keep(buffer, fread(buffer, 1, sizeof buffer, file));
        fclose(file);
    }
    if (dir)
        closedir(dir);
}

static size_t mutate(uint8_t *data, size_t size)
{
    static const uint64_t telling[] = {0, 1, 2, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0xffffffff, 1ull << 63, ~0ull};
    for (uint64_t n = 1 + dice(8); n && size > 8; n--) {
        /* Headers and tables stand at the start; contents after them matter less. */
        size_t at = dice(dice(2) ? size : size < 2048 ? size : 2048), width = (size_t)1 << dice(4);
        if (width > size - at)
            width = size - at;
        uint64_t value = telling[dice(sizeof telling / sizeof *telling)];
        switch (dice(6)) {
        case 0: data[at] = (uint8_t)dice(256); break;
        case 1: data[at] ^= (uint8_t)(1u << dice(8)); break;
        case 2: memcpy(data + at, &value, width); break;
        case 3: memmove(data + at, data + dice(size - width + 1), width); break;
        case 4: data[at] += (uint8_t)(dice(33) - 16); break;
        default: if (dice(8) == 0) size = at; break;
        }
    }
    return size;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return fprintf(stderr, "usage: driver CORPUS SECONDS RUNS FINDING\n"), 2;
    uint64_t seconds = strtoull(argv[2], NULL, 10), runs = strtoull(argv[3], NULL, 10), count = 0;
    int fd = open(argv[4], O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || ftruncate(fd, LONGEST) < 0)
        return perror(argv[4]), 2;
    uint8_t *current = mmap(NULL, LONGEST, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (current == MAP_FAILED)
        return perror("mmap"), 2;
    load(argv[1]);
    if (!inputs)
        return fprintf(stderr, "%s is empty\n", argv[1]), 2;
    size_t seeds = inputs, longest = LONGEST; /* what may be left of earlier inputs */
    const struct itimerval slowest = {.it_value.tv_sec = SLOWEST}; /* of processor time */
    time_t start = time(NULL);
    dice_state = (uint64_t)start * 2 + 1;
    while ((!seconds || (uint64_t)(time(NULL) - start) < seconds) && (!runs || count < runs)) {
        size_t from = count < seeds ? count : dice(inputs);
        size_t size = corpus[from].size;
        memcpy(current, corpus[from].data, size);
        if (count >= seeds)
            size = mutate(current, size);
        if (size < longest)
            memset(current + size, 0, longest - size);
        longest = size;
        uint32_t known = edges;
        before = 0;
        setitimer(ITIMER_VIRTUAL, &slowest, NULL); /* a hang ends the run, and the input stays in FINDING */
        LLVMFuzzerTestOneInput(current, size);
        count++;
        if (edges > known && count > seeds)
            keep(current, size);
    }
    unlink(argv[4]);
    const char *name = strrchr(argv[1], '/');
    printf("%s: %llu inputs, %u edges, %zu kept, no finding\n", name ? name + 1 : argv[1], (unsigned long long)count, edges, inputs - seeds);
    return 0;
}
