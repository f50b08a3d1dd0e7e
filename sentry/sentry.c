#include "sentry/sentry.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "sentry/words.h"
#include "sentry/writing.h"

#define LINES_AFTER_READY   30
#define FINISH_MS           2000
#define DRAIN_TOLD_AGAIN_MS 10000

/* Our successor waits until this process is no more. What the sinks cannot write in time it finds in the
 * ring. */
static void finish(struct worker *worker)
{
	struct sentry *sentry = worker->context;
	int64_t began_ms = clock_boot_ms();

	probe_stop(&sentry->probe);
	senses_stop(&sentry->senses);
	fallback_finish(&sentry->fallback);
	/* Told to end while still waiting for a predecessor: that one ends as well, and what it leaves is
	 * ours to write; or it goes on, and the console is its own. */
	handover_wait(&sentry->handover, FINISH_MS / 4);
	writing_finish(sentry, began_ms + FINISH_MS * 3 / 4, began_ms + FINISH_MS);
	loop_stop(&worker->loop);
}

static void abandoned(struct worker *worker)
{
	struct sentry *sentry = worker->context;

	probe_stop(&sentry->probe);
	senses_rest(&sentry->senses);
	watch_set(&sentry->watch, false);
}

static void gateway_started(struct sentry *sentry, const struct message_gateway *gateway)
{
	sentry->pid = gateway->pid;
	sentry->port = gateway->port;
	notify_gateway_started(&sentry->senses.notify, gateway);
	memory_sense_begin(&sentry->senses.memory, gateway);
	fallback_started(&sentry->fallback, gateway);
	if (gateway->generation == sentry->current.generation)
		return;
	if (sentry->current.generation != 0 && sentry->current.end == UINT64_MAX) {
		/* Its end was never told; whatever is there now is not the new one's. */
		console_drain(&sentry->console, DRAIN_BYTES_MAX);
		sentry->boundary = sentry->current.end = sentry->console.tail.end;
	}
	sentry->previous = sentry->current;
	sentry->current = (struct sentry_range){gateway->generation, sentry->boundary, UINT64_MAX};
	sentry->drain_told = (struct message_drain){0};
	watch_remember(&sentry->watch);
}

static void gateway_gone(struct sentry *sentry, const struct message_gateway *gateway)
{
	if (gateway->generation != sentry->current.generation)
		return;
	if (sentry->current.end == UINT64_MAX) {
		console_drain(&sentry->console, DRAIN_BYTES_MAX);
		sentry->boundary = sentry->current.end = sentry->console.tail.end;
	}
	probe_gateway_gone(&sentry->probe);
	senses_gateway_gone(&sentry->senses);
	fallback_gone(&sentry->fallback);
}

static const char *last_lines(const char *lines, size_t length, int count)
{
	const char *start = lines + length;

	if (length > 0 && start[-1] == '\n')
		start--;
	while (count-- > 0) {
		start = memrchr(lines, '\n', (size_t)(start - lines));
		if (start == NULL)
			return lines;
	}
	return start + 1;
}

static void answer_words(struct sentry *sentry, const struct message_gateway *gateway)
{
	uint64_t generation = gateway->generation;
	static char lines[TAIL_BYTES];
	struct sentry_range all = {.end = UINT64_MAX}, range = all;
	struct message answer = {0};
	const char *last;
	size_t length;

	console_drain(&sentry->console, DRAIN_BYTES_MAX);
	if (generation == sentry->current.generation)
		range = sentry->current;
	else if (generation == sentry->previous.generation)
		range = sentry->previous;
	length = tail_copy(&sentry->console.tail, range.begin, range.end, lines);
	answer.words.generation = generation;
	/* What a gateway that had been ready said long ago is no reason for its end. */
	last = generation == sentry->ready_generation ? last_lines(lines, length, LINES_AFTER_READY) : lines;
	words_read(sentry->facts, last, length - (size_t)(last - lines), &answer.words.words,
	    answer.words.line, sizeof(answer.words.line));
	if (answer.words.words == WORDS_CONTENTION)
		words_name_holder(gateway->port != 0 ? gateway->port : sentry->port, answer.words.line,
		    sizeof(answer.words.line));
	/* Words that say nothing may belong to an exit code that does. */
	answer.words.fallback =
	    answer.words.words <= WORDS_CONFIG_INVALID && fallback_prepare(&sentry->fallback);
	if (answer.words.words == WORDS_NONE && memory_sense_was_killed(&sentry->senses.memory, generation,
	                                            answer.words.line, sizeof(answer.words.line)))
		answer.words.words = WORDS_OOM_KILLED;
	worker_send(&sentry->worker, MESSAGE_WORDS, &answer);
}

