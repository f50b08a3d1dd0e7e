/* Plays the supervisor to one worker: seals settings, makes the channel, starts the worker, and turns lines
 * on stdin into messages and messages into JSON lines on stdout, so that a test can be written in any
 * language.
 *
 *   worker_harness [--set NAME=VALUE]... [--stdout FILE] [--file-limit BYTES] PROGRAM [ARGUMENT...]
 *
 * Names to set: state_dir runtime_dir kind (openclaw, generic) port path ready_path timeout_ms interval_ms
 * startup_timeout_ms watched (repeatable) days size_bytes.
 *
 * Lines in, words separated by tabs:
 *   EVENT life sequence oldest real_ms incident severity kind reason evidence
 *   GATEWAY_STARTED generation pid [port] (with the pidfd)  GATEWAY_GONE generation pid
 *   PROBE_START generation pid [port] ASK_WORDS generation  WATCH_CONFIG on
 *   CONSOLE path      the FIFO, by its descriptor
 *   NOTE text                         PING                  FINISH
 *   LISTEN which port    hands over a listening socket on that port of 127.0.0.1
 *   CLOSE     the supervisor "dies": the channel is closed
 *   CONNECT name  the next supervisor takes the worker back: by its socket in runtime_dir
 *   CONNECT name         the next supervisor comes for the worker of that name (needs runtime_dir)
 *   SIGNAL n  sends signal n to the worker
 *   DEAF ms   does not read the channel for so long
 * Lines out: {"type":"STARTED","pid":1}, one for each message, and at last
 * {"type":"EXIT","code":0,"signal":0}. The end of stdin closes nothing: a test says FINISH, CLOSE, SIGNAL.
 * The port, where none is said, is the setting's. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "channel/control.h"
#include "channel/message.h"
#include "config/settings.h"

#define WORDS_MAX 10
#define LINE_MAX  8192

static struct settings settings;
static char input[256 * 1024];
static size_t input_length;
static int channel_fd = -1, child_pidfd = -1;
static pid_t child_pid;
static bool input_ended;
static int64_t deaf_until_ms;

static void die(const char *what)
{
	fprintf(stderr, "worker_harness: %s: %s\n", what, strerror(errno));
	exit(99);
}

static settings_text pool_add(const char *string)
{
	size_t length = strlen(string) + 1;
	settings_text offset = settings.pool_used;

	if (offset + length > SETTINGS_POOL_BYTES)
		die("too many settings");
	memcpy(settings.pool + offset, string, length);
	settings.pool_used += (uint32_t)length;
	return offset;
}

static void settings_start(void)
{
	settings.magic = SETTINGS_MAGIC;
	settings.version = SETTINGS_VERSION;
	settings.size = sizeof(settings);
	settings.pool_used = 1;
	settings.gateway.kind = GATEWAY_GENERIC;
	settings.health.interval_ms = 30000;
	settings.health.timeout_ms = 10000;
	settings.health.startup_timeout_ms = 600000;
	settings.health.failures = 3;
	settings.health.path = pool_add("/healthz");
	settings.retention.days = 30;
	settings.retention.size_bytes = 200 * 1000 * 1000;
	settings.api.host = pool_add("127.0.0.1");
}

static void settings_put(const char *name, const char *value)
{
	int64_t number = strtoll(value, NULL, 10);

	if (strcmp(name, "state_dir") == 0)
		settings.state_dir = pool_add(value);
	else if (strcmp(name, "runtime_dir") == 0)
		settings.runtime_dir = pool_add(value);
	else if (strcmp(name, "kind") == 0)
		settings.gateway.kind = strcmp(value, "openclaw") == 0 ? GATEWAY_OPENCLAW : GATEWAY_GENERIC;
	else if (strcmp(name, "port") == 0)
		settings.gateway.port = (uint32_t)number;
	else if (strcmp(name, "path") == 0)
		settings.health.path = pool_add(value);
	else if (strcmp(name, "ready_path") == 0)
		settings.health.ready_path = pool_add(value);
	else if (strcmp(name, "timeout_ms") == 0)
		settings.health.timeout_ms = number;
	else if (strcmp(name, "interval_ms") == 0)
		settings.health.interval_ms = number;
	else if (strcmp(name, "startup_timeout_ms") == 0)
		settings.health.startup_timeout_ms = number;
	else if (strcmp(name, "watched") == 0 && settings.gateway.watched_count < SETTINGS_WATCHED_MAX)
		settings.gateway.watched[settings.gateway.watched_count++] = pool_add(value);
	else if (strcmp(name, "days") == 0)
		settings.retention.days = (uint32_t)number;
	else if (strcmp(name, "size_bytes") == 0)
		settings.retention.size_bytes = number;
	else {
		fprintf(stderr, "worker_harness: no setting is called \"%s\"\n", name);
		exit(99);
	}
}

static void print_text(const char *name, const char *string)
{
	printf(",\"%s\":\"", name);
	for (; *string != '\0'; string++) {
		unsigned char byte = (unsigned char)*string;

		if (byte == '"' || byte == '\\')
			printf("\\%c", byte);
		else if (byte < 0x20 || byte >= 0x7f)
			printf("\\u%04x", byte); /* bytes as Latin-1: the test decodes them if it cares */
		else
			putchar(byte);
	}
	putchar('"');
}

