#include "sentry/known_good.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "world/world.h"

#define LOOK_MS             50
#define STARTED_JUST_NOW_MS 3000
#define KEPT_NAME           "kept-"
#define NEW_NAME            "new"
#define REFUSED_NAME        "refused"
#define NAME_BYTES          32
#define THREAD_STACK_BYTES  (512 * 1024)

static const char *main_path(const struct known_good *known_good)
{
	return settings_string(known_good->settings, known_good->settings->gateway.config_path);
}

static const char *main_name(const struct known_good *known_good)
{
	const char *slash = strrchr(main_path(known_good), '/');

	return slash == NULL ? "" : slash + 1;
}

static bool is_on(const struct known_good *known_good)
{
	return known_good->settings->gateway.config_fallback && main_path(known_good)[0] == '/';
}

/* STATE/known-good. Returns a descriptor or a negative errno. */
static int open_directory(const struct known_good *known_good)
{
	const char *state = settings_string(known_good->settings, known_good->settings->state_dir);
	int fd, parent CLOSE_ON_RETURN = world_open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (parent < 0 || (world_mkdirat(parent, KNOWN_GOOD_DIRECTORY, 0700) < 0 && errno != EEXIST))
		return -errno;
	fd = world_openat(parent, KNOWN_GOOD_DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	(void)!world_fchmod(fd, 0700);
	return fd;
}

static bool see_kept(void *context, int directory_fd, const char *name)
{
	uint64_t number, *highest = context;

	(void)directory_fd;
	if (strncmp(name, KEPT_NAME, strlen(KEPT_NAME)) == 0 &&
	    text_to_u64(name + strlen(KEPT_NAME), UINT32_MAX, &number) == 0 && number > *highest)
		*highest = number;
	return true;
}

static void directory_path(const struct known_good *known_good, const char *name, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/" KNOWN_GOOD_DIRECTORY "%s%s",
	    settings_string(known_good->settings, known_good->settings->state_dir),
	    name[0] == '\0' ? "" : "/", name);
}

/* The number of the copy that counts; 0: there is none. */
static uint64_t newest(const struct known_good *known_good)
{
	char path[PATH_MAX];
	uint64_t highest = 0;

	directory_path(known_good, "", path);
	return file_each_entry(path, see_kept, &highest) < 0 ? 0 : highest;
}

static void kept_path(const struct known_good *known_good, uint64_t number, char path[PATH_MAX])
{
	char name[NAME_MAX + NAME_BYTES];

	snprintf(name, sizeof(name), KEPT_NAME "%" PRIu64 "/%s", number, main_name(known_good));
	directory_path(known_good, name, path);
}

/* --- Keeping. --- */

struct older {
	uint64_t newest;
	char name[NAME_BYTES];
};

static bool see_older(void *context, int directory_fd, const char *name)
{
	struct older *older = context;
	uint64_t number = 0;

	see_kept(&number, directory_fd, name);
	if (number == 0 || number >= older->newest)
		return true;
	text_copy(older->name, sizeof(older->name), name);
	return false;
}

/* Copies before the newest go; one that cannot be removed stays, and is of no importance. */
static void remove_older(const struct known_good *known_good, int directory_fd, uint64_t number)
{
	char path[PATH_MAX];

	directory_path(known_good, "", path);
	for (int i = 0; i < 8; i++) {
		struct older older = {.newest = number};

		if (file_each_entry(path, see_older, &older) < 0 || older.name[0] == '\0' ||
		    config_files_remove(directory_fd, older.name) < 0)
			return;
	}
}

/* What was written under a name of no meaning gets one that counts. */
static int give_name(struct known_good *known_good, int directory_fd)
{
	uint64_t number = newest(known_good) + 1;
	char name[NAME_BYTES];

	snprintf(name, sizeof(name), KEPT_NAME "%" PRIu64, number);
	if (world_renameat(directory_fd, NEW_NAME, directory_fd, name) < 0 || world_fsync(directory_fd) < 0)
		return error_set(
		    &known_good->job_why, -errno, "the copy cannot be renamed: %s", strerror(errno));
	remove_older(known_good, directory_fd, number);
	kept_path(known_good, number, known_good->job_kept);
	return 0;
}

