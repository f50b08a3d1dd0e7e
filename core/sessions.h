/* Is a session stuck, and what is done about it? What was seen of sessions comes in as values, what to do
 * goes out.
 *
 * Pure, like the rest of the core. A session is stuck when its run makes no progress of any kind for its
 * timeout while it was watched, and a second witness agrees that the run is there. How old a run is never
 * counts. Of a stuck session the one run that was judged is aborted, by its id; then the looks must show that
 * it has left, or it is aborted once more, and then told. Only when `threshold` distinct sessions are stuck
 * at once in spite of that, the gateway is condemned: aborts that take leave it a healthy one. A session that
 * was stuck then is no reason for another restart for a day, or until one of its runs has come to an end of
 * its own.
 *
 * The gateway's own recovery has its turn first. Time that nobody watched is no silence: looks that do not
 * come are no evidence. */
#ifndef HOLDFAST_CORE_SESSIONS_H
#define HOLDFAST_CORE_SESSIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/session_table.h"

#define SESSION_RUN_MAX      72
#define SESSION_ID_MAX       40
#define SESSION_TOOL_MAX     32
#define SESSION_PATTERN_MAX  64
#define SESSIONS_PATTERNS    16
#define SESSIONS_REMEMBERED  64
#define SESSIONS_ACTIONS_MAX 8

#define SESSIONS_ANSWER_MS   45000        /* an abort that was asked for is answered within this */
#define SESSIONS_VERIFY_MS   15000        /* ... and must show so soon */
#define SESSIONS_REFUSED_MS  2000         /* what was refused is tried once more after this */
#define SESSIONS_TURN_MS     30000        /* of the gateway's own recovery, from its word that it looks */
#define SESSIONS_AGAIN_MS    (10 * 60000) /* what could not be aborted is tried again */
#define SESSIONS_FRESH_MS    60000        /* one that was not looked at for so long condemns nobody */
#define SESSIONS_REMEMBER_MS (24 * 60 * 60000) /* a session that was stuck at a restart for stuck ones */
#define SESSIONS_ATTEMPTS    2
#define SESSIONS_ABORTS_MAX  4 /* under way at once */

/* What a session waits for. */
enum session_waits {
	SESSION_IDLE,         /* for nothing: no run */
	SESSION_WAITS_MODEL,  /* a model's answer, or its own preparations */
	SESSION_WAITS_TOOL,   /* a tool at work */
	SESSION_WAITS_PERSON, /* somebody's approval: never stuck */
	SESSION_WAITS_TURN,   /* queued behind others: never stuck itself */
	SESSION_WAITS_COUNT
};

/* Who says that its run is there, and that it does not move. */
#define SESSION_WITNESS_EVENTS (1u << 0) /* its run is known by its events, which have ceased */
#define SESSION_WITNESS_LOG    (1u << 1) /* the gateway's own log says that it makes no progress */
#define SESSION_WITNESS_LIST   (1u << 2) /* the gateway's list says that it runs */
#define SESSION_WITNESS_LOCK   (1u << 3) /* the gateway holds the lock of its transcript */
#define SESSION_WITNESS_SILENCE                                                                              \
	(1u << 4) /* not all of its events come, but nothing at all has since it is listened to */
#define SESSION_WITNESS_COUNT 5

/* The gateway's own recovery of it, as its log has it. */
enum session_recovery {
	SESSION_RECOVERY_NONE,
	SESSION_RECOVERY_CHECKING,
	SESSION_RECOVERY_CLAIMED, /* it says that it succeeded; believed when the run is gone */
};

/* One look at one session. Times are CLOCK_BOOTTIME in ms. */
struct session_look {
	char key[SESSION_KEY_MAX];
	char id[SESSION_ID_MAX];   /* the gateway's own; "" not known */
	char run[SESSION_RUN_MAX]; /* "" not known */
	char tool[SESSION_TOOL_MAX];
	int64_t at_ms;
	int64_t began_ms;      /* the run; 0: not known */
	int64_t moved_ms;      /* it last made progress; 0: not seen */
	int64_t quiet_ms;      /* for so long it was watched since then, and did not move */
	int64_t own_quiet_ms;  /* with SESSION_WITNESS_LOG: by the gateway's own clock */
	int64_t recovery_ms;   /* when `recovery` was said */
	int64_t began_real_ms; /* the run, as the gateway's list has it (its clock); 0: not listed */
	uint32_t waits;        /* enum session_waits */
	uint32_t witnesses;
	uint32_t recovery; /* enum session_recovery */
	uint32_t queued;   /* messages that wait behind the run; 0: none, or not known */
	uint32_t relayed;  /* the relay has its request, within its clocks: not stuck */
	uint32_t gone;     /* the session is no more */
};

struct sessions_settings {
	int64_t session_timeout_ms, tool_timeout_ms;
	uint32_t threshold; /* so many that stay stuck condemn the gateway */
	uint32_t pattern_count;
	struct session_pattern {
		char key[SESSION_PATTERN_MAX]; /* "*" stands for any text; the first that fits counts */
		int64_t session_timeout_ms, tool_timeout_ms;
	} patterns[SESSIONS_PATTERNS];
};

enum session_state {
	SESSION_QUIET,     /* idle, or at work */
	SESSION_STUCK,     /* judged; its abort waits for the gateway's own recovery, or for its turn */
	SESSION_ABORTING,  /* asked; no answer yet */
	SESSION_VERIFYING, /* answered; the looks must show it */
	SESSION_FAILED,    /* two aborts did not take */
	SESSION_STATE_COUNT
};

