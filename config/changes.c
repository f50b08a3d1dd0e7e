#include "config/changes.h"

#include <errno.h>
#include <string.h>

#include "config/loader.h"

#define VALUE_MAX    4096 /* of what is compared by eye; the values themselves may be longer */
#define SHOWN_MAX    100
#define CHANGE_MAX   512
#define LEAD_MAX     20 /* what is shown before the place where two long values begin to differ */
#define REST_MAX     sizeof("and 4294967295 more\n")
#define NEEDS_START  ", with the gateway's next start (holdfast restart)"
#define CONTINUES(c) (((unsigned char)(c)&0xc0) == 0x80)

/* --- Are they the same? --- */

static bool same_text(
    const struct settings *old, settings_text old_text, const struct settings *new, settings_text new_text)
{
	return strcmp(settings_string(old, old_text), settings_string(new, new_text)) == 0;
}

static bool same_list(const struct settings *old, const settings_text *old_list, uint32_t old_count,
    const struct settings *new, const settings_text *new_list, uint32_t new_count)
{
	if (old_count != new_count)
		return false;
	for (uint32_t i = 0; i < old_count; i++)
		if (!same_text(old, old_list[i], new, new_list[i]))
			return false;
	return true;
}

static bool same_arguments(
    const struct setting *setting, const struct settings *old, const struct settings *new)
{
	uint32_t *old_count, *new_count;
	const settings_text *was = setting_arguments((struct settings *)old, setting, &old_count);
	const settings_text *is = setting_arguments((struct settings *)new, setting, &new_count);

	return same_list(old, was, *old_count, new, is, *new_count);
}

static bool same_provider(const struct settings *old, const struct settings_provider *was,
    const struct settings *new, const struct settings_provider *is)
{
	if (!same_text(old, was->name, new, is->name) || !same_text(old, was->api, new, is->api) ||
	    !same_text(old, was->base_url, new, is->base_url) || was->profile_count != is->profile_count)
		return false;
	for (uint32_t i = 0; i < was->profile_count; i++)
		if (!same_text(old, was->profiles[i].id, new, is->profiles[i].id) ||
		    !same_text(old, was->profiles[i].key, new, is->profiles[i].key) ||
		    !same_text(old, was->profiles[i].base_url, new, is->profiles[i].base_url) ||
		    !same_text(old, was->profiles[i].rotate, new, is->profiles[i].rotate))
			return false;
	return true;
}

static bool same_providers(const struct settings *old, const struct settings *new)
{
	if (old->relay.provider_count != new->relay.provider_count)
		return false;
	for (uint32_t i = 0; i < old->relay.provider_count; i++)
		if (!same_provider(old, &old->relay.providers[i], new, &new->relay.providers[i]))
			return false;
	return true;
}

static bool same_alerts(const struct settings *old, const struct settings *new)
{
	if (old->alert_count != new->alert_count)
		return false;
	for (uint32_t i = 0; i < old->alert_count; i++) {
		const struct settings_alert *was = &old->alerts[i], *is = &new->alerts[i];

		if (!same_text(old, was->url, new, is->url) ||
		    !same_text(old, was->format, new, is->format) ||
		    !same_text(old, was->min_severity, new, is->min_severity) ||
		    !same_text(old, was->secret, new, is->secret) ||
		    !same_text(old, was->kinds, new, is->kinds))
			return false;
	}
	return true;
}

static bool same_session_rules(const struct settings *old, const struct settings *new)
{
	if (old->gateway.session_rule_count != new->gateway.session_rule_count)
		return false;
	for (uint32_t i = 0; i < old->gateway.session_rule_count; i++) {
		const struct settings_session_rule *was = &old->gateway.session_rules[i],
		                                   *is = &new->gateway.session_rules[i];

		if (!same_text(old, was->key, new, is->key) ||
		    was->session_timeout_ms != is->session_timeout_ms ||
		    was->tool_timeout_ms != is->tool_timeout_ms)
			return false;
	}
	return true;
}

static bool is_same(const struct setting *setting, const struct settings *old, const struct settings *new)
{
	const void *was = (const char *)old + setting->offset, *is = (const char *)new + setting->offset;

	switch (setting->type) {
	case SETTING_BOOL:
		return *(const bool *)was == *(const bool *)is;
	case SETTING_COUNT:
	case SETTING_PORT:
		return *(const uint32_t *)was == *(const uint32_t *)is;
	case SETTING_NUMBER:
		return *(const double *)was == *(const double *)is;
	case SETTING_DURATION:
	case SETTING_SIZE:
		return *(const int64_t *)was == *(const int64_t *)is;
	case SETTING_KIND:
		return *(const enum gateway_kind *)was == *(const enum gateway_kind *)is;
	case SETTING_ADDRESS:
	case SETTING_PATH:
	case SETTING_DIRECTORY:
		return same_text(old, *(const settings_text *)was, new, *(const settings_text *)is);
	case SETTING_ARGUMENTS:
		return same_arguments(setting, old, new);
	case SETTING_VARIABLES:
		return same_list(old, old->gateway.variables, old->gateway.variable_count, new,
		    new->gateway.variables, new->gateway.variable_count);
	case SETTING_PROVIDERS:
		return same_providers(old, new);
	case SETTING_ALERTS:
		return same_alerts(old, new);
	case SETTING_SESSIONS:
		return same_session_rules(old, new);
	}
	return false;
}

