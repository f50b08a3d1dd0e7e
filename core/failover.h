/* Which auth profile of a provider takes a call, and which takes it next when that one fails.
 *
 * Pure: what an upstream did and the time come in, what to do comes out. One `struct failover` a provider;
 * the profiles are numbered in the order of preference. For each profile and model there is a circuit: closed
 * (used), open (cooling, until a known time) or half-open (one call at a time tries whether it works again).
 *
 * - A failure opens the circuit of its scope: the model's, the whole profile's, or that of every profile of
 * the same organisation for that model. A failure of a call that began before the circuit was opened never
 *   prolongs it; a success closes its own circuit only, never another model's.
 * - Retry-After is obeyed. Without it a cool-down is short enough that a preferred profile is used again
 * within FAILOVER_RETURN_MS of its being well: a call is the probe, and one that fails costs that call one
 *   more attempt.
 * - Each profile is tried at most once a call, and at most one silence a call is waited out with the short
 *   clock: after that the last resort's.
 * - A conversation stays with the profile that has its prompt cache for a while, if that is usable: a
 *   preference, never a pin. */
#ifndef HOLDFAST_CORE_FAILOVER_H
#define HOLDFAST_CORE_FAILOVER_H

#include <stdbool.h>
#include <stdint.h>

#define FAILOVER_PROFILES_MAX 16
#define FAILOVER_MODELS_MAX   32    /* known at once; the one that was unused longest is forgotten */
#define FAILOVER_STICKY_MAX   64    /* conversations remembered */
#define FAILOVER_CHANGES_MAX  32    /* not yet taken; more are counted */
#define FAILOVER_RETURN_MS    30000 /* longest cool-down that nobody asked for */

/* What became of one attempt. */
enum failover_outcome {
	FAILOVER_ANSWERED,         /* a whole answer */
	FAILOVER_RATE_LIMITED,     /* 429 */
	FAILOVER_OVERLOADED,       /* 529, 503: the provider, not this profile */
	FAILOVER_QUOTA,            /* a cap of the month or the account: long */
	FAILOVER_BILLING,          /* no credit: long */
	FAILOVER_AUTH,             /* the key is refused: long, told to people */
	FAILOVER_CONTEXT_TOO_LONG, /* the caller's: passed on, never tried elsewhere */
	FAILOVER_CONTENT_FILTER,   /* the provider's judgement: passed on, never routed round */
	FAILOVER_BAD_REQUEST,      /* the caller's: passed on */
	FAILOVER_SERVER_ERROR,     /* 5xx, an error event within a 200, an answer that makes no sense */
	FAILOVER_RESET,            /* the connection ended before the answer did */
	FAILOVER_REFUSED,          /* nothing listens */
	FAILOVER_DNS,
	FAILOVER_TLS,
	FAILOVER_SILENT,    /* no content before the first clock ended */
	FAILOVER_STALLED,   /* after content: nothing for as long as the second clock */
	FAILOVER_CUT,       /* after content: it broke off */
	FAILOVER_ABANDONED, /* the caller went away: says nothing of the profile */
	FAILOVER_OUTCOME_COUNT
};

/* Whose a failure is. */
enum failover_scope { FAILOVER_MODEL, FAILOVER_PROFILE, FAILOVER_ORGANISATION };

struct failover_report {
	enum failover_outcome outcome;
	enum failover_scope scope;
	int64_t retry_after_ms; /* as the provider said; -1: it did not */
	uint64_t organisation;  /* hash of its name as the answer gives it; 0: unknown */
};

struct failover_settings {
	uint32_t profile_count;
	int64_t first_content_ms; /* to the first content where another profile is usable */
	int64_t last_resort_ms;   /* where none is */
	int64_t gap_ms;           /* between two contents */
};

/* One attempt to be made. */
struct failover_try {
	uint32_t profile;
	bool probe; /* half-open: it tries whether the profile works again */
	int64_t first_content_ms, gap_ms;
};

