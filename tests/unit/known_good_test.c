/* gateway.configFallback in the sentry: what is kept, when, and what becomes of it. */
#include "support/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "sentry/known_good.h"

#define AFTER_MS    30
#define PATIENCE_MS 10000

static char home[64];
static struct settings settings;
static struct loop loop;
static struct known_good known_good;
static int kept_count, failed_count;
static char kept_path[PATH_MAX], failure[1024];

static const char *at(const char *name)
{
	static char paths[4][PATH_MAX];
	static int next;

	next = (next + 1) % 4;
	snprintf(paths[next], PATH_MAX, "%s/%s", home, name);
	return paths[next];
}

static void put(const char *name, const char *text)
{
	int fd CLOSE_ON_RETURN = open(at(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || file_write_all(fd, text, strlen(text)) < 0)
		abort();
}

static const char *get(const char *name)
{
	static char bytes[4096];

	return file_read(AT_FDCWD, at(name), bytes, sizeof(bytes)) < 0 ? NULL : bytes;
}

static unsigned mode_of(const char *name)
{
	struct stat status;

	return stat(at(name), &status) < 0 ? 0 : status.st_mode & 0777;
}

static bool exists(const char *name)
{
	return access(at(name), F_OK) == 0;
}

static settings_text pool_add(const char *text)
{
	settings_text offset = settings.pool_used;

	text_copy(settings.pool + offset, sizeof(settings.pool) - offset, text);
	settings.pool_used += (uint32_t)strlen(text) + 1;
	return offset;
}

static void kept(struct known_good *from, const char *path)
{
	(void)from;
	kept_count++;
	text_copy(kept_path, sizeof(kept_path), path);
}

static void failed(struct known_good *from, const char *sentence)
{
	(void)from;
	failed_count++;
	text_copy(failure, sizeof(failure), sentence);
}

static void given_known_good(void)
{
	memset(&known_good, 0, sizeof(known_good));
	known_good.loop = &loop;
	known_good.settings = &settings;
	known_good.after_ms = AFTER_MS;
	known_good.reads_state_apart = true;
	known_good.kept = kept;
	known_good.failed = failed;
	known_good_init(&known_good);
	kept_count = failed_count = 0;
}

/* A configuration of two files, one in a directory below. */
static void given_home(void)
{
	text_copy(home, sizeof(home), "/tmp/holdfast-known-good-XXXXXX");
	if (mkdtemp(home) == NULL || mkdir(at("state"), 0700) < 0 || mkdir(at("parts"), 0755) < 0)
		abort();
	memset(&settings, 0, sizeof(settings));
	settings.pool_used = 1;
	settings.gateway.config_path = pool_add(at("openclaw.json"));
	settings.state_dir = pool_add(at("state"));
	settings.gateway.config_fallback = true;
	put("openclaw.json", "{ a: { $include: './parts/a.json5' }, token: 'secret' }");
	put("parts/a.json5", "{ b: { $include: ['../c.json'] } }");
	put("c.json", "{ c: 1 }");
	if (loop_init(&loop) < 0)
		abort();
	given_known_good();
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status, (void)type, (void)place;
	return remove(path);
}

static void home_gone(void)
{
	known_good_finish(&known_good);
	loop_release(&loop);
	nftw(home, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Until what it does is told, or it does nothing more. */
static void wait_told(void)
{
	int64_t until_ms = clock_boot_ms() + PATIENCE_MS;
	int told = kept_count + failed_count;

	while (kept_count + failed_count == told && clock_boot_ms() < until_ms &&
	       (known_good.due.due_ms != 0 || known_good.busy))
		loop_turn(&loop);
}

static void when_well(void)
{
	known_good_started(&known_good, clock_boot_ms(), false);
	known_good_well(&known_good);
	wait_told();
}

TEST("what the gateway was started with is kept once it has been well, with all that it includes")
{
	given_home();
	when_well();
	CHECK(kept_count == 1 && failed_count == 0);
	CHECK_TEXT(kept_path, at("state/known-good/kept-1/openclaw.json"));
	CHECK_TEXT(get("state/known-good/kept-1/openclaw.json"),
	    "{ a: { $include: './parts/a.json5' }, token: 'secret' }");
	CHECK_TEXT(get("state/known-good/kept-1/parts/a.json5"), "{ b: { $include: ['../c.json'] } }");
	CHECK_TEXT(get("state/known-good/kept-1/c.json"), "{ c: 1 }");
	CHECK(!exists("state/known-good/new"));
	home_gone();
}

TEST("nobody else can read it")
{
	given_home();
	umask(0);
	when_well();
	umask(022);
	CHECK(mode_of("state/known-good") == 0700);
	CHECK(mode_of("state/known-good/kept-1") == 0700);
	CHECK(mode_of("state/known-good/kept-1/parts") == 0700);
	CHECK(mode_of("state/known-good/kept-1/openclaw.json") == 0600);
	CHECK(mode_of("state/known-good/kept-1/parts/a.json5") == 0600);
	home_gone();
}

TEST("a newer one takes its place; the same again is not written again")
{
	given_home();
	when_well();
	known_good_gone(&known_good);
	when_well();
	CHECK(kept_count == 1 && exists("state/known-good/kept-1") && !exists("state/known-good/kept-2"));
	known_good_gone(&known_good);
	put("c.json", "{ c: 2 }");
	when_well();
	CHECK(kept_count == 2 && !exists("state/known-good/kept-1"));
	CHECK_TEXT(get("state/known-good/kept-2/c.json"), "{ c: 2 }");
	home_gone();
}

TEST("a change that the running gateway was not started with is not kept")
{
	given_home();
	known_good_started(&known_good, clock_boot_ms(), false);
	known_good_well(&known_good);
	put("c.json", "{ c: broken");
	wait_told();
	CHECK(kept_count == 0 && failed_count == 0 && !exists("state/known-good/kept-1"));
	/* Nor is one made before a sentry came that was not there at the start. */
	known_good_started(&known_good, clock_boot_ms() - 60000, false);
	known_good_well(&known_good);
	wait_told();
	CHECK(kept_count == 0);
	/* In a new start of the same process it is. */
	put("c.json", "{ c: 3 }");
	when_well();
	CHECK(kept_count == 1);
	home_gone();
}

TEST("while something speaks against its health its time does not run")
{
	int64_t began_ms;

	given_home();
	known_good.after_ms = 200;
	began_ms = clock_boot_ms();
	known_good_started(&known_good, began_ms, false);
	known_good_well(&known_good);
	known_good_doubted(&known_good);
	CHECK(known_good.due.due_ms == 0);
	known_good_well(&known_good);
	known_good_well(&known_good); /* once more changes nothing */
	CHECK(known_good.due.due_ms >= began_ms + 200 && known_good.due.due_ms <= clock_boot_ms() + 200);
	home_gone();
}

TEST("a gateway that runs from the copy proves nothing, nor does one while this is off")
{
	given_home();
	known_good_started(&known_good, clock_boot_ms(), true);
	known_good_well(&known_good);
	CHECK(known_good.due.due_ms == 0);
	settings.gateway.config_fallback = false;
	known_good_started(&known_good, clock_boot_ms(), false);
	known_good_well(&known_good);
	CHECK(known_good.due.due_ms == 0 && !known_good_prepare(&known_good));
	home_gone();
}

TEST("a link's content is kept, and an include that a copy could not resolve is told once")
{
	given_home();
	put("elsewhere", "{ c: 'through a link' }");
	unlink(at("c.json"));
	if (symlink(at("elsewhere"), at("c.json")) < 0)
		abort();
	when_well();
	CHECK_TEXT(get("state/known-good/kept-1/c.json"), "{ c: 'through a link' }");
	for (int i = 0; i < 2; i++) {
		put("parts/a.json5",
		    i == 0 ? "{ $include: '../../outside.json' }" : "{ $include: '/etc/a.json' }");
		given_known_good();
		when_well();
		CHECK(failed_count == 1 && kept_count == 0);
		CHECK(strstr(failure, i == 0 ? "/outside.json is included" : "/etc/a.json is included") !=
		      NULL);
		known_good_finish(&known_good);
	}
	CHECK(exists("state/known-good/kept-1") && !exists("state/known-good/new"));
	home_gone();
}

TEST("a disk that takes nothing is told once; the older copy stays, and it is tried again")
{
	struct rlimit before, none;

	given_home();
	when_well();
	put("c.json", "{ c: 2 }");
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	none = (struct rlimit){4, before.rlim_max};
	setrlimit(RLIMIT_FSIZE, &none);
	known_good_gone(&known_good);
	when_well();
	CHECK(failed_count == 1 && strstr(failure, "File too large") != NULL);
	CHECK(known_good.due.due_ms != 0);
	while (!known_good.busy) /* it is tried again ... */
		loop_turn(&loop);
	while (known_good.busy)
		loop_turn(&loop);
	CHECK(failed_count == 1); /* ... and not told again */
	CHECK_TEXT(get("state/known-good/kept-1/c.json"), "{ c: 1 }");
	CHECK(!exists("state/known-good/new") && !exists("state/known-good/kept-2"));
	setrlimit(RLIMIT_FSIZE, &before);
	wait_told();
	CHECK(kept_count == 2 && failed_count == 1);
	CHECK_TEXT(get("state/known-good/kept-2/c.json"), "{ c: 2 }");
	home_gone();
}

TEST("too many and too long files are refused")
{
	static char list[4096], long_text[CONFIG_FILES_BYTES_MAX + 2];
	struct text text;

	given_home();
	text_init(&text, list, sizeof(list));
	text_add(&text, "{ $include: [");
	for (int i = 0; i < CONFIG_FILES_MAX; i++)
		text_addf(&text, "'%d.json',", i);
	text_add(&text, "] }");
	put("openclaw.json", list);
	CHECK(config_files_read(&known_good.files, at("openclaw.json"), -1, false, NULL) == -EFBIG);
	memset(long_text, ' ', sizeof(long_text) - 1);
	put("openclaw.json", long_text);
	CHECK(config_files_read(&known_good.files, at("openclaw.json"), -1, false, NULL) == -EFBIG);
	/* A pipe in a file's place, and files that include each other, keep nobody waiting. */
	put("openclaw.json", "{ $include: ['openclaw.json', 'c.json', 'pipe'] }");
	put("c.json", "{ $include: 'openclaw.json' }");
	if (mkfifo(at("pipe"), 0600) < 0)
		abort();
	CHECK(config_files_read(&known_good.files, at("openclaw.json"), -1, false, NULL) == 0);
	CHECK(known_good.files.count == 3 && known_good.files.broken);
	home_gone();
}

TEST("for a start a copy of the copy is made when the refused files say something else")
{
	given_home();
	CHECK(!known_good_prepare(&known_good)); /* nothing was kept yet */
	when_well();
	CHECK(!known_good_prepare(&known_good)); /* the copy would be refused as well */
	put("c.json", "{ c: broken");
	CHECK(known_good_prepare(&known_good));
	CHECK_TEXT(get("state/known-good/running/c.json"), "{ c: 1 }");
	CHECK(mode_of("state/known-good/running") == 0700);
	CHECK(mode_of("state/known-good/running/openclaw.json") == 0600);
	CHECK_TEXT(get("c.json"), "{ c: broken");
	/* What a gateway writes there does not reach the copy, and is gone with the next start. */
	put("state/known-good/running/c.json", "{ c: 'written' }");
	put("state/known-good/running/openclaw.json.bak", "{}");
	CHECK(known_good_prepare(&known_good));
	CHECK_TEXT(get("state/known-good/running/c.json"), "{ c: 1 }");
	CHECK(!exists("state/known-good/running/openclaw.json.bak"));
	CHECK_TEXT(get("state/known-good/kept-1/c.json"), "{ c: 1 }");
	known_good.reads_state_apart = false;
	CHECK(!known_good_prepare(&known_good));
	home_gone();
}

TEST("refused files are asked about again only when somebody has written them")
{
	bool broken;

	given_home();
	when_well();
	put("c.json", "{ c: broken");
	CHECK(!known_good_is_refused(&known_good, &broken) && broken);
	CHECK(known_good_prepare(&known_good));
	CHECK(known_good_is_refused(&known_good, &broken) && broken);
	put("new.json", "{ c: broken");
	rename(at("new.json"), at("c.json")); /* the same words in another file */
	CHECK(!known_good_is_refused(&known_good, &broken) && broken);
	put("c.json", "{ c: 4 }");
	CHECK(!known_good_is_refused(&known_good, &broken) && !broken);
	home_gone();
}
