/* A gateway that hangs: examined before it is ended, let be when it was well after all; continued when it was
 * stopped; and what it died of. */
#include "tests/unit/supervision_stories.h"

static void when_condemned(bool may_open)
{
	step((struct supervision_event){
	    .type = ON_CONDEMNED, .reason = REASON_HUNG, .value = 42, .may_open = may_open});
}

static void given_an_examination(bool may_open)
{
	given_a_running_gateway();
	when(ON_SUSPECTED);
	when_condemned(may_open);
	CHECK(machine.state == STATE_EXAMINING && does(DO_EXAMINE) && !does(DO_TERMINATE));
	now_ms += 1000;
}

/* The supervisor was killed, and the next life has just adopted the gateway that had been ready. */
static void given_an_adopted_gateway(void)
{
	given_a_running_gateway();
	now_ms += 600000;
	when_the_next_life_begins(100);
	when(ON_ADOPTED);
	CHECK(machine.state == STATE_STARTING && machine.ready);
}

static void when_paused(int64_t for_ms)
{
	step((struct supervision_event){.type = ON_PAUSE, .value = now_ms + for_ms});
}

static const struct supervision_action *done(enum supervision_action_type type)
{
	static const struct supervision_action nothing;

	for (uint32_t i = 0; i < actions.count; i++)
		if (actions.list[i].type == type)
			return &actions.list[i];
	return &nothing;
}

TEST("hung: condemned on record and saved, examined, then asked to end")
{
	given_a_running_gateway();

	when_condemned(true);
	CHECK(machine.state == STATE_EXAMINING && machine.deadline_ms == now_ms + EXAMINE_MAX_MS);
	CHECK(recorded(RECORD_CONDEMNED)->value == 42 && recorded(RECORD_CONDEMNED)->incident == 7);
	CHECK(actions.list[actions.count - 1].type == DO_EXAMINE);
	CHECK(actions.list[actions.count - 2].type == DO_SAVE);
	CHECK(done(DO_EXAMINE)->value == 1 && done(DO_EXAMINE)->reason == REASON_HUNG);

	now_ms += 700;
	when(ON_EXAMINED);
	CHECK(machine.state == STATE_DRAINING && does(DO_TERMINATE));
	CHECK(records(RECORD_STOPPING, REASON_HUNG) && machine.deadline_ms == now_ms + 2000);
	CHECK(machine.evidence == 42);
}

TEST("whoever examines it never answers: it is ended when the time for that is over")
{
	given_an_examination(true);
	when_time_comes();
	CHECK(machine.state == STATE_DRAINING && does(DO_TERMINATE));
}

TEST("examined with no grace: killed in the same step, without SIGTERM")
{
	given_an_examination(false);
	settings.hang_grace_ms = 0;
	when(ON_EXAMINED);
	CHECK(does(DO_KILL_TREE) && !does(DO_TERMINATE) && records(RECORD_KILLED, REASON_HUNG));
}

TEST("it answers while it is examined, and was not opened: it goes on, and the incident ends")
{
	given_an_examination(false);

	when(ON_CLEARED);

	CHECK(machine.state == STATE_RUNNING && machine.deadline_ms == 0 && machine.incident == 0);
	CHECK(recorded(RECORD_CLEARED)->incident == 7 && machine.restarts == 0);
	when(ON_EXAMINED);
	CHECK(machine.state == STATE_RUNNING && actions.count == 0);
	when_it_ends(EXIT_SIGNAL, 11);
	CHECK(machine.history.attempts[RESTART_CRASH] == 1 && machine.history.attempts[RESTART_HANG] == 0);
}

TEST("it answers while it is examined, and was opened: it is replaced all the same")
{
	given_an_examination(true);
	when(ON_CLEARED);
	CHECK(machine.state == STATE_EXAMINING && actions.count == 0);
	step((struct supervision_event){.type = ON_DRAIN_BEGAN, .value = 60000});
	CHECK(machine.state == STATE_EXAMINING && actions.count == 0);
	when(ON_EXAMINED);
	CHECK(does(DO_TERMINATE));
}

