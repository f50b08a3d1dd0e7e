/* Where keys come from: a variable, a file, a command. */
#ifndef HOLDFAST_RELAY_KEY_SOURCE_H
#define HOLDFAST_RELAY_KEY_SOURCE_H

#include <stddef.h>
#include <sys/types.h>

/* Each reads at most `size` bytes into `target`, unterminated. Returns how many, or a negative errno with
 * `why`, a sentence of at most `why_size` bytes. */
ssize_t key_from_file(const char *path, char *target, size_t size, char *why, size_t why_size);
/* The variable's own bytes are not touched. */
ssize_t key_from_variable(const char *name, char *target, size_t size, char *why, size_t why_size);
/* Words of the command are split at blanks; the first is an absolute path. */
ssize_t key_from_command(
    const char *command, int at_most_ms, char *target, size_t size, char *why, size_t why_size);

#endif
