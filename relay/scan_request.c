/* What a request asks for, as far as the relay must know it. */
#include <string.h>

#include "base/hash.h"
#include "format/json_skim.h"
#include "relay/scan.h"

#define HASHED_MAX (4 * 1024)

static uint64_t hash_span(const struct json_span *span)
{
	size_t length = span->length < HASHED_MAX ? span->length : HASHED_MAX, words = length / 8;

	return hash_words(span->bytes, words) ^ hash_bytes(span->bytes + words * 8, length % 8);
}

/* The first thing that was said: the instructions before it may change with every call, its own words do not.
 */
static uint64_t read_messages(const struct json_skim *at)
{
	const char *next = at->next, *end = at->end;

	while (next < end && *next != '[')
		next++;
	while (next < end) {
		struct json_span key, value, content = {NULL, 0};
		struct json_skim skim;
		bool instructs = false;

		for (next++; next < end && (*next == ' ' || *next == '\n' || *next == '\t' || *next == '\r');
		     next++)
			;
		json_skim_begin(&skim, next, (size_t)(end - next));
		while (json_skim_next(&skim, &key, &value)) {
			if (json_span_is(&key, "role"))
				instructs =
				    json_span_is(&value, "system") || json_span_is(&value, "developer");
			else if (json_span_is(&key, "content"))
				content = value;
		}
		if (content.length > 0 && !instructs)
			return hash_span(&content);
		if (!skim.ended)
			return 0;
		next = skim.next;
		while (next < end && *next != ',') {
			if (*next == ']')
				return 0;
			next++;
		}
	}
	return 0;
}

void scan_request_read(const char *body, size_t length, struct scan_request *request)
{
	struct json_span key, value;
	struct json_skim skim;

	memset(request, 0, sizeof(*request));
	json_skim_begin(&skim, body, length);
	while (json_skim_key(&skim, &key)) {
		if (json_span_spells(&key, "\"messages\"") && request->conversation == 0)
			request->conversation = read_messages(&skim);
		if ((request->conversation != 0 && request->model[0] != '\0') ||
		    !json_skim_value(&skim, &value))
			break;
		if (json_span_spells(&key, "\"model\""))
			json_span_text(&value, request->model, sizeof(request->model));
	}
}
