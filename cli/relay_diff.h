/* Shows what an edit changes, and nothing else of the file: what stands on the same line may be a key. */
#ifndef HOLDFAST_CLI_RELAY_DIFF_H
#define HOLDFAST_CLI_RELAY_DIFF_H

#include "cli/relay_edits.h"

/* Prints the changed lines of `before` (-) and `after` (+), with their numbers. Texts that are no keys of
 * objects and no part of the edits, and comments, are shown as "…". */
void relay_diff_print(
    const char *path, const char *before, const char *after, const struct relay_edits *edits);

#endif