/* Copies the files below `main_path` into the new directory `name`. */
static int copy_files(struct config_files *files, const char *from, int directory_fd, const char *name,
    bool durable, struct error *why)
{
	int result = config_files_remove(directory_fd, name), fd CLOSE_ON_RETURN = -1;

	if (result == 0 && world_mkdirat(directory_fd, name, 0700) < 0)
		result = -errno;
	if (result == 0) {
		fd = world_openat(directory_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		result = fd < 0 ? -errno : 0;
	}
	if (result < 0)
		return error_set(why, result, "the copy cannot be written: %s", strerror(-result));
	result = config_files_read(files, from, fd, durable, why);
	if (result < 0)
		config_files_remove(directory_fd, name);
	return result;
}

static int keep(struct known_good *known_good)
{
	struct config_files *files = &known_good->job_files;
	char path[PATH_MAX];
	uint64_t number = newest(known_good);
	int result, directory_fd CLOSE_ON_RETURN = open_directory(known_good);

	if (directory_fd < 0)
		return error_set(&known_good->job_why, directory_fd, "the copy cannot be written: %s",
		    strerror(-directory_fd));
	kept_path(known_good, number, path);
	if (number > 0 && config_files_read(files, path, -1, false, NULL) == 0 && !files->broken &&
	    files->content == known_good->job_content)
		return 0; /* it is there already */
	result = copy_files(files, main_path(known_good), directory_fd, NEW_NAME, true, &known_good->job_why);
	if (result < 0)
		return result;
	if (files->content != known_good->job_content) {
		config_files_remove(directory_fd, NEW_NAME); /* changed under our hands */
		return 0;
	}
	return give_name(known_good, directory_fd);
}

static void *run_job(void *context)
{
	struct known_good *known_good = context;

	known_good->job_result = keep(known_good);
	atomic_store(&known_good->job_done, true);
	return NULL;
}

static void begin_job(struct known_good *known_good)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int result;

	known_good->job_content = known_good->content;
	known_good->job_kept[0] = '\0';
	atomic_store(&known_good->job_done, false);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	result = world_pthread_create(&known_good->thread, &attributes, run_job, known_good);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	known_good->busy = result == 0;
	if (known_good->busy)
		loop_timer_arm(known_good->loop, &known_good->look, clock_boot_ms() + LOOK_MS);
	else /* no thread to be had: later */
		loop_timer_arm(known_good->loop, &known_good->due, clock_boot_ms() + known_good->after_ms);
}

static void tell(struct known_good *known_good)
{
	char sentence[ERROR_TEXT_MAX + 256];

	if (known_good->job_result == 0) {
		known_good->told = false;
		if (known_good->job_kept[0] != '\0')
			known_good->kept(known_good, known_good->job_kept);
		return;
	}
	if (!known_good->told) {
		snprintf(sentence, sizeof(sentence),
		    "The configuration with which the gateway is well cannot be kept aside for "
		    "gateway.configFallback: %s; an older copy is left as it is.",
		    known_good->job_why.text);
		known_good->failed(known_good, sentence);
	}
	known_good->told = true;
	if (known_good->proves)
		loop_timer_arm(known_good->loop, &known_good->due, clock_boot_ms() + known_good->after_ms);
}

static void look_due(struct loop_timer *timer)
{
	struct known_good *known_good = timer->context;

	if (!atomic_load(&known_good->job_done)) {
		loop_timer_arm(known_good->loop, timer, clock_boot_ms() + LOOK_MS);
		return;
	}
	pthread_join(known_good->thread, NULL);
	known_good->busy = false;
	tell(known_good);
}

/* --- When. --- */

/* The files as they are. Returns false when they cannot even be counted. */
static bool look_at_files(struct known_good *known_good)
{
	return config_files_read(&known_good->files, main_path(known_good), -1, false, NULL) == 0;
}

static void well_due(struct loop_timer *timer)
{
	struct known_good *known_good = timer->context;

	if (!known_good->proves || known_good->busy)
		return;
	if (look_at_files(known_good) && known_good->files.content == known_good->content)
		begin_job(known_good);
	/* Else they were changed since it was started; the next start will prove them, or not. */
}

