/* What the real gateways said on their way out, in both versions, and what is read from it. */
#include "support/tap.h"

#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "config/settings.h"
#include "gateway/gateway.h"
#include "sentry/line.h"
#include "sentry/tail.h"
#include "sentry/words.h"

static char console[512 * 1024];
static struct tail tail;

static void read_console(const char *name, uint32_t *words, char *line, size_t line_size)
{
	static char kept[TAIL_BYTES];
	char path[512];
	ssize_t length;

	snprintf(path, sizeof(path), "%s/console/%s.log", TEST_DATA, name);
	length = file_read(AT_FDCWD, path, console, sizeof(console));
	if (!CHECK(length > 0))
		return;
	memset(&tail, 0, sizeof(tail));
	tail_add(&tail, console, (size_t)length);
	words_read(gateway_facts(GATEWAY_OPENCLAW), kept, tail_copy(&tail, 0, UINT64_MAX, kept), words, line,
	    line_size);
}

static void check(const char *name, enum exit_words wanted, const char *part)
{
	char line[MESSAGE_TEXT_MAX] = "";
	uint32_t words = WORDS_COUNT;

	read_console(name, &words, line, sizeof(line));
	if (!CHECK(words == (uint32_t)wanted) || !CHECK(strstr(line, part) != NULL))
		printf("# %s: %u: %s\n", name, words, line);
}

TEST("a refused configuration is recognised, and the line says what is wrong")
{
	check("2026.9.6-bad-key", WORDS_CONFIG_INVALID, "openclaw.json: <root>: Unrecognized key: \"bogus\"");
	check("2026.9.6-bad-type", WORDS_CONFIG_INVALID, "logging.level: Invalid input");
	check("2026.9.6-broken-json", WORDS_CONFIG_INVALID, "Gateway start blocked");
	check("2026.9.6-missing-include", WORDS_CONFIG_INVALID, "Failed to read include file");
	check("2026.9.6-no-mode", WORDS_CONFIG_INVALID, "missing gateway.mode");
	check("2026.9.6-no-config", WORDS_CONFIG_INVALID, "Missing config");
	check(
	    "2026.2.1-bad-key", WORDS_CONFIG_INVALID, "Config invalid: <root>: Unrecognized key: \"bogus\"");
	check("2026.2.1-bad-type", WORDS_CONFIG_INVALID, "Invalid config at");
	check("2026.2.1-broken-json", WORDS_CONFIG_INVALID, "Config invalid: <root>: JSON5 parse failed");
	check("2026.2.1-missing-include", WORDS_CONFIG_INVALID, "Config invalid");
	check("2026.2.1-no-mode", WORDS_CONFIG_INVALID, "set gateway.mode=local");
	check("2026.2.1-no-config", WORDS_CONFIG_INVALID, "Missing config");
}

TEST("a port or a state directory that belongs to another is contention, whatever else the line advises")
{
	check("2026.9.6-port-busy", WORDS_CONTENTION, "already listening on ws://127.0.0.1:38020");
	check("2026.9.6-port-of-another-gateway", WORDS_CONTENTION, "already listening on");
	check("2026.9.6-state-in-use", WORDS_CONTENTION, "owns gateway-lifecycle");
	check("2026.2.1-port-busy", WORDS_CONTENTION, "already listening on");
	check("2026.2.1-port-of-another-gateway", WORDS_CONTENTION, "already listening on");
	check("2026.2.1-state-in-use", WORDS_CONTENTION, "gateway already running (pid 7916)");
}

TEST("a migration that a person must run is recognised")
{
	check("2026.9.6-old-auth-profiles", WORDS_MIGRATION_REQUIRED, "requires legacy credential migration");
}

TEST("a full heap is recognised")
{
	check("2026.9.6-out-of-memory", WORDS_OUT_OF_MEMORY, "JavaScript heap out of memory");
	check("2026.2.1-out-of-memory", WORDS_OUT_OF_MEMORY, "JavaScript heap out of memory");
}

