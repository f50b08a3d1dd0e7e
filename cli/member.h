/* The members of the JSON objects that commands print. */
#ifndef HOLDFAST_CLI_MEMBER_H
#define HOLDFAST_CLI_MEMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

void member_text(struct text *text, const char *key, const char *value); /* "": null */
void member_number(struct text *text, const char *key, uint64_t value);
void member_optional(struct text *text, const char *key, uint64_t value); /* 0: null; a pid, a port */
void member_known(struct text *text, const char *key, int64_t value);     /* -1: null */
void member_bool(struct text *text, const char *key, bool value);
void member_time(struct text *text, const char *key, int64_t real_ms); /* 0 and INT64_MAX: null */

#endif
