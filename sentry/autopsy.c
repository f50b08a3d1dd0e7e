#include "sentry/autopsy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "process/procfs.h"
#include "world/world.h"

#define SAMPLE_MS         25
#define SAMPLES_THAT_SHOW 4 /* running in each of the first so many: it spins */

static struct examine_thread *main_thread(struct autopsy_findings *findings)
{
	for (int i = 0; i < findings->thread_count; i++)
		if (findings->threads[i].tid == findings->process.pid)
			return &findings->threads[i];
	return NULL;
}

static void give_back(struct autopsy *autopsy)
{
	if (autopsy->tick.loop != NULL)
		loop_timer_arm(autopsy->loop, &autopsy->tick, 0);
	if (autopsy->console != NULL)
		munmap(autopsy->console, AUTOPSY_REPORT_MAX);
	autopsy->console = NULL;
	file_close(&autopsy->pid_fd);
	autopsy->under_way = false;
}

static void clean_findings(struct autopsy_findings *findings)
{
	autopsy_clean(findings->process.executable);
	autopsy_clean(findings->process.command);
	autopsy_clean(findings->call.path);
	autopsy_clean(findings->object.name);
	autopsy_clean(findings->object.other);
	autopsy_clean(findings->tracer);
	for (int i = 0; i < findings->thread_count; i++)
		autopsy_clean(findings->threads[i].name);
	for (int i = 0; i < findings->child_count; i++)
		autopsy_clean(findings->children[i].command);
	for (int i = 0; i < findings->lock_count; i++) {
		autopsy_clean(findings->locks[i].file);
		autopsy_clean(findings->locks[i].command);
	}
}

/* What is looked at once, at the end: by then it is known what the main thread waits for. */
static void gather(struct autopsy *autopsy)
{
	struct autopsy_findings *findings = &autopsy->findings;
	int pid = findings->process.pid;

	if (!findings->call.visible && strstr(findings->process.wchan, "pipe") != NULL)
		findings->call.fd = examine_find_fifo(pid);
	examine_descriptor(pid, findings->call.fd, &findings->object);
	findings->serves = -ENODATA;
	if (findings->object.kind == OBJECT_EPOLL)
		findings->serves =
		    examine_epoll_serves(pid, findings->call.fd, findings->sockets.listener_inode);
	findings->child_count = examine_children(pid, findings->children);
	findings->lock_count = examine_locks(pid, findings->locks);
	if (findings->process.tracer > 0)
		examine_command(findings->process.tracer, findings->tracer, sizeof(findings->tracer));
}

static void finish(struct autopsy *autopsy)
{
	struct autopsy_findings *findings = &autopsy->findings;
	struct autopsy_result *result = &autopsy->result;

	if (!findings->ended)
		gather(autopsy);
	findings->inspector = autopsy->inspector.state;
	findings->frames = autopsy->inspector.frames;
	findings->frame_count =
	    autopsy->inspector.state == INSPECTOR_PAUSED ? autopsy->inspector.frame_count : 0;
	for (uint32_t i = 0; i < findings->frame_count; i++) {
		autopsy_clean(autopsy->inspector.frames[i].function);
		autopsy_clean(autopsy->inspector.frames[i].file);
	}
	clean_findings(findings);
	autopsy_judge(findings, result);
	result->took_ms = clock_boot_ms() - autopsy->began_boot_ms;
	snprintf(result->file, sizeof(result->file), "autopsy.%" PRIu64 ".json", result->generation);
	if (autopsy_write(findings, result, autopsy->console, autopsy->console_length, autopsy->directory) <
	    0)
		result->file[0] = '\0';
	if (autopsy->inspector.state == INSPECTOR_PAUSED)
		inspector_rest(&autopsy->inspector);
	else
		inspector_close(&autopsy->inspector);
	give_back(autopsy);
	autopsy->done(autopsy, result);
}

