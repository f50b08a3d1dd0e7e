/* One combination of evidence after another, with exact times. */
#include "core/health.h"
#include "tests/support/tap.h"

#define SECOND 1000
#define START  1000000

static const struct health_settings defaults = {.interval_ms = 30000, .timeout_ms = 10000, .failures = 3};

/* A gateway of which one look after another is taken, a second apart; the story changes `look` meanwhile. */
struct story {
	struct health health;
	struct health_look look;
	struct health_verdict verdict;
	int64_t hung_ms, first_hung_ms;
	bool spins, sleeps; /* what the main thread does */
	bool answers, grows;
	uint32_t wakes;
};

static struct story begin(bool proved)
{
	struct story story = {.answers = true};

	health_init(&story.health, &defaults);
	health_begin(&story.health, 1, START, proved);
	story.look = (struct health_look){.generation = 1,
	    .at_ms = START,
	    .probe = PROBE_L7OK,
	    .status = 200,
	    .process = 'S',
	    .queue = 0,
	    .processors = 2,
	    .memory_stall_ms = 0,
	    .tree_stall_ms = 0};
	return story;
}

static void step(struct story *story)
{
	health_step(&story->health, &story->look, &story->verdict);
	story->wakes += story->verdict.wake;
	if (story->verdict.state == HEALTH_HUNG && story->first_hung_ms == 0)
		story->first_hung_ms = story->look.at_ms;
}

static void run(struct story *story, int64_t for_ms)
{
	for (int64_t end_ms = story->look.at_ms + for_ms; story->look.at_ms < end_ms;) {
		struct health_look *look = &story->look;

		look->at_ms += SECOND;
		if (story->answers) {
			look->answered_ms = look->at_ms;
			look->asked_ms = look->failing_since_ms = 0;
			look->unanswered = 0;
		} else if (look->asked_ms == 0) {
			look->asked_ms = look->at_ms;
		} else if (look->at_ms - look->asked_ms >= defaults.timeout_ms) {
			look->probe = PROBE_L7TOUT;
			look->failing_since_ms = look->asked_ms;
			look->unanswered++;
		}
		if (story->spins) {
			look->process = 'R';
			look->main_cpu_ms += SECOND;
			look->tree_cpu_ms += SECOND;
			look->busy_cpu_ms += SECOND;
		}
		look->queue += !story->answers && story->grows;
		step(story);
	}
}

static struct story silent(int64_t for_ms)
{
	struct story story = begin(true);

	run(&story, 60 * SECOND);
	story.answers = false;
	run(&story, for_ms);
	return story;
}

TEST(
    "a pinned main thread and nothing but silence: suspect after 10 s, hung after 43 s and not a look sooner")
{
	struct story story = begin(true);

	run(&story, 60 * SECOND);
	story.answers = false;
	story.spins = true;
	run(&story, 10 * SECOND);
	CHECK(story.verdict.state == HEALTH_LIVE && health_pace_ms(&story.health) == 30000);
	run(&story, SECOND);
	CHECK(story.verdict.state == HEALTH_SUSPECT && story.verdict.changed);
	CHECK(health_pace_ms(&story.health) == 1000);
	run(&story, 32 * SECOND);
	CHECK(story.verdict.state == HEALTH_SUSPECT);
	run(&story, SECOND);
	CHECK(story.verdict.state == HEALTH_HUNG && story.verdict.changed && story.verdict.runs_code);
	CHECK(story.verdict.witnesses == (WITNESS_UNANSWERED | WITNESS_PINNED));
	CHECK(story.verdict.blocked_ms == 43000 && story.verdict.main_permille == 1000);
}

TEST("silence alone is no hang, however long")
{
	struct story story = silent(170 * SECOND);

	CHECK(story.first_hung_ms == 0 && story.verdict.state == HEALTH_SUSPECT);
	CHECK(story.verdict.held & HELD_NO_WITNESS);
	/* ... but deaf where there is nobody else to ask. */
	story = silent(3600 * SECOND);
	CHECK(story.first_hung_ms == 0 && story.verdict.state == HEALTH_DEAF);
}

TEST("asleep in a call: its listen queue holds what nobody accepts")
{
	struct story story = begin(true);

	story.answers = false;
	story.grows = true;
	run(&story, 45 * SECOND);
	CHECK(story.verdict.state == HEALTH_HUNG);
	CHECK(story.verdict.witnesses == (WITNESS_UNANSWERED | WITNESS_QUEUE));
}

