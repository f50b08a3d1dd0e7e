/* People's commands: what `holdfast` says to the supervisor over the control socket, and its answers.
 * One request, one reply, both fixed structs in one SOCK_SEQPACKET packet each; the socket is 0600 and the
 * supervisor accepts its own user and root only (SO_PEERCRED). */
#ifndef HOLDFAST_CHANNEL_CONTROL_H
#define HOLDFAST_CHANNEL_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "core/sessions.h"

#define CONTROL_VERSION      4
#define CONTROL_SOCKET_NAME  "control"
#define OWNER_LOCK_NAME      "owner.lock" /* in the state directory: locked by the supervisor, holds its pid */
#define CONTROL_NAME_MAX     32
#define CONTROL_REASON_MAX   256
#define CONTROL_SENTENCE_MAX 384
#define CONTROL_CHANGES_MAX  2048
#define CONTROL_WORKER_COUNT 3
#define CONTROL_PATH_MAX     512
#define CONTROL_ORPHANS_MAX  8
#define CONTROL_CHANGE_MS    25000 /* reading settings, a trial, the change itself */

enum control_verb {
	CONTROL_STATUS,
	CONTROL_START,
	CONTROL_STOP,
	CONTROL_RESTART,
	CONTROL_PAUSE,
	CONTROL_RESUME,
	CONTROL_RELOAD,  /* the answer comes when it is done, at most CONTROL_CHANGE_MS later */
	CONTROL_UPGRADE, /* the same; `holdfast_path` and `supervise_path`: the new programs */
	CONTROL_ABORT, /* `session`: its key; the answer comes when it is asked for, not when it is proved */
	CONTROL_SESSIONS, /* answered by struct control_sessions */
	CONTROL_VERB_COUNT
};

struct control_request {
	uint32_t version, verb;
	uint32_t force;   /* start, restart: over back-off and boot budget; restart: without a drain */
	int64_t pause_ms; /* 0: until resume */
	char reason[CONTROL_REASON_MAX];
	char holdfast_path[CONTROL_PATH_MAX], supervise_path[CONTROL_PATH_MAX]; /* upgrade: absolute */
	char session[SESSION_KEY_MAX];
	uint32_t after; /* sessions: the `next` of the answer before; 0 at first */
};

struct control_worker {
	char name[16];
	int32_t pid; /* 0: not running */
	uint32_t restarts;
	int64_t retry_in_ms; /* while it backs off */
};

/* How the gateway is. Texts are "" and numbers -1 or 0 where nothing is known. */
struct control_health {
	char state[16];              /* "live", "suspect", "hung", "deaf"; "" when nobody looks */
	char probe[12], link[12];    /* how the last ones ended, by layer: "L7OK", "WSOK" ... */
	uint32_t status, unanswered; /* HTTP status; probes in a row without an answer */
	uint32_t witnesses, held; /* core/health.h: what speaks against it, and what holds a verdict back */
	int32_t queue;            /* connections that wait to be accepted */
	int64_t answered_ms, heard_ms;
	char version[24]; /* its own */
	int32_t loop_delay_p99_ms, loop_delay_max_ms, loop_utilization_permille;
	uint32_t slow_listeners;
	char failing[160], said[160];
	uint64_t tree_bytes, limit_bytes, room_bytes;
	uint32_t stuck_sessions;
	uint32_t processes, orphan_count;
	uint64_t orphan_bytes;
	struct {
		int32_t pid;
		char kind[16], name[24];
		uint64_t bytes;
		int64_t age_ms;
	} orphans[CONTROL_ORPHANS_MAX];
};

struct control_reply {
	uint32_t version;
	int32_t code;                        /* 0 or a negative errno; `sentence` says why */
	char sentence[CONTROL_SENTENCE_MAX]; /* what was done, or the state's reason */
	char changes[CONTROL_CHANGES_MAX];   /* reload: one line for each change, with what it needs; ""
	                                        otherwise */

