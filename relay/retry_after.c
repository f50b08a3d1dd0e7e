#include "relay/retry_after.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "http/head.h"

#define VALUE_MAX 64

/* The value of a field as text; false when there is none, or it is too long to be meant. */
static bool field_text(const char *head, size_t head_length, const char *name, char text[VALUE_MAX])
{
	const char *value;
	size_t length;

	if (!http_head_field(head, head_length, name, &value, &length) || length == 0 || length >= VALUE_MAX)
		return false;
	memcpy(text, value, length);
	text[length] = '\0';
	return true;
}

static int64_t bounded(double ms)
{
	if (!(ms > 0))
		return 0;
	return ms > (double)RETRY_AFTER_MAX_MS ? RETRY_AFTER_MAX_MS : (int64_t)ms;
}

static int64_t until(int64_t at_ms, int64_t real_ms)
{
	return bounded((double)(at_ms - real_ms));
}

/* -1: it is no such number. */
static int64_t read_number(const char *text, double unit_ms)
{
	char *end;
	double number = strtod(text, &end);

	if (end == text || *end != '\0' || !(number >= 0))
		return -1;
	return bounded(number * unit_ms);
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7; the obsolete forms are not sent any more). */
static int64_t read_http_date(const char *text, int64_t real_ms)
{
	struct tm date = {0};
	const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &date);

	return end == NULL || *end != '\0' ? -1 : until((int64_t)timegm(&date) * 1000, real_ms);
}

/* RFC 3339: "2026-11-30T12:00:00Z", with a fraction or an offset that are let pass. */
static int64_t read_moment(const char *text, int64_t real_ms)
{
	struct tm date = {0};

	return strptime(text, "%Y-%m-%dT%H:%M:%S", &date) == NULL
	           ? -1
	           : until((int64_t)timegm(&date) * 1000, real_ms);
}

/* "6m0s", "1s", "20ms", "1h2m", "1d": as OpenAI writes them. */
static int64_t read_duration(const char *text)
{
	static const struct {
		const char *unit;
		double ms;
	} units[] = {{"ms", 1}, {"d", 86400e3}, {"h", 3600e3}, {"m", 60e3}, {"s", 1e3}};
	double total = 0;

	while (*text != '\0') {
		char *end;
		double number = strtod(text, &end);
		size_t i = 0;

		if (end == text || !(number >= 0))
			return -1;
		while (i < sizeof(units) / sizeof(units[0]) &&
		       strncmp(end, units[i].unit, strlen(units[i].unit)) != 0)
			i++;
		if (i == sizeof(units) / sizeof(units[0]))
			return -1;
		total += number * units[i].ms;
		text = end + strlen(units[i].unit);
	}
	return bounded(total);
}

/* "You will regain access on 2026-12-01 at 00:00 UTC." */
static int64_t read_sentence(const char *message, int64_t real_ms)
{
	const char *words = strcasestr(message, "regain access on ");
	struct tm date = {0};

	if (words == NULL)
		return -1;
	words += strlen("regain access on ");
	if (strptime(words, "%Y-%m-%d at %H:%M", &date) == NULL) {
		memset(&date, 0, sizeof(date));
		if (strptime(words, "%Y-%m-%d", &date) == NULL)
			return -1;
	}
	return until((int64_t)timegm(&date) * 1000, real_ms);
}

int64_t retry_after_read(const char *head, size_t head_length, const char *message, int64_t real_ms)
{
	char text[VALUE_MAX];
	int64_t ms = -1;

	if (field_text(head, head_length, "retry-after-ms", text))
		ms = read_number(text, 1);
	if (ms < 0 && field_text(head, head_length, "retry-after", text)) {
		ms = read_number(text, 1000);
		if (ms < 0)
			ms = read_http_date(text, real_ms);
	}
	return ms >= 0 ? ms : read_sentence(message, real_ms);
}

/* Whether the limit of this kind is used up. */
static bool is_used_up(const char *head, size_t head_length, const char *format, const char *kind)
{
	char name[VALUE_MAX], text[VALUE_MAX];

	snprintf(name, sizeof(name), format, kind);
	return field_text(head, head_length, name, text) && strcmp(text, "0") == 0;
}

int64_t retry_after_of_limits(const char *head, size_t head_length, int64_t real_ms)
{
	static const char *const anthropic[] = {"requests", "tokens", "input-tokens", "output-tokens"};
	static const char *const openai[] = {"requests", "tokens", "project-tokens"};
	char name[VALUE_MAX], text[VALUE_MAX];
	int64_t longest_ms = -1, ms;

	for (size_t i = 0; i < sizeof(anthropic) / sizeof(anthropic[0]); i++) {
		snprintf(name, sizeof(name), "anthropic-ratelimit-%s-reset", anthropic[i]);
		if (!is_used_up(head, head_length, "anthropic-ratelimit-%s-remaining", anthropic[i]) ||
		    !field_text(head, head_length, name, text))
			continue;
		ms = read_moment(text, real_ms);
		longest_ms = ms > longest_ms ? ms : longest_ms;
	}
	for (size_t i = 0; i < sizeof(openai) / sizeof(openai[0]); i++) {
		snprintf(name, sizeof(name), "x-ratelimit-reset-%s", openai[i]);
		if (!is_used_up(head, head_length, "x-ratelimit-remaining-%s", openai[i]) ||
		    !field_text(head, head_length, name, text))
			continue;
		ms = read_duration(text);
		longest_ms = ms > longest_ms ? ms : longest_ms;
	}
	/* Of subscriptions: seconds since 1970, where the whole is rejected. */
	if (longest_ms < 0 && field_text(head, head_length, "anthropic-ratelimit-unified-status", text) &&
	    strcmp(text, "rejected") == 0 &&
	    field_text(head, head_length, "anthropic-ratelimit-unified-reset", text)) {
		int64_t at_ms = (int64_t)strtod(text, NULL) * 1000;

		longest_ms = at_ms > 0 ? until(at_ms, real_ms) : -1;
	}
	return longest_ms;
}
