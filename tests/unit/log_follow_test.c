/* A gateway's log file is followed through everything that happens to such files; the test polls. */
#include "support/log_home.h"

TEST("history is no news: what is there at the start is passed over, what comes later is heard once")
{
	given("{}");
	add(TODAY, "old\n");
	start();
	CHECK_TEXT(poll_log(), "");
	add(TODAY, "one\ntwo\n");
	CHECK_TEXT(poll_log(), "one two");
	CHECK_TEXT(poll_log(), "");
	finish();
}

TEST("a file that appears later is read from its beginning, and so is its directory's")
{
	given("{}");
	rmdir(preferred);
	start();
	CHECK_TEXT(poll_log(), "");
	mkdir(preferred, 0700);
	CHECK_TEXT(poll_log(), "");
	add(TODAY, "first\n");
	CHECK_TEXT(poll_log(), "first");
	finish();
}

TEST("a line that is not finished waits; one whose beginning is history is passed over")
{
	given("{}");
	add(TODAY, "histo");
	start();
	add(TODAY, "ry\nnew");
	CHECK_TEXT(poll_log(), "");
	add(TODAY, "s");
	CHECK_TEXT(poll_log(), "");
	add(TODAY, "!\n\nnext\n");
	CHECK_TEXT(poll_log(), "news! next");
	finish();
}

TEST("of a file that is renamed away the rest is read first, then the new one from its beginning")
{
	given("{}");
	add(TODAY, "old\n");
	start();
	add(TODAY, "one\n");
	rename(at_home(TODAY), at_home("openclaw/openclaw-2026-11-30.1.log"));
	add("openclaw/openclaw-2026-11-30.1.log", "two\n");
	CHECK_TEXT(poll_log(), "one two");
	add("openclaw/openclaw-2026-11-30.1.log", "three\nfour");
	add(TODAY, "five\n");
	CHECK_TEXT(poll_log(), "three five");
	add("openclaw/openclaw-2026-11-30.1.log", "of the past\n");
	add(TODAY, "six\n");
	CHECK_TEXT(poll_log(), "six");
	finish();
}

TEST("a file that is cut, and one that is written anew to more than before, are read from the beginning")
{
	given("{}");
	add(TODAY, "a rather long line of history\n");
	start();
	write_bytes(TODAY, "cut\n", 4, O_TRUNC);
	CHECK_TEXT(poll_log(), "cut");
	write_bytes(TODAY, "longer\nthan\nbefore\n", 19, O_TRUNC);
	CHECK_TEXT(poll_log(), "longer than before");
	finish();
}

TEST("a file that is deleted is given back to the disk, and the next one read from its beginning")
{
	given("{}");
	add(TODAY, "old\n");
	start();
	add(TODAY, "last words\n");
	unlink(at_home(TODAY));
	CHECK_TEXT(poll_log(), "last words");
	CHECK(follow.fd == -1);
	add(TODAY, "again\n");
	CHECK_TEXT(poll_log(), "again");
	finish();
}

TEST("a directory that vanishes and comes back is read on from where it was")
{
	given("{}");
	add(TODAY, "old\n");
	start();
	rename(preferred, at_home("away"));
	add("away/openclaw-2026-11-30.log", "meanwhile\n");
	CHECK_TEXT(poll_log(), "meanwhile");
	rename(at_home("away"), preferred);
	add(TODAY, "back\n");
	CHECK_TEXT(poll_log(), "back");
	finish();
}

TEST("across midnight the rest of the old day is read, then the new day; nothing else is before it is there")
{
	given("{}");
	add(TODAY, "old\n");
	start();
	now_ms += DAY_MS / 2 + 1000;
	add(TODAY, "late\n");
	CHECK_TEXT(poll_log(), "late");
	add(TODAY, "later\n");
	add("openclaw/openclaw-2026-12-01.log", "early\n");
	CHECK_TEXT(poll_log(), "later early");
	now_ms += DAY_MS;
	CHECK_TEXT(poll_log(), "");
	add("openclaw/openclaw-2026-12-02.log", "next day\n");
	CHECK_TEXT(poll_log(), "next day");
	finish();
}

TEST("what is written to the file of yesterday is heard until there is one of today")
{
	given("{}");
	now_ms += DAY_MS / 2 + 1000;
	add(TODAY, "old\n");
	start();
	add(TODAY, "late\n");
	CHECK_TEXT(poll_log(), "late");
	add("openclaw/openclaw-2026-12-01.log", "early\n");
	CHECK_TEXT(poll_log(), "early");
	finish();
}

TEST("a gateway of another time zone is already in its next day")
{
	given("{}");
	add(TODAY, "old\n");
	start();
	add("openclaw/openclaw-2026-12-01.log", "tomorrow\n");
	CHECK_TEXT(poll_log(), "tomorrow");
	finish();
}

