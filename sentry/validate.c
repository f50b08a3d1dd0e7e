#include "sentry/validate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "process/clone.h"
#include "sentry/line.h"
#include "world/world.h"

#define LOW_PRIORITY      10
#define EXIT_NOT_EXECUTED 127

/* The output: of a fixed length, so that nobody can fill our memory. */
static int make_output(void)
{
	int fd = world_memfd_create("holdfast-validate", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && world_ftruncate(fd, VALIDATE_BYTES_MAX) == 0 &&
	    world_fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) == 0)
		return fd;
	file_close(&fd);
	return -1;
}

static void restore_signals(void)
{
	struct sigaction fresh = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		sigaction(number, &fresh, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the new process, a copy of ours with other threads missing: only what is safe after a fork. */
static void run_program(struct validate *validate, int parent)
{
	const struct settings *settings = validate->settings;
	const char *directory = settings_string(settings, settings->gateway.working_directory);
	int null_fd;

	restore_signals();
	world_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != parent) /* dead already */
		_exit(EXIT_NOT_EXECUTED);
	world_setsid();
	(void)!setpriority(PRIO_PROCESS, 0, LOW_PRIORITY);
	null_fd = world_open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd < 0 || world_dup2(null_fd, 0) < 0 || world_dup2(validate->output_fd, 1) < 0 ||
	    world_dup2(null_fd, 2) < 0 || (directory[0] != '\0' && world_chdir(directory) < 0))
		_exit(EXIT_NOT_EXECUTED);
	/* Not all that we hold closes itself: the settings do not, they are for our successor. */
	world_close_range(3, ~0u, 0);
	world_execve(
	    validate->command.arguments[0], validate->command.arguments, validate->command.environment);
	_exit(EXIT_NOT_EXECUTED);
}

/* --- The answer. --- */

enum validate_answer validate_read(const char *output, char why[MESSAGE_TEXT_MAX])
{
	char raw[MESSAGE_TEXT_MAX];
	enum validate_answer answer = gateway_command_read(output, raw, sizeof(raw));

	line_strip(why, MESSAGE_TEXT_MAX, raw, strlen(raw));
	return answer;
}

static void forget_child(struct validate *validate)
{
	loop_timer_arm(validate->loop, &validate->deadline, 0);
	loop_source_retire(&validate->death);
	file_close(&validate->pid_fd);
	file_close(&validate->output_fd);
	validate->pid = 0;
}

static enum validate_answer read_answer(struct validate *validate, const siginfo_t *info, char *why)
{
	ssize_t length = file_read_start(validate->output_fd, validate->output, sizeof(validate->output));

	if (validate->timed_out) {
		text_copy(why, MESSAGE_TEXT_MAX, "the gateway's program did not say so in time");
		return VALIDATE_FAILED;
	}
	if (length < 0 || info->si_code != CLD_EXITED || info->si_status == EXIT_NOT_EXECUTED) {
		text_copy(why, MESSAGE_TEXT_MAX, "the gateway's program could not be asked");
		return VALIDATE_FAILED;
	}
	return validate_read(validate->output, why);
}

static void start(struct validate *validate);

static void child_died(struct loop_source *source, uint32_t events)
{
	struct validate *validate = source->context;
	enum validate_answer answer;
	char why[MESSAGE_TEXT_MAX];
	siginfo_t info = {0};

	(void)events;
	if (world_waitid(P_PIDFD, (id_t)validate->pid_fd, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0)
		return;
	answer = read_answer(validate, &info, why);
	forget_child(validate);
	if (validate->again)
		start(validate);
	else
		validate->answered(validate, answer, why);
}

static void deadline_due(struct loop_timer *timer)
{
	struct validate *validate = timer->context;

	validate->timed_out = true;
	world_pidfd_send_signal(validate->pid_fd, SIGKILL, NULL, 0);
}

static void start(struct validate *validate)
{
	int parent = getpid();

	validate->again = validate->timed_out = false;
	validate->output_fd = make_output();
	validate->pid = validate->output_fd < 0 ? -errno : clone_copy(&validate->pid_fd);
	if (validate->pid == 0)
		run_program(validate, parent);
	if (validate->pid > 0 &&
	    loop_source_watch(validate->loop, &validate->death, validate->pid_fd, EPOLLIN) == 0) {
		loop_timer_arm(validate->loop, &validate->deadline, clock_boot_ms() + validate->max_ms);
		return;
	}
	if (validate->pid > 0)
		validate_finish(validate);
	file_close(&validate->output_fd);
	validate->pid = 0;
	validate->answered(validate, VALIDATE_FAILED, "the gateway's program could not be started");
}

void validate_init(struct validate *validate)
{
	validate->pid = 0;
	validate->pid_fd = validate->output_fd = -1;
	validate->death = (struct loop_source){.fd = -1, .callback = child_died, .context = validate};
	validate->deadline = (struct loop_timer){.callback = deadline_due, .context = validate};
}

void validate_begin(struct validate *validate, char *const *environment)
{
	if (validate->pid > 0) {
		validate->again = true;
		return;
	}
	if (gateway_command_build(&validate->command, validate->settings, validate->facts, environment,
	        gateway_command_validate,
	        settings_string(validate->settings, validate->settings->gateway.config_path)))
		start(validate);
	else
		validate->answered(validate, VALIDATE_UNKNOWN, "");
}

void validate_finish(struct validate *validate)
{
	if (validate->pid <= 0)
		return;
	world_pidfd_send_signal(validate->pid_fd, SIGKILL, NULL, 0);
	world_waitid(P_PIDFD, (id_t)validate->pid_fd, &(siginfo_t){0}, WEXITED);
	forget_child(validate);
}