enum failover_verdict {
	FAILOVER_TRY,     /* make *next */
	FAILOVER_PASS_ON, /* hand on what the upstream said, or an error of ours where it said nothing */
	FAILOVER_COOLING, /* no profile is usable: 429 until soonest_ms */
};

/* What one call remembers; the caller's, zeroed by failover_begin. */
struct failover_call {
	uint64_t model, conversation;
	uint32_t tried;     /* bits of profiles */
	int32_t profile;    /* under way; -1: none */
	bool probe, silent; /* a silence was waited out already */
	int64_t began_ms, attempt_ms;
	int64_t soonest_ms; /* FAILOVER_COOLING: when the first cool-down ends (the caller's clock) */
};

enum failover_change_kind {
	FAILOVER_CHANGE_COOLING,   /* until until_ms */
	FAILOVER_CHANGE_DISABLED,  /* long: quota, billing, auth; until until_ms */
	FAILOVER_CHANGE_RECOVERED, /* used again with success */
};

/* A circuit opened or closed, for the record and the metrics. */
struct failover_change {
	enum failover_change_kind kind;
	enum failover_outcome cause;
	enum failover_scope scope;
	uint32_t profile;
	uint64_t model; /* of the call that showed it */
	int64_t at_ms, until_ms;
};

struct failover_circuit {
	int64_t until_ms;  /* 0: closed; past: half-open */
	int64_t opened_ms; /* when it last opened */
	int64_t closed_ms; /* when it last closed after having been open; 0: never was */
	uint32_t failures; /* since it was last closed */
	enum failover_outcome cause;
	bool probing; /* a call tries it */
};

/* Private but for `profiles[].circuit` and `models[]`, which a report may read. */
#include "core/failover_state.h"

void failover_init(struct failover *failover, const struct failover_settings *settings);

/* A new call. `model` and `conversation` are hashes, 0: unknown. Returns FAILOVER_TRY with *next, or
 * FAILOVER_COOLING with call->soonest_ms. */
enum failover_verdict failover_begin(struct failover *failover, struct failover_call *call, uint64_t model,
    uint64_t conversation, int64_t now_ms, struct failover_try *next);

/* The attempt under way failed before any content went to the caller. The caller's own fault (context too
 * long, content filter, bad request) is passed on. Otherwise the next profile that is usable is tried; where
 * none is left: COOLING when the last one was limited, out of credit or refused and there are others; else
 * PASS_ON. */
enum failover_verdict failover_failed(struct failover *failover, struct failover_call *call,
    const struct failover_report *report, int64_t now_ms, struct failover_try *next);

/* The attempt under way brought its first content: the profile works, its latency is learned. From here on
 * the call never changes its profile. */
void failover_content(struct failover *failover, struct failover_call *call, int64_t now_ms);

/* The call is over: ANSWERED, what ended it after content (STALLED, CUT, SERVER_ERROR, OVERLOADED ...), or
 * ABANDONED. Harmless after a verdict that was not FAILOVER_TRY. */
void failover_end(struct failover *failover, struct failover_call *call, const struct failover_report *report,
    int64_t now_ms);

/* Its key was replaced: what it failed for before counts no longer. */
void failover_reset_profile(struct failover *failover, uint32_t profile, int64_t now_ms);

bool failover_has_changes(const struct failover *failover);

/* The next change that was not taken yet. Returns false when there is none. */
bool failover_take_change(struct failover *failover, struct failover_change *change);

/* What a report shows of a profile: the worst of its circuits for any model that is still open. Returns false
 * when all are closed. */
bool failover_profile_state(const struct failover *failover, uint32_t profile, int64_t now_ms,
    struct failover_circuit *circuit, uint64_t *model);

/* "rate_limited", "overloaded" ...; "model", "profile", "organisation". */
const char *failover_outcome_name(enum failover_outcome outcome);
const char *failover_scope_name(enum failover_scope scope);

#endif
