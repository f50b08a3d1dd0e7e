/* Is the gateway well? Looks come in as values, and a verdict with its evidence comes out.
 *
 * Pure, like the rest of the core. A look says what could be seen from outside at one moment; the sentry
 * takes one every `interval_ms`, and one a second while something speaks against the gateway. No verdict
 * rests on one signal: what goes unanswered must do so for a whole window, and a second witness must agree.
 * Looks that do not come are no evidence. */
#ifndef HOLDFAST_CORE_HEALTH_H
#define HOLDFAST_CORE_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#define HEALTH_PACE_SUSPECT_MS 1000
#define HEALTH_UNKNOWN_COUNT   UINT64_MAX /* where something cannot be seen */

/* How a probe ended, by layer (4: the connection, 7: what is said over it). */
enum probe_result {
	PROBE_UNK,      /* none has ended yet */
	PROBE_SOCKERR,  /* we could not ask: no descriptor, no memory; says nothing about the gateway */
	PROBE_L4OK,     /* a connection was made, and nothing more was asked for */
	PROBE_L4CON,    /* refused: nothing listens */
	PROBE_L4TOUT,   /* the connection was not made in time */
	PROBE_L7OK,     /* answered as it should */
	PROBE_L7TOUT,   /* connected; no answer in time */
	PROBE_L7RSP,    /* closed, or nonsense, instead of an answer */
	PROBE_L7STS,    /* answered with another status than it should: its loop turns */
	PROBE_WSOK,     /* WebSocket: hello-ok, and ticks come */
	PROBE_WSTICK,   /* WebSocket: open, and the tick that was due did not come */
	PROBE_WSAUTH,   /* WebSocket: opened, and our token is not accepted: its loop turns */
	PROBE_PROCOK,   /* the command ended with 0 */
	PROBE_PROCERR,  /* the command ended otherwise */
	PROBE_PROCTOUT, /* the command did not end in time */
	PROBE_RESULT_COUNT
};

/* One look. Counters only grow within a gateway's life; all times are CLOCK_BOOTTIME in ms, 0: never. */
struct health_look {
	uint64_t generation;
	int64_t at_ms;
	int64_t late_ms; /* how much later than it was due: we are starved ourselves, or slept */

	/* New connections: the probe that the settings name. */
	int64_t answered_ms;      /* a probe was last answered */
	int64_t asked_ms;         /* the oldest probe without an answer was sent; 0: there is none */
	int64_t failing_since_ms; /* the first failure (of any kind but SOCKERR) in a row; 0: the last
	                             succeeded */
	uint32_t unanswered;      /* probes in a row that are past their deadline */
	uint16_t probe;           /* enum probe_result: the last that ended */
	uint16_t status;          /* its HTTP status; 0: none */

	/* The standing WebSocket. */
	int64_t heard_ms;              /* the last frame came; 0: not open */
	int64_t tick_interval_ms;      /* it has promised a frame so often; 0: it has promised nothing */
	int64_t link_failing_since_ms; /* a new one could not be opened since; 0: it can */
	uint16_t link;                 /* enum probe_result */

	/* The promise of a child that speaks sd_notify(3). */
	uint16_t watchdog_missed; /* it promised WATCHDOG=1, and none came in time */
	int64_t watchdog_ms;      /* how often it promised one */
	int64_t watchdog_heard_ms;

	/* The process that answers, and its main thread, which runs the loop. */
	char process;             /* R S D T t Z ...; 0: not visible */
	bool is_traced;           /* a debugger holds it (ptrace), or one is connected to its inspector */
	bool is_frozen;           /* somebody froze its cgroup */
	bool is_busy_with_itself; /* it said that it reloads */
	int32_t queue;            /* connections that wait to be accepted; -1: not visible */
	uint64_t main_cpu_ms,
	    main_waited_ms;   /* of the main thread: on a processor; ready to run, and kept waiting */
	uint64_t main_faults; /* pages it had to wait for */

	/* The machine. */
	uint64_t tree_cpu_ms;     /* of the gateway and all its descendants */
	uint64_t busy_cpu_ms;     /* of everybody, the gateway's tree included, of all processors */
	uint64_t steal_cpu_ms;    /* taken by the host of this virtual machine, of all processors */
	uint64_t memory_stall_ms; /* time in which somebody on this machine waited for memory (PSI) */
	uint64_t tree_stall_ms;   /* the same within the gateway's own cgroup */
	uint32_t processors;
};

enum health_state {
	HEALTH_UNKNOWN, /* not proved to be well yet: its failures cannot count */
	HEALTH_LIVE,
	HEALTH_SUSPECT,
	HEALTH_HUNG, /* the loop does not turn */
	HEALTH_DEAF, /* the loop turns, or nobody knows, and no new connection has succeeded for minutes */
	HEALTH_BROKEN_PROMISE, /* the watchdog */
	HEALTH_STATE_COUNT
};

