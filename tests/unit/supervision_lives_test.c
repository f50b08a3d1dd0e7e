/* The supervisor is killed and another comes: the next life goes on where the one before it was. */
#include "tests/unit/supervision_stories.h"

/* A start that is asked for while it comes is done without a wait and without an incident. */
static bool starts_as_planned(void)
{
	when_it_ends(EXIT_UNKNOWN, 0);
	return does(DO_SPAWN) && machine.incident == 0 && machine.history.attempts[RESTART_CRASH] == 0;
}

TEST("a healthy gateway goes on, and nothing is started")
{
	given_a_running_gateway();

	when_the_next_life_begins(5000);
	CHECK(machine.state == STATE_ADOPTING && does(DO_ADOPT));
	when(ON_ADOPTED);
	CHECK(machine.state == STATE_STARTING && does(DO_PROBE_START));
	CHECK(!does(DO_SPAWN) && !does(DO_TERMINATE));
	when(ON_READY);
	CHECK(machine.state == STATE_RUNNING && machine.generation == 1);
	CHECK(machine.next_incident == 7 && machine.history.boot_count == 1);
}

TEST("it is gone: what is left is removed first, then the next one started, as an incident")
{
	given_a_running_gateway();

	when_the_next_life_begins(5000);
	when(ON_ADOPT_REFUSED);
	CHECK(machine.state == STATE_KILLING && does(DO_KILL_TREE));
	CHECK(recorded(RECORD_ADOPT_REFUSED)->incident == 7);
	when(ON_TREE_GONE);
	CHECK(does(DO_SPAWN) && machine.generation == 2);
}

TEST("the supervisor's death is no way round the back-off: a start that died with it had not been ready")
{
	given_a_supervisor();
	step((struct supervision_event){.type = ON_START, .reason = REASON_FIRST_START});
	when(ON_SPAWNED);

	when_the_next_life_begins(100);
	when(ON_ADOPT_REFUSED);
	when(ON_TREE_GONE);
	CHECK(machine.state == STATE_BACKING_OFF && machine.deadline_ms == now_ms + 1000);
}

TEST("an hour of health over two lives forgets the failures before it")
{
	given_a_running_gateway();
	machine.history.attempts[RESTART_CRASH] = 9;
	step((struct supervision_event){.type = ON_PAUSE, .value = now_ms + 1});
	now_ms += 1800000;
	when_the_next_life_begins(5000);
	when(ON_ADOPTED);
	when(ON_READY);
	now_ms += 1800000;

	when_it_ends(EXIT_SIGNAL, 9);
	CHECK(does(DO_SPAWN) && machine.history.attempts[RESTART_CRASH] == 1);
}

TEST("a stop goes on: what was being stopped is adopted to be stopped, in the time that is left")
{
	given_a_running_gateway();
	when(ON_STOP);

	when_the_next_life_begins(30000);
	when(ON_ADOPTED);
	CHECK(machine.state == STATE_DRAINING && does(DO_TERMINATE));
	CHECK(machine.deadline_ms == now_ms + 300000);
	when_it_ends(EXIT_UNKNOWN, 0);
	CHECK(machine.state == STATE_STOPPED && records(RECORD_STOPPED, REASON_OPERATOR));
}

TEST("the time was over meanwhile: a short grace, because SIGTERM may never have been sent")
{
	given_a_running_gateway();
	when(ON_STOP);

	when_the_next_life_begins(400000);
	when(ON_ADOPTED);
	CHECK(does(DO_TERMINATE) && machine.deadline_ms == now_ms + 2000);
}

TEST("the host slept while it was being stopped: the next life gives it that time as well")
{
	given_a_running_gateway();
	when(ON_STOP);
	now_ms += 3600000;
	step((struct supervision_event){.type = ON_HOST_RESUMED, .value = 3600000});

	when_the_next_life_begins(30000);
	now_ms += 1000;
	step((struct supervision_event){.type = ON_HOST_RESUMED, .value = 1000});
	when(ON_ADOPTED);
	CHECK(machine.deadline_ms == now_ms + 300000);
}

