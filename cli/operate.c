/* `holdfast start`, `stop`, `restart`, `pause`, `resume`: says what the supervisor answered, and waits until
 * it is so. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/print.h"
#include "cli/report.h"

#define LOOK_AGAIN_MS  200
#define SETTLED_MS     500
#define SILENCE_MAX_MS 5000 /* a supervisor that is being replaced is away for a moment */
#define PAUSE_MAX_MS   (366LL * 24 * 3600 * 1000)

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
	interrupted = number;
}

struct operation {
	const struct invocation *invocation;
	struct settings *settings;
	struct control_request request;
	struct control_reply reply;
	uint64_t generation; /* of the gateway before the request */
};

static int say(const struct operation *operation, int status, const char *sentence)
{
	if (operation->invocation->json)
		report_outcome_json(status == EXIT_DONE, sentence, operation->reply.state);
	else if (status == EXIT_DONE)
		printf("%s\n", sentence);
	else
		complain("%s", sentence);
	return print_finish(status);
}

static bool is_in(const struct control_reply *reply, const char *state)
{
	return strcmp(reply->state, state) == 0;
}

/* A gateway without a start-up probe counts as ready as soon as it runs, and may be gone a moment later. */
static bool is_settled(const struct control_reply *reply)
{
	return reply_is_healthy(reply) && reply->real_ms - reply->gateway.ready_ms >= SETTLED_MS;
}

/* Whether the request has come to its end, and how. Returns an exit status, or -1 while it has not. */
static int judge(const struct operation *operation, struct text *sentence)
{
	const struct control_reply *reply = &operation->reply;
	const char *verb = operation->invocation->command->name;
	char later[32];

	if (operation->request.verb == CONTROL_STOP) {
		if (!is_in(reply, "stopped"))
			return -1;
		text_add(sentence, "The gateway is stopped.");
		return EXIT_DONE;
	}
	if (is_settled(reply) &&
	    (operation->request.verb == CONTROL_START || reply->gateway.generation > operation->generation)) {
		text_addf(sentence, "The gateway is running and ready (pid %d).", reply->gateway.pid);
		return EXIT_DONE;
	}
	if (is_in(reply, "stopped"))
		text_addf(sentence, "The gateway was stopped before the %s was done", verb);
	else if (is_in(reply, "backing-off"))
		text_add(sentence, "The gateway is not ready and waits for its next start");
	else if (is_in(reply, "parked"))
		text_add(sentence, "The gateway is not ready and is parked");
	else
		return -1;
	if (reply->reason[0] != '\0')
		text_addf(sentence, ", because %s", reply->reason);
	if (reply->next_try_ms > reply->real_ms && reply->next_try_ms < INT64_MAX)
		text_addf(sentence, "; it is tried again in %s",
		    text_duration(later, sizeof(later), reply->next_try_ms - reply->real_ms));
	text_add(sentence, ".");
	return EXIT_FAILED;
}

/* On a terminal, long waits are told. */
static void tell_change(const struct operation *operation, char *told, size_t told_size)
{
	if (operation->invocation->json || !isatty(STDOUT_FILENO) ||
	    strcmp(told, operation->reply.state) == 0)
		return;
	text_copy(told, told_size, operation->reply.state);
	print_coloured(COLOUR_FAINT, told);
	print_coloured(COLOUR_FAINT, "...\n");
	fflush(stdout);
}

static int wait_until_done(struct operation *operation)
{
	const struct control_request look = {.version = CONTROL_VERSION, .verb = CONTROL_STATUS};
	const struct timespec pause = {.tv_nsec = LOOK_AGAIN_MS * 1000000L};
	char told[sizeof(operation->reply.state)] = "", sentence[CONTROL_SENTENCE_MAX * 2];
	int64_t answered_ms = clock_monotonic_ms();
	struct text text;
	struct error why;

	for (;;) {
		int status;

		text_init(&text, sentence, sizeof(sentence));
		status = judge(operation, &text);
		if (status >= 0)
			return say(operation, status, sentence);
		tell_change(operation, told, sizeof(told));
		nanosleep(&pause, NULL);
		if (interrupted)
			return say(operation, EXIT_FAILED,
			    "Not waiting any longer. The request stays in force: see \"holdfast status\".");
		status = ask(operation->settings, &look, &operation->reply, &why);
		if (status == EXIT_DONE)
			answered_ms = clock_monotonic_ms();
		else if (clock_monotonic_ms() - answered_ms > SILENCE_MAX_MS)
			return say(operation, status, why.text);
	}
}

