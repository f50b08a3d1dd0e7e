/* What the findings of an autopsy mean, in a person's words. */
#include "sentry/autopsy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "sentry/autopsy_words.h"

#define SHOWN_NAME 40

static const char *const cause_names[AUTOPSY_CAUSE_COUNT] = {
    [AUTOPSY_UNKNOWN] = "unknown",
    [AUTOPSY_JAVASCRIPT] = "javascript",
    [AUTOPSY_CHILD] = "child",
    [AUTOPSY_FILE] = "file",
    [AUTOPSY_PIPE] = "pipe",
    [AUTOPSY_LOCK] = "lock",
    [AUTOPSY_SOCKET] = "socket",
    [AUTOPSY_STOPPED] = "stopped",
    [AUTOPSY_UNINTERRUPTIBLE] = "uninterruptible",
};

static const char *const advices[AUTOPSY_CAUSE_COUNT] = {
    [AUTOPSY_UNKNOWN] =
        "The report holds its threads, its children and its last console lines; if it comes back, "
        "compare what they have in common.",
    [AUTOPSY_JAVASCRIPT] =
        "If the file belongs to a plugin or a skill, update or disable it; if it belongs to the "
        "gateway, report it with this stack.",
    [AUTOPSY_CHILD] =
        "Find out who runs this command synchronously, and give the command a time limit or run it in "
        "the background.",
    [AUTOPSY_FILE] =
        "See whether that file lies on a slow or unreachable disk or network share, and move it to a "
        "local one.",
    [AUTOPSY_PIPE] =
        "See what should write to or read from the other end, and whether the gateway was pointed at a "
        "FIFO in place of a file.",
    [AUTOPSY_LOCK] =
        "End or speed up the one that holds the lock; two programs should not write to the gateway's "
        "databases at the same time.",
    [AUTOPSY_SOCKET] =
        "See whether the other side of that connection is alive; what waits for it should have a time "
        "limit.",
    [AUTOPSY_STOPPED] =
        "Find out who stops it (SIGSTOP, a debugger, a terminal's job control); nothing is wrong with "
        "the gateway itself.",
    [AUTOPSY_UNINTERRUPTIBLE] =
        "It waits for a disk, a network share or the kernel: see the kernel's log and the "
        "state of the disks.",
};

const char *autopsy_cause_name(enum autopsy_cause cause)
{
	return cause_names[cause];
}

/* ---- JavaScript ---- */

static bool is_internal(const struct inspector_frame *frame)
{
	return frame->file[0] == '\0' || strncmp(frame->file, "node:", 5) == 0;
}

static void add_frame(struct text *text, const struct inspector_frame *frame)
{
	if (frame->function[0] != '\0') {
		text_add(text, "function ");
		autopsy_add_start(text, frame->function, SHOWN_NAME);
	} else {
		text_add(text, "an unnamed function");
	}
	text_add(text, " (");
	if (frame->file[0] != '\0') {
		autopsy_add_path(text, frame->file);
		text_add(text, ":");
	}
	text_addf(text, "%" PRIu32 ":%" PRIu32 ")", frame->line, frame->column);
}

/* The innermost function, and who called it: the next one that is not Node's own. */
static void tell_frames(const struct autopsy_findings *findings, struct text *text)
{
	text_add(text, "was running JavaScript in ");
	add_frame(text, &findings->frames[0]);
	for (uint32_t i = 1; i < findings->frame_count; i++) {
		if (is_internal(&findings->frames[i]))
			continue;
		text_add(text, ", called from ");
		add_frame(text, &findings->frames[i]);
		break;
	}
}

/* The window is measured a moment beside the threads: what looks like more than a processor is one. */
static unsigned main_percent(const struct autopsy_findings *findings)
{
	for (int i = 0; i < findings->thread_count && findings->window_ms > 0; i++) {
		const struct examine_thread *thread = &findings->threads[i];
		uint64_t percent = thread->window_ns / 10000 / (uint64_t)findings->window_ms;

		if (thread->tid == findings->process.pid)
			return percent > 100 ? 100 : (unsigned)percent;
	}
	return 0;
}