TEST("something taken out of the listen queue proves that the loop turned")
{
	struct story story = begin(true);

	story.answers = false;
	story.grows = true;
	run(&story, 42 * SECOND);
	story.look.queue = 0;
	run(&story, 42 * SECOND);
	CHECK(story.first_hung_ms == 0);
	run(&story, 2 * SECOND);
	CHECK(story.verdict.state == HEALTH_HUNG);
}

TEST("a tick that does not come is a witness; one that comes ends the suspicion of the loop")
{
	struct story story = begin(true);

	story.look.link = PROBE_WSOK;
	story.look.tick_interval_ms = 30000;
	story.look.heard_ms = START;
	story.answers = false;
	run(&story, 44 * SECOND);
	CHECK(story.verdict.state == HEALTH_HUNG && (story.verdict.witnesses & WITNESS_NO_TICK));
	story.look.heard_ms = story.look.at_ms;
	run(&story, SECOND);
	CHECK(story.verdict.state == HEALTH_SUSPECT);
	story.answers = true;
	story.look.probe = PROBE_L7OK;
	run(&story, SECOND);
	CHECK(story.verdict.state == HEALTH_LIVE && story.verdict.changed);
}

TEST("what never worked cannot fail")
{
	struct story story = begin(false);

	story.answers = false;
	story.spins = true;
	run(&story, 3600 * SECOND);
	CHECK(story.verdict.state == HEALTH_UNKNOWN && health_pace_ms(&story.health) == 30000);
}

TEST("a stopped one is woken once, and given up 5 s later")
{
	struct story story = begin(true);

	story.answers = false;
	story.look.process = 'T';
	run(&story, 44 * SECOND);
	CHECK(story.wakes == 1 && story.verdict.wake && story.verdict.state == HEALTH_SUSPECT);
	run(&story, 5 * SECOND);
	CHECK(story.wakes == 1 && story.verdict.state == HEALTH_HUNG);
	CHECK(story.verdict.witnesses & WITNESS_STOPPED);
}

TEST("one that was stopped and goes on has a whole window again")
{
	struct story story = begin(true);

	story.answers = false;
	story.look.process = 'T';
	run(&story, 45 * SECOND);
	story.spins = true;
	run(&story, 42 * SECOND);
	CHECK(story.first_hung_ms == 0);
	run(&story, 3 * SECOND);
	CHECK(story.verdict.state == HEALTH_HUNG);
}

TEST("a debugger or a freezer is never acted on, and the window begins anew when it is gone")
{
	struct story story = begin(true);

	story.answers = false;
	story.spins = true;
	story.look.is_traced = true;
	run(&story, 3600 * SECOND);
	CHECK(story.verdict.state == HEALTH_SUSPECT && story.verdict.held == HELD_TRACED);
	story.look.is_traced = false;
	story.look.is_frozen = true;
	run(&story, 3600 * SECOND);
	CHECK(story.first_hung_ms == 0 && story.verdict.held == HELD_FROZEN);
	story.look.is_frozen = false;
	run(&story, 42 * SECOND);
	CHECK(story.first_hung_ms == 0);
	run(&story, 2 * SECOND);
	CHECK(story.verdict.state == HEALTH_HUNG);
}

static int64_t postponed_ms(void (*disturb)(struct health_look *look), bool has_schedstat)
{
	struct story story = begin(true);

	story.answers = false;
	story.grows = true;
	for (int i = 0; i < 200 && story.first_hung_ms == 0; i++) {
		if (!has_schedstat)
			story.look.main_waited_ms = HEALTH_UNKNOWN_COUNT;
		disturb(&story.look);
		run(&story, SECOND);
	}
	return story.first_hung_ms - START - SECOND;
}

static void starve(struct health_look *look)
{
	look->process = 'R';
	look->busy_cpu_ms += 2 * SECOND;
	if (look->main_waited_ms != HEALTH_UNKNOWN_COUNT)
		look->main_waited_ms += SECOND;
}

static void starve_by_half(struct health_look *look)
{
	starve(look);
	look->main_cpu_ms += SECOND / 2;
	look->main_waited_ms -= SECOND / 2;
	look->tree_cpu_ms += SECOND / 2;
}

