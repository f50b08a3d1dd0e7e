/* gateway.sessions: other timeouts for some sessions, by patterns of their keys. */
#include <stdio.h>
#include <string.h>

#include "config/loader.h"
#include "format/utf8.h"

static bool is_pattern(const char *text)
{
	size_t left = strlen(text);

	if (left == 0 || left > SETTINGS_PATTERN_BYTES)
		return false;
	while (left > 0) {
		uint32_t character;
		size_t length = utf8_decode(text, left, &character);

		if (length == 0 || character < 0x20 || (character >= 0x7f && character < 0xa0))
			return false;
		text += length;
		left -= length;
	}
	return true;
}

/* A second rule with the same pattern would never count: whoever wrote it meant something else. */
static int check_twin(const struct members *members, const char *key, uint32_t before)
{
	const struct settings *settings = members->loader->settings;

	for (uint32_t i = 0; i < before; i++)
		if (strcmp(settings_string(settings, settings->gateway.session_rules[i].key), key) == 0)
			return loader_fail(members->loader, &members->origin,
			    "%s has the key \"%s\", which gateway.sessions[%u] has already: it would never "
			    "count.",
			    members->subject, key, i);
	return 0;
}

static int read_rule(const struct members *members, uint32_t index, struct settings_session_rule *rule)
{
	static const char *const names[] = {"key", "sessionTimeout", "toolTimeout", NULL};
	static const struct member_rule key = {.key = "key",
	    .is_allowed = is_pattern,
	    .required = true,
	    .allowed = "a pattern of 1 to 63 bytes without control characters, such as \"agent:*:cron:*\""};
	const struct settings *settings = members->loader->settings;
	int result = members_check(members, names);

	*rule = (struct settings_session_rule){0};
	if (result == 0)
		result = members_text(members, &key, &rule->key);
	if (result == 0)
		result = check_twin(members, settings_string(settings, rule->key), index);
	if (result == 0)
		result = members_number(members, "sessionTimeout", schema_find("gateway.sessionTimeout"),
		    &rule->session_timeout_ms);
	if (result == 0)
		result = members_number(
		    members, "toolTimeout", schema_find("gateway.toolTimeout"), &rule->tool_timeout_ms);
	if (result == 0 && rule->session_timeout_ms == 0 && rule->tool_timeout_ms == 0)
		result = loader_fail(members->loader, &members->origin,
		    "%s has neither \"sessionTimeout\" nor \"toolTimeout\": give it one, or both.",
		    members->subject);
	return result;
}

int session_rules_from_json(struct loader *loader, const struct origin *origin, const struct json_value *list)
{
	const struct json_document *document = &origin->document->document;
	struct settings *settings = loader->settings;
	char shown[VALUE_SHOWN_MAX];
	uint32_t count = 0;

	if (list->type != JSON_ARRAY || list->children.count > SETTINGS_RULES_MAX)
		return loader_refuse(loader, origin, "gateway.sessions",
		    list->type == JSON_ARRAY ? "too long a list" : value_show(origin, list, shown),
		    "a list of at most 16 objects, such as [{ key: \"agent:*:cron:*\", sessionTimeout: "
		    "\"10m\" }]");
	for (const struct json_value *item = json_first(document, list); item != NULL;
	     item = json_next(document, item)) {
		struct members members = {
		    .loader = loader, .origin = origin_at(origin, item->place), .object = item};
		int result;

		subject_index(members.subject, "gateway.sessions", count);
		result = read_rule(&members, count, &settings->gateway.session_rules[count]);
		if (result < 0)
			return result;
		count++;
	}
	settings->gateway.session_rule_count = count;
	return 0;
}
