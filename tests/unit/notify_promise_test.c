/* What is made of the datagrams of sd_notify(3): the promise, readiness, and what outlives the reader. The
 * gateway is this process itself. */
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
static struct notify notify, successor;
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
static bool turn_until(const int *count, int wanted, int64_t most_ms)
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

TEST("without a first sign nothing is promised, and nothing is missed")
{
	begin();
	notify_gateway_started(&notify, &gateway);
	CHECK(!turn_until(&said_missed, 1, 3 * INTERVAL_MS));
	CHECK(!notify_is_overdue(&notify));
	finish();
}

TEST("READY=1 begins the promise; what does not come within the interval is missed, and not before")
{
	int64_t began_ms;
	struct health_look look = {0};

	begin();
	notify_gateway_started(&notify, &gateway);
	say("READY=1");
	began_ms = clock_boot_ms();
	hear();
	CHECK(said_ready == 1 && notify_is_ready(&notify, 7) && !notify_is_ready(&notify, 8));
	CHECK(turn_until(&said_missed, 1, 2000));
	CHECK(clock_boot_ms() - began_ms >= INTERVAL_MS);
	CHECK(notify_is_overdue(&notify));
	notify_look(&notify, &look);
	CHECK(look.watchdog_missed == 1 && look.watchdog_ms == INTERVAL_MS);
	CHECK(turn_until(&said_missed, 2, 2000)); /* it is told for as long as it lasts */
	say("WATCHDOG=1");
	hear();
	CHECK(!notify_is_overdue(&notify));
	CHECK(turn_until(&said_missed, 3, 2000)); /* and promised anew */
	finish();
}

TEST("who keeps the promise is left alone, whatever else is said")
{
	begin();
	notify_gateway_started(&notify, &gateway);
	for (int i = 0; i < 12; i++) {
		say("WATCHDOG=1\nSTATUS=round");
		CHECK(!turn_until(&said_missed, 1, INTERVAL_MS / 3));
	}
	CHECK_TEXT(notify_status(&notify), "round");
	finish();
}

TEST("signs that wait to be read when the time is over are read first")
{
	begin();
	notify_gateway_started(&notify, &gateway);
	say("WATCHDOG=1");
	hear();
	/* We do not run meanwhile, and there is more than is read in one turn. */
	for (int i = 0; i < 200; i++)
		(void)!send(speaker, "STATUS=busy", strlen("STATUS=busy"), 0);
	usleep(INTERVAL_MS * 1000 + 5000);
	if (send(speaker, "WATCHDOG=1", strlen("WATCHDOG=1"), 0) < 0)
		SKIP("a socket holds too few datagrams here (net.unix.max_dgram_qlen)");
	hear();
	CHECK(said_missed == 0);
	finish();
}

TEST("who was kept from looking himself gives it another interval")
{
	begin();
	notify_gateway_started(&notify, &gateway);
	say("WATCHDOG=1");
	hear();
	usleep(INTERVAL_MS * 1000 * 2);
	hear();
	CHECK(said_missed == 0);
	CHECK(turn_until(&said_missed, 1, 2000));
	finish();
}

TEST("the gateway changes its promise, and ends it; it can ask to be taken for hung")
{
	struct health_look look = {0};

	begin();
	notify_gateway_started(&notify, &gateway);
	say("WATCHDOG=1\nWATCHDOG_USEC=3600000000");
	hear();
	CHECK(!turn_until(&said_missed, 1, 2 * INTERVAL_MS));
	say("WATCHDOG_USEC=20000");
	CHECK(turn_until(&said_missed, 1, 2000));
	say("WATCHDOG_USEC=0");
	hear();
	CHECK(!notify_is_overdue(&notify));
	say("WATCHDOG=trigger");
	hear();
	CHECK(said_missed == 2);
	look.at_ms = clock_boot_ms();
	notify_look(&notify, &look);
	CHECK(look.watchdog_missed == 1 && look.watchdog_ms > 0 &&
	      look.at_ms - look.watchdog_heard_ms > look.watchdog_ms);
	say("WATCHDOG=1");
	hear();
	CHECK(notify_is_overdue(&notify)); /* it has asked for it */
	say("READY=1");
	hear();
	CHECK(!notify_is_overdue(&notify));
	finish();
}

