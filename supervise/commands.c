/* People's commands over the control socket: one fixed request, one fixed reply. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "process/procfs.h"
#include "supervise/descriptors.h"
#include "supervise/supervisor.h"
#include "world/world.h"

#define CLOCKS_WOBBLE_MS 20
#define CLIENT_NAME      "client"

/* A moment is told alike each time it is asked for: the distance of the two clocks is read anew only when one
 * was set. */
static int64_t to_real_ms(int64_t boot_ms)
{
	static int64_t distance_ms;
	int64_t now_ms = clock_real_ms() - clock_boot_ms();

	if (boot_ms == 0 || boot_ms == INT64_MAX)
		return boot_ms;
	if (now_ms - distance_ms > CLOCKS_WOBBLE_MS || distance_ms - now_ms > CLOCKS_WOBBLE_MS)
		distance_ms = now_ms;
	return boot_ms + distance_ms;
}

static void fill_gateway(const struct supervisor *supervisor, struct control_reply *reply)
{
	const struct supervision *machine = &supervisor->machine;
	const struct settings *settings = supervisor->settings;
	struct text command;

	reply->gateway.generation = machine->generation;
	reply->gateway.restarts = machine->restarts;
	/* What it was started with, though the settings may have changed since. */
	reply->gateway.port = machine->alive ? supervisor->gateway.port : settings->gateway.port;
	text_copy(reply->gateway.kind, sizeof(reply->gateway.kind), supervisor->facts->name);
	text_copy(reply->gateway.containment, sizeof(reply->gateway.containment),
	    supervisor->gateway.in_cgroup ? "cgroup" : "subreaper");
	text_init(&command, reply->gateway.command, sizeof(reply->gateway.command));
	for (uint32_t i = 0; i < settings->gateway.argument_count; i++)
		text_addf(&command, "%s%s", i == 0 ? "" : " ", supervisor->arguments[i]);
	if (!machine->alive)
		return;
	reply->gateway.pid = supervisor->gateway.pid;
	reply->gateway.started_ms = supervisor->gateway.started_real_ms;
	reply->gateway.ready =
	    machine->ready && (machine->state == STATE_RUNNING || machine->state == STATE_SUSPECT);
	reply->gateway.ready_ms = machine->ready ? to_real_ms(machine->ready_ms) : 0;
}

static void fill_status(const struct supervisor *supervisor, struct control_reply *reply)
{
	const struct supervision *machine = &supervisor->machine;

	text_copy(reply->state, sizeof(reply->state), supervision_state_name(machine->state));
	narrate_reason(
	    supervisor, machine->reason, machine->reason_value, reply->reason, sizeof(reply->reason));
	if (machine->state == STATE_RUNNING && supervisor->gateway.channels_off_until_ms > clock_boot_ms())
		text_copy(reply->reason, sizeof(reply->reason),
		    "its channels are off after too many bad starts; it turns them on by itself within "
		    "minutes");
	reply->gateway.from_copy = supervisor->gateway.from_copy && machine->alive;
	if (reply->gateway.from_copy && (machine->state == STATE_RUNNING || machine->state == STATE_STARTING))
		fallback_sentence(supervisor, reply->reason, sizeof(reply->reason));
	reply->real_ms = clock_real_ms();
	reply->state_since_ms = to_real_ms(machine->since_ms);
	if (machine->state == STATE_BACKING_OFF || machine->state == STATE_PARKED)
		reply->next_try_ms = to_real_ms(machine->deadline_ms);
	if (supervision_is_paused(machine, clock_boot_ms()))
		reply->paused_until_ms = to_real_ms(machine->paused_until_ms);
	fill_gateway(supervisor, reply);
	reply->supervisor.pid = getpid();
	reply->supervisor.started_ms = supervisor->started_real_ms;
	text_copy(reply->supervisor.version, sizeof(reply->supervisor.version), HOLDFAST_VERSION);
	for (int i = 0; i < WORKER_COUNT; i++) {
		const struct supervised_worker *worker = &supervisor->workers[i];

		text_copy(reply->workers[i].name, sizeof(reply->workers[i].name), worker->name);
		reply->workers[i].pid = worker->pid;
		reply->workers[i].restarts = worker->restarts;
		if (worker->retry.due_ms != 0 && worker->pid == 0)
			reply->workers[i].retry_in_ms = worker->retry.due_ms - clock_boot_ms();
	}
	reply->store.waiting = events_waiting(supervisor);
	reply->store.dropped = supervisor->pending->dropped;
	reply->store.writable = supervisor->store_writable;
	text_copy(reply->store.why, sizeof(reply->store.why), supervisor->store_why);
	reply->console.lines_dropped = supervisor->console.lines_dropped;
	reply->console.bytes_discarded = supervisor->console.discarded_bytes;
	reply->incident = machine->incident;
	health_status(supervisor, &reply->health);
}

