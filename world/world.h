/* The seam: every call through which a program of ours changes the world, takes something from others, or
 * acquires what may run short is made by a function of this room. In production each is the plain call and
 * nothing else. Tests link the same object files with another layer (tests/seam/layer.c), which can end the
 * program before and after each call, or let the call fail.
 *
 * world_NAME has the signature, the result and the errno of NAME. What only looks (stat, poll, pread ...),
 * only gives back (close, munmap) or concerns nothing but our own memory and signals is called directly, and
 * so is what prints for people (stdio). The calls that SQLite and other libraries make themselves are
 * outside.
 *
 * A new call needs one line here: tools/check-source reads this table and names whoever goes round it. */
#ifndef HOLDFAST_WORLD_WORLD_H
#define HOLDFAST_WORLD_WORLD_H

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/wait.h>

struct clone_args;

/* CALL(result, name, parameters, the plain call, what it returns when it fails with `error` in errno) */
/* clang-format off */
#define WORLD_CALLS(CALL) \
	CALL(int, accept4, (int fd, struct sockaddr *address, socklen_t *length, int flags), \
	     accept4(fd, address, length, flags), -1) \
	CALL(int, bind, (int fd, const struct sockaddr *address, socklen_t length), bind(fd, address, length), -1) \
	CALL(int, chdir, (const char *path), chdir(path), -1) \
	CALL(long, clone3, (struct clone_args *arguments, size_t size), syscall(SYS_clone3, arguments, size), -1) \
	CALL(int, close_range, (unsigned int first, unsigned int last, int flags), close_range(first, last, flags), -1) \
	CALL(int, connect, (int fd, const struct sockaddr *address, socklen_t length), \
	     connect(fd, address, length), -1) \
	CALL(int, dup2, (int fd, int target), dup2(fd, target), -1) \
	CALL(int, dup3, (int fd, int target, int flags), dup3(fd, target, flags), -1) \
	CALL(int, epoll_create1, (int flags), epoll_create1(flags), -1) \
	CALL(int, epoll_ctl, (int epoll_fd, int operation, int fd, struct epoll_event *event), \
	     epoll_ctl(epoll_fd, operation, fd, event), -1) \
	CALL(int, execv, (const char *path, char *const *arguments), execv(path, arguments), -1) \
	CALL(int, execve, (const char *path, char *const *arguments, char *const *environment), \
	     execve(path, arguments, environment), -1) \
	CALL(int, fallocate, (int fd, int mode, off_t offset, off_t length), fallocate(fd, mode, offset, length), -1) \
	CALL(int, fchmod, (int fd, mode_t mode), fchmod(fd, mode), -1) \
	CALL(int, fchown, (int fd, uid_t owner, gid_t group), fchown(fd, owner, group), -1) \
	CALL(int, flock, (int fd, int operation), flock(fd, operation), -1) \
	CALL(pid_t, fork, (void), fork(), -1) \
	CALL(int, fsync, (int fd), fsync(fd), -1) \
	CALL(int, ftruncate, (int fd, off_t length), ftruncate(fd, length), -1) \
	CALL(int, inotify_add_watch, (int fd, const char *path, uint32_t mask), inotify_add_watch(fd, path, mask), -1) \
	CALL(int, inotify_init1, (int flags), inotify_init1(flags), -1) \
	CALL(int, kill, (pid_t pid, int number), kill(pid, number), -1) \
	CALL(int, listen, (int fd, int backlog), listen(fd, backlog), -1) \
	CALL(int, madvise, (void *start, size_t length, int advice), madvise(start, length, advice), -1) \
	CALL(int, memfd_create, (const char *name, unsigned int flags), memfd_create(name, flags), -1) \
	CALL(int, mkdir, (const char *path, mode_t mode), mkdir(path, mode), -1) \
	CALL(int, mkdirat, (int fd, const char *path, mode_t mode), mkdirat(fd, path, mode), -1) \
	CALL(int, mkfifoat, (int fd, const char *path, mode_t mode), mkfifoat(fd, path, mode), -1) \
	CALL(void *, mmap, (void *start, size_t length, int protection, int flags, int fd, off_t offset), \
	     mmap(start, length, protection, flags, fd, offset), MAP_FAILED) \
	CALL(DIR *, opendir, (const char *path), opendir(path), NULL) \
	CALL(int, pidfd_open, (pid_t pid, unsigned int flags), (int)syscall(SYS_pidfd_open, pid, flags), -1) \
	CALL(int, pidfd_send_signal, (int fd, int number, siginfo_t *info, unsigned int flags), \
	     (int)syscall(SYS_pidfd_send_signal, fd, number, info, flags), -1) \
	CALL(int, posix_fallocate, (int fd, off_t offset, off_t length), posix_fallocate(fd, offset, length), error) \
	CALL(int, prctl, (int option, unsigned long second, unsigned long third, unsigned long fourth, \
	     unsigned long fifth), prctl(option, second, third, fourth, fifth), -1) \
	CALL(int, pthread_create, (pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), \
	     void *context), pthread_create(thread, attributes, run, context), error) \
	CALL(ssize_t, pwrite, (int fd, const void *bytes, size_t length, off_t offset), \
	     pwrite(fd, bytes, length, offset), -1) \
	CALL(ssize_t, read, (int fd, void *bytes, size_t size), read(fd, bytes, size), -1) \
	CALL(ssize_t, recv, (int fd, void *bytes, size_t size, int flags), recv(fd, bytes, size, flags), -1) \
	CALL(ssize_t, recvmsg, (int fd, struct msghdr *packet, int flags), recvmsg(fd, packet, flags), -1) \
	CALL(int, rename, (const char *from, const char *to), rename(from, to), -1) \
	CALL(int, renameat, (int from_fd, const char *from, int to_fd, const char *to), \
	     renameat(from_fd, from, to_fd, to), -1) \
	CALL(int, rmdir, (const char *path), rmdir(path), -1) \
	CALL(ssize_t, send, (int fd, const void *bytes, size_t length, int flags), send(fd, bytes, length, flags), -1) \
	CALL(ssize_t, sendmsg, (int fd, const struct msghdr *packet, int flags), sendmsg(fd, packet, flags), -1) \
	CALL(int, setrlimit, (int resource, const struct rlimit *limit), \
	     setrlimit(resource, limit), -1) \
	CALL(pid_t, setsid, (void), setsid(), -1) \
	CALL(int, signalfd, (int fd, const sigset_t *signals, int flags), signalfd(fd, signals, flags), -1) \
	CALL(int, socket, (int family, int type, int protocol), socket(family, type, protocol), -1) \
	CALL(int, socketpair, (int family, int type, int protocol, int pair[2]), \
	     socketpair(family, type, protocol, pair), -1) \
	CALL(int, timerfd_create, (int clock, int flags), timerfd_create(clock, flags), -1) \
	CALL(int, timerfd_settime, (int fd, int flags, const struct itimerspec *next, struct itimerspec *last), \
	     timerfd_settime(fd, flags, next, last), -1) \
	CALL(mode_t, umask, (mode_t mask), umask(mask), 0) \
	CALL(int, unlink, (const char *path), unlink(path), -1) \
	CALL(int, unlinkat, (int fd, const char *path, int flags), unlinkat(fd, path, flags), -1) \
	CALL(int, waitid, (idtype_t type, id_t id, siginfo_t *info, int options), waitid(type, id, info, options), -1) \
	CALL(ssize_t, write, (int fd, const void *bytes, size_t length), write(fd, bytes, length), -1)

