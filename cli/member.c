#include "cli/member.h"

#include "base/clock.h"
#include "format/json_write.h"

void member_text(struct text *text, const char *key, const char *value)
{
	json_write_key(text, key);
	json_write_string(text, *value != '\0' ? value : NULL);
}

void member_number(struct text *text, const char *key, uint64_t value)
{
	json_write_key(text, key);
	json_write_unsigned(text, value);
}

void member_optional(struct text *text, const char *key, uint64_t value)
{
	json_write_key(text, key);
	if (value != 0)
		json_write_unsigned(text, value);
	else
		json_write_null(text);
}

void member_bool(struct text *text, const char *key, bool value)
{
	json_write_key(text, key);
	json_write_bool(text, value);
}

void member_time(struct text *text, const char *key, int64_t real_ms)
{
	char time[CLOCK_TEXT_MAX];

	json_write_key(text, key);
	if (real_ms > 0 && real_ms < INT64_MAX)
		json_write_string(text, clock_format(time, sizeof(time), real_ms));
	else
		json_write_null(text);
}

void member_known(struct text *text, const char *key, int64_t value)
{
	json_write_key(text, key);
	if (value >= 0)
		json_write_integer(text, value);
	else
		json_write_null(text);
}
