/* What a provider's answer means: from its status, its head and its body to one failover_report. Bytes in, a
 * value out; no answer is trusted to be well-formed. */
#ifndef HOLDFAST_RELAY_CLASSIFY_H
#define HOLDFAST_RELAY_CLASSIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/failover.h"

/* The interfaces whose answers are understood; all others pass through guarded by the clocks. */
enum api { API_ANTHROPIC_MESSAGES, API_OPENAI_COMPLETIONS, API_OTHER };

enum api api_from_name(const char *name);

/* Of an answer with a status of 400 or more. `head` is a checked head (http/head.h), `body` the beginning of
 * the decoded body, at most CLASSIFY_BODY_MAX bytes of it are read. `real_ms` is the time of day, for a
 * Retry-After that is a date. */
#define CLASSIFY_BODY_MAX (16 * 1024)
void classify_answer(enum api api, unsigned status, const char *head, size_t head_length, const char *body,
    size_t body_length, int64_t real_ms, struct failover_report *report);

/* Of an error that came within a 200: the data of an error event, or a JSON body that is an error. */
void classify_error(enum api api, const char *json, size_t length, struct failover_report *report);

/* The organisation that a head names ("anthropic-organization-id", "openai-organization"); 0: none. */
uint64_t classify_organisation(const char *head, size_t head_length);

#endif
