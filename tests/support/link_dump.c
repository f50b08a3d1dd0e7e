/* A link (sentry/link.h) to play with: tells on standard output what it does, a JSON object a line, and does
 * what the lines on standard input say: "request METHOD", "try", "changed", "stop", "start".
 *
 *   link_dump CONFIG STATE_DIRECTORY PORT PID TIMEOUT_MS INTERVAL_MS [once] [SCOPE...] */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "format/json_write.h"
#include "sentry/link.h"

#define SCOPES_MAX 8

static struct settings settings;
static struct loop loop;
static struct link link_under_test;
static struct loop_source commands;
static struct loop_timer poll;
static const char *scopes[SCOPES_MAX + 1] = {"operator.read"};
static uint32_t port;
static int pid;
static uint64_t generation, ticks_told;
static bool failing_told;

static settings_text add(const char *string)
{
	settings_text offset = settings.pool_used + 1;

	if (!text_copy(settings.pool + offset, sizeof(settings.pool) - offset, string))
		abort();
	settings.pool_used = offset + (uint32_t)strlen(string);
	return offset;
}

static void tell(const char *what, const char *detail)
{
	struct link *link = &link_under_test;
	char bytes[2048];
	struct text text;

	text_init(&text, bytes, sizeof(bytes));
	json_write_begin(&text, '{');
	json_write_key(&text, "what");
	json_write_string(&text, what);
	json_write_key(&text, "detail");
	json_write_string(&text, detail);
	json_write_key(&text, "state");
	json_write_string(&text, link_state_name(link->state));
	json_write_key(&text, "result");
	json_write_integer(&text, link_result(link, clock_boot_ms()));
	json_write_key(&text, "failing");
	json_write_bool(&text, link->failing_since_ms != 0);
	json_write_key(&text, "ticks");
	json_write_unsigned(&text, link->ticks);
	json_write_key(&text, "tick_interval_ms");
	json_write_integer(&text, link->tick_interval_ms);
	json_write_key(&text, "protocol");
	json_write_unsigned(&text, link->hello.protocol);
	json_write_key(&text, "version");
	json_write_string(&text, link->hello.version);
	json_write_key(&text, "status");
	json_write_unsigned(&text, link->status);
	json_write_key(&text, "silent_ms");
	json_write_integer(&text, link_heard_ms(link) != 0 ? clock_boot_ms() - link_heard_ms(link) : -1);
	json_write_key(&text, "too_large");
	json_write_unsigned(&text, link->main.too_large);
	json_write_end(&text, '}');
	printf("%s\n", bytes);
	fflush(stdout);
}

static void changed(struct link *link)
{
	(void)link;
	tell("changed", NULL);
}

static void said(struct link *link, const char *sentence)
{
	(void)link;
	tell("said", sentence);
}

static void answered(struct link *link, int result, const struct link_frame *frame, void *context)
{
	char detail[512];

	(void)link;
	snprintf(detail, sizeof(detail), "%s %d %s %s", (const char *)context, result,
	    frame != NULL && frame->ok ? "ok" : "not-ok", frame != NULL ? frame->code : "");
	tell("answered", detail);
}

static void poll_link(struct loop_timer *timer)
{
	loop_timer_arm(&loop, timer, clock_boot_ms() + 10);
	if (link_under_test.ticks != ticks_told)
		tell("tick", NULL);
	ticks_told = link_under_test.ticks;
	if ((link_under_test.failing_since_ms != 0) != failing_told)
		tell("failing", NULL);
	failing_told = link_under_test.failing_since_ms != 0;
}

static void do_line(char *line)
{
	static char method[64];

	if (strncmp(line, "request ", 8) == 0) {
		char detail[96];
		int result;

		text_copy(method, sizeof(method), line + 8);
		result = link_request(
		    &link_under_test, method, NULL, settings.health.timeout_ms, answered, method);
		snprintf(detail, sizeof(detail), "%s %d", method, result);
		tell("requested", detail);
	} else if (strcmp(line, "try") == 0) {
		link_try(&link_under_test);
	} else if (strcmp(line, "changed") == 0) {
		link_configuration_changed(&link_under_test);
	} else if (strcmp(line, "stop") == 0) {
		link_stop(&link_under_test);
		tell("stopped", NULL);
	} else if (strcmp(line, "start") == 0) {
		link_start(&link_under_test, ++generation, pid, port);
	}
}

static void commands_came(struct loop_source *source, uint32_t events)
{
	char bytes[512], *line, *rest = bytes;
	ssize_t length = read(STDIN_FILENO, bytes, sizeof(bytes) - 1);

	(void)events;
	(void)source;
	if (length <= 0) {
		loop_stop(&loop);
		return;
	}
	bytes[length] = '\0';
	while ((line = strsep(&rest, "\n")) != NULL)
		do_line(line);
}

int main(int argc, char **argv)
{
	struct link *link = &link_under_test;
	int scope = 7;

	if (argc < 7)
		return 2;
	settings.gateway.kind = GATEWAY_OPENCLAW;
	settings.gateway.config_path = add(argv[1]);
	settings.gateway.state_directory = add(argv[2]);
	port = (uint32_t)strtoul(argv[3], NULL, 10);
	pid = (int)strtol(argv[4], NULL, 10);
	settings.health.timeout_ms = strtol(argv[5], NULL, 10);
	settings.health.interval_ms = strtol(argv[6], NULL, 10);
	if (scope < argc && strcmp(argv[scope], "once") == 0) {
		link->once = true;
		scope++;
	}
	for (int i = 0; scope < argc && i < SCOPES_MAX; i++)
		scopes[i] = argv[scope++];
	loop_init(&loop);
	link->loop = &loop;
	link->settings = &settings;
	link->scopes = scopes;
	link->changed = changed;
	link->said = said;
	link_init(link);
	commands.callback = commands_came;
	loop_source_watch(&loop, &commands, STDIN_FILENO, EPOLLIN);
	poll.callback = poll_link;
	poll_link(&poll);
	do_line((char[]){"start"});
	loop_run(&loop);
	link_stop(link);
	loop_source_retire(&commands);
	loop_release(&loop);
	return 0;
}
