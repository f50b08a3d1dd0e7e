/* Tells when one of the gateway's configuration files changes: what a parked gateway waits for. Files may be
 * replaced, deleted and made again, whole directories may come later. inotify says at once; a slow look every
 * few seconds also sees what inotify cannot (network file systems, the far ends of symbolic links). */
#ifndef HOLDFAST_SENTRY_WATCH_H
#define HOLDFAST_SENTRY_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/settings.h"
#include "loop/loop.h"

#define WATCH_FILES_MAX 128
#define WATCH_NAME_MAX  256

struct watch_file {
	uint32_t directory; /* index into settings->gateway.watched: the directory is that file's */
	char name[WATCH_NAME_MAX];
	bool exists;
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec modified;
};

struct watch {
	struct loop *loop;
	const struct settings *settings;
	void (*changed)(struct watch *watch, const char *path);
	void *context;

	/* Private. */
	struct loop_source source;
	struct loop_timer quiet, look;
	int64_t first_event_ms; /* of the changes being waited out; 0: none */
	int64_t early_ms;       /* when a change was last found made before the watch began; 0: never */
	bool is_early;          /* one was just found */
	uint32_t file_count;
	struct watch_file files[WATCH_FILES_MAX];
};

/* Members before `source` are set. */
void watch_init(struct watch *watch);

/* The gateway starts, and reads its files about now: remembers how they are. */
void watch_remember(struct watch *watch);

/* Watches the files, against how they were when last remembered: one that was mended between the gateway's
 * start and its end is told as well, but at most once a minute, because a gateway may write its own files. On
 * false stops watching. */
void watch_set(struct watch *watch, bool on);

#endif