static void print_message(const struct message *message)
{
	switch (message->type) {
	case MESSAGE_HELLO:
		printf("{\"type\":\"HELLO\",\"pid\":%d", message->hello.pid);
		print_text("name", message->hello.name);
		break;
	case MESSAGE_STORED:
		printf("{\"type\":\"STORED\",\"life\":%" PRIu64 ",\"sequence\":%" PRIu64,
		    message->stored.life, message->stored.sequence);
		break;
	case MESSAGE_STORE:
		printf("{\"type\":\"STORE\",\"writable\":%" PRIu32 ",\"dropped\":%" PRIu64,
		    message->store.writable, message->store.dropped);
		print_text("why", message->store.why);
		break;
	case MESSAGE_READY:
	case MESSAGE_PROGRESS:
	case MESSAGE_CHANNELS_OFF:
		printf("{\"type\":\"%s\",\"generation\":%" PRIu64,
		    message->type == MESSAGE_READY ? "READY" : "PROGRESS", message->gateway.generation);
		print_text("note", message->gateway.note);
		break;
	case MESSAGE_WORDS:
		printf("{\"type\":\"WORDS\",\"generation\":%" PRIu64 ",\"words\":%" PRIu32,
		    message->words.generation, message->words.words);
		print_text("line", message->words.line);
		break;
	case MESSAGE_DRAIN_BEGAN:
		printf("{\"type\":\"DRAIN_BEGAN\",\"generation\":%" PRIu64 ",\"budget_ms\":%" PRId64,
		    message->drain.generation, message->drain.budget_ms);
		break;
	case MESSAGE_CONFIG_CHANGED:
		printf("{\"type\":\"CONFIG_CHANGED\"");
		print_text("note", message->note.text);
		break;
	case MESSAGE_CONSOLE_DROPPED:
		printf("{\"type\":\"CONSOLE_DROPPED\",\"lines\":%" PRIu64 ",\"bytes\":%" PRIu64,
		    message->dropped.lines, message->dropped.bytes);
		print_text("why", message->dropped.why);
		break;
	case MESSAGE_LISTENER:
		printf("{\"type\":\"LISTENER\",\"which\":%" PRIu32, message->listener.which);
		break;
	default:
		printf("{\"type\":\"%s\",\"number\":%u", message->type == MESSAGE_PONG ? "PONG" : "OTHER",
		    message->type);
	}
	printf("}\n");
	fflush(stdout);
}

static bool receive_messages(void)
{
	struct message message;
	int got;

	while ((got = message_receive(channel_fd, &message, NULL)) > 0)
		print_message(&message);
	if (got == -EAGAIN)
		return true;
	printf("{\"type\":\"CLOSED\",\"why\":\"%s\"}\n", got == 0 ? "end" : strerror(-got));
	fflush(stdout);
	close(channel_fd);
	channel_fd = -1;
	return false;
}

/* Waits while the worker does not read, but goes on reading what it says. */
static void send_message(enum message_type type, struct message *message, int passed_fd)
{
	int result;

	while (channel_fd >= 0 && (result = message_send(channel_fd, type, message, passed_fd)) != 0) {
		struct pollfd both = {.fd = channel_fd, .events = POLLOUT | POLLIN};

		if (result != -EAGAIN || poll(&both, 1, 1000) < 0)
			return;
		if ((both.revents & (POLLIN | POLLHUP)) && !receive_messages())
			return;
	}
}

static uint64_t number_of(const char *word)
{
	return strtoull(word, NULL, 10);
}