/* --- What is said of those that are not. --- */

static void write_shown(const struct settings *settings, const struct setting *setting, char shown[VALUE_MAX])
{
	struct text text;

	text_init(&text, shown, VALUE_MAX);
	setting_write_value(settings, setting, &text);
	/* No half character at the end. */
	while (text.truncated && text.length > 0 && (shown[text.length - 1] & 0x80) != 0)
		shown[--text.length] = '\0';
}

static void add_excerpt(struct text *line, const char *value, size_t from)
{
	size_t length = strlen(value + from);

	if (from > 0)
		text_add(line, "...");
	if (length <= SHOWN_MAX) {
		text_add(line, value + from);
		return;
	}
	length = SHOWN_MAX;
	while (CONTINUES(value[from + length]))
		length--;
	text_add_bytes(line, value + from, length);
	text_add(line, "...");
}

/* Where to begin, so that the difference is seen. */
static size_t excerpt_start(const char *was, const char *is)
{
	size_t same = 0;

	while (was[same] != '\0' && was[same] == is[same])
		same++;
	if (same < SHOWN_MAX - LEAD_MAX || (was[same] == '\0' && is[same] == '\0'))
		return 0;
	same -= LEAD_MAX;
	while (CONTINUES(was[same]))
		same--;
	return same;
}

static void write_line(
    struct text *line, const struct setting *setting, const struct settings *old, const struct settings *new)
{
	char was[VALUE_MAX], is[VALUE_MAX];
	size_t from;

	write_shown(old, setting, was);
	write_shown(new, setting, is);
	from = excerpt_start(was, is);
	text_addf(line, "%s: ", setting->path);
	if (strcmp(was, is) == 0) {
		add_excerpt(line, is, 0);
		text_add(line, " with other values, which are not shown");
	} else {
		text_add(line, "from ");
		add_excerpt(line, was, from);
		text_add(line, " to ");
		add_excerpt(line, is, from);
	}
	text_add(line, setting->effect == EFFECT_NOW ? ", now\n" : NEEDS_START "\n");
}

uint32_t settings_changes(
    const struct settings *old, const struct settings *new, struct text *lines, uint32_t *waiting)
{
	uint32_t changed = 0, left_out = 0, next_start = 0;

	for (size_t i = 0; i < schema_count; i++) {
		char data[CHANGE_MAX];
		struct text line;

		if (is_same(&schema[i], old, new))
			continue;
		changed++;
		next_start += schema[i].effect != EFFECT_NOW;
		text_init(&line, data, sizeof(data));
		write_line(&line, &schema[i], old, new);
		if (left_out > 0 || lines->length + line.length + REST_MAX > lines->size)
			left_out++;
		else
			text_add(lines, data);
	}
	if (left_out > 0)
		text_addf(lines, "and %u more\n", left_out);
	if (waiting != NULL)
		*waiting = next_start;
	return changed;
}

/* --- What cannot be done. --- */

static int refuse(struct error *why, const char *what, const char *was, const char *is)
{
	size_t from = excerpt_start(was, is);
	char data[CHANGE_MAX];
	struct text text;

	text_init(&text, data, sizeof(data));
	text_addf(&text, "%s cannot change while Holdfast runs: it is ", what);
	add_excerpt(&text, was, from);
	text_add(&text, ", and would be ");
	add_excerpt(&text, is, from);
	text_add(&text, "; end Holdfast and start it again for that.");
	loader_keep_to_one_line(data);
	return error_set(why, -EBUSY, "%s", data);
}

int settings_check_fixed(const struct settings *old, const struct settings *new, struct error *why)
{
	char was[VALUE_MAX], is[VALUE_MAX];

	if (!same_text(old, old->state_dir, new, new->state_dir))
		return refuse(why, "The state directory", settings_string(old, old->state_dir),
		    settings_string(new, new->state_dir));
	if (!same_text(old, old->runtime_dir, new, new->runtime_dir))
		return refuse(why, "The runtime directory", settings_string(old, old->runtime_dir),
		    settings_string(new, new->runtime_dir));
	for (size_t i = 0; i < schema_count; i++) {
		if (schema[i].effect != EFFECT_NEVER || is_same(&schema[i], old, new))
			continue;
		write_shown(old, &schema[i], was);
		write_shown(new, &schema[i], is);
		return refuse(why, schema[i].path, was, is);
	}
	return 0;
}
