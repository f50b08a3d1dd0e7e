/* What the files of OpenClaw 2026.2.1 say about one session: STATE/agents/AGENT/sessions/ID.jsonl is written
 * a message at a time, and ID.jsonl.lock is there as long as a run has it. (2026.9.6 keeps both in SQLite.)
 *
 * Both ids come from outside and go into a path; what is in the files comes from a model. No link is followed
 * to a file, only a regular one of our own user is read, and of that the last TRANSCRIPT_TAIL_BYTES. */
#ifndef HOLDFAST_SENTRY_TRANSCRIPT_H
#define HOLDFAST_SENTRY_TRANSCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRANSCRIPT_AGENT_MAX  65 /* with the final NUL */
#define TRANSCRIPT_TOOL_MAX   32
#define TRANSCRIPT_TAIL_BYTES (256 * 1024)

enum transcript_waits {
	TRANSCRIPT_UNKNOWN, /* no whole line, none that fits, or no JSON */
	TRANSCRIPT_MODEL,   /* the model is waited for, or nothing is */
	TRANSCRIPT_TOOL,    /* the model has called a tool whose result is not there yet */
};

struct transcript {
	bool is_locked;     /* by the gateway that was asked about */
	bool exists;        /* 0 else: */
	int64_t locked_ms;  /* since then, CLOCK_REALTIME; 0: not */
	int64_t changed_ms; /* last written, CLOCK_REALTIME */
	uint64_t bytes;     /* more of them is progress */
	enum transcript_waits waits;
	char tool[TRANSCRIPT_TOOL_MAX]; /* printable ASCII; "" when none is waited for, or it has no name */
};

/* The agent of a session key: "agent:AGENT:...", else "main". Returns whether it can be in a path. */
bool transcript_agent(const char *session_key, char agent[TRANSCRIPT_AGENT_MAX]);

/* Looks at the files of the session with this id (a UUID in lower case). `pid` is the gateway's: the lock of
 * an earlier process with the same pid is none. Returns 0, also when there are no such files; -EINVAL for an
 * id that cannot be one; or another negative errno when they may not be looked at. *transcript is all 0 then.
 */
int transcript_read(const char *state_directory, const char *agent, const char *session, int pid,
    struct transcript *transcript);

/* The cheap part of it: whether that gateway holds the session's lock. False also where it cannot be looked
 * at. */
bool transcript_is_locked(const char *state_directory, const char *agent, const char *session, int pid);

/* The pure part. What the last whole line of `bytes`, the end of a transcript, waits for; `from_start`: they
 * are all of it. Fills `waits` and `tool`. */
void transcript_judge(const char *bytes, size_t length, bool from_start, struct transcript *transcript);

/* Whether a lock's content names this process. */
bool transcript_lock_names(const char *bytes, size_t length, int pid);

#endif
