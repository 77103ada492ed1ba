/* What an object leaves in the C library when it goes, and how that is taken back.
 *
 * Functions that are registered with the process outlive the object that they are in, and are called when their code is
 * gone.  So the calls that register them come here first (services.c): what lies in one of our images is noted there, and
 *
 *     atexit, __cxa_atexit, on_exit   are called when the object is finalised, as atexit(3) promises
 *     pthread_atfork                  is forgotten then (__cxa_finalize does both for one dso_handle)
 *     pthread_key_create's destructor is withdrawn, with the key, before the object is unmapped
 *     a signal's handler              gives way to the action that stood before it
 *     a string of the environment     (putenv) is copied
 *     pthread_create, thrd_create     are counted: code is not unmapped under a thread (threads.c)
 *
 * An object's own start-up files call __cxa_finalize for it too; here it is done for those that have none. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <threads.h>

#include "image.h"
#include "services.h"

extern int __cxa_atexit(void (*)(void *), void *, void *);
extern void __cxa_finalize(void *);
extern int __register_atfork(void (*)(void), void (*)(void), void (*)(void), void *);
extern void *__dso_handle __attribute__((visibility("hidden")));
extern sighandler_t __sysv_signal(int, sighandler_t);
extern char **environ;

enum kind { KEY, SIGNAL, HANDLE, ON_EXIT };

struct lb_leftover {
    struct lb_leftover *next;
    enum kind kind;
    union {
        pthread_key_t key;
        struct {
            int number;
            struct sigaction before;
        } signal;
        void *handle; /* a dso_handle that something was registered for */
        struct {
            void (*run)(int, void *); /* NULL once it ran */
            void *argument;
        } on_exit;
    };
};

static bool is_in(const struct lb_image *image, uint64_t address) { return address - image->start < image->span; }

#define ADDRESS(pointer) ((uint64_t)(uintptr_t)(pointer))

static struct lb_leftover *add(struct lb_image *image, enum kind kind)
{
    struct lb_leftover *made = calloc(1, sizeof *made);
    if (made == NULL)
        return NULL;
    made->kind = kind;
    pthread_mutex_lock(&lb_process.lock);
    made->next = image->leftovers;
    image->leftovers = made;
    pthread_mutex_unlock(&lb_process.lock);
    return made;
}

/* ---- atexit and its relatives ------------------------------------------------------------------------------------- */

/* Notes the handle, once per image; false: no memory. */
static bool note_handle(void *handle)
{
    struct lb_image *image = handle != NULL ? lb_image_holding(ADDRESS(handle)) : NULL;
    if (image == NULL)
        return true;
    pthread_mutex_lock(&lb_process.lock);
    struct lb_leftover *known = image->leftovers;
    while (known != NULL && (known->kind != HANDLE || known->handle != handle))
        known = known->next;
    pthread_mutex_unlock(&lb_process.lock);
    if (known != NULL)
        return true;
    struct lb_leftover *made = add(image, HANDLE);
    if (made != NULL)
        made->handle = handle;
    return made != NULL;
}

int lb_cxa_atexit(void (*function)(void *), void *argument, void *handle)
{
    return note_handle(handle) ? __cxa_atexit(function, argument, handle) : -1;
}

int lb_register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *handle)
{
    return note_handle(handle) ? __register_atfork(prepare, parent, child, handle) : ENOMEM;
}

static void run_on_exit(int status, void *data)
{
    struct lb_leftover *at = data;
    void (*run)(int, void *) = __atomic_exchange_n(&at->on_exit.run, NULL, __ATOMIC_ACQ_REL);
    if (run != NULL)
        run(status, at->on_exit.argument);
}

int lb_on_exit(void (*function)(int, void *), void *argument)
{
    struct lb_image *image = lb_image_holding(ADDRESS(function));
    if (image == NULL)
        return on_exit(function, argument);
    struct lb_leftover *made = add(image, ON_EXIT);
    if (made == NULL)
        return -1;
    made->on_exit.argument = argument;
    __atomic_store_n(&made->on_exit.run, function, __ATOMIC_RELEASE);
    return on_exit(run_on_exit, made);
}

