/* What can be seen of a process from outside, without stopping it and without waiting: what its main thread
 * is doing, and what it waits for (proc(5)). For finding out why one does not move any more.
 *
 * Nothing here changes anything, and nothing can block: only /proc is read, and at most a few bytes of the
 * other's memory. What may not be seen (another user's process, hidepid, Yama) is said to be not visible, and
 * the rest is told all the same. Strings come from the process as they are, but for the secrets of command
 * lines: whoever shows them cleans them.
 */
#ifndef HOLDFAST_PROCESS_EXAMINE_H
#define HOLDFAST_PROCESS_EXAMINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define EXAMINE_NAME_MAX     256
#define EXAMINE_WCHAN_MAX    64
#define EXAMINE_COMMAND_MAX  200
#define EXAMINE_THREADS_MAX  48
#define EXAMINE_CHILDREN_MAX 16
#define EXAMINE_LOCKS_MAX    12

/* ---- the process and its threads ---- */

struct examine_process {
	int pid;
	bool visible; /* there is such a process; what follows was read */
	char state;   /* of its main thread: R S D T t Z ... */
	int tracer;   /* who debugs it (ptrace); 0: nobody */
	uint32_t threads;
	uint64_t rss_bytes, swap_bytes;
	uint64_t caught; /* bit N - 1: it has a handler for signal N */
	int64_t age_ms;
	char wchan[EXAMINE_WCHAN_MAX];     /* the kernel function it waits in; "": running, or not visible */
	char executable[EXAMINE_NAME_MAX]; /* "": not visible */
	char command[EXAMINE_COMMAND_MAX];
};

struct examine_thread {
	int tid;
	char state;
	char name[32];
	uint64_t cpu_ns;    /* since it began */
	uint64_t window_ns; /* of that, between two looks */
};

/* Returns 0, or -ESRCH. */
int examine_process(int pid, struct examine_process *process);

/* Whether it has a handler for the signal. */
bool examine_catches(const struct examine_process *process, int number);

/* Fills at most EXAMINE_THREADS_MAX, the main thread first. Returns how many, or a negative errno. */
int examine_threads(int pid, struct examine_thread *threads);

/* What each of `before` has used until `now`, in now->window_ns. */
void examine_threads_between(
    const struct examine_thread *before, int before_count, struct examine_thread *now, int now_count);

/* The command line without its secrets (base/mask.h), or the name in brackets. */
void examine_command(int pid, char *target, size_t size);

/* ---- what its main thread does ---- */

struct examine_call {
	bool visible;
	bool running; /* in no system call */
	long number;
	const char *name; /* "read"; NULL: not one that is known here */
	uint64_t arguments[6];
	int fd;                      /* the descriptor among them, or -1 */
	char path[EXAMINE_NAME_MAX]; /* the path among them, read from its memory; "": none, or not visible */
};

void examine_call(int pid, struct examine_call *call);

/* The kinds of calls in which something is waited for. */
enum examine_wait {
	WAIT_OTHER,
	WAIT_OBJECT, /* for a descriptor: read, write, connect ... */
	WAIT_OPEN,   /* for a file, or the other end of a FIFO, to be opened */
	WAIT_EVENTS, /* epoll */
	WAIT_POLL,   /* poll, select */
	WAIT_CHILD,  /* wait4, waitid */
	WAIT_SLEEP,  /* nanosleep: a time */
	WAIT_LOCK,   /* fcntl, flock */
	WAIT_THREAD, /* futex */
};

/* By the system call, or, where that may not be seen, by the kernel function. */
enum examine_wait examine_wait(const struct examine_call *call, const char *wchan);

enum examine_object_kind {
	OBJECT_NONE,
	OBJECT_FILE,
	OBJECT_FIFO, /* with a name */
	OBJECT_PIPE,
	OBJECT_SOCKET,
	OBJECT_DEVICE,
	OBJECT_EPOLL,
	OBJECT_OTHER, /* inotify, eventfd ... */
};

struct examine_object {
	enum examine_object_kind kind;
	int fd;
	uint64_t inode;
	char name[EXAMINE_NAME_MAX]; /* as /proc/PID/fd has it; a socket: its peer */
	int other_pid;               /* who has the other end of a pipe; 0: nobody, or not visible */
	char other[EXAMINE_COMMAND_MAX];
};

/* What a descriptor of the process is. kind OBJECT_NONE: not visible. */
void examine_descriptor(int pid, int fd, struct examine_object *object);

/* Where it may not be seen which descriptor a process reads from, and it waits for a pipe: the FIFO with a
 * name that it has open beside its standard ones, or -1 when there is none, or more than one. */
int examine_find_fifo(int pid);

/* "file", "FIFO" ... */
const char *examine_object_name(enum examine_object_kind kind);

/* Whether the process waits in this epoll for new connections of the listening socket: in the loop that
 * serves its callers, and not in one within it. Returns 1, 0 or a negative errno (not visible). */
int examine_epoll_serves(int pid, int epoll_fd, uint64_t listener_inode);

/* ---- what stands in its way ---- */

struct examine_child {
	int pid, parent;
	char state;
	int64_t age_ms;
	uint64_t cpu_ms;
	char command[EXAMINE_COMMAND_MAX];
};

/* Its living descendants, the youngest first, at most EXAMINE_CHILDREN_MAX. Returns how many. */
int examine_children(int pid, struct examine_child *children);

struct examine_lock {
	bool waits; /* the kernel has the process waiting for this one */
	bool own;   /* held by the process itself: by another thread or connection */
	bool exclusive;
	int holder;    /* pid; 0 or less: not visible */
	char kind[16]; /* POSIX, FLOCK, OFDLCK */
	uint64_t inode;
	char file[EXAMINE_NAME_MAX];
	char command[EXAMINE_COMMAND_MAX]; /* of the holder */
};

/* Locks on files that the process has open: those it waits for first, then exclusive ones of others, then the
 * rest. At most EXAMINE_LOCKS_MAX. Returns how many, or a negative errno. */
int examine_locks(int pid, struct examine_lock *locks);

/* ---- its sockets ---- */

#define EXAMINE_TCP_STATES 13

struct examine_sockets {
	bool visible;
	uint32_t tcp[EXAMINE_TCP_STATES]; /* by the kernel's number: examine_tcp_state_name */
	uint32_t local, other;            /* AF_UNIX; everything else */
	uint64_t listener_inode;          /* of its listening socket on the port; 0: none seen */
	int32_t queue; /* connections on the port that wait to be accepted; -1: not visible */
};

void examine_sockets(int pid, uint32_t port, struct examine_sockets *sockets);
const char *examine_tcp_state_name(unsigned state);

/* The other side of one socket: "127.0.0.1:5432", "/run/x.sock". Returns whether it could be seen. */
bool examine_peer(int pid, uint64_t inode, char *target, size_t size);

#endif
