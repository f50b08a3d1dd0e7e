/* Looks at channels (sentry/channels.h), their judge (core/channels.h) and their restart
 * (sentry/channel_restart.h) put together, to be played with: tells on standard output what it sees and does,
 * a JSON object a line. What the judge wants restarted is restarted. It ends with standard input.
 *
 *   channels_dump CONFIG STATE_DIRECTORY PORT PID TIMEOUT_MS INTERVAL_MS */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "format/json_write.h"
#include "sentry/channel_restart.h"
#include "sentry/channels.h"

static struct settings settings;
static struct loop loop;
static struct link standing;
static struct loop_source input;
static struct channels_sense sense;
static struct channel_restart restart;
static struct channels_settings judge;
static struct channels channels;
static int pid;
static uint32_t port;

static settings_text add(const char *string)
{
	settings_text offset = settings.pool_used + 1;

	if (!text_copy(settings.pool + offset, sizeof(settings.pool) - offset, string))
		abort();
	settings.pool_used = offset + (uint32_t)strlen(string);
	return offset;
}

static void tell(const char *what, const char *account, const char *detail, uint32_t number)
{
	char bytes[2048];
	struct text text;

	text_init(&text, bytes, sizeof(bytes));
	json_write_begin(&text, '{');
	json_write_key(&text, "what");
	json_write_string(&text, what);
	json_write_key(&text, "account");
	json_write_string(&text, account);
	json_write_key(&text, "detail");
	json_write_string(&text, detail);
	json_write_key(&text, "number");
	json_write_unsigned(&text, number);
	json_write_key(&text, "wrong");
	json_write_unsigned(&text, sense.wrong);
	json_write_end(&text, '}');
	printf("%s\n", bytes);
	fflush(stdout);
}

static void looked(struct channels_sense *which, const struct channel_look *look)
{
	static const char *const states[] = {"off", "stopped", "recovering", "up", "dead", "refused"};
	struct message_channel_restart wanted = {
	    .generation = look->generation, .stop = look->running == CHANNEL_YES};
	struct channels_verdict verdict;

	(void)which;
	channels_step(&channels, look, true, &verdict);
	tell("look", look->account, states[verdict.state], 0);
	if (verdict.dead)
		tell("dead", look->account, look->error, 0);
	if (verdict.recovered)
		tell("recovered", look->account, "", verdict.tries);
	if (!verdict.restart)
		return;
	tell("restart", look->account, look->channel, verdict.tries);
	text_copy(wanted.channel, sizeof(wanted.channel), look->channel);
	text_copy(wanted.account, sizeof(wanted.account), look->account);
	channel_restart_begin(&restart, &wanted, pid, port);
}

static void puzzled(struct channels_sense *which)
{
	(void)which;
	tell("puzzled", "", "", 0);
}

static void done(struct channel_restart *which, const struct message_channel_restarted *result)
{
	struct channels_verdict verdict;

	(void)which;
	channels_restarted(&channels, result->channel, result->account, (enum channel_outcome)result->outcome,
	    clock_boot_ms(), &verdict);
	tell("restarted", result->account, result->sentence, result->outcome);
	channels_sense_hurry(&sense);
}

static void changed(struct link *which)
{
	(void)which;
	tell("link", "", link_state_name(standing.state), 0);
}

static void input_came(struct loop_source *source, uint32_t events)
{
	char bytes[64];

	(void)events;
	(void)source;
	if (read(STDIN_FILENO, bytes, sizeof(bytes)) <= 0)
		loop_stop(&loop);
}

static void wire(void)
{
	static const char *const scopes[] = {"operator.read", NULL};

	loop_init(&loop);
	standing.loop = sense.loop = restart.loop = &loop;
	standing.settings = sense.settings = restart.settings = &settings;
	standing.scopes = scopes;
	standing.changed = changed;
	sense.link = &standing;
	sense.looked = looked;
	sense.puzzled = puzzled;
	restart.done = done;
	link_init(&standing);
	channels_sense_init(&sense);
	channel_restart_init(&restart);
	judge = (struct channels_settings){.dead_ms = 2 * settings.health.interval_ms, .restarts = true};
	channels_init(&channels, &judge);
	input.callback = input_came;
	loop_source_watch(&loop, &input, STDIN_FILENO, EPOLLIN);
}

int main(int argc, char **argv)
{
	if (argc != 7)
		return 2;
	settings.gateway.kind = GATEWAY_OPENCLAW;
	settings.gateway.config_path = add(argv[1]);
	settings.gateway.state_directory = add(argv[2]);
	port = (uint32_t)strtoul(argv[3], NULL, 10);
	pid = (int)strtol(argv[4], NULL, 10);
	settings.health.timeout_ms = strtol(argv[5], NULL, 10);
	settings.health.interval_ms = strtol(argv[6], NULL, 10);
	wire();
	link_start(&standing, 1, pid, port);
	channels_sense_watch(&sense, 1, true);
	loop_run(&loop);
	channels_sense_stop(&sense);
	channel_restart_cancel(&restart);
	link_stop(&standing);
	loop_source_retire(&input);
	loop_release(&loop);
	return 0;
}