static void start_probe(struct sentry *sentry, const struct message_gateway *gateway)
{
	/* It has said STOPPING=1: that it runs does not make it ready again, its READY=1 does. */
	if (notify_is_stopping(&sentry->senses.notify, gateway->generation)) {
		probe_stop(&sentry->probe);
		probe_drain_began(&sentry->probe, gateway->generation, gateway->pid, gateway->port);
		return;
	}
	probe_start(&sentry->probe, gateway);
	if (notify_is_ready(&sentry->senses.notify, gateway->generation))
		probe_heard_ready(&sentry->probe);
}

static void message_came(struct worker *worker, const struct message *message, int passed_fd)
{
	struct sentry *sentry = worker->context;
	struct message pong = {0};

	switch (message->type) {
	case MESSAGE_GATEWAY_STARTED:
		gateway_started(sentry, &message->gateway);
		break;
	case MESSAGE_GATEWAY_GONE:
		gateway_gone(sentry, &message->gateway);
		break;
	case MESSAGE_PROBE_START:
		start_probe(sentry, &message->gateway);
		break;
	case MESSAGE_ASK_WORDS:
		answer_words(sentry, &message->gateway);
		break;
	case MESSAGE_WATCH_CONFIG:
		watch_set(&sentry->watch, message->watch.on != 0);
		break;
	case MESSAGE_NOTE:
		writing_say(sentry, message->note.text);
		break;
	case MESSAGE_CONSOLE:
		writing_console_came(sentry, passed_fd);
		break;
	case MESSAGE_NOTIFY:
		notify_take(&sentry->senses.notify, passed_fd);
		passed_fd = -1;
		break;
	case MESSAGE_LOOK:
		if (message->look.pace_ms > 0 &&
		    notify_gateway_is_up(&sentry->senses.notify, message->look.gateway.generation))
			probe_heard_ready(&sentry->probe);
		senses_look(&sentry->senses, &message->look);
		fallback_look(&sentry->fallback, message->look.pace_ms);
		break;
	case MESSAGE_VALIDATE:
		fallback_validate(&sentry->fallback);
		break;
	case MESSAGE_RELAYED:
		sessions_sense_relayed(&sentry->senses.sessions, &message->relayed);
		break;
	case MESSAGE_ABORT:
		senses_abort(&sentry->senses, &message->abort);
		break;
	case MESSAGE_EXAMINE:
		senses_examine(&sentry->senses, &message->examine);
		break;
	case MESSAGE_CHANNEL_RESTART:
		senses_restart_channel(&sentry->senses, &message->channel_restart);
		break;
	case MESSAGE_PING:
		worker_send(worker, MESSAGE_PONG, &pong);
		break;
	default:
		break;
	}
	file_close(&passed_fd);
}

static void channels_off(struct sentry *sentry, const char *line)
{
	struct message message = {0};

	if (sentry->current.end != UINT64_MAX)
		return;
	message.gateway.generation = sentry->current.generation;
	text_copy(message.gateway.note, sizeof(message.gateway.note), line);
	worker_send(&sentry->worker, MESSAGE_CHANNELS_OFF, &message);
}

