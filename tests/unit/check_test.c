/* Probes that are no HTTP: a command, and a mere connection. */
#include "support/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "sentry/check.h"

#define DEADLINE_MS 10000

static struct settings settings;
static struct loop loop;
static struct check check;
static int done_count;
static enum probe_result result;
static unsigned status;
static bool overdue;

static void on_done(struct check *from, enum probe_result said, unsigned with)
{
	(void)from;
	done_count++;
	result = said;
	status = with;
}

static settings_text add(const char *text)
{
	settings_text offset = settings.pool_used;

	memcpy(settings.pool + offset, text, strlen(text) + 1);
	settings.pool_used += (uint32_t)strlen(text) + 1;
	return offset;
}

/* Given: a probe that runs this script, or connects when it is NULL. */
static void begin(const char *script)
{
	memset(&settings, 0, sizeof(settings));
	memset(&check, 0, sizeof(check));
	settings.pool_used = 1;
	settings.gateway.port = 1;
	if (script != NULL) {
		settings.health.arguments[0] = add("/bin/sh");
		settings.health.arguments[1] = add("-c");
		settings.health.arguments[2] = add(script);
		settings.health.argument_count = 3;
	}
	if (loop_init(&loop) < 0)
		abort();
	check_init(&check, &loop, &settings);
	check.done = on_done;
	done_count = 0;
}

static void too_long(struct loop_timer *timer)
{
	(void)timer;
	overdue = true;
}

static void wait_until_idle(void)
{
	struct loop_timer guard = {.callback = too_long};

	overdue = false;
	loop_timer_arm(&loop, &guard, clock_boot_ms() + DEADLINE_MS);
	while (check_is_busy(&check) && !overdue)
		loop_turn(&loop);
	loop_timer_arm(&loop, &guard, 0);
	CHECK(!overdue);
}

static enum probe_result run(uint32_t port, int64_t timeout_ms)
{
	CHECK(check_start(&check, 4711, port, timeout_ms) == 0);
	CHECK(check_is_busy(&check) && done_count == 0);
	CHECK(check_start(&check, 4711, port, timeout_ms) == -EBUSY);
	wait_until_idle();
	CHECK(done_count == 1);
	loop_release(&loop);
	return result;
}

TEST("exit status 0 is well, another is not, and is told")
{
	begin("exit 0");
	CHECK(run(0, DEADLINE_MS) == PROBE_PROCOK && status == 0);
	begin("exit 3");
	CHECK(run(0, DEADLINE_MS) == PROBE_PROCERR && status == 3);
	begin("kill -9 $$");
	CHECK(run(0, DEADLINE_MS) == PROBE_PROCERR && status == 128 + SIGKILL);
}

TEST("a command that cannot be run says nothing about the gateway")
{
	begin("exec /no/such/program");
	CHECK(run(0, DEADLINE_MS) == PROBE_SOCKERR);
	begin("exit 0");
	settings.health.arguments[0] = add("/no/such/program");
	CHECK(run(0, DEADLINE_MS) == PROBE_SOCKERR);
}

TEST("its output goes nowhere, but for its last line")
{
	begin("echo first; echo; printf 'last \\033[1mword\\n\\n'; echo oops >&2");
	run(0, DEADLINE_MS);
	CHECK_TEXT(check_line(&check), "oops");
	begin("head -c 300000 /dev/zero | tr '\\0' x");
	CHECK(run(0, DEADLINE_MS) == PROBE_PROCOK);
	CHECK(strlen(check_line(&check)) == CHECK_LINE_MAX - 1);
	/* 157 letters, and the character that would be the last has three bytes. */
	begin("head -c 157 /dev/zero | tr '\\0' x; printf '\\342\\202\\254y'");
	run(0, DEADLINE_MS);
	CHECK(strlen(check_line(&check)) == 157);
	begin("head -c 156 /dev/zero | tr '\\0' x; printf '\\342\\202'; sleep 0.05; printf '\\254y'");
	run(0, DEADLINE_MS);
	CHECK(strlen(check_line(&check)) == CHECK_LINE_MAX - 1);
	begin("printf 'a\\tb'");
	run(0, DEADLINE_MS);
	CHECK_TEXT(check_line(&check), "a?b");
}