TEST("stopped stays stopped, for the same reason")
{
	given_a_running_gateway();
	settings.restart_on[RESTART_CRASH] = false;
	when_it_ends(EXIT_SIGNAL, 9);
	CHECK(machine.state == STATE_STOPPED);

	when_the_next_life_begins(5000);
	CHECK(machine.state == STATE_STOPPED && !does(DO_SPAWN));
	CHECK(records(RECORD_STOPPED, REASON_CRASH_RESTART_OFF));
	when(ON_START);
	CHECK(does(DO_SPAWN));
}

TEST("a wait ends at the same moment, and the failure is not counted again")
{
	int64_t until_ms;

	given_a_running_gateway();
	machine.history.attempts[RESTART_CRASH] = 6;
	when_it_ends(EXIT_SIGNAL, 9);
	until_ms = machine.deadline_ms;
	CHECK(machine.state == STATE_BACKING_OFF && until_ms == now_ms + 32000);

	when_the_next_life_begins(5000);
	CHECK(machine.state == STATE_BACKING_OFF && machine.deadline_ms == until_ms);
	CHECK(records(RECORD_WAITING, REASON_EXIT_SIGNAL) && machine.incident == 7);
	CHECK(machine.history.attempts[RESTART_CRASH] == 7);
	when_the_next_life_begins(60000);
	CHECK(does(DO_SPAWN));
}

TEST("parked is tried at once, unless it is paused")
{
	given_a_running_gateway();
	step((struct supervision_event){.type = ON_EXITED, .exit = {EXIT_CODE, 78}});
	when(ON_TREE_GONE);
	when_time_comes();
	CHECK(machine.state == STATE_PARKED);
	when_the_next_life_begins(5000);
	CHECK(does(DO_SPAWN) && machine.incident == 7);

	step((struct supervision_event){.type = ON_EXITED, .exit = {EXIT_CODE, 78}});
	when(ON_SPAWNED);
	step((struct supervision_event){.type = ON_EXITED, .exit = {EXIT_CODE, 78}});
	when(ON_TREE_GONE);
	when_time_comes();
	step((struct supervision_event){.type = ON_PAUSE, .value = now_ms + 600000});
	when_the_next_life_begins(5000);
	CHECK(machine.state == STATE_BACKING_OFF && machine.reason == REASON_PAUSED);
}

TEST("a restart goes on, whether its gateway has ended meanwhile or not: planned, and no incident")
{
	given_a_running_gateway();
	when(ON_RESTART);
	when_the_next_life_begins(5000);
	when(ON_ADOPTED);
	CHECK(does(DO_TERMINATE) && records(RECORD_STOPPING, REASON_OPERATOR));
	CHECK(starts_as_planned());

	given_a_running_gateway();
	when(ON_RESTART);
	when_the_next_life_begins(5000);
	when(ON_ADOPT_REFUSED);
	when(ON_TREE_GONE);
	CHECK(does(DO_SPAWN) && machine.incident == 0);
}

TEST("a restart by force is not given time anew")
{
	given_a_running_gateway();
	step((struct supervision_event){.type = ON_RESTART, .force = true});
	CHECK(does(DO_KILL_TREE));

	when_the_next_life_begins(5000);
	when(ON_ADOPTED);
	CHECK(does(DO_TERMINATE) && machine.deadline_ms == now_ms);
}

TEST("a restart asked for while nothing can be learnt about the gateway outlives that life too")
{
	given_a_running_gateway();
	when_the_next_life_begins(5000);
	when(ON_RESTART);
	CHECK(machine.state == STATE_ADOPTING && does(DO_SAVE));

	when_the_next_life_begins(400000);
	when(ON_ADOPTED);
	CHECK(does(DO_TERMINATE) && machine.deadline_ms == now_ms + 330000);
	CHECK(starts_as_planned());
}

TEST("the gateway asks from inside: its budget is the same in the next life, and a person's word stands")
{
	given_a_running_gateway();
	when_the_next_life_begins(5000);
	for (int i = 0; i < 3; i++)
		step((struct supervision_event){.type = ON_RESTART, .inside = true});
	CHECK(does(DO_SAVE) && machine.down_reason == REASON_GATEWAY_ASKED);
	when_the_next_life_begins(5000);
	step((struct supervision_event){.type = ON_RESTART, .inside = true});
	CHECK(does(DO_REFUSE) && actions.list[0].reason == REASON_RESTART_BUDGET);

	given_a_running_gateway();
	step((struct supervision_event){.type = ON_RESTART, .force = true});
	step((struct supervision_event){.type = ON_RESTART, .inside = true});
	CHECK(machine.insisted);
}

