/* The relay must never be the one thing that everything hangs on: where it cannot stay up, the gateway's
 * providers get their own addresses back. Files are read and written by a child: nobody here waits for a
 * disk.
 *
 * It has been down since it first ended after having stayed up for OUTAGE_MS; it is up again once it has
 * stayed up that long. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "process/spawn.h"
#include "supervise/supervisor.h"
#include "world/world.h"

#define OUTAGE_MS    30000
#define TAKE_OUT_MS  240000 /* the gateway's own program is asked, perhaps twice */
#define TRY_AGAIN_MS 60000
#define TAKE_OUT     "holdfast-relay-take-out" /* cli/relay.h */

/* What it is told of is this gateway's file, of this kind. */
static bool is_concerned(const struct supervisor *supervisor)
{
	const struct settings *settings = supervisor->settings;

	return settings->gateway.kind == GATEWAY_OPENCLAW && settings->gateway.config_path != 0 &&
	       settings->relay.port != 0 && !supervisor->is_trial;
}

static void look_at(struct supervisor *supervisor, int64_t due_ms)
{
	loop_timer_arm(&supervisor->loop, &supervisor->outage.timer, due_ms);
}

static void answer_came(struct loop_source *source, uint32_t events)
{
	struct supervisor *supervisor = source->context;
	int fd = source->fd, passed_fd = -1;
	struct message message;

	(void)events;
	if (message_receive(fd, &message, &passed_fd) == 1 && message.type == MESSAGE_SETTINGS) {
		supervisor->outage.said = message.settings;
		supervisor->outage.told = true;
	}
	file_close(&passed_fd);
	loop_source_retire(source);
	file_close(&fd);
}

static void overdue(struct loop_timer *timer)
{
	struct supervisor *supervisor = timer->context;

	world_pidfd_send_signal(supervisor->outage.pid_fd, SIGKILL, NULL, 0);
}

static int start_child(struct supervisor *supervisor)
{
	char *const arguments[] = {(char *)TAKE_OUT, NULL};
	char program[CONTROL_PATH_MAX];
	int pair[2], pid;

	change_own_command(supervisor, program, sizeof(program));
	if (world_socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	pid = spawn_worker(program, arguments, environment_of_worker(supervisor, WORKER_SENTRY), pair[1],
	    SETTINGS_FD, true, &supervisor->outage.pid_fd);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return pid;
	}
	supervisor->outage.pid = pid;
	supervisor->outage.told = false;
	loop_timer_arm(&supervisor->loop, &supervisor->outage.deadline, clock_boot_ms() + TAKE_OUT_MS);
	if (loop_source_watch(&supervisor->loop, &supervisor->outage.answer, pair[0], EPOLLIN) < 0)
		close(pair[0]);
	return 0;
}

static void tell_failure(struct supervisor *supervisor, const char *why)
{
	if (!supervisor->outage.told_failure)
		events_record(supervisor, "relay.not_taken_out", SEVERITY_CRITICAL, 0, NULL,
		    "The relay does not stay up, and the gateway may still send its calls to it: %.200s Try "
		    "\"holdfast relay disable\".",
		    why);
	supervisor->outage.told_failure = true;
	look_at(supervisor, clock_boot_ms() + TRY_AGAIN_MS);
}

static void take_out(struct supervisor *supervisor)
{
	if (supervisor->outage.pid != 0 || supervisor->outage.done)
		return;
	if (start_child(supervisor) < 0)
		tell_failure(supervisor, "the program that puts the addresses back could not be started.");
}

static void is_up_again(struct supervisor *supervisor)
{
	if (supervisor->outage.taken_out)
		events_record(supervisor, "relay.back", SEVERITY_INFO, 0, NULL,
		    "The relay has stayed up for %d s again. The gateway goes on calling its providers "
		    "directly: "
		    "\"holdfast relay enable\" leads it through the relay again.",
		    OUTAGE_MS / 1000);
	supervisor->outage.down_since_ms = 0;
	supervisor->outage.done = supervisor->outage.taken_out = supervisor->outage.told_failure = false;
}

static void judge(struct supervisor *supervisor)
{
	const struct supervised_worker *relay = &supervisor->workers[WORKER_RELAY];
	int64_t now_ms = clock_boot_ms();

	if (supervisor->outage.down_since_ms == 0 || supervisor->finishing)
		return;
	if (relay->pid > 0 && relay->ready) {
		if (now_ms - relay->started_ms >= OUTAGE_MS)
			is_up_again(supervisor);
		else
			look_at(supervisor, relay->started_ms + OUTAGE_MS);
		return;
	}
	if (now_ms - supervisor->outage.down_since_ms >= OUTAGE_MS) {
		look_at(supervisor, now_ms + OUTAGE_MS); /* is it back? */
		take_out(supervisor);
	} else {
		look_at(supervisor, supervisor->outage.down_since_ms + OUTAGE_MS);
	}
}

static void due(struct loop_timer *timer)
{
	judge(timer->context);
}

void relay_outage_ended(struct supervisor *supervisor, int64_t lived_ms)
{
	if (!is_concerned(supervisor))
		return;
	if (supervisor->outage.down_since_ms != 0 && lived_ms >= OUTAGE_MS)
		is_up_again(supervisor);
	if (supervisor->outage.down_since_ms == 0)
		supervisor->outage.down_since_ms = clock_boot_ms();
	judge(supervisor);
}

bool relay_outage_child_ended(struct supervisor *supervisor, int pid)
{
	const struct message_settings *said = &supervisor->outage.said;

	if (pid == 0 || pid != supervisor->outage.pid)
		return false;
	if (supervisor->outage.answer.fd >= 0)
		answer_came(&supervisor->outage.answer, EPOLLIN);
	loop_timer_arm(&supervisor->loop, &supervisor->outage.deadline, 0);
	file_close(&supervisor->outage.pid_fd);
	supervisor->outage.pid = 0;
	if (!supervisor->outage.told || said->refused) {
		tell_failure(supervisor, supervisor->outage.told
		                             ? said->sentence
		                             : "the program that puts the addresses back failed.");
		return true;
	}
	supervisor->outage.done = true;
	if (said->changed == 0) /* the gateway does not use it */
		return true;
	supervisor->outage.taken_out = true;
	events_record(supervisor, "relay.taken_out", SEVERITY_ERROR, 0, NULL,
	    "The relay could not stay up for %d s, so it was taken out: %.300s", OUTAGE_MS / 1000,
	    said->sentence);
	return true;
}

int relay_outage_child(const struct supervisor *supervisor)
{
	return supervisor->outage.pid;
}

void relay_outage_abandon(struct supervisor *supervisor)
{
	loop_timer_arm(&supervisor->loop, &supervisor->outage.timer, 0);
	if (supervisor->outage.pid > 0)
		world_pidfd_send_signal(supervisor->outage.pid_fd, SIGKILL, NULL, 0);
}

void relay_outage_init(struct supervisor *supervisor)
{
	supervisor->outage.pid_fd = supervisor->outage.answer.fd = -1;
	supervisor->outage.answer.callback = answer_came;
	supervisor->outage.answer.context = supervisor;
	supervisor->outage.timer.callback = due;
	supervisor->outage.deadline.callback = overdue;
	supervisor->outage.timer.context = supervisor->outage.deadline.context = supervisor;
}
