/* Examines a process and prints the result, for tests, and then another one if it is named: the lines of the
 * console come on standard input.
 *
 * usage: autopsy_once PID PORT DIRECTORY MAY_OPEN BLOCKED_MS [PID PORT] <CONSOLE */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "format/json_write.h"
#include "sentry/autopsy.h"

static struct loop loop;
static struct autopsy autopsy;
static struct autopsy_request request;
static struct loop_timer next;
static char line[4096];
static size_t line_length;

static void print_result(struct autopsy *examined, const struct autopsy_result *result)
{
	char bytes[2048];
	struct text json;

	(void)examined;
	text_init(&json, bytes, sizeof(bytes));
	json_write_begin(&json, '{');
	json_write_key(&json, "cause");
	json_write_string(&json, autopsy_cause_name(result->cause));
	json_write_key(&json, "sentence");
	json_write_string(&json, result->sentence);
	json_write_key(&json, "advice");
	json_write_string(&json, result->advice);
	json_write_key(&json, "file");
	json_write_string(&json, result->file);
	json_write_key(&json, "opened");
	json_write_bool(&json, result->opened);
	json_write_key(&json, "took_ms");
	json_write_integer(&json, result->took_ms);
	json_write_end(&json, '}');
	puts(json.data);
	if (next.context == NULL)
		loop_stop(&loop);
	else
		loop_timer_arm(&loop, &next, 1);
}

static void begin(void)
{
	int result = autopsy_begin(&autopsy, &request);

	if (result < 0) {
		fprintf(stderr, "autopsy_begin: %s\n", strerror(-result));
		exit(1);
	}
}

static void console_came(struct loop_source *source, uint32_t events)
{
	char c;

	(void)events;
	while (read(source->fd, &c, 1) == 1) {
		if (c != '\n' && line_length < sizeof(line) - 1) {
			line[line_length++] = c;
			continue;
		}
		line[line_length] = '\0';
		autopsy_line(&autopsy, line);
		line_length = 0;
	}
}

static uint64_t number(const char *word)
{
	uint64_t value;

	if (text_to_u64(word, UINT32_MAX, &value) < 0)
		value = 0;
	return value;
}

static void begin_next(struct loop_timer *timer)
{
	char **words = timer->context;

	timer->context = NULL;
	request.pid = (int)number(words[0]);
	request.port = (uint32_t)number(words[1]);
	begin();
}

int main(int argc, char **argv)
{
	static const char lines[] =
	    "an earlier line\n\x1b[31ma \xff line\x1b[0m with what a terminal obeys\n";
	struct loop_source console = {.callback = console_came, .fd = -1};
	int result;

	request = (struct autopsy_request){
	    .generation = 7, .console_lines = lines, .console_length = sizeof(lines) - 1};
	if ((argc != 6 && argc != 8) || loop_init(&loop) < 0)
		return 2;
	request.pid = (int)number(argv[1]);
	request.port = (uint32_t)number(argv[2]);
	request.directory = argv[3];
	request.may_open = number(argv[4]) != 0;
	request.blocked_ms = (int64_t)number(argv[5]);
	fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
	loop_source_watch(&loop, &console, STDIN_FILENO, EPOLLIN);
	autopsy = (struct autopsy){.loop = &loop, .done = print_result};
	autopsy_init(&autopsy);
	next = (struct loop_timer){.callback = begin_next, .context = argc == 8 ? argv + 6 : NULL};
	begin();
	result = loop_run(&loop);
	autopsy_cancel(&autopsy);
	loop_release(&loop);
	return result < 0;
}
