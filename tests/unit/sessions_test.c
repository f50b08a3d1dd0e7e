/* What makes a session stuck, and what becomes of one that is: one story after another, with exact times. */
#include <errno.h>

#include "base/text.h"
#include "tests/support/sessions_story.h"

/* --- Patterns, and what is stuck. --- */

TEST("a star in a pattern stands for any text, none as well; the first pattern that fits counts")
{
	CHECK(session_pattern_fits("*", "") && session_pattern_fits("*", "a:b"));
	CHECK(session_pattern_fits("a:*", "a:") && session_pattern_fits("a:*:z", "a:b:z:z"));
	CHECK(session_pattern_fits("**a", "ba") && session_pattern_fits("", ""));
	CHECK(!session_pattern_fits("a", "") && !session_pattern_fits("", "a"));
	CHECK(!session_pattern_fits("a:*:z", "a:z") && !session_pattern_fits("*a", "ab"));
	begin();
	settings.pattern_count = 2;
	settings.patterns[0] = (struct session_pattern){"agent:slow:*", 5 * MINUTE, 6 * MINUTE};
	settings.patterns[1] = (struct session_pattern){"agent:*", 3 * MINUTE, 4 * MINUTE};
	CHECK(sessions_limit_ms(&settings, "agent:slow:1", SESSION_WAITS_MODEL) == 5 * MINUTE);
	CHECK(sessions_limit_ms(&settings, "agent:main", SESSION_WAITS_TOOL) == 4 * MINUTE);
	CHECK(sessions_limit_ms(&settings, "cron:1", SESSION_WAITS_MODEL) == 2 * MINUTE);
	for (int waits = 0; waits < SESSION_WAITS_COUNT; waits++)
		CHECK((sessions_limit_ms(&settings, "cron:1", waits) == INT64_MAX) ==
		      (waits != SESSION_WAITS_MODEL && waits != SESSION_WAITS_TOOL));
}

TEST("stuck: its events or the log say so, and the list or the lock; whose events are seen is judged by them")
{
	for (uint32_t witnesses = 0; witnesses < 1u << SESSION_WITNESS_COUNT; witnesses++)
		for (int quiet = 0; quiet < 4; quiet++) {
			bool events = quiet & 1, log = quiet & 2;
			bool first = witnesses & SESSION_WITNESS_EVENTS
			                 ? events
			                 : (witnesses & SESSION_WITNESS_LOG) && log && events;
			bool second = witnesses & (SESSION_WITNESS_LIST | SESSION_WITNESS_LOCK);

			begin();
			look.witnesses = witnesses;
			look.quiet_ms = 2 * MINUTE - !events;
			look.own_quiet_ms = 2 * MINUTE - !log;
			see();
			CHECK((it()->state != SESSION_QUIET) == (first && second));
		}
}

TEST("of whom not all events come is judged by the silence of all that do, with the limit for tools")
{
	for (int waits = SESSION_WAITS_MODEL; waits <= SESSION_WAITS_TOOL; waits++)
		for (int is_late = 0; is_late < 2; is_late++) {
			begin();
			look.waits = (uint32_t)waits;
			look.witnesses = SESSION_WITNESS_SILENCE | SESSION_WITNESS_LIST;
			look.quiet_ms = 10 * MINUTE - !is_late;
			see();
			CHECK((it()->state != SESSION_QUIET) == is_late);
			look.witnesses = SESSION_WITNESS_LIST; /* it is not remembered */
			see();
			CHECK(it()->look.witnesses == SESSION_WITNESS_LIST);
		}
}

TEST("who waits for a person or its turn, is relayed, or may not be touched, is not stuck")
{
	const uint32_t waits[] = {SESSION_WAITS_PERSON, SESSION_WAITS_TURN, SESSION_IDLE};

	for (int i = 0; i < 5; i++) {
		begin();
		look.quiet_ms = 24 * 60 * MINUTE;
		if (i < 3)
			look.waits = waits[i];
		look.relayed = i == 3;
		may_act = i != 4;
		see();
		CHECK(came(0, 0, 0, 0, 0));
	}
}

TEST("how old a run is never counts; a tool has longer")
{
	begin();
	look.waits = SESSION_WAITS_TOOL;
	pass(10 * MINUTE - SECOND, true);
	CHECK(came(0, 0, 0, 0, 0));
	pass(SECOND, true);
	CHECK(came(1, 1, 0, 0, 0) && it()->limit_ms == 10 * MINUTE);
	begin();
	for (int i = 0; i < 100; i++) {
		pass(2 * MINUTE - SECOND, true);
		moves();
	}
	CHECK(came(0, 0, 0, 0, 0));
}

