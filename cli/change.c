/* `holdfast reload` and `holdfast upgrade`: the supervisor changes itself, and the answer comes when it has.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/print.h"
#include "cli/program.h"
#include "cli/report.h"

#define LOOK_AGAIN_MS 200

static int say(
    const struct invocation *invocation, int status, const char *sentence, const struct control_reply *reply)
{
	if (invocation->json) {
		report_change_json(status == EXIT_DONE, sentence, reply->state, reply->changes);
	} else if (status == EXIT_DONE) {
		print_text(sentence);
		putchar('\n');
		print_lines(reply->changes);
	} else {
		complain("%s", sentence);
	}
	return print_finish(status);
}

/* Workers may still be taking over after the change before this one: a moment, and no reason to refuse a
 * person. */
static int ask_when_free(const struct settings *settings, const struct control_request *request,
    struct control_reply *reply, struct error *why)
{
	const struct timespec pause = {.tv_nsec = LOOK_AGAIN_MS * 1000000L};
	int64_t until_ms = clock_monotonic_ms() + CONTROL_CHANGE_MS;

	for (;;) {
		int status = ask(settings, request, reply, why);

		if (status != EXIT_DONE || reply->code != -EBUSY || clock_monotonic_ms() >= until_ms)
			return status;
		nanosleep(&pause, NULL);
	}
}

static int change(const struct invocation *invocation, const struct control_request *request)
{
	static struct settings settings;
	struct control_reply reply = {0};
	struct error why;
	int status = locate(invocation, &settings);

	if (status != 0)
		return status;
	status = ask_when_free(&settings, request, &reply, &why);
	if (status != EXIT_DONE)
		return say(invocation, status, why.text, &reply);
	return say(invocation, reply.code < 0 ? EXIT_FAILED : EXIT_DONE, reply.sentence, &reply);
}

int run_reload(struct invocation *invocation)
{
	const struct control_request request = {.version = CONTROL_VERSION, .verb = CONTROL_RELOAD};

	return change(invocation, &request);
}

static int find_path(const char *name, char target[CONTROL_PATH_MAX], struct error *why)
{
	char path[PATH_MAX];
	int result = program_find(name, path, why);

	if (result < 0)
		return result;
	if (text_copy(target, CONTROL_PATH_MAX, path))
		return 0;
	return error_set(why, -ENAMETOOLONG,
	    "The path of %s has more than %d bytes: install Holdfast elsewhere.", name, CONTROL_PATH_MAX - 1);
}

int run_upgrade(struct invocation *invocation)
{
	struct control_request request = {.version = CONTROL_VERSION, .verb = CONTROL_UPGRADE};
	const struct control_reply nothing = {0};
	struct error why;

	if (find_path("holdfast", request.holdfast_path, &why) < 0 ||
	    find_path("holdfast-supervise", request.supervise_path, &why) < 0)
		return say(invocation, EXIT_FAILED, why.text, &nothing);
	return change(invocation, &request);
}
