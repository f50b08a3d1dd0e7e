/* Workers outlive a supervisor: the next one takes them back, or puts successors in their place, and nothing
 * that they hold is let go in between. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "supervise/supervisor.h"
#include "world/world.h"

#define RETURN_WAIT_MS 2000 /* an earlier life's worker that does not answer is ended */

static void remove_socket(const struct supervisor *supervisor, const char *name, int pid)
{
	char file[CONTROL_NAME_MAX];

	control_worker_name(file, name, pid);
	world_unlinkat(supervisor->runtime_fd, file, 0);
}

void worker_remove_socket(const struct supervisor *supervisor, const struct supervised_worker *worker)
{
	remove_socket(supervisor, worker->name, worker->pid);
}

static void forget_channel(struct leaving_worker *leaving)
{
	loop_source_retire(&leaving->channel);
	file_close(&leaving->channel_fd);
}

static void leaving_ended(struct loop_source *source, uint32_t events)
{
	struct leaving_worker *leaving =
	    (struct leaving_worker *)((char *)source - offsetof(struct leaving_worker, death));
	struct supervisor *supervisor = source->context;

	(void)events;
	world_waitid(P_PIDFD, (id_t)leaving->pid_fd, &(siginfo_t){0}, WEXITED | WNOHANG);
	loop_source_retire(source);
	forget_channel(leaving);
	file_close(&leaving->pid_fd);
	remove_socket(supervisor, leaving->name, leaving->pid);
	leaving->pid = 0;
	workers_open_listeners(supervisor);
	supervisor_worker_left(supervisor);
}

/* A place for one that is on its way out. When too many are, the first is ended. */
static struct leaving_worker *let_leave(struct supervisor *supervisor, const char *name, int pid, int pid_fd)
{
	struct leaving_worker *place = &supervisor->leaving[0];

	for (int i = 0; i < LEAVING_WORKERS_MAX; i++)
		if (supervisor->leaving[i].pid == 0)
			place = &supervisor->leaving[i];
	if (place->pid != 0) {
		world_pidfd_send_signal(place->pid_fd, SIGKILL, NULL, 0);
		loop_source_retire(&place->death);
		forget_channel(place);
		file_close(&place->pid_fd);
	}
	*place = (struct leaving_worker){.name = name, .pid = pid, .pid_fd = pid_fd, .channel_fd = -1};
	place->channel.fd = -1;
	place->death = (struct loop_source){.fd = -1, .callback = leaving_ended, .context = supervisor};
	if (loop_source_watch(&supervisor->loop, &place->death, pid_fd, EPOLLIN) < 0) {
		file_close(&place->pid_fd); /* it goes unseen */
		place->pid = 0;
	}
	return place;
}

void worker_let_leave(struct supervisor *supervisor, const char *name, int pid, int pid_fd)
{
	for (int i = 0; i < LEAVING_WORKERS_MAX; i++)
		if (supervisor->leaving[i].pid == pid) { /* reached by its socket: it is told there */
			close(pid_fd);
			return;
		}
	world_pidfd_send_signal(pid_fd, SIGTERM, NULL, 0);
	let_leave(supervisor, name, pid, pid_fd);
}

/* Its successor is ready: it finishes what it has in hand. A signal, because every version understands it. */
void worker_release_predecessor(struct supervisor *supervisor, struct supervised_worker *worker)
{
	if (worker->predecessor.pid == 0)
		return;
	world_pidfd_send_signal(worker->predecessor.pid_fd, SIGTERM, NULL, 0);
	file_close(&worker->predecessor.channel_fd);
	let_leave(supervisor, worker->name, worker->predecessor.pid, worker->predecessor.pid_fd);
	worker->predecessor.pid = 0;
}

/* Its end would be seen by nobody: better another one whose end is. */
static void abandon(struct supervisor *supervisor, struct supervised_worker *worker)
{
	worker_close_channel(worker);
	world_pidfd_send_signal(worker->pid_fd, SIGTERM, NULL, 0);
	file_close(&worker->pid_fd);
	loop_timer_arm(&supervisor->loop, &worker->retry, 0);
	worker->pid = 0;
	worker->returning = worker->outdated = false;
}

