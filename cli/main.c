/* `holdfast`: the command people type. It keeps nothing and decides nothing: it asks the supervisor, becomes
 * the supervisor ("run"), or becomes the recorder ("events"). The supervisor executes it under other names.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/print.h"
#include "cli/relay.h"
#include "cli/renew.h"
#include "world/world.h"

static int refuse(const struct invocation *invocation, const char *sentence)
{
	complain("%s", sentence);
	if (invocation->command != NULL)
		fprintf(stderr, "Try \"holdfast %s --help\".\n", invocation->command->name);
	else
		fprintf(stderr, "Try \"holdfast --help\".\n");
	return EXIT_USAGE;
}

/* A descriptor opened later must not become the 0, 1 or 2 that was closed. */
static void open_standard_descriptors(void)
{
	int fd;

	do
		fd = world_open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static int run_command(char **arguments)
{
	struct invocation invocation = {0};
	struct error why;

	if (invocation_read(&invocation, arguments, &why) < 0)
		return refuse(&invocation, why.text);
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

int main(int count, char **arguments)
{
	(void)count;
	open_standard_descriptors();
	if (arguments[0] == NULL) {
		complain("There is not even a program name.");
		return EXIT_USAGE;
	}
	if (strcmp(base_name(arguments[0]), RENEW_SETTINGS) == 0)
		return renew_settings(arguments + 1);
	if (strcmp(base_name(arguments[0]), RENEW_TRIAL) == 0)
		return renew_trial(arguments + 1);
	if (strcmp(base_name(arguments[0]), RELAY_TAKE_OUT) == 0)
		return relay_take_out();
	return run_command(arguments + 1);
}
