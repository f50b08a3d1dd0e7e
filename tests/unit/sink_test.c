/* The console's sinks: what a slow, blocked or full target costs, and what its file looks like after
 * rotation. */
#include "support/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "sentry/logfile.h"
#include "sentry/sink.h"

/* A target that collects what it is given, and can be held. */
struct target {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool held;
	int error, writes;
	size_t length;
	char bytes[4 * SINK_BYTES];
};

static ssize_t target_write(void *context, const char *bytes, size_t length)
{
	struct target *target = context;
	ssize_t result;

	pthread_mutex_lock(&target->lock);
	while (target->held)
		pthread_cond_wait(&target->changed, &target->lock);
	target->writes++;
	result = target->error != 0 ? -target->error : (ssize_t)length;
	if (result > 0 && target->length + length < sizeof(target->bytes)) {
		memcpy(target->bytes + target->length, bytes, length);
		target->length += length;
		target->bytes[target->length] = '\0';
	}
	pthread_cond_broadcast(&target->changed);
	pthread_mutex_unlock(&target->lock);
	return result;
}

static void target_hold(struct target *target, bool held)
{
	pthread_mutex_lock(&target->lock);
	target->held = held;
	pthread_cond_broadcast(&target->changed);
	pthread_mutex_unlock(&target->lock);
}

static void target_await(struct target *target, int writes)
{
	pthread_mutex_lock(&target->lock);
	while (target->writes < writes)
		pthread_cond_wait(&target->changed, &target->lock);
	pthread_mutex_unlock(&target->lock);
}

static void target_set_error(struct target *target, int error)
{
	pthread_mutex_lock(&target->lock);
	target->error = error;
	pthread_mutex_unlock(&target->lock);
}

static struct ring ring;

static struct target *new_target(struct sink *sink)
{
	struct target *target = calloc(1, sizeof(*target));

	CHECK(ring_open(&ring, NULL) == RING_NEW && !ring_is_kept(&ring));
	pthread_mutex_init(&target->lock, NULL);
	pthread_cond_init(&target->changed, NULL);
	*sink = (struct sink){.write = target_write,
	    .context = target,
	    .slow_words = "it was slow",
	    .notice_prefix = "",
	    .ring = &ring};
	CHECK(sink_init(sink) == 0);
	return target;
}

static void end(struct sink *sink, struct target *target)
{
	CHECK(sink_finish(sink, 10000));
	ring_close(&ring);
	free(target);
}

static void offer(struct sink *sink, const char *bytes, size_t length, bool begins_line)
{
	sink_offer(sink, bytes, length, begins_line);
	ring_commit(&ring);
	sink_publish(sink);
}

static void fill(struct sink *sink, int lines)
{
	static char line[1024];

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\n';
	for (int i = 0; i < lines; i++)
		offer(sink, line, sizeof(line), true);
}

TEST("what is offered arrives in order")
{
	struct sink sink;
	struct target *target = new_target(&sink);

	offer(&sink, "one\ntwo\n", 8, true);
	offer(&sink, "pie", 3, true);
	sink_say(&sink, "ours");
	offer(&sink, "ce\n", 3, false);
	CHECK(sink_finish(&sink, 10000));

	CHECK_TEXT(target->bytes, "one\ntwo\npie\nours\nce\n");
	end(&sink, target);
}

TEST("a held target costs whole lines, which are counted and said once there is room")
{
	struct sink sink;
	struct target *target = new_target(&sink);
	struct sink_losses losses;
	char *notice;

	target_hold(target, true);
	fill(&sink, 2000);
	losses = sink_take_losses(&sink);

	CHECK(sink_is_dropping(&sink));
	CHECK(losses.lines > 900 && losses.lines < 1100 && losses.bytes == losses.lines * 1024 &&
	      losses.error == 0);
	sink_settle(&sink);
	CHECK(sink_is_dropping(&sink));

	target_hold(target, false);
	CHECK(sink_finish(&sink, 10000));
	CHECK(!sink_is_dropping(&sink));
	notice = strstr(target->bytes, "[holdfast] ");
	if (CHECK(notice != NULL && strstr(notice, "were dropped here: it was slow\n") != NULL)) {
		CHECK(strtoull(notice + 11, NULL, 10) == losses.lines);
		CHECK((notice - target->bytes) % 1024 == 0 && notice[-1] == '\n');
	}
	end(&sink, target);
}

TEST("after a loss the next line is whole, and the notice stands where the loss was")
{
	struct sink sink;
	struct target *target = new_target(&sink);
	const char *notice;

	target_hold(target, true);
	fill(&sink, 2000);
	offer(&sink, "begun ", 6, true);
	target_hold(target, false);
	target_await(target, 16);
	offer(&sink, "and ended\nnext\n", 15, false);
	for (int tries = 0; sink_is_dropping(&sink) && tries < 100; tries++) {
		usleep(10000);
		offer(&sink, "more\n", 5, true);
	}
	CHECK(sink_finish(&sink, 10000));

	notice = strstr(target->bytes, "[holdfast] ");
	CHECK(notice != NULL && notice[-1] == '\n');
	CHECK(strstr(target->bytes, "and ended") == NULL);
	end(&sink, target);
}