static void line_found(struct console *console, const char *line)
{
	struct sentry *sentry = console->context;
	const struct message_drain *told = &sentry->drain_told;
	struct message message = {0};
	int64_t now_ms = clock_boot_ms();

	if (sentry->current.end == UINT64_MAX)
		senses_line(&sentry->senses, line);
	if (sentry->facts->listening_phrase != NULL && strstr(line, sentry->facts->listening_phrase) != NULL)
		probe_heard_listening(&sentry->probe);
	if (sentry->facts->channels_off_phrase != NULL &&
	    strstr(line, sentry->facts->channels_off_phrase) != NULL)
		channels_off(sentry, line);
	/* Where nothing can be asked, nobody could say when the drain is over. */
	if (sentry->current.end != UINT64_MAX ||
	    settings_string(sentry->worker.settings, sentry->worker.settings->health.ready_path)[0] == '\0' ||
	    !gateway_read_drain(sentry->facts, line, &message.drain.budget_ms))
		return;
	/* It says so twice when runs are active. */
	if (told->generation == sentry->current.generation && told->budget_ms == message.drain.budget_ms &&
	    now_ms - sentry->drain_told_ms < DRAIN_TOLD_AGAIN_MS)
		return;
	message.drain.generation = sentry->current.generation;
	sentry->drain_told = message.drain;
	sentry->drain_told_ms = now_ms;
	worker_send(&sentry->worker, MESSAGE_DRAIN_BEGAN, &message);
	probe_drain_began(&sentry->probe, sentry->current.generation, sentry->pid, sentry->port);
	fallback_restarts(&sentry->fallback);
}

static void lines_lost(struct console *console, const struct sink_losses *losses)
{
	struct sentry *sentry = console->context;
	struct message message = {0};

	message.dropped.lines = losses->lines;
	message.dropped.bytes = losses->bytes;
	text_copy(message.dropped.why, sizeof(message.dropped.why),
	    sink_loss_words(&sentry->file_sink, losses->error));
	worker_send(&sentry->worker, MESSAGE_CONSOLE_DROPPED, &message);
}

static void ready(struct probe *probe, uint64_t generation, const char *proof)
{
	struct sentry *sentry = probe->context;
	struct message message = {0};

	sentry->ready_generation = generation;
	senses_gateway_ready(&sentry->senses, probe->speaks_json);
	message.gateway.generation = generation;
	message.gateway.pid = probe->pid;
	message.gateway.proved = probe->proved;
	text_copy(message.gateway.note, sizeof(message.gateway.note), proof);
	worker_send(&sentry->worker, MESSAGE_READY, &message);
}

static void progress(struct probe *probe, uint64_t generation)
{
	struct sentry *sentry = probe->context;
	struct message message = {0};

	message.gateway.generation = generation;
	message.gateway.pid = probe->pid;
	worker_send(&sentry->worker, MESSAGE_PROGRESS, &message);
}

static size_t last_lines_of_gateway(struct senses *senses, char *target)
{
	struct sentry *sentry = senses->context;

	return tail_copy(&sentry->console.tail, sentry->current.begin, sentry->current.end, target);
}

/* sd_notify(3): READY=1. */
static void said_ready(struct senses *senses)
{
	struct sentry *sentry = senses->context;

	probe_heard_ready(&sentry->probe);
}

/* EXTEND_TIMEOUT_USEC= */
static void asked_for_time(struct senses *senses)
{
	struct sentry *sentry = senses->context;

	progress(&sentry->probe, sentry->current.generation);
}

/* STOPPING=1. Unlike a drain that is read from the console, one that was said here always has an end that can
 * be heard, also where nothing can be asked: READY=1, or its own end. */
static void said_stopping(struct senses *senses, int64_t budget_ms)
{
	struct sentry *sentry = senses->context;
	struct message message = {
	    .drain = {.generation = sentry->current.generation, .budget_ms = budget_ms}};

	worker_send(&sentry->worker, MESSAGE_DRAIN_BEGAN, &message);
	probe_drain_began(&sentry->probe, sentry->current.generation, sentry->pid, sentry->port);
}