static int take_reason(struct control_request *request, const char *reason)
{
	if (reason == NULL)
		return 0;
	if (!text_is_plain(reason)) {
		complain("--reason is one line of UTF-8 text: control characters are not allowed in it.");
		return -EINVAL;
	}
	if (!text_copy(request->reason, sizeof(request->reason), reason)) {
		complain("--reason is too long: it has %zu bytes, and at most %d are kept.", strlen(reason),
		    CONTROL_REASON_MAX - 1);
		return -EINVAL;
	}
	return 0;
}

static int operate(struct invocation *invocation, enum control_verb verb, int64_t pause_ms, bool waits)
{
	static struct settings settings;
	const struct control_request look = {.version = CONTROL_VERSION, .verb = CONTROL_STATUS};
	struct operation operation = {
	    .invocation = invocation,
	    .settings = &settings,
	    .request = {.version = CONTROL_VERSION,
	        .verb = verb,
	        .force = invocation->force,
	        .pause_ms = pause_ms},
	};
	const struct sigaction quiet = {.sa_handler = on_interrupt};
	struct error why;
	int status;

	if (take_reason(&operation.request, invocation->reason) < 0)
		return EXIT_USAGE;
	status = locate(invocation, &settings);
	if (status != 0)
		return status;
	status = ask(&settings, &look, &operation.reply, &why);
	operation.generation = operation.reply.gateway.generation;
	if (status == EXIT_DONE)
		status = ask(&settings, &operation.request, &operation.reply, &why);
	if (status != EXIT_DONE)
		return say(&operation, status, why.text);
	if (operation.reply.code < 0 || !waits || invocation->no_wait)
		return say(
		    &operation, operation.reply.code < 0 ? EXIT_FAILED : EXIT_DONE, operation.reply.sentence);
	if (!invocation->json) {
		print_text(operation.reply.sentence);
		putchar('\n');
		fflush(stdout);
	}
	sigaction(SIGINT, &quiet, NULL);
	sigaction(SIGTERM, &quiet, NULL);
	return wait_until_done(&operation);
}

int run_start(struct invocation *invocation)
{
	return operate(invocation, CONTROL_START, 0, true);
}

int run_stop(struct invocation *invocation)
{
	return operate(invocation, CONTROL_STOP, 0, true);
}

int run_restart(struct invocation *invocation)
{
	return operate(invocation, CONTROL_RESTART, 0, true);
}

/* "90s", "15m", "2h", "1d". A bare number is refused: the settings count milliseconds, people do not. */
static int read_duration(const char *word, int64_t *ms)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
	char number[16];
	size_t digits = strspn(word, "0123456789");
	uint64_t count;

	if (digits == 0 || digits >= sizeof(number))
		return -EINVAL;
	memcpy(number, word, digits);
	number[digits] = '\0';
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(word + digits, units[i].unit) != 0)
			continue;
		if (text_to_u64(number, (uint64_t)(PAUSE_MAX_MS / units[i].ms), &count) < 0 || count == 0)
			return -ERANGE;
		*ms = (int64_t)count * units[i].ms;
		return 0;
	}
	return -EINVAL;
}

int run_pause(struct invocation *invocation)
{
	int64_t pause_ms = 0;

	if (invocation->pause_for != NULL && read_duration(invocation->pause_for, &pause_ms) < 0) {
		complain("--for %.64s is not a time: it is a number with a unit, from 1ms to 366d, such as "
		         "30s, 15m or 2h.",
		    invocation->pause_for);
		return EXIT_USAGE;
	}
	return operate(invocation, CONTROL_PAUSE, pause_ms, false);
}

int run_resume(struct invocation *invocation)
{
	return operate(invocation, CONTROL_RESUME, 0, false);
}
