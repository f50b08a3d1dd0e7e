/* A home of its own for each test of the settings: an OpenClaw in PATH with an ordinary configuration, and
 * nothing of Holdfast's. "%" in an expected sentence stands for that home. */
#ifndef HOLDFAST_TESTS_SUPPORT_SETTINGS_HOME_H
#define HOLDFAST_TESTS_SUPPORT_SETTINGS_HOME_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "config/load.h"
#include "config/schema.h"
#include "tests/support/tap.h"

#define VARIABLES_MAX 16

static struct settings settings;
static struct error why;
static char home[64], remarks[4096];
static char *variables[VARIABLES_MAX];
static struct settings_flags flags;

static inline int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
	return remove(path);
}

static inline void home_remove(void)
{
	nftw(home, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	for (int i = 0; i < VARIABLES_MAX; i++) {
		free(variables[i]);
		variables[i] = NULL;
	}
}

static inline const char *at_home(const char *name)
{
	static char path[4][PATH_MAX];
	static int next;

	next = (next + 1) % 4;
	snprintf(path[next], PATH_MAX, "%s/%s", home, name);
	return path[next];
}

static inline void put_bytes(const char *name, const char *bytes, size_t length, mode_t mode)
{
	int fd = open(at_home(name), O_WRONLY | O_CREAT | O_TRUNC, mode);

	if (fd < 0 || write(fd, bytes, length) != (ssize_t)length)
		abort();
	close(fd);
}

static inline void put(const char *name, const char *text)
{
	put_bytes(name, text, strlen(text), 0600);
}

static inline void set(const char *format, const char *value)
{
	for (int i = 0; i < VARIABLES_MAX - 1; i++)
		if (variables[i] == NULL) {
			if (asprintf(&variables[i], format, value) < 0)
				abort();
			return;
		}
	abort();
}

/* A home with an OpenClaw in PATH that has an ordinary configuration, and nothing of Holdfast's. */
static inline void home_make(void)
{
	static bool registered;

	if (*home != '\0')
		home_remove();
	else if (!registered)
		registered = atexit(home_remove) == 0;
	text_copy(home, sizeof(home), "/tmp/holdfast-settings-XXXXXX");
	if (mkdtemp(home) == NULL || mkdir(at_home(".openclaw"), 0700) < 0 || mkdir(at_home("bin"), 0700) < 0)
		abort();
	put(".openclaw/openclaw.json", "{ gateway: { port: 19000 } }");
	put_bytes("bin/openclaw", "#!/bin/sh\n", 10, 0700);
	put_bytes("bin/other", "#!/bin/sh\n", 10, 0700);
	flags = (struct settings_flags){0};
	set("HOME=%s", home);
	set("PATH=%s/bin", home);
	set("XDG_RUNTIME_DIR=%s", home);
}

static inline void take_remark(void *context, const char *sentence)
{
	size_t length = strlen(remarks);

	snprintf(remarks + length, sizeof(remarks) - length, "%s\n", sentence);
}

static inline int load(void)
{
	*remarks = '\0';
	why = (struct error){0};
	return settings_load(&settings, &flags, variables, take_remark, NULL, &why);
}

static inline const char *text_of(settings_text offset)
{
	return settings_string(&settings, offset);
}

static inline const char *origin_of(const char *path)
{
	return text_of(settings.origins[schema_index(path)]);
}

/* `pattern` with the home for each "%". */
static inline const char *with_home(const char *pattern)
{
	static char data[2048];
	struct text text;

	text_init(&text, data, sizeof(data));
	for (; *pattern != '\0'; pattern++)
		if (*pattern == '%')
			text_add(&text, home);
		else
			text_add_bytes(&text, pattern, 1);
	return data;
}

static inline void check_loads(void)
{
	if (!CHECK(load() == 0))
		printf("# %s\n", why.text);
}

static inline void check_refused(const char *sentence)
{
	CHECK(load() < 0);
	CHECK_TEXT(why.text, with_home(sentence));
}

#endif