/* Its successor failed: it goes on, heard again, and is succeeded later. */
bool worker_put_back(struct supervisor *supervisor, struct supervised_worker *worker)
{
	if (worker->predecessor.pid == 0)
		return false;
	worker->pid = worker->predecessor.pid;
	worker->pid_fd = worker->predecessor.pid_fd;
	worker->predecessor.pid = 0;
	worker->outdated = true;
	worker->death.callback = worker_died;
	worker->death.context = supervisor;
	worker_connected(supervisor, worker, worker->predecessor.channel_fd);
	supervisor_save(supervisor);
	if (loop_source_watch(&supervisor->loop, &worker->death, worker->pid_fd, EPOLLIN) < 0) {
		abandon(supervisor, worker);
		return false;
	}
	worker_is_ready(supervisor, worker);
	return true;
}

/* While one of an earlier life may still give its listening socket back, none is opened anew. */
void workers_open_listeners(struct supervisor *supervisor)
{
	for (int i = 0; i < WORKER_COUNT; i++)
		if (supervisor->workers[i].returning)
			return;
	for (int i = 0; i < LEAVING_WORKERS_MAX; i++)
		if (supervisor->leaving[i].pid != 0 && supervisor->leaving[i].channel_fd >= 0 &&
		    !supervisor->leaving[i].heard)
			return;
	listeners_open(supervisor);
}

/* Another build, or other settings: a new one takes its place. */
bool worker_is_outdated(const struct supervisor *supervisor, const struct supervised_worker *worker,
    const struct message_hello *hello)
{
	uint64_t device, inode, output_device, output_inode;

	file_identity(worker->program, &device, &inode);
	file_identity("/proc/self/fd/1", &output_device, &output_inode);
	return hello->program_device != device || hello->program_inode != inode ||
	       hello->output_device != output_device || hello->output_inode != output_inode ||
	       hello->settings_hash != hash_bytes(supervisor->settings, sizeof(*supervisor->settings));
}

/* The worker goes on, unheard, until its successor says HELLO. */
void worker_succeed(struct supervisor *supervisor, struct supervised_worker *worker)
{
	if (worker->predecessor.pid != 0) /* the one that was to succeed it is succeeded itself */
		worker_release_predecessor(supervisor, worker);
	worker->predecessor.pid = worker->pid;
	worker->predecessor.pid_fd = worker->pid_fd;
	worker->predecessor.channel_fd = worker->channel_fd;
	loop_source_retire(&worker->channel);
	loop_source_retire(&worker->death);
	worker->pid = 0;
	worker->pid_fd = worker->channel_fd = -1;
	worker->ready = worker->wants_send = false;
	worker_start(supervisor, worker);
}

void workers_succeed(struct supervisor *supervisor)
{
	for (int i = 0; i < WORKER_COUNT; i++)
		if (supervisor->workers[i].pid > 0 && supervisor->workers[i].ready)
			worker_succeed(supervisor, &supervisor->workers[i]);
}

static struct supervised_worker *worker_named(struct supervisor *supervisor, const char *name)
{
	for (int i = 0; i < WORKER_COUNT; i++)
		if (supervisor->workers[i].name == name)
			return &supervisor->workers[i];
	return NULL;
}

void workers_release_surplus(struct supervisor *supervisor, const struct supervised_worker *worker)
{
	if (worker == NULL || !worker->ready)
		return;
	for (int i = 0; i < LEAVING_WORKERS_MAX; i++) {
		struct leaving_worker *leaving = &supervisor->leaving[i];

		if (leaving->pid == 0 || !leaving->heard || leaving->name != worker->name)
			continue;
		leaving->heard = false;
		forget_channel(leaving);
		world_pidfd_send_signal(leaving->pid_fd, SIGTERM, NULL, 0);
	}
}

/* One of two of a kind, left by a succession that a death cut short: once it has given back what it holds, it
 * may go. */
static void surplus_said(struct loop_source *source, uint32_t events)
{
	struct leaving_worker *leaving =
	    (struct leaving_worker *)((char *)source - offsetof(struct leaving_worker, channel));
	struct supervisor *supervisor = source->context;
	struct message message;
	int passed_fd;

	(void)events;
	while (leaving->channel_fd >= 0) {
		int got = message_receive(leaving->channel_fd, &message, &passed_fd);

		if (got == -EAGAIN)
			return;
		if (got == 1 && message.type == MESSAGE_LISTENER) {
			listeners_take(supervisor, message.listener.which, passed_fd);
			continue;
		}
		if (got == 1)
			file_close(&passed_fd);
		if (got == 1 && message.type != MESSAGE_HELLO)
			continue;
		leaving->heard = true;
		if (got != 1)
			forget_channel(leaving);
		workers_release_surplus(supervisor, worker_named(supervisor, leaving->name));
		workers_open_listeners(supervisor);
		return;
	}
}