/* --- Aborts. --- */

TEST("an abort that takes: asked once, told, and recovered when the run has left")
{
	begin();
	pass(2 * MINUTE, true);
	CHECK(came(1, 1, 0, 0, 0) && it()->state == SESSION_ABORTING && sessions.under_way == 1);
	CHECK_TEXT(it()->judged_run, "run-1");
	now_ms += SECOND;
	answer(ABORT_DONE);
	CHECK(came(0, 0, 1, 0, 0) && it()->state == SESSION_VERIFYING && sessions.under_way == 0);
	idles();
	see();
	CHECK(came(0, 0, 0, 1, 0) && it()->state == SESSION_QUIET && sessions.stuck == 0);
}

TEST("its end that is seen before the answer comes is told after it")
{
	begin();
	pass(2 * MINUTE, true);
	idles();
	pass(SECOND, true);
	CHECK(came(1, 1, 0, 0, 0));
	answer(ABORT_DONE);
	CHECK(came(0, 0, 1, 1, 0));
}

TEST("refused twice: failed, and tried again ten minutes later, not sooner")
{
	begin();
	pass(2 * MINUTE, true);
	answer(ABORT_REFUSED);
	pass(SESSIONS_REFUSED_MS + SECOND, true);
	CHECK(came(2, 1, 0, 0, 0) && it()->attempts == 2);
	answer(ABORT_REFUSED);
	pass(SESSIONS_REFUSED_MS, true);
	CHECK(came(0, 0, 0, 0, 1) && it()->state == SESSION_FAILED && sessions.failed == 1);
	pass(SESSIONS_AGAIN_MS - SECOND, true);
	CHECK(came(0, 0, 0, 0, 0) && it()->attempts == 2);
	pass(SECOND, true);
	CHECK(came(1, 0, 0, 0, 0) && it()->attempts == 1 && sessions.failed == 0);
}

TEST("there is no such run, says the gateway: believed when it is seen")
{
	begin();
	pass(2 * MINUTE, true);
	answer(ABORT_NOTHING);
	pass(SESSIONS_VERIFY_MS - SECOND, true);
	CHECK(came(1, 1, 0, 0, 0));
	pass(2 * SECOND, true);
	CHECK(came(1, 0, 0, 0, 0));
	idles();
	answer(ABORT_NOTHING);
	pass(SECOND, true);
	CHECK(came(0, 0, 0, 1, 0));
}

TEST("it moved when it was looked at once more: nothing was asked, and it has recovered")
{
	begin();
	pass(2 * MINUTE, true);
	answer(ABORT_MOVED);
	CHECK(came(1, 1, 0, 1, 0) && it()->state == SESSION_QUIET && sessions.under_way == 0);
}

TEST("unanswered: asked once more; what is answered later than that is not heard")
{
	uint64_t first;

	begin();
	pass(2 * MINUTE, true);
	first = it()->serial;
	pass(SESSIONS_ANSWER_MS + SESSIONS_REFUSED_MS + SECOND, true);
	CHECK(came(2, 1, 0, 0, 0) && it()->outcome == ABORT_UNREACHABLE);
	sessions_answered(&sessions, first, ABORT_DONE, now_ms, &actions);
	count();
	CHECK(came(0, 0, 0, 0, 0) && it()->state == SESSION_ABORTING);
	answer(ABORT_OUTCOME_COUNT);
	CHECK(it()->state == SESSION_ABORTING);
}

TEST("looks that do not come are no evidence: neither asked for again, nor failed, until one comes")
{
	begin();
	pass(2 * MINUTE, true);
	pass(SECOND, true);
	answer(ABORT_DONE);
	pass(SECOND, true); /* it is there still, but it has time yet */
	pass(60 * MINUTE, false);
	CHECK(came(1, 1, 1, 0, 0) && it()->state == SESSION_VERIFYING);
	see();
	CHECK(came(0, 0, 0, 0, 0));
	see();
	CHECK(came(1, 0, 0, 0, 0) && it()->attempts == 2);
	answer(ABORT_DONE);
	pass(60 * MINUTE, false);
	CHECK(came(0, 0, 1, 0, 0));
	see();
	CHECK(came(0, 0, 0, 0, 1));
}

