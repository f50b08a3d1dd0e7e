#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_ms(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_boot_ms(void)
{
	return read_ms(CLOCK_BOOTTIME);
}

int64_t clock_monotonic_ms(void)
{
	return read_ms(CLOCK_MONOTONIC);
}

int64_t clock_real_ms(void)
{
	return read_ms(CLOCK_REALTIME);
}

const char *clock_format(char *target, size_t target_size, int64_t real_ms)
{
	time_t seconds = (time_t)(real_ms / 1000);
	struct tm utc;

	gmtime_r(&seconds, &utc);
	snprintf(target, target_size, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900,
	    utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, (int)(real_ms % 1000));
	return target;
}
