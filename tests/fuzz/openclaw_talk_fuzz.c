/* What a gateway says of its sessions: never more is believed than was said, the short way says what the long
 * one says, and nothing breaks. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/openclaw_talk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool so)
{
	if (!so)
		abort();
}

static bool is_text(const char *text, size_t size)
{
	size_t length = strnlen(text, size);

	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < ' ')
			return false;
	return length < size;
}

static void read_event(const char *text, size_t length)
{
	struct openclaw_event event;
	struct json_span run;
	bool is_event = openclaw_event_read(text, length, &event);

	need(is_text(event.run, sizeof(event.run)) && is_text(event.key, sizeof(event.key)) &&
	     is_text(event.id, sizeof(event.id)) && is_text(event.tool, sizeof(event.tool)));
	need(event.ts_ms >= 0 && event.started_at_ms >= 0 && event.what < OPENCLAW_WHAT_COUNT);
	need(!is_event || event.run[0] != '\0');
	if (!openclaw_event_run(text, length, &run))
		return;
	need(run.bytes > text && run.bytes + run.length < text + length && run.length > 0 &&
	     run.length < OPENCLAW_RUN_MAX);
	need(!is_event || (event.what == OPENCLAW_MOVED && strlen(event.run) == run.length &&
	                      memcmp(event.run, run.bytes, run.length) == 0));
}

static void read_line(const char *text, size_t length)
{
	static const char *const keys[] = {
	    "agent:main:s2", "agent:main:s1", "agent:main:w1", "a b", "unknown"};
	struct openclaw_line line;
	bool found = openclaw_line_read(text, length, &line);

	need(found == (line.kind != OPENCLAW_LINE_NOTHING) && line.kind < OPENCLAW_LINE_KIND_COUNT);
	need(is_text(line.id, sizeof(line.id)) && is_text(line.run, sizeof(line.run)) &&
	     is_text(line.status, sizeof(line.status)));
	need(line.age_ms == -1 && line.queue_depth == -1 && line.released == -1);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		struct openclaw_line one = line;

		if (!openclaw_line_fits(&one, keys[i]))
			continue;
		need(found && is_text(one.work, sizeof(one.work)) && is_text(one.reason, sizeof(one.reason)));
		need(one.kind == line.kind && strcmp(one.id, line.id) == 0);
		need(one.kind != OPENCLAW_LINE_PROGRESSLESS || (one.age_ms >= 0 && one.queue_depth >= 0));
		/* Two keys fit only where the line names none. */
		for (size_t k = i + 1; k < sizeof(keys) / sizeof(keys[0]); k++) {
			struct openclaw_line two = line;

			need(!openclaw_line_fits(&two, keys[k]) || line.id[0] != '\0');
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *end = text + size;

	read_event(text, size);
	/* A log is read a line at a time; so are the stored frames. */
	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t length = (size_t)((newline != NULL ? newline : end) - text);

		read_event(text, length);
		read_line(text, length);
		text += length + (newline != NULL);
	}
	return 0;
}
