/* Settings for people: what is allowed, what is in force and where it came from. No secret is shown. */
#include <inttypes.h>
#include <string.h>

#include "config/schema.h"
#include "format/json_write.h"

void setting_print_duration(struct text *text, int64_t ms)
{
	static const struct {
		int64_t ms;
		const char *name;
	} units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
	size_t unit = 0;

	if (ms == 0) {
		text_add(text, "0");
		return;
	}
	while (ms % units[unit].ms != 0)
		unit++;
	text_addf(text, "%" PRId64 "%s", ms / units[unit].ms, units[unit].name);
}

void setting_print_size(struct text *text, int64_t bytes)
{
	static const struct {
		int64_t bytes;
		const char *name;
	} units[] = {{1000 * 1000 * 1000, "GB"}, {1000 * 1000, "MB"}, {1000, "kB"}, {1, ""}};
	size_t unit = 0;

	while (bytes % units[unit].bytes != 0)
		unit++;
	text_addf(text, "%" PRId64 "%s", bytes / units[unit].bytes, units[unit].name);
}

static void print_range(
    const struct setting *setting, struct text *text, void print(struct text *text, int64_t value))
{
	text_add(text, " from ");
	print(text, setting->min);
	text_add(text, " to ");
	print(text, setting->max);
}

static void print_whole(struct text *text, int64_t value)
{
	text_addf(text, "%" PRId64, value);
}

void setting_allowed(const struct setting *setting, struct text *text)
{
	switch (setting->type) {
	case SETTING_BOOL:
		text_add(text, "true or false");
		break;
	case SETTING_COUNT:
		text_add(text, "a whole number");
		print_range(setting, text, print_whole);
		break;
	case SETTING_PORT:
		text_add(text, setting->min == 0 ? "a port number from 1 to 65535, or 0 for none"
		                                 : "a port number from 1 to 65535");
		break;
	case SETTING_NUMBER:
		text_add(text, "a number");
		print_range(setting, text, print_whole);
		break;
	case SETTING_DURATION:
		text_add(text, "a duration");
		print_range(setting, text, setting_print_duration);
		text_add(text, ", in milliseconds or like \"30s\", \"5m\", \"2h\"");
		break;
	case SETTING_SIZE:
		text_add(text, "a size");
		print_range(setting, text, setting_print_size);
		text_add(text, ", in bytes or like \"200MB\"");
		break;
	case SETTING_KIND:
		text_add(text, "\"openclaw\" or \"generic\"");
		break;
	case SETTING_ADDRESS:
		text_add(text, "an IP address, such as \"127.0.0.1\" or \"::1\"");
		break;
	case SETTING_PATH:
		text_add(text, "a path such as \"/healthz\"");
		text_add(text, setting->max == 1 ? ", \"notify\"" : "");
		text_add(text, setting->min == 0 ? ", or \"\" for none" : "");
		break;
	case SETTING_DIRECTORY:
		text_add(text, "a directory that begins with \"/\" or \"~\"");
		break;
	case SETTING_ARGUMENTS:
		text_add(text, setting->min == 0 ? "a list of at most 64 texts" : "a list of 1 to 64 texts");
		break;
	case SETTING_VARIABLES:
		text_add(text, "an object with at most 64 texts");
		break;
	case SETTING_PROVIDERS:
		text_add(text, "an object with at most 8 providers");
		break;
	case SETTING_ALERTS:
	case SETTING_SESSIONS:
		text_add(text, "a list of at most 16 objects");
		break;
	}
}

/* --- The values in force, as JSON. --- */

static void write_member(
    const struct settings *settings, struct text *text, const char *key, settings_text value)
{
	json_write_key(text, key);
	json_write_string(text, settings_string(settings, value));
}

static void write_arguments(const struct settings *settings, const struct setting *setting, struct text *text)
{
	uint32_t *count;
	const settings_text *list = setting_arguments((struct settings *)settings, setting, &count);

	json_write_begin(text, '[');
	for (uint32_t i = 0; i < *count; i++)
		json_write_string(text, settings_string(settings, list[i]));
	json_write_end(text, ']');
}

/* Values may be secrets: names only. */
static void write_variables(const struct settings *settings, struct text *text)
{
	json_write_begin(text, '[');
	for (uint32_t i = 0; i < settings->gateway.variable_count; i++) {
		const char *pair = settings_string(settings, settings->gateway.variables[i]);

		json_write_bytes(text, pair, strcspn(pair, "="));
	}
	json_write_end(text, ']');
}

static void write_providers(const struct settings *settings, struct text *text)
{
	json_write_begin(text, '{');
	for (uint32_t i = 0; i < settings->relay.provider_count; i++) {
		const struct settings_provider *provider = &settings->relay.providers[i];

		json_write_key(text, settings_string(settings, provider->name));
		json_write_begin(text, '{');
		write_member(settings, text, "api", provider->api);
		write_member(settings, text, "baseUrl", provider->base_url);
		json_write_key(text, "profiles");
		json_write_begin(text, '[');
		for (uint32_t j = 0; j < provider->profile_count; j++) {
			json_write_begin(text, '{');
			write_member(settings, text, "id", provider->profiles[j].id);
			write_member(settings, text, "key", provider->profiles[j].key);
			if (provider->profiles[j].base_url != 0)
				write_member(settings, text, "baseUrl", provider->profiles[j].base_url);
			if (provider->profiles[j].rotate != 0)
				write_member(settings, text, "rotate", provider->profiles[j].rotate);
			json_write_end(text, '}');
		}
		json_write_end(text, ']');
		json_write_end(text, '}');
	}
	json_write_end(text, '}');
}

