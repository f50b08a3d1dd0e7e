#include "sentry/orphans.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mask.h"
#include "base/text.h"
#include "process/procfs.h"
#include "sentry/activity.h"
#include "sentry/family.h"

#define FIRST_LOOK_MS   300
#define COMMAND_BYTES   4096
#define WORDS_LOOKED_AT 6 /* of a command line: the program, options of its interpreter, the script */

struct command {
	char bytes[COMMAND_BYTES];
	size_t length;
	uint64_t device, inode; /* of the executable file */
};

static void read_command(int pid, struct command *command)
{
	char path[32];
	ssize_t length;

	memset(command, 0, offsetof(struct command, device));
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	file_identity(path, &command->device, &command->inode);
	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	length = file_read(AT_FDCWD, path, command->bytes, sizeof(command->bytes));
	command->bytes[sizeof(command->bytes) - 1] = '\0';
	if (length >= 0)
		command->length = (size_t)length;
	else if (length == -EFBIG)
		command->length = sizeof(command->bytes) - 1;
}

/* The nth word; NULL when there are fewer. Words end with a NUL that lies within. */
static const char *word(const char *command, size_t length, int number)
{
	const char *at = command, *end = command + length;

	for (; number > 0 && at < end; number--) {
		const char *stop = memchr(at, '\0', (size_t)(end - at));

		at = stop != NULL ? stop + 1 : end;
	}
	return at < end ? at : NULL;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/* "-c", "-lc", "-e", "-m": what follows is no script. */
static bool takes_no_script(const char *option)
{
	return option[1] != '-' && option[1] != '\0' && strchr("cemp", option[strlen(option) - 1]) != NULL;
}

/* The first word after the program that is no option: where an interpreter runs it, the script. NULL: none.
 */
static const char *script_of(const char *command, size_t length)
{
	for (int number = 1; number < WORDS_LOOKED_AT; number++) {
		const char *at = word(command, length, number);

		if (at == NULL || at[0] != '-')
			return at;
		if (takes_no_script(at))
			return NULL;
	}
	return NULL;
}

/* A title it gave itself: "openclaw", "openclaw-message". */
static bool is_title(const char *first, const char *name)
{
	size_t length = strlen(name);

	return strncmp(first, name, length) == 0 && (first[length] == '\0' || first[length] == '-');
}

/* "openclaw.mjs", or a link to it named "openclaw". */
static bool is_script(const char *script, const char *name)
{
	const char *base = base_name(script);
	size_t length = strlen(name);

	return strncmp(base, name, length) == 0 &&
	       (base[length] == '\0' || strcmp(base + length, ".mjs") == 0);
}

static bool is_own_command(const struct gateway_facts *facts, const char *gateway, size_t gateway_length,
    const char *process, size_t process_length)
{
	const char *first = word(process, process_length, 0), *script = script_of(process, process_length);
	const char *ours = script_of(gateway, gateway_length);

	if (facts->command_name == NULL)
		return script != NULL && ours != NULL && strcmp(script, ours) == 0;
	return (first != NULL && is_title(first, facts->command_name)) ||
	       (script != NULL && is_script(script, facts->command_name));
}

/* A helper's script lies where the gateway's program does. */
static bool is_helper_script(const struct gateway_facts *facts, const char *process, size_t length)
{
	const char *script = script_of(process, length);

	if (script == NULL || script[0] != '/')
		return false;
	for (const char *const *helper = facts->helpers; helper != NULL && *helper != NULL; helper++)
		if (strstr(script, *helper) != NULL)
			return true;
	return false;
}

/* A title is shorter than the words in whose place it stands. */
static size_t without_padding(const char *command, size_t length)
{
	while (length > 0 && command[length - 1] == '\0')
		length--;
	return length;
}

enum orphan_kind orphan_kind_of(const struct gateway_facts *facts, bool same_program, const char *gateway,
    size_t gateway_length, const char *process, size_t process_length)
{
	size_t length = without_padding(process, process_length);

	if (!same_program || length == 0)
		return ORPHAN_BACKGROUND;
	/* What was forked and executed nothing looks as the gateway itself does; another gateway does so,
	 * too. */
	if (length == without_padding(gateway, gateway_length) && memcmp(process, gateway, length) == 0)
		return ORPHAN_HELPER;
	if (is_helper_script(facts, process, process_length))
		return ORPHAN_HELPER;
	return is_own_command(facts, gateway, gateway_length, process, process_length) ? ORPHAN_OWN_COMMAND
	                                                                               : ORPHAN_BACKGROUND;
}

static bool is_same_program(const struct command *gateway, const struct command *process)
{
	return gateway->inode != 0 && gateway->inode == process->inode && gateway->device == process->device;
}

enum orphan_kind orphan_kind_of_process(const struct gateway_facts *facts, int gateway_pid, int pid)
{
	struct command gateway, command;

	read_command(gateway_pid, &gateway);
	read_command(pid, &command);
	return orphan_kind_of(facts, is_same_program(&gateway, &command), gateway.bytes, gateway.length,
	    command.bytes, command.length);
}

/* What people know it by: its script, or the program. */
static void name_of(const struct command *command, int pid, char *name, size_t size)
{
	char words[COMMAND_BYTES];
	size_t length = mask_secrets(command->bytes, command->length, words, sizeof(words));
	const char *first = word(words, length, 0), *script = script_of(words, length);
	struct procfs_stat stat;

	name[0] = '\0';
	if (first != NULL && strcmp(base_name(first), "node") == 0 && script != NULL)
		text_copy(name, size, base_name(script));
	else if (first != NULL)
		text_copy(name, size, base_name(first));
	if (name[0] == '\0' && procfs_stat(pid, &stat) == 0)
		text_copy(name, size, stat.name);
	for (char *at = name; *at != '\0'; at++)
		if (*at <= ' ' || *at > '~')
			*at = *at == ' ' ? '\0' : '?';
}

static void describe(struct orphan *orphan, const struct family *family, const struct relative *relative,
    const struct command *command, int64_t now_ms)
{
	int64_t ticks_per_second = sysconf(_SC_CLK_TCK);

	orphan->pid = relative->pid;
	orphan->start_time = relative->start_time;
	orphan->age_ms = now_ms - (int64_t)relative->start_time * 1000 / ticks_per_second;
	if (orphan->age_ms < 0)
		orphan->age_ms = 0;
	orphan->resident_bytes = family_bytes(family, relative->pid);
	for (uint32_t i = 0; i < family->count; i++) {
		if (family->list[i].root != relative->pid)
			continue;
		orphan->cpu_ticks += family->list[i].cpu_ticks;
		orphan->io_bytes += activity_io_bytes(family->list[i].pid);
	}
	name_of(command, relative->pid, orphan->name, sizeof(orphan->name));
}

/* Own commands come first: they are what something can be done about. */
static void put(struct orphans_look *look, const struct orphan *orphan)
{
	uint32_t place = look->count;

	if (orphan->kind == ORPHAN_OWN_COMMAND)
		for (place = 0; place < look->count && look->list[place].kind == ORPHAN_OWN_COMMAND; place++)
			;
	if (place >= ORPHANS_MAX)
		return;
	if (look->count < ORPHANS_MAX)
		look->count++;
	memmove(&look->list[place + 1], &look->list[place], (look->count - 1 - place) * sizeof(*orphan));
	look->list[place] = *orphan;
}

/* A child of the gateway's that runs its program: no shell of an agent. */
static bool is_helper(
    const struct orphans_sense *sense, const struct relative *relative, const struct command *gateway)
{
	struct command command;

	if (relative->root != 0 || relative->parent != sense->pid)
		return false;
	read_command(relative->pid, &command);
	return is_same_program(gateway, &command);
}

void orphans_sense_look(struct orphans_sense *sense, struct orphans_look *look)
{
	static struct family family;
	struct command gateway, command;

	*look = (struct orphans_look){.generation = sense->generation, .at_ms = clock_boot_ms()};
	family_read(&family, sense->pid, sense->start_time, sense->instance);
	if (family.count == 0)
		return;
	read_command(sense->pid, &gateway);
	look->processes = family.processes;
	look->tree_bytes = family_bytes(&family, FAMILY_ALL);
	for (uint32_t i = 0; i < family.count; i++) {
		const struct relative *relative = &family.list[i];
		struct orphan orphan = {0};

		look->helpers += is_helper(sense, relative, &gateway);
		if (relative->root != relative->pid)
			continue;
		read_command(relative->pid, &command);
		orphan.kind = orphan_kind_of(sense->facts, is_same_program(&gateway, &command), gateway.bytes,
		    gateway.length, command.bytes, command.length);
		describe(&orphan, &family, relative, &command, look->at_ms);
		look->found++;
		look->found_bytes += orphan.resident_bytes;
		put(look, &orphan);
	}
}

static void look_due(struct loop_timer *timer)
{
	struct orphans_sense *sense = timer->context;
	struct orphans_look look;

	orphans_sense_look(sense, &look);
	loop_timer_arm(sense->loop, timer, clock_boot_ms() + ORPHANS_LOOK_MS);
	if (look.processes > 0)
		sense->looked(sense, &look);
}

void orphans_sense_begin(struct orphans_sense *sense, const struct message_gateway *gateway)
{
	if (sense->generation == gateway->generation && sense->pid == gateway->pid)
		return;
	orphans_sense_watch(sense, false);
	sense->generation = gateway->generation;
	sense->pid = gateway->pid;
	sense->start_time = gateway->start_time;
}

void orphans_sense_watch(struct orphans_sense *sense, bool on)
{
	bool is_on = sense->timer.due_ms != 0;

	sense->timer.callback = look_due;
	sense->timer.context = sense;
	/* Not in the way of a program that is just being started. */
	if (on != is_on)
		loop_timer_arm(sense->loop, &sense->timer, on ? clock_boot_ms() + FIRST_LOOK_MS : 0);
}
