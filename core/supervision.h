/* The life of one gateway as a state machine: what happened comes in as a value, what to do comes out as
 * values.
 *
 * Pure: no I/O, no clock, no allocation. The same step runs in production (supervise/) and in the simulator
 * (tests/simulation/), which breaks the world around it and checks, at every step:
 *
 *   never two gateways; never a start before the old tree is gone; every waiting state has a timer; starts
 * stay within the boot budget unless a person insisted; a healthy gateway is ended only by a person or by a
 * verdict whose evidence is recorded first; one whose inspector may have been opened is always replaced; a
 * dead one is always started again unless stopped, parked or paused; parked says why and tries again by
 * itself. Its memory outlives the supervisor: a wait is neither shortened nor lengthened by the supervisor's
 * death, and what was asked for and answered is done.
 */
#ifndef HOLDFAST_CORE_SUPERVISION_H
#define HOLDFAST_CORE_SUPERVISION_H

#include <stdbool.h>
#include <stdint.h>

#include "core/restart_policy.h"

/* Of the struct's memory, which outlives a build in the runtime record: another one wherever it changes. */
#define SUPERVISION_VERSION 3

enum supervision_state {
	STATE_STOPPED,     /* no gateway, none wanted */
	STATE_ADOPTING,    /* an earlier life's gateway was found; its identity is being proved */
	STATE_STARTING,    /* started, not yet ready */
	STATE_RUNNING,     /* ready */
	STATE_SUSPECT,     /* something speaks against its health; being looked at closely */
	STATE_EXAMINING,   /* condemned, and looked at for its autopsy before it is ended */
	STATE_DRAINING,    /* it was asked to end, or ends or restarts by itself */
	STATE_KILLING,     /* its whole tree is being removed */
	STATE_BACKING_OFF, /* waits for the time of the next start */
	STATE_PARKED,      /* a start would fail; waits for what would change that */
	STATE_COUNT
};

enum supervision_event_type {
	/* from a person, or for one */
	ON_START,
	ON_STOP,
	ON_RESTART,
	ON_SHUTDOWN, /* the supervisor itself is to end, and takes the gateway with it */
	ON_PAUSE,
	ON_RESUME,
	/* results of actions, delivered before anything else */
	ON_FOUND,   /* in the place of the first start: there was an earlier life, and perhaps its gateway */
	ON_ADOPTED, /* its identity is proved; a pidfd is held */
	ON_ADOPT_REFUSED, /* it is gone, or not what the record says */
	ON_SPAWNED,
	ON_SPAWN_FAILED,
	ON_TREE_GONE,
	ON_TREE_LEFT,
	/* from the kernel */
	ON_EXITED,
	ON_HOST_RESUMED,
	ON_TIMER,
	/* from the sentry: may come late, twice, or never. Suspected, cleared and condemned may be said again
	 * at every look: what is done already is not done twice. */
	ON_READY,
	ON_PROGRESS,
	ON_WORDS,
	ON_DRAIN_BEGAN,
	ON_SUSPECTED,
	ON_CLEARED,
	ON_CONDEMNED,
	ON_WAKE,     /* it is stopped (SIGSTOP): let it be continued */
	ON_EXAMINED, /* the autopsy is complete, or nothing more will be known */
	ON_CONFIG_CHANGED,
	ON_VALIDATED, /* answers DO_VALIDATE; value: 1 if the file is valid */
	EVENT_TYPE_COUNT
};

enum exit_kind { EXIT_UNKNOWN, EXIT_CODE, EXIT_SIGNAL };

enum exit_verdict {
	VERDICT_CRASH,
	VERDICT_CONFIG_INVALID,
	VERDICT_MIGRATION_REQUIRED,
	VERDICT_CONTENTION,
	VERDICT_OUT_OF_MEMORY, /* its own heap was full: its words say so */
	VERDICT_OOM_KILLED,    /* the kernel's OOM killer ended it */
	EXIT_VERDICT_COUNT
};