void lb_leftovers_run(struct lb_image *image)
{
    for (struct lb_leftover *at = image->leftovers; at != NULL; at = at->next) {
        if (at->kind == HANDLE)
            __cxa_finalize(at->handle);
        else if (at->kind == ON_EXIT)
            run_on_exit(0, at);
    }
}

/* ---- keys of thread-specific data ------------------------------------------------------------------------------------ */

static int note_key(pthread_key_t key, void (*destructor)(void *))
{
    struct lb_image *image = destructor != NULL ? lb_image_holding(ADDRESS(destructor)) : NULL;
    struct lb_leftover *made = image != NULL ? add(image, KEY) : NULL;
    if (image != NULL && made == NULL) {
        pthread_key_delete(key);
        return ENOMEM;
    }
    if (made != NULL)
        made->key = key;
    return 0;
}

/* Its number may be another's next. */
static void forget_key(pthread_key_t key)
{
    struct lb_leftover *found = NULL;
    pthread_mutex_lock(&lb_process.lock);
    for (struct lb_image *image = lb_process.images; image != NULL && found == NULL; image = image->next) {
        for (struct lb_leftover **link = &image->leftovers; *link != NULL; link = &(*link)->next) {
            if ((*link)->kind == KEY && (*link)->key == key) {
                found = *link;
                *link = found->next;
                break;
            }
        }
    }
    pthread_mutex_unlock(&lb_process.lock);
    free(found);
}

int lb_key_create(pthread_key_t *key, void (*destructor)(void *))
{
    int result = pthread_key_create(key, destructor);
    return result != 0 ? result : note_key(*key, destructor);
}

int lb_key_delete(pthread_key_t key)
{
    forget_key(key);
    return pthread_key_delete(key);
}

int lb_tss_create(tss_t *key, tss_dtor_t destructor)
{
    int result = tss_create(key, destructor);
    return result != thrd_success ? result : note_key(*key, destructor) == 0 ? thrd_success : thrd_error;
}

void lb_tss_delete(tss_t key)
{
    forget_key(key);
    tss_delete(key);
}

/* ---- signals ------------------------------------------------------------------------------------------------------- */

static uint64_t handler_of(const struct sigaction *action) /* sa_sigaction shares its place (sigaction(2)) */
{
    return ADDRESS(action->sa_handler);
}

/* Called before `handler` is installed: notes what stands there now, unless that is the same image's. */
static void note_signal(int number, uint64_t handler)
{
    struct lb_image *image = lb_image_holding(handler);
    struct sigaction before;
    if (image == NULL || sigaction(number, NULL, &before) != 0 || is_in(image, handler_of(&before)))
        return;
    struct lb_leftover *made = add(image, SIGNAL); /* the newest is found first */
    if (made != NULL) {
        made->signal.before = before;
        made->signal.number = number;
    }
}

int lb_sigaction(int number, const struct sigaction *action, struct sigaction *before)
{
    if (action != NULL)
        note_signal(number, handler_of(action));
    return sigaction(number, action, before);
}

sighandler_t lb_signal(int number, sighandler_t handler)
{
    note_signal(number, ADDRESS(handler));
    return signal(number, handler);
}

sighandler_t lb_sysv_signal(int number, sighandler_t handler)
{
    note_signal(number, ADDRESS(handler));
    return __sysv_signal(number, handler);
}

static struct lb_leftover *signal_note(struct lb_image *image, int number)
{
    struct lb_leftover *at = image->leftovers;
    while (at != NULL && (at->kind != SIGNAL || at->signal.number != number))
        at = at->next;
    return at;
}

static void restore_signal(struct lb_image *image, const struct lb_leftover *at)
{
    struct sigaction now;
    if (signal_note(image, at->signal.number) == at && sigaction(at->signal.number, NULL, &now) == 0 &&
        is_in(image, handler_of(&now)))
        sigaction(at->signal.number, &at->signal.before, NULL);
}

