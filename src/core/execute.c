/* Executes a plan: the phases of loading in order, and the way back when one fails.
 *
 * Every phase is done for all objects before the next one begins: an object may refer to any other, in a circle too.
 * What has run so far is undone on failure, so that the process is as before.  The list of live images and the program's
 * arguments are the core's only mutable state. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "image.h"

static char *no_arguments[] = {NULL};

struct lb_process lb_process = {
    .arguments = no_arguments,
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .walking = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP,
};

/* ---- the process ------------------------------------------------------------------------------------------------- */

static void lock_images(void) { pthread_mutex_lock(&lb_process.lock); }
static void unlock_images(void) { pthread_mutex_unlock(&lb_process.lock); }

static void lock_all(void)
{
    pthread_mutex_lock(&lb_process.walking);
    lock_images();
}

static void unlock_all(void)
{
    unlock_images();
    pthread_mutex_unlock(&lb_process.walking);
}

/* In the child of a fork: a recursive lock belongs to a thread id, and the child's is another. */
static void renew_all(void)
{
    lb_process.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    lb_process.walking = (pthread_mutex_t)PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
    lb_leftovers_in_child();
}

/* glibc hands the program's arguments to the constructors of every library, ours included; nothing public keeps them.
 * A fork takes the locks first, so that the child does not inherit them from a thread that it does not have. */
__attribute__((constructor)) static void remember_process(int count, char **arguments)
{
#ifdef __GLIBC__
    lb_process.argument_count = count;
    lb_process.arguments = arguments;
#else
    (void)count, (void)arguments;
#endif
    pthread_atfork(lock_all, unlock_all, renew_all);
}

static bool is_code_of(const struct lb_image *image, uint64_t address)
{
    return image != NULL && image->span != 0 && lb_image_at(image, address - image->base, 1, PF_X) != 0;
}

bool lb_is_code(const struct lb_execution *run, uint64_t address)
{
    bool found = false;
    for (uint32_t i = 0; run != NULL && i < run->plan.object_count && !found; i++)
        found = is_code_of(run->members[i].image, address);
    if (found)
        return true;
    lock_images();
    for (const struct lb_image *image = lb_process.images; image != NULL && !found; image = image->next)
        found = is_code_of(image, address);
    unlock_images();
    return found || lb_system_is_code(address);
}

/* ---- errors -------------------------------------------------------------------------------------------------------- */

static int fail(struct lb_error *error, enum lb_error_code code, uint32_t object, uint64_t offset, uint32_t symbol,
                const char *format, va_list arguments)
{
    error->code = code;
    error->object = object;
    error->offset = offset;
    error->symbol = symbol;
    error->system_errno = 0;
    vsnprintf(error->detail, sizeof error->detail, format, arguments);
    return -1;
}

int lb_fail(struct lb_error *error, enum lb_error_code code, uint32_t object, uint64_t offset, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fail(error, code, object, offset, LB_NONE, format, arguments);
    va_end(arguments);
    return -1;
}

int lb_fail_symbol(struct lb_error *error, enum lb_error_code code, uint32_t object, uint64_t offset, uint32_t symbol,
                   const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fail(error, code, object, offset, symbol, format, arguments);
    va_end(arguments);
    return -1;
}

int lb_fail_errno(struct lb_error *error, uint32_t object, uint64_t offset, const char *operation)
{
    int number = errno;
    lb_fail(error, LB_SYSTEM, object, offset, "%s", operation);
    error->system_errno = number;
    return -1;
}

/* ---- phases -------------------------------------------------------------------------------------------------------- */

typedef int phase(struct lb_execution *run, struct lb_member *member);

static int for_each(struct lb_execution *run, phase *step)
{
    for (uint32_t i = 0; i < run->plan.object_count; i++)
        if (run->members[i].image != NULL && step(run, &run->members[i]) < 0)
            return -1;
    return 0;
}

static int take_sources(struct lb_execution *run, const struct lb_source *sources, uint64_t count)
{
    if (count != run->plan.object_count)
        return lb_fail(run->error, LB_MALFORMED, LB_NONE, 0, "the plan has %u objects, but %llu sources were given",
                       run->plan.object_count, (unsigned long long)count);
    for (uint32_t i = 0; i < run->plan.object_count; i++) {
        const struct lb_plan_object *o = &run->plan.objects[i];
        run->members[i] = (struct lb_member){.index = i, .record = o, .source = &sources[i], .fd = -1};
        if (sources[i].kind == LB_SOURCE_PRESENT)
            continue;
        if (o->role != LB_ROLE_OWN)
            return lb_fail(run->error, LB_MALFORMED, i, 0, "a file was given for an object that the system's linker loads");
        if (o->segments == 0)
            return lb_fail(run->error, LB_MALFORMED, i, 0, "it has nothing to load");
        run->members[i].bindings = run->plan.bindings + o->first_binding;
        run->members[i].is_lazy = (o->flags & LB_OBJECT_LAZY) != 0;
    }
    return 0;
}

static int map_all(struct lb_execution *run)
{
    for (uint32_t i = 0; i < run->plan.object_count; i++) {
        struct lb_member *m = &run->members[i];
        if (m->source->kind == LB_SOURCE_PRESENT) {
            m->base = m->source->base;
            m->tls = (struct lb_tls){NULL, m->source->tls_module, m->source->tls_is_static, m->source->tls_offset};
        } else if (lb_image_map(run, m) < 0) {
            return -1;
        }
    }
    return 0;
}