static enum autopsy_cause tell_running(const struct autopsy_findings *findings, struct text *text)
{
	text_addf(text, "was busy without a pause (it got %u %% of a processor)", main_percent(findings));
	if (!findings->is_node)
		return AUTOPSY_UNKNOWN;
	switch (findings->inspector) {
	case INSPECTOR_IDLE:
		text_add(text, "; in which function was not asked, as its inspector may not be opened");
		break;
	case INSPECTOR_ASKED: /* the request is taken up between two steps of JavaScript */
		text_add(text,
		    "; in which function is not known, as its inspector did not open: long work "
		    "outside of JavaScript, such as synchronous compression or cryptography, does that");
		break;
	case INSPECTOR_ATTACHED:
	case INSPECTOR_ENABLED:
		text_add(text, "; in which function is not known, as it could not be interrupted in time");
		break;
	default:
		text_add(text, "; in which function is not known, as its inspector did not answer");
		break;
	}
	return AUTOPSY_JAVASCRIPT;
}

/* ---- what it waits for ---- */

static const char *call_name(const struct autopsy_findings *findings)
{
	return findings->call.name != NULL ? findings->call.name : "a system call";
}

static void add_call(const struct autopsy_findings *findings, struct text *text)
{
	if (findings->call.name != NULL)
		text_addf(text, "%s(2)", findings->call.name);
	else if (findings->call.visible && !findings->call.running)
		text_addf(text, "system call %ld", findings->call.number);
	else if (findings->process.wchan[0] != '\0')
		text_addf(text, "the kernel's %s", findings->process.wchan);
	else
		text_add(text, "a system call that is not visible");
}

static const struct examine_child *find_child(const struct autopsy_findings *findings, int pid)
{
	for (int i = 0; i < findings->child_count; i++)
		if (findings->children[i].pid == pid)
			return &findings->children[i];
	return NULL;
}

static const struct examine_child *youngest_below(const struct autopsy_findings *findings, int parent)
{
	for (int i = 0; i < findings->child_count; i++)
		if (findings->children[i].parent == parent)
			return &findings->children[i];
	return NULL;
}

static enum autopsy_cause tell_child(
    const struct autopsy_findings *findings, const struct examine_child *child, struct text *text)
{
	const struct examine_child *last = child, *below;
	char age[32];

	text_add(text, "was waiting for its child ");
	autopsy_add_process(text, child->command, child->pid);
	text_addf(text, ", running for %s)", text_duration(age, sizeof(age), child->age_ms));
	while ((below = youngest_below(findings, last->pid)) != NULL)
		last = below;
	if (last != child) {
		text_add(text, ", below which runs ");
		autopsy_add_process(text, last->command, last->pid);
		text_add(text, ")");
	}
	return AUTOPSY_CHILD;
}

static enum autopsy_cause tell_pipe(const struct autopsy_findings *findings, struct text *text)
{
	const struct examine_object *object = &findings->object;
	const struct examine_child *child = find_child(findings, object->other_pid);

	if (child != NULL && object->kind == OBJECT_PIPE)
		return tell_child(findings, child, text);
	text_add(text, "was waiting in ");
	add_call(findings, text);
	if (object->kind == OBJECT_FIFO) {
		text_add(text, " on the FIFO ");
		autopsy_add_path(text, object->name);
	} else {
		text_addf(text, " on a pipe (descriptor %d)", object->fd);
	}
	if (object->other_pid > 0) {
		text_add(text, ", whose other end ");
		autopsy_add_process(text, object->other, object->other_pid);
		text_add(text, ") has");
	} else {
		text_add(text, ", whose other end nobody that is visible has");
	}
	return AUTOPSY_PIPE;
}

static enum autopsy_cause tell_object(const struct autopsy_findings *findings, struct text *text)
{
	const struct examine_object *object = &findings->object;

	if (object->kind == OBJECT_FIFO || object->kind == OBJECT_PIPE)
		return tell_pipe(findings, text);
	text_add(text, "was waiting in ");
	add_call(findings, text);
	switch (object->kind) {
	case OBJECT_NONE:
		text_add(text, "; on what is not visible");
		/* The kernel function may still tell a pipe. */
		return strstr(findings->process.wchan, "pipe") != NULL ? AUTOPSY_PIPE : AUTOPSY_UNKNOWN;
	case OBJECT_SOCKET:
		text_add(text, " on the connection with ");
		autopsy_add_path(text, object->name);
		return AUTOPSY_SOCKET;
	case OBJECT_FILE:
	case OBJECT_DEVICE:
		text_addf(text, " on the %s ", examine_object_name(object->kind));
		autopsy_add_path(text, object->name);
		return AUTOPSY_FILE;
	default:
		text_addf(text, " on descriptor %d (", object->fd);
		autopsy_add_path(text, object->name);
		text_add(text, ")");
		return AUTOPSY_UNKNOWN;
	}
}