/* Those with an argument that may be missing: it is handed on as it came. */
#define WORLD_OPEN_CALLS(CALL) \
	CALL(int, fcntl, (int fd, int how, ...), fcntl(fd, how, rest), -1) \
	CALL(int, open, (const char *path, int how, ...), open(path, how, rest), -1) \
	CALL(int, openat, (int fd, const char *path, int how, ...), openat(fd, path, how, rest), -1)
/* clang-format on */

#define WORLD_DECLARE(result, name, parameters, plain, failure) result world_##name parameters;
WORLD_CALLS(WORLD_DECLARE)
WORLD_OPEN_CALLS(WORLD_DECLARE)
#undef WORLD_DECLARE

/* clone3 where the new process comes out of it on a stack of its own, which no function can do for its
 * caller: who makes that call (process/clone.c) asks before it, and makes it only if the answer is 0 and not
 * a negative errno; and tells, in the old process, of its being done. */
int world_clone_begins(void);
void world_clone_ended(void);

/* Their numbers, for whoever stands in for them. */
#define WORLD_NUMBER(result, name, parameters, plain, failure) CALL_##name,
enum world_call { WORLD_CALLS(WORLD_NUMBER) WORLD_OPEN_CALLS(WORLD_NUMBER) CALL_clone, WORLD_CALL_COUNT };
#undef WORLD_NUMBER

/* Some are made by a process that shares our memory and stands on a small stack (process/clone.h). */
#define WORLD_SHARED __attribute__((no_sanitize("address", "undefined")))

#endif
