/* `holdfast profiles`: the auth profiles of the relay, and how they are. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/print.h"
#include "cli/relay_ask.h"
#include "config/load.h"
#include "format/json5.h"

#define ANSWER_MAX ((size_t)1024 * 1024)
#define CELL_MAX   128
#define COLUMNS    5

enum { COLUMN_PROVIDER, COLUMN_PROFILE, COLUMN_ATTEMPTS, COLUMN_FAILOVERS, COLUMN_STATE };

struct row {
	char cells[COLUMNS][CELL_MAX];
	bool is_well;
};

static const char *text_of(
    const struct json_document *document, const struct json_value *object, const char *key)
{
	const struct json_value *value = json_find(document, object, key);

	return value != NULL && value->type == JSON_STRING ? value->string.bytes : "";
}

static double sum_of(const struct json_document *document, const struct json_value *object)
{
	double sum = 0;

	if (object == NULL || object->type != JSON_OBJECT)
		return 0;
	for (const struct json_value *each = json_first(document, object); each != NULL;
	     each = json_next(document, each))
		sum += each->type == JSON_NUMBER ? each->number : 0;
	return sum;
}

/* "cooling until 2026-12-01T10:00:00.000Z (rate_limited)" */
static void describe(const struct json_document *document, const struct json_value *profile, struct row *row)
{
	const char *state = text_of(document, profile, "state");
	const char *cause = text_of(document, profile, "cause"), *until = text_of(document, profile, "until");
	const char *why = text_of(document, profile, "why");
	struct text text;

	text_init(&text, row->cells[COLUMN_STATE], CELL_MAX);
	row->is_well = strcmp(state, "ready") == 0;
	text_add(&text, strcmp(state, "no_key") == 0 ? "has no key" : state);
	if (strcmp(state, "cooling") == 0 && *until != '\0')
		text_addf(&text, " until %s", until);
	if (*cause != '\0')
		text_addf(&text, " (%s)", cause);
	if (*why != '\0')
		text_addf(&text, ": %s", why);
	if (strcmp(text_of(document, profile, "heldBy"), "gateway") == 0)
		text_add(&text, ", held by the gateway");
}

static void fill(const struct json_document *document, const struct json_value *provider,
    const struct json_value *profile, struct row *row)
{
	const struct json_value *failovers = json_find(document, profile, "failovers");

	text_copy(row->cells[COLUMN_PROVIDER], CELL_MAX, text_of(document, provider, "name"));
	text_copy(row->cells[COLUMN_PROFILE], CELL_MAX, text_of(document, profile, "id"));
	snprintf(row->cells[COLUMN_ATTEMPTS], CELL_MAX, "%.0f",
	    sum_of(document, json_find(document, profile, "attempts")));
	snprintf(row->cells[COLUMN_FAILOVERS], CELL_MAX, "%.0f",
	    failovers != NULL && failovers->type == JSON_NUMBER ? failovers->number : 0);
	describe(document, profile, row);
}

static void print_rows(const struct row *rows, size_t count)
{
	static const char *const titles[] = {"PROVIDER", "PROFILE", "ATTEMPTS", "FAILOVERS", "STATE"};
	size_t widths[COLUMNS];

	for (int column = 0; column < COLUMNS; column++) {
		widths[column] = strlen(titles[column]);
		for (size_t i = 0; i < count; i++)
			if (strlen(rows[i].cells[column]) > widths[column])
				widths[column] = strlen(rows[i].cells[column]);
	}
	for (int column = 0; column < COLUMNS; column++)
		print_padded(COLOUR_NONE, titles[column], column + 1 < COLUMNS ? widths[column] + 2 : 0);
	putchar('\n');
	for (size_t i = 0; i < count; i++) {
		for (int column = 0; column + 1 < COLUMNS; column++)
			print_padded(COLOUR_NONE, rows[i].cells[column], widths[column] + 2);
		print_coloured(rows[i].is_well ? COLOUR_GREEN : COLOUR_YELLOW, rows[i].cells[COLUMN_STATE]);
		putchar('\n');
	}
}

static bool print_document(const struct json_document *document)
{
	static struct row rows[SETTINGS_PROVIDERS_MAX * SETTINGS_PROFILES_MAX];
	const struct json_value *providers = json_find(document, json_root(document), "providers");
	size_t count = 0;

	if (providers == NULL || providers->type != JSON_ARRAY)
		return false;
	for (const struct json_value *provider = json_first(document, providers); provider != NULL;
	     provider = json_next(document, provider)) {
		const struct json_value *profiles = json_find(document, provider, "profiles");

		if (profiles == NULL || profiles->type != JSON_ARRAY)
			return false;
		for (const struct json_value *profile = json_first(document, profiles);
		     profile != NULL && count < sizeof(rows) / sizeof(rows[0]);
		     profile = json_next(document, profile))
			fill(document, provider, profile, &rows[count++]);
	}
	print_rows(rows, count);
	return true;
}

/* Returns false when the answer is not what a relay says. */
static bool print_answer(const char *answer)
{
	size_t length = strlen(answer);
	struct json_document document = {
	    .value_max = (uint32_t)JSON_VALUES_FOR(length), .string_size = JSON_STRINGS_FOR(length)};
	struct json_fault fault;
	bool printed;

	document.values = calloc(document.value_max, sizeof(document.values[0]));
	document.strings = malloc(document.string_size);
	printed = document.values != NULL && document.strings != NULL &&
	          json_parse(&document, answer, length, JSON_STRICT, &fault) == 0 &&
	          print_document(&document);
	free(document.values);
	free(document.strings);
	return printed;
}

int run_profiles(struct invocation *invocation)
{
	static struct settings settings;
	static char answer[ANSWER_MAX];
	struct settings_flags flags;
	struct error why;
	int result;

	if (command_flags(invocation, &flags, &why) < 0) {
		complain("%s", why.text);
		return EXIT_USAGE;
	}
	flags.without_command = true;
	if (settings_load(&settings, &flags, environ, NULL, NULL, &why) < 0) {
		complain("%s", why.text);
		return EXIT_CONFIG;
	}
	if (settings.relay.provider_count == 0 || settings.relay.port == 0) {
		complain("No provider is configured: relay.providers in holdfast.json names them, see "
		         "holdfast.json(5).");
		return EXIT_FAILED;
	}
	result = relay_get(settings.relay.port, "/profiles", answer, sizeof(answer));
	if (result < 0) {
		complain(
		    "The relay does not answer on port %u (%s): \"holdfast status\" says whether it runs.",
		    settings.relay.port, strerror(-result));
		return EXIT_NO_SUPERVISOR;
	}
	if (invocation->json) {
		fputs(answer, stdout);
	} else if (!print_answer(answer)) {
		complain("What answers on port %u is not the relay.", settings.relay.port);
		return EXIT_FAILED;
	}
	return print_finish(EXIT_DONE);
}
