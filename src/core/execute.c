/* Executes a plan: the phases of loading in order, and the way back when one fails.
 *
 * Every phase is done for all objects before the next one begins: an object may refer to any other, in a circle too.
 * What has run so far is undone on failure, so that the process is as before.  The list of live images and the program's
 * arguments are the core's only mutable state. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "image.h"
#include "parallel.h"

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

/* Calls `step` for each object that is ours. */
static int for_each(struct lb_execution *run, phase *step)
{
    for (uint32_t i = 0; i < run->plan.object_count; i++)
        if (run->members[i].is_own && step(run, &run->members[i]) < 0)
            return -1;
    return 0;
}

struct sharing { /* of a step between two threads: each takes the next object that nobody has */
    struct lb_execution runs[2]; /* with an error of their own */
    struct lb_error errors[2];
    int (*first)(struct lb_execution *run); /* by the calling thread, before it takes objects; may be NULL */
    phase *step;
    void (*rest)(struct lb_execution *run); /* by each thread, when there are no more objects; may be NULL */
    uint32_t next;
    bool has_failed[2];
};

static void take_objects(void *data, int half)
{
    struct sharing *s = data;
    struct lb_execution *run = &s->runs[half];
    bool failed = half == 0 && s->first != NULL && s->first(run) < 0;
    for (uint32_t i; !failed && (i = __atomic_fetch_add(&s->next, 1, __ATOMIC_RELAXED)) < run->plan.object_count;)
        failed = run->members[i].is_own && s->step(run, &run->members[i]) < 0;
    if (!failed && s->rest != NULL)
        s->rest(run);
    if (failed)
        __atomic_store_n(&s->next, run->plan.object_count, __ATOMIC_RELAXED); /* nobody needs to go on */
    s->has_failed[half] = failed;
}

#define FEW_OBJECTS 8 /* a thread does not pay for itself with fewer */

/* The same with a second thread where that pays, after `first`, or at the same time; then both do the `rest`.  Steps write
 * to their own object alone, or atomically. */
static int for_each_shared(struct lb_execution *run, int (*first)(struct lb_execution *run), phase *step,
                           void (*rest)(struct lb_execution *run))
{
    if (run->own_count < FEW_OBJECTS && first == NULL)
        return for_each(run, step);
    struct sharing s = {.runs = {*run, *run}, .errors = {*run->error, *run->error}, .first = first, .step = step,
                        .rest = rest};
    for (int half = 0; half < 2; half++)
        s.runs[half].error = &s.errors[half];
    if (!lb_in_halves(take_objects, &s))
        return lb_fail(run->error, LB_UNSUPPORTED, LB_NONE, 0,
                       "a constructor has forked while the plan was executed, and the child, which this is, cannot go on");
    if (!s.has_failed[0] && !s.has_failed[1])
        return 0;
    bool is_second = !s.has_failed[0] || (s.has_failed[1] && s.errors[1].object < s.errors[0].object);
    *run->error = s.errors[is_second];
    return -1;
}

static int take_sources(struct lb_execution *run, const struct lb_source *sources, uint64_t count)
{
    if (count != run->plan.object_count)
        return lb_fail(run->error, LB_MALFORMED, LB_NONE, 0, "the plan has %u objects, but %llu sources were given",
                       run->plan.object_count, (unsigned long long)count);
    for (uint32_t i = 0; i < run->plan.object_count; i++) {
        const struct lb_plan_object *o = &run->plan.objects[i];
        struct lb_member *m = &run->members[i];
        *m = (struct lb_member){.index = i, .record = o, .source = &sources[i], .fd = -1};
        m->is_own = sources[i].kind != LB_SOURCE_PRESENT && sources[i].kind != LB_SOURCE_SYSTEM;
        run->own_count += m->is_own;
        run->asks_system = run->asks_system || sources[i].kind == LB_SOURCE_SYSTEM;
        if (sources[i].kind == LB_SOURCE_PRESENT) {
            m->base = sources[i].base;
            m->tls = (struct lb_tls){NULL, sources[i].tls_module, sources[i].tls_is_static, sources[i].tls_offset};
        }
        if (sources[i].kind == LB_SOURCE_SYSTEM && o->role != LB_ROLE_SYSTEM)
            return lb_fail(run->error, LB_MALFORMED, i, 0, "the system's linker was given an object that is not for it");
        if (!m->is_own)
            continue;
        if (o->role != LB_ROLE_OWN)
            return lb_fail(run->error, LB_MALFORMED, i, 0, "a file was given for an object that the system's linker loads");
        if (o->segments == 0)
            return lb_fail(run->error, LB_MALFORMED, i, 0, "it has nothing to load");
        m->bindings = run->plan.bindings + o->first_binding;
        m->is_lazy = (o->flags & LB_OBJECT_LAZY) != 0;
    }
    return 0;
}