static void config_changed(struct watch *watch, const char *path)
{
	struct sentry *sentry = watch->context;
	struct message message = {0};

	text_copy(message.note.text, sizeof(message.note.text), path);
	worker_send(&sentry->worker, MESSAGE_CONFIG_CHANGED, &message);
	link_configuration_changed(&sentry->senses.link);
}

/* The words worth noticing as they come: each once. */
static void choose_phrases(struct sentry *sentry)
{
	const size_t max = sizeof(sentry->console.phrases) / sizeof(const char *);
	const char **phrases = sentry->console.phrases;
	size_t count = 0;

	if (sentry->facts->listening_phrase != NULL)
		phrases[count++] = sentry->facts->listening_phrase;
	if (sentry->facts->stuck_phrase != NULL)
		phrases[count++] = sentry->facts->stuck_phrase;
	if (sentry->facts->channels_off_phrase != NULL)
		phrases[count++] = sentry->facts->channels_off_phrase;
	if (sentry->facts->opens_inspector)
		phrases[count++] = INSPECTOR_PHRASE;
	for (const struct gateway_sign *sign = sentry->facts->signs; sign != NULL && sign->text != NULL;
	     sign++)
		phrases[count++] = sign->text;
	for (const struct gateway_drain *drain = sentry->facts->drains; drain != NULL && drain->text != NULL;
	     drain++) {
		if (count > 0 && strcmp(phrases[count - 1], drain->text) == 0)
			continue;
		if (count == max)
			break;
		phrases[count++] = drain->text;
	}
}

static void wire(struct sentry *sentry)
{
	const struct settings *settings = sentry->worker.settings;
	struct loop *loop = &sentry->worker.loop;

	sentry->facts = gateway_facts((int)settings->gateway.kind);
	sentry->console.loop = sentry->probe.loop = sentry->watch.loop = sentry->handover.loop = loop;
	sentry->console.context = sentry->probe.context = sentry->watch.context = sentry->handover.context =
	    sentry;
	sentry->console.ring = &sentry->ring;
	sentry->console.file = &sentry->file_sink;
	sentry->console.stream = &sentry->stream_sink;
	sentry->console.line_found = line_found;
	sentry->console.lines_lost = lines_lost;
	choose_phrases(sentry);
	console_init(&sentry->console);
	sentry->probe.settings = sentry->watch.settings = settings;
	sentry->probe.facts = sentry->facts;
	sentry->probe.console_bytes = &sentry->console.bytes;
	sentry->probe.ready = ready;
	sentry->probe.progress = progress;
	probe_init(&sentry->probe);
	sentry->watch.changed = config_changed;
	watch_init(&sentry->watch);
	sentry->senses.worker = &sentry->worker;
	sentry->senses.facts = sentry->facts;
	sentry->senses.last_lines = last_lines_of_gateway;
	sentry->senses.ready = said_ready;
	sentry->senses.progress = asked_for_time;
	sentry->senses.draining = said_stopping;
	sentry->senses.context = sentry;
	senses_init(&sentry->senses);
	fallback_init(&sentry->fallback, &sentry->worker, sentry->facts);
	sentry->handover.granted = writing_granted;
	handover_init(&sentry->handover);
}

int sentry_init(struct sentry *sentry, struct error *why)
{
	int result;

	sentry->worker.name = "sentry";
	sentry->worker.context = sentry;
	sentry->worker.message = message_came;
	sentry->worker.finish = finish;
	sentry->worker.abandoned = abandoned;
	result = worker_init(&sentry->worker, why);
	if (result < 0)
		return result;
	/* A file-size limit and a background terminal are failures of a sink, not reasons to end. */
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	writing_prepare(sentry);
	wire(sentry);
	return 0;
}

int sentry_run(struct sentry *sentry)
{
	return worker_run(&sentry->worker);
}