	/* The status, always filled. Times are Unix time in ms, 0 where there is none. */
	char state[16]; /* "running", "starting", "backing-off", ... */
	char reason[CONTROL_SENTENCE_MAX];
	int64_t real_ms, state_since_ms, next_try_ms,
	    paused_until_ms; /* paused_until_ms INT64_MAX: until resume */
	struct {
		int32_t pid;
		int64_t started_ms, ready_ms;
		uint32_t ready;
		uint64_t generation, restarts;
		uint32_t from_copy; /* it was started from the copy of its configuration; `reason` says so */
		char kind[16];
		char command[128];
		uint32_t port;
		char containment[16]; /* "cgroup" or "subreaper" */
	} gateway;
	struct {
		int32_t pid;
		int64_t started_ms;
		char version[24];
	} supervisor;
	struct control_worker workers[CONTROL_WORKER_COUNT];
	struct {
		uint64_t waiting, dropped; /* events not yet stored; events lost to a full ring */
		uint32_t writable;
		char why[128];
	} store;
	struct {
		uint64_t lines_dropped, bytes_discarded;
	} console;
	uint64_t incident; /* the open one, 0: none */
	struct control_health health;
};

/* One session, for people. Durations are in ms, -1 where it is not known. */
struct control_session {
	char key[SESSION_KEY_MAX];
	char id[SESSION_ID_MAX], run[SESSION_RUN_MAX], tool[SESSION_TOOL_MAX];
	char state[16];   /* "idle", "running"; "stuck", "aborting", "verifying", "failed" */
	char waits[16];   /* for what: "model", "tool", "approval", "queue"; "" */
	int64_t age_ms;   /* of its run */
	int64_t quiet_ms; /* since its last progress */
	int64_t limit_ms; /* stuck when quiet_ms reaches it; -1: never */
	uint32_t witnesses, attempts, queued;
};

#define CONTROL_SESSIONS_ROWS 16

struct control_sessions {
	uint32_t version;
	int32_t code; /* 0, or a negative errno; `sentence` says why */
	char sentence[CONTROL_SENTENCE_MAX];
	uint32_t known, running, stuck; /* of all of them */
	uint64_t left;                  /* idle ones that made room for others */
	uint64_t strange;               /* what the gateway said of its sessions and made no sense */
	uint32_t next; /* the next part is asked for with this, and it grows; 0: there is none */
	uint32_t count;
	struct control_session rows[CONTROL_SESSIONS_ROWS];
};

/* One part of the list of sessions, as control_ask(); -EBADMSG when it makes no sense. */
int control_ask_sessions(const char *runtime_dir, uint32_t after, struct control_sessions *reply,
    int timeout_ms, struct error *why);

/* Asks the supervisor whose runtime directory this is. Returns 0 with *reply filled, -ENOENT or -ECONNREFUSED
 * when none is running, -ETIMEDOUT after `timeout_ms`, or another negative errno; *why says it for a person.
 */
int control_ask(const char *runtime_dir, const struct control_request *request, struct control_reply *reply,
    int timeout_ms, struct error *why);

/* Opens the listening socket in the runtime directory, replacing a stale one. Returns it or a negative errno.
 */
int control_listen(const char *runtime_dir, struct error *why);

/* The same with another name in that directory: a worker's. */
int control_listen_at(const char *runtime_dir, const char *name, struct error *why);

/* The name of a worker's socket, "sentry.4711": each process has its own, so that none is out of reach while
 * another succeeds it. `target` holds CONTROL_NAME_MAX bytes. */
void control_worker_name(char *target, const char *name, int pid);

/* Connects to the socket of that name. Returns it, close-on-exec and not blocking, or a negative errno:
 * -ENOENT or -ECONNREFUSED when nobody listens there. */
int control_connect(const char *runtime_dir, const char *name);

#endif
