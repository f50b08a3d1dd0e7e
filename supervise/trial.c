/* A trial: this build, as a child of the supervisor that may execute itself as it, in directories of its own
 * with copies of the record and of the events. It reads the record, proves that it could hold the gateway,
 * starts its three workers and has an event stored. It touches no gateway, opens no port, and ends. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "process/procfs.h"
#include "supervise/scratch.h"
#include "supervise/supervisor.h"
#include "world/world.h"

#define TRIAL_MS 8000
#define LOOK_MS  20

static struct loop_timer timer;
static int64_t until_ms;
static bool proved;

static bool workers_work(const struct supervisor *self)
{
	for (int i = 0; i < WORKER_COUNT; i++)
		if (!self->workers[i].ready)
			return false;
	return events_waiting(self) == 0;
}

static void look(struct loop_timer *due)
{
	struct supervisor *self = due->context;

	proved = workers_work(self);
	if (proved || clock_boot_ms() >= until_ms)
		loop_stop(&self->loop);
	else
		loop_timer_arm(&self->loop, due, clock_boot_ms() + LOOK_MS);
}

/* The gateway of the copied record: could we hold it? */
static int check_gateway(struct supervisor *self, bool found)
{
	int fd CLOSE_ON_RETURN = -1;

	if (self->record.gateway.pid == 0 || !found)
		return 0; /* there is none to hold */
	fd = world_pidfd_open(self->record.gateway.pid, 0);
	return fd < 0 && errno != ESRCH ? -EPERM : 0;
}

static void end_workers(struct supervisor *self)
{
	self->finishing = true;
	self->loop.stopped = false;
	workers_finish(self);
	until_ms = clock_boot_ms() + 1000;
	while (!workers_are_gone(self) && clock_boot_ms() < until_ms) {
		loop_timer_arm(&self->loop, &timer, clock_boot_ms() + LOOK_MS);
		loop_turn(&self->loop);
	}
	workers_kill(self);
}

int trial_failed(const struct supervisor *self, const char *what)
{
	struct message message = {.settings = {.refused = 1}};

	snprintf(message.settings.sentence, sizeof(message.settings.sentence),
	    "the trial of Holdfast %s failed: %s", HOLDFAST_VERSION, what);
	message_send(CHANNEL_FD, MESSAGE_SETTINGS, &message, -1);
	if (self->settings != NULL)
		scratch_clear(settings_string(self->settings, self->settings->state_dir));
	return 1;
}

static int fail(struct supervisor *self, const char *what)
{
	workers_kill(self);
	return trial_failed(self, what);
}

static void look_for_nothing(struct loop_timer *due)
{
	(void)due;
}

int trial_run(struct supervisor *self)
{
	struct error why = {0};
	int found = supervisor_take_up_record(self, &why);
	int null_fd CLOSE_ON_RETURN = world_open("/dev/null", O_WRONLY | O_CLOEXEC);

	/* What its sentry shows is nobody's news. */
	(void)!world_dup2(null_fd, STDOUT_FILENO);
	listeners_init(self);
	if (found < 0 || self->record.magic == 0)
		return fail(self, "the copied record could not be read");
	if (check_gateway(self, found > 0) < 0)
		return fail(self, "the gateway could not be held");
	if (console_open(self, &why) < 0 || commands_open(self, &why) < 0)
		return fail(self, why.text);
	events_record(
	    self, "supervisor.tried", SEVERITY_INFO, 0, NULL, "A trial of Holdfast %s.", HOLDFAST_VERSION);
	workers_start(self);
	timer = (struct loop_timer){.callback = look, .context = self};
	until_ms = clock_boot_ms() + TRIAL_MS;
	loop_timer_arm(&self->loop, &timer, clock_boot_ms() + LOOK_MS);
	if (loop_run(&self->loop) < 0 || !proved)
		return fail(self, "its workers did not all begin to work");
	timer.callback = look_for_nothing;
	end_workers(self);
	scratch_clear(settings_string(self->settings, self->settings->state_dir));
	return 0;
}
