/* Inside the loading of settings: one loader gathers every source; a higher rank wins over a lower one,
 * whatever the order in which they are read. */
#ifndef HOLDFAST_CONFIG_LOADER_H
#define HOLDFAST_CONFIG_LOADER_H

#include "config/load.h"
#include "config/schema.h"
#include "config/source.h"

#define SUBJECT_MAX 128

enum rank {
	RANK_DEFAULT,
	RANK_FILE,              /* holdfast.json */
	RANK_GATEWAY_KEYS,      /* openclaw.json: gateway.sessionTimeout, gateway.autoRestart */
	RANK_PLUGIN,            /* openclaw.json: plugins.entries.holdfast.config */
	RANK_GATEWAY_VARIABLES, /* openclaw.json: env.vars.HOLDFAST_* */
	RANK_ENVIRONMENT,
	RANK_FLAG,
};

/* Where a value stands. */
struct origin {
	enum rank rank;
	const struct source *source; /* the file; NULL for a variable of the environment and a flag */
	struct json_place place;     /* in the file */
	const struct source
	    *document; /* where the value itself was parsed; the file, or a variable's text; NULL: nowhere */
	const char
	    *name; /* how the person calls it where it is not the setting's path: "--port", "HOLDFAST_PORT" */
};

struct loader {
	struct settings *settings;
	const struct settings_flags *flags;
	char **environment;
	settings_remark *remark;
	void *remark_context;
	struct error *why;
	char home[PATH_MAX];
	enum rank ranks[SETTINGS_KEYS_MAX]; /* of the value each key has now */
};

/* The same origin for a value within: its place counts only where it is in the file itself. */
static inline struct origin origin_at(const struct origin *origin, struct json_place place)
{
	struct origin inner = *origin;

	if (origin->source != NULL && origin->source == origin->document)
		inner.place = place;
	return inner;
}

/* --- loader.c --- */

/* Puts bytes into the pool. Returns 0, or -ENOSPC with *why. */
int loader_text(struct loader *loader, const char *bytes, size_t length, settings_text *offset);

/* Fills *why with "FILE:LINE:COLUMN: SENTENCE" as the origin has it. Returns -EINVAL for a flag, else
 * -EBADMSG. */
int loader_fail(struct loader *loader, const struct origin *origin, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Keys and paths can hold anything: what would break a line becomes "?". */
void loader_keep_to_one_line(char *sentence);

/* Says a sentence that stops nothing. */
void loader_remark(struct loader *loader, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Remembers that `setting` now has its value from here. */
int loader_took(struct loader *loader, const struct setting *setting, const struct origin *origin);

/* Whether a value from `origin` would win over the present one. */
bool loader_wins(const struct loader *loader, const struct setting *setting, const struct origin *origin);

/* The sentence for a wrong value, which is shown; `shown` NULL: a secret, which is not. */
int loader_refuse(struct loader *loader, const struct origin *origin, const char *subject, const char *shown,
    const char *allowed);

/* "openclaw.json:4:9", "HOLDFAST_PORT", "default": where the value of the setting at `path` came from. */
const char *loader_origin(const struct loader *loader, const char *path);
enum rank loader_rank(const struct loader *loader, const char *path);

/* --- value.c: one setting from a value in a file, or from text in a variable, a flag or the defaults --- */

int value_from_json(struct loader *loader, const struct setting *setting, const struct origin *origin,
    const struct json_value *value);
int value_from_text(
    struct loader *loader, const struct setting *setting, const struct origin *origin, const char *text);

/* Whether it is a whole number (a duration, a size, a count) as the setting allows; then it is *whole. */
bool value_is_whole(const struct setting *setting, const struct json_value *value, int64_t *whole);

/* How a value is shown in a message: as it is spelled in the source, cut, on one line. */
#define VALUE_SHOWN_MAX 64
const char *value_show(
    const struct origin *origin, const struct json_value *value, char shown[VALUE_SHOWN_MAX]);

/* --- lists.c: the settings that are lists or objects --- */

int list_from_json(struct loader *loader, const struct setting *setting, const struct origin *origin,
    const struct json_value *value);

/* An object in a list. `subject` names it in messages, e.g. "alerts[0]". */
struct members {
	struct loader *loader;
	struct origin origin;
	const struct json_value *object;
	char subject[SUBJECT_MAX];
};

/* Checks that it is an object which has none but the keys in `names` (NULL-terminated). */
int members_check(const struct members *members, const char *const *names);

/* Takes the text member `key`. `allowed` says what it must be; `is_allowed` checks it. Where it is absent
 * *offset is left as it is, unless it is `required`. `secret`: its value is not shown. */
struct member_rule {
	const char *key, *allowed;
	bool (*is_allowed)(const char *text);
	bool required, secret;
};
int members_text(const struct members *members, const struct member_rule *rule, settings_text *offset);

/* A secret's reference: "env:NAME", or "file:PATH" whose path is made absolute. `allowed` NULL: just that. */
int members_reference(const struct members *members, const char *key, bool required, const char *allowed,
    settings_text *offset);

bool is_url(const char *text);  /* http:// or https://, a host, no user, no spaces */
bool is_name(const char *text); /* letters, digits and ._:@- */

/* `subject` with "[index]" or ".key" behind it. Returns false when it does not fit. */
bool subject_index(char subject[SUBJECT_MAX], const char *parent, uint32_t index);
bool subject_key(char subject[SUBJECT_MAX], const char *parent, const char *key);

/* Takes the member `key`, a number that must be as in the setting `like`, into *value; absent: 0. */
int members_number(
    const struct members *members, const char *key, const struct setting *like, int64_t *value);

/* --- alerts.c, providers.c, session_rules.c --- */

int alerts_from_json(struct loader *loader, const struct origin *origin, const struct json_value *list);
int providers_from_json(struct loader *loader, const struct origin *origin, const struct json_value *object);
int session_rules_from_json(
    struct loader *loader, const struct origin *origin, const struct json_value *list);

/* --- sections.c: a whole object of settings, or a HOLDFAST_ variable --- */

int section_from_json(struct loader *loader, const struct origin *origin, const struct json_value *object);
int section_from_variable(
    struct loader *loader, const struct origin *origin, const char *name, const char *text);

/* --- command.c --- */

/* Takes the command line's "-- COMMAND..." and decides what kind of gateway it is, where nothing says so. */
int command_take(struct loader *loader);
void command_guess_kind(struct loader *loader);

/* Makes gateway.arguments[0] an absolute path to a program that can be run, finding OpenClaw where none is
 * named. */
int command_resolve(struct loader *loader);

/* The same for health.command, where there is one. */
int command_resolve_probe(struct loader *loader);

/* gateway.workingDirectory: exists; has its default. */
int command_directory(struct loader *loader);

/* --- secrets.c --- */

/* Notes the variables that hold secrets (settings->secrets), and remarks upon what cannot be had. */
int secrets_collect(struct loader *loader);

#endif
