/* `holdfast help` and `holdfast version`: what the table says. */
#include <stdio.h>

#include "cli/command.h"
#include "cli/print.h"

static void print_all(void)
{
	printf("Usage: holdfast COMMAND [OPTIONS]\n\n"
	       "Holdfast keeps an AI-agent gateway answering: it supervises it from outside.\n\n"
	       "Commands:\n");
	for (const struct command *command = commands; command->name != NULL; command++)
		printf("  %-12s %s\n", command->name, command->summary);
	printf("\nOptions of every command:\n");
	options_help(common_options, stdout);
	printf("\nExit status: 0 done, 1 failed, 2 usage, 3 no supervisor is running, 4 the gateway is not\n"
	       "healthy (status), 78 the settings are wrong.\n\n"
	       "Manual: holdfast(1), holdfast.json(5), holdfast-events(7)\n");
}

static void print_one(const struct command *command)
{
	printf("Usage: holdfast %s [OPTIONS]%s\n\n%c%s.\n", command->name, command->operands,
	    command->summary[0] - 'a' + 'A', command->summary + 1);
	if (command->details != NULL)
		printf("%s", command->details);
	if (command->options[0].name != NULL) {
		printf("\nOptions:\n");
		options_help(command->options, stdout);
	}
	printf("\nOptions of every command:\n");
	options_help(common_options, stdout);
}

int run_help(struct invocation *invocation)
{
	const struct command *command;
	const char *nearest;

	if (invocation->word == NULL) {
		print_all();
		return print_finish(EXIT_DONE);
	}
	command = command_find(invocation->word);
	if (command != NULL) {
		print_one(command);
		return print_finish(EXIT_DONE);
	}
	nearest = command_nearest(invocation->word);
	complain("There is no command %.64s%s%s%s", invocation->word,
	    nearest != NULL ? ": did you mean " : "", nearest != NULL ? nearest : "",
	    nearest != NULL ? "?" : ".");
	return EXIT_USAGE;
}

int run_version(struct invocation *invocation)
{
	if (invocation->json)
		printf("{\"name\":\"holdfast\",\"version\":\"%s\"}\n", HOLDFAST_VERSION);
	else
		printf("holdfast %s\n", HOLDFAST_VERSION);
	return print_finish(EXIT_DONE);
}