/* Witnesses: each alone proves nothing. */
enum {
	WITNESS_UNANSWERED = 1 << 0,      /* probes: the first witness, always needed but for the promise */
	WITNESS_PINNED = 1 << 1,          /* its main thread ran without pause */
	WITNESS_STOPPED = 1 << 2,         /* T */
	WITNESS_UNINTERRUPTIBLE = 1 << 3, /* D, and nothing was read in meanwhile */
	WITNESS_NO_TICK = 1 << 4,
	WITNESS_QUEUE = 1 << 5, /* our own unanswered connections are still in its queue */
	WITNESS_PROMISE = 1 << 6,
	WITNESS_NO_CONNECTION = 1 << 7, /* deaf: neither HTTP nor WebSocket */
	WITNESS_COUNT = 8
};

/* What holds a verdict back. An exception holds as long as it lasts; a postponement at most until three times
 * the normal window. */
enum {
	HELD_TRACED = 1 << 0,     /* a debugger: never acted on */
	HELD_FROZEN = 1 << 1,     /* somebody froze it: never acted on */
	HELD_NO_WITNESS = 1 << 2, /* nobody but the probes speaks against it */
	HELD_BLIND = 1 << 3,      /* we could not ask ourselves */
	HELD_RELOADING = 1 << 4,  /* postponed: it said so */
	HELD_STARVED = 1 << 5,    /* postponed: others use the processors */
	HELD_STOLEN = 1 << 6,     /* postponed: the host gives this machine no processor */
	HELD_MEMORY = 1 << 7,     /* postponed: others make it wait for memory */
	HELD_LATE = 1 << 8,       /* postponed: we were late ourselves */
	HELD_COUNT = 9
};

struct health_settings {
	int64_t interval_ms, timeout_ms;
	uint32_t failures;
};

/* What the verdict rests on. */
struct health_verdict {
	enum health_state state;
	bool changed;   /* against the look before */
	bool wake;      /* it is stopped: send SIGCONT now; said once in a suspicion, and looked at again */
	bool runs_code; /* its main thread is on a processor: its stack can be asked for */
	uint32_t witnesses, held; /* WITNESS_..., HELD_... */
	int64_t silent_ms;        /* since anything proved that it is well */
	int64_t blocked_ms; /* since the oldest unanswered probe was sent, without any proof that the loop
	                     * turned: it has hung for at least so long. Begins anew after a debugger, a
	                     * freezer or a sleep. */
	uint32_t unanswered;
	int32_t queue,
	    queue_grown;          /* by so many since the suspicion began, or since something was accepted */
	uint32_t main_permille;   /* of the last 15 to 30 s of suspicion its main thread was on a processor */
	uint32_t others_permille; /* of all processors went to others than its tree */
	uint32_t steal_permille;
	uint16_t probe, status, link;
	char process;
};

/* Private: where the counters stood, so that what has been added since can be told. */
struct health_mark {
	struct health_look look;
	uint64_t looks, runnable_looks; /* in this life; how often the main thread was seen in R */
	int64_t late_ms;                /* the lateness of all looks */
};

/* Private: what is kept between looks. */
struct health {
	const struct health_settings *settings; /* borrowed */
	uint64_t generation;
	enum health_state state;
	bool proved;            /* it was well once in this life */
	bool connected, linked; /* a probe was answered, a WebSocket opened: once in this life */
	bool woken;             /* in this suspicion */
	int64_t woken_ms;
	int64_t turned_ms; /* the last proof that its loop turns */
	int64_t proved_ms; /* the last proof that it is well; or it was proved when it began */
	int64_t
	    not_before_ms;  /* what was asked before is not judged: nobody looked, or it could not answer */
	int64_t suspect_ms; /* when the suspicion began */
	uint64_t suspect_cpu_ms; /* what its main thread had used by then */
	int64_t held_ms;         /* at this look something last held a verdict back */
	int64_t waits_since_ms;  /* seen in D at every look since, and nothing was read in; 0: not in D */
	int32_t queue_base; /* the queue when the suspicion began, or when something was last taken out */
	struct health_mark base, next, now; /* what has been added is measured from base, 15 to 30 s ago */
	struct health_look last;
};

/* Nothing is known of any gateway yet. */
void health_init(struct health *health, const struct health_settings *settings);

/* A gateway is up: `proved` if something proved that it answers (the start-up probe), so that its first
 * silence counts. */
void health_begin(struct health *health, uint64_t generation, int64_t now_ms, bool proved);

/* The host slept: what went unanswered meanwhile is no sign. */
void health_slept(struct health *health, int64_t now_ms);

/* For a while nothing was to be done, whatever it did: it is judged from now on, and woken anew where it is
 * stopped. */
void health_resumed(struct health *health, int64_t now_ms);

/* One look; one of another generation changes nothing and says HEALTH_UNKNOWN. `verdict` is filled whole. */
void health_step(struct health *health, const struct health_look *look, struct health_verdict *verdict);

/* How soon the next look is wanted, in ms. */
int64_t health_pace_ms(const struct health *health);

/* The shortest time for which an unanswered probe must have been under way before anything is said to hang.
 */
int64_t health_window_ms(const struct health_settings *settings);

/* "L7TOUT" ...; "live", "hung" ...; and one bit of witnesses or held: "queue", "debugger" ... */
const char *probe_result_name(enum probe_result result);
const char *health_state_name(enum health_state state);
const char *health_witness_name(uint32_t bit);
const char *health_held_name(uint32_t bit);

#endif
