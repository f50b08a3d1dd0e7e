#include "sentry/sentry.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "sentry/words.h"

#define LINES_AFTER_READY   30
#define DRAIN_BYTES_MAX     (4 * 1024 * 1024) /* more than the FIFO holds: more would be somebody flooding it */
#define FINISH_MS           2000
#define FINISH_TURN_MS      20
#define DRAIN_TOLD_AGAIN_MS 10000

static void print_note(struct sentry *sentry, const struct sentry_note *note)
{
	char line[MESSAGE_TEXT_MAX + 64], time[CLOCK_TEXT_MAX];
	struct text text;

	stream_format(&sentry->stream, line, sizeof(line), note->text);
	sink_say(&sentry->stream_sink, line);
	text_init(&text, line, sizeof(line));
	text_addf(&text, "%s [holdfast] %s", clock_format(time, sizeof(time), note->real_ms), note->text);
	sink_say(&sentry->file_sink, line);
}

static void say_note(struct sentry *sentry, const char *raw)
{
	struct sentry_note note = {.real_ms = clock_real_ms()};

	line_strip(note.text, sizeof(note.text), raw, strlen(raw));
	if (sentry->has_sinks)
		print_note(sentry, &note);
	else if (sentry->note_count < SENTRY_NOTES_MAX)
		sentry->notes[sentry->note_count++] = note;
}

/* Nobody knows how much it was. */
static void tell_unknown_loss(struct sentry *sentry)
{
	static const char why[] = "what was read and not yet written when a sentry ended was damaged";
	struct sentry_note note = {.real_ms = clock_real_ms()};
	struct message message = {0};

	text_copy(note.text, sizeof(note.text),
	    "Lines may be missing here: what had been read and not yet written was damaged.");
	print_note(sentry, &note);
	text_copy(message.dropped.why, sizeof(message.dropped.why), why);
	worker_send(&sentry->worker, MESSAGE_CONSOLE_DROPPED, &message);
}

/* What a killed predecessor had in the ring is written first. */
static int start_sinks(struct sentry *sentry)
{
	struct ring_cursor *cursor = &sentry->ring.cursors[RING_FILE];
	uint64_t left = sentry->ring.state.sinks[RING_FILE].end - cursor->begin;
	int result;

	cursor->begin +=
	    logfile_written_since(&sentry->logfile, cursor, left < SINK_WRITE_MAX ? left : SINK_WRITE_MAX);
	sentry->logfile.cursor = cursor;
	result = sink_init(&sentry->file_sink);
	return result == 0 ? sink_init(&sentry->stream_sink) : result;
}

/* Begins to write. `directory`: where the ring is, NULL: for this process alone. */
static void begin_writing(struct sentry *sentry, const char *directory)
{
	int opened = ring_open(&sentry->ring, directory), result = opened;

	if (opened >= 0)
		result = start_sinks(sentry);
	if (result < 0) {
		fprintf(stderr, "holdfast-sentry: The console's threads cannot be started: %s.\n",
		    strerror(-result));
		exit(1);
	}
	sentry->has_sinks = true;
	for (int i = 0; i < sentry->note_count; i++)
		print_note(sentry, &sentry->notes[i]);
	if (opened == RING_DAMAGED)
		tell_unknown_loss(sentry);
	if (directory != NULL && !ring_is_kept(&sentry->ring))
		say_note(sentry, "The runtime directory has no room for what is read from the console and "
		                 "not yet written: it is lost if this sentry is killed. Make room there.");
}

static void console_granted(struct handover *handover, bool locked)
{
	struct sentry *sentry = handover->context;
	const struct settings *settings = sentry->worker.settings;
	const char *runtime_dir = settings_string(settings, settings->runtime_dir);

	if (!sentry->has_sinks) {
		begin_writing(sentry, locked ? runtime_dir : NULL);
	} else if (locked) {
		sink_hold(&sentry->file_sink, true);
		sink_hold(&sentry->stream_sink, true);
		ring_move(&sentry->ring, runtime_dir);
		sink_hold(&sentry->stream_sink, false);
		sink_hold(&sentry->file_sink, false);
	}
	console_start(&sentry->console, handover->fd);
}