TEST("it drains by itself while it is examined, and was not opened: its loop turns")
{
	given_an_examination(false);
	step((struct supervision_event){.type = ON_DRAIN_BEGAN, .value = 60000});
	CHECK(machine.state == STATE_DRAINING && machine.own_drain && machine.incident == 0);
	CHECK(records(RECORD_CLEARED, REASON_NONE) && !does(DO_TERMINATE));
}

TEST("a pause while it is examined: what was opened is replaced, what was not is left alone")
{
	given_an_examination(true);
	step((struct supervision_event){.type = ON_PAUSE, .value = INT64_MAX});
	CHECK(machine.state == STATE_EXAMINING);
	when(ON_EXAMINED);
	CHECK(does(DO_TERMINATE));

	given_an_examination(false);
	step((struct supervision_event){.type = ON_PAUSE, .value = INT64_MAX});
	CHECK(machine.state == STATE_RUNNING && records(RECORD_LEFT_ALONE, REASON_PAUSED));
	CHECK(machine.incident == 0 && !does(DO_TERMINATE));
}

TEST("the host turns out to have slept: what was not opened is looked at anew")
{
	given_an_examination(false);
	step((struct supervision_event){.type = ON_HOST_RESUMED, .value = 3600000});
	CHECK(machine.state == STATE_RUNNING && records(RECORD_LEFT_ALONE, REASON_HOST_SLEPT));

	when_condemned(false);
	CHECK(machine.state == STATE_RUNNING && actions.count == 0);
	now_ms += 60000;
	when_condemned(false);
	CHECK(machine.state == STATE_EXAMINING);
}

TEST("a stop while it is examined: asked to end at once, with the grace of what hangs")
{
	given_an_examination(true);
	when(ON_STOP);
	CHECK(machine.state == STATE_DRAINING && does(DO_TERMINATE));
	CHECK(machine.deadline_ms == now_ms + 2000);
	when_it_ends(EXIT_SIGNAL, 15);
	CHECK(machine.state == STATE_STOPPED && records(RECORD_STOPPED, REASON_OPERATOR));
}

TEST("it dies while it is examined: of the examination when it was opened, else of itself")
{
	given_an_examination(true);
	step((struct supervision_event){.type = ON_EXITED, .exit = {EXIT_SIGNAL, 10}});
	CHECK(!does(DO_ASK_WORDS));
	when(ON_TREE_GONE);
	CHECK(does(DO_SPAWN) && machine.history.attempts[RESTART_HANG] == 1);

	given_an_examination(false);
	step((struct supervision_event){.type = ON_EXITED, .exit = {EXIT_CODE, 134}});
	CHECK(does(DO_ASK_WORDS));
	when(ON_TREE_GONE);
	step((struct supervision_event){.type = ON_WORDS, .verdict = VERDICT_OUT_OF_MEMORY});
	CHECK(does(DO_SPAWN) && machine.history.attempts[RESTART_MEMORY] == 1);
}

TEST("the supervisor dies while it is examined: the next life replaces what was opened")
{
	given_an_examination(true);
	when_the_next_life_begins(100);
	when(ON_ADOPTED);
	CHECK(machine.state == STATE_DRAINING && does(DO_TERMINATE));
	CHECK(recorded(RECORD_CONDEMNED)->value == 42 && records(RECORD_CONDEMNED, REASON_HUNG));
	when_it_ends(EXIT_UNKNOWN, 0);
	CHECK(does(DO_SPAWN) && machine.history.attempts[RESTART_HANG] == 1 && machine.incident == 7);
}

