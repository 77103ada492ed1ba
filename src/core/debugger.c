/* Tells debuggers about our objects: the interface that gdb and lldb offer to compilers that make code at run time
 * (GDB manual, "JIT Compilation Interface").
 *
 * A debugger looks for the two names below, sets a breakpoint on the function, and reads the list of symbol files, which
 * are ELF files in memory (latebind/linker/symbolfile.py makes them), whenever it is called.  Its breakpoint shows
 * that it listens: so nothing need be prepared before one does. */
#define _GNU_SOURCE
#include <stdlib.h>

#include "image.h"

#define FOR_DEBUGGERS __attribute__((visibility("default"), used))

struct jit_code_entry {
    struct jit_code_entry *next, *prev;
    const char *symfile_addr;
    uint64_t symfile_size;
};

FOR_DEBUGGERS struct {
    uint32_t version, action; /* enum action */
    struct jit_code_entry *relevant, *first;
} __jit_debug_descriptor = {.version = 1};

enum action { NOTHING, REGISTER, UNREGISTER };

FOR_DEBUGGERS __attribute__((noinline)) void __jit_debug_register_code(void) { __asm__ volatile("" ::: "memory"); }

/* Where a debugger's script finds what was loaded before it came (latebind/linker/gdb.py): the head of the list, and
 * the places of the fields in a record of it. */
FOR_DEBUGGERS const struct {
    uint32_t version, next, base, name;
    struct lb_image **first;
} __latebind_images = {1, offsetof(struct lb_image, next), offsetof(struct lb_image, base),
                       offsetof(struct lb_image, name), &lb_process.images};

bool lb_debugger_listens(void)
{
    uint32_t code;
    void (*function)(void) = __jit_debug_register_code;
    __asm__ volatile("" : "+r"(function)); /* read what is there, not what was compiled */
    memcpy(&code, (const void *)(uintptr_t)function, sizeof code);
#if defined(__x86_64__)
    return (code & 0xff) == 0xcc; /* int3 */
#else
    return code == 0xd4200000; /* brk #0 */
#endif
}

static void tell(enum action action, struct jit_code_entry *entry)
{
    __jit_debug_descriptor.action = action;
    __jit_debug_descriptor.relevant = entry;
    __jit_debug_register_code();
    __jit_debug_descriptor.action = NOTHING;
    __jit_debug_descriptor.relevant = NULL;
}

void *lb_debugger_enter(const void *file, size_t size)
{
    struct jit_code_entry *entry = calloc(1, sizeof *entry);
    char *copy = malloc(size);
    if (entry == NULL || copy == NULL) {
        free(entry);
        free(copy);
        return NULL;
    }
    memcpy(copy, file, size);
    pthread_mutex_lock(&lb_process.lock);
    *entry = (struct jit_code_entry){.next = __jit_debug_descriptor.first, .symfile_addr = copy, .symfile_size = size};
    if (entry->next != NULL)
        entry->next->prev = entry;
    __jit_debug_descriptor.first = entry;
    tell(REGISTER, entry);
    pthread_mutex_unlock(&lb_process.lock);
    return entry;
}

void lb_debugger_remove(void *what)
{
    struct jit_code_entry *entry = what;
    pthread_mutex_lock(&lb_process.lock);
    *(entry->prev != NULL ? &entry->prev->next : &__jit_debug_descriptor.first) = entry->next;
    if (entry->next != NULL)
        entry->next->prev = entry->prev;
    tell(UNREGISTER, entry);
    pthread_mutex_unlock(&lb_process.lock);
    free((void *)(uintptr_t)entry->symfile_addr);
    free(entry);
}
