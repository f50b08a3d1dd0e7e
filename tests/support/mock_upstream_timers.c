/* Time in the mock upstream: who waits for what millisecond, and bytes that grow. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/mock_upstream.h"

#define SLOTS 4096 /* of a millisecond each; who waits for longer stays in its slot for another round */

static struct connection *slots[SLOTS];
static uint64_t waiting;
static int64_t slot_ms; /* the last whose slot was looked at */

int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

void timer_stop(struct connection *connection)
{
	if (connection->due_ms == 0)
		return;
	*connection->due_link = connection->next_due;
	if (connection->next_due != NULL)
		connection->next_due->due_link = connection->due_link;
	connection->due_ms = 0;
	waiting--;
}

void timer_start(struct connection *connection, int64_t due_ms)
{
	struct connection **slot;

	timer_stop(connection);
	if (due_ms <= slot_ms)
		due_ms = slot_ms + 1;
	slot = &slots[due_ms % SLOTS];
	connection->due_ms = due_ms;
	connection->next_due = *slot;
	if (*slot != NULL)
		(*slot)->due_link = &connection->next_due;
	connection->due_link = slot;
	*slot = connection;
	waiting++;
}

int timers_next(void)
{
	int64_t now_ms = now_ns() / 1000000;

	if (waiting == 0)
		return -1;
	for (int64_t ms = slot_ms + 1; ms <= slot_ms + SLOTS; ms++)
		if (slots[ms % SLOTS] != NULL)
			return ms > now_ms ? (int)(ms - now_ms) : 0;
	return SLOTS;
}

void timers_run(bool (*due)(struct connection *connection))
{
	int64_t now_ms = now_ns() / 1000000;

	if (now_ms - slot_ms > SLOTS)
		slot_ms = now_ms - SLOTS;
	while (slot_ms < now_ms) {
		struct connection *next;

		slot_ms++;
		for (struct connection *one = slots[slot_ms % SLOTS]; one != NULL; one = next) {
			next = one->next_due;
			if (one->due_ms > slot_ms)
				continue;
			timer_stop(one);
			due(one);
		}
	}
}

void bytes_add(struct bytes *bytes, const void *data, size_t length)
{
	if (bytes->length + length > bytes->room) {
		bytes->room = (bytes->length + length) * 2 < 512 ? 512 : (bytes->length + length) * 2;
		bytes->data = realloc(bytes->data, bytes->room);
		if (bytes->data == NULL)
			abort();
	}
	if (length > 0)
		memcpy(bytes->data + bytes->length, data, length);
	bytes->length += length;
}

void bytes_print(struct bytes *bytes, const char *format, ...)
{
	char *text;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (length < 0)
		abort();
	bytes_add(bytes, text, (size_t)length);
	free(text);
}

void bytes_release(struct bytes *bytes)
{
	free(bytes->data);
	*bytes = (struct bytes){0};
}
