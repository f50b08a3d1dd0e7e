#include "sentry/sentry.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "sentry/words.h"

#define LINES_AFTER_READY   30
#define DRAIN_BYTES_MAX     (4 * 1024 * 1024) /* more than the FIFO holds: more would be somebody flooding it */
#define FINISH_MS           2000
#define DRAIN_TOLD_AGAIN_MS 10000

static void finish_sentry(struct sentry *sentry)
{
	int64_t began_ms = clock_boot_ms(), left_ms;

	probe_stop(&sentry->probe);
	console_close(&sentry->console);
	handover_release(&sentry->handover);
	sink_finish(&sentry->file_sink, FINISH_MS);
	left_ms = FINISH_MS - (clock_boot_ms() - began_ms);
	sink_finish(&sentry->stream_sink, left_ms > 0 ? left_ms : 0);
	loop_stop(&sentry->worker.loop);
}

static void finish(struct worker *worker)
{
	struct sentry *sentry = worker->context;

	/* Told to end while still waiting for a predecessor: what is in the console now is ours to write. */
	if (!sentry->console.started)
		console_start(&sentry->console);
	console_drain(&sentry->console, DRAIN_BYTES_MAX);
	finish_sentry(sentry);
}

/* The next supervisor's sentry waits for the console: what we have read is ours to write, the rest is its
 * own. */
static void successor_came(struct handover *handover)
{
	finish_sentry(handover->context);
}

static void console_granted(struct handover *handover)
{
	struct sentry *sentry = handover->context;

	console_start(&sentry->console);
}

static void gateway_ended(struct loop_source *source, uint32_t events)
{
	struct sentry *sentry = source->context;

	finish(&sentry->worker);
}

static void abandoned(struct worker *worker)
{
	struct sentry *sentry = worker->context;

	probe_stop(&sentry->probe);
	watch_set(&sentry->watch, false);
	if (sentry->gateway_pidfd < 0 ||
	    loop_source_watch(&worker->loop, &sentry->pidfd, sentry->gateway_pidfd, EPOLLIN) < 0) {
		finish(worker);
		return;
	}
	handover_listen(&sentry->handover);
}