static uint64_t start_time(int pid)
{
	char path[64], buffer[1024];
	char *at;
	uint64_t value = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (file_read(AT_FDCWD, path, buffer, sizeof(buffer)) < 0 || (at = strrchr(buffer, ')')) == NULL)
		return 0;
	for (int field = 2; field < 22 && at != NULL; field++)
		at = strchr(at + 1, ' ');
	if (at != NULL)
		value = strtoull(at, NULL, 10);
	return value;
}

static void send_gateway(enum message_type type, char **words)
{
	struct message message = {0};
	int pid = (int)number_of(words[2]);
	int pidfd = type == MESSAGE_GATEWAY_STARTED ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

	message.gateway.generation = number_of(words[1]);
	message.gateway.pid = pid;
	message.gateway.start_time = start_time(pid);
	message.gateway.port = words[3][0] != '\0' ? (uint32_t)number_of(words[3]) : settings.gateway.port;
	send_message(type, &message, pidfd);
	if (pidfd >= 0)
		close(pidfd);
}

static void send_console(const char *path)
{
	struct message message = {0};
	int fd CLOSE_ON_RETURN = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		die(path);
	send_message(MESSAGE_CONSOLE, &message, fd);
}

static void connect_again(const char *name)
{
	char file[CONTROL_NAME_MAX];

	control_worker_name(file, name, child_pid);
	channel_fd = control_connect(settings_string(&settings, settings.runtime_dir), file);
	if (channel_fd < 0)
		die(file);
}

static void send_event(char **words)
{
	struct message message = {0};
	struct message_event *event = &message.event;

	event->life = number_of(words[1]);
	event->sequence = number_of(words[2]);
	event->oldest = number_of(words[3]);
	event->real_ms = (int64_t)number_of(words[4]);
	event->incident = number_of(words[5]);
	event->severity = (uint32_t)number_of(words[6]);
	strncpy(event->kind, words[7], sizeof(event->kind) - 1);
	strncpy(event->reason, words[8], sizeof(event->reason) - 1);
	strncpy(event->evidence, words[9], sizeof(event->evidence) - 1);
	send_message(MESSAGE_EVENT, &message, -1);
}

/* Stays open here, as it does in the supervisor. */
static void send_listener(char **words)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)number_of(words[2])),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct message message = {.listener = {.which = (uint32_t)number_of(words[1])}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 128) < 0)
		die("the listening socket");
	send_message(MESSAGE_LISTENER, &message, fd);
}

static void obey(char *line)
{
	static char nothing[] = "";
	char *words[WORDS_MAX];
	struct message message = {0};

	for (int i = 0; i < WORDS_MAX; i++) {
		words[i] = line != NULL ? strsep(&line, i < WORDS_MAX - 1 ? "\t" : "") : nothing;
	}
	if (strcmp(words[0], "EVENT") == 0) {
		send_event(words);
	} else if (strcmp(words[0], "GATEWAY_STARTED") == 0) {
		send_gateway(MESSAGE_GATEWAY_STARTED, words);
	} else if (strcmp(words[0], "GATEWAY_GONE") == 0) {
		send_gateway(MESSAGE_GATEWAY_GONE, words);
	} else if (strcmp(words[0], "PROBE_START") == 0) {
		send_gateway(MESSAGE_PROBE_START, words);
	} else if (strcmp(words[0], "ASK_WORDS") == 0) {
		send_gateway(MESSAGE_ASK_WORDS, words);
	} else if (strcmp(words[0], "WATCH_CONFIG") == 0) {
		message.watch.on = (uint32_t)number_of(words[1]);
		send_message(MESSAGE_WATCH_CONFIG, &message, -1);
	} else if (strcmp(words[0], "NOTE") == 0) {
		strncpy(message.note.text, words[1], sizeof(message.note.text) - 1);
		send_message(MESSAGE_NOTE, &message, -1);
	} else if (strcmp(words[0], "PING") == 0) {
		send_message(MESSAGE_PING, &message, -1);
	} else if (strcmp(words[0], "FINISH") == 0) {
		send_message(MESSAGE_FINISH, &message, -1);
	} else if (strcmp(words[0], "CONSOLE") == 0) {
		send_console(words[1]);
	} else if (strcmp(words[0], "CONNECT") == 0) {
		connect_again(words[1]);
	} else if (strcmp(words[0], "CLOSE") == 0) {
		file_close(&channel_fd);
	} else if (strcmp(words[0], "LISTEN") == 0) {
		send_listener(words);
	} else if (strcmp(words[0], "SIGNAL") == 0) {
		kill(child_pid, (int)number_of(words[1]));
	} else if (strcmp(words[0], "DEAF") == 0) {
		deaf_until_ms = clock_boot_ms() + (int64_t)number_of(words[1]);
	} else {
		fprintf(stderr, "worker_harness: not understood: %s\n", words[0]);
		exit(99);
	}
}

