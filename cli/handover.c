#include "cli/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel/message.h"
#include "cli/program.h"
#include "world/world.h"

#define SUPERVISOR      "holdfast-supervise"
#define LISTEN_FIRST    3    /* SD_LISTEN_FDS_START */
#define LISTEN_MAX      1024 /* more is no number of descriptors */
#define LOWEST_KEPT     10
#define KEPT_MAX        16
#define NAME_PREFIX     "holdfast-"
#define NAME_LENGTH_MAX 32

/* How many descriptors came; 0 when they are for another process, or none did. */
static int listen_count(void)
{
	const char *pid_text = getenv("LISTEN_PID"), *count_text = getenv("LISTEN_FDS");
	uint64_t pid, count;

	if (pid_text == NULL || count_text == NULL || text_to_u64(pid_text, INT_MAX, &pid) < 0 ||
	    (pid_t)pid != getpid() || text_to_u64(count_text, LISTEN_MAX, &count) < 0)
		return 0;
	return (int)count;
}

static bool is_name(const char *name, size_t length)
{
	/* Other names are the supervisor's own, for what it hands to itself. */
	return length > strlen(NAME_PREFIX) && length <= NAME_LENGTH_MAX &&
	       strncmp(name, NAME_PREFIX, strlen(NAME_PREFIX)) == 0 &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz-") >= length;
}

void handover_descriptors(struct text *option)
{
	static const char *const variables[] = {
	    "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"};
	const char *names = getenv("LISTEN_FDNAMES");
	int count = listen_count(), kept = 0;
	/* Behind all that came, so that what was moved is not met again. */
	int lowest = LISTEN_FIRST + count > LOWEST_KEPT ? LISTEN_FIRST + count : LOWEST_KEPT;

	if (names == NULL)
		names = "";
	for (int fd = LISTEN_FIRST; fd < LISTEN_FIRST + count; fd++) {
		size_t length = strcspn(names, ":");
		int moved = -1;

		if (is_name(names, length) && kept < KEPT_MAX)
			moved = world_fcntl(fd, F_DUPFD, lowest);
		if (moved >= 0)
			text_addf(option, "%s%.*s:%d", kept++ == 0 ? "--descriptors=" : ",", (int)length,
			    names, moved);
		close(fd);
		names += length + (names[length] == ':');
	}
	/* They were for this process, and are no longer where they say. */
	for (size_t i = 0; count > 0 && i < sizeof(variables) / sizeof(variables[0]); i++)
		unsetenv(variables[i]);
}

static int hand_over_settings(const struct settings *settings, struct error *why)
{
	int fd = settings_seal(settings, why);

	if (fd < 0)
		return fd;
	/* Either way the descriptor now stays open over the exec. */
	if (fd == SETTINGS_FD) {
		world_fcntl(fd, F_SETFD, 0);
		return 0;
	}
	if (world_dup2(fd, SETTINGS_FD) < 0)
		return error_set(why, -errno, "The settings cannot be handed over: %s.", strerror(errno));
	close(fd);
	return 0;
}

int handover_become(const struct settings *settings, const char *option, char **arguments, struct error *why)
{
	const char **all;
	size_t count = 0, used = 0;
	int result = hand_over_settings(settings, why);

	if (result < 0)
		return result;
	while (arguments[count] != NULL)
		count++;
	all = calloc(count + 4, sizeof(*all));
	if (all == NULL)
		return error_set(why, -ENOMEM, "There is no memory left.");
	all[used++] = SUPERVISOR;
	if (*option != '\0')
		all[used++] = option;
	all[used++] = "--";
	memcpy(all + used, arguments, count * sizeof(*all));
	result = program_become(SUPERVISOR, all, why);
	free(all);
	return result;
}
