/* Moments as people write them on a command line. */
#ifndef HOLDFAST_RECORDER_MOMENT_H
#define HOLDFAST_RECORDER_MOMENT_H

#include <stdint.h>

#include "base/error.h"

/* Reads all of `string`: a date (2026-11-21, its first moment in UTC), RFC 3339 (2026-11-21T09:14:18Z,
 * +01:00; the seconds, their fraction and the zone may be missing, then it is UTC), or a time ago (90s, 30m,
 * 2h, 7d, 1w) before `now_ms`. *moment_ms is Unix time. Returns 0, or -EINVAL with *why. */
int moment_parse(const char *string, int64_t now_ms, int64_t *moment_ms, struct error *why);

#endif