TEST("its run ends in between, or another begins: recovered, and the other is judged for itself")
{
	begin();
	pass(2 * MINUTE, true);
	answer(ABORT_REFUSED);
	idles();
	see();
	CHECK(came(1, 1, 0, 1, 0));
	begin();
	pass(2 * MINUTE, true);
	answer(ABORT_REFUSED);
	text_copy(look.run, sizeof(look.run), "run-2");
	look.began_ms = now_ms;
	moves();
	see();
	CHECK(came(1, 1, 0, 1, 0) && it()->state == SESSION_QUIET);
	pass(2 * MINUTE, true);
	CHECK(came(1, 1, 0, 0, 0));
	CHECK_TEXT(it()->judged_run, "run-2");
}

TEST(
    "the gateway's own recovery has its turn, and one that is claimed is not believed while the run is there")
{
	begin();
	pass(2 * MINUTE - SECOND, true);
	look.recovery = SESSION_RECOVERY_CHECKING;
	look.recovery_ms = now_ms;
	pass(SESSIONS_TURN_MS - SECOND, true);
	CHECK(came(0, 1, 0, 0, 0) && it()->state == SESSION_STUCK);
	look.recovery = SESSION_RECOVERY_CLAIMED;
	pass(SECOND, true);
	CHECK(came(1, 0, 0, 0, 0));
	begin();
	look.recovery = SESSION_RECOVERY_CLAIMED;
	look.recovery_ms = START;
	pass(2 * MINUTE, true);
	CHECK(came(1, 1, 0, 0, 0));
}

/* --- What the last look says counts when something is done. --- */

TEST("one that is judged and moves, asks a person, is relayed or loses a witness before its turn is not "
     "aborted")
{
	for (int i = 0; i < 5; i++) {
		begin();
		look.recovery = SESSION_RECOVERY_CHECKING;
		look.recovery_ms = START + 2 * MINUTE;
		pass(2 * MINUTE, true);
		CHECK(came(0, 1, 0, 0, 0));
		now_ms += SECOND;
		if (i == 0)
			moves();
		look.waits = i == 1 ? SESSION_WAITS_PERSON : SESSION_WAITS_MODEL;
		look.relayed = i == 2;
		if (i == 3)
			look.witnesses = SESSION_WITNESS_EVENTS;
		pass(MINUTE, i != 4); /* 4: nobody looks */
		CHECK(came(0, 0, 0, i == 0, 0));
	}
}

TEST("it moved after the look by which it was judged, and before that was heard: it has recovered")
{
	begin();
	look.recovery = SESSION_RECOVERY_CHECKING;
	look.recovery_ms = START + 2 * MINUTE;
	look.quiet_ms = 2 * MINUTE;
	look.at_ms = START + 2 * MINUTE;
	now_ms = look.at_ms + 3 * SECOND;
	sessions_looked(&sessions, &look, may_act, now_ms, &actions);
	count();
	CHECK(came(0, 1, 0, 0, 0));
	now_ms += SECOND;
	look.moved_ms = START + 2 * MINUTE + SECOND;
	look.quiet_ms = 3 * SECOND;
	see();
	CHECK(came(0, 0, 0, 1, 0));
}

TEST("a sentry that is new to a run: what events had told is kept, a tool or a person that is waited for as "
     "well")
{
	begin();
	look.waits = SESSION_WAITS_TOOL;
	text_copy(look.tool, sizeof(look.tool), "browser");
	see();
	look.waits = SESSION_WAITS_MODEL;
	look.tool[0] = look.run[0] = '\0';
	look.moved_ms = 0;
	look.witnesses = SESSION_WITNESS_LIST;
	pass(10 * MINUTE - SECOND, true);
	CHECK(came(0, 0, 0, 0, 0));
	pass(SECOND, true);
	CHECK(came(1, 1, 0, 0, 0) && it()->look.waits == SESSION_WAITS_TOOL);
	CHECK_TEXT(it()->judged_run, "run-1");
	CHECK_TEXT(it()->look.tool, "browser");
	begin();
	look.waits = SESSION_WAITS_PERSON;
	see();
	look.waits = SESSION_WAITS_MODEL;
	look.run[0] = '\0';
	look.witnesses = SESSION_WITNESS_LIST;
	pass(60 * MINUTE, true);
	CHECK(came(0, 0, 0, 0, 0));
}