static int relocate_plain(struct lb_execution *run, struct lb_member *m)
{
    if (lb_image_open_text(run, m) < 0)
        return -1;
    return lb_relocate(run, m, LB_PASS_PLAIN);
}

static int relocate_tls(struct lb_execution *run, struct lb_member *m)
{
    if (lb_relocate(run, m, LB_PASS_TLS) < 0)
        return -1;
    return lb_image_close_text(run, m);
}

/* Dependencies first: a resolver may call into them.  The marks of an object make a second visit harmless. */
static int relocate_ifuncs(struct lb_execution *run)
{
    for (uint32_t i = 0; i < run->plan.order_count + run->plan.object_count; i++) {
        uint32_t index = i < run->plan.order_count ? run->plan.order[i] : i - run->plan.order_count;
        struct lb_member *m = &run->members[index];
        if (m->image != NULL && !m->ifuncs_done && lb_relocate(run, m, LB_PASS_IFUNC) < 0)
            return -1;
        m->ifuncs_done = true;
    }
    return 0;
}

static int execute_phases(struct lb_execution *run)
{
    if (map_all(run) < 0)
        return -1;
    if (for_each(run, lb_relocate_prepare) < 0)
        return -1;
    if (for_each(run, relocate_plain) < 0)
        return -1;
    if (for_each(run, lb_tls_carry) < 0)
        return -1;
    if (for_each(run, relocate_tls) < 0)
        return -1;
    if (relocate_ifuncs(run) < 0)
        return -1;
    if (for_each(run, lb_init_check) < 0)
        return -1;
    if (for_each(run, lb_lazy_prepare) < 0)
        return -1;
    return for_each(run, lb_image_protect);
}

/* Tells the unwinder about all images that it does not know: about older ones too, that came before it did.  The
 * system linker's lock is never taken under ours: a constructor that it runs may come back here. */
void lb_announce_all(void)
{
    struct lb_unwinder unwinder = {0};
    lock_images();
    bool is_known = lb_process.unwinder.enlist != NULL;
    unlock_images();
    bool is_found = !is_known && lb_find_unwinder(&unwinder);
    lock_images();
    if (is_found)
        lb_process.unwinder = unwinder;
    for (struct lb_image *image = lb_process.images; image != NULL && lb_process.unwinder.enlist != NULL;
         image = image->next)
        lb_announce(image, &lb_process.unwinder);
    unlock_images();
}

/* Makes the images live. */
static void publish(struct lb_execution *run, struct lb_image **images)
{
    lock_images();
    for (uint32_t i = 0; i < run->plan.object_count; i++) {
        struct lb_image *image = images[i] = run->members[i].image;
        if (image == NULL)
            continue;
        image->next = lb_process.images;
        lb_process.images = image;
        lb_process.adds++;
    }
    unlock_images();
    lb_announce_all();
}

static void undo(struct lb_execution *run)
{
    for (uint32_t i = run->plan.object_count; i-- != 0;) {
        struct lb_image *image = run->members[i].image;
        if (image == NULL)
            continue;
        lb_tls_drop(&image->tls);
        lb_image_unmap(image);
        lb_image_free(image);
    }
}

static void free_members(struct lb_execution *run)
{
    for (uint32_t i = 0; i < run->plan.object_count; i++) {
        free(run->members[i].values);
        free(run->members[i].memo);
    }
    free(run->members);
}

int lb_execute(const void *plan, size_t size, const struct lb_source *sources, uint64_t source_count,
               const uint64_t *hooks, uint64_t hook_count, struct lb_image **images, struct lb_error *error)
{
    struct lb_execution run = {.hooks = hooks, .hook_count = hook_count, .error = error};
    *error = (struct lb_error){.code = LB_OK, .object = LB_NONE, .symbol = LB_NONE};
    run.page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (lb_plan_check(plan, size, &run.plan, error) < 0)
        return -1;
    run.members = calloc(run.plan.object_count, sizeof *run.members);
    if (run.members == NULL)
        return lb_fail_errno(error, LB_NONE, 0, "allocating");
    int result = take_sources(&run, sources, source_count);
    if (result == 0)
        result = execute_phases(&run);
    if (result == 0)
        publish(&run, images);
    else
        undo(&run);
    free_members(&run);
    return result;
}

/* ---- the end of an image ---------------------------------------------------------------------------------------------- */

void lb_image_close(struct lb_image *image)
{
    lock_all();
    for (struct lb_image **link = &lb_process.images; *link != NULL; link = &(*link)->next) {
        if (*link == image) {
            *link = image->next;
            lb_process.subs++;
            break;
        }
    }
    lb_leftovers_withdraw(image);
    lb_renounce(image);
    lb_image_unmap(image);
    struct lb_tls tls = image->tls;
    image->tls = (struct lb_tls){0};
    unlock_all();
    lb_tls_drop(&tls);
}

void lb_image_free(struct lb_image *image)
{
    lb_lazy_free(&image->lazy);
    lb_leftovers_free(image->leftovers);
    free(image->tls_arguments);
    free(image->segments);
    free(image->name);
    free(image);
}
