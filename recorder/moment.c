#include "recorder/moment.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

/* Takes exactly `digits` digits; *at moves past them. */
static bool take_number(const char **at, int digits, int least, int most, int *value)
{
	*value = 0;
	for (int i = 0; i < digits; i++) {
		if ((*at)[i] < '0' || (*at)[i] > '9')
			return false;
		*value = *value * 10 + ((*at)[i] - '0');
	}
	*at += digits;
	return *value >= least && *value <= most;
}

static bool take(const char **at, char wanted)
{
	if (**at != wanted)
		return false;
	(*at)++;
	return true;
}

static bool parse_ago(const char *string, int64_t now_ms, int64_t *moment_ms)
{
	int64_t count = 0, unit_ms;
	int digits = 0;

	for (; string[digits] >= '0' && string[digits] <= '9'; digits++) {
		if (digits == 9)
			return false;
		count = count * 10 + (string[digits] - '0');
	}
	string += digits;
	if (strcmp(string, "s") == 0)
		unit_ms = 1000;
	else if (strcmp(string, "m") == 0 || strcmp(string, "min") == 0)
		unit_ms = 60000;
	else if (strcmp(string, "h") == 0)
		unit_ms = 3600000;
	else if (strcmp(string, "d") == 0)
		unit_ms = 86400000;
	else if (strcmp(string, "w") == 0)
		unit_ms = 604800000;
	else
		return false;
	*moment_ms = now_ms - count * unit_ms;
	return digits > 0;
}

static bool take_clock(const char **at, struct tm *utc, int *ms)
{
	if (!take_number(at, 2, 0, 23, &utc->tm_hour) || !take(at, ':') ||
	    !take_number(at, 2, 0, 59, &utc->tm_min))
		return false;
	if (!take(at, ':'))
		return true;
	if (!take_number(at, 2, 0, 60, &utc->tm_sec))
		return false;
	if (!take(at, '.'))
		return true;
	for (int scale = 100; **at >= '0' && **at <= '9'; scale /= 10)
		*ms += (*(*at)++ - '0') * scale;
	return (*at)[-1] != '.';
}

static bool take_zone(const char **at, int *offset_minutes)
{
	int hours, minutes, sign = **at == '-' ? -1 : 1;

	if (**at == '\0' || take(at, 'Z') || take(at, 'z'))
		return true;
	if (!take(at, '+') && !take(at, '-'))
		return false;
	if (!take_number(at, 2, 0, 23, &hours) || !take(at, ':') || !take_number(at, 2, 0, 59, &minutes))
		return false;
	*offset_minutes = sign * (hours * 60 + minutes);
	return true;
}

static bool parse_date(const char *at, int64_t *moment_ms)
{
	struct tm utc = {0};
	int ms = 0, offset_minutes = 0, day;
	time_t seconds;

	if (!take_number(&at, 4, 1970, 9999, &utc.tm_year) || !take(&at, '-') ||
	    !take_number(&at, 2, 1, 12, &utc.tm_mon) || !take(&at, '-') ||
	    !take_number(&at, 2, 1, 31, &utc.tm_mday))
		return false;
	utc.tm_year -= 1900;
	utc.tm_mon -= 1;
	day = utc.tm_mday;
	if (*at != '\0') {
		if (!take(&at, 'T') && !take(&at, 't') && !take(&at, ' '))
			return false;
		if (!take_clock(&at, &utc, &ms) || !take_zone(&at, &offset_minutes) || *at != '\0')
			return false;
	}
	if (utc.tm_sec == 60)
		utc.tm_sec = 59; /* a leap second has no number of its own in Unix time */
	seconds = timegm(&utc);
	*moment_ms = (int64_t)(seconds - offset_minutes * 60) * 1000 + ms;
	return utc.tm_mday == day; /* timegm makes 31 June 1 July */
}

int moment_parse(const char *string, int64_t now_ms, int64_t *moment_ms, struct error *why)
{
	if (parse_ago(string, now_ms, moment_ms) || parse_date(string, moment_ms))
		return 0;
	return error_set(why, -EINVAL,
	    "\"%.40s\" is no time: write 2h or 30m for so long ago, a date such as 2026-11-21, or "
	    "2026-11-21T09:14:18Z.",
	    string);
}
