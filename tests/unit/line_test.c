#include "support/tap.h"

#include "sentry/line.h"
#include "sentry/tail.h"

static const char *strip(const char *line)
{
	static char target[256];

	line_strip(target, sizeof(target), line, strlen(line));
	return target;
}

TEST("escape sequences and control characters are gone, everything else stays")
{
	CHECK_TEXT(strip("\033[90m2026\033[39m \033[36m[gateway]\033[39m ready"), "2026 [gateway] ready");
	CHECK_TEXT(strip("\033]0;title\007after"), "after");
	CHECK_TEXT(strip("\033]8;;http://x\033\\link\033]8;;\033\\"), "link");
	CHECK_TEXT(strip("a\rb\bc\001d\te"), "abcd e");
	CHECK_TEXT(strip("\033(Bplain\033="), "plain");
	CHECK_TEXT(strip("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
}

TEST("an unfinished escape sequence ends with the line")
{
	CHECK_TEXT(strip("a\033"), "a");
	CHECK_TEXT(strip("a\033["), "a");
	CHECK_TEXT(strip("a\033[3;"), "a");
	CHECK_TEXT(strip("a\033]0;never ended"), "a");
}

TEST("a stripped line is cut to fit")
{
	char target[4];

	CHECK(line_strip(target, sizeof(target), "abcdef", 6) == 3);
	CHECK_TEXT(target, "abc");
}

TEST("line ends are counted exactly, whatever surrounds them")
{
	char bytes[300] = "";

	for (size_t length = 0; length < sizeof(bytes); length++) {
		uint64_t wanted = 0;

		for (size_t i = 0; i < length; i++) {
			static const char pool[] = {
			    '\n', '\v', '\t', '\0', (char)0x8a, 'x', '\n', (char)0xff};

			bytes[i] = pool[(i * 7 + length * 3) % sizeof(pool)];
			wanted += bytes[i] == '\n';
		}
		if (!CHECK(line_count(bytes, length) == wanted))
			return;
	}
}

TEST("sizes are said as people say them")
{
	char target[24];

	CHECK_TEXT(line_size(target, sizeof(target), 999), "999 bytes");
	CHECK_TEXT(line_size(target, sizeof(target), 1234567), "1.2 MB");
	CHECK_TEXT(line_size(target, sizeof(target), UINT64_MAX), "18446744073.7 GB");
}

static struct tail tail;
static char kept[TAIL_BYTES];

TEST("the tail keeps the newest bytes of a range")
{
	memset(&tail, 0, sizeof(tail));
	tail_add(&tail, "old\n", 4);
	tail_add(&tail, "new\n", 4);

	CHECK(tail_copy(&tail, 4, UINT64_MAX, kept) == 4 && memcmp(kept, "new\n", 4) == 0);
	CHECK(tail_copy(&tail, 0, 4, kept) == 4 && memcmp(kept, "old\n", 4) == 0);
	CHECK(tail_copy(&tail, 8, UINT64_MAX, kept) == 0);
	CHECK(tail_copy(&tail, 9, 3, kept) == 0);
}

TEST("the tail keeps no more than its last lines and bytes")
{
	size_t length;

	memset(&tail, 0, sizeof(tail));
	for (int i = 0; i < 100000; i++) {
		char line[32];

		tail_add(&tail, line, (size_t)snprintf(line, sizeof(line), "line %d\n", i));
	}
	length = tail_copy(&tail, 0, UINT64_MAX, kept);

	CHECK(line_count(kept, length) == TAIL_LINES_MAX);
	CHECK(memcmp(kept, "line 99800\n", 11) == 0);
	CHECK(memcmp(kept + length - 11, "line 99999\n", 11) == 0);
}

TEST("one write longer than the tail leaves its end")
{
	static char flood[TAIL_BYTES * 3];

	memset(flood, 'x', sizeof(flood));
	for (size_t i = 0; i < 5; i++)
		flood[sizeof(flood) - 5 + i] = "\nend\n"[i];
	memset(&tail, 0, sizeof(tail));
	tail_add(&tail, flood, sizeof(flood));

	CHECK(tail.end == sizeof(flood));
	CHECK(tail_copy(&tail, sizeof(flood) - 4, UINT64_MAX, kept) == 4 && memcmp(kept, "end\n", 4) == 0);
	CHECK(tail_copy(&tail, 0, UINT64_MAX, kept) == TAIL_BYTES);
}
