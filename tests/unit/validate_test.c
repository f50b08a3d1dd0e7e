/* The gateway's own program is asked about its configuration: what it says, and what may go wrong. The
 * programs here are scripts in its place. */
#include "support/tap.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "sentry/validate.h"

#define PATIENCE_MS 20000

static char home[64], said[MESSAGE_TEXT_MAX];
static struct settings settings;
static struct loop loop;
static struct validate validate;
static int answers;
static enum validate_answer last;

static const char *at(const char *name)
{
	static char paths[4][PATH_MAX];
	static int next;

	next = (next + 1) % 4;
	snprintf(paths[next], PATH_MAX, "%s/%s", home, name);
	return paths[next];
}

static settings_text pool_add(const char *text)
{
	settings_text offset = settings.pool_used;

	text_copy(settings.pool + offset, sizeof(settings.pool) - offset, text);
	settings.pool_used += (uint32_t)strlen(text) + 1;
	return offset;
}

static void answered(struct validate *from, enum validate_answer answer, const char *why)
{
	(void)from;
	answers++;
	last = answer;
	text_copy(said, sizeof(said), why);
}

/* The program is a script of these words, run as "SCRIPT config validate --json". */
static void given_program(const char *script)
{
	int fd;

	text_copy(home, sizeof(home), "/tmp/holdfast-validate-XXXXXX");
	if (mkdtemp(home) == NULL || (fd = open(at("program"), O_WRONLY | O_CREAT | O_CLOEXEC, 0700)) < 0)
		abort();
	if (dprintf(fd, "#!/bin/sh\ncd %s\n%s\n", home, script) < 0)
		abort();
	close(fd);
	memset(&settings, 0, sizeof(settings));
	settings.pool_used = 1;
	settings.gateway.arguments[0] = pool_add(at("program"));
	settings.gateway.arguments[1] = pool_add("gateway");
	settings.gateway.arguments[2] = pool_add("run");
	settings.gateway.argument_count = 3;
	settings.gateway.config_path = pool_add(at("openclaw.json"));
	settings.gateway.variables[0] = pool_add("OF_ITS_OWN=1");
	settings.gateway.variable_count = 1;
	settings.secrets[0] = pool_add("OUR_SECRET");
	settings.secret_count = 1;
	if (loop_init(&loop) < 0)
		abort();
	memset(&validate, 0, sizeof(validate));
	validate.loop = &loop;
	validate.settings = &settings;
	validate.facts = gateway_facts(GATEWAY_OPENCLAW);
	validate.max_ms = VALIDATE_MAX_MS;
	validate.answered = answered;
	validate_init(&validate);
	answers = 0;
	said[0] = '\0';
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status, (void)type, (void)place;
	return remove(path);
}

