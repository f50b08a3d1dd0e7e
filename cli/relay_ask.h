/* Asking others, and waiting for the answer: the gateway's own program whether it accepts a configuration,
 * and the relay whether it is there. */
#ifndef HOLDFAST_CLI_RELAY_ASK_H
#define HOLDFAST_CLI_RELAY_ASK_H

#include <stdbool.h>
#include <stddef.h>

#include "config/gateway_command.h"

#define RELAY_ASK_MS     60000
#define RELAY_WORDS_MAX  512
#define RELAY_OUTPUT_MAX ((size_t)1024 * 1024)

/* Whether this gateway would accept the file `config_path`. Where it has no such command (2026.2.1) it is
 * asked for its providers instead, which it tells only of a configuration that it accepts, and `wanted`
 * (NULL: nothing) must be in what it tells; *is_old. `why`: its own words, on one line. */
enum validate_answer relay_ask_gateway(const struct settings *settings, const char *config_path,
    const char *wanted, bool *is_old, char why[RELAY_WORDS_MAX]);

/* What the relay on 127.0.0.1:port tells at `path`, NUL-terminated, cut at `size` - 1 bytes with its head.
 * Waits at most 2 s for each part. Returns 0 or a negative errno: -EBADMSG when it is no relay's answer. */
int relay_get(unsigned port, const char *path, char *answer, size_t size);

/* Whether a relay answers on 127.0.0.1:port within 2 s. */
bool relay_answers(unsigned port);

#endif
