/* Taking up new settings or new programs while the gateway goes on. Text is read, and new programs are tried,
 * by a child; then we execute ourselves anew, with all in hand that must not be let go or opened again. From
 * there on it is as after our own sudden death, but for two things: the gateway is still our child, and
 * nobody can come between. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "process/spawn.h"
#include "supervise/descriptors.h"
#include "supervise/manager.h"
#include "supervise/scratch.h"
#include "supervise/supervisor.h"
#include "world/world.h"

#define READ_MAX_MS   10000
#define TRIAL_MAX_MS  10000
#define ARGUMENTS_MAX 256
#define LIST_MAX      1024
#define OUTCOME_NAME  "outcome"
#define CALLER_NAME   "caller"

extern char **environ;

void change_own_command(const struct supervisor *supervisor, char *path, size_t size)
{
	const char *worker = supervisor->workers[WORKER_SENTRY].program;
	int length = (int)(strrchr(worker, '/') - worker);

	snprintf(path, size, "%.*s/holdfast", length, worker);
	/* Installed, it lies where people find it. */
	if (access(path, X_OK) < 0)
		text_copy(path, size, HOLDFAST_BINDIR "/holdfast");
	if (access(path, X_OK) < 0)
		snprintf(path, size, "%.*s/../../bin/holdfast", length, worker);
}

/* The programs beside which our workers lie. */
static void take_own_programs(struct supervisor *supervisor)
{
	const char *worker = supervisor->workers[WORKER_SENTRY].program;
	int length = (int)(strrchr(worker, '/') - worker);

	snprintf(supervisor->change.supervise, CONTROL_PATH_MAX, "%.*s/holdfast-supervise", length, worker);
	change_own_command(supervisor, supervisor->change.holdfast, CONTROL_PATH_MAX);
}

static const char *const verbs[] = {[CHANGE_RELOAD] = "reload", [CHANGE_UPGRADE] = "upgrade"};

static void forget_child(struct supervisor *supervisor)
{
	int fd = supervisor->change.answer.fd;

	loop_source_retire(&supervisor->change.answer);
	file_close(&fd);
	loop_timer_arm(&supervisor->loop, &supervisor->change.deadline, 0);
	file_close(&supervisor->change.pid_fd);
	supervisor->change.pid = 0;
}

/* It is over, and nothing has changed. */
static void end_unchanged(struct supervisor *supervisor, int code, const char *sentence)
{
	bool is_upgrade = supervisor->change.kind == CHANGE_UPGRADE;

	forget_child(supervisor);
	if (supervisor->change.trying)
		scratch_remove(supervisor);
	file_close(&supervisor->change.settings_fd);
	if (code != 0)
		events_record(supervisor, is_upgrade ? "upgrade.refused" : "settings.refused",
		    SEVERITY_WARNING, 0, NULL, "%s", sentence);
	commands_answer(supervisor, supervisor->change.caller_fd, code, sentence, NULL);
	supervisor->change.caller_fd = -1;
	supervisor->change.kind = CHANGE_NONE;
	change_again(supervisor);
}

static void fail(struct supervisor *supervisor, int code, const char *what)
{
	char sentence[CONTROL_SENTENCE_MAX];
	int length = (int)strlen(what);
	bool has_end = length > 0 && strchr(".?!", what[length - 1]) != NULL;

	if (length > CONTROL_SENTENCE_MAX - 64)
		length = CONTROL_SENTENCE_MAX - 64;
	snprintf(sentence, sizeof(sentence), "The %s changed nothing: %.*s%s", verbs[supervisor->change.kind],
	    length, what, has_end ? "" : ".");
	end_unchanged(supervisor, code, sentence);
}

/* The last steps */

