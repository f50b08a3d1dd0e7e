/* Keys of profiles: from variables, files and commands; what is none, and that no sentence shows one. */
#include "relay/keys.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/tap.h"

static struct settings settings;
static struct keys keys;
static char directory[] = "/tmp/holdfast-keys-XXXXXX";

static settings_text keep(const char *text)
{
	settings_text at = settings.pool_used;

	memcpy(settings.pool + at, text, strlen(text) + 1);
	settings.pool_used += (uint32_t)strlen(text) + 1;
	return at;
}

static void given(const char *const *references)
{
	struct settings_provider *provider = &settings.relay.providers[0];

	memset(&settings, 0, sizeof(settings));
	settings.pool_used = 1;
	settings.relay.provider_count = 1;
	for (; *references != NULL; references++)
		provider->profiles[provider->profile_count++].key = keep(*references);
}

static const char *write_file(const char *name, const char *words, mode_t mode)
{
	static char path[256];
	int fd;

	if (directory[strlen(directory) - 1] == 'X' && mkdtemp(directory) == NULL)
		return NULL;
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (write(fd, words, strlen(words)) < 0 || fchmod(fd, mode) < 0)
		path[0] = '\0';
	close(fd);
	return path;
}

static void load(const char *reference)
{
	const char *const references[] = {reference, NULL};
	struct error why;

	given(references);
	CHECK(keys_load(&keys, &settings, &why) == 0);
}

TEST("a key comes from a variable, a file or a command, without the end of its line")
{
	char file[300];
	size_t length;

	setenv("KEY_OF_TEST", "sk-variable", 1);
	load("env:KEY_OF_TEST");
	CHECK_TEXT(keys_get(&keys, 0, 0, &length), "sk-variable");
	CHECK(length == 11);
	CHECK_TEXT(getenv("KEY_OF_TEST"), "");
	keys_release(&keys);

	snprintf(file, sizeof(file), "file:%s", write_file("key", "sk-file\r\n", 0600));
	load(file);
	CHECK_TEXT(keys_get(&keys, 0, 0, &length), "sk-file");
	write_file("key", "sk-other\n", 0600);
	CHECK(keys_refresh(&keys, 0, 0));
	CHECK_TEXT(keys_get(&keys, 0, 0, &length), "sk-other");
	CHECK(!keys_refresh(&keys, 0, 0));
	keys_release(&keys);

	load("exec:/bin/echo sk-command");
	CHECK_TEXT(keys_get(&keys, 0, 0, &length), "sk-command");
	keys_release(&keys);
}

TEST("what is no key is refused in one sentence that shows nothing of it")
{
	static const struct {
		const char *reference, *why;
	} cases[] = {{"env:NOT_SET_AT_ALL", "not set"}, {"exec:/bin/false", "exit code 1"},
	    {"exec:/does/not/exist", "exit code 127"}, {"file:/does/not/exist", "No such file"},
	    {"file:/dev/null", "is no file"}, {"env:WITH_BLANK", "no key has"}, {"env:EMPTY", "empty"}};
	size_t length;

	setenv("WITH_BLANK", "sk-secret secret", 1);
	setenv("EMPTY", "", 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		load(cases[i].reference);
		CHECK(keys_get(&keys, 0, 0, &length) == NULL);
		if (!CHECK(strstr(keys_why(&keys, 0, 0), cases[i].why) != NULL &&
		           strstr(keys_why(&keys, 0, 0), "secret") == NULL))
			printf("# %s: %s\n", cases[i].reference, keys_why(&keys, 0, 0));
		keys_release(&keys);
	}
}

TEST("a file that others may read is refused")
{
	char file[300];
	size_t length;

	snprintf(file, sizeof(file), "file:%s", write_file("open", "sk-open", 0640));
	load(file);
	CHECK(keys_get(&keys, 0, 0, &length) == NULL && strstr(keys_why(&keys, 0, 0), "0600") != NULL);
	keys_release(&keys);
}

TEST("one that cannot be had does not stop the others; the gateway's own is none")
{
	const char *const references[] = {"env:NOT_SET_AT_ALL", "gateway", "exec:/bin/echo sk-third", NULL};
	struct error why;
	size_t length;

	given(references);
	CHECK(keys_load(&keys, &settings, &why) == 0);
	CHECK(keys_get(&keys, 0, 0, &length) == NULL);
	CHECK(keys_get(&keys, 0, 1, &length) == NULL && keys_why(&keys, 0, 1)[0] == '\0');
	CHECK_TEXT(keys_get(&keys, 0, 2, &length), "sk-third");
	keys_release(&keys);
}

TEST("a key says how it is sent")
{
	CHECK(keys_scheme("anthropic-messages", "sk-ant-api03-x") == KEY_SCHEME_API_KEY);
	CHECK(keys_scheme("anthropic-messages", "sk-ant-oat01-x") == KEY_SCHEME_ANTHROPIC_BEARER);
	CHECK(keys_scheme("openai-completions", "sk-x") == KEY_SCHEME_BEARER);
}
