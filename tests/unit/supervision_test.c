/* Lives of a gateway as stories: what happens to it, and what the supervisor does. The simulator has the
 * rest. */
#include "tests/unit/supervision_stories.h"

TEST("the first start: spawned, then probed, then running")
{
	given_a_supervisor();

	step((struct supervision_event){.type = ON_START, .reason = REASON_FIRST_START});
	CHECK(does(DO_SPAWN));
	CHECK(machine.state == STATE_STARTING && machine.generation == 1);

	when(ON_SPAWNED);
	CHECK(does(DO_PROBE_START));
	CHECK(records(RECORD_STARTED, REASON_FIRST_START));

	now_ms += 8000;
	when(ON_READY);
	CHECK(machine.state == STATE_RUNNING && machine.deadline_ms == 0);
	CHECK(recorded(RECORD_READY)->value == 8000);
	CHECK(!records(RECORD_RECOVERED, REASON_NONE));
}

TEST("it crashes again and again: back at once, then after 1 s, then after 2 s, in one incident until it is "
     "ready")
{
	given_a_running_gateway();
	now_ms += 60000;

	when_it_ends(EXIT_SIGNAL, 9);
	CHECK(does(DO_SPAWN));
	CHECK(machine.incident == 7);

	when(ON_SPAWNED);
	when_it_ends(EXIT_SIGNAL, 11);
	CHECK(machine.state == STATE_BACKING_OFF && machine.deadline_ms == now_ms + 1000);
	CHECK(records(RECORD_WAITING, REASON_EXIT_SIGNAL));
	when_time_comes();
	CHECK(does(DO_SPAWN));

	when(ON_SPAWNED);
	when_it_ends(EXIT_SIGNAL, 11);
	CHECK(machine.deadline_ms == now_ms + 2000);
	when_time_comes();
	when(ON_SPAWNED);
	CHECK(machine.generation == 4 && machine.incident == 7);

	now_ms += 5000;
	when(ON_READY);
	CHECK(recorded(RECORD_RECOVERED)->incident == 7);
	CHECK(recorded(RECORD_RECOVERED)->value == 8000);
	CHECK(machine.incident == 0 && machine.next_incident == 8);
}

TEST("an exit 0 that nobody asked for, after a healthy run, is restarted at once and is no incident")
{
	given_a_running_gateway();
	now_ms += 10000;

	when_it_ends(EXIT_CODE, 0);

	CHECK(does(DO_SPAWN));
	CHECK(machine.incident == 0 && machine.down_reason == REASON_CLEAN_EXIT);
}

TEST("the configuration is refused: parked with the reason, and running again when the file has changed")
{
	given_a_running_gateway();

	step((struct supervision_event){.type = ON_EXITED, .exit = {EXIT_CODE, 1}});
	CHECK(does(DO_ASK_WORDS));
	when(ON_TREE_GONE);
	CHECK(machine.state == STATE_KILLING);
	step((struct supervision_event){.type = ON_WORDS, .verdict = VERDICT_CONFIG_INVALID});
	CHECK(machine.state == STATE_PARKED && machine.deadline_ms == now_ms + 40 * 60000);
	CHECK(records(RECORD_PARKED, REASON_CONFIG_INVALID));
	CHECK(does(DO_WATCH_CONFIG));

	now_ms += 300000;
	when(ON_CONFIG_CHANGED);
	CHECK(does(DO_SPAWN));
	CHECK(records(RECORD_UNPARKED, REASON_CONFIG_INVALID));
}

TEST("parked, and the file never changes: tried again after 40 minutes")
{
	given_a_running_gateway();
	step((struct supervision_event){.type = ON_EXITED, .exit = {EXIT_CODE, 78}});
	when(ON_TREE_GONE);
	when_time_comes(); /* the words do not come: the exit code decides */
	CHECK(machine.state == STATE_PARKED && machine.reason == REASON_CONFIG_INVALID);

	when_time_comes();

	CHECK(does(DO_SPAWN));
}

