/* How the datagrams of sd_notify(3) are read. */
#include "support/tap.h"

#include "sentry/notify_words.h"

static struct notify_words words;

static bool read_text(const char *text)
{
	return notify_read(text, strlen(text), &words);
}

TEST("each word is known, alone or among others")
{
	CHECK(read_text("READY=1") && words.said == NOTIFY_READY);
	CHECK(read_text("STOPPING=1\n") && words.said == NOTIFY_STOPPING);
	CHECK(read_text("RELOADING=1\nMONOTONIC_USEC=123456\n") && words.said == NOTIFY_RELOADING);
	CHECK(read_text("WATCHDOG=1") && words.said == NOTIFY_ALIVE);
	CHECK(read_text("WATCHDOG=trigger") && words.said == NOTIFY_TRIGGER);
	CHECK(read_text("STATUS=up\nREADY=1\nMAINPID=12\nWATCHDOG=1") &&
	      words.said == (NOTIFY_STATUS | NOTIFY_READY | NOTIFY_ALIVE));
	CHECK_TEXT(words.status, "up");
}

TEST("what is nearly a word is none")
{
	CHECK(read_text("READY=0") && words.said == 0);
	CHECK(read_text("READY=11") && words.said == 0);
	CHECK(read_text("READY=1 ") && words.said == 0);
	CHECK(read_text(" READY=1") && words.said == 0);
	CHECK(read_text("ready=1") && words.said == 0);
	CHECK(read_text("READY") && words.said == 0);
	CHECK(read_text("READY=") && words.said == 0);
	CHECK(read_text("=1") && words.said == 0);
	CHECK(read_text("NOTREADY=1") && words.said == 0);
	CHECK(read_text("WATCHDOG=Trigger") && words.said == 0);
	CHECK(read_text("READY=1\r\nSTOPPING=1") && words.said == NOTIFY_STOPPING);
}

TEST("microseconds become milliseconds, never fewer than were meant")
{
	CHECK(read_text("WATCHDOG_USEC=100000") && words.said == NOTIFY_INTERVAL && words.watchdog_ms == 100);
	CHECK(read_text("WATCHDOG_USEC=100001") && words.watchdog_ms == 101);
	CHECK(read_text("WATCHDOG_USEC=1") && words.watchdog_ms == 1);
	CHECK(read_text("EXTEND_TIMEOUT_USEC=90000000") && words.said == NOTIFY_EXTENSION &&
	      words.extension_ms == 90000);
}

TEST("no promise at all, and one that lasts longer than a day, end the promise")
{
	CHECK(read_text("WATCHDOG_USEC=0") && words.said == NOTIFY_INTERVAL && words.watchdog_ms == 0);
	CHECK(read_text("WATCHDOG_USEC=86400000000") && words.watchdog_ms == NOTIFY_TIME_MAX_MS);
	CHECK(read_text("WATCHDOG_USEC=86400001000") && words.watchdog_ms == 0);
	CHECK(read_text("WATCHDOG_USEC=18446744073709551615") && words.said == NOTIFY_INTERVAL &&
	      words.watchdog_ms == 0);
	CHECK(read_text("EXTEND_TIMEOUT_USEC=18446744073709551615") &&
	      words.extension_ms == NOTIFY_TIME_MAX_MS);
}

TEST("a number is digits, and not too many")
{
	CHECK(read_text("WATCHDOG_USEC=-1") && words.said == 0);
	CHECK(read_text("WATCHDOG_USEC=+1") && words.said == 0);
	CHECK(read_text("WATCHDOG_USEC= 1") && words.said == 0);
	CHECK(read_text("WATCHDOG_USEC=1s") && words.said == 0);
	CHECK(read_text("WATCHDOG_USEC=") && words.said == 0);
	CHECK(read_text("WATCHDOG_USEC=18446744073709551616") && words.said == 0);
	CHECK(read_text("WATCHDOG_USEC=000000000000000000001") && words.said == 0);
	CHECK(read_text("EXTEND_TIMEOUT_USEC=x") && words.said == 0);
}

TEST("a status is shown as it is, without what would disturb a terminal")
{
	char text[NOTIFY_STATUS_MAX * 2] = "STATUS=";

	CHECK(read_text("STATUS=50 % – a=b") && words.said == NOTIFY_STATUS);
	CHECK_TEXT(words.status, "50 % – a=b");
	CHECK(read_text("STATUS=a\x1b[2Jb\x80"
	                "c\xc2\x85"));
	CHECK_TEXT(words.status, "a?[2Jb?c?");
	CHECK(read_text("STATUS=") && words.said == NOTIFY_STATUS);
	CHECK_TEXT(words.status, "");
	memset(text + strlen(text), 'x', NOTIFY_STATUS_MAX);
	CHECK(read_text(text));
	CHECK(strlen(words.status) == NOTIFY_STATUS_MAX - 1);
}

TEST("a status is not cut within a character")
{
	char text[NOTIFY_STATUS_MAX * 2] = "STATUS=";

	memset(text + strlen(text), 'x', NOTIFY_STATUS_MAX - 2);
	memcpy(text + strlen(text), "€", sizeof("€"));
	CHECK(read_text(text));
	CHECK(strlen(words.status) == NOTIFY_STATUS_MAX - 2);
}

TEST("what is no text says nothing")
{
	static char long_text[NOTIFY_DATAGRAM_MAX + 1];

	CHECK(!notify_read("", 0, &words));
	CHECK(!notify_read("", 1, &words));
	CHECK(!notify_read("READY=1\0STOPPING=1", 18, &words) && words.said == 0);
	CHECK(notify_read("READY=1", 8, &words) && words.said == NOTIFY_READY);
	memset(long_text, '\n', sizeof(long_text));
	memcpy(long_text, "READY=1", 7);
	CHECK(!notify_read(long_text, sizeof(long_text), &words));
	CHECK(notify_read(long_text, sizeof(long_text) - 1, &words) && words.said == NOTIFY_READY);
}

TEST("of two that contradict each other both are told; the last number counts")
{
	CHECK(read_text("READY=1\nSTOPPING=1") && words.said == (NOTIFY_READY | NOTIFY_STOPPING));
	CHECK(read_text("WATCHDOG_USEC=1000\nWATCHDOG_USEC=2000") && words.watchdog_ms == 2);
	CHECK(read_text("WATCHDOG_USEC=1000\nWATCHDOG_USEC=x") && words.watchdog_ms == 1);
}
