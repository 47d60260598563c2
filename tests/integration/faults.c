/* Makes system calls fail as a broken disk makes them fail; for LD_PRELOAD.

   FAULT_CALL   open, read, write, fsync or rename
   FAULT_ERRNO  what it fails with
   FAULT_PATH   only on files whose path holds this text
   FAULT_AFTER  so many such calls in a process succeed first (default 0)
   FAULT_TIMES  then so many fail (default: all) */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static long calls;

static int fails(const char *call, const char *path) {
    const char *wanted = getenv("FAULT_CALL"), *part = getenv("FAULT_PATH");
    if (!wanted || strcmp(wanted, call) || !path || (part && !strstr(path, part))) return 0;
    const char *after = getenv("FAULT_AFTER"), *times = getenv("FAULT_TIMES");
    long first = after ? atol(after) : 0, number = __sync_fetch_and_add(&calls, 1);
    if (number < first || (times && number >= first + atol(times))) return 0;
    errno = atoi(getenv("FAULT_ERRNO"));
    return 1;
}

static int fd_fails(const char *call, int fd) {
    const char *wanted = getenv("FAULT_CALL");
    if (!wanted || strcmp(wanted, call)) return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return fails(call, path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { va_list list; va_start(list, flags); mode = va_arg(list, mode_t); va_end(list); }

int open(const char *path, int flags, ...) {
    MODE(flags)
    return fails("open", path) ? -1 : REAL(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags)
    return fails("open", path) ? -1 : REAL(open64)(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
    MODE(flags)
    return fails("open", path) ? -1 : REAL(openat)(folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...) {
    MODE(flags)
    return fails("open", path) ? -1 : REAL(openat64)(folder, path, flags, mode);
}

ssize_t read(int fd, void *to, size_t size) { return fd_fails("read", fd) ? -1 : REAL(read)(fd, to, size); }

ssize_t pread(int fd, void *to, size_t size, off_t at) {
    return fd_fails("read", fd) ? -1 : REAL(pread)(fd, to, size, at);
}

ssize_t pread64(int fd, void *to, size_t size, off64_t at) {
    return fd_fails("read", fd) ? -1 : REAL(pread64)(fd, to, size, at);
}

ssize_t write(int fd, const void *from, size_t size) {
    return fd_fails("write", fd) ? -1 : REAL(write)(fd, from, size);
}

int fsync(int fd) { return fd_fails("fsync", fd) ? -1 : REAL(fsync)(fd); }

int rename(const char *from, const char *to) { return fails("rename", to) ? -1 : REAL(rename)(from, to); }

int renameat(int a, const char *from, int b, const char *to) {
    return fails("rename", to) ? -1 : REAL(renameat)(a, from, b, to);
}
