/* Inside config/token and config/log_file: the variables that a gateway's configuration can name. */
#ifndef HOLDFAST_CONFIG_TOKEN_VARIABLE_H
#define HOLDFAST_CONFIG_TOKEN_VARIABLE_H

#include "config/openclaw.h"
#include "config/token.h"

struct token_reader {
	struct openclaw openclaw; /* first: the visitors get it */
	const struct settings *settings;
	const struct token_environment *environment;
	const struct json_document *document; /* of `value` */
	const struct json_value *value;       /* what token_value found */
};

/* Reads the gateway's configuration anew; openclaw_release(&reader->openclaw) frees. Returns whether there is
 * one to be looked into: if not, there is nothing to release. One reader at a time. */
bool token_reader_open(struct token_reader *reader, const struct settings *settings,
    const struct token_environment *environment);

/* The value at `path` (keys, NULL-terminated) of openclaw.json, into reader->value and document; NULL when
 * there is none. */
const struct json_value *token_value(struct token_reader *reader, const char *const *path);

/* Whether the gateway has, or will have, this variable, which is not empty. Returns 1, 0, or -E2BIG. */
int token_variable(struct token_reader *reader, const char *name, char *value, size_t size);

/* As OpenClaw does it: "${NAME}" anywhere in it is the variable, "$${NAME}" is "${NAME}", and everything else
 * is left as it is. Returns 0; -ENOENT with *why for a variable that is not there; -E2BIG. */
int token_substitute(
    struct token_reader *reader, const char *text, char *value, size_t size, struct error *why);

#endif
