/* Becoming another of Holdfast's programs. */
#ifndef HOLDFAST_CLI_PROGRAM_H
#define HOLDFAST_CLI_PROGRAM_H

#include "base/error.h"

/* Replaces this program by `name` ("holdfast-supervise"), which lies beside it, in ../libexec/holdfast or
 * where it was installed. `arguments` is its argv. Returns only on failure, with a negative errno and *why.
 */
int program_become(const char *name, const char *const *arguments, struct error *why);

#endif
