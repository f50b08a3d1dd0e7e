/* A datagram of sd_notify(3): whatever it holds, what is read from it keeps to its bounds. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sentry/notify_words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct notify_words words;
	/* Of its own, so that a byte read behind it is noticed. */
	char *bytes = malloc(size > 0 ? size : 1);

	if (bytes == NULL)
		return 0;
	memcpy(bytes, data, size);
	if (!notify_read(bytes, size, &words) && words.said != 0)
		abort();
	free(bytes);
	if (words.said >= NOTIFY_STATUS << 1 || words.watchdog_ms < 0 ||
	    words.watchdog_ms > NOTIFY_TIME_MAX_MS || words.extension_ms < 0 ||
	    words.extension_ms > NOTIFY_TIME_MAX_MS ||
	    memchr(words.status, '\0', sizeof(words.status)) == NULL)
		abort();
	for (const char *at = words.status; *at != '\0'; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			abort();
	return 0;
}