static void program_gone(void)
{
	validate_finish(&validate);
	loop_release(&loop);
	nftw(home, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void wait_answer(void)
{
	int64_t until_ms = clock_boot_ms() + PATIENCE_MS;

	while (answers == 0 && clock_boot_ms() < until_ms)
		loop_turn(&loop);
}

/* With an environment as main() gets it. */
static void begin(const char *const *environment)
{
	validate_begin(&validate, (char *const *)environment);
}

static void when_asked(void)
{
	const char *const environment[] = {"PATH=/usr/bin:/bin", "OUR_SECRET=hidden", "HOLDFAST_STATE_DIR=/x",
	    "NOTIFY_SOCKET=/y", "OPENCLAW_CONFIG_PATH=/other", NULL};

	begin(environment);
	wait_answer();
	CHECK(answers == 1);
}

TEST("2026.9.6 says that its configuration is valid")
{
	given_program("echo '{\"valid\":true,\"path\":\"/x/openclaw.json\",\"warnings\":[]}'");
	when_asked();
	CHECK(last == VALIDATE_VALID && validate.pid == 0);
	CHECK_TEXT(said, "");
	program_gone();
}

TEST("... or what is wrong with it")
{
	char why[MESSAGE_TEXT_MAX];

	given_program("cat <<end\n"
	              "{\n  \"ok\": false,\n  \"error\": { \"message\": \"OpenClaw config is invalid\" },\n"
	              "  \"valid\": false,\n  \"issues\": [ { \"path\": \"gateway\",\n"
	              "    \"message\": \"Unrecognized key: \\\\\"bogus\\\\\"\" } ]\n}\nend\nexit 1");
	when_asked();
	CHECK(last == VALIDATE_INVALID);
	CHECK_TEXT(said, "gateway: Unrecognized key: \"bogus\"");
	CHECK(validate_read("warning\n{\"valid\":false,\"issues\":[1]}", why) == VALIDATE_INVALID);
	CHECK_TEXT(why, "");
	CHECK(validate_read("{\"valid\":\"true\"}", why) == VALIDATE_UNKNOWN);
	program_gone();
}

TEST("2026.2.1 has no such command: only a start can tell")
{
	given_program("echo \"error: unknown option '--json'\" >&2; exit 1");
	when_asked();
	CHECK(last == VALIDATE_UNKNOWN);
	program_gone();
	given_program("");
	settings.gateway.arguments[1] = settings.gateway.arguments[2];
	when_asked();
	CHECK(last == VALIDATE_UNKNOWN);
	program_gone();
}

TEST("it gets the gateway's environment without our secrets, and low priority")
{
	char seen[8192] = "";

	given_program("env > seen; echo \"$@ $(nice)\" >> seen; echo '{\"valid\":true}'");
	when_asked();
	CHECK(last == VALIDATE_VALID && file_read(AT_FDCWD, at("seen"), seen, sizeof(seen)) > 0);
	CHECK(strstr(seen, "OUR_SECRET") == NULL && strstr(seen, "HOLDFAST_") == NULL &&
	      strstr(seen, "NOTIFY_SOCKET") == NULL);
	CHECK(strstr(seen, "OF_ITS_OWN=1") != NULL && strstr(seen, "OPENCLAW_CONFIG_PATH=/other") == NULL);
	CHECK(strstr(seen, "/openclaw.json\n") != NULL);
	CHECK(strstr(seen, "config validate --json 10\n") != NULL ||
	      strstr(seen, "config validate --json 19\n") != NULL); /* we may be nice ourselves */
	program_gone();
}

TEST("it gets no descriptor of ours but its three")
{
	int fd = open("/dev/null", O_RDONLY); /* one that is not closed by itself */
	char seen[256] = "";

	given_program(
	    "for fd in 3 4 5 6 7 8 9; do [ -e /proc/self/fd/$fd ] && readlink /proc/$$/fd/$fd; done > seen\n"
	    "echo '{\"valid\":true}'");
	when_asked();
	CHECK(last == VALIDATE_VALID && file_read(AT_FDCWD, at("seen"), seen, sizeof(seen)) >= 0);
	CHECK(strstr(seen, "/dev/null") == NULL);
	close(fd);
	program_gone();
}

TEST("one that does not answer in time is ended; one that cannot be run is told")
{
	given_program("exec sleep 1000");
	validate.max_ms = 100;
	when_asked();
	CHECK(last == VALIDATE_FAILED && validate.pid == 0);
	CHECK(strstr(said, "in time") != NULL);
	program_gone();
	given_program("");
	unlink(at("program"));
	when_asked();
	CHECK(last == VALIDATE_FAILED);
	program_gone();
}

TEST("one that writes without end fills nothing")
{
	given_program("yes '{' | head -c 1000000; exit 1");
	when_asked();
	CHECK(last == VALIDATE_UNKNOWN);
	program_gone();
}

TEST("asked twice it runs once more, never two at once, and answers once, of the newest file")
{
	const char *const environment[] = {"PATH=/usr/bin:/bin", NULL};
	char seen[64] = "";

	given_program("test -e busy && echo both >> runs; touch busy; echo run >> runs; sleep 0.2; rm busy; "
	              "test -e mended && echo '{\"valid\":true}' || echo '{\"valid\":false}'");
	begin(environment);
	close(open(at("mended"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	begin(environment);
	begin(environment);
	wait_answer();
	CHECK(answers == 1 && last == VALIDATE_VALID);
	CHECK(file_read(AT_FDCWD, at("runs"), seen, sizeof(seen)) > 0);
	CHECK_TEXT(seen, "run\nrun\n");
	program_gone();
}
