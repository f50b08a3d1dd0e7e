/* Who outlived his parent: of which kind, when it is told, and who is asked to end; by a clock of the test's
 * own. */
#include "core/orphans.h"
#include "config/settings.h"
#include "gateway/gateway.h"
#include "sentry/orphans.h"
#include "tests/support/tap.h"

#define MINUTE_MS 60000
#define MB        (UINT64_C(1024) * 1024)

static struct orphans orphans;
static struct orphans_look look;
static struct orphans_verdict verdict;

static void given_a_gateway(void)
{
	orphans_init(&orphans);
	look = (struct orphans_look){.generation = 3, .at_ms = 1000000};
}

static struct orphan *given_an_orphan(int pid, enum orphan_kind kind)
{
	struct orphan *orphan = &look.list[look.count++];

	look.found++;
	*orphan =
	    (struct orphan){.pid = pid, .kind = kind, .start_time = 500, .cpu_ticks = 10, .io_bytes = 4096};
	return orphan;
}

static void when_a_minute_passes(void)
{
	look.at_ms += MINUTE_MS;
	orphans_step(&orphans, &look, true, &verdict);
}

/* Returns the minute in which the first one is asked to end; 0: none is. */
static int when_minutes_pass(int minutes)
{
	for (int i = 1; i <= minutes; i++) {
		when_a_minute_passes();
		if (verdict.count > 0)
			return i;
	}
	return 0;
}

TEST("an own command that does nothing is asked to end after 15 minutes, once")
{
	given_a_gateway();
	given_an_orphan(100, ORPHAN_OWN_COMMAND);
	CHECK(when_minutes_pass(40) == 16);
	CHECK(verdict.count == 1 && verdict.end[0].pid == 100 && verdict.end[0].start_time == 500);
	CHECK(when_minutes_pass(100) == 0);
}

TEST("CPU or I/O at any time gives it another 15 minutes, and so does one tick less: a child of it has ended")
{
	for (int way = 0; way < 3; way++) {
		struct orphan *orphan;

		given_a_gateway();
		orphan = given_an_orphan(100, ORPHAN_OWN_COMMAND);
		CHECK(when_minutes_pass(15) == 0);
		orphan->cpu_ticks += way == 0;
		orphan->io_bytes += way == 1;
		orphan->cpu_ticks -= way == 2;
		CHECK(when_minutes_pass(40) == 16);
	}
}

TEST("background work and helpers are never asked to end")
{
	given_a_gateway();
	given_an_orphan(100, ORPHAN_BACKGROUND);
	given_an_orphan(101, ORPHAN_HELPER);
	CHECK(when_minutes_pass(24 * 60) == 0);
}

TEST("with reapIdle off nobody is asked, and whoever is idle is when it is turned on")
{
	given_a_gateway();
	given_an_orphan(100, ORPHAN_OWN_COMMAND);
	for (int i = 0; i < 60; i++) {
		look.at_ms += MINUTE_MS;
		orphans_step(&orphans, &look, false, &verdict);
		CHECK(verdict.count == 0);
	}
	CHECK(when_minutes_pass(1) == 1);
}

TEST("another process with the same pid begins anew")
{
	given_a_gateway();
	given_an_orphan(100, ORPHAN_OWN_COMMAND);
	CHECK(when_minutes_pass(15) == 0);
	look.list[0].start_time = 900;
	CHECK(when_minutes_pass(40) == 16);
}

TEST("time in which nobody looked is no idle time")
{
	given_a_gateway();
	given_an_orphan(100, ORPHAN_OWN_COMMAND);
	CHECK(when_minutes_pass(10) == 0);
	look.at_ms += 8 * 60 * MINUTE_MS;
	CHECK(when_minutes_pass(15) == 0);
	CHECK(when_minutes_pass(15) == 1);
}

TEST("more orphans are told at once the first time, then at most every ten minutes")
{
	int told = 0;

	given_a_gateway();
	given_an_orphan(100, ORPHAN_BACKGROUND);
	when_a_minute_passes();
	CHECK(verdict.tell);
	for (int i = 1; i <= 20; i++) {
		given_an_orphan(100 + i, ORPHAN_BACKGROUND);
		when_a_minute_passes();
		CHECK(!verdict.tell || i % 10 == 0);
		told += verdict.tell;
	}
	CHECK(told == 2);
	for (int i = 0; i < 60; i++) {
		when_a_minute_passes();
		CHECK(!verdict.tell);
	}
}

TEST("the same orphans are told again when they hold 64 MB and half as much more, and not for less")
{
	given_a_gateway();
	given_an_orphan(100, ORPHAN_BACKGROUND);
	look.found_bytes = 200 * MB;
	when_a_minute_passes();
	CHECK(verdict.tell);
	CHECK(when_minutes_pass(15) == 0);
	look.found_bytes = 290 * MB;
	when_a_minute_passes();
	CHECK(!verdict.tell);
	look.found_bytes = 301 * MB;
	when_a_minute_passes();
	CHECK(verdict.tell);
}

