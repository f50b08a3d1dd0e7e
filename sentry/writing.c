#include "sentry/writing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

#define FINISH_TURN_MS 20

void writing_prepare(struct sentry *sentry)
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

void writing_say(struct sentry *sentry, const char *raw)
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
		writing_say(sentry, "The runtime directory has no room for what is read from the console and "
		                    "not yet written: it is lost if this sentry is killed. Make room there.");
}

void writing_granted(struct handover *handover, bool locked)
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
void writing_console_came(struct sentry *sentry, int fd)
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

void writing_finish(struct sentry *sentry, int64_t stream_until_ms, int64_t file_until_ms)
{
	if (!sentry->has_sinks)
		begin_writing(sentry, NULL);
	finish_sink(sentry, &sentry->stream_sink, stream_until_ms);
	finish_sink(sentry, &sentry->file_sink, file_until_ms);
	console_report(&sentry->console);
}