/* Has the system's linker load what is its own; constructors run. */
static int open_with_system(struct lb_execution *run)
{
    for (uint32_t i = 0; i < run->plan.object_count; i++) {
        struct lb_member *m = &run->members[i];
        if (m->source->kind != LB_SOURCE_SYSTEM)
            continue;
        m->handle = dlopen(m->source->path, RTLD_NOW | RTLD_LOCAL);
        if (m->handle == NULL) {
            const char *reason = dlerror(); /* this thread's: no other call may come between */
            return lb_fail(run->error, LB_UNSUPPORTED, i, 0, "the system's linker refuses it: %s",
                           reason != NULL ? reason : "it gave no reason");
        }
        m->base = ((struct link_map *)m->handle)->l_addr;
    }
    return 0;
}

/* Where those have their TLS blocks.  Not while the machine's processors are busy: the answer comes from a new thread. */
static int find_system_tls(struct lb_execution *run)
{
    for (uint32_t i = 0; i < run->plan.object_count && run->asks_system; i++) {
        struct lb_member *m = &run->members[i];
        if (m->handle != NULL && (m->record->flags & LB_OBJECT_GIVES_TLS) &&
            lb_system_tls(m->base, &m->tls, run->error) < 0)
            return -1;
    }
    return 0;
}

static int relocate_plain(struct lb_execution *run, struct lb_member *m)
{
    if (lb_relocate_prepare(run, m) < 0 || lb_image_open_text(run, m) < 0)
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
    if (for_each_shared(run, run->asks_system ? open_with_system : NULL, lb_image_map, lb_huge_read) < 0)
        return -1;
    if (for_each(run, lb_image_complete) < 0)
        return -1;
    if (find_system_tls(run) < 0)
        return -1;
    if (for_each_shared(run, NULL, relocate_plain, NULL) < 0)
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

static int count_arrivals(struct dl_phdr_info *info, size_t size, void *data)
{
    bool is_known = size >= offsetof(struct dl_phdr_info, dlpi_adds) + sizeof info->dlpi_adds;
    *(uint64_t *)data = is_known ? info->dlpi_adds : 0;
    return 1;
}

/* Looks for an unwinder, unless nothing has come into the process since none was found: asking for names that nobody
 * defines takes as long as mapping a small library. */
static bool find_unwinder(struct lb_unwinder *unwinder)
{
    uint64_t arrivals = 0;
    dl_iterate_phdr(count_arrivals, &arrivals);
    if (arrivals != 0 && __atomic_exchange_n(&lb_process.searched, arrivals, __ATOMIC_RELAXED) == arrivals)
        return false;
    return lb_find_unwinder(unwinder);
}

/* Tells the unwinder about all images that it does not know: about older ones too, that came before it did.  The
 * system linker's lock is never taken under ours: a constructor that it runs may come back here. */
void lb_announce_all(void)
{
    struct lb_unwinder unwinder = {0};
    lock_images();
    bool is_known = lb_process.unwinder.enlist != NULL;
    unlock_images();
    bool is_found = !is_known && find_unwinder(&unwinder);
    lock_images();
    if (is_found)
        lb_process.unwinder = unwinder;
    for (struct lb_image *image = lb_process.images; image != NULL && lb_process.unwinder.enlist != NULL;
         image = image->next)
        lb_announce(image, &lb_process.unwinder);
    unlock_images();
}

/* Makes the images live. */
static void publish(struct lb_execution *run, struct lb_arrival *arrivals)
{
    lock_images();
    for (uint32_t i = 0; i < run->plan.object_count; i++) {
        struct lb_image *image = run->members[i].image;
        arrivals[i] = (struct lb_arrival){image, run->members[i].handle};
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
        if (run->members[i].handle != NULL)
            dlclose(run->members[i].handle); /* who was told why it failed does not care how this went */
        if (image == NULL)
            continue;
        lb_image_close_source(&run->members[i]);
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
               const uint64_t *hooks, uint64_t hook_count, struct lb_arrival *arrivals, struct lb_error *error)
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
        publish(&run, arrivals);
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
            lb_process.held = NULL;
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