static void take_surplus(struct supervisor *supervisor, const char *name, int pid, int pid_fd, int channel_fd)
{
	struct leaving_worker *leaving = let_leave(supervisor, name, pid, pid_fd);

	if (leaving->pid == 0) {
		close(channel_fd);
		return;
	}
	leaving->channel_fd = channel_fd;
	leaving->channel = (struct loop_source){.fd = -1, .callback = surplus_said, .context = supervisor};
	if (loop_source_watch(&supervisor->loop, &leaving->channel, channel_fd, EPOLLIN) < 0) {
		forget_channel(leaving);
		leaving->heard = true; /* as much as it ever will be */
	}
}

static void no_answer(struct loop_timer *timer)
{
	struct supervisor *supervisor = timer->context;

	for (int i = 0; i < LEAVING_WORKERS_MAX; i++)
		if (supervisor->leaving[i].pid != 0 && supervisor->leaving[i].channel_fd >= 0 &&
		    !supervisor->leaving[i].heard)
			world_pidfd_send_signal(supervisor->leaving[i].pid_fd, SIGKILL, NULL, 0);
}

/* The connection to its socket becomes the channel of a worker that an earlier life left. */
static void take_back(
    struct supervisor *supervisor, struct supervised_worker *worker, const struct ucred *peer, int fd)
{
	int pid_fd = world_pidfd_open(peer->pid, 0);

	if (pid_fd < 0) {
		close(fd);
		return;
	}
	if (worker->pid != 0) {
		take_surplus(supervisor, worker->name, peer->pid, pid_fd, fd);
		return;
	}
	worker->pid = peer->pid;
	worker->pid_fd = pid_fd;
	worker->returning = true;
	worker->death.callback = worker_died;
	worker->death.context = supervisor;
	worker_connected(supervisor, worker, fd);
	loop_timer_arm(&supervisor->loop, &worker->retry, clock_boot_ms() + RETURN_WAIT_MS);
	if (loop_source_watch(&supervisor->loop, &worker->death, worker->pid_fd, EPOLLIN) < 0)
		abandon(supervisor, worker);
}

static struct supervised_worker *worker_of_socket(struct supervisor *supervisor, const char *name)
{
	const char *dot = strchr(name, '.');

	for (int i = 0; dot != NULL && i < WORKER_COUNT; i++) {
		const char *known = supervisor->workers[i].name;

		if (strlen(known) == (size_t)(dot - name) && strncmp(known, name, (size_t)(dot - name)) == 0)
			return &supervisor->workers[i];
	}
	return NULL;
}

static bool visit_socket(void *context, int directory_fd, const char *name)
{
	struct supervisor *supervisor = context;
	struct supervised_worker *worker = worker_of_socket(supervisor, name);
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t size = sizeof(peer);
	int fd;

	if (worker == NULL)
		return true;
	fd = control_connect(settings_string(supervisor->settings, supervisor->settings->runtime_dir), name);
	if (fd < 0) {
		if (fd == -ECONNREFUSED) /* its worker is dead */
			world_unlinkat(directory_fd, name, 0);
	} else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == getuid()) {
		take_back(supervisor, worker, &peer, fd);
	} else {
		close(fd);
	}
	return true;
}

void workers_take_back(struct supervisor *supervisor)
{
	file_each_entry(settings_string(supervisor->settings, supervisor->settings->runtime_dir),
	    visit_socket, supervisor);
	supervisor->leaving_timer.callback = no_answer;
	supervisor->leaving_timer.context = supervisor;
	loop_timer_arm(&supervisor->loop, &supervisor->leaving_timer, clock_boot_ms() + RETURN_WAIT_MS);
}

bool workers_are_changing(const struct supervisor *supervisor)
{
	for (int i = 0; i < WORKER_COUNT; i++)
		if (supervisor->workers[i].returning || supervisor->workers[i].predecessor.pid != 0)
			return true;
	return false;
}