static enum autopsy_cause tell_open(const struct autopsy_findings *findings, struct text *text)
{
	bool is_fifo = strstr(findings->process.wchan, "wait_for_partner") != NULL ||
	               strstr(findings->process.wchan, "fifo_open") != NULL;

	text_add(text, "was waiting in ");
	add_call(findings, text);
	text_add(text, is_fifo ? " for somebody to open the other end of the FIFO " : " for the file ");
	if (findings->call.path[0] != '\0')
		autopsy_add_path(text, findings->call.path);
	else
		text_add(text, "(its name is not visible)");
	return is_fifo ? AUTOPSY_PIPE : AUTOPSY_FILE;
}

static enum autopsy_cause tell_events(const struct autopsy_findings *findings, struct text *text)
{
	const struct examine_child *child = youngest_below(findings, findings->process.pid);
	/* A probe was sent up to an interval after the block began. */
	bool since_then = child != NULL && findings->blocked_ms > 0 &&
	                  child->age_ms >= findings->blocked_ms / 2 &&
	                  child->age_ms <= findings->blocked_ms + 60000;

	if (findings->serves == 1) {
		text_add(text, "was waiting for something to happen, as an idle one does, with its callers "
		               "unanswered: something within the gateway does not take them up");
		return AUTOPSY_UNKNOWN;
	}
	/* A loop within the loop, where nobody who calls is waited for: that is how Node waits for a child.
	 */
	if (child != NULL && (findings->serves == 0 || since_then))
		return tell_child(findings, child, text);
	text_add(text, findings->serves == 0 ? "was waiting in a loop within the loop (" : "was waiting in ");
	add_call(findings, text);
	text_add(text, findings->serves == 0 ? "), for what is not visible" : "; for what is not visible");
	return AUTOPSY_UNKNOWN;
}

static enum autopsy_cause tell_wait_child(const struct autopsy_findings *findings, struct text *text)
{
	const struct examine_child *child = NULL;
	bool is_wait4 = strcmp(call_name(findings), "wait4") == 0;

	if (findings->call.visible)
		child = find_child(findings, (int)findings->call.arguments[is_wait4 ? 0 : 1]);
	if (child == NULL)
		child = youngest_below(findings, findings->process.pid);
	if (child != NULL)
		return tell_child(findings, child, text);
	text_add(text, "was waiting in ");
	add_call(findings, text);
	text_add(text, " for a child that is not visible");
	return AUTOPSY_CHILD;
}

/* Whether SQLite keeps this database with a write-ahead log: there, who only reads is in nobody's way. */
static bool has_log(const struct autopsy_findings *findings, const char *file)
{
	char log[EXAMINE_NAME_MAX + 8];

	snprintf(log, sizeof(log), "%s-shm", file);
	for (int i = 0; i < findings->lock_count; i++)
		if (strcmp(findings->locks[i].file, log) == 0)
			return true;
	return false;
}

static bool ends_with(const char *string, const char *end)
{
	size_t length = strlen(string), end_length = strlen(end);

	return length >= end_length && strcmp(string + length - end_length, end) == 0;
}

/* A gateway keeps locks of its own, too, as long as it lives, on files made for nothing else: those stand in
 * nobody's way but a second gateway's. */
static bool can_be_blamed(const struct autopsy_findings *findings, const struct examine_lock *lock)
{
	if (lock->waits || (lock->exclusive && !lock->own))
		return true;
	if (lock->own)
		return lock->exclusive && strstr(lock->file, ".lock") == NULL;
	return !ends_with(lock->file, "-shm") && !has_log(findings, lock->file);
}

static const struct examine_lock *find_lock(const struct autopsy_findings *findings)
{
	for (int i = 0; i < findings->lock_count; i++)
		if (can_be_blamed(findings, &findings->locks[i]))
			return &findings->locks[i];
	return NULL;
}