TEST("the supervisor dies while it is examined: the next life judges anew what was not opened")
{
	given_an_examination(false);
	when_the_next_life_begins(100);
	when(ON_ADOPTED);
	CHECK(machine.state == STATE_STARTING && !does(DO_TERMINATE) && machine.evidence == 0);

	when_condemned(false);
	CHECK(machine.state == STATE_EXAMINING && machine.incident == 7);
	when(ON_CLEARED);
	CHECK(machine.state == STATE_RUNNING && machine.incident == 0);
}

TEST("a start that has not been ready is not condemned as hung")
{
	given_a_supervisor();
	step((struct supervision_event){.type = ON_START, .reason = REASON_FIRST_START});
	when(ON_SPAWNED);
	when_condemned(true);
	CHECK(machine.state == STATE_STARTING && actions.count == 0);
}

TEST("hung, and the settings forbid to replace it: told once in a suspicion")
{
	given_a_running_gateway();
	settings.restart_on[RESTART_HANG] = false;
	when(ON_SUSPECTED);

	when_condemned(true);
	CHECK(machine.state == STATE_SUSPECT && records(RECORD_LEFT_ALONE, REASON_HUNG));
	when_condemned(true);
	CHECK(machine.state == STATE_SUSPECT && actions.count == 0);

	when(ON_CLEARED);
	when(ON_SUSPECTED);
	when_condemned(true);
	CHECK(records(RECORD_LEFT_ALONE, REASON_HUNG));
}

TEST("suspected still: the suspicion does not lapse while it is said again")
{
	given_a_running_gateway();
	when(ON_SUSPECTED);
	now_ms += 500000;
	when(ON_SUSPECTED);
	CHECK(actions.count == 0 && machine.deadline_ms == now_ms + 600000);
}

TEST("it is stopped: told to continue, on record; not in a pause, and not an earlier one")
{
	given_a_running_gateway();
	when(ON_SUSPECTED);
	when(ON_WAKE);
	CHECK(does(DO_CONTINUE) && records(RECORD_CONTINUED, REASON_NONE));
	CHECK(machine.state == STATE_SUSPECT);

	step((struct supervision_event){.type = ON_WAKE, .generation = 99});
	CHECK(actions.count == 0);
	step((struct supervision_event){.type = ON_PAUSE, .value = INT64_MAX});
	when(ON_WAKE);
	CHECK(actions.count == 0);
}

TEST("adopted and stopped: told to continue before this life has seen it ready; a fresh start is not")
{
	given_an_adopted_gateway();
	when(ON_WAKE);
	CHECK(does(DO_CONTINUE) && records(RECORD_CONTINUED, REASON_NONE));
	CHECK(machine.state == STATE_STARTING);

	given_a_supervisor();
	step((struct supervision_event){.type = ON_START, .reason = REASON_FIRST_START});
	when(ON_SPAWNED);
	when(ON_WAKE);
	CHECK(machine.state == STATE_STARTING && actions.count == 0);
}

TEST("adopted and deaf: replaced, though this life has not seen it ready; short of memory it is not yet")
{
	given_an_adopted_gateway();
	step((struct supervision_event){.type = ON_CONDEMNED, .reason = REASON_MEMORY, .value = 900});
	CHECK(machine.state == STATE_STARTING && actions.count == 0);

	step((struct supervision_event){.type = ON_CONDEMNED, .reason = REASON_DEAF, .value = 300000});
	CHECK(records(RECORD_CONDEMNED, REASON_DEAF) && does(DO_TERMINATE));
	CHECK(machine.state == STATE_DRAINING && machine.deadline_ms == now_ms + 60000);
}

