#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void text_init(struct text *text, char *data, size_t size)
{
	text->data = data;
	text->size = size;
	text->length = 0;
	text->truncated = false;
	data[0] = '\0';
}

void text_add_bytes(struct text *text, const char *bytes, size_t length)
{
	size_t room = text->size - 1 - text->length;

	if (length > room) {
		length = room;
		text->truncated = true;
	}
	memcpy(text->data + text->length, bytes, length);
	text->length += length;
	text->data[text->length] = '\0';
}

void text_add(struct text *text, const char *string)
{
	text_add_bytes(text, string, strlen(string));
}

void text_addf(struct text *text, const char *format, ...)
{
	size_t room = text->size - text->length;
	va_list arguments;
	int wanted;

	va_start(arguments, format);
	wanted = vsnprintf(text->data + text->length, room, format, arguments);
	va_end(arguments);
	if (wanted < 0)
		return;
	if ((size_t)wanted >= room) {
		text->truncated = true;
		text->length = text->size - 1;
	} else {
		text->length += (size_t)wanted;
	}
}

bool text_copy(char *target, size_t target_size, const char *source)
{
	size_t length = strlen(source);
	bool fits = length < target_size;

	if (!fits)
		length = target_size - 1;
	memcpy(target, source, length);
	target[length] = '\0';
	return fits;
}

int text_to_u64(const char *string, uint64_t max, uint64_t *value)
{
	uint64_t result = 0;

	if (*string == '\0')
		return -EINVAL;
	for (; *string != '\0'; string++) {
		unsigned digit = (unsigned)(*string - '0');

		if (digit > 9)
			return -EINVAL;
		if (result > (max - digit) / 10)
			return -ERANGE;
		result = result * 10 + digit;
	}
	*value = result;
	return 0;
}

const char *text_duration(char *target, size_t target_size, int64_t ms)
{
	int64_t seconds = ms / 1000;

	if (ms < 10000)
		snprintf(target, target_size, "%" PRId64 ".%" PRId64 " s", seconds, ms % 1000 / 100);
	else if (seconds < 120)
		snprintf(target, target_size, "%" PRId64 " s", seconds);
	else if (seconds < 7200)
		snprintf(target, target_size, "%" PRId64 " min %" PRId64 " s", seconds / 60, seconds % 60);
	else if (seconds < 172800)
		snprintf(
		    target, target_size, "%" PRId64 " h %" PRId64 " min", seconds / 3600, seconds / 60 % 60);
	else
		snprintf(
		    target, target_size, "%" PRId64 " d %" PRId64 " h", seconds / 86400, seconds / 3600 % 24);
	return target;
}

const char *text_bytes(char *target, size_t target_size, uint64_t bytes)
{
	static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 999.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1000;
		unit++;
	}
	snprintf(target, target_size, unit > 0 && value < 9.95 ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return target;
}
