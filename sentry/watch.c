#include "sentry/watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "world/world.h"

#define QUIET_MS       300
#define QUIET_MAX_MS   3000
#define LOOK_MS        5000
#define EARLY_AGAIN_MS 60000
#define EVENTS                                                                                               \
	(IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | \
	    IN_MOVE_SELF)

/* The directory of a watched file, "/" and "." included. Returns false when it does not fit. */
static bool directory_of(const struct watch *watch, uint32_t index, char *target, size_t size)
{
	const char *path = settings_string(watch->settings, watch->settings->gateway.watched[index]);
	const char *slash = strrchr(path, '/');
	size_t length = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);

	if (length == 0)
		return text_copy(target, size, ".");
	if (length >= size)
		return false;
	memcpy(target, path, length);
	target[length] = '\0';
	return true;
}

static void file_path(const struct watch *watch, const struct watch_file *file, char *target, size_t size)
{
	char directory[PATH_MAX];
	struct text text;

	text_init(&text, target, size);
	if (!directory_of(watch, file->directory, directory, sizeof(directory)))
		return;
	text_add(&text, directory);
	if (strcmp(directory, "/") != 0)
		text_add(&text, "/");
	text_add(&text, file->name);
}

/* Notes how the file is now. Returns whether that differs from before. */
static bool look_at(const struct watch *watch, struct watch_file *file)
{
	struct watch_file before = *file;
	char path[PATH_MAX];
	struct stat stat_now = {0};

	file_path(watch, file, path, sizeof(path));
	file->exists = stat(path, &stat_now) == 0;
	file->device = stat_now.st_dev;
	file->inode = stat_now.st_ino;
	file->size = stat_now.st_size;
	file->modified = stat_now.st_mtim;
	return file->exists != before.exists ||
	       (file->exists &&
	           (file->device != before.device || file->inode != before.inode ||
	               file->size != before.size || file->modified.tv_sec != before.modified.tv_sec ||
	               file->modified.tv_nsec != before.modified.tv_nsec));
}

/* Returns the file's entry, a new one when it has none yet, or NULL when the table is full. */
static struct watch_file *find_file(struct watch *watch, uint32_t directory, const char *name, bool *is_new)
{
	struct watch_file *file;

	*is_new = false;
	for (uint32_t i = 0; i < watch->file_count; i++)
		if (watch->files[i].directory == directory && strcmp(watch->files[i].name, name) == 0)
			return &watch->files[i];
	if (watch->file_count == WATCH_FILES_MAX || strlen(name) >= WATCH_NAME_MAX)
		return NULL;
	*is_new = true;
	file = &watch->files[watch->file_count++];
	memset(file, 0, sizeof(*file));
	file->directory = directory;
	text_copy(file->name, sizeof(file->name), name);
	return file;
}

static bool ends_in(const char *name, const char *ending)
{
	size_t length = strlen(name), wanted = strlen(ending);

	return length > wanted && strcmp(name + length - wanted, ending) == 0;
}

/* The first watched file with the same directory: so that each directory is looked at once. */
static uint32_t same_directory(const struct watch *watch, uint32_t index)
{
	char directory[PATH_MAX], other[PATH_MAX];

	if (!directory_of(watch, index, directory, sizeof(directory)))
		return index;
	for (uint32_t i = 0; i < index; i++)
		if (directory_of(watch, i, other, sizeof(other)) && strcmp(directory, other) == 0)
			return i;
	return index;
}

/* Adds the .json and .json5 files of the directory that are not in the table yet. `changed` becomes the
 * first. */
static void add_neighbours(struct watch *watch, uint32_t index, struct watch_file **changed)
{
	char path[PATH_MAX];
	const struct dirent *entry;
	DIR *directory;

	if (!directory_of(watch, index, path, sizeof(path)) || (directory = world_opendir(path)) == NULL)
		return;
	while ((entry = readdir(directory)) != NULL) {
		struct watch_file *file;
		bool is_new;

		if (!ends_in(entry->d_name, ".json") && !ends_in(entry->d_name, ".json5"))
			continue;
		file = find_file(watch, index, entry->d_name, &is_new);
		if (file != NULL && is_new) {
			look_at(watch, file);
			*changed = *changed != NULL ? *changed : file;
		}
	}
	closedir(directory);
}

/* Watches the directories that exist; adding one again is harmless. */
static void add_directories(struct watch *watch)
{
	char path[PATH_MAX];

	for (uint32_t i = 0; i < watch->settings->gateway.watched_count; i++)
		if (same_directory(watch, i) == i && directory_of(watch, i, path, sizeof(path)))
			(void)world_inotify_add_watch(watch->source.fd, path, EVENTS | IN_ONLYDIR);
}

