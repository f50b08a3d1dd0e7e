/* The command line, read with the tables of commands.c. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "cli/command.h"

/* A word that is neither an option nor the value of one: the command, or the operand of "help" and
 * "completion". */
static int take_word(struct invocation *invocation, const char *word, struct error *why)
{
	const struct command *command = invocation->command;
	const char *nearest;

	if (command == NULL) {
		invocation->command = command_find(word);
		if (invocation->command != NULL)
			return 0;
		if (command_is_planned(word))
			return error_set(
			    why, -EINVAL, "\"holdfast %.64s\" is not part of this version yet.", word);
		nearest = command_nearest(word);
		if (nearest != NULL)
			return error_set(
			    why, -EINVAL, "There is no command %.64s: did you mean %s?", word, nearest);
		return error_set(why, -EINVAL, "There is no command %.64s.", word);
	}
	if (command->run == run_run)
		return error_set(why, -EINVAL,
		    "\"%.64s\" is not an option: what to run comes after \"--\", as in \"holdfast run -- "
		    "%.64s\".",
		    word, word);
	if (command->words == NULL)
		return error_set(why, -EINVAL, "\"holdfast %s\" takes no arguments, and was given \"%.64s\".",
		    command->name, word);
	if (invocation->word != NULL && command->run == run_relay &&
	    invocation->operands.count < OPTION_LIST_MAX) {
		invocation->operands.items[invocation->operands.count++] = word;
		return 0;
	}
	if (invocation->word != NULL)
		return error_set(why, -EINVAL, "\"holdfast %s\" takes one argument: \"%.64s\" is too much.",
		    command->name, word);
	invocation->word = word;
	return 0;
}

static int take_child_command(struct invocation *invocation, char **words, struct error *why)
{
	if (invocation->command == NULL ||
	    (invocation->command->run != run_run && invocation->command->run != run_check &&
	        invocation->command->run != run_relay))
		return error_set(why, -EINVAL,
		    "Only \"holdfast run\", \"holdfast check\" and \"holdfast relay\" take a command after "
		    "\"--\".");
	if (words[0] == NULL || words[0][0] == '\0')
		return error_set(why, -EINVAL, "There is no command after \"--\".");
	invocation->child_command = words;
	return 0;
}

/* What may stand before the command besides the common options. */
static const struct option early_options[] = {
    {"--json", 0, OPTION_FLAG, offsetof(struct invocation, json), NULL, NULL, NULL},
    {"--version", 'V', OPTION_FLAG, offsetof(struct invocation, version), NULL, NULL, NULL},
    {NULL},
};

int invocation_read(struct invocation *invocation, char **arguments, struct error *why)
{
	invocation->arguments = arguments;
	/* "holdfast gateway run" is "holdfast run". */
	if (*arguments != NULL && strcmp(*arguments, "gateway") == 0)
		arguments++;
	while (*arguments != NULL) {
		const struct option *const tables[] = {common_options,
		    invocation->command != NULL ? invocation->command->options : early_options, NULL};
		int used;

		if (strcmp(*arguments, "--") == 0)
			return take_child_command(invocation, arguments + 1, why);
		used = options_take(tables, invocation, arguments, why);
		if (used == 0)
			used = take_word(invocation, *arguments, why) < 0 ? -EINVAL : 1;
		if (used < 0)
			return used;
		arguments += used;
		/* Whoever asks for help is past caring about the rest. */
		if (invocation->help && invocation->command != NULL)
			return 0;
	}
	return 0;
}
