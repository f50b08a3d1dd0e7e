/* Every key of holdfast.json, once: this table drives reading, defaults, ranges, variables, messages and
 * help. */
#ifndef HOLDFAST_CONFIG_SCHEMA_H
#define HOLDFAST_CONFIG_SCHEMA_H

#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "config/settings.h"

enum setting_type {
	SETTING_BOOL,     /* bool */
	SETTING_COUNT,    /* uint32_t */
	SETTING_PORT,     /* uint32_t; min 0 means that 0 is "none" */
	SETTING_NUMBER,   /* double */
	SETTING_DURATION, /* int64_t, ms */
	SETTING_SIZE,     /* int64_t, bytes */
	SETTING_KIND,     /* enum gateway_kind */
	SETTING_ADDRESS,  /* settings_text: an IPv4 or IPv6 address */
	SETTING_PATH, /* settings_text: of a URL; min 0 means that "" is "none", max 1 that "notify" may be */
	SETTING_DIRECTORY, /* settings_text: absolute, or begins with "~" */
	SETTING_ARGUMENTS, /* gateway.command, health.command; min 0 means that it may be empty */
	SETTING_VARIABLES, /* gateway.env */
	SETTING_PROVIDERS, /* relay.providers */
	SETTING_ALERTS,    /* alerts */
	SETTING_SESSIONS,  /* gateway.sessions */
};

/* When a change of it takes effect in a Holdfast that runs. There is no 0, so that no key can forget to say.
 */
enum setting_effect {
	EFFECT_NOW = 1,
	EFFECT_NEXT_START, /* the gateway learns it only when it is started */
	EFFECT_NEVER,      /* it would be another gateway */
};

struct setting {
	const char *path; /* "gateway.autoRestart.onCrash" */
	enum setting_type type;
	enum setting_effect effect;
	size_t offset; /* in struct settings; of the types above that name a C type */
	int64_t min, max;
	const char *standard; /* the default, spelled as in a variable; NULL: found out, or none */
	const char *help;     /* one line */
};

extern const struct setting schema[];
extern const size_t schema_count;

#define SETTING_VARIABLE_MAX 64

/* The setting's variable, by one rule: HOLDFAST_ and the path in upper snake case without a leading
 * "gateway". gateway.port is HOLDFAST_PORT, gateway.autoRestart.onCrash is HOLDFAST_AUTO_RESTART_ON_CRASH,
 * api.port is HOLDFAST_API_PORT. Lists and objects are written as JSON5. An empty variable counts as unset.
 */
const char *setting_variable(const struct setting *setting, char variable[SETTING_VARIABLE_MAX]);

/* The list of a SETTING_ARGUMENTS, and where its length is. */
settings_text *setting_arguments(struct settings *settings, const struct setting *setting, uint32_t **count);

/* Variables that are ours but no settings: HOLDFAST_CONFIG, ... NULL-terminated. */
extern const char *const schema_other_variables[];

/* By path or by variable; NULL when there is none. */
const struct setting *schema_find(const char *path);
const struct setting *schema_find_variable(const char *variable);

/* By its path, which is known to exist: for code. */
size_t schema_index(const char *path);

/* The known path ("gateway.port", or a section: "gateway") or variable most like this unknown one; NULL: none
 * is. */
const char *schema_nearest(const char *path, char nearest[SETTING_VARIABLE_MAX]);
const char *schema_nearest_variable(const char *variable, char nearest[SETTING_VARIABLE_MAX]);

/* Of `names` (NULL-terminated) the one most like `name`; NULL: none is. */
const char *schema_nearest_of(const char *const *names, const char *name);

/* What a value must be: `a duration from 1s to 24h, in milliseconds or like "30s", "5m", "2h"`. */
void setting_allowed(const struct setting *setting, struct text *text);

/* Durations and sizes as they are spelled in settings: "250ms", "40m"; "200MB", "1536". */
void setting_print_duration(struct text *text, int64_t ms);
void setting_print_size(struct text *text, int64_t bytes);

/* Writes its value as JSON, without secrets as below. */
void setting_write_value(const struct settings *settings, const struct setting *setting, struct text *text);

/* The effective settings, one `path = value (origin)` a line, or as one JSON object by path with "value" and
 * "origin". Secrets do not appear: of gateway.env only the names, of an alert's URL only its host. */
void settings_describe(const struct settings *settings, struct text *text);
void settings_describe_json(const struct settings *settings, struct text *text);

/* All keys with what they mean, what is allowed, their default and their variable. */
void schema_explain(struct text *text);

#endif
