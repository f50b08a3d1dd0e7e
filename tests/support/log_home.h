/* A gateway that logs, or does not yet: a home of its own, its configuration, and who follows its log. */
#ifndef HOLDFAST_TESTS_LOG_HOME_H
#define HOLDFAST_TESTS_LOG_HOME_H

#include "support/tap.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "sentry/log_follow.h"

#define NOON_MS INT64_C(1796040000000) /* 2026-11-30T12:00:00Z */
#define DAY_MS  (INT64_C(24) * 60 * 60 * 1000)
#define TODAY   "openclaw/openclaw-2026-11-30.log"

static struct settings settings;
static struct log_follow follow;
static char home[64], heard[4096], preferred[PATH_MAX];
static size_t heard_bytes;
static int heard_lines;
static int64_t now_ms;
static const char *variables[8][2];

static bool find_variable(void *context, const char *name, char *value, size_t size)
{
	(void)context;
	for (int i = 0; i < 8 && variables[i][0] != NULL; i++)
		if (strcmp(variables[i][0], name) == 0) {
			text_copy(value, size, variables[i][1]);
			return true;
		}
	return false;
}

static const struct token_environment environment = {find_variable, NULL};

static void on_line(struct log_follow *from, const char *line, size_t length)
{
	size_t filled = strlen(heard);

	(void)from;
	if (line[length] != '\0')
		abort();
	heard_lines++;
	heard_bytes += length;
	if (length < 100)
		snprintf(heard + filled, sizeof(heard) - filled, "%s%s", filled > 0 ? " " : "", line);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	(void)type;
	(void)place;
	return remove(path);
}

static inline const char *at_home(const char *name)
{
	static char path[4][PATH_MAX];
	static int next;

	next = (next + 1) % 4;
	snprintf(path[next], PATH_MAX, "%s/%s", home, name);
	return path[next];
}

static inline void write_bytes(const char *name, const char *bytes, size_t length, int flags)
{
	int fd = open(at_home(name), O_WRONLY | O_CREAT | flags, 0600);

	if (fd < 0 || write(fd, bytes, length) != (ssize_t)length)
		abort();
	close(fd);
}

static inline void add(const char *name, const char *text)
{
	write_bytes(name, text, strlen(text), O_APPEND);
}

static inline void add_many(const char *name, size_t length, char byte)
{
	char *bytes = malloc(length);

	if (bytes == NULL)
		abort();
	memset(bytes, byte, length);
	write_bytes(name, bytes, length, O_APPEND);
	free(bytes);
}

static inline settings_text setting(const char *text)
{
	settings_text offset = settings.pool_used + 1;

	if (!text_copy(settings.pool + offset, sizeof(settings.pool) - offset, text))
		abort();
	settings.pool_used = offset + (uint32_t)strlen(text);
	return offset;
}

static inline void variable(int place, const char *name, const char *value)
{
	variables[place][0] = name;
	variables[place][1] = value;
}

/* Given: an OpenClaw with this configuration, which has not logged anything yet. */
static inline void given(const char *config)
{
	memcpy(home, "/tmp/holdfast-log-XXXXXX", sizeof("/tmp/holdfast-log-XXXXXX"));
	setenv("TZ", "UTC0", 1);
	tzset();
	if (mkdtemp(home) == NULL || mkdir(at_home("openclaw"), 0700) < 0 || mkdir(at_home("tmp"), 0700) < 0)
		abort();
	memset(&settings, 0, sizeof(settings));
	memset(variables, 0, sizeof(variables));
	settings.gateway.kind = GATEWAY_OPENCLAW;
	settings.gateway.config_path = setting(at_home("openclaw.json"));
	settings.gateway.state_directory = setting(home);
	settings.gateway.working_directory = setting(home);
	variable(0, "HOME", home);
	variable(1, "TMPDIR", "/nowhere");
	add("openclaw.json", config);
	text_copy(preferred, sizeof(preferred), at_home("openclaw"));
	memset(&follow, 0xa5, sizeof(follow));
	follow.settings = &settings;
	follow.environment = &environment;
	follow.line = on_line;
	follow.directory = preferred;
	log_follow_init(&follow);
	now_ms = NOON_MS;
}

static inline void start(void)
{
	*heard = '\0';
	heard_lines = 0;
	heard_bytes = 0;
	log_follow_start(&follow, now_ms);
}

static inline const char *poll_log(void)
{
	*heard = '\0';
	log_follow_poll(&follow, now_ms);
	return heard;
}

static inline void finish(void)
{
	log_follow_stop(&follow);
	CHECK(follow.fd == -1);
	nftw(home, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
