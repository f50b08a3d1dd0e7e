/* Where OpenClaw's configuration has it log: logging.file of openclaw.json with what it includes, as 2026.9.6
 * reads it (read in its code): "${NAME}" within it is a variable, and "~" at its start its home,
 * OPENCLAW_HOME or HOME. 2026.2.1 expands neither. */
#ifndef HOLDFAST_CONFIG_LOG_FILE_H
#define HOLDFAST_CONFIG_LOG_FILE_H

#include <limits.h>

#include "config/token.h"

/* Reads the gateway's files anew. Returns 1 and the absolute path, 0 when nothing is configured, or a
 * negative errno when what is there names no file (-ENAMETOOLONG, -ENOENT: a variable that is not there). */
int log_file_find(
    const struct settings *settings, const struct token_environment *environment, char path[PATH_MAX]);

#endif