/* The path of a webhook's address is its password. */
static void write_host(struct text *text, const char *url)
{
	size_t scheme = (size_t)(strstr(url, "://") + 3 - url);

	json_write_bytes(text, url, scheme + strcspn(url + scheme, "/?#"));
}

static void write_alerts(const struct settings *settings, struct text *text)
{
	json_write_begin(text, '[');
	for (uint32_t i = 0; i < settings->alert_count; i++) {
		const struct settings_alert *alert = &settings->alerts[i];

		json_write_begin(text, '{');
		json_write_key(text, "url");
		write_host(text, settings_string(settings, alert->url));
		write_member(settings, text, "format", alert->format);
		write_member(settings, text, "kinds", alert->kinds);
		write_member(settings, text, "minSeverity", alert->min_severity);
		if (alert->secret != 0)
			write_member(settings, text, "secret", alert->secret);
		json_write_end(text, '}');
	}
	json_write_end(text, ']');
}

static void write_quantity(struct text *text, int64_t value, void print(struct text *text, int64_t value))
{
	char data[32];
	struct text spelled;

	text_init(&spelled, data, sizeof(data));
	print(&spelled, value);
	json_write_string(text, data);
}

static void write_session_rules(const struct settings *settings, struct text *text)
{
	json_write_begin(text, '[');
	for (uint32_t i = 0; i < settings->gateway.session_rule_count; i++) {
		const struct settings_session_rule *rule = &settings->gateway.session_rules[i];

		json_write_begin(text, '{');
		write_member(settings, text, "key", rule->key);
		if (rule->session_timeout_ms != 0) {
			json_write_key(text, "sessionTimeout");
			write_quantity(text, rule->session_timeout_ms, setting_print_duration);
		}
		if (rule->tool_timeout_ms != 0) {
			json_write_key(text, "toolTimeout");
			write_quantity(text, rule->tool_timeout_ms, setting_print_duration);
		}
		json_write_end(text, '}');
	}
	json_write_end(text, ']');
}

void setting_write_value(const struct settings *settings, const struct setting *setting, struct text *text)
{
	const void *value = (const char *)settings + setting->offset;

	switch (setting->type) {
	case SETTING_BOOL:
		json_write_bool(text, *(const bool *)value);
		break;
	case SETTING_COUNT:
	case SETTING_PORT:
		json_write_unsigned(text, *(const uint32_t *)value);
		break;
	case SETTING_NUMBER:
		json_write_number(text, *(const double *)value);
		break;
	case SETTING_DURATION:
		write_quantity(text, *(const int64_t *)value, setting_print_duration);
		break;
	case SETTING_SIZE:
		write_quantity(text, *(const int64_t *)value, setting_print_size);
		break;
	case SETTING_KIND:
		json_write_string(
		    text, *(const enum gateway_kind *)value == GATEWAY_GENERIC ? "generic" : "openclaw");
		break;
	case SETTING_ADDRESS:
	case SETTING_PATH:
	case SETTING_DIRECTORY:
		json_write_string(text, settings_string(settings, *(const settings_text *)value));
		break;
	case SETTING_ARGUMENTS:
		write_arguments(settings, setting, text);
		break;
	case SETTING_VARIABLES:
		write_variables(settings, text);
		break;
	case SETTING_PROVIDERS:
		write_providers(settings, text);
		break;
	case SETTING_ALERTS:
		write_alerts(settings, text);
		break;
	case SETTING_SESSIONS:
		write_session_rules(settings, text);
		break;
	}
}

static const char *origin_of(const struct settings *settings, size_t index)
{
	const char *origin = settings_string(settings, settings->origins[index]);

	return *origin != '\0' ? origin : "default";
}

void settings_describe(const struct settings *settings, struct text *text)
{
	for (size_t i = 0; i < schema_count; i++) {
		text_addf(text, "%s = ", schema[i].path);
		setting_write_value(settings, &schema[i], text);
		text_addf(text, "  (%s)\n", origin_of(settings, i));
	}
}

void settings_describe_json(const struct settings *settings, struct text *text)
{
	json_write_begin(text, '{');
	for (size_t i = 0; i < schema_count; i++) {
		json_write_key(text, schema[i].path);
		json_write_begin(text, '{');
		json_write_key(text, "value");
		setting_write_value(settings, &schema[i], text);
		json_write_key(text, "origin");
		json_write_string(text, origin_of(settings, i));
		json_write_end(text, '}');
	}
	json_write_end(text, '}');
}

void schema_explain(struct text *text)
{
	char variable[SETTING_VARIABLE_MAX];

	for (size_t i = 0; i < schema_count; i++) {
		text_addf(text, "%s\n    %s\n    Allowed: ", schema[i].path, schema[i].help);
		setting_allowed(&schema[i], text);
		text_addf(text, ". Default: %s. Variable: %s.\n",
		    schema[i].standard != NULL ? schema[i].standard : "none",
		    setting_variable(&schema[i], variable));
	}
}