/* Why the machine is where it is, and why an event is recorded. */
enum supervision_reason {
	REASON_NONE,
	REASON_FIRST_START,
	REASON_OPERATOR,      /* a person asked */
	REASON_GATEWAY_ASKED, /* asked from inside the gateway's own tree */
	REASON_SHUTDOWN,      /* the supervisor ends */
	REASON_EXIT_CODE,     /* value: the code */
	REASON_EXIT_SIGNAL,   /* value: the signal */
	REASON_EXIT_UNKNOWN,  /* an adopted process: the kernel tells its status to its parent only */
	REASON_CLEAN_EXIT,    /* exit 0 that nobody asked for, after a healthy run */
	REASON_SPAWN_FAILED,  /* value: errno */
	REASON_CONFIG_INVALID,
	REASON_MIGRATION_REQUIRED,
	REASON_CONTENTION,  /* the port or the state directory belongs to another process */
	REASON_BOOT_BUDGET, /* value: boots that count */
	REASON_PAUSED,
	REASON_HUNG,
	REASON_DEAF,
	REASON_WATCHDOG,
	REASON_STUCK_SESSIONS,
	REASON_MEMORY,
	REASON_START_STALLED, /* past its allowance and nothing moved */
	REASON_STOP_TIMEOUT,  /* value: ms it was given */
	REASON_OWN_DRAIN,     /* it began to drain by itself; value: budget in ms */
	REASON_OWN_DRAIN_OVERDUE,
	REASON_RESTARTED_ITSELF,
	REASON_CRASH_RESTART_OFF,
	REASON_UNKILLABLE,       /* value: processes left */
	REASON_UNKILLABLE_HOLDS, /* ... and they hold the port or the lock */
	REASON_RESTART_BUDGET,   /* too many restarts asked from inside */
	REASON_OUT_OF_MEMORY,    /* its own heap was full */
	REASON_OOM_KILLED,       /* the kernel ended it, for memory had run out */
	REASON_HOST_SLEPT,       /* what goes unanswered while the host sleeps is no sign */
	REASON_CONFIG_MENDED,    /* it ran from the kept copy, and the file is valid again */
	REASON_COUNT
};

struct supervision_exit {
	enum exit_kind kind;
	int value; /* exit code or signal number */
};

struct supervision_event {
	enum supervision_event_type type;
	int64_t now_ms;      /* CLOCK_BOOTTIME */
	uint64_t generation; /* of the gateway it speaks of; 0 where it speaks of none */
	double chance;       /* in [0, 1): for jitter */
	bool force;  /* ON_START, ON_RESTART: over back-off and budget; ON_SHUTDOWN: do not wait for the drain
	              */
	bool inside; /* ON_RESTART: asked from the gateway's own tree */
	bool holds;  /* ON_TREE_LEFT: what is left holds the port or the gateway's lock */
	bool may_open; /* ON_CONDEMNED: its inspector may be opened for the autopsy */
	bool proved;   /* ON_READY: its start-up probe proved that it answers what probes ask */
	bool fallback; /* ON_WORDS: a copy of its last good configuration exists, and the file refused is
	                  another and has changed since */
	int64_t value; /* ON_PAUSE: until (INT64_MAX: until resumed); ON_DRAIN_BEGAN: budget; ON_HOST_RESUMED:
	                  ms slept; ON_SPAWN_FAILED: errno; ON_TREE_LEFT: processes left; ON_CONDEMNED:
	                  evidence, not 0 (REASON_HUNG, REASON_DEAF: for so many ms nothing has proved that
	                  it is well) */
	enum supervision_reason reason; /* ON_CONDEMNED, ON_SUSPECTED; ON_START: REASON_FIRST_START or none */
	enum exit_verdict verdict;      /* ON_WORDS */
	struct supervision_exit exit;   /* ON_EXITED */
};

