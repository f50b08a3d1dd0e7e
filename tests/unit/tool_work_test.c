/* What the children of a tool do, with real processes: the gateway is a shell that runs what it is told. */
#include "support/tap.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "config/settings.h"
#include "process/procfs.h"
#include "process/tree.h"
#include "sentry/tool_work.h"

#define INSTANCE UINT64_C(0x1122334455667788)
#define LONG_AGO 0

static struct tool_work_gateway gateway;
static int commands, answers, hold; /* to the gateway; from its children; what they wait for to be closed */
static char home[64];

/* Given: a gateway with descriptor 3, from which its children read as long as `hold` is open. */
static void given_a_gateway(void)
{
	int in[2], out[2], held[2];
	pid_t child;

	memcpy(home, "/tmp/holdfast-tool-XXXXXX", sizeof("/tmp/holdfast-tool-XXXXXX"));
	if (mkdtemp(home) == NULL || pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 ||
	    pipe2(held, O_CLOEXEC) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || (child = fork()) < 0)
		abort();
	if (child == 0) {
		/* Out of the way of the low numbers first. */
		int from = fcntl(in[0], F_DUPFD, 10), to = fcntl(out[1], F_DUPFD, 10);
		int wait = fcntl(held[0], F_DUPFD, 10);

		dup2(from, 0);
		dup2(to, 1);
		dup2(wait, 3);
		close_range(4, ~0U, 0);
		execl("/bin/sh", "sh", "-c", "while read -r line; do eval \"$line\"; done", NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	close(held[0]);
	commands = in[1];
	answers = out[0];
	hold = held[1];
	gateway = (struct tool_work_gateway){
	    .facts = gateway_facts(GATEWAY_OPENCLAW), .pid = child, .instance = INSTANCE};
	CHECK(procfs_start_time(child, &gateway.start_time) == 0);
}

static void tell(const char *command)
{
	CHECK(write(commands, command, strlen(command)) == (ssize_t)strlen(command));
	CHECK(write(commands, "\n", 1) == 1);
}

/* Waits for a line of the gateway's or a child's, and returns the number in it. */
static int answer(void)
{
	char line[64] = "";
	size_t length = 0;

	while (length < sizeof(line) - 1 && read(answers, line + length, 1) == 1 && line[length] != '\n')
		length++;
	return (int)strtol(line, NULL, 10);
}

/* When the gateway runs `command`, which answers with its pid once it is done, and waits. */
static int when_a_tool_runs(const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "sh -c '%s; echo $$; read x' <&3 &", command);
	tell(line);
	return answer();
}

static struct tool_work look(int64_t began_ms)
{
	struct tool_work tool = {.began_ms = began_ms, .processes = 77, .io_bytes = 77};

	tool_work_read(&gateway, &tool, 1);
	return tool;
}

static int64_t started_ms(int pid)
{
	uint64_t ticks = 0;

	CHECK(procfs_start_time(pid, &ticks) == 0);
	return (int64_t)(ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* All of it ends, and is waited for: as their subreaper we get every one. */
static void finish(void)
{
	close(hold);
	close(commands);
	while (waitpid(-1, NULL, 0) > 0)
		;
	close(answers);
	CHECK(rmdir(home) == 0);
}

TEST("a gateway alone has no tool at work, and one that is gone neither")
{
	given_a_gateway();
	CHECK(look(LONG_AGO).processes == 0 && look(LONG_AGO).io_bytes == 0 && !look(LONG_AGO).is_partial);
	CHECK(look(LONG_AGO).began_ms == LONG_AGO);
	when_a_tool_runs(":");
	CHECK(look(LONG_AGO).processes == 1);
	gateway.start_time++;
	CHECK(look(LONG_AGO).processes == 0);
	finish();
}

TEST("what a tool computes and writes is seen, and what waits moves nothing")
{
	struct tool_work before, after;

	given_a_gateway();
	before = look(LONG_AGO);
	when_a_tool_runs("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done");
	after = look(LONG_AGO);
	CHECK(after.processes == 1 && after.cpu_ticks >= before.cpu_ticks + 3);
	before = look(LONG_AGO);
	CHECK(before.cpu_ticks == after.cpu_ticks && before.io_bytes == after.io_bytes);
	when_a_tool_runs("dd if=/dev/zero of=/dev/null bs=1000000 count=1 2>/dev/null");
	after = look(LONG_AGO);
	CHECK(after.processes == 2 && after.io_bytes >= before.io_bytes + 2000000);
	finish();
}

TEST("descendants count, at any depth")
{
	given_a_gateway();
	/* Four: the tool, two shells that wait for another, and the last one, which answers and reads. */
	tell("sh -c 'sh -c \"sh -c \\\"sh -c \\\\\\\"echo 1; read x\\\\\\\"; :\\\"; :\"; :' <&3 &");
	CHECK(answer() == 1);
	CHECK(look(LONG_AGO).processes == 4);
	finish();
}

TEST("one that began before the tool and its slack is not the tool's")
{
	int64_t began_ms;

	given_a_gateway();
	began_ms = started_ms(when_a_tool_runs(":"));
	CHECK(look(began_ms).processes == 1);
	CHECK(look(began_ms + TOOL_WORK_SLACK_MS).processes == 1);
	CHECK(look(began_ms + TOOL_WORK_SLACK_MS + 1).processes == 0);
	finish();
}

TEST("several tools are answered for by one walk, each with its own beginning")
{
	struct tool_work tools[3] = {{.began_ms = LONG_AGO}};

	given_a_gateway();
	tools[1].began_ms = started_ms(when_a_tool_runs("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"));
	tools[2].began_ms = clock_boot_ms() + 60000;
	tool_work_read(&gateway, tools, 3);
	CHECK(tools[0].processes == 1 && tools[1].processes == 1 && tools[2].processes == 0);
	CHECK(tools[0].cpu_ticks > 0 && tools[0].cpu_ticks == tools[1].cpu_ticks && tools[2].cpu_ticks == 0);
	finish();
}

TEST("the gateway's own helper does not count, but what it started does; nor does a fork of the gateway")
{
	char path[PATH_MAX], command[PATH_MAX + 64];
	FILE *script;

	given_a_gateway();
	snprintf(path, sizeof(path), "%s/process", home);
	CHECK(mkdir(path, 0700) == 0);
	snprintf(path, sizeof(path), "%s/process/spawn-broker", home);
	CHECK(mkdir(path, 0700) == 0);
	snprintf(path, sizeof(path), "%s/process/spawn-broker/worker.js", home);
	script = fopen(path, "w");
	fputs("sh -c 'echo $$; read x' <&3 &\nread x <&3\n", script);
	fclose(script);
	snprintf(command, sizeof(command), "sh %s &", path);
	tell(command);
	CHECK(answer() > 0);
	CHECK(look(LONG_AGO).processes == 1);
	tell("( echo 1; read x ) <&3 &");
	CHECK(answer() == 1);
	CHECK(look(LONG_AGO).processes == 1);
	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
	finish();
}

TEST("a zombie does not count")
{
	siginfo_t info;
	int zombie;

	given_a_gateway();
	/* Its parent stops before it ends, so that nobody waits for it. */
	zombie = when_a_tool_runs(":");
	CHECK(look(LONG_AGO).processes == 1);
	CHECK(kill(gateway.pid, SIGSTOP) == 0);
	CHECK(waitid(P_PID, (id_t)gateway.pid, &info, WSTOPPED | WNOWAIT) == 0);
	CHECK(kill(zombie, SIGKILL) == 0);
	for (struct procfs_stat stat = {0}; stat.state != 'Z';)
		if (!CHECK(procfs_stat(zombie, &stat) == 0))
			break;
	CHECK(look(LONG_AGO).processes == 0);
	CHECK(kill(gateway.pid, SIGCONT) == 0);
	finish();
}

TEST("one whose parent has ended counts when it carries the gateway's marker")
{
	char marker[MARKER_BYTES_MAX], command[256];

	for (int marked = 0; marked < 2; marked++) {
		given_a_gateway();
		marker_format(marker, INSTANCE + !marked, gateway.pid, gateway.start_time);
		snprintf(command, sizeof(command),
		    "( " MARKER_VARIABLE "=%s sh -c 'echo $$; read x' <&3 & ); echo 1", marker);
		tell(command);
		/* Both, in whatever order. */
		CHECK(answer() > 0 && answer() > 0);
		CHECK(look(LONG_AGO).processes == (uint32_t)marked);
		finish();
	}
}