TEST("exit code 78 with words of contention: it backs off and is not parked")
{
	given_a_running_gateway();
	step((struct supervision_event){.type = ON_EXITED, .exit = {EXIT_CODE, 78}});
	when(ON_TREE_GONE);
	step((struct supervision_event){.type = ON_WORDS, .verdict = VERDICT_CONTENTION});
	when(ON_SPAWNED);
	step((struct supervision_event){.type = ON_EXITED, .exit = {EXIT_CODE, 78}});
	when(ON_TREE_GONE);
	step((struct supervision_event){.type = ON_WORDS, .verdict = VERDICT_CONTENTION});

	CHECK(machine.state == STATE_BACKING_OFF && machine.reason == REASON_CONTENTION);
}

TEST("the boot budget: the fourth start waits for the window; a person who insists gets it at once")
{
	given_a_supervisor();
	settings.policy.initial_ms = 0;
	settings.policy.boot_limit = 3;
	settings.policy.boot_window_ms = 300000;
	step((struct supervision_event){.type = ON_START, .reason = REASON_FIRST_START});
	for (int i = 0; i < 3; i++) {
		when(ON_SPAWNED);
		now_ms += 10000;
		when_it_ends(EXIT_SIGNAL, 9);
	}

	CHECK(machine.state == STATE_BACKING_OFF && machine.reason == REASON_BOOT_BUDGET);
	/* By then, when the first of them had ended, the gateway had noted it. */
	CHECK(machine.reason_value == 3 && machine.deadline_ms == BEGINNING_MS + 10000 + 300000);

	when(ON_START);
	CHECK(machine.state == STATE_BACKING_OFF);
	step((struct supervision_event){.type = ON_RESTART, .force = true, .inside = true});
	CHECK(does(DO_REFUSE) && machine.state == STATE_BACKING_OFF);
	step((struct supervision_event){.type = ON_START, .force = true});
	CHECK(does(DO_SPAWN));
}

TEST("the stop ladder: TERM, the time it is given, KILL of the whole tree, stopped")
{
	given_a_running_gateway();

	when(ON_STOP);
	CHECK(does(DO_TERMINATE) && !does(DO_KILL_TREE));
	CHECK(machine.state == STATE_DRAINING && machine.deadline_ms == now_ms + 330000);

	when_time_comes();
	CHECK(does(DO_KILL_TREE));
	CHECK(records(RECORD_KILLED, REASON_STOP_TIMEOUT));
	step((struct supervision_event){.type = ON_TREE_LEFT, .value = 2});
	CHECK(machine.state == STATE_KILLING && machine.deadline_ms == now_ms + 1000);

	step((struct supervision_event){.type = ON_EXITED, .exit = {EXIT_SIGNAL, 9}});
	when(ON_TREE_GONE);
	CHECK(machine.state == STATE_STOPPED && machine.incident == 0);
	CHECK(records(RECORD_STOPPED, REASON_OPERATOR));
}

static void given_a_helper_that_cannot_be_killed(bool holds)
{
	given_a_running_gateway();
	step((struct supervision_event){.type = ON_EXITED, .exit = {EXIT_SIGNAL, 9}});
	for (int i = 0; i < 30; i++) {
		step((struct supervision_event){.type = ON_TREE_LEFT, .value = 1, .holds = holds});
		CHECK(machine.state == STATE_KILLING);
		when_time_comes();
	}
	step((struct supervision_event){.type = ON_TREE_LEFT, .value = 1, .holds = holds});
}

TEST("a helper that cannot be killed and holds nothing stops counting after 30 s, and is told of")
{
	given_a_helper_that_cannot_be_killed(false);

	CHECK(records(RECORD_TREE_LEFT, REASON_UNKILLABLE));
	CHECK(does(DO_SPAWN));
}

