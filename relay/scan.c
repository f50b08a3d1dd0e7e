#include "relay/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "relay/scan_event.h"

/* What there is of the line under way. */
enum { LINE_EMPTY, LINE_RETURN, LINE_FULL };

void scan_init(struct scan *scan, enum api api, bool stream)
{
	memset(scan, 0, sizeof(*scan));
	scan->api = api;
	scan->stream = stream;
	scan->opaque = api == API_OTHER;
	scan->usage = (struct scan_usage){-1, -1, -1, -1};
}

void scan_release(struct scan *scan)
{
	free(scan->pending);
	scan->pending = NULL;
	scan->pending_length = 0;
}

/* Keeps a part of an event. What is longer than is kept is taken for content: nothing else is so long. */
static int keep(struct scan *scan, const char *bytes, size_t length, struct scan_found *found)
{
	if (scan->too_long)
		return 0;
	if (scan->pending_length + length > SCAN_EVENT_MAX) {
		scan_release(scan);
		scan->too_long = scan->content = found->content = true;
		return 0;
	}
	if (scan->pending == NULL)
		scan->pending = malloc(SCAN_EVENT_MAX);
	if (scan->pending == NULL)
		return -ENOMEM;
	memcpy(scan->pending + scan->pending_length, bytes, length);
	scan->pending_length += (uint32_t)length;
	return 0;
}

/* An event is whole: its last bytes are these. */
static int event_ended(struct scan *scan, const char *bytes, size_t length, struct scan_found *found)
{
	int result = 0;

	if (scan->too_long) {
		scan->too_long = false;
	} else if (scan->pending_length == 0) {
		scan_event(scan, bytes, length, found);
	} else {
		result = keep(scan, bytes, length, found);
		if (result == 0 && !scan->too_long)
			scan_event(scan, scan->pending, scan->pending_length, found);
		scan->too_long = false;
		scan_release(scan);
	}
	return result;
}

static int feed_stream(struct scan *scan, const char *bytes, size_t length, struct scan_found *found)
{
	const char *start = bytes, *line = bytes, *end = bytes + length;
	int result = 0;

	while (result == 0 && line < end) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		const char *last = stop != NULL ? stop : end;

		bool is_empty;

		/* A line with nothing but a CR is empty too. */
		if (last > line)
			scan->line = scan->line == LINE_EMPTY && last == line + 1 && *line == '\r'
			                 ? LINE_RETURN
			                 : LINE_FULL;
		if (stop == NULL)
			break;
		line = stop + 1;
		is_empty = scan->line != LINE_FULL;
		scan->line = LINE_EMPTY;
		if (!is_empty)
			continue;
		result = event_ended(scan, start, (size_t)(line - start), found);
		start = line;
	}
	found->complete = (size_t)(start - bytes);
	if (result == 0 && start < end)
		result = keep(scan, start, (size_t)(end - start), found);
	return result;
}

int scan_feed(struct scan *scan, const char *bytes, size_t length, struct scan_found *found)
{
	int result;

	*found = (struct scan_found){0};
	if (scan->opaque || !scan->stream) {
		found->complete = length;
		found->content = length > 0;
		scan->content |= found->content;
		return 0;
	}
	result = feed_stream(scan, bytes, length, found);
	if (result < 0) {
		scan_release(scan);
		scan->opaque = scan->content = found->content = true;
		found->complete = length;
	}
	return result;
}

void scan_whole(struct scan *scan, const char *body, size_t length, struct scan_found *found)
{
	*found = (struct scan_found){.complete = length};
	scan_body(scan, body, length, found);
}
