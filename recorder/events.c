#include "recorder/events.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "channel/message.h"
#include "recorder/moment.h"
#include "recorder/print.h"
#include "recorder/reader.h"
#include "world/world.h"

#define PAGE_ROWS     64
#define LIMIT_DEFAULT 50
#define POLL_MS       1000

#define EXIT_FAILED 1
#define EXIT_USAGE  2

struct request {
	const char *state_dir;
	bool json, follow, colours;
	bool has_after;
	bool bounded;  /* --since, --after or --incident says where to begin */
	int64_t limit; /* -1: not given; 0: all */
	int64_t after;
	struct event_filter filter;
};

struct follower {
	struct reader reader;
	const struct request *request;
	int64_t after;
	int failures; /* in a row */
	int inotify_fd, watch, signal_fd;
};

static const char usage_text[] =
    "usage: holdfast events [--json] [--follow] [--since TIME] [--kind PATTERN] [--severity MIN]\n"
    "                       [--incident N] [--after ID] [--limit N]\n"
    "\n"
    "  --json           one JSON object a line: id, time, kind, severity, incident, reason, evidence\n"
    "  --follow         then go on with new events as they are stored, until Ctrl-C\n"
    "  --since TIME     from 2h, 30m, 7d ago; a date; or 2026-11-21T09:14:18Z\n"
    "  --kind PATTERN   gateway.exited, gateway.*, or several with commas; may be repeated\n"
    "  --severity MIN   info, warning, error or critical, and above\n"
    "  --incident N     only what belongs to this incident\n"
    "  --after ID       only events with a higher id, the oldest first\n"
    "  --limit N        at most N: the first ones with --after, else the last; 0 for all. Without it: the "
    "last 50,\n"
    "                   or all with --json, --since, --after or --incident\n";

static void say(const char *sentence)
{
	fputs("holdfast events: ", stderr);
	print_plain(stderr, sentence);
	putc('\n', stderr);
}

static int wrong(const char *option, const char *value, const char *allowed)
{
	struct error why;

	error_set(&why, -EINVAL, "%s \"%.60s\" is not possible: %s.", option, value, allowed);
	say(why.text);
	return EXIT_USAGE;
}

static int set_number(const char *option, const char *value, int64_t *number)
{
	uint64_t read;

	if (text_to_u64(value, INT64_MAX, &read) < 0)
		return wrong(option, value, "write a whole number from 0 on");
	*number = (int64_t)read;
	return 0;
}

static int set_severity(struct request *request, const char *value)
{
	for (uint32_t severity = SEVERITY_INFO; severity <= SEVERITY_CRITICAL; severity++) {
		if (strcmp(value, event_severity_name(severity)) == 0) {
			request->filter.min_severity = severity;
			return 0;
		}
	}
	return wrong("--severity", value, "write info, warning, error or critical");
}

static int set_option(struct request *request, int option, const char *value)
{
	struct error why;
	int64_t incident = 0;

	switch (option) {
	case 'd':
		request->state_dir = value;
		return 0;
	case 'j':
		request->json = true;
		return 0;
	case 'f':
		request->follow = true;
		return 0;
	case 'l':
		return set_number("--limit", value, &request->limit);
	case 'a':
		request->has_after = request->bounded = true;
		return set_number("--after", value, &request->after);
	case 'm':
		return set_severity(request, value);
	case 'i':
		if (set_number("--incident", value, &incident) != 0 || incident == 0)
			return incident == 0 && strcmp(value, "0") != 0
			           ? EXIT_USAGE
			           : wrong("--incident", value, "write its number");
		request->filter.incident = (uint64_t)incident;
		request->bounded = true;
		return 0;
	case 's':
		request->bounded = true;
		if (moment_parse(value, clock_real_ms(), &request->filter.since_ms, &why) == 0)
			return 0;
		break;
	case 'k':
		if (event_filter_add_kinds(&request->filter, value, &why) == 0)
			return 0;
		break;
	default:
		return EXIT_USAGE;
	}
	say(why.text);
	return EXIT_USAGE;
}

static bool wants_colours(void)
{
	const char *unwanted = getenv("NO_COLOR"), *terminal = getenv("TERM");

	if ((unwanted != NULL && *unwanted != '\0') || !isatty(STDOUT_FILENO))
		return false;
	return terminal != NULL && *terminal != '\0' && strcmp(terminal, "dumb") != 0;
}

