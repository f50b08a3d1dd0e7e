/* A sentry that hears sd_notify(3): its gateway is the test itself, which speaks through `speaker`. */
#ifndef HOLDFAST_TESTS_NOTIFY_HOME_H
#define HOLDFAST_TESTS_NOTIFY_HOME_H

#include "support/tap.h"

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "process/procfs.h"
#include "sentry/notify.h"

#define INTERVAL_MS 60

static struct settings settings;
static struct loop loop;
static struct notify notify;
static struct message_gateway gateway;
static int speaker;
static int said_ready, said_extended, said_stopping, said_missed;
static int64_t budget_ms;
static char directory[64];
static bool looked_too_long;

static void on_ready(struct notify *from)
{
	(void)from;
	said_ready++;
}

static void on_extended(struct notify *from)
{
	(void)from;
	said_extended++;
}

static void on_stopping(struct notify *from, int64_t budget)
{
	(void)from;
	said_stopping++;
	budget_ms = budget;
}

static void on_missed(struct notify *from)
{
	(void)from;
	said_missed++;
}

static void open_sentry(struct notify *sentry)
{
	memset(sentry, 0, sizeof(*sentry));
	sentry->loop = &loop;
	sentry->settings = &settings;
	sentry->ready = on_ready;
	sentry->extended = on_extended;
	sentry->stopping = on_stopping;
	sentry->missed = on_missed;
	notify_init(sentry);
}

/* Given: a sentry with an empty runtime directory and a socket, whose other end speaks. */
static void begin(void)
{
	int pair[2], on = 1;

	memcpy(directory, "/tmp/holdfast-notify-XXXXXX", sizeof("/tmp/holdfast-notify-XXXXXX"));
	if (mkdtemp(directory) == NULL || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair) < 0 ||
	    loop_init(&loop) < 0)
		abort();
	setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
	memset(&settings, 0, sizeof(settings));
	memcpy(settings.pool + 1, directory, strlen(directory) + 1);
	settings.runtime_dir = 1;
	settings.health.watchdog_ms = INTERVAL_MS;
	settings.health.startup_timeout_ms = 60000;
	settings.gateway.stop_timeout_ms = 330000;
	said_ready = said_extended = said_stopping = said_missed = 0;
	gateway = (struct message_gateway){.generation = 7, .pid = getpid()};
	procfs_start_time(getpid(), &gateway.start_time);
	speaker = pair[1];
	open_sentry(&notify);
	notify_take(&notify, pair[0]);
}

static void say(const char *words)
{
	CHECK(send(speaker, words, strlen(words), 0) == (ssize_t)strlen(words));
}

static void too_long(struct loop_timer *timer)
{
	(void)timer;
	looked_too_long = true;
}

static void nothing(struct loop_timer *timer)
{
	(void)timer;
}

/* Turns the loop for so long, and no longer than it takes until *count is `wanted`. */
static inline bool turn_until(const int *count, int wanted, int64_t most_ms)
{
	struct loop_timer guard = {.callback = too_long};

	looked_too_long = false;
	loop_timer_arm(&loop, &guard, clock_boot_ms() + most_ms);
	while (*count != wanted && !looked_too_long)
		loop_turn(&loop);
	loop_timer_arm(&loop, &guard, 0);
	return *count == wanted;
}

/* What has been said is heard. */
static void hear(void)
{
	struct loop_timer guard = {.callback = nothing};

	loop_timer_arm(&loop, &guard, clock_boot_ms());
	loop_turn(&loop);
	loop_timer_arm(&loop, &guard, 0);
}

static void finish(void)
{
	char path[96];

	notify_gateway_gone(&notify);
	notify_stop(&notify);
	close(speaker);
	loop_release(&loop);
	snprintf(path, sizeof(path), "%s/notify.state", directory);
	unlink(path);
	CHECK(rmdir(directory) == 0);
}

#endif
