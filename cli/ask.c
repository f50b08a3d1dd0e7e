#include "cli/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "process/procfs.h"
#include "process/record.h"

#define ANSWER_TIMEOUT_MS 5000

int ask(const struct settings *settings, const struct control_request *request, struct control_reply *reply,
    struct error *why)
{
	int result = control_ask(
	    settings_string(settings, settings->runtime_dir), request, reply, ANSWER_TIMEOUT_MS, why);

	if (result == 0)
		return EXIT_DONE;
	return result == -ENOENT || result == -ENOTDIR || result == -ECONNREFUSED ? EXIT_NO_SUPERVISOR
	                                                                          : EXIT_FAILED;
}

bool reply_is_healthy(const struct control_reply *reply)
{
	return strcmp(reply->state, "running") == 0 && reply->gateway.ready;
}

bool gateway_left_running(const struct settings *settings, int *pid)
{
	int directory_fd CLOSE_ON_RETURN =
	    open(settings_string(settings, settings->runtime_dir), O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd CLOSE_ON_RETURN = -1;
	struct record record;

	if (directory_fd < 0)
		return false;
	fd = openat(directory_fd, RECORD_FILE_NAME, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0 || record_read(fd, settings->instance, &record, NULL) < 0)
		return false;
	*pid = record.gateway.pid;
	return record.gateway.pid > 0 && procfs_is_alive(record.gateway.pid, record.gateway.start_time);
}