/* What the new image is to tell, and to whom: kind and sentence, a line each, then the changes. */
static int write_outcome(const struct supervisor *supervisor)
{
	char sentence[CONTROL_SENTENCE_MAX], kind[2] = {(char)('0' + supervisor->change.kind), '\n'};
	int fd = world_memfd_create("holdfast-outcome", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (supervisor->change.kind == CHANGE_UPGRADE)
		snprintf(sentence, sizeof(sentence), "Upgraded from Holdfast %s\n", HOLDFAST_VERSION);
	else
		snprintf(sentence, sizeof(sentence), "%u setting%s changed\n",
		    supervisor->change.read.changed, supervisor->change.read.changed == 1 ? "" : "s");
	if (file_write_all(fd, kind, sizeof(kind)) < 0 ||
	    file_write_all(fd, sentence, strlen(sentence)) < 0 ||
	    file_write_all(fd, supervisor->change.read.changes, strlen(supervisor->change.read.changes)) < 0)
		file_close(&fd);
	return fd;
}

static int own_program(const struct supervisor *supervisor, char *path, size_t size)
{
	uint64_t device, inode, own_device, own_inode;

	/* What lies there under our name may be a newer build, which nobody has tried. */
	file_identity(supervisor->change.supervise, &device, &inode);
	file_identity("/proc/self/exe", &own_device, &own_inode);
	return text_copy(path, size,
	           supervisor->change.kind == CHANGE_UPGRADE || (device == own_device && inode == own_inode)
	               ? supervisor->change.supervise
	               : "/proc/self/exe")
	           ? 0
	           : -ENAMETOOLONG;
}

/* Everything that the new image need not open: it must not fail where we have not. */
static void list_descriptors(const struct supervisor *supervisor, int outcome_fd, struct text *list)
{
	descriptors_add(list, "lock", supervisor->lock_fd);
	descriptors_add(list, "state", supervisor->state_fd);
	descriptors_add(list, "runtime", supervisor->runtime_fd);
	descriptors_add(list, "record", supervisor->record_fd);
	descriptors_add(list, "console", supervisor->console.fd);
	descriptors_add(list, "notify", supervisor->notify.fd);
	commands_add(supervisor, list);
	descriptors_add(list, CALLER_NAME, supervisor->change.caller_fd);
	descriptors_add(list, OUTCOME_NAME, outcome_fd);
	listeners_add(supervisor, list);
}

/* That a gateway's inspector was opened, and it must be replaced, is known to this build for sure; to another
 * one only if it reads the record as we do. */
static bool must_wait(const struct supervisor *supervisor)
{
	return supervisor->machine.alive && supervisor->machine.opened;
}

/* Executes the new image. Returns only when that failed, with everything as it was. */
static int execute_anew(struct supervisor *supervisor)
{
	static char list[sizeof(DESCRIPTORS_OPTION) + LIST_MAX] = DESCRIPTORS_OPTION;
	char *arguments[ARGUMENTS_MAX] = {(char *)"holdfast-supervise", list, (char *)"--"};
	char program[CONTROL_PATH_MAX];
	int outcome_fd CLOSE_ON_RETURN = write_outcome(supervisor);
	int settings_fd CLOSE_ON_RETURN = world_fcntl(SETTINGS_FD, F_DUPFD_CLOEXEC, SETTINGS_FD + 1);
	int count = 3, code = own_program(supervisor, program, sizeof(program));
	struct text text;

	for (char **argument = supervisor->own_arguments; *argument != NULL && count < ARGUMENTS_MAX - 1;
	     argument++)
		arguments[count++] = *argument;
	if (code == 0 && (outcome_fd < 0 || settings_fd < 0))
		code = -EMFILE;
	if (code == 0 && must_wait(supervisor))
		code = -EBUSY;
	if (code == 0)
		code = supervisor_save(supervisor);
	if (code == 0 && world_dup2(supervisor->change.settings_fd, SETTINGS_FD) < 0)
		code = -errno;
	if (code < 0)
		return code;
	if (supervisor->change.again)
		raise(SIGHUP); /* blocked: the new image hears it, or we do */
	supervisor->change.again = false;
	text_init(&text, list + sizeof(DESCRIPTORS_OPTION) - 1, LIST_MAX);
	list_descriptors(supervisor, outcome_fd, &text);
	manager_say_reloading();
	world_umask(supervisor->umask);
	world_execve(program, arguments, environ);
	code = -errno;
	world_umask(077);
	manager_say("READY=1");
	world_dup3(settings_fd, SETTINGS_FD, O_CLOEXEC);
	descriptors_withdraw(&text);
	return code;
}

static void renew(struct supervisor *supervisor)
{
	int code;

	if (supervisor->machine.finishing) {
		fail(supervisor, -ESHUTDOWN, "Holdfast is ending");
		return;
	}
	code = execute_anew(supervisor);
	fail(supervisor, code, strerror(-code));
}

/* The steps before */

static void answer_came(struct loop_source *source, uint32_t events)
{
	struct supervisor *supervisor = source->context;
	int fd = source->fd;
	struct message message;
	int passed_fd;

	(void)events;
	if (message_receive(fd, &message, &passed_fd) != 1) {
		loop_source_retire(source); /* its end says the rest */
		file_close(&fd);
		return;
	}
	if (message.type != MESSAGE_SETTINGS || supervisor->change.told) {
		file_close(&passed_fd);
		return;
	}
	supervisor->change.told = true;
	if (supervisor->change.trying) { /* it failed, and says why */
		file_close(&passed_fd);
		text_copy(supervisor->change.read.sentence, sizeof(supervisor->change.read.sentence),
		    message.settings.sentence);
		return;
	}
	supervisor->change.read = message.settings;
	supervisor->change.settings_fd = passed_fd;
}

static void overdue(struct loop_timer *timer)
{
	struct supervisor *supervisor = timer->context;

	world_pidfd_send_signal(supervisor->change.pid_fd, SIGKILL, NULL, 0);
}

/* What is in `first` comes before our own arguments. Returns 0 or a negative errno. */
static int start_child(struct supervisor *supervisor, const char *const *first, int64_t wait_ms)
{
	char *arguments[ARGUMENTS_MAX];
	int pair[2], count = 0, pid;

	while (*first != NULL)
		arguments[count++] = (char *)*first++;
	for (char **argument = supervisor->own_arguments; *argument != NULL && count < ARGUMENTS_MAX - 1;
	     argument++)
		arguments[count++] = *argument;
	arguments[count] = NULL;
	if (world_socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	/* It says what the settings are, or whether the programs start: for neither it needs a secret. */
	pid = spawn_worker(supervisor->change.holdfast, arguments, environment_without_secrets(supervisor),
	    pair[1], SETTINGS_FD, true, &supervisor->change.pid_fd);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return pid;
	}
	supervisor->change.pid = pid;
	supervisor->change.told = false;
	loop_timer_arm(&supervisor->loop, &supervisor->change.deadline, clock_boot_ms() + wait_ms);
	/* Unheard it fails, which its end will say. */
	if (loop_source_watch(&supervisor->loop, &supervisor->change.answer, pair[0], EPOLLIN) < 0) {
		close(pair[0]);
		world_pidfd_send_signal(supervisor->change.pid_fd, SIGKILL, NULL, 0);
	}
	return 0;
}

static void try_programs(struct supervisor *supervisor)
{
	char state[PATH_MAX], runtime[PATH_MAX];
	const char *first[] = {"holdfast-trial", state, runtime, "--", NULL};
	int result = scratch_make(supervisor, state, runtime);

	supervisor->change.trying = true;
	if (result == 0)
		result = start_child(supervisor, first, TRIAL_MAX_MS);
	if (result < 0)
		fail(supervisor, result, strerror(-result));
}

static void take_up_settings(struct supervisor *supervisor)
{
	const struct settings *settings = settings_map(supervisor->change.settings_fd, NULL);

	if (settings == NULL)
		fail(supervisor, -EINVAL,
		    "the programs on disk are of another version than this one: use \"holdfast upgrade\"");
	/* Which files are watched, and where a value stands, may differ as well. */
	else if (hash_bytes(settings, sizeof(*settings)) ==
	         hash_bytes(supervisor->settings, sizeof(*supervisor->settings)))
		end_unchanged(supervisor, 0, "The settings are as they were: there is nothing to change.");
	else
		renew(supervisor);
	if (settings != NULL) /* still here */
		munmap((void *)(uintptr_t)settings, sizeof(*settings));
}

static void settings_were_read(struct supervisor *supervisor)
{
	const struct message_settings *read = &supervisor->change.read;

	if (!supervisor->change.told) {
		fail(supervisor, -EIO, "the settings could not be read; its own words are on standard error");
	} else if (read->refused || supervisor->change.settings_fd < 0) {
		fail(supervisor, -EINVAL, read->sentence);
	} else if (supervisor->change.kind == CHANGE_UPGRADE) {
		forget_child(supervisor);
		try_programs(supervisor);
	} else {
		take_up_settings(supervisor);
	}
}

static void was_tried(struct supervisor *supervisor, int status_code, int status)
{
	char what[160];

	scratch_remove(supervisor);
	if (status_code == CLD_EXITED && status == 0) {
		renew(supervisor);
		return;
	}
	if (supervisor->change.told) {
		fail(supervisor, -EPERM, supervisor->change.read.sentence);
		return;
	}
	if (status_code == CLD_KILLED && supervisor->change.deadline.due_ms == 0)
		snprintf(what, sizeof(what), "the new programs did not prove themselves within %d s",
		    TRIAL_MAX_MS / 1000);
	else
		snprintf(what, sizeof(what), "the new programs failed their trial (%s %d)",
		    status_code == CLD_EXITED ? "exit code" : "signal", status);
	fail(supervisor, -EPERM, what);
}

bool change_child_ended(struct supervisor *supervisor, int pid, int status_code, int status)
{
	if (pid == 0 || pid != supervisor->change.pid)
		return false;
	if (supervisor->change.answer.fd >= 0) /* what it said last may still wait to be read */
		answer_came(&supervisor->change.answer, EPOLLIN);
	supervisor->change.pid = 0;
	if (supervisor->change.trying)
		was_tried(supervisor, status_code, status);
	else
		settings_were_read(supervisor);
	return true;
}

void change_begin(struct supervisor *supervisor, enum change_kind kind, const char *holdfast,
    const char *supervise, int caller_fd)
{
	const char *first[] = {"holdfast-settings", NULL};
	int result;

	if (supervisor->change.kind != CHANGE_NONE || workers_are_changing(supervisor) ||
	    must_wait(supervisor)) {
		if (caller_fd < 0) /* nobody asks again */
			supervisor->change.again = true;
		commands_answer(supervisor, caller_fd, -EBUSY,
		    "Another change is still under way: try again in a moment.", NULL);
		return;
	}
	supervisor->change.kind = kind;
	supervisor->change.trying = false;
	supervisor->change.caller_fd = caller_fd;
	supervisor->change.settings_fd = -1;
	if (holdfast != NULL) {
		text_copy(supervisor->change.holdfast, CONTROL_PATH_MAX, holdfast);
		text_copy(supervisor->change.supervise, CONTROL_PATH_MAX, supervise);
	} else {
		take_own_programs(supervisor);
	}
	result = start_child(supervisor, first, READ_MAX_MS);
	if (result < 0)
		fail(supervisor, result, strerror(-result));
}

void change_again(struct supervisor *supervisor)
{
	if (!supervisor->change.again || supervisor->change.kind != CHANGE_NONE ||
	    workers_are_changing(supervisor) || must_wait(supervisor) || supervisor->machine.finishing)
		return;
	supervisor->change.again = false;
	change_begin(supervisor, CHANGE_RELOAD, NULL, NULL, -1);
}

void change_abandon(struct supervisor *supervisor)
{
	if (supervisor->change.pid > 0)
		world_pidfd_send_signal(supervisor->change.pid_fd, SIGKILL, NULL, 0);
	if (supervisor->change.kind != CHANGE_NONE && supervisor->change.trying)
		scratch_remove(supervisor);
}

void change_init(struct supervisor *supervisor)
{
	supervisor->change.pid_fd = supervisor->change.settings_fd = supervisor->change.caller_fd = -1;
	supervisor->change.answer.fd = -1;
	supervisor->change.answer.callback = answer_came;
	supervisor->change.answer.context = supervisor;
	supervisor->change.deadline.callback = overdue;
	supervisor->change.deadline.context = supervisor;
}

void change_done(struct supervisor *supervisor)
{
	int outcome_fd CLOSE_ON_RETURN = descriptors_take(OUTCOME_NAME);
	int caller_fd = descriptors_take(CALLER_NAME);
	char text[CONTROL_SENTENCE_MAX + CONTROL_CHANGES_MAX], sentence[CONTROL_SENTENCE_MAX], who[64] = "";
	char *changes;
	bool is_upgrade;

	if (outcome_fd < 0 || file_read_start(outcome_fd, text, sizeof(text)) < 3) {
		file_close(&caller_fd);
		return;
	}
	is_upgrade = text[0] == '0' + CHANGE_UPGRADE;
	changes = strchr(text + 2, '\n');
	if (changes != NULL)
		*changes++ = '\0';
	if (supervisor->machine.alive)
		snprintf(who, sizeof(who), "; the gateway (pid %d) was not touched", supervisor->gateway.pid);
	if (is_upgrade)
		snprintf(sentence, sizeof(sentence), "%.100s to %s (pid %d)%s.", text + 2, HOLDFAST_VERSION,
		    getpid(), who);
	else
		snprintf(sentence, sizeof(sentence), "%.100s%s.", text + 2, who);
	events_record(supervisor, is_upgrade ? "supervisor.upgraded" : "settings.reloaded", SEVERITY_INFO, 0,
	    NULL, "%s", sentence);
	commands_answer(supervisor, caller_fd, 0, sentence, changes);
}
