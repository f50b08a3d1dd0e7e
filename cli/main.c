/* `holdfast`: the command people type. It keeps nothing and decides nothing: it asks the supervisor, becomes
 * the supervisor ("run"), or becomes the recorder ("events"). */
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/print.h"

static int refuse(const struct invocation *invocation, const char *sentence)
{
	complain("%s", sentence);
	if (invocation->command != NULL)
		fprintf(stderr, "Try \"holdfast %s --help\".\n", invocation->command->name);
	else
		fprintf(stderr, "Try \"holdfast --help\".\n");
	return EXIT_USAGE;
}

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
			    why, -1, "\"holdfast %.64s\" is not part of this version yet.", word);
		nearest = command_nearest(word);
		if (nearest != NULL)
			return error_set(
			    why, -1, "There is no command %.64s: did you mean %s?", word, nearest);
		return error_set(why, -1, "There is no command %.64s.", word);
	}
	if (command->run == run_run)
		return error_set(why, -1,
		    "\"%.64s\" is not an option: what to run comes after \"--\", as in \"holdfast run -- "
		    "%.64s\".",
		    word, word);
	if (command->words == NULL)
		return error_set(why, -1, "\"holdfast %s\" takes no arguments, and was given \"%.64s\".",
		    command->name, word);
	if (invocation->word != NULL)
		return error_set(why, -1, "\"holdfast %s\" takes one argument: \"%.64s\" is too much.",
		    command->name, word);
	invocation->word = word;
	return 0;
}

static int take_child_command(struct invocation *invocation, char **words, struct error *why)
{
	if (invocation->command == NULL ||
	    (invocation->command->run != run_run && invocation->command->run != run_check))
		return error_set(
		    why, -1, "Only \"holdfast run\" and \"holdfast check\" take a command after \"--\".");
	if (words[0] == NULL || words[0][0] == '\0')
		return error_set(why, -1, "There is no command after \"--\".");
	invocation->child_command = words;
	return 0;
}

/* What may stand before the command besides the common options. */
static const struct option early_options[] = {
    {"--json", 0, OPTION_FLAG, offsetof(struct invocation, json), NULL, NULL, NULL},
    {"--version", 'V', OPTION_FLAG, offsetof(struct invocation, version), NULL, NULL, NULL},
    {NULL},
};

static int read_arguments(struct invocation *invocation, char **arguments, struct error *why)
{
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
			used = take_word(invocation, *arguments, why) < 0 ? -1 : 1;
		if (used < 0)
			return used;
		arguments += used;
		/* Whoever asks for help is past caring about the rest. */
		if (invocation->help && invocation->command != NULL)
			return 0;
	}
	return 0;
}

/* A descriptor opened later must not become the 0, 1 or 2 that was closed. */
static void open_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

int main(int count, char **arguments)
{
	struct invocation invocation = {0};
	struct error why;

	(void)count;
	open_standard_descriptors();
	if (arguments[0] == NULL || read_arguments(&invocation, arguments + 1, &why) < 0)
		return refuse(
		    &invocation, arguments[0] == NULL ? "There is not even a program name." : why.text);
	if (invocation.version && invocation.command == NULL)
		invocation.command = command_find("version");
	if (invocation.command == NULL && !invocation.help)
		return refuse(&invocation, "What shall it do? \"holdfast run\" supervises the gateway, "
		                           "\"holdfast status\" says how it is.");
	if (invocation.help) {
		invocation.word = invocation.command != NULL ? invocation.command->name : NULL;
		return run_help(&invocation);
	}
	return invocation.command->run(&invocation);
}
