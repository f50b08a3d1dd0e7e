#include "sentry/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "format/utf8.h"
#include "process/clone.h"
#include "world/world.h"

#define EXIT_CANNOT_RUN   126
#define EXIT_NOT_EXECUTED 127
#define SIGNALLED         128
#define READS_A_TURN      16

extern char **environ;

bool check_is_wanted(const struct settings *settings)
{
	return settings->health.argument_count > 0 ||
	       (settings->gateway.port != 0 && settings_string(settings, settings->health.path)[0] == '\0');
}

/* --- How it ends. --- */

static void close_all(struct check *check)
{
	int end_fd = check->end.fd, output_fd = check->output.fd;

	loop_source_retire(&check->end);
	loop_source_retire(&check->output);
	if (check->deadline.loop != NULL)
		loop_timer_arm(check->loop, &check->deadline, 0);
	file_close(&end_fd);
	file_close(&output_fd);
	check->pid = 0;
}

/* Its whole group, while its number is still its own: it has not been waited for. One that has just begun has
 * no group yet, and no children. */
static void kill_group(const struct check *check)
{
	if (check->pid <= 0)
		return;
	world_kill(-check->pid, SIGKILL);
	if (check->end.fd >= 0)
		world_pidfd_send_signal(check->end.fd, SIGKILL, NULL, 0);
}

static void finish(struct check *check, enum probe_result result, unsigned status)
{
	close_all(check);
	check->done(check, result, status);
}

/* --- A connection. --- */

static void connection_ready(struct check *check)
{
	int error = check->is_refused ? ECONNREFUSED : 0;
	socklen_t size = sizeof(error);

	if (error == 0)
		getsockopt(check->end.fd, SOL_SOCKET, SO_ERROR, &error, &size);
	finish(check, error == 0 ? PROBE_L4OK : error == ETIMEDOUT ? PROBE_L4TOUT : PROBE_L4CON, 0);
}

static int start_connection(struct check *check, uint32_t port)
{
	const struct sockaddr_in address = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = world_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int result;

	if (fd < 0)
		return -errno;
	result = world_connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	/* A refusal comes at once; it is told from the loop, which finds such a socket hung up. */
	check->is_refused = result == -ECONNREFUSED;
	if (result < 0 && result != -EINPROGRESS && !check->is_refused) {
		close(fd);
		return result;
	}
	result = loop_source_watch(check->loop, &check->end, fd, EPOLLOUT);
	if (result < 0)
		close(fd);
	return result;
}

/* --- A command. --- */

static char printable(char byte)
{
	return (unsigned char)byte < 0x20 || byte == 0x7f ? '?' : byte;
}

/* Only the last line is kept: its beginning. */
static void keep_line(struct check *check, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (bytes[i] == '\n' || bytes[i] == '\r') {
			check->line_ended = check->line_length > 0;
			continue;
		}
		if (check->line_ended)
			check->line_length = 0;
		check->line_ended = false;
		if (check->line_length < CHECK_LINE_MAX - 1)
			check->line[check->line_length++] = printable(bytes[i]);
	}
	check->line[check->line_length < CHECK_LINE_MAX - 1 ? check->line_length
	                                                    : utf8_whole(check->line, CHECK_LINE_MAX - 1)] =
	    '\0';
}

static void read_output(struct check *check)
{
	char bytes[1024];
	ssize_t length;

	for (int i = 0; i < READS_A_TURN && check->output.fd >= 0; i++) {
		length = world_read(check->output.fd, bytes, sizeof(bytes));
		if (length < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (length <= 0) {
			int fd = check->output.fd;

			loop_source_retire(&check->output);
			file_close(&fd);
			return;
		}
		keep_line(check, bytes, (size_t)length);
	}
}

static void output_came(struct loop_source *source, uint32_t events)
{
	(void)events;
	read_output(source->context);
}

static void command_ended(struct check *check)
{
	siginfo_t info = {0};
	enum probe_result result;
	unsigned status;

	read_output(check);
	kill_group(check); /* what it left running would be there again and again */
	world_waitid(P_PIDFD, (id_t)check->end.fd, &info, WEXITED | WNOHANG);
	if (check->is_given_up) {
		close_all(check);
		return;
	}
	status = (unsigned)info.si_status + (info.si_code == CLD_EXITED ? 0 : SIGNALLED);
	if (check->is_late)
		result = PROBE_PROCTOUT;
	else if (info.si_pid == 0 || status == EXIT_NOT_EXECUTED || status == EXIT_CANNOT_RUN)
		result = PROBE_SOCKERR; /* it says nothing about the gateway */
	else
		result = status == 0 ? PROBE_PROCOK : PROBE_PROCERR;
	finish(check, result, status);
}

/* The environment that we have, without what is ours alone. */
static void build_environment(
    const struct check *check, char *environment[], char gateway_pid[], char gateway_port[])
{
	const struct settings *settings = check->settings;
	uint32_t count = 0;

	for (char **variable = environ; *variable != NULL && count < CHECK_VARIABLES_MAX - 3; variable++) {
		bool is_ours = strncmp(*variable, "HOLDFAST_", strlen("HOLDFAST_")) == 0 ||
		               strncmp(*variable, "NOTIFY_SOCKET=", strlen("NOTIFY_SOCKET=")) == 0;

		for (uint32_t i = 0; i < settings->secret_count && !is_ours; i++) {
			const char *name = settings_string(settings, settings->secrets[i]);

			is_ours =
			    strncmp(*variable, name, strlen(name)) == 0 && (*variable)[strlen(name)] == '=';
		}
		if (!is_ours)
			environment[count++] = *variable;
	}
	environment[count++] = gateway_pid;
	if (gateway_port[0] != '\0')
		environment[count++] = gateway_port;
	environment[count] = NULL;
}

/* In the new process. */
__attribute__((noreturn)) static void run_command(
    char *const arguments[], char *const environment[], int output_fd, int parent)
{
	sigset_t none;
	int null_fd = world_open("/dev/null", O_RDONLY);

	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	world_setsid();
	world_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() == parent && null_fd >= 0 && world_dup2(null_fd, 0) >= 0 &&
	    world_dup2(output_fd, 1) >= 0 && world_dup2(output_fd, 2) >= 0) {
		world_close_range(3, ~0u, 0);
		world_execve(arguments[0], arguments, environment);
	}
	_exit(EXIT_NOT_EXECUTED);
}

