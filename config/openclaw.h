/* Finds OpenClaw's own configuration and reads from it what concerns Holdfast.
 *
 * The rules are those of OpenClaw 2026.9.6 (tried): OPENCLAW_CONFIG_PATH, OPENCLAW_STATE_DIR, OPENCLAW_HOME,
 * "--profile NAME" in the command, else ~/.openclaw/openclaw.json; "$include" in any object, deeply merged,
 * what stands beside it winning. OPENCLAW_PROFILE alone moves no file, only the default port.
 *
 * A broken file is the gateway's business: it will refuse it and say so. Here it is a remark. */
#ifndef HOLDFAST_CONFIG_OPENCLAW_H
#define HOLDFAST_CONFIG_OPENCLAW_H

#include <stdbool.h>

#include "config/loader.h"

#define OPENCLAW_DEFAULT_PORT     18789
#define OPENCLAW_DEFAULT_DEV_PORT 19001

struct openclaw {
	struct loader *loader;
	char home[PATH_MAX], state_directory[PATH_MAX], config_path[PATH_MAX], profile[SUBJECT_MAX];
	bool is_dev;
	struct source files[SETTINGS_WATCHED_MAX]; /* [0] is config_path */
	char watched[SETTINGS_WATCHED_MAX][PATH_MAX];
	size_t bytes_read;
	uint32_t watched_count;
	uint32_t visits; /* members looked at: bounds what files that include each other could cost */
	uint32_t port;   /* from the files; 0: none */
	struct origin port_origin;
};

/* Where its files are, as the environment, gateway.env and the gateway's arguments have it. Returns 0 or a
 * negative errno with *why. Reads no file. */
int openclaw_locate(struct openclaw *openclaw, struct loader *loader);

/* Reads openclaw.json and what it includes, and takes the settings of ours in it. Returns 0 or a negative
 * errno with *why for a bad one. openclaw_release frees. */
int openclaw_read(struct openclaw *openclaw);
void openclaw_release(struct openclaw *openclaw);

/* For whoever wants other values of those files: reads config_path and what it includes, and takes nothing;
 * then calls `visitor` for each value at `path` (keys, NULL-terminated), of which the last one counts, until
 * it returns a negative errno, which is returned. */
typedef int openclaw_visitor(
    struct openclaw *openclaw, const struct origin *origin, const struct json_value *value);
void openclaw_read_files(struct openclaw *openclaw);
int openclaw_visit(struct openclaw *openclaw, const char *const *path, openclaw_visitor *visitor);

/* The port the gateway will listen on when Holdfast sets none, and where that is written. */
uint32_t openclaw_port(const struct openclaw *openclaw, char origin[SUBJECT_MAX]);

/* The value after "--name" or "--name=" in the gateway's arguments, or NULL. */
const char *openclaw_argument(const struct settings *settings, const char *name);

/* "--dev" before the command's first word is the profile "dev"; behind it, it is the command's own. */
bool openclaw_asks_for_dev(const struct settings *settings);

#endif