enum supervision_action_type {
	DO_ADOPT,     /* prove the identity of the gateway found; answer ON_ADOPTED or ON_ADOPT_REFUSED */
	DO_SPAWN,     /* start `generation`, value 1: from the copy of its configuration; answer ON_SPAWNED or
	                 ON_SPAWN_FAILED at once */
	DO_TERMINATE, /* SIGTERM to the gateway process */
	DO_KILL_TREE, /* SIGKILL to the whole tree; answer ON_TREE_GONE or ON_TREE_LEFT at once */
	DO_PROBE_START,  /* ask the sentry to say ON_READY and ON_PROGRESS for `generation` */
	DO_ASK_WORDS,    /* ask the sentry what the last lines of `generation` said */
	DO_WATCH_CONFIG, /* ask the sentry to say ON_CONFIG_CHANGED; value 0: no more */
	DO_VALIDATE,     /* let the configuration file be validated, not the copy; answer ON_VALIDATED */
	DO_EXAMINE,  /* ask the sentry for an autopsy of `generation`, `reason`, within EXAMINE_MAX_MS; value
	                1:  its inspector may be opened; answer ON_EXAMINED */
	DO_CONTINUE, /* SIGCONT to the gateway process */
	DO_RECORD,   /* write an event down: `record`, `reason`, `value`, `incident` */
	DO_SAVE,     /* the machine changed in a way the next life must know */
	DO_REFUSE,   /* tell the asker no: `reason` */
	DO_FINISH    /* the supervisor may end: nothing of the gateway is left */
};

/* What happened, for the record. The names people see are in supervise/narrate.c. */
enum supervision_record {
	RECORD_STARTED,
	RECORD_READY,
	RECORD_RECOVERED, /* ready again after an incident; value: its duration in ms */
	RECORD_EXITED,
	RECORD_START_FAILED,
	RECORD_WAITING, /* value: ms until the next start */
	RECORD_PARKED,
	RECORD_UNPARKED,
	RECORD_STOPPING,
	RECORD_STOPPED,
	RECORD_KILLED,
	RECORD_DRAINING,
	RECORD_RESTARTED_ITSELF,
	RECORD_SUSPECTED,
	RECORD_CLEARED,
	RECORD_CONDEMNED,
	RECORD_ADOPTED,
	RECORD_ADOPT_REFUSED,
	RECORD_TREE_LEFT,
	RECORD_PAUSED,
	RECORD_RESUMED,
	RECORD_CONTINUED,
	RECORD_LEFT_ALONE,    /* it is condemned, and not to be replaced */
	RECORD_OUT_OF_MEMORY, /* what its exit did not say */
	RECORD_FALLBACK,      /* the next start is from the copy of its configuration */
	RECORD_RESTORED,      /* ... and from then on from the file again */
	RECORD_COUNT
};

struct supervision_action {
	enum supervision_action_type type;
	uint64_t generation;
	enum supervision_record record;
	enum supervision_reason reason;
	int64_t reason_value; /* exit code, signal, errno ...: what belongs to the reason */
	int64_t value;        /* what belongs to the record: a duration, a count */
	uint64_t incident;
};

#define SUPERVISION_ACTIONS_MAX 12

struct supervision_actions {
	uint32_t count;
	struct supervision_action list[SUPERVISION_ACTIONS_MAX];
};

struct supervision_settings {
	struct restart_policy policy;
	bool restart_on[RESTART_CAUSE_COUNT];
	bool ready_when_spawned; /* there is no start-up probe */
	bool reads_words;        /* an exit code is read with the gateway's last words */
	bool asks_oom;           /* SIGKILL, SIGABRT and ends that nobody saw are asked about too */
	bool autopsy;            /* what hangs is examined before it is ended */
	bool config_fallback;    /* where a file is refused the gateway is started from the copy */
	int config_exit_code;    /* 0: none */
	int64_t stop_timeout_ms, startup_timeout_ms, hang_grace_ms;
};

#define SUPERVISION_INSIDE_RESTARTS_MAX 3 /* an hour */
#define SUPERVISION_NOT_ASKED_YET       INT64_MAX
#define EXAMINE_MAX_MS                  3500 /* the sentry's own limit is 3 s */

struct supervision {
	const struct supervision_settings *settings; /* borrowed */

	enum supervision_state state;
	int64_t now_ms, since_ms, deadline_ms; /* deadline 0: none */
	int64_t armed_ms;                      /* when the deadline was set */
	enum supervision_reason reason;        /* why the state is what it is */
	int64_t reason_value;
	enum supervision_reason down_reason; /* why it last went down, or why it is started */
	int64_t down_value;

