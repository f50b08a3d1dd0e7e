/* Names that come from a gateway, in sentences of a declared length. They were cleaned before
 * (autopsy_clean). */
#ifndef HOLDFAST_SENTRY_AUTOPSY_WORDS_H
#define HOLDFAST_SENTRY_AUTOPSY_WORDS_H

#include <stddef.h>

#include "base/text.h"

/* At most `max` bytes of it, ending where a character ends; dots for the rest. */
void autopsy_add_start(struct text *text, const char *string, size_t max);

/* Of a long path the end says more. */
void autopsy_add_path(struct text *text, const char *path);

/* "`sleep 600` (pid 12": the caller closes the bracket. */
void autopsy_add_process(struct text *text, const char *command, int pid);

#endif