TEST("paused: a suspicion begins all the same, lasts as long as it hangs, and is acted upon afterwards")
{
	given_a_running_gateway();
	when_paused(3600000);
	step((struct supervision_event){.type = ON_SUSPECTED, .reason = REASON_HUNG});
	CHECK(machine.state == STATE_SUSPECT && records(RECORD_SUSPECTED, REASON_HUNG));

	for (int i = 0; i < 3; i++) {
		now_ms += 599000;
		when_condemned(true);
		CHECK(machine.state == STATE_SUSPECT && actions.count == 0);
		CHECK(machine.deadline_ms == now_ms + 600000 && machine.incident == 0);
	}
	now_ms += 300000;
	step((struct supervision_event){.type = ON_SUSPECTED, .reason = REASON_HUNG});
	CHECK(machine.state == STATE_SUSPECT && machine.deadline_ms == now_ms + 600000);

	when(ON_RESUME);
	when_condemned(true);
	CHECK(machine.state == STATE_EXAMINING && records(RECORD_CONDEMNED, REASON_HUNG));
}

TEST("paused, and suspected: well after all when it answers, or when nothing more is said for 10 min")
{
	given_a_running_gateway();
	when_paused(3600000);
	when(ON_SUSPECTED);
	when(ON_CLEARED);
	CHECK(machine.state == STATE_RUNNING && records(RECORD_CLEARED, REASON_NONE));

	when(ON_SUSPECTED);
	now_ms += 1000;
	step((struct supervision_event){.type = ON_CONDEMNED, .reason = REASON_HUNG}); /* on no evidence */
	CHECK(machine.deadline_ms == now_ms + 599000);
	when_time_comes();
	CHECK(machine.state == STATE_RUNNING && records(RECORD_CLEARED, REASON_NONE));
}

TEST("its start was proved: known over lives until another is started, or it restarts itself")
{
	given_a_supervisor();
	step((struct supervision_event){.type = ON_START, .reason = REASON_FIRST_START});
	when(ON_SPAWNED);
	CHECK(!machine.proved);
	step((struct supervision_event){.type = ON_READY, .proved = true});
	CHECK(machine.proved && does(DO_SAVE));

	when_the_next_life_begins(100);
	when(ON_ADOPTED);
	CHECK(machine.state == STATE_STARTING && machine.proved);
	step((struct supervision_event){.type = ON_READY, .proved = true});
	step((struct supervision_event){.type = ON_DRAIN_BEGAN, .value = 60000});
	CHECK(machine.proved);
	when(ON_READY);
	CHECK(records(RECORD_RESTARTED_ITSELF, REASON_RESTARTED_ITSELF) && !machine.proved);

	step((struct supervision_event){.type = ON_DRAIN_BEGAN, .value = 60000});
	step((struct supervision_event){.type = ON_READY, .proved = true});
	CHECK(machine.proved);
	when_it_ends(EXIT_SIGNAL, 11);
	CHECK(does(DO_SPAWN) && !machine.proved);
}

TEST("its start could not be proved: it is not called proved for being adopted, nor for an old word")
{
	given_a_running_gateway();
	step((struct supervision_event){.type = ON_READY, .proved = true});
	CHECK(machine.state == STATE_RUNNING && !machine.proved);

	when_the_next_life_begins(100);
	when(ON_ADOPTED);
	step((struct supervision_event){.type = ON_READY, .generation = 99, .proved = true});
	CHECK(machine.state == STATE_STARTING && machine.ready && !machine.proved);
}

TEST("recovered from a hang: the trouble began when it last proved to be well, and not before it was ready")
{
	static const enum supervision_reason reasons[] = {REASON_HUNG, REASON_DEAF};

	for (int i = 0; i < 2; i++) {
		given_a_running_gateway();
		now_ms += 600000;
		step((struct supervision_event){.type = ON_CONDEMNED, .reason = reasons[i], .value = 43000});
		CHECK(machine.incident == 7 && machine.incident_since_ms == now_ms - 43000);
		if (machine.state == STATE_EXAMINING)
			when(ON_EXAMINED);
		when_it_ends(EXIT_SIGNAL, 15);
		when(ON_SPAWNED);
		now_ms += 10000;
		when(ON_READY);
		CHECK(recorded(RECORD_RECOVERED)->value == 53000);
	}

	given_a_running_gateway();
	now_ms += 5000;
	step((struct supervision_event){.type = ON_CONDEMNED, .reason = REASON_HUNG, .value = INT64_MAX});
	CHECK(machine.incident_since_ms == machine.ready_ms && machine.ready_ms == now_ms - 5000);
}

