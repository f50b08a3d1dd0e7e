/* The runtime record: which gateway runs, so that the supervisor's next life finds it. A fixed struct in a
 * file on tmpfs, written before the gateway runs its first instruction and checked in every part when read.
 */
#ifndef HOLDFAST_PROCESS_RECORD_H
#define HOLDFAST_PROCESS_RECORD_H

#include <stdint.h>

#include "base/error.h"

#define RECORD_FILE_NAME    "record"
#define RECORD_VERSION      4
#define RECORD_MACHINE_MAX  1024
#define RECORD_SESSIONS_MAX 1080
#define RECORD_WORKERS      3
#define RECORD_CGROUP_MAX   256

struct record_process {
	int32_t pid; /* 0: none */
	uint64_t start_time;
};

struct record {
	uint32_t magic, version, size, uid;
	uint64_t checksum; /* of everything after it, by hash_words() */
	uint64_t instance;
	char boot_id[40];
	struct record_process supervisor, gateway, workers[RECORD_WORKERS];
	uint64_t generation;
	int64_t started_real_ms;
	uint32_t port;                  /* the gateway was started with this one; 0: none known */
	char cgroup[RECORD_CGROUP_MAX]; /* that above the gateway's own, as /proc/PID/cgroup names it */
	/* For a build that cannot read the machine's memory: what people want. */
	uint64_t restarts;
	int64_t paused_until_ms;
	uint32_t wanted;
	uint32_t machine_size, machine_version;
	unsigned char machine[RECORD_MACHINE_MAX]; /* the core's own memory, opaque here */
	uint32_t sessions_size, sessions_version;
	unsigned char sessions[RECORD_SESSIONS_MAX]; /* what it remembers of sessions, the same */
};

/* Opens (makes) the record file in the directory, with its space reserved. Returns the descriptor or a
 * negative errno. */
int record_open(int directory_fd);

/* Fills magic, version, size, uid, boot id and checksum, and writes. Returns 0 or a negative errno. */
int record_write(int fd, struct record *record);

/* Reads and checks: -ENOENT when there is none, or -EINVAL with *why when it is another boot's, user's or
 * instance's, cut short or damaged. Says nothing about whether the processes are alive. */
int record_read(int fd, uint64_t instance, struct record *record, struct error *why);

#endif
