/* The core's own versions of functions that the C library answers for its own objects only (plan.h, enum lb_service). */
#ifndef LATEBIND_SERVICES_H
#define LATEBIND_SERVICES_H

#ifndef _GNU_SOURCE
#error "define _GNU_SOURCE before the first #include: link.h and dlfcn.h depend on it"
#endif
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <threads.h>

struct lb_image;
struct dl_find_object;

uint64_t lb_service_address(uint64_t service); /* 0: there is no such service */

/* objects.c */
int lb_iterate_phdr(int (*callback)(struct dl_phdr_info *, size_t, void *), void *data);
int lb_find_object(void *address, struct dl_find_object *result);
int lb_addr(const void *address, Dl_info *info);
int lb_addr1(const void *address, Dl_info *info, void **extra, int flags);
int lb_backtrace(void **frames, int count);
char **lb_backtrace_symbols(void *const *frames, int count);
void lb_backtrace_symbols_fd(void *const *frames, int count, int fd);

/* thread_exit.c */
int lb_thread_atexit(void (*run)(void *), void *object, void *dso);

/* leftovers.c */
int lb_cxa_atexit(void (*function)(void *), void *argument, void *handle);
int lb_register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *handle);
int lb_on_exit(void (*function)(int, void *), void *argument);
int lb_key_create(pthread_key_t *key, void (*destructor)(void *));
int lb_key_delete(pthread_key_t key);
int lb_tss_create(tss_t *key, tss_dtor_t destructor);
void lb_tss_delete(tss_t key);
int lb_thread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument);
int lb_thrd_create(thrd_t *thread, thrd_start_t start, void *argument);
int lb_sigaction(int number, const struct sigaction *action, struct sigaction *before);
sighandler_t lb_signal(int number, sighandler_t handler);
sighandler_t lb_sysv_signal(int number, sighandler_t handler);

/* dl.c */
void *lb_dlopen(const char *file, int mode);
void *lb_dlmopen(Lmid_t list, const char *file, int mode);
void *lb_dlsym(void *handle, const char *name);
void *lb_dlvsym(void *handle, const char *name, const char *version);
int lb_dlclose(void *handle);
char *lb_dlerror(void);
int lb_dlinfo(void *handle, int request, void *result);

#endif
