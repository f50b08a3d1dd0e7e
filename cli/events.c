/* `holdfast events` and `holdfast explain`: the recorder prints what it keeps; this program stays free of the
 * database. */
#include "cli/command.h"
#include "cli/print.h"
#include "cli/program.h"

#define ARGUMENTS_MAX 64

/* Returns the exit status, and only when the recorder's program could not be started. */
static int ask_recorder(struct invocation *invocation, const char *what)
{
	static struct settings settings;
	const char *arguments[ARGUMENTS_MAX + 3] = {"holdfast-recorder", what, "--state-dir"};
	struct error why;
	int count, result = locate(invocation, &settings);

	if (result != 0)
		return result;
	arguments[3] = settings_string(&settings, settings.state_dir);
	count = options_write(invocation->command->options, invocation, arguments + 4, ARGUMENTS_MAX - 4);
	if (count < 0) {
		complain("There are too many options.");
		return EXIT_USAGE;
	}
	count += 4;
	if (invocation->word != NULL) {
		arguments[count++] = "--";
		arguments[count++] = invocation->word;
	}
	arguments[count] = NULL;
	program_become(arguments[0], arguments, &why);
	complain("%s", why.text);
	return EXIT_FAILED;
}

int run_events(struct invocation *invocation)
{
	return ask_recorder(invocation, "events");
}

int run_explain(struct invocation *invocation)
{
	return ask_recorder(invocation, "explain");
}
