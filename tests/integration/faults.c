/* Makes system calls fail: SEQMILL_FAULT=CALL:ERRNO:SKIP:PART fails CALL on files whose path holds PART, all but
   the first SKIP times. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int fails(const char *call, const char *path) {
  static char last[PATH_MAX];
  static long passed;
  const char *fault = getenv("SEQMILL_FAULT");
  char name[16], part[PATH_MAX];
  int code;
  long skip;
  if (!fault || sscanf(fault, "%15[^:]:%d:%ld:%s", name, &code, &skip, part) != 4) return 0;
  if (strcmp(name, call) || !strstr(path, part)) return 0;
  if (strcmp(fault, last)) {
    strcpy(last, fault);
    passed = 0;
  }
  if (passed++ < skip) return 0;
  errno = code;
  return 1;
}

static int fails_on(const char *call, int fd) {
  char link[64], path[PATH_MAX];
  if (!getenv("SEQMILL_FAULT")) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return fails(call, path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *from, size_t size) {
  return fails_on("write", fd) ? -1 : REAL(write)(fd, from, size);
}
ssize_t read(int fd, void *into, size_t size) { return fails_on("read", fd) ? -1 : REAL(read)(fd, into, size); }
ssize_t pread(int fd, void *into, size_t size, off_t at) {
  return fails_on("read", fd) ? -1 : REAL(pread)(fd, into, size, at);
}
ssize_t pread64(int fd, void *into, size_t size, off64_t at) {
  return fails_on("read", fd) ? -1 : REAL(pread64)(fd, into, size, at);
}
int fsync(int fd) { return fails_on("fsync", fd) ? -1 : REAL(fsync)(fd); }
int rename(const char *from, const char *to) { return fails("rename", to) ? -1 : REAL(rename)(from, to); }

#define OPEN(name)                                                                     \
  int name(const char *path, int flags, ...) {                                         \
    va_list more;                                                                      \
    va_start(more, flags);                                                             \
    mode_t mode = va_arg(more, mode_t);                                                \
    va_end(more);                                                                      \
    return fails("open", path) ? -1 : REAL(name)(path, flags, mode);                   \
  }
OPEN(open)
OPEN(open64)
