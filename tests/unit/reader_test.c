/* Reading the event store: filters, what is printed, and moments as people write them. */
#include "recorder/moment.h"
#include "recorder/print.h"
#include "tests/support/store_home.h"
#include "tests/support/tap.h"

#define DAY_MS ((int64_t)86400000)

TEST("the reader filters by kind, severity, incident, time and id")
{
	struct event_filter filter = {0};

	given_an_empty_directory();
	for (uint64_t i = 1; i <= 6; i++) {
		struct message_event event = event_of(1, i, i % 2 == 1 ? "gateway.exited" : "worker.exited");

		event.severity = (uint32_t)(i % 4);
		event.incident = i > 4 ? 2 : 0;
		CHECK(store_write(&store, &event, 1, &why) == 0);
	}

	CHECK(event_filter_add_kinds(&filter, "gateway.*", &why) == 0 && read_all(&filter, 0, rows, 10) == 3);
	CHECK(event_filter_add_kinds(&filter, "nothing,worker.exited", &why) == 0 &&
	      read_all(&filter, 0, rows, 10) == 6);
	filter = (struct event_filter){.min_severity = SEVERITY_ERROR};
	CHECK(read_all(&filter, 0, rows, 10) == 3);
	filter = (struct event_filter){.incident = 2};
	CHECK(read_all(&filter, 0, rows, 10) == 2 && read_all(&filter, 5, rows, 10) == 1);
	filter = (struct event_filter){.since_ms = NOW_MS + 4};
	CHECK(read_all(&filter, 0, rows, 10) == 3);
	filter = (struct event_filter){0};
	CHECK(event_filter_add_kinds(&filter, "g?teway.exited", &why) == 0 &&
	      read_all(&filter, 0, rows, 10) == 0);
	CHECK(event_filter_add_kinds(&filter, "a,,b", &why) == -EINVAL);
	clean_up();
}

static const char *printed(void (*print)(FILE *, const struct event_row *), const struct event_row *row)
{
	static char buffer[16384];
	FILE *out = fmemopen(buffer, sizeof(buffer), "w");

	print(out, row);
	fclose(out);
	return buffer;
}

static void print_text(FILE *out, const struct event_row *row)
{
	event_print_text(out, row, false);
}

TEST("nothing in an event moves a terminal")
{
	struct event_row row = {.id = 3,
	    .time_ms = NOW_MS,
	    .severity = SEVERITY_ERROR,
	    .incident = 12,
	    .kind = "gateway.exited",
	    .reason = "a\033[2Jb\nc\x7f\xc2\x9b"
	              "31m\xe2\x80\xaez\xff\xc3\xa9.",
	    .evidence = "{\"line\":\"\xc2\x9b\xe2\x80\xae\xff\xc3\xa9\"}"};

	CHECK_TEXT(printed(print_text, &row),
	    "2026-11-21T09:14:18Z  error     gateway.exited            #12    "
	    "a\\x1b[2Jb\\x0ac\\x7f\\u009b31m\\u202ez\\xff\xc3\xa9.\n");
	CHECK_TEXT(printed(event_print_json, &row),
	    "{\"id\":3,\"time\":\"2026-11-21T09:14:18.168Z\",\"kind\":\"gateway.exited\",\"severity\":"
	    "\"error\","
	    "\"incident\":12,\"reason\":\"a\\u001b[2Jb\\nc\\u007f\\u009b31m\\u202ez\xef\xbf\xbd\xc3\xa9.\","
	    "\"evidence\":{\"line\":\"\\u009b\\u202e\\ufffd\xc3\xa9\"}}\n");
}

TEST("moments are read as people write them")
{
	static const struct {
		const char *text;
		int64_t moment_ms; /* -1: refused */
	} cases[] = {
	    {"2h", NOW_MS - 7200000},
	    {"90s", NOW_MS - 90000},
	    {"30m", NOW_MS - 1800000},
	    {"1w", NOW_MS - 7 * DAY_MS},
	    {"2026-11-21", 1795219200000},
	    {"2026-11-21T09:14:18.168Z", NOW_MS},
	    {"2026-11-21T10:14:18.168+01:00", NOW_MS},
	    {"2026-11-21 09:14", NOW_MS - 18168},
	    {"2024-02-29", 1709164800000},
	    {"2026-02-29", -1},
	    {"2026-11-21T25:00Z", -1},
	    {"2026-11-21T09:14:18.Z", -1},
	    {"2026-11-21T09:14:18Zjunk", -1},
	    {"2026-11-21T09:14:18+0100", -1},
	    {"", -1},
	    {"h", -1},
	    {"-2h", -1},
	    {"2 hours", -1},
	    {"99999999999h", -1},
	    {"yesterday", -1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t moment_ms = -1;
		int result = moment_parse(cases[i].text, NOW_MS, &moment_ms, &why);

		if (!CHECK((result == 0) == (cases[i].moment_ms != -1) &&
		           (result != 0 || moment_ms == cases[i].moment_ms)))
			printf("# with \"%s\": %" PRId64 "\n", cases[i].text, moment_ms);
	}
}
