#include "cli/options.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "config/schema.h"

#define WORD_MAX  32
#define KNOWN_MAX 64

static bool is_named(const struct option *option, const char *argument, size_t name_length)
{
	if (strlen(option->name) == name_length && strncmp(option->name, argument, name_length) == 0)
		return true;
	return option->letter != 0 && name_length == 2 && argument[0] == '-' && argument[1] == option->letter;
}

static int refuse_unknown(
    const struct option *const *tables, const char *argument, size_t name_length, struct error *why)
{
	const char *known[KNOWN_MAX + 1], *nearest;
	char name[WORD_MAX + 1];
	size_t count = 0;

	for (; *tables != NULL; tables++)
		for (const struct option *option = *tables; option->name != NULL && count < KNOWN_MAX;
		     option++)
			known[count++] = option->name;
	known[count] = NULL;
	snprintf(name, sizeof(name), "%.*s", name_length < WORD_MAX ? (int)name_length : WORD_MAX, argument);
	nearest = schema_nearest_of(known, name);
	if (nearest != NULL)
		return error_set(why, -EINVAL, "There is no option %s: did you mean %s?", name, nearest);
	return error_set(why, -EINVAL, "There is no option %s.", name);
}

static bool is_choice(const char *choices, const char *value)
{
	size_t length = strlen(value);

	while (*choices != '\0') {
		size_t choice = strcspn(choices, " ");

		if (choice == length && strncmp(choices, value, length) == 0)
			return true;
		choices += choice + (choices[choice] == ' ');
	}
	return false;
}

static int store(const struct option *option, void *values, const char *value, struct error *why)
{
	void *target = (char *)values + option->offset;
	struct option_list *list = target;

	if (*value == '\0')
		return error_set(
		    why, -EINVAL, "%s has an empty value: it takes a %s.", option->name, option->value);
	if (option->choices != NULL && !is_choice(option->choices, value))
		return error_set(why, -EINVAL, "%s %.64s is not known: it is one of %s.", option->name, value,
		    option->choices);
	if (option->kind == OPTION_TEXT) {
		*(const char **)target = value;
		return 0;
	}
	if (list->count == OPTION_LIST_MAX)
		return error_set(
		    why, -EINVAL, "%s is given more than %d times.", option->name, OPTION_LIST_MAX);
	list->items[list->count++] = value;
	return 0;
}

static int take_value(
    const struct option *option, void *values, const char *attached, const char *next, struct error *why)
{
	int result;

	if (option->kind == OPTION_FLAG) {
		if (attached != NULL)
			return error_set(why, -EINVAL, "%s takes no value.", option->name);
		*(bool *)((char *)values + option->offset) = true;
		return 1;
	}
	/* "--reason --force" is a forgotten value; whoever means it writes "--reason=--force". */
	if (attached == NULL && (next == NULL || strncmp(next, "--", 2) == 0))
		return error_set(
		    why, -EINVAL, "%s needs a value: %s %s.", option->name, option->name, option->value);
	result = store(option, values, attached != NULL ? attached : next, why);
	if (result < 0)
		return result;
	return attached != NULL ? 1 : 2;
}

int options_take(const struct option *const *tables, void *values, char **arguments, struct error *why)
{
	const char *argument = arguments[0];
	size_t name_length;

	if (argument == NULL || argument[0] != '-' || argument[1] == '\0' || strcmp(argument, "--") == 0)
		return 0;
	name_length = strcspn(argument, "=");
	for (size_t i = 0; tables[i] != NULL; i++)
		for (const struct option *option = tables[i]; option->name != NULL; option++)
			if (is_named(option, argument, name_length))
				return take_value(option, values,
				    argument[name_length] == '=' ? argument + name_length + 1 : NULL,
				    arguments[1], why);
	return refuse_unknown(tables, argument, name_length, why);
}

struct writer {
	const char **arguments;
	size_t count, room;
};

static void write_word(struct writer *writer, const char *word)
{
	if (writer->count < writer->room)
		writer->arguments[writer->count] = word;
	writer->count++;
}

static void write_option(struct writer *writer, const struct option *option, const void *source)
{
	const char *text;
	const struct option_list *list = source;

	switch (option->kind) {
	case OPTION_FLAG:
		if (*(const bool *)source)
			write_word(writer, option->name);
		break;
	case OPTION_TEXT:
		text = *(const char *const *)source;
		if (text == NULL)
			break;
		write_word(writer, option->name);
		write_word(writer, text);
		break;
	case OPTION_LIST:
		for (size_t i = 0; i < list->count; i++) {
			write_word(writer, option->name);
			write_word(writer, list->items[i]);
		}
		break;
	}
}

int options_write(const struct option *table, const void *values, const char **arguments, size_t room)
{
	struct writer writer = {.arguments = arguments, .room = room};

	for (const struct option *option = table; option->name != NULL; option++)
		write_option(&writer, option, (const char *)values + option->offset);
	return writer.count > room ? -E2BIG : (int)writer.count;
}

void options_help(const struct option *table, FILE *out)
{
	for (const struct option *option = table; option->name != NULL; option++) {
		char left[64], letter[] = {'-', option->letter, ',', ' ', '\0'};

		if (option->help == NULL)
			continue;
		snprintf(left, sizeof(left), "%s%s%s%s", option->letter != 0 ? letter : "    ", option->name,
		    option->value != NULL ? " " : "", option->value != NULL ? option->value : "");
		fprintf(out, "  %-22s %s\n", left, option->help);
	}
}