/* Returns -1 when the command is to be carried out, else the exit code. */
static int parse(struct request *request, int argc, char **argv)
{
	static const struct option options[] = {{"state-dir", required_argument, NULL, 'd'},
	    {"json", no_argument, NULL, 'j'}, {"follow", no_argument, NULL, 'f'},
	    {"since", required_argument, NULL, 's'}, {"kind", required_argument, NULL, 'k'},
	    {"limit", required_argument, NULL, 'l'}, {"after", required_argument, NULL, 'a'},
	    {"severity", required_argument, NULL, 'm'}, {"incident", required_argument, NULL, 'i'},
	    {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	static char name[] = "holdfast events";
	int option, result;

	argv[0] = name; /* what a person typed */
	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (option == 'h') {
			fputs(usage_text, stdout);
			return 0;
		}
		if (option == '?') {
			fputs("See \"holdfast events --help\".\n", stderr);
			return EXIT_USAGE;
		}
		result = set_option(request, option, optarg);
		if (result != 0)
			return result;
	}
	if (optind < argc)
		return wrong("The word", argv[optind], "the events command takes options only, see --help");
	if (request->state_dir == NULL || request->state_dir[0] == '\0') {
		say("--state-dir is missing: it is where the event store lies.");
		return EXIT_USAGE;
	}
	if (request->limit < 0)
		request->limit = request->json || request->bounded ? 0 : LIMIT_DEFAULT;
	request->colours = !request->json && wants_colours();
	return -1;
}

/* Prints what there is after follower->after, at most `limit` (0: all). Returns how many, or a negative
 * errno: -EPIPE when nobody reads any more, and then there is nothing to say about it. */
static int64_t print_events(struct follower *follower, int64_t limit, struct error *why)
{
	static struct event_row rows[PAGE_ROWS];
	const struct request *request = follower->request;
	int64_t printed = 0;
	int count;

	do {
		int wanted = limit != 0 && limit - printed < PAGE_ROWS ? (int)(limit - printed) : PAGE_ROWS;

		count = wanted == 0 ? 0
		                    : reader_page(&follower->reader, &request->filter, follower->after, rows,
		                          wanted, why);
		if (count < 0)
			return count;
		for (int i = 0; i < count; i++) {
			if (request->json)
				event_print_json(stdout, &rows[i]);
			else
				event_print_text(stdout, &rows[i], request->colours);
			follower->after = rows[i].id;
		}
		printed += count;
		errno = 0;
		if (fflush(stdout) != 0 || ferror(stdout))
			return errno == EPIPE ? error_set(why, -EPIPE, " ")
			                      : error_set(why, -EIO, "The events cannot be written out: %s.",
			                            strerror(errno));
	} while (count == PAGE_ROWS);
	return printed;
}

static int64_t print_first(struct follower *follower, struct error *why)
{
	const struct request *request = follower->request;
	bool replaced;
	int result = reader_open(&follower->reader, &replaced, why);

	if (result == 0 && request->limit != 0 && !request->has_after)
		result = reader_before_last(
		    &follower->reader, &request->filter, request->limit, &follower->after, why);
	return result < 0 ? result : print_events(follower, request->limit, why);
}

/* The directory is watched, not the file: the log is written first, and either file may be replaced. */
static void watch_again(struct follower *follower)
{
	if (follower->inotify_fd >= 0)
		follower->watch = world_inotify_add_watch(follower->inotify_fd, follower->request->state_dir,
		    IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF |
		        IN_ONLYDIR);
}

/* Waits until something may have changed. Returns false when it is time to end: a signal, or nobody reads. */
static bool wait_for_change(struct follower *follower)
{
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	struct pollfd watched[] = {{.fd = follower->signal_fd, .events = POLLIN}, {.fd = STDOUT_FILENO},
	    {.fd = follower->inotify_fd, .events = POLLIN}};
	int wait_ms =
	    follower->watch >= 0 && !follower->reader.frozen && follower->failures == 0 ? -1 : POLL_MS;

	if (poll(watched, 3, wait_ms) < 0)
		return errno == EINTR;
	if (watched[0].revents != 0 || (watched[1].revents & (POLLERR | POLLHUP | POLLNVAL)))
		return false;
	if (watched[2].revents != 0) {
		ssize_t length = world_read(follower->inotify_fd, events, sizeof(events));

		for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= length;) {
			const struct inotify_event *event = (const struct inotify_event *)(events + at);

			if ((event->mask & (IN_IGNORED | IN_MOVE_SELF)) && event->wd == follower->watch)
				follower->watch = -1;
			at += (ssize_t)sizeof(*event) + event->len;
		}
	}
	if (follower->watch < 0)
		watch_again(follower);
	return true;
}

/* A store that was replaced goes on with higher ids; one that was removed and begun anew starts from the
 * first. */
static int64_t print_new(struct follower *follower, struct error *why)
{
	bool replaced;
	int64_t newest;
	int result = reader_open(&follower->reader, &replaced, why);

	if (result == 0 && replaced) {
		result = reader_newest(&follower->reader, &newest, why);
		if (result == 0 && newest < follower->after)
			follower->after = 0;
	}
	return result < 0 ? result : print_events(follower, 0, why);
}

static int follow(struct follower *follower)
{
	struct error why;
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	follower->signal_fd = world_signalfd(-1, &signals, SFD_CLOEXEC);
	follower->inotify_fd = world_inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	follower->watch = -1;
	watch_again(follower);
	do {
		int64_t result = print_new(follower, &why);

		if (result == -EPIPE)
			return 0;
		if (result == -EIO && ferror(stdout)) {
			say(why.text);
			return EXIT_FAILED;
		}
		/* A store that cannot be read may just be in the middle of being replaced: looked at again
		 * before it is said, once, and then waited for. One that is not there yet is waited for
		 * without a word. */
		follower->failures = result < 0 && result != -ENOENT ? follower->failures + 1 : 0;
		if (follower->failures == 2)
			say(why.text);
		if (result < 0)
			reader_close(&follower->reader);
	} while (wait_for_change(follower));
	return 0;
}

int events_main(int argc, char **argv)
{
	static struct request request = {.limit = -1};
	static struct follower follower = {.signal_fd = -1, .inotify_fd = -1, .watch = -1};
	struct error why;
	int64_t result;
	int code = parse(&request, argc, argv);

	if (code >= 0)
		return code;
	signal(SIGPIPE, SIG_IGN);
	follower.request = &request;
	follower.after = request.after;
	if (reader_init(&follower.reader, request.state_dir, &why) < 0) {
		say(why.text);
		return EXIT_FAILED;
	}
	result = print_first(&follower, &why);
	if (result == -EPIPE)
		return 0;
	if (result == -ENOENT && !request.follow) {
		if (!request.json)
			say(why.text);
		return 0;
	}
	if (result < 0 && !(request.follow && result == -ENOENT)) {
		say(why.text);
		return EXIT_FAILED;
	}
	code = request.follow ? follow(&follower) : 0;
	reader_close(&follower.reader);
	return code;
}