/* The gateway's console, or another one: what is left in the one before comes first. */
static void console_came(struct sentry *sentry, int fd)
{
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat) < 0 || !S_ISFIFO(stat.st_mode) ||
	    handover_is_of(&sentry->handover, fd))
		return;
	console_drain(&sentry->console, DRAIN_BYTES_MAX);
	console_stop(&sentry->console);
	handover_begin(&sentry->handover, fd);
}

/* The console is drained for as long as we hold it: a stuck terminal shall not keep the gateway waiting, nor
 * a stuck disk as long as there is room in the ring. */
static void finish_sink(struct sentry *sentry, struct sink *sink, int64_t until_ms)
{
	do {
		console_drain(&sentry->console, DRAIN_BYTES_MAX);
		sink_finish(sink, FINISH_TURN_MS);
	} while (!sink->is_joined && clock_boot_ms() < until_ms);
}

/* Our successor waits until this process is no more. What the sinks cannot write in time it finds in the
 * ring. */
static void finish(struct worker *worker)
{
	struct sentry *sentry = worker->context;
	int64_t began_ms = clock_boot_ms();

	probe_stop(&sentry->probe);
	/* Told to end while still waiting for a predecessor: that one ends as well, and what it leaves is
	 * ours to write; or it goes on, and the console is its own. */
	handover_wait(&sentry->handover, FINISH_MS / 4);
	if (!sentry->has_sinks)
		begin_writing(sentry, NULL);
	finish_sink(sentry, &sentry->stream_sink, began_ms + FINISH_MS * 3 / 4);
	finish_sink(sentry, &sentry->file_sink, began_ms + FINISH_MS);
	console_report(&sentry->console);
	loop_stop(&worker->loop);
}

static void abandoned(struct worker *worker)
{
	struct sentry *sentry = worker->context;

	probe_stop(&sentry->probe);
	watch_set(&sentry->watch, false);
}

static void gateway_started(struct sentry *sentry, const struct message_gateway *gateway)
{
	sentry->pid = gateway->pid;
	sentry->port = gateway->port;
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
	worker_send(&sentry->worker, MESSAGE_WORDS, &answer);
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
		probe_start(&sentry->probe, &message->gateway);
		break;
	case MESSAGE_ASK_WORDS:
		answer_words(sentry, &message->gateway);
		break;
	case MESSAGE_WATCH_CONFIG:
		watch_set(&sentry->watch, message->watch.on != 0);
		break;
	case MESSAGE_NOTE:
		say_note(sentry, message->note.text);
		break;
	case MESSAGE_CONSOLE:
		console_came(sentry, passed_fd);
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
	probe_drain_began(&sentry->probe, sentry->current.generation, sentry->pid, sentry->port);
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

static void prepare_sinks(struct sentry *sentry)
{
	const struct settings *settings = sentry->worker.settings;

	logfile_init(
	    &sentry->logfile, settings_string(settings, settings->state_dir), settings->retention.size_bytes);
	stream_init(&sentry->stream, STDOUT_FILENO);
	sentry->file_sink = (struct sink){.write = logfile_write,
	    .context = &sentry->logfile,
	    .slow_words = "the disk was too slow",
	    .notice_prefix = "",
	    .ring = &sentry->ring,
	    .region = RING_FILE};
	sentry->stream_sink = (struct sink){.write = stream_write,
	    .context = &sentry->stream,
	    .slow_words = "nobody read them fast enough",
	    .notice_prefix = sentry->stream.is_journal ? "<4>" : "",
	    .ring = &sentry->ring,
	    .region = RING_STREAM};
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
	sentry->handover.granted = console_granted;
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
	prepare_sinks(sentry);
	wire(sentry);
	return 0;
}

int sentry_run(struct sentry *sentry)
{
	return worker_run(&sentry->worker);
}