TEST("a run that is known by the list's time alone is not taken for the next one, though a look did not have "
     "it")
{
	begin();
	look.run[0] = '\0';
	look.began_ms = 0;
	look.began_real_ms = 1000;
	look.witnesses = SESSION_WITNESS_LIST | SESSION_WITNESS_LOG;
	look.own_quiet_ms = look.quiet_ms = 2 * MINUTE;
	see();
	answer(ABORT_REFUSED);
	look.began_real_ms = 0;
	see();
	look.began_real_ms = 2000;
	look.own_quiet_ms = 0;
	see();
	CHECK(came(1, 1, 0, 1, 0));
}

TEST("a session that begins anew under its key is another; one of which the id was not known is not")
{
	begin();
	look.run[0] = look.id[0] = '\0';
	look.began_ms = 0;
	look.witnesses = SESSION_WITNESS_LIST | SESSION_WITNESS_LOG;
	look.own_quiet_ms = look.quiet_ms = 2 * MINUTE;
	see();
	answer(ABORT_DONE);
	text_copy(look.id, sizeof(look.id), "id");
	pass(SESSIONS_VERIFY_MS + SECOND, true);
	CHECK(came(2, 1, 1, 0, 0));
	begin();
	look.run[0] = '\0';
	look.began_ms = 0;
	look.witnesses = SESSION_WITNESS_LIST | SESSION_WITNESS_LOG;
	look.own_quiet_ms = look.quiet_ms = 2 * MINUTE;
	see();
	answer(ABORT_DONE);
	text_copy(look.id, sizeof(look.id), "another");
	look.own_quiet_ms = 0;
	see();
	CHECK(came(1, 1, 1, 1, 0));
}

/* --- People. --- */

TEST("a person may have a run aborted that moves; when that fails it is told, and counts for nothing")
{
	begin();
	CHECK(sessions_abort(&sessions, look.key, now_ms, &actions) == -ENOENT);
	see();
	may_act = false;
	CHECK(sessions_abort(&sessions, look.key, now_ms, &actions) == 0);
	count();
	CHECK(came(1, 0, 0, 0, 0));
	CHECK(sessions_abort(&sessions, look.key, now_ms, &actions) == -EALREADY);
	answer(ABORT_REFUSED);
	CHECK(sessions_abort(&sessions, look.key, now_ms, &actions) == -EALREADY);
	moves();
	pass(SESSIONS_REFUSED_MS + SECOND, true);
	CHECK(came(1, 0, 0, 0, 0));
	answer(ABORT_REFUSED);
	moves();
	pass(SESSIONS_REFUSED_MS, true);
	CHECK(came(0, 0, 0, 0, 1) && it()->state == SESSION_QUIET && sessions.failed == 0);
	may_act = true;
	for (int i = 0; i < 20; i++) {
		moves();
		pass(MINUTE, true);
	}
	CHECK(came(0, 0, 0, 0, 0) && condemned == 0);
}

TEST("a person's abort of one that is stuck fails as any other; of an idle one it cannot be")
{
	begin();
	may_act = false;
	pass(2 * MINUTE, true);
	CHECK(sessions_abort(&sessions, look.key, now_ms, &actions) == 0);
	count();
	for (int i = 0; i < SESSIONS_ATTEMPTS; i++) {
		answer(ABORT_REFUSED);
		pass(SESSIONS_REFUSED_MS + SECOND, true);
	}
	CHECK(came(2, 0, 0, 0, 1) && it()->state == SESSION_FAILED && sessions.failed == 1);
	pass(2 * SESSIONS_AGAIN_MS, true); /* nobody may act, and nobody asked for another */
	CHECK(came(0, 0, 0, 0, 0));
	idles();
	see();
	CHECK(sessions_abort(&sessions, look.key, now_ms, &actions) == -ENODATA);
}

TEST("a person's second attempt is not made on the next run, even if nobody knew which the first one was")
{
	begin();
	look.run[0] = '\0';
	look.began_ms = look.moved_ms = 0;
	look.witnesses = 0;
	see();
	CHECK(sessions_abort(&sessions, look.key, now_ms, &actions) == 0);
	count();
	answer(ABORT_REFUSED);
	now_ms += SECOND;
	text_copy(look.run, sizeof(look.run), "run-2");
	look.began_ms = now_ms;
	pass(MINUTE, true);
	CHECK(came(1, 0, 0, 1, 0));
}
