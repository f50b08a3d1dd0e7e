/* `holdfast run`: reads the settings once, seals them and becomes the supervisor. */
#include <stdlib.h>

#include "cli/command.h"
#include "cli/handover.h"
#include "cli/print.h"

extern char **environ;

int run_run(struct invocation *invocation)
{
	static struct settings settings; /* large */
	char descriptors[HANDOVER_DESCRIPTORS_BYTES];
	struct settings_flags flags;
	struct error why;
	struct text option;

	if (command_flags(invocation, &flags, &why) < 0) {
		complain("%s", why.text);
		return EXIT_USAGE;
	}
	/* A gateway's marker, when somebody starts Holdfast from inside one: this life is not part of that
	 * one. */
	unsetenv("HOLDFAST_GENERATION");
	if (settings_load(&settings, &flags, environ, NULL, NULL, &why) < 0) {
		complain("%s", why.text);
		return EXIT_CONFIG;
	}
	text_init(&option, descriptors, sizeof(descriptors));
	handover_descriptors(&option);
	handover_become(&settings, descriptors, invocation->arguments, &why);
	complain("%s", why.text);
	return EXIT_FAILED;
}
