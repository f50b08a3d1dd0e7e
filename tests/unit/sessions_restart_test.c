/* When the gateway is condemned for its sessions, what is remembered of that, and what fits in one step. */
#include "tests/support/sessions_story.h"

TEST("as many as the threshold have failed: condemned, and said again as long as it is so")
{
	begin();
	fail("a");
	tick();
	CHECK(condemned == 0 && sessions.failed == 1);
	fail("b");
	tick();
	CHECK(condemned == 2);
	ask_nothing();
	may_act = false;
	tick();
	CHECK(condemned == 0);
	may_act = true;
	tick();
	CHECK(condemned == 2);
	ask_nothing();
	idles();
	see();
	tick();
	CHECK(came(0, 0, 0, 1, 0) && condemned == 0 && sessions.failed == 1);
}

TEST("a session that is no more counts no more")
{
	begin();
	fail("a");
	fail("b");
	look.gone = true;
	ask_nothing();
	see();
	tick();
	CHECK(came(0, 0, 0, 1, 0) && condemned == 0 && sessions.stuck == 1 && sessions.table.count == 1);
	see();
	CHECK(came(0, 0, 0, 0, 0));
}

/* Two have failed, and the gateway is another for it. */
static void restart(void)
{
	fail("a");
	fail("b");
	sessions_condemned(&sessions, now_ms);
	sessions_begin(&sessions, GENERATION + 1);
	now_ms += MINUTE;
	ask_nothing();
}

TEST("after a restart the same sessions are aborted and told of, and cause no other one")
{
	begin();
	restart();
	CHECK(sessions.memory.count == 2 && sessions.stuck == 0 && sessions.failed == 0);
	fail("a");
	fail("b");
	tick();
	CHECK(came(4, 2, 0, 0, 2) && condemned == 0 && sessions.failed == 0 && sessions.stuck == 2);
	fail("c");
	fail("d");
	tick();
	CHECK(condemned == 2);
}

TEST("one that came to an end of its own is forgotten, and that is to be saved")
{
	begin();
	restart();
	hang("a", "run-2");
	look.quiet_ms = 0;
	look.moved_ms = now_ms;
	see();
	CHECK(saved == 0);
	idles();
	see();
	CHECK(saved == 1 && sessions.memory.count == 1);
	fail("a");
	fail("b");
	tick();
	CHECK(condemned == 0 && sessions.failed == 1);
}

TEST("one that is idle after the restart, or ended because it was aborted, is not forgotten")
{
	begin();
	restart();
	hang("a", "a");
	idles();
	see();
	CHECK(saved == 0);
	hang("a", "a2");
	see();
	answer(ABORT_DONE);
	/* It moves once more before the abort takes. */
	now_ms += SECOND;
	moves();
	see();
	CHECK(came(1, 1, 1, 1, 0));
	idles();
	see();
	CHECK(saved == 0 && sessions.memory.count == 2);
}

TEST("two hours later it may be a reason again")
{
	begin();
	restart();
	now_ms += SESSIONS_REMEMBER_MS;
	fail("a");
	fail("b");
	tick();
	CHECK(condemned == 2);
}

TEST("when more are to be remembered than there is room, the oldest make it")
{
	char key[16];

	begin();
	settings.threshold = SESSIONS_REMEMBERED + 1;
	for (int i = 0; i <= SESSIONS_REMEMBERED; i++) {
		snprintf(key, sizeof(key), "s%d", i);
		fail(key);
		if (i == 0)
			sessions_condemned(&sessions, now_ms);
		if (i == 0)
			sessions_begin(&sessions, GENERATION);
	}
	CHECK(sessions.failed == SESSIONS_REMEMBERED);
	sessions_condemned(&sessions, now_ms);
	CHECK(sessions.memory.count == SESSIONS_REMEMBERED);
	for (int i = 0; i < SESSIONS_REMEMBERED; i++)
		CHECK(sessions.memory.list[i].at_ms == now_ms);
}

TEST("more were stuck at a restart than can be remembered: nobody is a reason for another one")
{
	char key[16];

	begin();
	settings.threshold = 3;
	for (int life = 0; life < 3; life++) {
		for (int i = 0; i < SESSIONS_REMEMBERED + 6; i++) {
			snprintf(key, sizeof(key), "s%d", i);
			fail(key);
		}
		condemned = 0;
		sessions_tick(&sessions, true, now_ms, &actions);
		for (uint32_t i = 0; i < actions.count; i++)
			condemned += actions.list[i].type == SESSIONS_CONDEMN;
		CHECK(condemned == (life == 0));
		sessions_condemned(&sessions, now_ms);
		sessions_begin(&sessions, GENERATION);
	}
}

TEST("more are stuck than aborts may be under way: the others have their turn")
{
	char key[16];

	begin();
	for (int i = 0; i < 7; i++) {
		snprintf(key, sizeof(key), "s%d", i);
		hang(key, key);
		see();
	}
	CHECK(came(SESSIONS_ABORTS_MAX, 7, 0, 0, 0) && sessions.under_way == SESSIONS_ABORTS_MAX);
	see();
	CHECK(came(0, 0, 0, 0, 0));
	hang("s0", "s0");
	answer(ABORT_DONE);
	hang("s6", "s6");
	see();
	CHECK(came(1, 0, 1, 0, 0) && sessions.under_way == SESSIONS_ABORTS_MAX && sessions.stuck == 7);
}

TEST("what does not fit in one step comes with the next, and then what it amounts to")
{
	char key[16];

	begin();
	settings.threshold = 20;
	for (int attempt = 0; attempt < SESSIONS_ATTEMPTS; attempt++)
		for (int i = 0; i < 20; i++) {
			snprintf(key, sizeof(key), "s%d", i);
			hang(key, key);
			see();
			answer(ABORT_REFUSED);
			now_ms += SESSIONS_REFUSED_MS;
			if (attempt == 0)
				see();
			if (attempt == 0 && it()->state == SESSION_ABORTING)
				answer(ABORT_REFUSED);
		}
	/* Each has had two attempts, and was seen after the second one; patience ends for all at once. */
	now_ms += MINUTE;
	for (int i = 0; i < 20; i++) {
		snprintf(key, sizeof(key), "s%d", i);
		sessions.sessions[session_table_find(&sessions.table, key)].look.at_ms = now_ms;
	}
	ask_nothing();
	tick();
	CHECK(failed > 0 && failed < 20 && condemned == 0);
	for (int i = 0; i < 5; i++)
		tick();
	CHECK(sessions.failed == 20 && condemned == 20);
}

TEST("an answer to what a former life had asked for is not taken for its own")
{
	uint64_t former;

	begin();
	hang("a", "a");
	see();
	former = it()->serial;
	now_ms += SECOND;
	sessions_init(&sessions, &settings);
	sessions_begin(&sessions, GENERATION);
	hang("b", "b");
	see();
	ask_nothing();
	sessions_answered(&sessions, former, ABORT_DONE, now_ms, &actions);
	count();
	CHECK(came(0, 0, 0, 0, 0) && it()->state == SESSION_ABORTING);
}