TEST("a helper that cannot be killed and holds the port is waited for, and is told of once")
{
	given_a_helper_that_cannot_be_killed(true);

	CHECK(records(RECORD_TREE_LEFT, REASON_UNKILLABLE_HOLDS));
	CHECK(!does(DO_SPAWN) && machine.state == STATE_KILLING);
	when_time_comes();
	step((struct supervision_event){.type = ON_TREE_LEFT, .value = 1, .holds = true});
	CHECK(!records(RECORD_TREE_LEFT, REASON_UNKILLABLE_HOLDS));
}

TEST("it drains and restarts by itself in the same process: nothing is ended, the new boot counts")
{
	given_a_running_gateway();

	step((struct supervision_event){.type = ON_DRAIN_BEGAN, .value = 315000});
	CHECK(machine.state == STATE_DRAINING && machine.deadline_ms == now_ms + 345000);
	CHECK(!does(DO_TERMINATE));
	now_ms += 9000;
	when(ON_READY);
	CHECK(machine.state == STATE_RUNNING);
	CHECK(records(RECORD_RESTARTED_ITSELF, REASON_RESTARTED_ITSELF));
	CHECK(machine.history.boot_count == 1 && machine.history.boots_ms[0] == now_ms);
}

TEST("its own drain overruns what it announced: one more look, then it is condemned and killed")
{
	given_a_running_gateway();
	step((struct supervision_event){.type = ON_DRAIN_BEGAN, .value = 60000});

	when_time_comes();
	CHECK(does(DO_PROBE_START) && !does(DO_KILL_TREE));
	when_time_comes();
	CHECK(records(RECORD_CONDEMNED, REASON_OWN_DRAIN_OVERDUE));
	CHECK(recorded(RECORD_CONDEMNED)->value == 120000);
	CHECK(does(DO_KILL_TREE) && !does(DO_TERMINATE));
}

TEST("with onHang off an overdue drain or a stalled start is left alone")
{
	given_a_running_gateway();
	settings.restart_on[RESTART_HANG] = false;
	step((struct supervision_event){.type = ON_DRAIN_BEGAN, .value = 60000});
	for (int i = 0; i < 10; i++) {
		when_time_comes();
		CHECK(machine.state == STATE_DRAINING && !does(DO_KILL_TREE));
	}
}

TEST("paused: a crash is not answered until the pause is over, and a verdict never")
{
	given_a_running_gateway();
	step((struct supervision_event){.type = ON_PAUSE, .value = now_ms + 600000});
	step((struct supervision_event){.type = ON_CONDEMNED, .reason = REASON_HUNG, .value = 1});
	CHECK(machine.state == STATE_RUNNING && actions.count == 0);

	when_it_ends(EXIT_SIGNAL, 9);
	CHECK(machine.state == STATE_BACKING_OFF && machine.reason == REASON_PAUSED);
	CHECK(machine.deadline_ms == now_ms + 600000);

	when_time_comes();
	CHECK(does(DO_SPAWN));
}

TEST("paused: a person's restart ends the pause; the gateway's own is refused")
{
	given_a_running_gateway();
	step((struct supervision_event){.type = ON_PAUSE, .value = INT64_MAX});

	step((struct supervision_event){.type = ON_RESTART, .inside = true});
	CHECK(does(DO_REFUSE) && actions.list[0].reason == REASON_PAUSED);
	CHECK(machine.state == STATE_RUNNING);

	when(ON_RESTART);
	CHECK(records(RECORD_RESUMED, REASON_OPERATOR));
	when_it_ends(EXIT_CODE, 0);
	CHECK(does(DO_SPAWN));
}

TEST("hung and not to be examined: TERM with a short grace, then KILL, on evidence only")
{
	given_a_running_gateway();
	settings.autopsy = false;

	step((struct supervision_event){.type = ON_CONDEMNED, .reason = REASON_HUNG});
	CHECK(machine.state == STATE_RUNNING && actions.count == 0);
	step((struct supervision_event){.type = ON_CONDEMNED, .reason = REASON_HUNG, .value = 42});
	CHECK(recorded(RECORD_CONDEMNED)->value == 42);
	CHECK(does(DO_TERMINATE) && machine.deadline_ms == now_ms + 2000);
	when_time_comes();
	CHECK(does(DO_KILL_TREE));
}

