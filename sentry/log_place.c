#include "sentry/log_place.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "config/openclaw.h"
#include "config/paths.h"

#define PREFIX        "openclaw"
#define SUFFIX        ".log"
#define DATE_SHAPE    "dddd-dd-dd"
#define DATE_WRITTEN  "YYYY-MM-DD" /* may stand in the configuration, for the date */
#define DATE_LENGTH   10
#define SEGMENT_MAX   220 /* OpenClaw writes a longer one as a hash */
#define PROFILE_BYTES 128

/* --- Families. --- */

static bool is_date(const char *text)
{
	static const char shape[] = DATE_SHAPE;

	if (strncmp(text, DATE_WRITTEN, DATE_LENGTH) == 0)
		return true;
	for (size_t i = 0; i < DATE_LENGTH; i++)
		if (shape[i] == 'd' ? !isdigit((unsigned char)text[i]) : text[i] != shape[i])
			return false;
	return true;
}

/* Whether `name` is FAMILY-DATE.log. */
static bool read_family(const char *name, char family[LOG_FAMILY_MAX])
{
	const size_t end = 1 + DATE_LENGTH + sizeof(SUFFIX) - 1;
	size_t length = strlen(name), family_length = length - end;

	if (length < sizeof(PREFIX) - 1 + end || family_length >= LOG_FAMILY_MAX ||
	    strncmp(name, PREFIX, sizeof(PREFIX) - 1) != 0 || name[family_length] != '-' ||
	    !is_date(name + family_length + 1) || strcmp(name + length - (sizeof(SUFFIX) - 1), SUFFIX) != 0 ||
	    (family_length > sizeof(PREFIX) - 1 && name[sizeof(PREFIX) - 1] != '-') ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") < family_length)
		return false;
	memcpy(family, name, family_length);
	family[family_length] = '\0';
	return true;
}

void log_place_named(struct log_place *place, const char *path)
{
	const char *slash = strrchr(path, '/');

	*place = (struct log_place){0};
	if (slash == NULL || !text_copy(place->fixed, sizeof(place->fixed), path)) {
		*place->fixed = '\0';
		return;
	}
	if (!read_family(slash + 1, place->family))
		return;
	text_copy(place->directories[0], PATH_MAX, path);
	place->directories[0][slash - path] = '\0';
	if (slash == path)
		text_copy(place->directories[0], PATH_MAX, "/");
}

/* --- The default. --- */

static void variable(const struct token_environment *environment, const char *name, char *value, size_t size)
{
	if (!environment->find(environment->context, name, value, size))
		*value = '\0';
}

static void find_profile(
    const struct settings *settings, const struct token_environment *environment, char profile[PROFILE_BYTES])
{
	const char *argument = openclaw_argument(settings, "--profile");
	size_t start, length;

	if (openclaw_asks_for_dev(settings))
		argument = "dev";
	if (argument != NULL)
		text_copy(profile, PROFILE_BYTES, argument);
	else
		variable(environment, "OPENCLAW_PROFILE", profile, PROFILE_BYTES);
	start = strspn(profile, " \t\r\n");
	for (length = strlen(profile); length > start && strchr(" \t\r\n", profile[length - 1]) != NULL;)
		length--;
	memmove(profile, profile + start, length - start);
	profile[length - start] = '\0';
	if (strcasecmp(profile, "default") == 0)
		*profile = '\0';
}

/* As 2026.9.6 spells a profile in a file's name. Returns false for one that is spelt as a hash, or has more
 * than ASCII in it: of those the console tells. */
static bool spell_family(const char *profile, char family[LOG_FAMILY_MAX])
{
	struct text text;

	text_init(&text, family, LOG_FAMILY_MAX);
	text_add(&text, PREFIX);
	if (*profile != '\0')
		text_add(&text, "-");
	for (; *profile != '\0'; profile++) {
		unsigned char byte = (unsigned char)*profile;

		if (byte >= 0x80)
			return false;
		if (isdigit(byte) || islower(byte))
			text_add_bytes(&text, profile, 1);
		else if (byte == '-' || byte == '_')
			text_add(&text, byte == '-' ? "--" : "-0");
		else if (isupper(byte))
			text_addf(&text, "-1%c", tolower(byte));
		else
			text_addf(&text, "-2%x-", byte);
	}
	return !text.truncated && text.length <= sizeof(PREFIX) + SEGMENT_MAX;
}

/* TMPDIR, TMP or TEMP, as Node has it. */
static void find_temporary(const struct token_environment *environment, char directory[PATH_MAX])
{
	static const char *const names[] = {"TMPDIR", "TMP", "TEMP"};

	*directory = '\0';
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && *directory == '\0'; i++)
		variable(environment, names[i], directory, PATH_MAX);
	if (*directory != '/')
		text_copy(directory, PATH_MAX, "/tmp");
}

void log_place_default(struct log_place *place, const struct settings *settings,
    const struct token_environment *environment, const char *preferred)
{
	char profile[PROFILE_BYTES], temporary[PATH_MAX], name[32];

	*place = (struct log_place){0};
	find_profile(settings, environment, profile);
	if (!spell_family(profile, place->family)) {
		*place->family = '\0';
		return;
	}
	text_copy(place->directories[0], PATH_MAX, preferred);
	find_temporary(environment, temporary);
	snprintf(name, sizeof(name), PREFIX "-%u", (unsigned)geteuid());
	if (paths_resolve(NULL, temporary, name, place->directories[1]) < 0)
		*place->directories[1] = '\0';
}

/* --- The candidates. --- */

/* As 2026.9.6 asks before it logs there. */
static bool is_safely_ours(const char *directory)
{
	struct stat status;

	return lstat(directory, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == geteuid() &&
	       (status.st_mode & 022) == 0;
}

/* At its noon: a day has 23 hours, or 25, now and then. */
static bool read_day(int64_t real_ms, int later, struct tm *day)
{
	time_t moment = (time_t)(real_ms / 1000);

	if (localtime_r(&moment, day) == NULL)
		return false;
	day->tm_mday += later;
	day->tm_hour = 12;
	day->tm_isdst = -1;
	return mktime(day) != (time_t)-1;
}

static bool day_path(
    const struct log_place *place, const char *directory, const struct tm *day, char path[PATH_MAX])
{
	struct text text;

	text_init(&text, path, PATH_MAX);
	text_addf(&text, "%s/%s-%04d-%02d-%02d" SUFFIX, strcmp(directory, "/") == 0 ? "" : directory,
	    place->family, day->tm_year + 1900, day->tm_mon + 1, day->tm_mday);
	return !text.truncated;
}

uint32_t log_place_candidates(
    const struct log_place *place, int64_t real_ms, struct log_candidate list[LOG_CANDIDATES_MAX])
{
	bool is_swapped = *place->directories[1] != '\0' && !is_safely_ours(place->directories[0]);
	uint32_t count = 0;

	for (int later = 1; later >= -1 && *place->family != '\0'; later--) {
		struct tm day;

		if (!read_day(real_ms, later, &day))
			continue;
		for (unsigned i = 0; i < 2; i++) {
			const char *directory = place->directories[is_swapped ? 1 - i : i];

			list[count].is_of_family = true;
			if (*directory != '\0' && day_path(place, directory, &day, list[count].path))
				count++;
		}
	}
	if (*place->fixed != '\0') {
		list[count].is_of_family = false;
		text_copy(list[count++].path, PATH_MAX, place->fixed);
	}
	return count;
}
