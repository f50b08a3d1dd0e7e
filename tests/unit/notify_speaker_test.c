/* Whose sd_notify(3) counts: what a gateway runs inherits its NOTIFY_SOCKET. */
#include "support/notify_home.h"

/* A descendant of the gateway that has inherited NOTIFY_SOCKET, and says what it is told to. */
struct descendant {
	pid_t pid;
	int fd;
};

static void repeat(int fd)
{
	char words[64];
	ssize_t length;

	while ((length = read(fd, words, sizeof(words))) > 0)
		if (send(speaker, words, (size_t)length, 0) != length || write(fd, "", 1) != 1)
			break;
	_exit(0);
}

static struct descendant given_descendant(void)
{
	struct descendant descendant;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	descendant.pid = fork();
	if (descendant.pid == 0) {
		close(pair[0]);
		repeat(pair[1]);
	}
	close(pair[1]);
	descendant.fd = pair[0];
	return descendant;
}

static void says(const struct descendant *descendant, const char *words)
{
	char byte;

	CHECK(write(descendant->fd, words, strlen(words)) == (ssize_t)strlen(words));
	CHECK(read(descendant->fd, &byte, 1) == 1);
	hear();
}

static void ends(const struct descendant *descendant)
{
	close(descendant->fd);
	kill(descendant->pid, SIGKILL);
	waitpid(descendant->pid, NULL, 0);
}

static bool is_busy_with_itself(void)
{
	struct health_look look = {0};

	notify_look(&notify, &look);
	return look.is_busy_with_itself;
}

TEST("a command that the gateway ran cannot have it ended")
{
	struct descendant command;

	begin();
	command = given_descendant();
	notify_gateway_started(&notify, &gateway);
	say("READY=1");
	hear();
	says(&command, "READY=1\nSTATUS=a tool"); /* a daemon that was run as a tool says so as well */
	CHECK_TEXT(notify_status(&notify), "a tool");
	says(&command, "RELOADING=1");
	says(&command, "STOPPING=1");
	says(&command, "WATCHDOG=trigger");
	says(&command, "WATCHDOG=1\nWATCHDOG_USEC=1");
	CHECK(said_stopping == 0 && said_missed == 0 && !is_busy_with_itself());
	CHECK(!notify_is_overdue(&notify) && notify_is_ready(&notify, 7) && !notify_is_stopping(&notify, 7));
	CHECK(notify.memory.interval_ms == INTERVAL_MS);
	say("STOPPING=1");
	hear();
	CHECK(said_stopping == 1 && notify_is_stopping(&notify, 7) && !notify_is_stopping(&notify, 8));
	ends(&command);
	finish();
}

TEST("one that speaks for a gateway that does not speak itself may say everything, until it ends")
{
	struct descendant worker, command;

	begin();
	worker = given_descendant();
	command = given_descendant();
	notify_gateway_started(&notify, &gateway);
	says(&worker, "STOPPING=1"); /* it has not shown yet that it speaks for the gateway */
	CHECK(said_stopping == 0);
	says(&worker, "READY=1\nWATCHDOG_USEC=3600000000");
	CHECK(said_ready == 1 && notify.memory.interval_ms == 3600000);
	says(&command, "READY=1");
	says(&command, "STOPPING=1");
	CHECK(said_stopping == 0);
	says(&worker, "RELOADING=1");
	CHECK(is_busy_with_itself());
	ends(&worker);
	says(&command, "WATCHDOG=1"); /* the next one of a wrapper script */
	says(&command, "STOPPING=1");
	CHECK(said_stopping == 1);
	ends(&command);
	finish();
}

TEST("the next sentry knows who speaks for the gateway")
{
	struct descendant worker;
	int fd;

	begin();
	worker = given_descendant();
	notify_gateway_started(&notify, &gateway);
	says(&worker, "READY=1");
	fd = dup(notify.source.fd);
	notify_gateway_gone(&notify);
	notify_stop(&notify);
	open_sentry(&notify);
	notify_take(&notify, fd);
	notify_gateway_started(&notify, &gateway);
	says(&worker, "STOPPING=1");
	CHECK(said_stopping == 1);
	ends(&worker);
	finish();
}