static void one_hog_on_the_other_processor(struct health_look *look)
{
	look->process = 'R';
	look->main_cpu_ms += SECOND;
	look->tree_cpu_ms += SECOND;
	look->busy_cpu_ms += 2 * SECOND;
}

static void steal(struct health_look *look)
{
	look->steal_cpu_ms += SECOND;
}

static void thrash(struct health_look *look)
{
	look->process = 'D';
	look->main_faults += 100;
}

static void others_thrash(struct health_look *look)
{
	look->memory_stall_ms += SECOND / 2;
}

static void own_tree_thrashes(struct health_look *look)
{
	look->memory_stall_ms += SECOND / 2;
	look->tree_stall_ms += SECOND / 2;
}

static void be_late(struct health_look *look)
{
	look->late_ms = 300;
}

static void reload(struct health_look *look)
{
	look->is_busy_with_itself = true;
}

TEST("a starved machine postpones the verdict, three windows at most; what its own tree does is no excuse")
{
	/* ... until it has had the time of a processor that it would have had. */
	CHECK(postponed_ms(starve_by_half, true) > 60 * SECOND);
	CHECK(postponed_ms(starve_by_half, true) < 90 * SECOND);
	CHECK(postponed_ms(starve, true) == 129 * SECOND);
	CHECK(postponed_ms(starve, false) == 129 * SECOND);
	CHECK(postponed_ms(one_hog_on_the_other_processor, true) == 43 * SECOND);
	CHECK(postponed_ms(one_hog_on_the_other_processor, false) == 43 * SECOND);
	CHECK(postponed_ms(steal, true) == 129 * SECOND);
	CHECK(postponed_ms(thrash, true) == 129 * SECOND);
	CHECK(postponed_ms(others_thrash, true) == 129 * SECOND);
	CHECK(postponed_ms(own_tree_thrashes, true) == 43 * SECOND);
	CHECK(postponed_ms(be_late, true) == 129 * SECOND);
	CHECK(postponed_ms(reload, true) == 129 * SECOND);
}

TEST("time in which nobody looked or the host slept is no evidence")
{
	struct story story = silent(20 * SECOND);

	story.spins = true;
	story.look.at_ms += 3600 * SECOND;
	run(&story, 43 * SECOND);
	CHECK(story.first_hung_ms == 0);
	health_slept(&story.health, story.look.at_ms);
	run(&story, 42 * SECOND);
	CHECK(story.first_hung_ms == 0);
	run(&story, 2 * SECOND);
	CHECK(story.verdict.state == HEALTH_HUNG);
}

static bool is_same(const void *one, const void *other, size_t size)
{
	return memcmp(one, other, size) == 0;
}

TEST("a look that is older than the last, or of another gateway, changes nothing")
{
	struct story story = silent(20 * SECOND);
	struct health before = story.health;

	story.look.at_ms -= 5 * SECOND;
	step(&story);
	CHECK(story.verdict.state == HEALTH_SUSPECT && is_same(&before, &story.health, sizeof(before)));
	story.look.at_ms += 6 * SECOND;
	story.look.generation = 2;
	step(&story);
	CHECK(story.verdict.state == HEALTH_UNKNOWN && is_same(&before, &story.health, sizeof(before)));
}

TEST("probes that could not be made say nothing")
{
	struct story story = silent(30 * SECOND);

	story.spins = true;
	story.look.probe = PROBE_SOCKERR;
	for (int i = 0; i < 600; i++) {
		run(&story, SECOND);
		story.look.probe = PROBE_SOCKERR;
		step(&story);
	}
	CHECK(story.first_hung_ms == 0 && (story.verdict.held & HELD_BLIND));
}

/* `for_ms` of failures of both kinds. */
static enum health_state deaf(enum probe_result probe, enum probe_result link, bool had_link, int64_t for_ms)
{
	struct story story = begin(true);

	if (had_link)
		story.look.heard_ms = START, story.look.link = PROBE_WSOK;
	run(&story, 5 * SECOND);
	story.look.heard_ms = 0;
	story.look.failing_since_ms = story.look.at_ms;
	story.look.link_failing_since_ms = link == PROBE_UNK || link == PROBE_WSOK ? 0 : story.look.at_ms;
	for (int64_t end_ms = story.look.at_ms + for_ms; story.look.at_ms < end_ms;) {
		story.look.at_ms += SECOND;
		story.look.probe = (uint16_t)probe;
		story.look.link = (uint16_t)link;
		step(&story);
	}
	return story.verdict.state;
}

