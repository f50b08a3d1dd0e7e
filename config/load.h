/* Reads the settings from all their sources, in order of precedence: flags, HOLDFAST_* environment,
 * openclaw.json, holdfast.json, defaults. Any bad value stops it with one sentence naming file:line:column.
 */
#ifndef HOLDFAST_CONFIG_LOAD_H
#define HOLDFAST_CONFIG_LOAD_H

#include <stdbool.h>
#include <stddef.h>

#include "config/settings.h"

#define SETTINGS_SET_MAX 16

/* What the command line says; NULL or 0 where it says nothing. All borrowed. */
struct settings_flags {
	const char *config_file; /* --config */
	const char *state_dir;   /* --state-dir */
	const char *runtime_dir; /* --runtime-dir */
	const char *port;        /* --port */
	char **command;          /* after "--", NULL-terminated; NULL for the gateway found */
	bool without_command;    /* whether the gateway's program is there makes no difference */
	size_t set_count;
	const char *set[SETTINGS_SET_MAX]; /* --set: "gateway.sessionTimeout=60s", spelled as in a variable */
};

/* A remark that does not stop anything, for `holdfast check`: e.g. a key that the gateway itself refuses. */
typedef void settings_remark(void *context, const char *sentence);

/* Only state_dir, runtime_dir and instance: what `status`, `stop` and the others need to find a supervisor.
 * Reads --config/HOLDFAST_CONFIG only in so far as the directories may be set there. Returns 0 or a negative
 * errno. */
int settings_locate(struct settings *settings, const struct settings_flags *flags, struct error *why);

/* Everything. `environment` is environ. `remark` may be NULL. Makes no directories. Returns 0; -EINVAL when a
 * flag or the command is to blame; -ENOENT for a missing file or program; -EBADMSG for a bad value elsewhere;
 * or another negative errno. *why is one sentence with file:line:column, or the variable's or flag's name. */
int settings_load(struct settings *settings, const struct settings_flags *flags, char **environment,
    settings_remark *remark, void *context, struct error *why);

#endif