/* What became of an abort, as the sentry has it. */
enum abort_outcome {
	ABORT_DONE,        /* the gateway says that it aborted that run */
	ABORT_NOTHING,     /* the gateway says that there is no such run */
	ABORT_MOVED,       /* looked at right before: it moves, or runs another; nothing was asked */
	ABORT_REFUSED,     /* the gateway refuses; `sentence` says why */
	ABORT_UNREACHABLE, /* nobody could be asked */
	ABORT_OUTCOME_COUNT
};

struct session {
	enum session_state state;
	struct session_look look; /* the last one */
	char judged_run[SESSION_RUN_MAX];
	char judged_id[SESSION_ID_MAX];
	int64_t judged_at_ms;    /* when the look was taken that it was judged by */
	int64_t judged_began_ms; /* of the run that was judged; 0: not known */
	int64_t judged_began_real_ms;
	int64_t stuck_ms; /* judged then */
	int64_t limit_ms; /* ... against this */
	int64_t due_ms;   /* ABORTING, VERIFYING: patience ends; STUCK, FAILED: the abort may be asked */
	uint32_t attempts;
	uint32_t outcome; /* enum abort_outcome: of the last attempt */
	uint64_t serial;  /* of the abort under way; of no other in any life of the supervisor */
	bool by_person;   /* a person asked for it; when that fails, and it is not stuck, that is all */
	bool counts;      /* in `failed` */
	uint32_t rounds;  /* of attempts that failed in a row */
};

/* Sessions that were stuck at a restart for stuck ones. Outlives the supervisor in its record. */
#define SESSIONS_MEMORY_VERSION 1
struct sessions_memory {
	uint32_t count;
	int64_t full_until_ms; /* one was forgotten for want of room: until then nobody is a reason; 0: not */
	struct {
		uint64_t hash; /* of the key */
		int64_t at_ms;
	} list[SESSIONS_REMEMBERED];
};

struct sessions {
	const struct sessions_settings *settings; /* borrowed */
	uint64_t generation, serial;
	int64_t now_ms;
	uint32_t stuck;     /* sessions that are not SESSION_QUIET */
	uint32_t failed;    /* of them SESSION_FAILED, and not remembered: they count for a restart */
	uint32_t under_way; /* SESSION_ABORTING */
	struct sessions_memory memory;
	struct session_table table;
	struct session sessions[SESSIONS_MAX]; /* by place */
};

enum sessions_action_type {
	SESSIONS_ABORT,   /* ask for it: `place`, with its judged run and serial; the answer is
	                     sessions_answered() */
	SESSIONS_TELL,    /* record: `place`, `record` */
	SESSIONS_CONDEMN, /* the gateway: `count` sessions; said again as long as it is so */
	SESSIONS_SAVE,    /* the memory changed in a way the next life must know */
};

enum sessions_record {
	SESSIONS_RECORD_STUCK,
	SESSIONS_RECORD_ABORTED,   /* asked, and the gateway says that it did: not proved yet */
	SESSIONS_RECORD_RECOVERED, /* the judged run has left, or moves; after aborts, or by itself (attempts
	                              0) */
	SESSIONS_RECORD_ABORT_FAILED, /* two attempts, and it is still there */
};

struct sessions_action {
	enum sessions_action_type type;
	enum sessions_record record;
	int place;
	uint32_t count;
};

struct sessions_actions {
	uint32_t count;
	struct sessions_action list[SESSIONS_ACTIONS_MAX];
};

/* `settings` is borrowed for as long as *sessions is used, which is all zero or was in use before. */
void sessions_init(struct sessions *sessions, const struct sessions_settings *settings);

/* Another gateway: no run of the old one goes on. What is remembered is kept. */
void sessions_begin(struct sessions *sessions, uint64_t generation);

/* A look came. `may_act`: the gateway is up and well, and nobody asked to leave it alone; else nothing is
 * judged, and what was begun is only followed. Each of these fills `actions` anew. */
void sessions_looked(struct sessions *sessions, const struct session_look *look, bool may_act, int64_t now_ms,
    struct sessions_actions *actions);

/* The answer to the abort `serial`. */
void sessions_answered(struct sessions *sessions, uint64_t serial, enum abort_outcome outcome, int64_t now_ms,
    struct sessions_actions *actions);

/* To be called once a second or so while any is stuck, and when more actions may be due. What was judged is
 * asked for when a look says that it is still so, not here. */
void sessions_tick(struct sessions *sessions, bool may_act, int64_t now_ms, struct sessions_actions *actions);

/* A person wants the run of this session aborted: no judgement, the rest is the same. Returns 0; -ENOENT:
 * there is no such session; -ENODATA: it has no run; -EALREADY: it is being aborted. */
int sessions_abort(
    struct sessions *sessions, const char *key, int64_t now_ms, struct sessions_actions *actions);

/* The gateway is being restarted because of stuck sessions: each that is stuck now is remembered, for the
 * gateway resumes what it interrupts. */
void sessions_condemned(struct sessions *sessions, int64_t now_ms);

/* The timeout of a session that waits for this; INT64_MAX: none. Whether the settings' pattern fits the key.
 */
int64_t sessions_limit_ms(
    const struct sessions_settings *settings, const char *key, enum session_waits waits);
bool session_pattern_fits(const char *pattern, const char *key);

/* Whether the last look is at the run that was judged last. */
bool sessions_is_judged(const struct session *session);

/* "model", "tool", "approval", "queue", "" ; "stuck", "aborting" ...; "events", "log" ... */
const char *session_waits_name(enum session_waits waits);
const char *session_state_name(enum session_state state);
const char *session_witness_name(uint32_t bit);
const char *abort_outcome_name(enum abort_outcome outcome);

#endif