TEST("deaf: new connections of both kinds fail for three minutes after having worked")
{
	CHECK(deaf(PROBE_L7TOUT, PROBE_L7TOUT, true, 179 * SECOND) == HEALTH_SUSPECT);
	CHECK(deaf(PROBE_L7TOUT, PROBE_L7TOUT, true, 181 * SECOND) == HEALTH_DEAF);
	CHECK(deaf(PROBE_L4CON, PROBE_UNK, false, 179 * SECOND) == HEALTH_SUSPECT);
	CHECK(deaf(PROBE_L4CON, PROBE_UNK, false, 181 * SECOND) == HEALTH_DEAF);
	CHECK(deaf(PROBE_L7RSP, PROBE_UNK, false, 181 * SECOND) == HEALTH_DEAF);
	CHECK(deaf(PROBE_L7TOUT, PROBE_UNK, false, 181 * SECOND) == HEALTH_DEAF);
	CHECK(deaf(PROBE_PROCERR, PROBE_UNK, false, 181 * SECOND) == HEALTH_DEAF);
	/* ... and never while one of them may still be made, or for want of a second witness. */
	CHECK(deaf(PROBE_L7TOUT, PROBE_WSOK, true, 3600 * SECOND) == HEALTH_SUSPECT);
	CHECK(deaf(PROBE_L7TOUT, PROBE_WSAUTH, true, 3600 * SECOND) == HEALTH_SUSPECT);
	CHECK(deaf(PROBE_L7TOUT, PROBE_L7TOUT, false, 3600 * SECOND) == HEALTH_SUSPECT);
	CHECK(deaf(PROBE_L7STS, PROBE_L7TOUT, true, 3600 * SECOND) == HEALTH_LIVE);
}

TEST("a promise that is not kept is broken at once; a debugger, a freezer and a reload still hold")
{
	struct story story = begin(true);

	story.look.watchdog_ms = 100;
	story.look.watchdog_heard_ms = START;
	story.look.at_ms = START + 100;
	step(&story);
	CHECK(story.verdict.state == HEALTH_LIVE);
	story.look.watchdog_missed = 1;
	story.look.is_traced = true;
	story.look.at_ms++;
	step(&story);
	CHECK(story.verdict.state == HEALTH_SUSPECT);
	story.look.is_traced = false;
	story.look.at_ms += 100;
	step(&story);
	CHECK(story.verdict.state == HEALTH_BROKEN_PROMISE && story.verdict.changed);
	CHECK(story.verdict.witnesses & WITNESS_PROMISE);
	story.look.watchdog_missed = 0;
	story.look.watchdog_heard_ms = ++story.look.at_ms;
	step(&story);
	CHECK(story.verdict.state == HEALTH_LIVE);
}

TEST("a look full of nonsense neither overflows nor condemns")
{
	struct story story = begin(true);

	memset(&story.look, 0xff, sizeof(story.look));
	story.look.generation = 1;
	story.look.is_traced = story.look.is_frozen = story.look.is_busy_with_itself = false;
	for (int i = 0; i < 64; i++) {
		story.look.at_ms = (int64_t)(UINT64_MAX >> (63 - i));
		step(&story);
		CHECK(story.verdict.state <= HEALTH_SUSPECT);
	}
}

TEST("everything has a name, and nothing else has one")
{
	CHECK_TEXT(probe_result_name(PROBE_L7TOUT), "L7TOUT");
	CHECK_TEXT(health_state_name(HEALTH_BROKEN_PROMISE), "broken-promise");
	CHECK_TEXT(health_witness_name(WITNESS_QUEUE), "queue");
	CHECK_TEXT(health_held_name(HELD_TRACED), "debugger");
	for (int i = 0; i < PROBE_RESULT_COUNT; i++)
		CHECK(strcmp(probe_result_name((enum probe_result)i), "unknown") != 0);
	for (int i = 0; i < WITNESS_COUNT; i++)
		CHECK(strcmp(health_witness_name(1u << i), "unknown") != 0);
	for (int i = 0; i < HELD_COUNT; i++)
		CHECK(strcmp(health_held_name(1u << i), "unknown") != 0);
	CHECK_TEXT(health_witness_name(1u << WITNESS_COUNT), "unknown");
	CHECK_TEXT(health_held_name(0), "unknown");
}
