/* `holdfast events`: the recorder prints what it keeps; this program stays free of the database. */
#include "cli/command.h"
#include "cli/print.h"
#include "cli/program.h"

#define EVENTS_ARGUMENTS_MAX 64

int run_events(struct invocation *invocation)
{
	static struct settings settings;
	const char *arguments[EVENTS_ARGUMENTS_MAX + 1] = {"holdfast-recorder", "events", "--state-dir"};
	struct error why;
	int count, result = locate(invocation, &settings);

	if (result != 0)
		return result;
	arguments[3] = settings_string(&settings, settings.state_dir);
	count =
	    options_write(invocation->command->options, invocation, arguments + 4, EVENTS_ARGUMENTS_MAX - 4);
	if (count < 0) {
		complain("There are too many options.");
		return EXIT_USAGE;
	}
	arguments[4 + count] = NULL;
	program_become(arguments[0], arguments, &why);
	complain("%s", why.text);
	return EXIT_FAILED;
}