TEST("hung, not to be examined and with no grace: the whole tree is killed in the same step")
{
	given_a_running_gateway();
	settings.autopsy = false;
	settings.hang_grace_ms = 0;

	step((struct supervision_event){.type = ON_CONDEMNED, .reason = REASON_WATCHDOG, .value = 42});

	CHECK(does(DO_KILL_TREE) && !does(DO_TERMINATE));
	CHECK(records(RECORD_CONDEMNED, REASON_WATCHDOG) && records(RECORD_KILLED, REASON_WATCHDOG));
	step((struct supervision_event){.type = ON_EXITED, .exit = {EXIT_SIGNAL, 9}});
	when(ON_TREE_GONE);
	CHECK(does(DO_SPAWN) && machine.history.attempts[RESTART_HANG] == 1);
}

TEST("on its way to an OOM kill: 60 s to drain, and a history of its own")
{
	given_a_running_gateway();

	step((struct supervision_event){.type = ON_CONDEMNED, .reason = REASON_MEMORY, .value = 900});
	CHECK(does(DO_TERMINATE) && machine.deadline_ms == now_ms + 60000);
	when_it_ends(EXIT_CODE, 0);

	CHECK(does(DO_SPAWN) && machine.history.attempts[RESTART_MEMORY] == 1);
	CHECK(machine.history.attempts[RESTART_CRASH] == 0 && machine.history.attempts[RESTART_HANG] == 0);
}

TEST("the gateway may ask for three restarts an hour, and for none that a person's stop forbids")
{
	given_a_running_gateway();
	for (int i = 0; i < 3; i++) {
		step((struct supervision_event){.type = ON_RESTART, .inside = true});
		CHECK(does(DO_TERMINATE));
		when_it_ends(EXIT_CODE, 0);
		when(ON_SPAWNED);
		when(ON_READY);
	}
	step((struct supervision_event){.type = ON_RESTART, .inside = true});
	CHECK(does(DO_REFUSE) && actions.list[0].reason == REASON_RESTART_BUDGET);

	now_ms += 3600000;
	when(ON_STOP);
	step((struct supervision_event){.type = ON_RESTART, .inside = true});
	CHECK(does(DO_REFUSE) && actions.list[0].reason == REASON_OPERATOR);
	when_it_ends(EXIT_CODE, 0);
	CHECK(machine.state == STATE_STOPPED);
}

TEST("a start that fails is not repeated without a wait, even with no back-off set")
{
	given_a_supervisor();
	settings.policy.initial_ms = 0;

	step((struct supervision_event){.type = ON_START, .reason = REASON_FIRST_START});
	step((struct supervision_event){.type = ON_SPAWN_FAILED, .value = 2});

	CHECK(!does(DO_SPAWN));
	CHECK(machine.state == STATE_BACKING_OFF && machine.deadline_ms == now_ms + 1000);
}

TEST("the host slept while the gateway drained: the sleep is no part of the time it was given")
{
	given_a_running_gateway();
	when(ON_STOP);
	now_ms += 3630000;
	step((struct supervision_event){.type = ON_HOST_RESUMED, .value = 3600000});
	CHECK(machine.deadline_ms == now_ms + 300000);
	step((struct supervision_event){.type = ON_HOST_RESUMED, .value = 3600000});
	CHECK(machine.deadline_ms <= now_ms + 330000);
}

TEST("shutdown: the gateway first, then the supervisor")
{
	given_a_running_gateway();

	when(ON_SHUTDOWN);
	CHECK(does(DO_TERMINATE) && !does(DO_FINISH));
	when_it_ends(EXIT_CODE, 0);
	CHECK(does(DO_FINISH) && machine.state == STATE_STOPPED);
}
