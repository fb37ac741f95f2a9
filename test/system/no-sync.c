/*
 * A shared library for LD_PRELOAD under which nothing is ever synced: what is written stays in the
 * page cache until the kernel finds time. A proof of durability must fail with it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/types.h>
#include <sys/uio.h>

int fsync(int fd) { (void)fd; return 0; }
int fdatasync(int fd) { (void)fd; return 0; }
int msync(void *address, size_t length, int flags) {
  (void)address; (void)length; (void)flags;
  return 0;
}
void sync(void) {}
int syncfs(int fd) { (void)fd; return 0; }

/* O_SYNC includes the bit of O_DSYNC. */
#define WITHOUT_SYNC(flags) ((flags) & ~O_SYNC)

#define OPEN(name)                                                   \
  int name(const char *path, int flags, ...) {                       \
    va_list rest;                                                    \
    va_start(rest, flags);                                           \
    mode_t mode = va_arg(rest, mode_t);                              \
    va_end(rest);                                                    \
    int (*next)(const char *, int, ...) = dlsym(RTLD_NEXT, #name);   \
    return next(path, WITHOUT_SYNC(flags), mode);                    \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                    \
  int name(int folder, const char *path, int flags, ...) {              \
    va_list rest;                                                       \
    va_start(rest, flags);                                              \
    mode_t mode = va_arg(rest, mode_t);                                 \
    va_end(rest);                                                       \
    int (*next)(int, const char *, int, ...) = dlsym(RTLD_NEXT, #name); \
    return next(folder, path, WITHOUT_SYNC(flags), mode);               \
  }
OPENAT(openat)
OPENAT(openat64)

ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags) {
  ssize_t (*next)(int, const struct iovec *, int, off_t, int) = dlsym(RTLD_NEXT, "pwritev2");
  return next(fd, parts, count, offset, flags & ~(RWF_SYNC | RWF_DSYNC));
}
