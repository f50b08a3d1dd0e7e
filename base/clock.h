/* Clock values in milliseconds. The core never reads a clock: it is handed these. */
#ifndef HOLDFAST_BASE_CLOCK_H
#define HOLDFAST_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_TEXT_MAX 32

int64_t clock_boot_ms(void);      /* CLOCK_BOOTTIME: never jumps, counts the host's sleep */
int64_t clock_monotonic_ms(void); /* CLOCK_MONOTONIC: never jumps, stands still while the host sleeps */
int64_t clock_real_ms(void);      /* CLOCK_REALTIME: for people and records only */

/* RFC 3339 in UTC with milliseconds, e.g. 2026-11-21T09:14:18.168Z. `target` holds CLOCK_TEXT_MAX bytes. */
const char *clock_format(char *target, size_t target_size, int64_t real_ms);

#endif