void known_good_init(struct known_good *known_good)
{
	known_good->due = (struct loop_timer){.callback = well_due, .context = known_good};
	known_good->look = (struct loop_timer){.callback = look_due, .context = known_good};
}

/* Whether one of the files was changed (ctime: also renamed or linked to its place) since then. */
static bool changed_since(const struct config_files *files, int64_t started_ms)
{
	int64_t started_real_ms = clock_real_ms() - (clock_boot_ms() - started_ms);

	for (uint32_t i = 0; i < files->count; i++) {
		struct stat status;

		if (stat(files->paths[i], &status) < 0 ||
		    (int64_t)status.st_ctim.tv_sec * 1000 + status.st_ctim.tv_nsec / 1000000 >=
		        started_real_ms)
			return true;
	}
	return false;
}

void known_good_started(struct known_good *known_good, int64_t started_ms, bool from_copy)
{
	known_good_gone(known_good);
	if (!is_on(known_good) || from_copy || !look_at_files(known_good))
		return;
	if (clock_boot_ms() - started_ms > STARTED_JUST_NOW_MS &&
	    changed_since(&known_good->files, started_ms))
		return;
	known_good->content = known_good->files.content;
	known_good->proves = true;
}

void known_good_well(struct known_good *known_good)
{
	if (known_good->proves && !known_good->well) {
		known_good->well = true;
		loop_timer_arm(known_good->loop, &known_good->due, clock_boot_ms() + known_good->after_ms);
	}
}

void known_good_doubted(struct known_good *known_good)
{
	known_good->well = false;
	loop_timer_arm(known_good->loop, &known_good->due, 0);
}

void known_good_gone(struct known_good *known_good)
{
	known_good->proves = false;
	known_good_doubted(known_good);
}

void known_good_finish(struct known_good *known_good)
{
	known_good_gone(known_good);
	loop_timer_arm(known_good->loop, &known_good->look, 0);
	/* A disk that hangs keeps nobody from ending: what was half written has no name that counts. */
	if (known_good->busy)
		pthread_detach(known_good->thread);
	known_good->busy = false;
}

/* --- What was refused. --- */

static void write_refused(int directory_fd, uint64_t identity)
{
	char text[NAME_BYTES];
	int fd CLOSE_ON_RETURN = world_openat(
	    directory_fd, REFUSED_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	snprintf(text, sizeof(text), "%" PRIu64 "\n", identity);
	if (fd >= 0)
		(void)!file_write_all(fd, text, strlen(text));
}

bool known_good_prepare(struct known_good *known_good)
{
	struct config_files *files = &known_good->files;
	uint64_t number, content, identity;
	char path[PATH_MAX];
	int directory_fd CLOSE_ON_RETURN = -1;

	if (!is_on(known_good) || !known_good->reads_state_apart || (number = newest(known_good)) == 0)
		return false;
	/* Too large to be counted: other than the copy all the same. */
	content = look_at_files(known_good) ? files->content : 0;
	identity = files->identity;
	kept_path(known_good, number, path);
	if (config_files_read(files, path, -1, false, NULL) < 0 || files->broken || files->content == content)
		return false;
	directory_fd = open_directory(known_good);
	/* Not synced: it is made anew before it is used after a power failure. */
	if (directory_fd < 0 || copy_files(files, path, directory_fd, KNOWN_GOOD_RUNNING, false, NULL) < 0)
		return false;
	write_refused(directory_fd, identity);
	return true;
}

bool known_good_is_refused(struct known_good *known_good, bool *broken)
{
	int directory_fd CLOSE_ON_RETURN = open_directory(known_good);
	char text[NAME_BYTES];
	uint64_t identity;

	if (!look_at_files(known_good)) {
		*broken = true;
		return false;
	}
	*broken = known_good->files.broken;
	if (directory_fd < 0 || file_read(directory_fd, REFUSED_NAME, text, sizeof(text)) <= 0)
		return false;
	text[strcspn(text, "\n")] = '\0';
	return text_to_u64(text, UINT64_MAX, &identity) == 0 && identity == known_good->files.identity;
}
