/* dlopen and its relatives for callers inside our objects, so that what they load comes to our linker too.
 *
 * A handle is the address of a struct link_map, as glibc's are: ours stands in the image, and everything else is the
 * system's.  Loading and looking up is Python's business (callback.h); what needs no decision is answered here.
 * Errors are kept per thread until dlerror takes them; the system linker's only where it was the one that was asked, since
 * it also keeps those of questions that the interpreter or the core has asked it meanwhile. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "callback.h"
#include "image.h"
#include "services.h"

static _Thread_local struct {
    char text[512];
    bool is_pending;
    bool is_systems; /* the system's linker was asked: its dlerror knows */
} failure;

static void forget(void) { failure.is_pending = failure.is_systems = false; }

/* The system's linker gets the question. */
#define PASS_ON(call) (failure.is_systems = true, (void)dlerror(), (call))

static void fail(const char *text)
{
    snprintf(failure.text, sizeof failure.text, "%s", text);
    failure.is_pending = true;
}

/* Asks; on failure notes the text for dlerror and returns NULL. */
#define ASK(method, format, ...)                                                                                      \
    ({                                                                                                                \
        struct lb_answer answer;                                                                                      \
        void *result = NULL;                                                                                          \
        if (!lb_ask(&answer, method, format, __VA_ARGS__))                                                            \
            fail("the interpreter that links is not there any more");                                                 \
        else if (answer.text != NULL)                                                                                 \
            fail(answer.text);                                                                                        \
        else                                                                                                          \
            result = lb_pointer(answer.value);                                                                        \
        lb_answer_drop(&answer);                                                                                      \
        result;                                                                                                       \
    })

/* The load bias of the image that the call came from; 0 if it came from elsewhere, through a pointer say. */
static unsigned long long caller_base(void *return_address)
{
    const struct lb_image *image = lb_image_holding((uint64_t)(uintptr_t)return_address);
    return image != NULL ? image->base : 0;
}

static struct lb_image *image_of_handle(void *handle)
{
    struct lb_image *image;
    pthread_mutex_lock(&lb_process.lock);
    for (image = lb_process.images; image != NULL && (void *)&image->map != handle;)
        image = image->next;
    pthread_mutex_unlock(&lb_process.lock);
    return image;
}

__attribute__((noinline)) void *lb_dlopen(const char *file, int mode)
{
    forget();
    if (file == NULL || *file == 0)
        return PASS_ON(dlopen(NULL, mode));
    return ASK("open", "(Kyi)", caller_base(__builtin_return_address(0)), file, mode);
}

__attribute__((noinline)) void *lb_dlmopen(Lmid_t list, const char *file, int mode)
{
    forget();
    if (list == LM_ID_BASE && (file == NULL || *file == 0))
        return PASS_ON(dlopen(NULL, mode));
    if (file == NULL) {
        fail("dlmopen: a new namespace needs a file");
        return NULL;
    }
    return ASK("open_in", "(Klyi)", caller_base(__builtin_return_address(0)), (long)list, file, mode);
}

static void *find(unsigned long long caller, void *handle, const char *name, const char *version)
{
    forget();
    bool is_special = handle == RTLD_DEFAULT || handle == RTLD_NEXT;
    if (!is_special && image_of_handle(handle) == NULL)
        return PASS_ON(version == NULL ? dlsym(handle, name) : dlvsym(handle, name, version));
    if (handle == RTLD_DEFAULT && caller == 0)
        return PASS_ON(version == NULL ? dlsym(handle, name) : dlvsym(handle, name, version));
    return ASK("find", "(KKyz)", caller, (unsigned long long)(uintptr_t)handle, name, version);
}

__attribute__((noinline)) void *lb_dlsym(void *handle, const char *name)
{
    return find(caller_base(__builtin_return_address(0)), handle, name, NULL);
}

__attribute__((noinline)) void *lb_dlvsym(void *handle, const char *name, const char *version)
{
    return find(caller_base(__builtin_return_address(0)), handle, name, version);
}

int lb_dlclose(void *handle)
{
    forget();
    if (image_of_handle(handle) == NULL)
        return PASS_ON(dlclose(handle));
    (void)ASK("close", "(K)", (unsigned long long)(uintptr_t)handle);
    return failure.is_pending ? -1 : 0;
}