TEST("STOPPING=1 ends the promise and has a budget; READY=1 begins again")
{
	begin();
	notify_gateway_started(&notify, &gateway);
	say("READY=1");
	say("STOPPING=1");
	hear();
	CHECK(said_stopping == 1 && budget_ms == 330000 && !notify_is_ready(&notify, 7));
	CHECK(!turn_until(&said_missed, 1, 2 * INTERVAL_MS));
	say("EXTEND_TIMEOUT_USEC=5000000");
	hear();
	CHECK(said_stopping == 2 && budget_ms == 5000);
	say("READY=1");
	hear();
	CHECK(said_ready == 2 && notify_is_ready(&notify, 7));
	CHECK(turn_until(&said_missed, 1, 2000));
	finish();
}

TEST("a start asks for time; one that is ready asks in vain")
{
	begin();
	notify_gateway_started(&notify, &gateway);
	say("EXTEND_TIMEOUT_USEC=1000000");
	hear();
	CHECK(said_extended == 1);
	say("READY=1\nEXTEND_TIMEOUT_USEC=1000000");
	hear();
	CHECK(said_extended == 1);
	finish();
}

TEST("a reload is told until READY=1 comes")
{
	struct health_look look = {0};

	begin();
	notify_gateway_started(&notify, &gateway);
	say("READY=1");
	say("RELOADING=1\nMONOTONIC_USEC=1");
	hear();
	notify_look(&notify, &look);
	CHECK(look.is_busy_with_itself);
	say("READY=1");
	hear();
	notify_look(&notify, &look);
	CHECK(!look.is_busy_with_itself);
	finish();
}

TEST("nobody but the gateway is heard; its word is not lost when it is quicker than the word of it")
{
	struct message_gateway other = gateway;
	pid_t child;

	begin();
	other = gateway;
	child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	other.pid = child;
	procfs_start_time(child, &other.start_time);
	notify_gateway_started(&notify, &other);
	say("READY=1");
	hear();
	CHECK(said_ready == 0);
	notify_gateway_gone(&notify);
	notify_gateway_started(&notify, &gateway);
	CHECK(said_ready == 1);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	finish();
}

TEST("descriptors that come with a datagram are not kept")
{
	struct iovec bytes = {.iov_base = (char *)"READY=1", .iov_len = 7};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {
	    .header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct msghdr packet = {.msg_iov = &bytes,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control.space)};
	int pair[2];
	char byte;

	begin();
	notify_gateway_started(&notify, &gateway);
	CHECK(pipe(pair) == 0);
	memcpy(CMSG_DATA(&control.header), &pair[1], sizeof(int));
	CHECK(sendmsg(speaker, &packet, 0) == 7);
	close(pair[1]);
	hear();
	CHECK(said_ready == 1);
	CHECK(read(pair[0], &byte, 1) == 0); /* nobody holds the other end */
	close(pair[0]);
	finish();
}

TEST("the next sentry knows that it is ready and what it promised, with whatever settings")
{
	int pair_fd;

	begin();
	notify_gateway_started(&notify, &gateway);
	say("READY=1\nWATCHDOG_USEC=40000");
	hear();
	pair_fd = dup(notify.source.fd);
	notify_gateway_gone(&notify);
	notify_stop(&notify);
	settings.health.watchdog_ms = 0;
	open_sentry(&notify);
	notify_take(&notify, pair_fd);
	notify_gateway_started(&notify, &gateway);
	CHECK(notify_is_ready(&notify, 7));
	CHECK(turn_until(&said_missed, 1, 2000));
	gateway.generation = 8; /* but of another gateway nothing */
	notify_gateway_started(&notify, &gateway);
	CHECK(!notify_is_ready(&notify, 8) && !notify_is_overdue(&notify));
	CHECK(notify_gateway_is_up(&notify, 8) && notify_is_ready(&notify, 8));
	finish();
}

TEST("what the sentry before heard at its very end is not lost")
{
	begin();
	notify_gateway_started(&notify, &gateway);
	open_sentry(&successor);
	notify_gateway_started(&successor, &gateway);
	CHECK(!notify_is_ready(&successor, 7));
	say("READY=1");
	hear(); /* by the one before, which still reads */
	CHECK(said_ready == 1 && !notify_is_ready(&successor, 7));
	CHECK(turn_until(&said_ready, 2, 5000));
	CHECK(notify_is_ready(&successor, 7));
	notify_gateway_gone(&successor);
	finish();
}

TEST("a damaged memory is none")
{
	char path[96], bytes[256] = "";
	int fd;

	begin();
	snprintf(path, sizeof(path), "%s/notify.state", directory);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	CHECK(write(fd, bytes, sizeof(bytes)) == sizeof(bytes));
	close(fd);
	notify_gateway_started(&notify, &gateway);
	CHECK(!notify_is_ready(&notify, 7));
	finish();
}
