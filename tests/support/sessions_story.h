/* Sessions of which one look after another is taken, and what is wanted for them. */
#ifndef HOLDFAST_TESTS_SUPPORT_SESSIONS_STORY_H
#define HOLDFAST_TESTS_SUPPORT_SESSIONS_STORY_H

#include "base/text.h"
#include "core/sessions.h"
#include "tests/support/tap.h"

#define SECOND     1000
#define MINUTE     60000
#define START      10000000
#define BOTH       (SESSION_WITNESS_EVENTS | SESSION_WITNESS_LIST)
#define GENERATION 7

static struct sessions_settings settings;
static struct sessions sessions;
static struct sessions_actions actions;
static struct session_look look; /* the next one */
static int64_t now_ms;
static bool may_act;
/* What was wanted, since it was last asked. */
static uint32_t asked, stuck, aborted, recovered, failed, condemned, saved;

static inline void count(void)
{
	uint32_t *const records[] = {&stuck, &aborted, &recovered, &failed};

	CHECK(actions.count <= SESSIONS_ACTIONS_MAX);
	for (uint32_t i = 0; i < actions.count; i++) {
		const struct sessions_action *action = &actions.list[i];

		asked += action->type == SESSIONS_ABORT;
		saved += action->type == SESSIONS_SAVE;
		if (action->type == SESSIONS_CONDEMN)
			condemned = action->count;
		if (action->type == SESSIONS_TELL)
			++*records[action->record];
	}
}

static inline void ask_nothing(void)
{
	asked = stuck = aborted = recovered = failed = condemned = saved = 0;
}

/* Returns whether what came since is this, and nothing else. */
static inline bool came(
    uint32_t asks, uint32_t stucks, uint32_t aborts, uint32_t recoveries, uint32_t failures)
{
	bool same = asked == asks && stuck == stucks && aborted == aborts && recovered == recoveries &&
	            failed == failures;

	if (!same)
		printf("# asked %u, stuck %u, aborted %u, recovered %u, failed %u\n", asked, stuck, aborted,
		    recovered, failed);
	ask_nothing();
	return same;
}

/* A session whose run was seen to begin, and has not moved since. */
static inline void begin(void)
{
	settings = (struct sessions_settings){
	    .session_timeout_ms = 2 * MINUTE, .tool_timeout_ms = 10 * MINUTE, .threshold = 2};
	sessions_init(&sessions, &settings);
	sessions_begin(&sessions, GENERATION);
	now_ms = START;
	may_act = true;
	look = (struct session_look){.key = "agent:main:main",
	    .id = "id",
	    .run = "run-1",
	    .began_ms = START,
	    .moved_ms = START,
	    .waits = SESSION_WAITS_MODEL,
	    .witnesses = BOTH};
	ask_nothing();
}

static inline void see(void)
{
	look.at_ms = now_ms;
	sessions_looked(&sessions, &look, may_act, now_ms, &actions);
	count();
}

static inline void tick(void)
{
	sessions_tick(&sessions, may_act, now_ms, &actions);
	count();
}

/* A look and a tick a second, of a run that does not move; without looks: ticks alone. */
static inline void pass(int64_t for_ms, bool looks)
{
	for (int64_t end_ms = now_ms + for_ms; now_ms < end_ms;) {
		now_ms += SECOND;
		look.quiet_ms += SECOND;
		look.own_quiet_ms += SECOND;
		if (looks)
			see();
		tick();
	}
}

static inline struct session *it(void)
{
	return &sessions.sessions[session_table_find(&sessions.table, look.key)];
}

static inline void answer(enum abort_outcome outcome)
{
	sessions_answered(&sessions, it()->serial, outcome, now_ms, &actions);
	count();
}

static inline void idles(void)
{
	look.waits = SESSION_IDLE;
	look.run[0] = '\0';
	look.witnesses = 0;
	look.quiet_ms = look.own_quiet_ms = 0;
}

static inline void moves(void)
{
	look.moved_ms = now_ms;
	look.quiet_ms = look.own_quiet_ms = 0;
}

static inline void hang(const char *key, const char *run)
{
	text_copy(look.key, sizeof(look.key), key);
	text_copy(look.run, sizeof(look.run), run);
	look.waits = SESSION_WAITS_MODEL;
	look.witnesses = BOTH;
	look.began_ms = look.moved_ms = now_ms - 5 * MINUTE;
	look.quiet_ms = 5 * MINUTE;
}

/* It hangs, and two aborts are refused. */
static inline void fail(const char *key)
{
	hang(key, key);
	see();
	for (int i = 0; i < SESSIONS_ATTEMPTS; i++) {
		answer(ABORT_REFUSED);
		now_ms += SESSIONS_REFUSED_MS;
		see();
		see();
	}
	CHECK(it()->state == SESSION_FAILED);
}

#endif
