#include "cli/renew.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel/message.h"
#include "cli/command.h"
#include "cli/handover.h"
#include "cli/print.h"
#include "config/changes.h"

#define BY_HAND "This is what Holdfast starts to change itself, and is not for the command line."

extern char **environ;

static struct settings settings; /* large, and only one is ever needed */

/* The new program may understand less than the old one did. */
static int read_as_run(char **arguments, struct settings_flags *flags, struct error *why)
{
	struct invocation invocation = {0};
	int result = invocation_read(&invocation, arguments, why);

	if (result < 0)
		return result;
	if (invocation.command == NULL || invocation.command->run != run_run || invocation.help ||
	    invocation.version)
		return error_set(why, -EINVAL, "Holdfast was not started by \"holdfast run\": " BY_HAND);
	return command_flags(&invocation, flags, why);
}

static void count_changes(struct message_settings *answer, uint32_t waiting)
{
	struct text sentence;

	text_init(&sentence, answer->sentence, sizeof(answer->sentence));
	if (answer->changed == 0) {
		text_add(&sentence, "No setting has changed.");
		return;
	}
	text_addf(
	    &sentence, "%u setting%s changed", answer->changed, answer->changed == 1 ? " has" : "s have");
	if (waiting == answer->changed)
		text_add(&sentence, ", for the gateway's next start (holdfast restart)");
	else if (waiting > 0)
		text_addf(&sentence, ", %u of them for the gateway's next start (holdfast restart)", waiting);
	text_add(&sentence, ".");
}

static int compare(struct message_settings *answer, struct error *why)
{
	const struct settings *old = settings_map(SETTINGS_FD, NULL);
	uint32_t waiting;
	struct text lines;
	int result;

	if (old == NULL) {
		/* Before an upgrade: the settings in force are the old programs' own. */
		text_copy(answer->sentence, sizeof(answer->sentence),
		    "The settings were read again; what has changed is not known, because another "
		    "version read them before.");
		return 0;
	}
	result = settings_check_fixed(old, &settings, why);
	if (result < 0)
		return result;
	text_init(&lines, answer->changes, sizeof(answer->changes));
	answer->changed = settings_changes(old, &settings, &lines, &waiting);
	count_changes(answer, waiting);
	return 0;
}

static void refuse(struct message_settings *answer, const struct error *why)
{
	*answer = (struct message_settings){.refused = 1};
	text_copy(answer->sentence, sizeof(answer->sentence), why->text);
}

static bool is_channel(int fd)
{
	int type = 0;
	socklen_t size = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

int renew_settings(char **arguments)
{
	struct message message = {0};
	struct settings_flags flags;
	struct error why;
	int fd = -1, result;

	if (!is_channel(CHANNEL_FD)) {
		complain(BY_HAND);
		return EXIT_FAILED;
	}
	result = read_as_run(arguments, &flags, &why);
	if (result == 0)
		result = settings_load(&settings, &flags, environ, NULL, NULL, &why);
	if (result == 0)
		result = compare(&message.settings, &why);
	if (result == 0)
		result = fd = settings_seal(&settings, &why);
	if (result < 0)
		refuse(&message.settings, &why);
	if (message_send(CHANNEL_FD, MESSAGE_SETTINGS, &message, fd) < 0)
		return EXIT_FAILED; /* the supervisor has gone */
	return result < 0 ? EXIT_CONFIG : EXIT_DONE;
}

/* The copied record is the original's, and known by its instance. */
static int load_for_trial(
    struct settings_flags *flags, const char *state_dir, const char *runtime_dir, struct error *why)
{
	uint64_t instance;
	int result = settings_locate(&settings, flags, why);

	if (result < 0)
		return result;
	instance = settings.instance;
	flags->state_dir = state_dir;
	flags->runtime_dir = runtime_dir;
	result = settings_load(&settings, flags, environ, NULL, NULL, why);
	settings.instance = instance;
	return result;
}

int renew_trial(char **arguments)
{
	struct settings_flags flags;
	struct error why;

	if (!is_channel(CHANNEL_FD)) {
		complain(BY_HAND);
		return EXIT_FAILED;
	}
	for (int i = 0; i < 3; i++)
		if (arguments[i] == NULL ||
		    (i < 2 ? arguments[i][0] != '/' : strcmp(arguments[i], "--") != 0)) {
			complain(BY_HAND);
			return EXIT_FAILED;
		}
	if (read_as_run(arguments + 3, &flags, &why) < 0 ||
	    load_for_trial(&flags, arguments[0], arguments[1], &why) < 0) {
		struct message message = {0};

		complain("%s", why.text);
		refuse(&message.settings, &why);
		if (is_channel(CHANNEL_FD))
			message_send(CHANNEL_FD, MESSAGE_SETTINGS, &message, -1);
		return EXIT_CONFIG;
	}
	handover_become(&settings, "--trial", arguments + 3, &why);
	complain("%s", why.text);
	return EXIT_FAILED;
}
