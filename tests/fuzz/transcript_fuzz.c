/* The end of a transcript and a lock: whatever a model or a person wrote, what is read keeps to its bounds.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sentry/transcript.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	char agent[TRANSCRIPT_AGENT_MAX], key[512];

	for (int from_start = 0; from_start < 2; from_start++) {
		struct transcript transcript;

		memset(&transcript, 0xff, sizeof(transcript));
		transcript_judge(bytes, size, from_start != 0, &transcript);
		if (transcript.waits > TRANSCRIPT_TOOL ||
		    memchr(transcript.tool, '\0', sizeof(transcript.tool)) == NULL ||
		    (transcript.waits != TRANSCRIPT_TOOL && *transcript.tool != '\0'))
			abort();
		for (const char *at = transcript.tool; *at != '\0'; at++)
			if (*at <= ' ' || *at > '~')
				abort();
	}
	if (transcript_lock_names(bytes, size, 7) && memchr(bytes, '7', size) == NULL)
		abort();
	size = size < sizeof(key) ? size : sizeof(key) - 1;
	memcpy(key, bytes, size);
	key[size] = '\0';
	if (transcript_agent(key, agent) && (*agent == '\0' || strpbrk(agent, "./") != NULL))
		abort();
	return 0;
}
