/* A gateway that refuses its configuration and runs from the copy kept when it was last well, until the file
 * is valid again. */
#include "tests/unit/supervision_stories.h"

static int64_t value_of(enum supervision_action_type type)
{
	for (uint32_t i = 0; i < actions.count; i++)
		if (actions.list[i].type == type)
			return actions.list[i].value;
	return -1;
}

static void when_refused(bool copy_exists)
{
	step((struct supervision_event){.type = ON_EXITED, .exit = {EXIT_CODE, 78}});
	when(ON_TREE_GONE);
	step((struct supervision_event){
	    .type = ON_WORDS, .verdict = VERDICT_CONFIG_INVALID, .fallback = copy_exists});
}

static void when_validated(bool is_valid)
{
	step((struct supervision_event){.type = ON_VALIDATED, .value = is_valid});
}

static void given_a_gateway_that_runs_from_the_copy(void)
{
	given_a_running_gateway();
	settings.config_fallback = true;
	when_refused(true);
	CHECK(does(DO_SPAWN) && value_of(DO_SPAWN) == 1);
	when(ON_SPAWNED);
	now_ms += 10000;
	when(ON_READY);
	now_ms += 60000;
}

TEST("the configuration is refused and a copy exists: started from the copy at once, on record")
{
	given_a_running_gateway();
	settings.config_fallback = true;

	when_refused(true);

	CHECK(records(RECORD_FALLBACK, REASON_CONFIG_INVALID) && value_of(DO_SPAWN) == 1);
	CHECK(value_of(DO_WATCH_CONFIG) == 1 && machine.state == STATE_STARTING);
}

TEST("not set, or there is no copy: parked as ever")
{
	given_a_running_gateway();
	when_refused(true);
	CHECK(machine.state == STATE_PARKED);

	given_a_running_gateway();
	settings.config_fallback = true;
	when_refused(false);
	CHECK(machine.state == STATE_PARKED && !machine.fallback);
}

TEST("the copy is refused too: parked, and the file has its chance again")
{
	given_a_gateway_that_runs_from_the_copy();
	when_refused(true);
	CHECK(machine.state == STATE_PARKED && records(RECORD_PARKED, REASON_CONFIG_INVALID));

	when(ON_CONFIG_CHANGED);
	CHECK(does(DO_SPAWN) && value_of(DO_SPAWN) == 0);
}

TEST("it crashes while it runs from the copy: started from the copy again")
{
	given_a_gateway_that_runs_from_the_copy();
	when_it_ends(EXIT_SIGNAL, 11);
	CHECK(does(DO_SPAWN) && value_of(DO_SPAWN) == 1);
}

TEST("the file changes: validated, and only a valid one leads to a drain-first restart without back-off")
{
	given_a_gateway_that_runs_from_the_copy();

	when(ON_CONFIG_CHANGED);
	CHECK(does(DO_VALIDATE) && machine.state == STATE_RUNNING);
	when_validated(false);
	CHECK(machine.state == STATE_RUNNING && actions.count == 0);

	when(ON_CONFIG_CHANGED);
	when_validated(true);
	CHECK(records(RECORD_RESTORED, REASON_CONFIG_MENDED) && value_of(DO_WATCH_CONFIG) == 0);
	CHECK(does(DO_TERMINATE) && machine.deadline_ms == now_ms + 330000);
	when_it_ends(EXIT_CODE, 0);
	CHECK(does(DO_SPAWN) && value_of(DO_SPAWN) == 0);
	CHECK(machine.history.attempts[RESTART_CRASH] == 0);
}

TEST("the file changes while it waits for its next start: that one is from the file")
{
	given_a_gateway_that_runs_from_the_copy();
	settings.policy.immediate_first = false;
	when_it_ends(EXIT_SIGNAL, 11);
	CHECK(machine.state == STATE_BACKING_OFF);
	when(ON_CONFIG_CHANGED);
	when_validated(true);
	CHECK(machine.state == STATE_BACKING_OFF && records(RECORD_RESTORED, REASON_CONFIG_MENDED));
	when_time_comes();
	CHECK(value_of(DO_SPAWN) == 0);
}

TEST("valid again in a pause: nothing is replaced, and the end of the pause asks again")
{
	given_a_gateway_that_runs_from_the_copy();
	step((struct supervision_event){.type = ON_PAUSE, .value = INT64_MAX});
	when_validated(true);
	CHECK(machine.state == STATE_RUNNING && machine.fallback);
	when(ON_RESUME);
	CHECK(does(DO_VALIDATE));
	when_validated(true);
	CHECK(does(DO_TERMINATE));
}

TEST("without a fallback nobody asks and nothing is heeded")
{
	given_a_running_gateway();
	when(ON_CONFIG_CHANGED);
	CHECK(actions.count == 0);
	when_validated(true);
	CHECK(machine.state == STATE_RUNNING && actions.count == 0);
}

TEST("the supervisor dies: the next life watches the file, and asks whether it was mended meanwhile")
{
	given_a_gateway_that_runs_from_the_copy();

	when_the_next_life_begins(5000);
	CHECK(value_of(DO_WATCH_CONFIG) == 1 && machine.fallback);
	when(ON_ADOPTED);
	CHECK(does(DO_VALIDATE) && !does(DO_TERMINATE));
	when_validated(true);
	CHECK(does(DO_TERMINATE) && !machine.fallback);
}
