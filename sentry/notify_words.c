#include "sentry/notify_words.h"

#include <string.h>

#include "base/text.h"
#include "format/utf8.h"

#define DIGITS_MAX 20

struct line {
	const char *value;
	size_t length;
};

static bool is(const struct line *line, const char *wanted)
{
	return line->length == strlen(wanted) && memcmp(line->value, wanted, line->length) == 0;
}

/* Microseconds as milliseconds, rounded up: a promise is not made shorter than it was meant. */
static bool read_time(const struct line *line, int64_t *time_ms)
{
	char number[DIGITS_MAX + 1] = "";
	uint64_t us;

	if (line->length == 0 || line->length > DIGITS_MAX)
		return false;
	memcpy(number, line->value, line->length);
	if (strspn(number, "0123456789") != line->length || text_to_u64(number, UINT64_MAX, &us) < 0)
		return false;
	*time_ms = us / 1000 > NOTIFY_TIME_MAX_MS ? INT64_MAX : (int64_t)(us / 1000 + (us % 1000 != 0));
	return true;
}

static void copy_status(const struct line *line, char status[NOTIFY_STATUS_MAX])
{
	const char *at = line->value;
	size_t left = line->length, used = 0;

	while (left > 0) {
		uint32_t character = 0;
		size_t size = utf8_decode(at, left, &character);
		bool printable = size != 0 && utf8_is_shown(character);
		size_t taken = size != 0 ? size : 1;

		if (used + (printable ? size : 1) >= NOTIFY_STATUS_MAX)
			break;
		if (printable)
			memcpy(status + used, at, size);
		else
			status[used] = '?';
		used += printable ? size : 1;
		at += taken;
		left -= taken;
	}
	status[used] = '\0';
}

static void read_watchdog(const struct line *line, struct notify_words *words)
{
	if (is(line, "1"))
		words->said |= NOTIFY_ALIVE;
	else if (is(line, "trigger"))
		words->said |= NOTIFY_TRIGGER;
}

static void read_interval(const struct line *line, struct notify_words *words)
{
	int64_t time_ms;

	if (!read_time(line, &time_ms))
		return;
	words->said |= NOTIFY_INTERVAL;
	words->watchdog_ms = time_ms <= NOTIFY_TIME_MAX_MS ? time_ms : 0;
}

static void read_extension(const struct line *line, struct notify_words *words)
{
	int64_t time_ms;

	if (!read_time(line, &time_ms))
		return;
	words->said |= NOTIFY_EXTENSION;
	words->extension_ms = time_ms <= NOTIFY_TIME_MAX_MS ? time_ms : NOTIFY_TIME_MAX_MS;
}

static void read_line(const char *bytes, size_t length, struct notify_words *words)
{
	const char *equals = memchr(bytes, '=', length);
	struct line key = {bytes, equals != NULL ? (size_t)(equals - bytes) : 0}, value;

	if (equals == NULL)
		return;
	value = (struct line){equals + 1, length - key.length - 1};
	if (is(&key, "READY"))
		words->said |= is(&value, "1") ? NOTIFY_READY : 0;
	else if (is(&key, "STOPPING"))
		words->said |= is(&value, "1") ? NOTIFY_STOPPING : 0;
	else if (is(&key, "RELOADING"))
		words->said |= is(&value, "1") ? NOTIFY_RELOADING : 0;
	else if (is(&key, "WATCHDOG"))
		read_watchdog(&value, words);
	else if (is(&key, "WATCHDOG_USEC"))
		read_interval(&value, words);
	else if (is(&key, "EXTEND_TIMEOUT_USEC"))
		read_extension(&value, words);
	else if (is(&key, "STATUS")) {
		words->said |= NOTIFY_STATUS;
		copy_status(&value, words->status);
	}
}

bool notify_read(const char *bytes, size_t length, struct notify_words *words)
{
	memset(words, 0, sizeof(*words));
	if (length > NOTIFY_DATAGRAM_MAX)
		return false;
	if (length > 0 && bytes[length - 1] == '\0') /* some send the end of their string as well */
		length--;
	if (length == 0 || memchr(bytes, '\0', length) != NULL)
		return false;
	while (length > 0) {
		const char *end = memchr(bytes, '\n', length);
		size_t line = end != NULL ? (size_t)(end - bytes) : length;

		read_line(bytes, line, words);
		bytes += line + (end != NULL);
		length -= line + (end != NULL);
	}
	return true;
}