char *lb_dlerror(void)
{
    bool is_pending = failure.is_pending, is_systems = failure.is_systems;
    forget();
    return is_pending ? failure.text : is_systems ? dlerror() : NULL;
}

/* ---- dlinfo (dlinfo(3)) --------------------------------------------------------------------------------------------- */

static int origin_of(const struct lb_image *image, char *result)
{
    const char *slash = strrchr(image->name, '/');
    if (slash == NULL) {
        fail("dlinfo: the object has no folder: it was loaded from memory");
        return -1;
    }
    size_t length = slash == image->name ? 1 : (size_t)(slash - image->name);
    memcpy(result, image->name, length);
    result[length] = 0;
    return 0;
}

/* The folder's name, to be dropped with the answer, and how many there are; NULL for none, or with `failure` noted. */
static const char *search_folder(const struct lb_image *image, unsigned index, struct lb_answer *answer)
{
    if (!lb_ask(answer, "search_folder", "(KI)", (unsigned long long)image->base, index)) {
        fail("the interpreter that links is not there any more");
        return NULL;
    }
    if (answer->value == 0 && answer->text != NULL)
        fail(answer->text);
    return answer->value == 0 ? NULL : answer->text;
}

static int measure_search_path(const struct lb_image *image, Dl_serinfo *info)
{
    size_t text = 0;
    unsigned count = 0;
    for (const char *name = ""; name != NULL; count += name != NULL) {
        struct lb_answer answer;
        name = search_folder(image, count, &answer);
        text += name != NULL ? strlen(name) + 1 : 0;
        lb_answer_drop(&answer);
    }
    info->dls_cnt = count;
    info->dls_size = offsetof(Dl_serinfo, dls_serpath) + count * sizeof(Dl_serpath) + text;
    return failure.is_pending ? -1 : 0;
}

/* The caller has room for `dls_size` bytes and `dls_cnt` entries (dlinfo(3)): the names go behind those. */
static int tell_search_path(const struct lb_image *image, Dl_serinfo *info)
{
    size_t used = offsetof(Dl_serinfo, dls_serpath) + info->dls_cnt * sizeof(Dl_serpath);
    for (unsigned i = 0; i < info->dls_cnt && !failure.is_pending; i++) {
        struct lb_answer answer;
        const char *name = search_folder(image, i, &answer);
        size_t size = name != NULL ? strlen(name) + 1 : 0;
        if (name == NULL || used > info->dls_size || size > info->dls_size - used)
            fail("dlinfo: the search path has changed since its size was told");
        else
            info->dls_serpath[i] = (Dl_serpath){memcpy((char *)info + used, name, size), 0};
        used += size;
        lb_answer_drop(&answer);
    }
    return failure.is_pending ? -1 : 0;
}

#ifndef RTLD_DI_PHDR /* since glibc 2.35 */
#define RTLD_DI_PHDR 11
#endif

int lb_dlinfo(void *handle, int request, void *result)
{
    struct lb_image *image = image_of_handle(handle);
    forget();
    if (image == NULL)
        return PASS_ON(dlinfo(handle, request, result));
    switch (request) {
    case RTLD_DI_LMID:
        *(Lmid_t *)result = (Lmid_t)(uintptr_t)ASK("namespace_id", "(K)", (unsigned long long)image->base);
        return failure.is_pending ? -1 : 0;
    case RTLD_DI_LINKMAP:
        *(struct link_map **)result = &image->map;
        return 0;
    case RTLD_DI_ORIGIN:
        return origin_of(image, result);
    case RTLD_DI_TLS_MODID:
        *(size_t *)result = image->tls.module;
        return 0;
    case RTLD_DI_TLS_DATA:
        *(void **)result = NULL;
        return image->tls.carrier != NULL ? dlinfo(image->tls.carrier, RTLD_DI_TLS_DATA, result) : 0;
    case RTLD_DI_SERINFOSIZE:
        return measure_search_path(image, result);
    case RTLD_DI_SERINFO:
        return tell_search_path(image, result);
    case RTLD_DI_PHDR:
        *(const Elf64_Phdr **)result = image->program_headers;
        return image->program_header_count;
    default:
        fail("dlinfo: unsupported request");
        return -1;
    }
}