TEST("it knows whom to look at, reads nothing, and learns no secret")
{
	setenv("HOLDFAST_SOMETHING", "1", 1);
	setenv("KEY", "secret", 1);
	setenv("NOTIFY_SOCKET", "/of/ours", 1);
	begin("cat; echo $HOLDFAST_GATEWAY_PID $HOLDFAST_GATEWAY_PORT ${HOLDFAST_SOMETHING-no} ${KEY-no} "
	      "${NOTIFY_SOCKET-no} $(ls /proc/self/fd | wc -l)");
	settings.secrets[settings.secret_count++] = add("KEY");
	CHECK(run(8080, DEADLINE_MS) == PROBE_PROCOK);
	/* 0, 1, 2 and the one by which ls reads the directory */
	CHECK_TEXT(check_line(&check), "4711 8080 no no no 4");
	unsetenv("HOLDFAST_SOMETHING");
	unsetenv("NOTIFY_SOCKET");
}

TEST("one that is late is killed with its whole group, and so is what a quick one leaves behind")
{
	char path[] = "/tmp/holdfast-check-XXXXXX", script[128];
	int64_t began_ms = clock_boot_ms();
	int fd = mkstemp(path), pid = 0;
	char text[32] = "";

	snprintf(script, sizeof(script), "trap '' TERM; sleep 1000 & echo $! >%s; wait", path);
	begin(script);
	CHECK(run(0, 300) == PROBE_PROCTOUT);
	CHECK(clock_boot_ms() - began_ms < DEADLINE_MS);
	CHECK(pread(fd, text, sizeof(text) - 1, 0) > 0 && sscanf(text, "%d", &pid) == 1);
	/* Its parent died with it, so whoever inherits waits for it: a moment. */
	for (int i = 0; i < 1000 && kill(pid, 0) == 0; i++) {
		char state[64], stat[64];
		FILE *file;

		snprintf(stat, sizeof(stat), "/proc/%d/stat", pid);
		file = fopen(stat, "r");
		if (file == NULL || fgets(state, sizeof(state), file) == NULL || strstr(state, ") Z") != NULL)
			pid = 0;
		if (file != NULL)
			fclose(file);
		if (pid == 0)
			break;
		usleep(10000);
	}
	CHECK(pid == 0 || kill(pid, 0) < 0);
	close(fd);
	unlink(path);
}

TEST("one that is given up is said nothing of")
{
	begin("exec sleep 1000");
	CHECK(check_start(&check, 4711, 0, DEADLINE_MS) == 0);
	check_cancel(&check);
	wait_until_idle();
	CHECK(done_count == 0);
	check_cancel(&check);
	loop_release(&loop);
}

static int listen_on(uint32_t *port, int backlog)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, backlog) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		abort();
	*port = ntohs(address.sin_port);
	return fd;
}

TEST("a connection is enough, and a refusal is a refusal")
{
	uint32_t port;
	int fd = listen_on(&port, 8);

	begin(NULL);
	CHECK(run(port, DEADLINE_MS) == PROBE_L4OK);
	close(fd);
	begin(NULL);
	CHECK(run(port, DEADLINE_MS) == PROBE_L4CON);
}

TEST("a queue that is full takes no connection in time")
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int waiting[4];
	uint32_t port;
	int fd = listen_on(&port, 0);

	address.sin_port = htons((uint16_t)port);
	for (int i = 0; i < 4; i++) {
		waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(waiting[i], (struct sockaddr *)&address, sizeof(address));
	}
	begin(NULL);
	CHECK(run(port, 200) == PROBE_L4TOUT);
	for (int i = 0; i < 4; i++)
		close(waiting[i]);
	close(fd);
}

TEST("what is wanted is read from the settings")
{
	begin(NULL);
	CHECK(check_is_wanted(&settings));
	settings.gateway.port = 0;
	CHECK(!check_is_wanted(&settings));
	settings.gateway.port = 1;
	settings.health.path = add("/healthz");
	CHECK(!check_is_wanted(&settings));
	settings.health.argument_count = 1;
	CHECK(check_is_wanted(&settings));
	loop_release(&loop);
}