TEST("one that comes after another has ended is told")
{
	given_a_gateway();
	given_an_orphan(100, ORPHAN_BACKGROUND);
	when_a_minute_passes();
	look.found = look.count = 0;
	CHECK(when_minutes_pass(15) == 0);
	CHECK(!verdict.tell);
	given_an_orphan(200, ORPHAN_BACKGROUND);
	when_a_minute_passes();
	CHECK(verdict.tell);
}

TEST("a list that says it is longer than it can be, a look of the past, and a new gateway do no harm")
{
	given_a_gateway();
	given_an_orphan(100, ORPHAN_OWN_COMMAND);
	look.count = UINT32_MAX;
	when_a_minute_passes();
	CHECK(orphans.count == ORPHANS_MAX);
	look.at_ms -= MINUTE_MS;
	orphans_step(&orphans, &look, true, &verdict);
	CHECK(verdict.count == 0 && !verdict.tell);
	look.count = 1;
	look.generation++;
	orphans_step(&orphans, &look, true, &verdict);
	CHECK(orphans.count == 1 && orphans.generation == look.generation);
}

/* ---- kinds
 * ----------------------------------------------------------------------------------------------------- */

#define LINE(text)       text, sizeof(text) /* with the NUL that ends the last word */
#define GATEWAY_TITLE    LINE("openclaw-gateway\0\0\0\0\0")
#define GATEWAY_AS_BEGUN LINE("node\0/opt/openclaw/openclaw.mjs\0gateway\0run")

static enum orphan_kind openclaw_kind(const char *process, size_t length)
{
	return orphan_kind_of(gateway_facts(GATEWAY_OPENCLAW), true, GATEWAY_TITLE, process, length);
}

TEST("OpenClaw's own commands are known by their title, and by their script before they have one")
{
	CHECK(openclaw_kind(LINE("openclaw-message\0\0\0\0\0\0")) == ORPHAN_OWN_COMMAND);
	CHECK(openclaw_kind(LINE("openclaw")) == ORPHAN_OWN_COMMAND);
	CHECK(openclaw_kind(LINE("node\0/usr/bin/openclaw\0message\0send")) == ORPHAN_OWN_COMMAND);
	CHECK(openclaw_kind(LINE("/usr/bin/node\0--no-warnings\0/x/openclaw.mjs\0agent")) ==
	      ORPHAN_OWN_COMMAND);
}

TEST("OpenClaw's helpers are helpers, and so is whatever looks as the gateway itself does")
{
	CHECK(openclaw_kind(LINE("node\0/x/dist/process/spawn-broker/worker.js")) == ORPHAN_HELPER);
	CHECK(openclaw_kind(
	          LINE("node\0/x/dist/infra/sqlite-readonly-location.worker.js\0--openclaw-sqlite")) ==
	      ORPHAN_HELPER);
	CHECK(openclaw_kind(LINE("openclaw-gateway")) == ORPHAN_HELPER);
}

TEST("all the rest is an agent's work: another program, another script, and the name in the wrong place")
{
	CHECK(openclaw_kind(LINE("node\0server.js")) == ORPHAN_BACKGROUND);
	CHECK(openclaw_kind(LINE("node\0build.js\0openclaw")) == ORPHAN_BACKGROUND);
	CHECK(openclaw_kind(LINE("node\0/home/a/openclaw/bot.js")) == ORPHAN_BACKGROUND);
	CHECK(openclaw_kind(LINE("node\0openclaw.config.js")) == ORPHAN_BACKGROUND);
	CHECK(openclaw_kind(LINE("node\0-e\0require('openclaw')")) == ORPHAN_BACKGROUND);
	CHECK(openclaw_kind(LINE("openclawed")) == ORPHAN_BACKGROUND);
	CHECK(openclaw_kind("", 0) == ORPHAN_BACKGROUND);
	CHECK(orphan_kind_of(gateway_facts(GATEWAY_OPENCLAW), false, GATEWAY_TITLE,
	          LINE("openclaw-message")) == ORPHAN_BACKGROUND);
}

TEST("a generic gateway's own commands run its script; its forks are helpers")
{
	const struct gateway_facts *facts = gateway_facts(GATEWAY_GENERIC);

	CHECK(orphan_kind_of(facts, true, LINE("sh\0./gateway"), LINE("sh\0./gateway\0once")) ==
	      ORPHAN_OWN_COMMAND);
	CHECK(orphan_kind_of(facts, true, LINE("sh\0./gateway"), LINE("sh\0./gateway")) == ORPHAN_HELPER);
	CHECK(orphan_kind_of(facts, true, LINE("sh\0./gateway"), LINE("sh\0-c\0./gateway")) ==
	      ORPHAN_BACKGROUND);
	CHECK(
	    orphan_kind_of(facts, true, LINE("sh\0-c\0loop"), LINE("sh\0-c\0sleep 9")) == ORPHAN_BACKGROUND);
	CHECK(orphan_kind_of(facts, false, LINE("sh\0./gateway"), LINE("sleep\0./gateway")) ==
	      ORPHAN_BACKGROUND);
}