TEST("a gateway that served tells nothing of its end, warnings of its start-up included")
{
	check("2026.9.6-up-and-restarted", WORDS_NONE, "");
	check("2026.9.6-restart-in-process", WORDS_NONE, "");
	check("2026.9.6-stop-with-a-run", WORDS_NONE, "");
	check("2026.2.1-up-and-restarted", WORDS_NONE, "");
}

TEST("words of a generic program are not interpreted")
{
	static const char said[] = "Gateway failed to start: Invalid config at x:\ny\n";
	char line[64];
	uint32_t words;

	words_read(gateway_facts(GATEWAY_GENERIC), said, sizeof(said) - 1, &words, line, sizeof(line));

	CHECK(words == WORDS_NONE);
	CHECK_TEXT(line, "y");
}

TEST("the latest line that tells something wins")
{
	static const char said[] =
	    "FATAL ERROR: x - JavaScript heap out of memory\n\033[31mGateway start blocked: y\033[0m\nbye";
	char line[64];
	uint32_t words;

	words_read(gateway_facts(GATEWAY_OPENCLAW), said, sizeof(said) - 1, &words, line, sizeof(line));

	CHECK(words == WORDS_CONFIG_INVALID);
	CHECK_TEXT(line, "Gateway start blocked: y");
}

static unsigned count_drains(const char *name, int64_t *budget_ms)
{
	char path[512], stripped[2048];
	unsigned count = 0;

	snprintf(path, sizeof(path), "%s/console/%s.log", TEST_DATA, name);
	CHECK(file_read(AT_FDCWD, path, console, sizeof(console)) > 0);
	for (char *rest = console, *line; (line = strsep(&rest, "\n")) != NULL;) {
		line_strip(stripped, sizeof(stripped), line, strlen(line));
		count += gateway_read_drain(gateway_facts(GATEWAY_OPENCLAW), stripped, budget_ms);
	}
	return count;
}

TEST("a drain and its budget are read from the real lines")
{
	int64_t budget_ms = 0;

	CHECK(count_drains("2026.9.6-stop-with-a-run", &budget_ms) == 2);
	CHECK(budget_ms == 315000);
	CHECK(count_drains("2026.9.6-restart-in-process", &budget_ms) == 2);
	CHECK(count_drains("2026.9.6-bad-key", &budget_ms) == 0);
	CHECK(count_drains("2026.2.1-up-and-restarted", &budget_ms) == 0);
}

TEST("a drain's budget is bounded")
{
	const struct gateway_facts *facts = gateway_facts(GATEWAY_OPENCLAW);
	int64_t budget_ms = -1;

	CHECK(gateway_read_drain(
	    facts, "draining active work before stop with timeout 99999999999999999999ms", &budget_ms));
	CHECK(budget_ms == GATEWAY_DRAIN_MAX_MS);
	CHECK(gateway_read_drain(
	    facts, "draining active work before restart without a timeout: x=1", &budget_ms));
	CHECK(budget_ms == GATEWAY_DRAIN_MAX_MS);
	CHECK(gateway_read_drain(facts, "draining active work before stop with timeout 0ms", &budget_ms) &&
	      budget_ms == 0);
	CHECK(!gateway_read_drain(facts, "still draining active work before stop: x=1", &budget_ms));
	CHECK(!gateway_read_drain(
	    gateway_facts(GATEWAY_GENERIC), "draining active work before stop with timeout 1ms", &budget_ms));
}

TEST("hints for a person are in the facts")
{
	CHECK(gateway_facts(GATEWAY_OPENCLAW)->config_exit_code == 78);
	CHECK_TEXT(gateway_facts(GATEWAY_OPENCLAW)->migration_command, "openclaw doctor --fix");
	CHECK(gateway_facts(GATEWAY_GENERIC)->boot_limit == 0);
}
