/* Console bytes: the line scanner, the tail and the reading of words must survive anything a program can
 * print. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/settings.h"
#include "gateway/gateway.h"
#include "sentry/line.h"
#include "sentry/tail.h"
#include "sentry/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tail tail;
	static char kept[TAIL_BYTES];
	const char *bytes = (const char *)data;
	const struct gateway_facts *facts = gateway_facts(GATEWAY_OPENCLAW);
	char line[MESSAGE_TEXT_MAX], stripped[64];
	uint64_t begin = tail.end, count = 0;
	uint32_t words = 0;
	int64_t budget_ms = 0;

	for (size_t i = 0; i < size; i++)
		count += bytes[i] == '\n';
	if (line_count(bytes, size) != count)
		abort();
	if (line_strip(stripped, sizeof(stripped), bytes, size) != strlen(stripped))
		abort();
	for (const char *at = stripped; *at != '\0'; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			abort();
	tail_add(&tail, bytes, size);
	words_read(facts, kept, tail_copy(&tail, begin, UINT64_MAX, kept), &words, line, sizeof(line));
	if (words >= WORDS_COUNT || memchr(line, '\0', sizeof(line)) == NULL)
		abort();
	if (gateway_read_drain(facts, line, &budget_ms) &&
	    (budget_ms < 0 || budget_ms > GATEWAY_DRAIN_MAX_MS))
		abort();
	return 0;
}
