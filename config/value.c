/* One setting from one value: the same checks and the same sentences for every source. */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/loader.h"
#include "config/paths.h"
#include "format/utf8.h"

#define PATH_TEXT_MAX 256

struct scalar {
	int64_t whole;    /* all but the two below */
	double number;    /* SETTING_NUMBER */
	const char *text; /* SETTING_ADDRESS, SETTING_PATH, SETTING_DIRECTORY */
};

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit duration_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 60 * 60 * 1000}, {"d", 24 * 60 * 60 * 1000}, {NULL, 0}};
static const struct unit size_units[] = {{"B", 1}, {"kB", 1000}, {"KB", 1000}, {"MB", 1000 * 1000},
    {"GB", 1000 * 1000 * 1000}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {NULL, 0}};

static bool is_structured(const struct setting *setting)
{
	return setting->type >= SETTING_ARGUMENTS;
}

/* Digits, perhaps a decimal fraction, perhaps a unit: "90", "1.5h". Nothing else, no spaces. */
static bool read_quantity(const char *text, const struct unit *units, int64_t *value)
{
	size_t digits = strspn(text, "0123456789"), length = digits;
	int64_t factor = 1;
	double amount;

	if (digits == 0 || digits > 15)
		return false;
	if (text[digits] == '.') {
		size_t decimals = strspn(text + digits + 1, "0123456789");

		if (decimals == 0 || decimals > 9)
			return false;
		length += 1 + decimals;
	}
	if (text[length] != '\0') {
		while (units->name != NULL && strcmp(units->name, text + length) != 0)
			units++;
		if (units->name == NULL)
			return false;
		factor = units->factor;
	} else if (length != digits) {
		return false;
	}
	amount = strtod(text, NULL) * (double)factor;
	if (amount > 9e15)
		return false;
	*value = (int64_t)llround(amount);
	return true;
}

static bool read_decimal(const char *text, double *number)
{
	size_t length = strspn(text, "0123456789."), digits = strspn(text, "0123456789");

	if (length == 0 || length > 32 || text[length] != '\0' || digits == 0)
		return false;
	if (strcspn(text + digits + (text[digits] == '.'), ".") !=
	    strlen(text + digits + (text[digits] == '.')))
		return false;
	*number = strtod(text, NULL);
	return true;
}