static void read_input(void)
{
	ssize_t got = read(STDIN_FILENO, input + input_length, sizeof(input) - input_length);
	char *start = input, *end;

	if (got <= 0) {
		input_ended = true;
		return;
	}
	input_length += (size_t)got;
	while ((end = memchr(start, '\n', input_length - (size_t)(start - input))) != NULL) {
		*end = '\0';
		obey(start);
		start = end + 1;
	}
	input_length -= (size_t)(start - input);
	memmove(input, start, input_length);
}

static void start_worker(char **arguments, const char *stdout_path, int64_t file_limit)
{
	struct error why;
	int pair[2], settings_fd = settings_seal(&settings, &why);

	if (settings_fd < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		die("socketpair");
	child_pid = fork();
	if (child_pid < 0)
		die("fork");
	if (child_pid == 0) {
		int out = stdout_path != NULL
		              ? open(stdout_path, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY, 0600)
		              : 2;
		int in = open("/dev/null", O_RDONLY);
		int high_channel = fcntl(pair[1], F_DUPFD_CLOEXEC, 10),
		    high_settings = fcntl(settings_fd, F_DUPFD_CLOEXEC, 10);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (out < 0 || in < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0)
			die("the worker's stdout");
		dup2(high_channel, CHANNEL_FD);
		dup2(high_settings, SETTINGS_FD);
		close_range(SETTINGS_FD + 1, 9, 0);
		if (file_limit > 0)
			setrlimit(RLIMIT_FSIZE, &(struct rlimit){(rlim_t)file_limit, RLIM_INFINITY});
		execv(arguments[0], arguments);
		die(arguments[0]);
	}
	close(pair[1]);
	close(settings_fd);
	channel_fd = pair[0];
	child_pidfd = (int)syscall(SYS_pidfd_open, child_pid, 0);
	printf("{\"type\":\"STARTED\",\"pid\":%d}\n", child_pid);
	fflush(stdout);
}

static void report_exit(void)
{
	int status = 0;

	if (channel_fd >= 0)
		receive_messages();
	waitpid(child_pid, &status, 0);
	printf("{\"type\":\"EXIT\",\"code\":%d,\"signal\":%d}\n",
	    WIFEXITED(status) ? WEXITSTATUS(status) : -1, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

static void relay(void)
{
	for (;;) {
		bool deaf = clock_boot_ms() < deaf_until_ms;
		struct pollfd watched[] = {{.fd = child_pidfd, .events = POLLIN},
		    {.fd = deaf ? -1 : channel_fd, .events = POLLIN},
		    {.fd = input_ended ? -1 : STDIN_FILENO, .events = POLLIN}};

		if (poll(watched, 3, deaf ? 20 : -1) < 0)
			die("poll");
		if (watched[1].revents != 0)
			receive_messages();
		if (watched[2].revents != 0)
			read_input();
		if (watched[0].revents != 0)
			return;
	}
}

int main(int argc, char **argv)
{
	const char *stdout_path = NULL;
	int64_t file_limit = 0;
	int at = 1;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	signal(SIGPIPE, SIG_IGN);
	settings_start();
	for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
		if (strcmp(argv[at], "--stdout") == 0) {
			stdout_path = argv[at + 1];
		} else if (strcmp(argv[at], "--file-limit") == 0) {
			file_limit = strtoll(argv[at + 1], NULL, 10);
		} else if (strcmp(argv[at], "--set") == 0 && strchr(argv[at + 1], '=') != NULL) {
			char *value = strchr(argv[at + 1], '=');

			*value++ = '\0';
			settings_put(argv[at + 1], value);
		} else {
			break;
		}
	}
	if (at >= argc || argv[at][0] == '-') {
		fprintf(stderr, "worker_harness: see the top of worker_harness.c\n");
		return 99;
	}
	start_worker(argv + at, stdout_path, file_limit);
	relay();
	report_exit();
	return 0;
}