TEST("condemned, and killed before that was said: it is said again before the gateway is ended")
{
	given_a_running_gateway();
	settings.autopsy = false;
	step((struct supervision_event){.type = ON_CONDEMNED, .reason = REASON_HUNG, .value = 42});

	when_the_next_life_begins(100);
	when(ON_ADOPTED);
	CHECK(records(RECORD_CONDEMNED, REASON_HUNG) && recorded(RECORD_CONDEMNED)->value == 42);
	CHECK(machine.deadline_ms == now_ms + 2000 && machine.incident == 7);
	when_it_ends(EXIT_UNKNOWN, 0);
	CHECK(machine.history.attempts[RESTART_HANG] == 1 && machine.history.attempts[RESTART_CRASH] == 0);
}

TEST("condemned for stuck sessions: how many they were is said to the start of the next gateway, in another "
     "life too")
{
	for (int lives = 0; lives < 2; lives++) {
		given_a_running_gateway();
		step((struct supervision_event){
		    .type = ON_CONDEMNED, .reason = REASON_STUCK_SESSIONS, .value = 3});
		CHECK(recorded(RECORD_STOPPING)->reason_value == 3 && machine.reason_value == 3);
		if (lives == 1) {
			when_the_next_life_begins(100);
			when(ON_ADOPTED);
			CHECK(recorded(RECORD_CONDEMNED)->reason_value == 3);
			CHECK(recorded(RECORD_STOPPING)->reason_value == 3 && machine.reason_value == 3);
		}
		when_it_ends(EXIT_CODE, 0);
		when(ON_SPAWNED);
		CHECK(records(RECORD_STARTED, REASON_STUCK_SESSIONS) &&
		      recorded(RECORD_STARTED)->reason_value == 3);
	}
}

TEST("condemned, and then a person wanted it ended: the next life does so for the person")
{
	given_a_running_gateway();
	step((struct supervision_event){.type = ON_CONDEMNED, .reason = REASON_DEAF, .value = 42});
	step((struct supervision_event){.type = ON_RESTART, .force = true});

	when_the_next_life_begins(100);
	when(ON_ADOPTED);
	CHECK(records(RECORD_STOPPING, REASON_OPERATOR));
	CHECK(recorded(RECORD_CONDEMNED)->value == 0);
}

TEST("executed anew while a tree is being removed: the end that was seen is not called another one")
{
	given_a_running_gateway();
	now_ms += 60000;
	step((struct supervision_event){.type = ON_EXITED, .exit = {EXIT_CODE, 0}});
	CHECK(machine.planned && machine.incident == 0);

	earlier = machine;
	when_the_next_life_begins(0);
	when(ON_ADOPT_REFUSED);
	when(ON_TREE_GONE);
	CHECK(does(DO_SPAWN) && machine.incident == 0);
}

TEST("told to end, it was killed on the way: the gateway comes up again, and has not crashed")
{
	given_a_running_gateway();
	when(ON_SHUTDOWN);
	when_the_next_life_begins(5000);
	when(ON_ADOPTED);
	CHECK(does(DO_TERMINATE) && records(RECORD_STOPPING, REASON_SHUTDOWN));
	CHECK(starts_as_planned());

	given_a_running_gateway();
	when(ON_SHUTDOWN);
	when_it_ends(EXIT_CODE, 0);
	CHECK(does(DO_FINISH));
	when_the_next_life_begins(5000);
	CHECK(does(DO_SPAWN) && machine.incident == 0 && machine.restarts == 0);
}

TEST("saved before its first step, a life hands on what it had inherited")
{
	given_a_running_gateway();
	when(ON_STOP);
	supervision_init(&machine, &settings, 1);
	supervision_inherit(&machine, &earlier);
	earlier = machine;
	when_the_next_life_begins(5000);
	when(ON_ADOPTED);
	CHECK(machine.state == STATE_DRAINING && !machine.wanted);

	given_a_supervisor();
	earlier = machine;
	when_the_next_life_begins(5000);
	CHECK(machine.state == STATE_ADOPTING && machine.wanted);
}