TEST("a full disk is named, and what was kept is written once there is room")
{
	struct sink sink;
	struct target *target = new_target(&sink);
	struct sink_losses losses;

	target_set_error(target, ENOSPC);
	offer(&sink, "kept\n", 5, true);
	target_await(target, 1);
	/* The error is noted when the write has returned. */
	for (int error = 0; error == 0; usleep(1000)) {
		pthread_mutex_lock(&sink.lock);
		error = sink.error;
		pthread_mutex_unlock(&sink.lock);
	}
	fill(&sink, 2000);
	losses = sink_take_losses(&sink);

	CHECK(losses.error == ENOSPC);
	CHECK_TEXT(sink_loss_words(&sink, losses.error), "the disk was full");
	target_set_error(target, 0);
	target_await(target, 3);
	CHECK(memcmp(target->bytes, "kept\n", 5) == 0);
	end(&sink, target);
}

TEST("a target that never returns does not keep us from ending")
{
	struct sink sink;
	struct target *target = new_target(&sink);

	target_hold(target, true);
	offer(&sink, "lost\n", 5, true);

	CHECK(!sink_finish(&sink, 50));
	target_hold(target, false);
	end(&sink, target);
}

static char directory[] = "/tmp/holdfast-sink-XXXXXX";

static int64_t size_of(const char *name)
{
	char path[128];
	struct stat stat_of;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return stat(path, &stat_of) == 0 ? stat_of.st_size : -1;
}

static void remove_all(void)
{
	static const char *const names[] = {
	    "console.log", "console.log.1", "console.log.2", "console.log.3", "console.log.4"};
	char path[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	rmdir(directory);
}

TEST("the file rotates between lines and stays within its bounds")
{
	struct logfile logfile;
	static char lines[64 * 1024];
	int64_t total = 0;

	CHECK(mkdtemp(directory) != NULL);
	for (size_t i = 0; i < sizeof(lines); i++)
		lines[i] = i % 100 == 99 ? '\n' : 'x';
	logfile_init(&logfile, directory, 5 * 4 * 150 * 1000);
	CHECK(logfile.limit_bytes == 150 * 1000);
	for (int i = 0; i < 40; i++) {
		size_t done = 0;

		/* Whole lines only: 65500 bytes. */
		while (done < 65500) {
			ssize_t written = logfile_write(&logfile, lines + done, 65500 - done);

			if (!CHECK(written > 0))
				return;
			done += (size_t)written;
		}
	}
	logfile_close(&logfile);

	for (int i = 0; i < 5; i++) {
		static const char *const names[] = {
		    "console.log", "console.log.1", "console.log.2", "console.log.3", "console.log.4"};
		int64_t size = size_of(names[i]);

		CHECK(size > 0 && size <= 150 * 1000 && size % 100 == 0);
		total += size;
	}
	CHECK(total > 4 * 149 * 1000);
	CHECK(size_of("console.log.5") < 0);
	remove_all();
}

TEST("a file that was removed or moved is begun again; one that is not a file is refused")
{
	struct logfile logfile;
	char path[128], moved[128];
	struct stat stat_of;

	snprintf(directory, sizeof(directory), "/tmp/holdfast-sink-XXXXXX");
	CHECK(mkdtemp(directory) != NULL);
	snprintf(path, sizeof(path), "%s/console.log", directory);
	logfile_init(&logfile, directory, 0);
	CHECK(logfile.limit_bytes == LOGFILE_BYTES_MIN);
	CHECK(logfile_write(&logfile, "one\n", 4) == 4);
	CHECK(stat(path, &stat_of) == 0 && (stat_of.st_mode & 0777) == 0600);
	unlink(path);
	CHECK(logfile_write(&logfile, "two\n", 4) == 4);
	CHECK(size_of("console.log") == 4);
	snprintf(moved, sizeof(moved), "%s/moved.log", directory);
	CHECK(rename(path, moved) == 0);
	CHECK(logfile_write(&logfile, "drei\n", 5) == 5);
	CHECK(size_of("console.log") == 5);
	unlink(moved);

	unlink(path);
	CHECK(mkfifo(path, 0600) == 0);
	CHECK(logfile_write(&logfile, "three\n", 6) < 0);
	unlink(path);
	CHECK(symlink("/dev/null", path) == 0);
	CHECK(logfile_write(&logfile, "three\n", 6) == -ELOOP);
	remove_all();
	CHECK(logfile_write(&logfile, "three\n", 6) == -ENOENT);
}
