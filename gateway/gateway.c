#include "gateway/gateway.h"

#include <stddef.h>
#include <string.h>

enum { KIND_OPENCLAW, KIND_GENERIC };

const struct gateway_facts *gateway_facts(int kind)
{
	return kind == KIND_OPENCLAW ? &gateway_openclaw : &gateway_generic;
}

enum exit_words gateway_read_words(const struct gateway_facts *facts, const char *line)
{
	for (const struct gateway_phrase *phrase = facts->phrases; phrase->text != NULL; phrase++) {
		const char *at = strstr(line, phrase->text);

		if (at != NULL &&
		    (phrase->also == NULL || strstr(at + strlen(phrase->text), phrase->also) != NULL))
			return phrase->words;
	}
	return WORDS_NONE;
}

static int64_t read_budget(const char *digits)
{
	int64_t value = 0;

	for (; *digits >= '0' && *digits <= '9'; digits++) {
		value = value * 10 + (*digits - '0');
		if (value >= GATEWAY_DRAIN_MAX_MS)
			return GATEWAY_DRAIN_MAX_MS;
	}
	return value;
}

bool gateway_read_drain(const struct gateway_facts *facts, const char *line, int64_t *budget_ms)
{
	if (facts->drains == NULL)
		return false;
	for (const struct gateway_drain *drain = facts->drains; drain->text != NULL; drain++) {
		const char *at = strstr(line, drain->text);
		const char *key = at != NULL ? strstr(at + strlen(drain->text), drain->budget_key) : NULL;

		if (key == NULL)
			continue;
		key += strlen(drain->budget_key);
		/* "without a timeout": as long as we are willing to believe. */
		*budget_ms = *key >= '0' && *key <= '9' ? read_budget(key) : GATEWAY_DRAIN_MAX_MS;
		return true;
	}
	return false;
}