/* Looks at every file. Returns one that changed, or NULL. */
static struct watch_file *look_at_all(struct watch *watch)
{
	struct watch_file *changed = NULL;

	for (uint32_t i = 0; i < watch->file_count; i++)
		if (look_at(watch, &watch->files[i]) && changed == NULL)
			changed = &watch->files[i];
	for (uint32_t i = 0; i < watch->settings->gateway.watched_count; i++)
		if (same_directory(watch, i) == i)
			add_neighbours(watch, i, &changed);
	return changed;
}

static void compare(struct watch *watch)
{
	const struct watch_file *changed;
	char path[PATH_MAX];

	watch->first_event_ms = 0;
	loop_timer_arm(watch->loop, &watch->quiet, 0);
	add_directories(watch);
	changed = look_at_all(watch);
	if (changed == NULL && watch->is_early)
		changed = &watch->files[0];
	watch->is_early = false;
	if (changed == NULL)
		return;
	file_path(watch, changed, path, sizeof(path));
	watch->changed(watch, path);
}

static void quiet_due(struct loop_timer *timer)
{
	compare(timer->context);
}

/* A change seen by the slow look is waited out, too: it may be half written. */
static void wait_for_quiet(struct watch *watch)
{
	int64_t now_ms = clock_boot_ms();

	if (watch->first_event_ms == 0)
		watch->first_event_ms = now_ms;
	if (now_ms - watch->first_event_ms + QUIET_MS <= QUIET_MAX_MS || watch->quiet.due_ms == 0)
		loop_timer_arm(watch->loop, &watch->quiet, now_ms + QUIET_MS);
}

static void look_due(struct loop_timer *timer)
{
	struct watch *watch = timer->context;

	wait_for_quiet(watch);
	loop_timer_arm(watch->loop, timer, clock_boot_ms() + LOOK_MS);
}

static void events_came(struct loop_source *source, uint32_t events)
{
	struct watch *watch = source->context;
	char buffer[4096] __attribute__((aligned(8)));

	/* What exactly happened does not matter: the files are compared once it is quiet. */
	while (world_read(source->fd, buffer, sizeof(buffer)) > 0)
		;
	wait_for_quiet(watch);
}

void watch_init(struct watch *watch)
{
	watch->source = (struct loop_source){.fd = -1, .callback = events_came, .context = watch};
	watch->quiet = (struct loop_timer){.callback = quiet_due, .context = watch};
	watch->look = (struct loop_timer){.callback = look_due, .context = watch};
}

static void stop(struct watch *watch)
{
	int fd = watch->source.fd;

	loop_source_retire(&watch->source);
	file_close(&fd);
	loop_timer_arm(watch->loop, &watch->quiet, 0);
	loop_timer_arm(watch->loop, &watch->look, 0);
	watch->first_event_ms = 0;
	watch->is_early = false;
}

/* The files of the settings, as they are now. Their neighbours are left out: a gateway that runs writes some.
 */
static void remember_listed(struct watch *watch)
{
	watch->file_count = 0;
	for (uint32_t i = 0; i < watch->settings->gateway.watched_count; i++) {
		const char *path = settings_string(watch->settings, watch->settings->gateway.watched[i]);
		const char *slash = strrchr(path, '/');
		struct watch_file *file;
		bool is_new;

		file = find_file(watch, same_directory(watch, i), slash != NULL ? slash + 1 : path, &is_new);
		if (file != NULL)
			look_at(watch, file);
	}
}

void watch_remember(struct watch *watch)
{
	stop(watch);
	remember_listed(watch);
}

static bool changed_since_remembered(struct watch *watch)
{
	int64_t now_ms = clock_boot_ms();
	bool changed = false;

	for (uint32_t i = 0; i < watch->file_count; i++)
		changed |= look_at(watch, &watch->files[i]);
	if (!changed || (watch->early_ms != 0 && now_ms - watch->early_ms < EARLY_AGAIN_MS))
		return false;
	watch->early_ms = now_ms;
	return true;
}

void watch_set(struct watch *watch, bool on)
{
	int fd;

	stop(watch);
	if (!on || watch->settings->gateway.watched_count == 0) {
		watch->file_count = 0;
		return;
	}
	fd = world_inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (fd >= 0 && loop_source_watch(watch->loop, &watch->source, fd, EPOLLIN) < 0)
		file_close(&fd);
	add_directories(watch);
	if (watch->file_count == 0)
		remember_listed(watch);
	watch->is_early = changed_since_remembered(watch);
	(void)look_at_all(watch);
	if (watch->is_early)
		wait_for_quiet(watch);
	loop_timer_arm(watch->loop, &watch->look, clock_boot_ms() + LOOK_MS);
}