/* Asked by a process of the gateway's own tree? An agent's tool that runs `holdfast restart` is one. */
static bool is_inside(const struct supervisor *supervisor, int pid)
{
	char marker[MARKER_BYTES_MAX];
	uint64_t instance, start_time;
	int marked_pid;

	if (supervisor->gateway.pid > 0 && procfs_is_descendant(pid, supervisor->gateway.pid))
		return true;
	return procfs_variable(pid, MARKER_VARIABLE, marker, sizeof(marker)) == 1 &&
	       marker_parse(marker, &instance, &marked_pid, &start_time) == 0 &&
	       instance == supervisor->settings->instance;
}

static void answer_sentence(
    const struct supervisor *supervisor, const struct control_request *request, struct control_reply *reply)
{
	static const char *const done[CONTROL_VERB_COUNT] = {
	    [CONTROL_STATUS] = "",
	    [CONTROL_START] = "The gateway is to run.",
	    [CONTROL_STOP] = "The gateway is to stop.",
	    [CONTROL_RESTART] = "The gateway is to restart.",
	    [CONTROL_PAUSE] = "Holdfast is paused: it starts, stops and replaces nothing by itself.",
	    [CONTROL_RESUME] = "Holdfast acts by itself.",
	};
	char because[CONTROL_SENTENCE_MAX - 32];

	if (supervisor->machine.finishing && request->verb != CONTROL_STATUS &&
	    request->verb != CONTROL_STOP) {
		reply->code = -ESHUTDOWN;
		text_copy(reply->sentence, sizeof(reply->sentence),
		    "Holdfast is ending and takes no more commands.");
	} else if (supervisor->refused != REASON_NONE) {
		reply->code = -EPERM;
		narrate_reason(supervisor, supervisor->refused, 0, because, sizeof(because));
		snprintf(reply->sentence, sizeof(reply->sentence), "Refused, because %s.", because);
	} else {
		text_copy(reply->sentence, sizeof(reply->sentence), done[request->verb]);
	}
}

static void obey(
    struct supervisor *supervisor, struct control_request *request, int pid, struct control_reply *reply)
{
	static const enum supervision_event_type events[CONTROL_VERB_COUNT] = {[CONTROL_START] = ON_START,
	    [CONTROL_STOP] = ON_STOP,
	    [CONTROL_RESTART] = ON_RESTART,
	    [CONTROL_PAUSE] = ON_PAUSE,
	    [CONTROL_RESUME] = ON_RESUME};
	struct supervision_event event = {.force = request->force != 0};
	char reason_before[CONTROL_REASON_MAX];

	supervisor->refused = REASON_NONE;
	if (request->verb != CONTROL_STATUS) {
		event.type = events[request->verb];
		event.generation = supervisor->machine.generation;
		event.inside = request->verb == CONTROL_RESTART && is_inside(supervisor, pid);
		event.value = request->pause_ms <= 0 || request->pause_ms > INT64_MAX / 2
		                  ? INT64_MAX
		                  : clock_boot_ms() + request->pause_ms;
		text_copy(reason_before, sizeof(reason_before), supervisor->operator_reason);
		text_copy(supervisor->operator_reason, sizeof(supervisor->operator_reason), request->reason);
		supervisor_step(supervisor, &event);
		if (supervisor->refused != REASON_NONE)
			text_copy(
			    supervisor->operator_reason, sizeof(supervisor->operator_reason), reason_before);
	}
	answer_sentence(supervisor, request, reply);
}

