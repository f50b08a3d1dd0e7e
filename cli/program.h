/* Holdfast's programs, and becoming another of them. */
#ifndef HOLDFAST_CLI_PROGRAM_H
#define HOLDFAST_CLI_PROGRAM_H

#include <limits.h>

#include "base/error.h"

/* Where the program `name` is that belongs to this one: "holdfast" is this one itself; another
 * ("holdfast-supervise") lies beside it, in ../libexec/holdfast or where it was installed. Returns 0 with its
 * absolute path, or a negative errno with *why. */
int program_find(const char *name, char path[PATH_MAX], struct error *why);

/* Replaces this program by `name`. `arguments` is its argv. Returns only on failure, with a negative errno
 * and *why. */
int program_become(const char *name, const char *const *arguments, struct error *why);

#endif