TEST(
    "a directory that is not safely its own is not preferred; what was there in the other is history as well")
{
	char other[64];

	given("{}");
	variable(1, "TMPDIR", at_home("tmp/"));
	snprintf(other, sizeof(other), "tmp/openclaw-%u", (unsigned)geteuid());
	mkdir(at_home(other), 0700);
	snprintf(other, sizeof(other), "tmp/openclaw-%u/openclaw-2026-11-30.log", (unsigned)geteuid());
	add(TODAY, "old\n");
	add(other, "old too\n");
	start();
	add(TODAY, "preferred\n");
	add(other, "other\n");
	CHECK_TEXT(poll_log(), "preferred");
	chmod(preferred, 0777);
	CHECK_TEXT(poll_log(), "other");
	finish();
}

TEST("a line of 64 KB is heard whole; a longer one is passed over and counted, and what follows is heard")
{
	given("{}");
	start();
	add_many(TODAY, LOG_FOLLOW_LINE_MAX, 'x');
	add(TODAY, "\n");
	CHECK_TEXT(poll_log(), "");
	CHECK(heard_lines == 1 && heard_bytes == LOG_FOLLOW_LINE_MAX && follow.oversized == 0);
	add_many(TODAY, LOG_FOLLOW_LINE_MAX + 1, 'x');
	CHECK_TEXT(poll_log(), "");
	add_many(TODAY, 3 * LOG_FOLLOW_LINE_MAX, 'x');
	add(TODAY, "\nnext\n");
	CHECK_TEXT(poll_log(), "next");
	CHECK(heard_lines == 2 && follow.oversized == 1);
	finish();
}

TEST("a poll reads a megabyte, and the next one goes on; a rotated file is read to its end all the same")
{
	given("{}");
	start();
	for (int i = 0; i < 60; i++) {
		add_many(TODAY, 50000, 'x');
		add(TODAY, "\n");
	}
	CHECK_TEXT(poll_log(), "");
	CHECK(heard_lines == 20);
	rename(at_home(TODAY), at_home("openclaw/rotated"));
	add(TODAY, "new\n");
	CHECK_TEXT(poll_log(), "");
	CHECK(heard_lines == 41);
	CHECK_TEXT(poll_log(), "new");
	CHECK(heard_lines == 60 + 1 && follow.oversized == 0 && follow.skipped_bytes == 0);
	finish();
}

TEST("who is more than 16 MB behind jumps to the end, and says how far")
{
	const size_t far = LOG_FOLLOW_BEHIND_MAX + 1;

	given("{}");
	add(TODAY, "old\n");
	start();
	add_many(TODAY, far, 'x');
	CHECK_TEXT(poll_log(), "");
	CHECK(follow.skipped_bytes == far && follow.oversized == 0);
	add(TODAY, "its end\nnext\n");
	CHECK_TEXT(poll_log(), "next");
	finish();
}

TEST("what is no regular file, and a link in a directory of many, is not read; a configured link is")
{
	given("{}");
	start();
	mkfifo(at_home(TODAY), 0600);
	CHECK_TEXT(poll_log(), "");
	CHECK(follow.fd == -1);
	unlink(at_home(TODAY));
	mkdir(at_home(TODAY), 0700);
	CHECK_TEXT(poll_log(), "");
	CHECK(follow.fd == -1);
	rmdir(at_home(TODAY));
	add("secret", "secret\n");
	CHECK(symlink(at_home("secret"), at_home(TODAY)) == 0);
	CHECK_TEXT(poll_log(), "");
	CHECK(follow.fd == -1);
	finish();
	given("{logging: {file: '~/link.log'}}");
	start();
	add("secret", "secret\n");
	CHECK(symlink(at_home("secret"), at_home("link.log")) == 0);
	CHECK_TEXT(poll_log(), "secret");
	finish();
}

TEST("a file of another user is not read")
{
	if (geteuid() != 0) {
		SKIP("needs root");
		return;
	}
	given("{}");
	start();
	add(TODAY, "not ours\n");
	CHECK(chown(at_home(TODAY), 12345, 12345) == 0);
	CHECK_TEXT(poll_log(), "");
	CHECK(chown(at_home(TODAY), 0, 0) == 0);
	CHECK_TEXT(poll_log(), "not ours");
	finish();
}

TEST("lines may hold anything, NULs as well")
{
	static const char bytes[] = "a\0b\n\xff\xfe\n\r\n";

	given("{}");
	start();
	write_bytes(TODAY, bytes, sizeof(bytes) - 1, O_APPEND);
	poll_log();
	CHECK(heard_lines == 3 && heard_bytes == 3 + 2 + 1);
	finish();
}

TEST("nothing is read before the start and after the stop, nor of a gateway of another kind")
{
	given("{}");
	add(TODAY, "one\n");
	CHECK_TEXT(poll_log(), "");
	start();
	log_follow_stop(&follow);
	add(TODAY, "two\n");
	CHECK_TEXT(poll_log(), "");
	settings.gateway.kind = GATEWAY_GENERIC;
	start();
	add(TODAY, "three\n");
	CHECK_TEXT(poll_log(), "");
	finish();
}
