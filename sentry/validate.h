/* Asks the gateway's own program whether it would accept its configuration file, without starting a gateway:
 * "openclaw config validate --json" (2026.9.6: 1 to 2 s of CPU, writes nothing, answers
 * {"valid":true,...} or {"valid":false,"issues":[{"path","message"}]}). A version without that command
 * (2026.2.1: "unknown option") gives no such answer: then only a start can tell.
 *
 * A child at low priority, at most one, ended after VALIDATE_MAX_MS or when the sentry ends. */
#ifndef HOLDFAST_SENTRY_VALIDATE_H
#define HOLDFAST_SENTRY_VALIDATE_H

#include <stdbool.h>
#include <stdint.h>

#include "channel/message.h"
#include "config/settings.h"
#include "gateway/gateway.h"
#include "loop/loop.h"

#define VALIDATE_MAX_MS        60000
#define VALIDATE_BYTES_MAX     (64 * 1024)
#define VALIDATE_VARIABLES_MAX 1024

enum validate_answer {
	VALIDATE_VALID,
	VALIDATE_INVALID,
	VALIDATE_UNKNOWN, /* it has no such command */
	VALIDATE_FAILED   /* it could not be asked, or did not answer in time */
};

struct validate {
	struct loop *loop;
	const struct settings *settings;
	const struct gateway_facts *facts;
	int64_t max_ms; /* VALIDATE_MAX_MS */
	/* `why`: its own words, or what went wrong; "" when it is valid. */
	void (*answered)(struct validate *validate, enum validate_answer answer, const char *why);
	void *context;

	/* Private. */
	int pid, pid_fd, output_fd; /* pid 0: none */
	bool again;                 /* asked anew meanwhile: the answer would be of the file before */
	bool timed_out;
	struct loop_source death;
	struct loop_timer deadline;
	char *arguments[SETTINGS_ARGUMENTS_MAX + 4];
	char *environment[VALIDATE_VARIABLES_MAX + 1];
	char config_variable[4096 + 32], state_variable[4096 + 32];
	char output[VALIDATE_BYTES_MAX + 1];
};

/* Members before `pid` are set. */
void validate_init(struct validate *validate);

/* Asks; `environment` is our own. Answered once it is known, also right away. */
void validate_begin(struct validate *validate, char *const *environment);

void validate_finish(struct validate *validate);

/* What the output (NUL-terminated) of the command says. */
enum validate_answer validate_read(const char *output, char why[MESSAGE_TEXT_MAX]);

#endif