TEST("other incidents begin when they are found out: evidence of bytes is no time, nor an open one anew")
{
	given_a_running_gateway();
	now_ms += 600000;
	step((struct supervision_event){.type = ON_CONDEMNED, .reason = REASON_MEMORY, .value = 500000});
	CHECK(machine.incident_since_ms == now_ms);

	given_an_examination(false);
	when_the_next_life_begins(100);
	when(ON_ADOPTED);
	CHECK(machine.incident == 7);
	now_ms += 60000;
	step((struct supervision_event){.type = ON_CONDEMNED, .reason = REASON_HUNG, .value = 1000});
	CHECK(machine.incident == 7 && machine.incident_since_ms < now_ms - 60000);
}

TEST("killed by the kernel for want of memory: named, with a history of its own, and restarted like a crash")
{
	given_a_running_gateway();
	settings.restart_on[RESTART_MEMORY] = false; /* to end one that lives */

	step((struct supervision_event){.type = ON_EXITED, .exit = {EXIT_SIGNAL, 9}});
	CHECK(does(DO_ASK_WORDS));
	when(ON_TREE_GONE);
	CHECK(machine.deadline_ms == now_ms + 250);
	step((struct supervision_event){.type = ON_WORDS, .verdict = VERDICT_OOM_KILLED});

	CHECK(records(RECORD_OUT_OF_MEMORY, REASON_OOM_KILLED) && does(DO_SPAWN));
	CHECK(machine.history.attempts[RESTART_MEMORY] == 1 && machine.history.attempts[RESTART_CRASH] == 0);
	when(ON_SPAWNED);
	CHECK(records(RECORD_STARTED, REASON_OOM_KILLED));
}

TEST("killed, and nobody says by whom: a crash, after a quarter of a second")
{
	given_a_running_gateway();
	step((struct supervision_event){.type = ON_EXITED, .exit = {EXIT_SIGNAL, 9}});
	when(ON_TREE_GONE);
	when_time_comes();
	CHECK(does(DO_SPAWN) && machine.history.attempts[RESTART_CRASH] == 1);
}

TEST("an adopted one ends, and the kernel told its status to nobody: the kernel's log may know")
{
	given_a_running_gateway();
	when_the_next_life_begins(100);
	when(ON_ADOPTED);
	when(ON_READY);

	step((struct supervision_event){.type = ON_EXITED, .exit = {EXIT_UNKNOWN, 0}});
	CHECK(does(DO_ASK_WORDS));
	when(ON_TREE_GONE);
	step((struct supervision_event){.type = ON_WORDS, .verdict = VERDICT_OOM_KILLED});
	CHECK(records(RECORD_OUT_OF_MEMORY, REASON_OOM_KILLED) && does(DO_SPAWN));
}

TEST("where its words decide nothing, the next start does not wait for them, and it is named all the same")
{
	given_a_running_gateway();
	settings.reads_words = false;

	step((struct supervision_event){.type = ON_EXITED, .exit = {EXIT_SIGNAL, 9}});
	CHECK(does(DO_ASK_WORDS));
	when(ON_TREE_GONE);
	CHECK(does(DO_SPAWN));
	when(ON_SPAWNED);

	step((struct supervision_event){.type = ON_WORDS, .generation = 1, .verdict = VERDICT_OOM_KILLED});
	CHECK(records(RECORD_OUT_OF_MEMORY, REASON_OOM_KILLED) && machine.state == STATE_STARTING);
	step((struct supervision_event){.type = ON_WORDS, .generation = 1, .verdict = VERDICT_OOM_KILLED});
	CHECK(actions.count == 0);
}
