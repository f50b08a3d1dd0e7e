/* How long a provider says to wait, in all the ways that it may say so. */
#ifndef HOLDFAST_RELAY_RETRY_AFTER_H
#define HOLDFAST_RELAY_RETRY_AFTER_H

#include <stddef.h>
#include <stdint.h>

#define RETRY_AFTER_MAX_MS (31 * 24 * 3600 * (int64_t)1000)

/* Retry-After-Ms, Retry-After (seconds or an HTTP date), or in the message of an error "regain access on
 * DATE" (Anthropic) or "try again in 20s" (OpenAI). `real_ms` is the time of day. Returns milliseconds from
 * now, 0 for what is past, -1 when it does not say. */
int64_t retry_after_read(const char *head, size_t head_length, const char *message, int64_t real_ms);

/* When the limits that are used up are whole again: anthropic-ratelimit-*, x-ratelimit-*. Returns as above.
 */
int64_t retry_after_of_limits(const char *head, size_t head_length, int64_t real_ms);

/* "Try again in 20s" alone. Returns as above. */
int64_t retry_after_of_message(const char *message);

#endif