	bool wanted;    /* there should be a gateway */
	bool finishing; /* the supervisor ends once there is none */
	bool insisted;  /* the next start is over the boot budget */

	/* Of an earlier life, for the first steps of this one. */
	enum supervision_state before; /* where it was without a gateway; else STATE_ADOPTING */
	bool was_ending; /* it had asked the gateway to end or seen its end, and was not through with that */
	int64_t end_until_ms; /* the time the gateway was given for that; 0: it was over;
	                         SUPERVISION_NOT_ASKED_YET: a restart was asked for in ADOPTING */

	uint64_t generation;
	uint64_t restarts;
	bool alive;  /* the gateway process exists */
	bool tree;   /* processes of its tree may exist */
	bool ready;  /* it has been, in this life or in an earlier one; since ready_ms */
	bool proved; /* ... and its start-up probe proved that it answers what probes ask */
	int64_t started_ms, ready_ms, moved_ms;

	bool asked;       /* we asked it to end */
	int64_t evidence; /* ... because of a verdict that rested on this; 0: because somebody wanted it */
	bool planned;     /* the next start needs no back-off */
	bool own_drain;
	bool opened;      /* EXAMINING: its inspector may be open by now: whatever happens, it is replaced */
	uint64_t unnamed; /* the gateway whose end is asked about while the next is started; 0: none */
	bool fallback;    /* starts are from the copy of its configuration */
	enum supervision_reason left_alone; /* what it was told of to be condemned for, and not replaced */
	enum restart_cause cause;
	enum supervision_reason
	    park; /* the next start would fail for this reason; REASON_NONE: it may be tried */
	bool awaiting_words, told_left, asked_twice;
	int64_t words_until_ms, kill_began_ms, due_ms;
	struct supervision_exit last_exit;

	int64_t paused_until_ms; /* 0: not paused */
	int64_t judge_after_ms;  /* verdicts before this time were formed while the host slept */
	int64_t inside_restarts_ms[SUPERVISION_INSIDE_RESTARTS_MAX];

	uint64_t incident, next_incident; /* incident 0: none is open */
	int64_t incident_since_ms;
	struct restart_history history;
};

/* `settings` is borrowed for the machine's life; `first_incident` is the number of its first incident. */
void supervision_init(
    struct supervision *machine, const struct supervision_settings *settings, uint64_t first_incident);

/* Right after supervision_init: takes over what the last DO_SAVE (or DO_SPAWN) of an earlier life left of its
 * machine, in this boot of the host: its times are of the same clock. A machine may be saved after any step,
 * not only when it asks for it. `earlier` is copied from; its pointers are not used.
 *
 * The first event is then ON_FOUND where machine->before is not STATE_ADOPTING, or where the record names a
 * gateway; else ON_START. The new life goes on where the other was: stopped stays stopped; a wait ends at the
 * same moment, and what went before is not counted again; what was being ended is ended, in the time that is
 * left of what it was given; what was asked for is done. What was parked is tried at once. A gateway that
 * nobody was ending is adopted or, when it is gone, has crashed. An earlier life that was told to end is
 * followed by a first start. */
void supervision_inherit(struct supervision *machine, const struct supervision *earlier);

/* One event. `actions` is filled anew, to be carried out in order. */
void supervision_step(
    struct supervision *machine, const struct supervision_event *event, struct supervision_actions *actions);

/* When ON_TIMER is due, or 0 for never. */
static inline int64_t supervision_deadline_ms(const struct supervision *machine)
{
	return machine->deadline_ms;
}

bool supervision_is_paused(const struct supervision *machine, int64_t now_ms);

/* Whether the table has a cell for this event in this state: cells that have none are results of actions,
 * which cannot arrive there, and timers of states that have none; a step into one of them is a broken
 * invariant and aborts. */
bool supervision_cell_exists(enum supervision_state state, enum supervision_event_type type);

/* "running", "backing-off": the names of `status`. */
const char *supervision_state_name(enum supervision_state state);
const char *supervision_event_name(enum supervision_event_type type);

#endif