/* A change takes its time: its caller gets the answer from change.c. */
static void begin_change(
    struct supervisor *supervisor, struct control_request *request, struct control_client *client)
{
	int fd = client->fd;

	request->holdfast_path[CONTROL_PATH_MAX - 1] = request->supervise_path[CONTROL_PATH_MAX - 1] = '\0';
	loop_source_retire(&client->source);
	client->fd = -1;
	if (request->verb == CONTROL_RELOAD)
		change_begin(supervisor, CHANGE_RELOAD, NULL, NULL, fd);
	else if (request->holdfast_path[0] != '/' || request->supervise_path[0] != '/')
		commands_answer(
		    supervisor, fd, -EINVAL, "The new programs are to be named by absolute paths.", NULL);
	else
		change_begin(supervisor, CHANGE_UPGRADE, request->holdfast_path, request->supervise_path, fd);
}

void commands_answer(
    struct supervisor *supervisor, int caller_fd, int code, const char *sentence, const char *changes)
{
	struct control_reply reply = {.version = CONTROL_VERSION, .code = code};

	if (caller_fd < 0)
		return;
	text_copy(reply.sentence, sizeof(reply.sentence), sentence);
	text_copy(reply.changes, sizeof(reply.changes), changes == NULL ? "" : changes);
	fill_status(supervisor, &reply);
	world_send(caller_fd, &reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL);
	close(caller_fd);
}

/* A process of the gateway's own tree speaks for whoever talks to the agent. */
static void obey_abort(
    struct supervisor *supervisor, struct control_request *request, int pid, struct control_reply *reply)
{
	request->session[SESSION_KEY_MAX - 1] = '\0';
	if (!is_inside(supervisor, pid)) {
		reply->code = sessions_abort_asked(
		    supervisor, request->session, reply->sentence, sizeof(reply->sentence));
		return;
	}
	reply->code = -EPERM;
	text_copy(reply->sentence, sizeof(reply->sentence),
	    "Refused, because it was asked from inside the gateway: who may abort a session is not for its "
	    "chats to say.");
}

