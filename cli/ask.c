#include "cli/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "process/procfs.h"
#include "process/record.h"
#include "world/world.h"

#define ANSWER_TIMEOUT_MS 5000

/* A change answers when it is done, and says itself when it takes too long. */
static int timeout_ms_of(const struct control_request *request)
{
	bool changes = request->verb == CONTROL_RELOAD || request->verb == CONTROL_UPGRADE;

	return changes ? CONTROL_CHANGE_MS + ANSWER_TIMEOUT_MS : ANSWER_TIMEOUT_MS;
}

/* Another version's supervisor answers with what cannot be read, or does not answer what it cannot read. */
static bool is_other_version(const char *runtime_dir, int result)
{
	const struct control_request look = {.version = CONTROL_VERSION, .verb = CONTROL_STATUS};
	struct control_reply reply;

	return result == -EPROTO || (result == -ECONNRESET && control_ask(runtime_dir, &look, &reply,
	                                                          ANSWER_TIMEOUT_MS, NULL) == -ECONNRESET);
}

/* How the asking went, as an exit status; where more is known than *why says, that is said instead. */
static int status_of(int result, const char *runtime_dir, struct error *why)
{
	if (result == 0)
		return EXIT_DONE;
	if (is_other_version(runtime_dir, result))
		error_set(why, result,
		    "The supervisor is of another version of Holdfast and does not understand this one: "
		    "end it and start it again once, or ask it with the \"holdfast\" that belongs to it.");
	else if (result == -ECONNRESET || result == -EPIPE)
		error_set(why, result,
		    "The supervisor ended while it was asked: \"holdfast status\" and "
		    "\"holdfast events\" say how it is now.");
	return result == -ENOENT || result == -ENOTDIR || result == -ECONNREFUSED ? EXIT_NO_SUPERVISOR
	                                                                          : EXIT_FAILED;
}

int ask(const struct settings *settings, const struct control_request *request, struct control_reply *reply,
    struct error *why)
{
	const char *runtime_dir = settings_string(settings, settings->runtime_dir);

	return status_of(
	    control_ask(runtime_dir, request, reply, timeout_ms_of(request), why), runtime_dir, why);
}

int ask_sessions(
    const struct settings *settings, uint32_t after, struct control_sessions *reply, struct error *why)
{
	const char *runtime_dir = settings_string(settings, settings->runtime_dir);

	return status_of(
	    control_ask_sessions(runtime_dir, after, reply, ANSWER_TIMEOUT_MS, why), runtime_dir, why);
}

bool reply_is_healthy(const struct control_reply *reply)
{
	return strcmp(reply->state, "running") == 0 && reply->gateway.ready;
}

bool gateway_left_running(const struct settings *settings, int *pid)
{
	int directory_fd CLOSE_ON_RETURN =
	    world_open(settings_string(settings, settings->runtime_dir), O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd CLOSE_ON_RETURN = -1;
	struct record record;

	if (directory_fd < 0)
		return false;
	fd = world_openat(directory_fd, RECORD_FILE_NAME, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0 || record_read(fd, settings->instance, &record, NULL) < 0)
		return false;
	*pid = record.gateway.pid;
	return record.gateway.pid > 0 && procfs_is_alive(record.gateway.pid, record.gateway.start_time);
}