static bool is_address(const char *text)
{
	unsigned char address[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

static bool is_url_path(const struct setting *setting, const char *text)
{
	if (*text == '\0')
		return setting->min == 0;
	if (setting->max == 1 && strcmp(text, SETTINGS_READY_NOTIFY) == 0)
		return true;
	if (*text != '/' || strlen(text) > PATH_TEXT_MAX)
		return false;
	for (; *text != '\0'; text++)
		if (*text <= ' ' || *text >= 0x7f || *text == '#')
			return false;
	return true;
}

static bool is_directory_text(const char *text)
{
	return strlen(text) < PATH_MAX &&
	       (text[0] == '/' || (text[0] == '~' && (text[1] == '/' || text[1] == '\0')));
}

static bool read_word(const char *text, const char *zero, const char *one, int64_t *value)
{
	*value = strcmp(text, one) == 0;
	return *value == 1 || strcmp(text, zero) == 0;
}

/* What a value spelled as text means; ranges are checked by the caller. */
static bool read_text(const struct setting *setting, const char *text, struct scalar *scalar)
{
	uint64_t whole;

	scalar->text = text;
	switch (setting->type) {
	case SETTING_BOOL:
		return read_word(text, "false", "true", &scalar->whole);
	case SETTING_KIND:
		return read_word(text, "openclaw", "generic", &scalar->whole);
	case SETTING_COUNT:
	case SETTING_PORT:
		if (text_to_u64(text, UINT32_MAX, &whole) < 0)
			return false;
		scalar->whole = (int64_t)whole;
		return true;
	case SETTING_NUMBER:
		return read_decimal(text, &scalar->number);
	case SETTING_DURATION:
		return read_quantity(text, duration_units, &scalar->whole);
	case SETTING_SIZE:
		return read_quantity(text, size_units, &scalar->whole);
	case SETTING_ADDRESS:
		return is_address(text);
	case SETTING_PATH:
		return is_url_path(setting, text);
	case SETTING_DIRECTORY:
		return is_directory_text(text);
	default:
		return false;
	}
}

static bool has_nul(const struct json_value *value)
{
	return memchr(value->string.bytes, '\0', value->string.length) != NULL;
}

/* In a file each setting has its own type: a port is a number there, and "18789" is not. */
static bool read_json(const struct setting *setting, const struct json_value *value, struct scalar *scalar)
{
	bool takes_text = setting->type == SETTING_KIND || setting->type == SETTING_DURATION ||
	                  setting->type == SETTING_SIZE || setting->type == SETTING_ADDRESS ||
	                  setting->type == SETTING_PATH || setting->type == SETTING_DIRECTORY;
	bool takes_number = setting->type == SETTING_COUNT || setting->type == SETTING_PORT ||
	                    setting->type == SETTING_NUMBER || setting->type == SETTING_DURATION ||
	                    setting->type == SETTING_SIZE;

	if (value->type == JSON_BOOL && setting->type == SETTING_BOOL) {
		scalar->whole = value->boolean;
		return true;
	}
	if (value->type == JSON_STRING && takes_text && !has_nul(value))
		return read_text(setting, value->string.bytes, scalar);
	if (value->type != JSON_NUMBER || !takes_number)
		return false;
	scalar->number = value->number;
	if (setting->type == SETTING_NUMBER)
		return isfinite(value->number);
	if (!(fabs(value->number) <= 9e15) || value->number != floor(value->number))
		return false;
	scalar->whole = (int64_t)value->number;
	return true;
}

static bool in_range(const struct setting *setting, const struct scalar *scalar)
{
	if (setting->type == SETTING_NUMBER)
		return scalar->number >= (double)setting->min && scalar->number <= (double)setting->max;
	if (setting->max == 0)
		return true;
	return scalar->whole >= setting->min && scalar->whole <= setting->max;
}

static int store(struct loader *loader, const struct setting *setting, const struct origin *origin,
    const struct scalar *scalar)
{
	void *target = (char *)loader->settings + setting->offset;
	char directory[PATH_MAX];

	if (!loader_wins(loader, setting, origin))
		return 0;
	switch (setting->type) {
	case SETTING_BOOL:
		*(bool *)target = scalar->whole != 0;
		break;
	case SETTING_KIND:
		*(enum gateway_kind *)target = scalar->whole != 0 ? GATEWAY_GENERIC : GATEWAY_OPENCLAW;
		break;
	case SETTING_COUNT:
	case SETTING_PORT:
		*(uint32_t *)target = (uint32_t)scalar->whole;
		break;
	case SETTING_NUMBER:
		*(double *)target = scalar->number;
		break;
	case SETTING_DIRECTORY:
		if (paths_resolve(loader->home, NULL, scalar->text, directory) < 0)
			return loader_fail(loader, origin, "%s is too long for a path.", setting->path);
		if (loader_text(loader, directory, strlen(directory), target) < 0)
			return loader->why->code;
		break;
	case SETTING_ADDRESS:
	case SETTING_PATH:
		if (loader_text(loader, scalar->text, strlen(scalar->text), target) < 0)
			return loader->why->code;
		break;
	default:
		*(int64_t *)target = scalar->whole;
	}
	return loader_took(loader, setting, origin);
}

static int refuse(
    struct loader *loader, const struct setting *setting, const struct origin *origin, const char *shown)
{
	char data[ERROR_TEXT_MAX];
	struct text allowed;

	text_init(&allowed, data, sizeof(data));
	setting_allowed(setting, &allowed);
	return loader_refuse(
	    loader, origin, origin->name != NULL ? origin->name : setting->path, shown, data);
}

/* As it is spelled, on one line and cut: `bytes` may be anything. */
static const char *show(const char *bytes, size_t length, const char *quote, char shown[VALUE_SHOWN_MAX])
{
	struct text text;

	text_init(&text, shown, VALUE_SHOWN_MAX - 5);
	text_add(&text, quote);
	while (length > 0 && !text.truncated && text.length < VALUE_SHOWN_MAX - 10) {
		uint32_t character = 0;
		size_t size = utf8_decode(bytes, length, &character);

		if (size == 0 || character < 0x20 || (character >= 0x7f && character < 0xa0))
			text_add(&text, "?");
		else
			text_add_bytes(&text, bytes, size);
		bytes += size != 0 ? size : 1;
		length -= size != 0 ? size : 1;
	}
	text.size = VALUE_SHOWN_MAX;
	text_add(&text, length > 0 ? "..." : "");
	text_add(&text, quote);
	return shown;
}

const char *value_show(
    const struct origin *origin, const struct json_value *value, char shown[VALUE_SHOWN_MAX])
{
	if (value->type == JSON_ARRAY || value->type == JSON_OBJECT)
		return value->type == JSON_ARRAY ? "a list" : "an object";
	if (value->type == JSON_STRING)
		return show(value->string.bytes, value->string.length, "\"", shown);
	return show(origin->document->bytes + value->start, value->end - value->start, "", shown);
}

bool value_is_whole(const struct setting *setting, const struct json_value *value, int64_t *whole)
{
	struct scalar scalar = {0};

	if (!read_json(setting, value, &scalar) || !in_range(setting, &scalar))
		return false;
	*whole = scalar.whole;
	return true;
}

int value_from_json(struct loader *loader, const struct setting *setting, const struct origin *origin,
    const struct json_value *value)
{
	char shown[VALUE_SHOWN_MAX];
	struct scalar scalar = {0};

	if (is_structured(setting))
		return list_from_json(loader, setting, origin, value);
	if (!read_json(setting, value, &scalar) || !in_range(setting, &scalar))
		return refuse(loader, setting, origin, value_show(origin, value, shown));
	return store(loader, setting, origin, &scalar);
}

static int structured_from_text(
    struct loader *loader, const struct setting *setting, const struct origin *origin, const char *text)
{
	struct source *source = malloc(sizeof(*source));
	struct origin inner = *origin;
	int result = source != NULL ? 0 : error_set(loader->why, -ENOMEM, "There is no memory left.");

	if (result == 0)
		result = source_parse(source, origin->name, text, loader->why);
	if (result == 0) {
		inner.document = source;
		result = list_from_json(loader, setting, &inner, json_root(&source->document));
		source_release(source);
	}
	free(source);
	return result;
}

int value_from_text(
    struct loader *loader, const struct setting *setting, const struct origin *origin, const char *text)
{
	char shown[VALUE_SHOWN_MAX];
	struct scalar scalar = {0};

	if (is_structured(setting))
		return structured_from_text(loader, setting, origin, text);
	if (!read_text(setting, text, &scalar) || !in_range(setting, &scalar))
		return refuse(loader, setting, origin, show(text, strlen(text), "\"", shown));
	return store(loader, setting, origin, &scalar);
}
