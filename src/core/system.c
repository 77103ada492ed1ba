/* What the system's own linker knows: where its objects have their code and their TLS blocks.
 *
 * A plan binds to resident objects; their thread-local variables are reached through a module id, which
 * dl_iterate_phdr tells, or at a fixed offset from the thread pointer, which nothing tells.  But a new thread has the
 * static blocks ready and no others, so it can look. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <unistd.h>

#include "image.h"

/* ---- code ------------------------------------------------------------------------------------------------------------ */

static int has_code(struct dl_phdr_info *info, size_t size, void *data)
{
    uint64_t address = *(uint64_t *)data - info->dlpi_addr;
    (void)size;
    for (uint32_t i = 0; i < info->dlpi_phnum; i++) {
        const Elf64_Phdr *p = &info->dlpi_phdr[i];
        if (p->p_type == PT_LOAD && (p->p_flags & PF_X) && address - p->p_vaddr < p->p_memsz)
            return 1;
    }
    return 0;
}

bool lb_system_is_code(uint64_t address) { return dl_iterate_phdr(has_code, &address) != 0; }

/* ---- TLS ------------------------------------------------------------------------------------------------------------- */

struct tls_query {
    uint64_t base;
    uint64_t module; /* 0: not found, or without TLS */
    void *block;     /* of the asking thread; NULL: not there yet */
};

static int find_block(struct dl_phdr_info *info, size_t size, void *data)
{
    struct tls_query *query = data;
    if (info->dlpi_addr != query->base || size < offsetof(struct dl_phdr_info, dlpi_tls_data) + sizeof(void *))
        return 0;
    query->module = info->dlpi_tls_modid;
    query->block = info->dlpi_tls_data;
    return 1;
}

static void *look_from_new_thread(void *data)
{
    struct lb_tls *tls = data;
    struct tls_query query = {.base = (uint64_t)tls->offset};
    dl_iterate_phdr(find_block, &query);
    tls->is_static = query.block != NULL;
    if (tls->is_static)
        tls->offset = (int64_t)((uint64_t)(uintptr_t)query.block - (uint64_t)(uintptr_t)__builtin_thread_pointer());
    return NULL;
}

int lb_system_tls(uint64_t base, struct lb_tls *tls, struct lb_error *error)
{
    struct tls_query query = {.base = base};
    pthread_t thread;
    *tls = (struct lb_tls){0};
    dl_iterate_phdr(find_block, &query);
    if (query.module == 0)
        return 0;
    tls->module = query.module;
    tls->offset = (int64_t)base; /* in: the base; out: the offset */
    errno = pthread_create(&thread, NULL, look_from_new_thread, tls);
    if (errno != 0)
        return lb_fail_errno(error, LB_NONE, 0, "starting a thread");
    errno = pthread_join(thread, NULL);
    if (errno != 0)
        return lb_fail_errno(error, LB_NONE, 0, "joining a thread");
    if (!tls->is_static)
        tls->offset = 0;
    return 0;
}