/* SQLite takes its locks on a file beside the database, which nobody knows by that name. */
static void add_locked(const struct examine_lock *lock, struct text *text)
{
	char name[EXAMINE_NAME_MAX];

	text_copy(name, sizeof(name), lock->file);
	if (ends_with(name, "-shm"))
		name[strlen(name) - strlen("-shm")] = '\0';
	autopsy_add_path(text, name);
}

static void add_holder(const struct examine_lock *lock, struct text *text)
{
	text_add(text, ", held by ");
	if (lock->own) {
		text_add(text, "another thread or connection of the gateway itself");
	} else if (lock->holder > 0) {
		autopsy_add_process(text, lock->command, lock->holder);
		text_add(text, ")");
	} else {
		text_add(text, "a process that is not visible");
	}
}

static enum autopsy_cause tell_lock(const struct autopsy_findings *findings, struct text *text)
{
	const struct examine_lock *lock = find_lock(findings);

	if (lock != NULL) {
		text_add(text, "was waiting for the lock on ");
		add_locked(lock, text);
		add_holder(lock, text);
		return AUTOPSY_LOCK;
	}
	text_add(text, "was waiting in ");
	add_call(findings, text);
	if (examine_wait(&findings->call, findings->process.wchan) == WAIT_SLEEP) {
		text_add(text, " for time to pass, and for no lock that is visible");
		return AUTOPSY_UNKNOWN;
	}
	text_add(text, " for a lock");
	if (findings->object.name[0] != '\0') {
		text_add(text, " on ");
		autopsy_add_path(text, findings->object.name);
	}
	return AUTOPSY_LOCK;
}

static enum autopsy_cause tell_wait(const struct autopsy_findings *findings, struct text *text)
{
	switch (examine_wait(&findings->call, findings->process.wchan)) {
	case WAIT_EVENTS:
		return tell_events(findings, text);
	case WAIT_CHILD:
		return tell_wait_child(findings, text);
	case WAIT_SLEEP:
	case WAIT_LOCK:
		return tell_lock(findings, text);
	case WAIT_OPEN:
		return tell_open(findings, text);
	case WAIT_POLL:
	case WAIT_OBJECT:
		return tell_object(findings, text);
	case WAIT_THREAD:
		text_add(text, "was waiting for another of its own threads (futex)");
		return AUTOPSY_LOCK;
	default:
		text_add(text, "was waiting in ");
		add_call(findings, text);
		return AUTOPSY_UNKNOWN;
	}
}

static enum autopsy_cause tell_stopped(const struct autopsy_findings *findings, struct text *text)
{
	if (findings->process.tracer > 0) {
		text_add(text, "was stopped by the debugger ");
		autopsy_add_process(text, findings->tracer, findings->process.tracer);
		text_add(text, ")");
	} else {
		text_add(text, "was stopped by a signal (state T), so nothing in it ran");
	}
	return AUTOPSY_STOPPED;
}

static enum autopsy_cause tell(const struct autopsy_findings *findings, struct text *text)
{
	char state = findings->process.state;

	if (findings->frame_count > 0) {
		tell_frames(findings, text);
		return AUTOPSY_JAVASCRIPT;
	}
	if (findings->ended) {
		text_add(text, "ended while it was being examined");
		return AUTOPSY_UNKNOWN;
	}
	if (state == 'T' || state == 't')
		return tell_stopped(findings, text);
	if (findings->running * 2 > findings->samples || main_percent(findings) > 50)
		return tell_running(findings, text);
	if (findings->uninterruptible * 2 > findings->samples) {
		text_add(text, "was in uninterruptible sleep (state D) and ");
		tell_wait(findings, text);
		return AUTOPSY_UNINTERRUPTIBLE;
	}
	return tell_wait(findings, text);
}

void autopsy_judge(const struct autopsy_findings *findings, struct autopsy_result *result)
{
	struct text text;

	text_init(&text, result->sentence, sizeof(result->sentence));
	text_add(&text, findings->is_node ? "The event loop " : "The main thread ");
	result->cause = tell(findings, &text);
	if (text.length > sizeof(result->sentence) - 5) {
		text.length = sizeof(result->sentence) - 5;
		while (((unsigned char)text.data[text.length] & 0xc0) == 0x80)
			text.length--;
		text.data[text.length] = '\0';
		text_add(&text, "..");
	}
	text_add(&text, ".");
	text_copy(result->advice, sizeof(result->advice), advices[result->cause]);
}