static void gateway_started(struct sentry *sentry, const struct message_gateway *gateway, int pidfd)
{
	file_close(&sentry->gateway_pidfd);
	sentry->gateway_pidfd = pidfd;
	sentry->pid = gateway->pid;
	if (gateway->generation == sentry->current.generation)
		return;
	console_reopen(&sentry->console);
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
	file_close(&sentry->gateway_pidfd);
	if (sentry->current.end == UINT64_MAX) {
		console_drain(&sentry->console, DRAIN_BYTES_MAX);
		sentry->boundary = sentry->current.end = sentry->console.tail.end;
	}
	probe_gateway_gone(&sentry->probe);
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

static void answer_words(struct sentry *sentry, uint64_t generation)
{
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
		words_name_holder(
		    sentry->worker.settings->gateway.port, answer.words.line, sizeof(answer.words.line));
	worker_send(&sentry->worker, MESSAGE_WORDS, &answer);
}

static void say_note(struct sentry *sentry, const char *raw)
{
	char sentence[MESSAGE_TEXT_MAX], line[MESSAGE_TEXT_MAX + 64], time[CLOCK_TEXT_MAX];
	struct text text;

	line_strip(sentence, sizeof(sentence), raw, strlen(raw));
	stream_format(&sentry->stream, line, sizeof(line), sentence);
	sink_say(&sentry->stream_sink, line);
	text_init(&text, line, sizeof(line));
	text_addf(&text, "%s [holdfast] %s", clock_format(time, sizeof(time), clock_real_ms()), sentence);
	sink_say(&sentry->file_sink, line);
}

static void message_came(struct worker *worker, const struct message *message, int passed_fd)
{
	struct sentry *sentry = worker->context;
	struct message pong = {0};

	switch (message->type) {
	case MESSAGE_GATEWAY_STARTED:
		gateway_started(sentry, &message->gateway, passed_fd);
		passed_fd = -1;
		break;
	case MESSAGE_GATEWAY_GONE:
		gateway_gone(sentry, &message->gateway);
		break;
	case MESSAGE_PROBE_START:
		probe_start(&sentry->probe, message->gateway.generation, message->gateway.pid);
		break;
	case MESSAGE_ASK_WORDS:
		answer_words(sentry, message->gateway.generation);
		break;
	case MESSAGE_WATCH_CONFIG:
		watch_set(&sentry->watch, message->watch.on != 0);
		break;
	case MESSAGE_NOTE:
		say_note(sentry, message->note.text);
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
	probe_drain_began(&sentry->probe, sentry->current.generation, sentry->pid);
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
	message.gateway.generation = generation;
	message.gateway.pid = probe->pid;
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

static void config_changed(struct watch *watch, const char *path)
{
	struct sentry *sentry = watch->context;
	struct message message = {0};

	text_copy(message.note.text, sizeof(message.note.text), path);
	worker_send(&sentry->worker, MESSAGE_CONFIG_CHANGED, &message);
}

/* The words worth noticing as they come: each once. */
static void choose_phrases(struct sentry *sentry)
{
	const size_t max = sizeof(sentry->console.phrases) / sizeof(const char *);
	const char **phrases = sentry->console.phrases;
	size_t count = 0;

	if (sentry->facts->listening_phrase != NULL)
		phrases[count++] = sentry->facts->listening_phrase;
	if (sentry->facts->channels_off_phrase != NULL)
		phrases[count++] = sentry->facts->channels_off_phrase;
	for (const struct gateway_drain *drain = sentry->facts->drains; drain != NULL && drain->text != NULL;
	     drain++) {
		if (count > 0 && strcmp(phrases[count - 1], drain->text) == 0)
			continue;
		if (count == max)
			break;
		phrases[count++] = drain->text;
	}
}

static int start_sinks(struct sentry *sentry, struct error *why)
{
	const struct settings *settings = sentry->worker.settings;
	int result;

	logfile_init(
	    &sentry->logfile, settings_string(settings, settings->state_dir), settings->retention.size_bytes);
	stream_init(&sentry->stream, STDOUT_FILENO);
	sentry->file_sink = (struct sink){.write = logfile_write,
	    .context = &sentry->logfile,
	    .slow_words = "the disk was too slow",
	    .notice_prefix = ""};
	sentry->stream_sink = (struct sink){.write = stream_write,
	    .context = &sentry->stream,
	    .slow_words = "nobody read them fast enough",
	    .notice_prefix = sentry->stream.is_journal ? "<4>" : ""};
	result = sink_init(&sentry->file_sink);
	if (result == 0)
		result = sink_init(&sentry->stream_sink);
	if (result < 0)
		return error_set(
		    why, result, "The console's threads cannot be started: %s.", strerror(-result));
	return 0;
}

static void wire(struct sentry *sentry)
{
	const struct settings *settings = sentry->worker.settings;
	struct loop *loop = &sentry->worker.loop;
	const char *runtime_dir = settings_string(settings, settings->runtime_dir);

	sentry->facts = gateway_facts((int)settings->gateway.kind);
	sentry->pidfd = (struct loop_source){.fd = -1, .callback = gateway_ended, .context = sentry};
	sentry->console.loop = sentry->probe.loop = sentry->watch.loop = sentry->handover.loop = loop;
	sentry->console.context = sentry->probe.context = sentry->watch.context = sentry->handover.context =
	    sentry;
	sentry->console.runtime_dir = sentry->handover.runtime_dir = runtime_dir;
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
	sentry->handover.granted = console_granted;
	sentry->handover.wanted = successor_came;
	handover_begin(&sentry->handover);
}

int sentry_init(struct sentry *sentry, struct error *why)
{
	int result;

	sentry->gateway_pidfd = -1;
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
	result = start_sinks(sentry, why);
	if (result < 0)
		return result;
	wire(sentry);
	return 0;
}

int sentry_run(struct sentry *sentry)
{
	return worker_run(&sentry->worker);
}