/* One sample of the main thread: what it does is what it is mostly found doing. */
static void sample(struct autopsy *autopsy)
{
	struct autopsy_findings *findings = &autopsy->findings;
	struct examine_call call;
	struct examine_process process;
	bool runs;

	if (examine_process(findings->process.pid, &process) < 0 || process.state == 'Z' ||
	    process.state == 'X') {
		findings->ended = true;
		return;
	}
	/* Its pause by the inspector is our own doing. */
	if (autopsy->inspector.state >= INSPECTOR_ATTACHED)
		return;
	examine_call(process.pid, &call);
	runs = process.state == 'R' || (process.state == 'S' && call.visible && call.running);
	findings->samples++;
	findings->running += runs;
	findings->uninterruptible += process.state == 'D';
	if (!runs || findings->running == findings->samples) {
		findings->process = process;
		findings->call = call;
	}
}

static void watch_threads(struct autopsy *autopsy, int64_t passed_ms)
{
	struct autopsy_findings *findings = &autopsy->findings;

	findings->thread_count = examine_threads(findings->process.pid, findings->threads);
	if (findings->thread_count > 0)
		examine_threads_between(
		    autopsy->before, autopsy->before_count, findings->threads, findings->thread_count);
	findings->window_ms = passed_ms;
}

/* Only a process that is node, that serves the port, and that takes SIGUSR1 for the request it is: any other
 * would end of it, or take it for something else. */
static bool can_open(const struct autopsy *autopsy)
{
	const struct autopsy_findings *findings = &autopsy->findings;

	return autopsy->may_open && findings->is_node && findings->sockets.listener_inode != 0 &&
	       examine_catches(&findings->process, SIGUSR1) && autopsy->pid_fd >= 0;
}

static void open_inspector(struct autopsy *autopsy, int64_t passed_ms)
{
	autopsy->may_open = false;
	/* Once it is paused, it uses no processor any more. */
	if (autopsy->findings.window_ms == 0)
		watch_threads(autopsy, passed_ms);
	if (inspector_ask(&autopsy->inspector, autopsy->findings.process.pid) < 0)
		return;
	/* Before it is sent: what dies now must not have opened it unsaid. */
	autopsy->result.opened = true;
	if (world_pidfd_send_signal(autopsy->pid_fd, SIGUSR1, NULL, 0) < 0) {
		autopsy->result.opened = false;
		inspector_close(&autopsy->inspector);
	}
}

static bool is_spinning(struct autopsy *autopsy, int64_t passed_ms)
{
	struct autopsy_findings *findings = &autopsy->findings;
	struct examine_thread *thread;

	if (findings->running == findings->samples)
		return findings->samples >= SAMPLES_THAT_SHOW;
	if (passed_ms < AUTOPSY_WINDOW_MS)
		return false;
	/* Kept waiting for a processor it is R, too; and it may sleep now and then between two long runs. */
	thread = main_thread(findings);
	return findings->running * 2 > findings->samples ||
	       (thread != NULL && thread->window_ns / 1000000 * 2 > (uint64_t)findings->window_ms);
}

static bool waits_for_inspector(const struct autopsy *autopsy)
{
	return autopsy->inspector.state != INSPECTOR_IDLE && autopsy->inspector.state != INSPECTOR_PAUSED &&
	       autopsy->inspector.state != INSPECTOR_FAILED;
}

static void tick(struct loop_timer *timer)
{
	struct autopsy *autopsy = timer->context;
	int64_t passed_ms = clock_boot_ms() - autopsy->began_boot_ms;
	bool window_over = passed_ms >= AUTOPSY_WINDOW_MS;

	sample(autopsy);
	if (window_over && autopsy->findings.window_ms == 0)
		watch_threads(autopsy, passed_ms);
	if (!autopsy->findings.ended && can_open(autopsy) && is_spinning(autopsy, passed_ms))
		open_inspector(autopsy, passed_ms);
	if (autopsy->findings.ended || passed_ms >= AUTOPSY_LIMIT_MS ||
	    (window_over && !waits_for_inspector(autopsy))) {
		finish(autopsy);
		return;
	}
	loop_timer_arm(autopsy->loop, timer, clock_boot_ms() + SAMPLE_MS);
}

static void inspector_ended(struct inspector *inspector)
{
	struct autopsy *autopsy = inspector->context;

	/* Not from here: the connection is still being read. */
	if (autopsy->under_way)
		loop_timer_arm(autopsy->loop, &autopsy->tick, clock_boot_ms());
}

