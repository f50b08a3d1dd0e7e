/* What is made of the datagrams of sd_notify(3): the promise, readiness, and what outlives the reader. The
 * gateway is this process itself. */
#include "support/notify_home.h"

static struct notify successor;

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