static int spawn_command(struct check *check, int gateway_pid, uint32_t port, int output_fd, int *pid_fd)
{
	static char *arguments[SETTINGS_ARGUMENTS_MAX + 1], *environment[CHECK_VARIABLES_MAX];
	static char pid_variable[48], port_variable[48];
	const struct settings *settings = check->settings;
	int parent = getpid(), pid;

	for (uint32_t i = 0; i < settings->health.argument_count; i++)
		arguments[i] = (char *)settings_string(settings, settings->health.arguments[i]);
	arguments[settings->health.argument_count] = NULL;
	snprintf(pid_variable, sizeof(pid_variable), "HOLDFAST_GATEWAY_PID=%d", gateway_pid);
	port_variable[0] = '\0';
	if (port != 0)
		snprintf(port_variable, sizeof(port_variable), "HOLDFAST_GATEWAY_PORT=%u", port);
	build_environment(check, environment, pid_variable, port_variable);
	pid = clone_copy(pid_fd);
	if (pid == 0)
		run_command(arguments, environment, output_fd, parent);
	return pid;
}

static int watch_command(struct check *check, int pid_fd, int output_fd)
{
	int result = loop_source_watch(check->loop, &check->end, pid_fd, EPOLLIN);

	/* Without its output we know less, and no more than that. */
	if (result == 0 && loop_source_watch(check->loop, &check->output, output_fd, EPOLLIN) < 0)
		close(output_fd);
	return result;
}

static int start_command(struct check *check, int gateway_pid, uint32_t port)
{
	int pair[2], pid_fd = -1, result;

	/* A pair of sockets is closed on execution and reads without waiting, which a pipe would have to be
	 * told. */
	if (world_socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	world_fcntl(pair[1], F_SETFL, 0); /* its own end waits, like any output */
	result = spawn_command(check, gateway_pid, port, pair[1], &pid_fd);
	close(pair[1]);
	if (result < 0) {
		close(pair[0]);
		return result;
	}
	check->pid = result;
	check->line_length = 0;
	check->line[0] = '\0';
	check->line_ended = false;
	result = watch_command(check, pid_fd, pair[0]);
	if (result == 0)
		return 0;
	world_pidfd_send_signal(pid_fd, SIGKILL, NULL, 0);
	world_waitid(P_PIDFD, (id_t)pid_fd, &(siginfo_t){0}, WEXITED);
	close(pid_fd);
	close(pair[0]);
	check->pid = 0;
	return result;
}

/* --- Both. --- */

static void ended(struct loop_source *source, uint32_t events)
{
	struct check *check = source->context;

	(void)events;
	if (check->pid > 0)
		command_ended(check);
	else
		connection_ready(check);
}

static void deadline_passed(struct loop_timer *timer)
{
	struct check *check = timer->context;

	if (check->pid == 0) {
		finish(check, PROBE_L4TOUT, 0);
		return;
	}
	check->is_late = true;
	kill_group(check); /* its end says the rest */
}

void check_init(struct check *check, struct loop *loop, const struct settings *settings)
{
	check->loop = loop;
	check->settings = settings;
	check->end = (struct loop_source){.fd = -1, .callback = ended, .context = check};
	check->output = (struct loop_source){.fd = -1, .callback = output_came, .context = check};
	check->deadline = (struct loop_timer){.callback = deadline_passed, .context = check};
}

int check_start(struct check *check, int gateway_pid, uint32_t port, int64_t timeout_ms)
{
	int result;

	if (check_is_busy(check))
		return -EBUSY;
	check->is_late = check->is_refused = check->is_given_up = false;
	if (check->settings->health.argument_count > 0)
		result = start_command(check, gateway_pid, port);
	else if (port != 0)
		result = start_connection(check, port);
	else
		result = -EINVAL;
	if (result == 0)
		loop_timer_arm(check->loop, &check->deadline, clock_boot_ms() + timeout_ms);
	return result;
}

void check_cancel(struct check *check)
{
	if (!check_is_busy(check))
		return;
	if (check->pid == 0) {
		close_all(check);
		return;
	}
	kill_group(check);
	check->is_given_up = true; /* its end comes in a moment, or when the kernel lets it go */
	loop_timer_arm(check->loop, &check->deadline, 0);
}

const char *check_line(const struct check *check)
{
	return check->line;
}