void autopsy_init(struct autopsy *autopsy)
{
	inspector_init(&autopsy->inspector, autopsy->loop);
	autopsy->inspector.ended = inspector_ended;
	autopsy->inspector.context = autopsy;
	autopsy->tick = (struct loop_timer){.callback = tick, .context = autopsy};
	autopsy->console = NULL;
	autopsy->pid_fd = -1;
	autopsy->under_way = false;
}

static bool is_named_node(const char *executable)
{
	const char *name = strrchr(executable, '/');

	return name != NULL && strncmp(name + 1, "node", 4) == 0;
}

/* The newest lines, as many as fit. */
static void keep_console(struct autopsy *autopsy, const struct autopsy_request *request)
{
	size_t length = request->console_lines != NULL ? request->console_length : 0;
	void *mapping;

	autopsy->console_length = 0;
	mapping =
	    world_mmap(NULL, AUTOPSY_REPORT_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mapping == MAP_FAILED)
		return;
	autopsy->console = mapping;
	if (length > AUTOPSY_REPORT_MAX)
		length = AUTOPSY_REPORT_MAX;
	if (length > 0)
		memcpy(autopsy->console, request->console_lines + request->console_length - length, length);
	autopsy->console_length = length;
}

/* The process that serves the port: it may be one below the one that was started. */
static int who_serves(const struct autopsy_request *request, struct autopsy_findings *findings)
{
	struct examine_sockets *sockets = &findings->sockets;
	int count;

	examine_sockets(request->pid, request->port, sockets);
	if (sockets->listener_inode != 0 || request->port == 0)
		return request->pid;
	count = examine_children(request->pid, findings->children);
	for (int i = 0; i < count; i++) {
		examine_sockets(findings->children[i].pid, request->port, sockets);
		if (sockets->listener_inode != 0)
			return findings->children[i].pid;
	}
	examine_sockets(request->pid, request->port, sockets);
	return request->pid;
}

/* What was seen before its pidfd was held may have been another process of the same number; whatever is seen
 * from now on is of the process that a signal would reach. */
static int hold_server(struct autopsy *autopsy, const struct autopsy_request *request)
{
	struct examine_sockets *sockets = &autopsy->findings.sockets;
	int pid = who_serves(request, &autopsy->findings);

	autopsy->pid_fd = world_pidfd_open(pid, 0);
	examine_sockets(pid, request->port, sockets);
	if (pid == request->pid || (sockets->listener_inode != 0 && procfs_is_descendant(pid, request->pid)))
		return pid;
	file_close(&autopsy->pid_fd);
	autopsy->pid_fd = world_pidfd_open(request->pid, 0);
	examine_sockets(request->pid, request->port, sockets);
	return request->pid;
}

int autopsy_begin(struct autopsy *autopsy, const struct autopsy_request *request)
{
	struct autopsy_findings *findings = &autopsy->findings;
	int pid, result;

	if (autopsy->under_way)
		return -EBUSY;
	autopsy_cancel(autopsy);
	memset(findings, 0, sizeof(*findings));
	memset(&autopsy->result, 0, sizeof(autopsy->result));
	pid = hold_server(autopsy, request);
	result = examine_process(pid, &findings->process);
	if (result < 0) {
		file_close(&autopsy->pid_fd);
		return result;
	}
	autopsy->began_boot_ms = clock_boot_ms();
	autopsy->result.began_ms = clock_real_ms();
	autopsy->result.generation = request->generation;
	autopsy->result.pid = pid;
	autopsy->may_open = request->may_open;
	autopsy->directory = request->directory;
	autopsy->before_count = examine_threads(pid, autopsy->before);
	findings->is_node = is_named_node(findings->process.executable);
	findings->blocked_ms = request->blocked_ms;
	findings->call.fd = -1;
	keep_console(autopsy, request);
	autopsy->under_way = true;
	sample(autopsy);
	loop_timer_arm(autopsy->loop, &autopsy->tick, clock_boot_ms() + SAMPLE_MS);
	return 0;
}

void autopsy_line(struct autopsy *autopsy, const char *line)
{
	int64_t left_ms = autopsy->began_boot_ms + AUTOPSY_LIMIT_MS - clock_boot_ms();

	if (autopsy->under_way && left_ms > 0)
		inspector_line(&autopsy->inspector, line, left_ms);
}

void autopsy_cancel(struct autopsy *autopsy)
{
	inspector_close(&autopsy->inspector);
	give_back(autopsy);
}