/* Other images that would restore a handler of this one restore what stood before it. */
static void hand_on_signals(struct lb_image *image)
{
    for (struct lb_image *other = lb_process.images; other != NULL; other = other->next) {
        for (struct lb_leftover *at = other->leftovers; at != NULL; at = at->next) {
            if (at->kind != SIGNAL || !is_in(image, handler_of(&at->signal.before)))
                continue;
            const struct lb_leftover *mine = signal_note(image, at->signal.number);
            at->signal.before = mine != NULL ? mine->signal.before : (struct sigaction){.sa_handler = SIG_DFL};
        }
    }
}

/* ---- the end --------------------------------------------------------------------------------------------------------- */

static void copy_environment(const struct lb_image *image)
{
    for (char **at = environ; at != NULL && *at != NULL; at++) {
        char *copy = is_in(image, ADDRESS(*at)) ? strdup(*at) : NULL;
        if (copy != NULL)
            *at = copy;
    }
}

void lb_leftovers_withdraw(struct lb_image *image)
{
    for (const struct lb_leftover *at = image->leftovers; at != NULL; at = at->next) {
        if (at->kind == KEY)
            pthread_key_delete(at->key);
        else if (at->kind == SIGNAL)
            restore_signal(image, at);
    }
    hand_on_signals(image);
    copy_environment(image);
}

void lb_leftovers_free(struct lb_leftover *first)
{
    while (first != NULL) {
        struct lb_leftover *next = first->next;
        if (first->kind != ON_EXIT) /* the C library keeps its address until the process ends */
            free(first);
        first = next;
    }
}

/* ---- threads ----------------------------------------------------------------------------------------------------------- */

struct beginning {
    union {
        void *(*posix)(void *);
        int (*c11)(void *);
    } start;
    void *argument;
    struct lb_image *image;
};

static _Thread_local struct lb_image *started_in; /* of a thread whose start routine is an image's */

static void leave(void *image)
{
    started_in = NULL;
    __atomic_sub_fetch(&((struct lb_image *)image)->threads, 1, __ATOMIC_RELEASE);
}

/* pthread_exit and cancellation leave through the handler (pthread_cleanup_push(3)). */
static void *run_posix(void *data)
{
    struct beginning at = *(struct beginning *)data;
    void *result;
    free(data);
    started_in = at.image;
    pthread_cleanup_push(leave, at.image);
    result = at.start.posix(at.argument);
    pthread_cleanup_pop(1);
    return result;
}

static int run_c11(void *data)
{
    struct beginning at = *(struct beginning *)data;
    int result;
    free(data);
    started_in = at.image;
    pthread_cleanup_push(leave, at.image);
    result = at.start.c11(at.argument);
    pthread_cleanup_pop(1);
    return result;
}

static struct beginning *begin(uint64_t start, void *argument, struct lb_image *image)
{
    struct beginning *made = malloc(sizeof *made);
    if (made == NULL)
        return NULL;
    made->argument = argument;
    made->image = image;
    memcpy(&made->start, &start, sizeof start);
    __atomic_add_fetch(&image->threads, 1, __ATOMIC_RELAXED);
    return made;
}

static void take_back(struct beginning *made)
{
    __atomic_sub_fetch(&made->image->threads, 1, __ATOMIC_RELAXED);
    free(made);
}

int lb_thread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
    struct lb_image *image = lb_image_holding(ADDRESS(start));
    if (image == NULL)
        return pthread_create(thread, attributes, start, argument);
    struct beginning *made = begin(ADDRESS(start), argument, image);
    int result = made == NULL ? EAGAIN : pthread_create(thread, attributes, run_posix, made);
    if (made != NULL && result != 0)
        take_back(made);
    return result;
}

int lb_thrd_create(thrd_t *thread, thrd_start_t start, void *argument)
{
    struct lb_image *image = lb_image_holding(ADDRESS(start));
    if (image == NULL)
        return thrd_create(thread, start, argument);
    struct beginning *made = begin(ADDRESS(start), argument, image);
    int result = made == NULL ? thrd_nomem : thrd_create(thread, run_c11, made);
    if (made != NULL && result != thrd_success)
        take_back(made);
    return result;
}

void lb_leftovers_in_child(void)
{
    for (struct lb_image *image = lb_process.images; image != NULL; image = image->next)
        image->threads = image == started_in ? 1 : 0;
}
