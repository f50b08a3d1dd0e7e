/* What a gateway says on its WebSocket: never more is believed of it than it said, and nothing breaks. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sentry/link_words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_one(const char *text, size_t length, bool whole)
{
	struct link_frame frame;
	struct link_hello hello;

	link_frame_read(&frame, text, length, whole);
	if (strnlen(frame.id, sizeof(frame.id)) == sizeof(frame.id) ||
	    strnlen(frame.sentence, sizeof(frame.sentence)) == sizeof(frame.sentence) ||
	    (frame.payload != NULL && frame.kind != LINK_FRAME_RESPONSE) || (frame.cut && whole))
		abort();
	link_hello_read(&hello, &frame);
	if (hello.tick_interval_ms < 1000 || hello.tick_interval_ms > 60 * 60 * 1000)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_one((const char *)data, size, true);
	read_one((const char *)data, size, false);
	return 0;
}
