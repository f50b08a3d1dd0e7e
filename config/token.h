/* The gateway's secret: where a client of OpenClaw has it from, in the order in which the gateway itself has
 * it (2026.2.1 and 2026.9.6, read in their code): --token and --password in its command; gateway.auth.token
 * and gateway.auth.password of openclaw.json with what it includes (text, "${NAME}" within text, "$NAME", or
 * a SecretRef); OPENCLAW_GATEWAY_TOKEN and OPENCLAW_GATEWAY_PASSWORD. A variable is looked for in the
 * environment that the process was started with, in the .env of its state directory, in gateway.env, and in
 * env.vars and env of openclaw.json.
 *
 * Nothing here is remembered: a secret that was changed is simply found the next time. Values are never put
 * into a message. */
#ifndef HOLDFAST_CONFIG_TOKEN_H
#define HOLDFAST_CONFIG_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "config/settings.h"

#define TOKEN_MAX          513 /* with the final NUL */
#define TOKEN_VARIABLE     "OPENCLAW_GATEWAY_TOKEN"
#define TOKEN_GIVEN_LENGTH 64 /* of one that Holdfast makes */

enum token_kind {
	TOKEN_MISSING,  /* the gateway wants a token, and none is configured */
	TOKEN_UNNEEDED, /* gateway.auth.mode is "none" or "trusted-proxy" */
	TOKEN_SHARED,
	TOKEN_PASSWORD,
};

struct token {
	enum token_kind kind;
	char value[TOKEN_MAX];
};

/* The environment that the gateway was, or will be, started with. */
struct token_environment {
	/* Whether there is such a variable; its value is copied, cut to `size`. */
	bool (*find)(void *context, const char *name, char *value, size_t size);
	void *context;
};

/* Reads the gateway's files anew. Returns 0, or a negative errno with *why when a secret is configured that
 * cannot be had: a variable that is not set (-ENOENT), a SecretRef that only the gateway can resolve
 * (-ENOTSUP), one that is too long (-E2BIG). *found is then TOKEN_MISSING. */
int token_find(const struct settings *settings, const struct token_environment *environment,
    struct token *found, struct error *why);

/* Forgets the value. */
void token_clear(struct token *token);

/* Whether a gateway that is started with these settings and `environment` (as environ) would have to be given
 * a token, because nobody configured one. */
bool token_is_missing(const struct settings *settings, char *const *environment);

/* The token that Holdfast gives to such a gateway: from "gateway-token" in our state directory, where it is
 * made when it is not there, or has been open to others. Only its owner may read it. `size` is more than
 * TOKEN_GIVEN_LENGTH. Returns 0 or a negative errno with *why. */
int token_ensure(const struct settings *settings, char *value, size_t size, struct error *why);

#endif
