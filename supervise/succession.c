/* Workers outlive a supervisor: the next one takes them back, or puts successors in their place, and nothing
 * that they hold is let go in between. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
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

static void leaving_ended(struct loop_source *source, uint32_t events)
{
	struct leaving_worker *leaving =
	    (struct leaving_worker *)((char *)source - offsetof(struct leaving_worker, death));
	struct supervisor *supervisor = source->context;

	(void)events;
	world_waitid(P_PIDFD, (id_t)leaving->pid_fd, &(siginfo_t){0}, WEXITED | WNOHANG);
	loop_source_retire(source);
	file_close(&leaving->pid_fd);
	leaving->pid = 0;
	supervisor_worker_left(supervisor);
}

/* Its successor is ready: it finishes what it has in hand. When too many do that, the first is ended. */
void worker_release_predecessor(struct supervisor *supervisor, struct supervised_worker *worker)
{
	struct leaving_worker *place = &supervisor->leaving[0];
	struct message finish = {0};

	if (worker->predecessor.pid == 0)
		return;
	if (message_send(worker->predecessor.channel_fd, MESSAGE_FINISH, &finish, -1) < 0)
		world_pidfd_send_signal(worker->predecessor.pid_fd, SIGTERM, NULL, 0);
	file_close(&worker->predecessor.channel_fd);
	for (int i = 0; i < LEAVING_WORKERS_MAX; i++)
		if (supervisor->leaving[i].pid == 0)
			place = &supervisor->leaving[i];
	if (place->pid != 0) {
		world_pidfd_send_signal(place->pid_fd, SIGKILL, NULL, 0);
		loop_source_retire(&place->death);
		file_close(&place->pid_fd);
	}
	place->pid = worker->predecessor.pid;
	place->pid_fd = worker->predecessor.pid_fd;
	place->death.callback = leaving_ended;
	place->death.context = supervisor;
	worker->predecessor.pid = 0;
	loop_source_watch(&supervisor->loop, &place->death, place->pid_fd, EPOLLIN);
}

/* While one of an earlier life may still give its listening socket back, it is not opened anew. */
void workers_open_listeners(struct supervisor *supervisor)
{
	for (int i = 0; i < WORKER_COUNT; i++)
		if (supervisor->workers[i].returning)
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

/* The connection to its socket becomes the channel of a worker that an earlier life left. */
static void take_back(struct supervisor *supervisor, struct supervised_worker *worker)
{
	int fd = control_connect(
	    settings_string(supervisor->settings, supervisor->settings->runtime_dir), worker->name);
	struct ucred peer = {0};
	socklen_t size = sizeof(peer);

	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == getuid())
		worker->pid_fd = world_pidfd_open(peer.pid, 0);
	if (worker->pid_fd < 0) {
		close(fd);
		return;
	}
	worker->pid = peer.pid;
	worker->returning = true;
	worker->death.callback = worker_died;
	worker->death.context = supervisor;
	loop_source_watch(&supervisor->loop, &worker->death, worker->pid_fd, EPOLLIN);
	worker_connected(supervisor, worker, fd);
	loop_timer_arm(&supervisor->loop, &worker->retry, clock_boot_ms() + RETURN_WAIT_MS);
}

void workers_take_back(struct supervisor *supervisor)
{
	for (int i = 0; i < WORKER_COUNT; i++)
		take_back(supervisor, &supervisor->workers[i]);
}

bool workers_are_changing(const struct supervisor *supervisor)
{
	for (int i = 0; i < WORKER_COUNT; i++)
		if (supervisor->workers[i].returning || supervisor->workers[i].predecessor.pid != 0)
			return true;
	return false;
}
