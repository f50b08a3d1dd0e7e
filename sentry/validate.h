/* Asks the gateway's own program whether it would accept its configuration file, without starting a gateway
 * (config/gateway_command.h). A version that has no such command gives no answer: then only a start can tell.
 *
 * A child at low priority, at most one, ended after VALIDATE_MAX_MS or when the sentry ends. */
#ifndef HOLDFAST_SENTRY_VALIDATE_H
#define HOLDFAST_SENTRY_VALIDATE_H

#include <stdbool.h>
#include <stdint.h>

#include "channel/message.h"
#include "config/gateway_command.h"
#include "config/settings.h"
#include "gateway/gateway.h"
#include "loop/loop.h"

#define VALIDATE_MAX_MS    60000
#define VALIDATE_BYTES_MAX (64 * 1024)

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
	struct gateway_command command;
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
