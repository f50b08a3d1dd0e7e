/* How a command of the gateway's own program is called, such as "openclaw config validate --json", and what
 * that one answers: for whoever asks whether a configuration would be accepted without starting a gateway.
 *
 * "config validate --json" (2026.9.6: 1 to 2 s of CPU, writes nothing) answers {"valid":true,...} or
 * {"valid":false,"issues":[{"path","message"}]}. A version without it (2026.2.1: "unknown option") gives no
 * such answer. */
#ifndef HOLDFAST_CONFIG_GATEWAY_COMMAND_H
#define HOLDFAST_CONFIG_GATEWAY_COMMAND_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "config/settings.h"
#include "gateway/gateway.h"

#define GATEWAY_COMMAND_WORDS_MAX     8
#define GATEWAY_COMMAND_VARIABLES_MAX 1024

struct gateway_command {
	char *arguments[SETTINGS_ARGUMENTS_MAX + GATEWAY_COMMAND_WORDS_MAX + 1];
	char *environment[GATEWAY_COMMAND_VARIABLES_MAX + 1];
	/* Private. */
	char config_variable[PATH_MAX + 32], state_variable[PATH_MAX + 32];
};

/* What stands before "gateway" in its arguments runs OpenClaw; `words` (at most GATEWAY_COMMAND_WORDS_MAX,
 * NULL-terminated) follow. The environment is the one the gateway has, made from `environment` (as environ),
 * without Holdfast's own variables and secrets; its configuration is the file `config_path`. Everything is
 * borrowed. Returns false where there is no word "gateway", so that its program cannot be told apart. */
bool gateway_command_build(struct gateway_command *command, const struct settings *settings,
    const struct gateway_facts *facts, char *const *environment, const char *const *words,
    const char *config_path);

extern const char *const gateway_command_validate[]; /* "config", "validate", "--json" */

enum validate_answer {
	VALIDATE_VALID,
	VALIDATE_INVALID,
	VALIDATE_UNKNOWN, /* it has no such command */
	VALIDATE_FAILED   /* it could not be asked, or did not answer in time */
};

/* What the output (NUL-terminated) of `gateway_command_validate` says; its own words, unstripped, into `why`.
 */
enum validate_answer gateway_command_read(const char *output, char *why, size_t size);

#endif
