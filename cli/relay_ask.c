#include "cli/relay_ask.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "process/clone.h"
#include "world/world.h"

#define EXIT_NOT_EXECUTED 127
#define RELAY_ANSWER_S    2
#define RELAY_READS_MAX   8

extern char **environ;

/* --- The gateway's own program. --- */

/* In the new process. Its words for people go where its answer goes: 2026.2.1 complains there. */
static void run_program(const struct gateway_command *command, const char *directory, int output_fd)
{
	int null_fd = world_open("/dev/null", O_RDWR | O_CLOEXEC);

	world_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	world_setsid();
	if (null_fd < 0 || world_dup2(null_fd, 0) < 0 || world_dup2(output_fd, 1) < 0 ||
	    world_dup2(output_fd, 2) < 0 || (directory[0] != '\0' && world_chdir(directory) < 0))
		_exit(EXIT_NOT_EXECUTED);
	world_close_range(3, ~0u, 0);
	world_execve(command->arguments[0], command->arguments, command->environment);
	_exit(EXIT_NOT_EXECUTED);
}

/* Of a fixed length, so that nobody can fill our memory. */
static int make_output(void)
{
	int fd = world_memfd_create("holdfast-answer", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && world_ftruncate(fd, (off_t)RELAY_OUTPUT_MAX) == 0 &&
	    world_fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) == 0)
		return fd;
	file_close(&fd);
	return -1;
}

/* Returns its exit code, or a negative errno. */
static int wait_for(int pid_fd)
{
	struct pollfd ended = {.fd = pid_fd, .events = POLLIN};
	siginfo_t info = {0};
	int result;

	do
		result = poll(&ended, 1, RELAY_ASK_MS);
	while (result < 0 && errno == EINTR);
	if (result == 0)
		world_pidfd_send_signal(pid_fd, SIGKILL, NULL, 0);
	if (world_waitid(P_PIDFD, (id_t)pid_fd, &info, WEXITED) < 0)
		return -errno;
	if (result == 0)
		return -ETIMEDOUT;
	return info.si_code == CLD_EXITED && info.si_status != EXIT_NOT_EXECUTED ? info.si_status : -ENOEXEC;
}

/* Runs it; `output` (RELAY_OUTPUT_MAX + 1) is what it wrote. Returns its exit code or a negative errno. */
static int run(
    const struct settings *settings, const char *config_path, const char *const *words, char *output)
{
	static struct gateway_command command;
	int pid, code, pid_fd CLOSE_ON_RETURN = -1;
	int output_fd CLOSE_ON_RETURN = make_output();
	ssize_t length;

	output[0] = '\0';
	if (output_fd < 0)
		return -errno;
	if (!gateway_command_build(
	        &command, settings, gateway_facts((int)settings->gateway.kind), environ, words, config_path))
		return -ENOENT;
	pid = clone_copy(&pid_fd);
	if (pid == 0)
		run_program(
		    &command, settings_string(settings, settings->gateway.working_directory), output_fd);
	if (pid < 0)
		return pid;
	code = wait_for(pid_fd);
	length = file_read_start(output_fd, output, RELAY_OUTPUT_MAX + 1);
	return length < 0 ? (int)length : code;
}

/* A complaint is many lines with a frame round it; the first that begins with a dash is what is wrong. */
static void first_complaint(const char *output, char why[RELAY_WORDS_MAX])
{
	const char *dash = strstr(output, "- ");
	size_t length = dash != NULL ? strcspn(dash + 2, "\r\n") : 0;

	if (dash == NULL || length == 0) {
		text_copy(why, RELAY_WORDS_MAX, "it does not say why");
		return;
	}
	length = length < RELAY_WORDS_MAX - 1 ? length : RELAY_WORDS_MAX - 1;
	memcpy(why, dash + 2, length);
	why[length] = '\0';
}

static enum validate_answer ask_old(const struct settings *settings, const char *config_path,
    const char *wanted, char *output, char why[RELAY_WORDS_MAX])
{
	static const char *const words[] = {"config", "get", "models.providers", NULL};
	static const char *const any[] = {"config", "get", "gateway", NULL};
	int code = run(settings, config_path, wanted != NULL ? words : any, output);

	if (code < 0) {
		text_copy(why, RELAY_WORDS_MAX, strerror(-code));
		return VALIDATE_FAILED;
	}
	if (code == 0 && (wanted == NULL || strstr(output, wanted) != NULL))
		return VALIDATE_VALID;
	/* What is not configured is no complaint about the file. */
	if (wanted == NULL && strstr(output, "not found") != NULL)
		return VALIDATE_VALID;
	first_complaint(output, why);
	return VALIDATE_INVALID;
}

static void to_one_line(char *words)
{
	for (; *words != '\0'; words++)
		if ((unsigned char)*words < 0x20 || *words == 0x7f)
			*words = ' ';
}

enum validate_answer relay_ask_gateway(const struct settings *settings, const char *config_path,
    const char *wanted, bool *is_old, char why[RELAY_WORDS_MAX])
{
	char *output = malloc(RELAY_OUTPUT_MAX + 1);
	enum validate_answer answer;
	int code;

	*is_old = false;
	text_copy(why, RELAY_WORDS_MAX, "there is no memory to ask it");
	if (output == NULL)
		return VALIDATE_FAILED;
	code = run(settings, config_path, gateway_command_validate, output);
	if (code < 0) {
		text_copy(why, RELAY_WORDS_MAX,
		    code == -ENOENT
		        ? "its command has no word \"gateway\", so its program cannot be told apart"
		        : strerror(-code));
		answer = VALIDATE_FAILED;
	} else {
		answer = gateway_command_read(output, why, RELAY_WORDS_MAX);
	}
	if (answer == VALIDATE_UNKNOWN) {
		*is_old = true;
		answer = ask_old(settings, config_path, wanted, output, why);
	}
	explicit_bzero(output, strlen(output));
	free(output);
	to_one_line(why);
	return answer;
}

/* --- The relay. --- */

int relay_get(unsigned port, const char *path, char *answer, size_t size)
{
	const struct timeval patience = {.tv_sec = RELAY_ANSWER_S};
	struct sockaddr_in address = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd CLOSE_ON_RETURN = world_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char question[256];
	size_t length = 0;
	ssize_t got;
	char *body;

	snprintf(question, sizeof(question),
	    "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", path);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    world_connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    world_send(fd, question, strlen(question), MSG_NOSIGNAL) != (ssize_t)strlen(question))
		return -errno;
	while (length < size - 1 && (got = world_recv(fd, answer + length, size - 1 - length, 0)) > 0)
		length += (size_t)got;
	answer[length] = '\0';
	body = strstr(answer, "\r\n\r\n");
	if (strncmp(answer, "HTTP/1.1 200", 12) != 0 || body == NULL)
		return -EBADMSG;
	memmove(answer, body + 4, strlen(body + 4) + 1);
	return 0;
}

bool relay_answers(unsigned port)
{
	char answer[1024];

	return relay_get(port, "/healthz", answer, sizeof(answer)) == 0;
}
