/* `holdfast completion bash`: the option tables, written as a completion script. It needs nothing but bash.
 */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/print.h"

static void print_names(const struct option *table)
{
	for (; table->name != NULL; table++)
		if (table->help != NULL)
			printf("%s ", table->name);
}

static void print_command_names(void)
{
	for (const struct command *command = commands; command->name != NULL; command++)
		printf("%s ", command->name);
}

/* What an option's value may be, as one branch of "case $previous". */
static void print_values(const struct option *table)
{
	for (; table->name != NULL; table++) {
		if (table->kind == OPTION_FLAG)
			continue;
		if (table->choices != NULL)
			printf("\t%s) found='%s' ;;\n", table->name, table->choices);
		else if (strcmp(table->value, "FILE") == 0)
			printf("\t%s) kind=-f ;;\n", table->name);
		else if (strcmp(table->value, "DIR") == 0)
			printf("\t%s) kind=-d ;;\n", table->name);
		else
			printf("\t%s) return ;;\n", table->name);
	}
}

static void print_commands(void)
{
	for (const struct command *command = commands; command->name != NULL; command++) {
		printf("\t%s)\n\tfound='", command->name);
		print_names(command->options);
		print_names(common_options);
		if (command->words != NULL && strcmp(command->words, "COMMAND") == 0)
			print_command_names();
		else if (command->words != NULL)
			printf("%s", command->words);
		printf("'\n\tcase $previous in\n");
		print_values(command->options);
		printf("\tesac ;;\n");
	}
}

static void print_bash(void)
{
	printf("# Bash completion for holdfast, made by \"holdfast completion bash\".\n"
	       "_holdfast() {\n"
	       "\tlocal word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
	       "\tlocal command='' found='' kind='' i\n"
	       "\t[[ $word == = ]] && word=\n"
	       "\t[[ $previous == = ]] && previous=${COMP_WORDS[COMP_CWORD - 2]}\n"
	       "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	       "\t\tcase ${COMP_WORDS[i]} in\n"
	       "\t\t--)\n"
	       "\t\t\tif ((i + 1 == COMP_CWORD)); then kind=-c; else kind=-f; fi\n"
	       "\t\t\tbreak ;;\n"
	       "\t\t--config | --state-dir | --runtime-dir)\n"
	       "\t\t\t((i++))\n"
	       "\t\t\t[[ ${COMP_WORDS[i]} == = ]] && ((i++)) ;;\n"
	       "\t\tgateway | -* | =) ;;\n"
	       "\t\t*) [[ -n $command ]] || command=${COMP_WORDS[i]} ;;\n"
	       "\t\tesac\n"
	       "\tdone\n"
	       "\tCOMPREPLY=()\n"
	       "\tif [[ -z $kind ]]; then\n"
	       "\tcase $previous in\n");
	print_values(common_options);
	printf("\t*) case $command in\n"
	       "\t'') found='");
	print_command_names();
	print_names(common_options);
	printf("' ;;\n");
	print_commands();
	printf("\tesac ;;\n"
	       "\tesac\n"
	       "\tfi\n"
	       "\tif [[ -n $kind ]]; then\n"
	       "\t\tcompopt -o filenames 2>/dev/null\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen \"$kind\" -- \"$word\")\n"
	       "\telse\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen -W \"$found\" -- \"$word\")\n"
	       "\tfi\n"
	       "}\n"
	       "complete -F _holdfast holdfast\n");
}

int run_completion(struct invocation *invocation)
{
	if (invocation->word == NULL || strcmp(invocation->word, "bash") != 0) {
		complain("\"holdfast completion bash\" is what there is: the script for bash.");
		return EXIT_USAGE;
	}
	print_bash();
	return print_finish(EXIT_DONE);
}
