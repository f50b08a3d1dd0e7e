#include "recorder/explain.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "channel/message.h"
#include "format/json_write.h"
#include "recorder/print.h"
#include "recorder/story.h"

#define EXIT_FAILED 1
#define EXIT_USAGE  2
#define PAGE_ROWS   32
#define WIDTH_MIN   60
#define WIDTH_MAX   120

struct request {
	const char *state_dir;
	bool json, whole_console;
	uint64_t incident; /* 0: the newest */
};

static const char usage_text[] = "usage: holdfast explain [--json] [--console] [INCIDENT]\n"
                                 "\n"
                                 "  INCIDENT     its number; without it, the newest\n"
                                 "  --json       one JSON object: incident, events, report, advice\n"
                                 "  --console    all lines that the gateway had printed and the report has\n";

static void say(const char *sentence)
{
	fputs("holdfast explain: ", stderr);
	print_plain(stderr, sentence);
	putc('\n', stderr);
}

static int set_incident(struct request *request, const char *word)
{
	struct error why;

	/* As people see it in other places. */
	if (*word == '#')
		word++;
	if (text_to_u64(word, UINT64_MAX, &request->incident) == 0 && request->incident != 0)
		return 0;
	error_set(&why, -EINVAL,
	    "\"%.60s\" is not the number of an incident: \"holdfast events\" shows them as #1.", word);
	say(why.text);
	return EXIT_USAGE;
}

/* Returns -1 when the command is to be carried out, else the exit code. */
static int parse(struct request *request, int argc, char **argv)
{
	static const struct option options[] = {{"state-dir", required_argument, NULL, 'd'},
	    {"json", no_argument, NULL, 'j'}, {"console", no_argument, NULL, 'c'},
	    {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	static char name[] = "holdfast explain";
	int option;

	argv[0] = name; /* what a person typed */
	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (option) {
		case 'd':
			request->state_dir = optarg;
			break;
		case 'j':
			request->json = true;
			break;
		case 'c':
			request->whole_console = true;
			break;
		case 'h':
			fputs(usage_text, stdout);
			return 0;
		default:
			fputs("See \"holdfast explain --help\".\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (argc - optind > 1) {
		say("One incident is explained at a time.");
		return EXIT_USAGE;
	}
	if (optind < argc && set_incident(request, argv[optind]) != 0)
		return EXIT_USAGE;
	if (request->state_dir == NULL || request->state_dir[0] == '\0') {
		say("--state-dir is missing: it is where the event store lies.");
		return EXIT_USAGE;
	}
	return -1;
}

/* Lines of any length where no terminal shows them. */
static int terminal_width(void)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return 0;
	return size.ws_col < WIDTH_MIN ? WIDTH_MIN : size.ws_col > WIDTH_MAX ? WIDTH_MAX : size.ws_col;
}

static void write_moment(struct text *json, const char *key, int64_t time_ms)
{
	char time_text[CLOCK_TEXT_MAX];

	json_write_key(json, key);
	json_write_string(json, time_ms != 0 ? clock_format(time_text, sizeof(time_text), time_ms) : NULL);
}

static void print_incident(const struct story *story)
{
	const struct incident_row *incident = &story->incident;
	char buffer[8 * (READER_KIND_SIZE + READER_REASON_SIZE)];
	struct text json;

	text_init(&json, buffer, sizeof(buffer));
	json_write_begin(&json, '{');
	json_write_key(&json, "id");
	json_write_unsigned(&json, incident->id);
	write_moment(&json, "began", story_began_ms(story));
	write_moment(&json, "ended", incident->closed_ms);
	json_write_key(&json, "durationMs");
	if (incident->closed_ms != 0)
		json_write_integer(&json, story_duration_ms(story));
	else
		json_write_null(&json);
	json_write_key(&json, "kind");
	json_write_string(&json, incident->kind);
	json_write_key(&json, "severity");
	json_write_string(&json, event_severity_name(incident->severity));
	json_write_key(&json, "reason");
	json_write_string(&json, incident->reason);
	json_write_end(&json, '}');
	print_json(stdout, buffer);
}

static int print_events(const struct story *story, struct reader *reader, struct error *why)
{
	static struct event_row rows[PAGE_ROWS];
	struct event_filter filter = {.incident = story->incident.id};
	bool begun = story->suspicion.kind[0] != '\0';
	int64_t after = 0;
	int count;

	if (begun)
		event_print_object(stdout, &story->suspicion);
	do {
		count = reader_page(reader, &filter, after, rows, PAGE_ROWS, why);
		for (int i = 0; i < count; i++) {
			fputs(begun ? "," : "", stdout);
			event_print_object(stdout, &rows[i]);
			begun = true;
			after = rows[i].id;
		}
	} while (count == PAGE_ROWS);
	return count < 0 ? count : 0;
}

static int print_as_json(struct story *story, struct reader *reader, struct error *why)
{
	char buffer[4096];
	struct text json;
	int result = story_read(story, reader, why);

	if (result < 0)
		return result;
	fputs("{\"incident\":", stdout);
	print_incident(story);
	fputs(",\"events\":[", stdout);
	result = print_events(story, reader, why);
	if (result < 0)
		return result;
	fputs("],\"report\":", stdout);
	print_json(stdout, story->root != NULL ? story->report : "null");
	text_init(&json, buffer, sizeof(buffer));
	text_add(&json, ",\"advice\": ");
	json_write_string(&json, story_advice(story));
	print_json(stdout, json.truncated ? ",\"advice\": null" : buffer);
	puts("}");
	return 0;
}

static int print_as_text(
    struct story *story, struct reader *reader, const struct request *request, struct error *why)
{
	int result = story_read(story, reader, why);

	if (result == 0)
		story_tell(stdout, story, terminal_width(), request->whole_console);
	return result;
}

static int nothing_to_explain(const struct request *request)
{
	struct error why;

	if (request->incident != 0) {
		error_set(&why, -ENOENT,
		    "There is no incident %" PRIu64 ": \"holdfast events\" shows the numbers of those kept.",
		    request->incident);
		say(why.text);
		return EXIT_FAILED;
	}
	puts(request->json ? "{\"incident\":null,\"events\":[],\"report\":null,\"advice\":null}"
	                   : "There was no incident yet: nothing has to be explained.");
	return 0;
}

static int explain(const struct request *request, struct error *why)
{
	static struct reader reader;
	static struct story story;
	bool replaced;
	int result = reader_init(&reader, request->state_dir, why);

	if (result == 0)
		result = reader_open(&reader, &replaced, why);
	if (result == -ENOENT)
		return nothing_to_explain(request);
	if (result == 0)
		result = reader_incident(&reader, request->incident, &story.incident, why);
	if (result == 0)
		result = nothing_to_explain(request);
	else if (result > 0)
		result = request->json ? print_as_json(&story, &reader, why)
		                       : print_as_text(&story, &reader, request, why);
	reader_close(&reader);
	return result;
}

int explain_main(int argc, char **argv)
{
	static struct request request;
	struct error why;
	int result = parse(&request, argc, argv);

	if (result >= 0)
		return result;
	signal(SIGPIPE, SIG_IGN);
	result = explain(&request, &why);
	if (result < 0) {
		say(why.text);
		return EXIT_FAILED;
	}
	errno = 0;
	if ((fflush(stdout) != 0 || ferror(stdout)) && errno != EPIPE) {
		error_set(&why, -EIO, "It cannot be written out: %s.", strerror(errno));
		say(why.text);
		return EXIT_FAILED;
	}
	return result;
}