static void answer_sessions(struct supervisor *supervisor, uint32_t after, int fd)
{
	static struct control_sessions reply;

	sessions_reply(supervisor, after, &reply);
	world_send(fd, &reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void answer_request(
    struct supervisor *supervisor, struct control_request *request, int fd, int caller_pid)
{
	struct control_reply reply = {.version = CONTROL_VERSION};

	if (request->verb == CONTROL_SESSIONS) {
		answer_sessions(supervisor, request->after, fd);
		return;
	}
	if (request->verb == CONTROL_ABORT)
		obey_abort(supervisor, request, caller_pid, &reply);
	else
		obey(supervisor, request, caller_pid, &reply);
	fill_status(supervisor, &reply);
	world_send(fd, &reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void answer(struct supervisor *supervisor, struct control_client *client)
{
	struct control_request request;
	struct ucred peer = {0};
	socklen_t size = sizeof(peer);
	ssize_t length = world_recv(client->fd, &request, sizeof(request), MSG_DONTWAIT | MSG_TRUNC);

	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (length == (ssize_t)sizeof(request) && request.version == CONTROL_VERSION &&
	    request.verb < CONTROL_VERB_COUNT) {
		request.reason[CONTROL_REASON_MAX - 1] = '\0';
		if (request.verb == CONTROL_RELOAD || request.verb == CONTROL_UPGRADE) {
			begin_change(supervisor, &request, client);
			return;
		}
		getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
		answer_request(supervisor, &request, client->fd, peer.pid);
	}
	loop_source_retire(&client->source);
	file_close(&client->fd);
}

static void client_readable(struct loop_source *source, uint32_t events)
{
	struct control_client *client =
	    (struct control_client *)((char *)source - offsetof(struct control_client, source));

	(void)events;
	answer(source->context, client);
}

static struct control_client *free_place(struct supervisor *supervisor)
{
	struct control_client *oldest = &supervisor->clients[0];

	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct control_client *client = &supervisor->clients[i];

		if (client->fd < 0)
			return client;
		if (client->since_ms < oldest->since_ms)
			oldest = client;
	}
	/* Who connects and says nothing makes room for who comes. */
	loop_source_retire(&oldest->source);
	file_close(&oldest->fd);
	return oldest;
}

/* Out of descriptors: a caller that waits for good would wake us for good. It is let in and sent away. */
static int accept_caller(struct supervisor *supervisor)
{
	int fd = world_accept4(supervisor->control_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0 || (errno != EMFILE && errno != ENFILE))
		return fd;
	file_close(&supervisor->spare_fd);
	fd = world_accept4(supervisor->control_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	file_close(&fd);
	supervisor->spare_fd = world_open("/dev/null", O_RDONLY | O_CLOEXEC);
	return -1;
}

static void serve(struct supervisor *supervisor, int fd)
{
	struct control_client *client = free_place(supervisor);

	client->fd = fd;
	client->since_ms = clock_boot_ms();
	client->source.callback = client_readable;
	client->source.context = supervisor;
	if (loop_source_watch(&supervisor->loop, &client->source, fd, EPOLLIN) < 0)
		file_close(&client->fd);
}

static void client_came(struct loop_source *source, uint32_t events)
{
	struct supervisor *supervisor = source->context;
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t size = sizeof(peer);
	int fd = accept_caller(supervisor);

	(void)events;
	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
	    (peer.uid != getuid() && peer.uid != 0))
		close(fd);
	else
		serve(supervisor, fd);
}

void commands_add(const struct supervisor *supervisor, struct text *list)
{
	descriptors_add(list, "control", supervisor->control_fd);
	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		descriptors_add(list, CLIENT_NAME, supervisor->clients[i].fd);
}

int commands_open(struct supervisor *supervisor, struct error *why)
{
	int result;

	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		supervisor->clients[i].fd = supervisor->clients[i].source.fd = -1;
	supervisor->spare_fd = world_open("/dev/null", O_RDONLY | O_CLOEXEC);
	supervisor->control_fd = descriptors_take("control");
	if (supervisor->control_fd < 0)
		supervisor->control_fd = control_listen(
		    settings_string(supervisor->settings, supervisor->settings->runtime_dir), why);
	if (supervisor->control_fd < 0)
		return supervisor->control_fd;
	supervisor->control_source.callback = client_came;
	supervisor->control_source.context = supervisor;
	while (descriptors_has(CLIENT_NAME)) /* they called the image before */
		serve(supervisor, descriptors_take(CLIENT_NAME));
	result = loop_source_watch(
	    &supervisor->loop, &supervisor->control_source, supervisor->control_fd, EPOLLIN);
	if (result == 0)
		return 0;
	commands_close(supervisor);
	return error_set(why, result, "Callers cannot be heard: %s.", strerror(-result));
}

int commands_reopen(struct supervisor *supervisor, struct error *why)
{
	int fd =
	    control_listen(settings_string(supervisor->settings, supervisor->settings->runtime_dir), why);

	if (fd < 0)
		return fd;
	loop_source_retire(&supervisor->control_source);
	file_close(&supervisor->control_fd);
	supervisor->control_fd = fd;
	return loop_source_watch(&supervisor->loop, &supervisor->control_source, fd, EPOLLIN);
}

void commands_close(struct supervisor *supervisor)
{
	loop_source_retire(&supervisor->control_source);
	file_close(&supervisor->control_fd);
	world_unlinkat(supervisor->runtime_fd, CONTROL_SOCKET_NAME, 0);
}
