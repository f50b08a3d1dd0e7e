/* `holdfast run`: reads the settings once, seals them and becomes the supervisor. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel/message.h"
#include "cli/command.h"
#include "cli/print.h"
#include "cli/program.h"

extern char **environ;

/* Large, and only one is ever needed. */
static struct settings settings;

static int seal(struct error *why)
{
	int fd = settings_seal(&settings, why);

	if (fd < 0)
		return fd;
	/* Either way the descriptor now stays open over the exec. */
	if (fd == SETTINGS_FD) {
		fcntl(fd, F_SETFD, 0);
		return 0;
	}
	if (dup2(fd, SETTINGS_FD) < 0)
		return error_set(why, -errno, "The settings cannot be handed over: %s.", strerror(errno));
	close(fd);
	return 0;
}

int run_run(struct invocation *invocation)
{
	struct settings_flags flags;
	const char *const arguments[] = {"holdfast-supervise", NULL};
	struct error why;

	if (command_flags(invocation, &flags) < 0)
		return EXIT_USAGE;
	/* A gateway's marker, when somebody starts Holdfast from inside one: this life is not part of that
	 * one. */
	unsetenv("HOLDFAST_GENERATION");
	if (settings_load(&settings, &flags, environ, NULL, NULL, &why) < 0) {
		complain("%s", why.text);
		return EXIT_CONFIG;
	}
	if (seal(&why) == 0)
		program_become(arguments[0], arguments, &why);
	complain("%s", why.text);
	return EXIT_FAILED;
}
