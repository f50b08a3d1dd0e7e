#include "relay/retry_after.h"

#include <stdbool.h>
#include <stdio.h>
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

static bool is_digit(char byte)
{
	return byte >= '0' && byte <= '9';
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

/* Digits, where a fraction may follow: no sign, no exponent, nothing that only strtod() knows. */
static bool read_decimal(const char **text, double *number)
{
	const char *next = *text, *begin = next;
	double unit = 1;

	for (*number = 0; is_digit(*next); next++)
		*number = *number * 10 + (*next - '0');
	if (next == begin)
		return false;
	if (*next == '.')
		for (next++; is_digit(*next); next++)
			*number += (*next - '0') * (unit /= 10);
	*text = next;
	return true;
}

/* -1: it is no such number. */
static int64_t read_number(const char *text, double unit_ms)
{
	double number;

	return read_decimal(&text, &number) && *text == '\0' ? bounded(number * unit_ms) : -1;
}

/* 0: it is no moment as whole seconds. */
static int64_t read_seconds(const char *text)
{
	double number;

	return read_decimal(&text, &number) && *text == '\0' && number < 1e12 ? (int64_t)number : 0;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7; the obsolete forms are not sent any more). */
static int64_t read_http_date(const char *text, int64_t real_ms)
{
	struct tm date = {0};
	const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &date);

	return end == NULL || *end != '\0' ? -1 : until((int64_t)timegm(&date) * 1000, real_ms);
}

/* RFC 3339: "2026-11-30T12:00:00Z", where a fraction is let pass and an offset may stand for the Z. */
static int64_t read_moment(const char *text, int64_t real_ms)
{
	struct tm date = {0};
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &date);
	int sign, hours, minutes, used = 0;

	if (end == NULL)
		return -1;
	if (*end == '.')
		for (end++; is_digit(*end);)
			end++;
	if (strcmp(end, "Z") == 0)
		return until((int64_t)timegm(&date) * 1000, real_ms);
	sign = *end == '-' ? -1 : *end == '+' ? 1 : 0;
	if (sign == 0 || sscanf(end + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 || end[1 + used] != '\0')
		return -1;
	return until(((int64_t)timegm(&date) - sign * (hours * 60 + minutes) * 60) * 1000, real_ms);
}

/* "6m0s", "1s", "20ms", "9.816s", "1h2m", "1d": as OpenAI writes them, with nothing else in the text. */
static int64_t read_duration(const char *text)
{
	static const struct {
		const char *unit;
		double ms;
	} units[] = {{"ms", 1}, {"d", 86400e3}, {"h", 3600e3}, {"m", 60e3}, {"s", 1e3}};
	double total = 0;

	if (*text == '\0')
		return -1;
	while (*text != '\0') {
		double number;
		size_t i = 0;

		if (!read_decimal(&text, &number))
			return -1;
		while (i < sizeof(units) / sizeof(units[0]) &&
		       strncmp(text, units[i].unit, strlen(units[i].unit)) != 0)
			i++;
		if (i == sizeof(units) / sizeof(units[0]))
			return -1;
		total += number * units[i].ms;
		text += strlen(units[i].unit);
	}
	return bounded(total);
}

/* "Rate limit reached for ... Please try again in 9.816s. Visit ..." (OpenAI). */
int64_t retry_after_of_message(const char *message)
{
	static const char before[] = "try again in ";
	const char *words = strcasestr(message, before);
	char text[VALUE_MAX];
	size_t length;

	if (words == NULL)
		return -1;
	words += sizeof(before) - 1;
	length = strspn(words, "0123456789.dhms");
	while (length > 0 && words[length - 1] == '.')
		length--;
	if (length >= sizeof(text))
		return -1;
	memcpy(text, words, length);
	text[length] = '\0';
	return read_duration(text);
}

/* "You will regain access on 2026-12-01 at 00:00 UTC." */
static int64_t read_sentence(const char *message, int64_t real_ms)
{
	const char *words = strcasestr(message, "regain access on ");
	struct tm date = {0};

	if (words == NULL)
		return retry_after_of_message(message);
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

/* Of subscriptions: seconds since 1970, of the whole or of the windows that are rejected. */
static int64_t read_unified(const char *head, size_t head_length, int64_t real_ms)
{
	static const char *const windows[] = {"", "-7d", "-5h"};
	char name[VALUE_MAX], text[VALUE_MAX];

	for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
		int64_t at_ms;

		snprintf(name, sizeof(name), "anthropic-ratelimit-unified%s-status", windows[i]);
		if (!field_text(head, head_length, name, text) || strcmp(text, "rejected") != 0)
			continue;
		snprintf(name, sizeof(name), "anthropic-ratelimit-unified%s-reset", windows[i]);
		at_ms = field_text(head, head_length, name, text) ? read_seconds(text) * 1000 : 0;
		if (at_ms > 0)
			return until(at_ms, real_ms);
	}
	return -1;
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
	return longest_ms >= 0 ? longest_ms : read_unified(head, head_length, real_ms);
}
