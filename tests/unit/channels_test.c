/* Which channel of a gateway that is well is dead, and what is done about it; by a clock of the test's own.
 */
#include <stdio.h>
#include <string.h>

#include "core/channels.h"
#include "sentry/channels.h"
#include "tests/support/tap.h"

#define MINUTE_MS 60000

static struct channels_settings settings;
static struct channels channels;
static struct channel_look look;
static struct channels_verdict verdict;

/* As 2026.9.6 has them, seen with a bot of Telegram's. */
static void it_is_connected(void)
{
	look.running = look.connected = CHANNEL_YES;
	look.pending = CHANNEL_NO;
	look.health = CHANNEL_HEALTH_UNSAID;
	look.restarts = 0;
	look.connected_real_ms = look.at_ms;
	look.error[0] = '\0';
}

static void it_is_refused(void)
{
	look.running = look.connected = look.pending = CHANNEL_NO;
	look.health = CHANNEL_HEALTH_BLOCKED;
	look.stopped_real_ms = look.at_ms + 1;
	snprintf(look.error, sizeof(look.error), "Unauthorized");
}

static void it_was_given_up(void)
{
	it_is_refused();
	look.health = CHANNEL_HEALTH_NOT_RUNNING;
	look.restarts = 10;
}

static void it_is_disconnected(void)
{
	look.running = CHANNEL_YES;
	look.connected = look.pending = CHANNEL_NO;
	look.health = CHANNEL_HEALTH_DISCONNECTED;
	snprintf(look.error, sizeof(look.error), "socket closed");
}

static void it_starts(void)
{
	look.running = CHANNEL_YES;
	look.connected = CHANNEL_NO;
	look.health = CHANNEL_HEALTH_UNSAID;
	look.started_real_ms = look.at_ms + 2;
	look.error[0] = '\0';
}

static void it_was_stopped_by_somebody(void)
{
	look.running = look.connected = look.pending = CHANNEL_NO;
	look.health = CHANNEL_HEALTH_NOT_RUNNING;
	look.restarts = 0;
	look.stopped_real_ms = look.at_ms + 1;
}

static void when_looked_at(int64_t after_ms)
{
	look.at_ms += after_ms;
	channels_step(&channels, &look, true, &verdict);
}

static void given_a_channel_that_works(void)
{
	settings = (struct channels_settings){.dead_ms = MINUTE_MS, .restarts = true};
	channels_init(&channels, &settings);
	look = (struct channel_look){.generation = 3,
	    .at_ms = 1000000,
	    .channel = "telegram",
	    .account = "default",
	    .enabled = CHANNEL_YES,
	    .configured = CHANNEL_YES,
	    .started_real_ms = 5,
	    .has_ladder = 1};
	it_is_connected();
	when_looked_at(0);
	CHECK(verdict.state == CHANNEL_UP && !verdict.dead && !verdict.recovered);
}

static void answered(enum channel_outcome outcome)
{
	channels_restarted(&channels, look.channel, look.account, outcome, look.at_ms, &verdict);
}

/* Returns the minute of the first restart; 0: none. */
static int restart_within(int minutes)
{
	for (int i = 1; i <= minutes; i++) {
		when_looked_at(MINUTE_MS);
		if (verdict.restart)
			return i;
	}
	return 0;
}

TEST("dead in two looks a minute apart it is told and restarted, and connected again that is told")
{
	void (*const deaths[])(void) = {it_is_refused, it_was_given_up, it_is_disconnected};

	for (size_t i = 0; i < 3; i++) {
		given_a_channel_that_works();
		deaths[i]();
		when_looked_at(MINUTE_MS);
		CHECK(!verdict.dead && !verdict.restart);
		when_looked_at(MINUTE_MS - 1);
		CHECK(!verdict.dead && !verdict.restart);
		when_looked_at(1);
		CHECK(verdict.dead && verdict.restart && verdict.tries == 1 && verdict.dead_ms == MINUTE_MS);
		answered(CHANNEL_STARTED);
		CHECK(!verdict.failed && verdict.tries == 1);
		it_starts();
		when_looked_at(10000);
		CHECK(!verdict.dead && !verdict.recovered && !verdict.failed);
		it_is_connected();
		when_looked_at(10000);
		CHECK(verdict.recovered && verdict.tries == 1 && verdict.dead_ms == MINUTE_MS + 20000);
		CHECK(restart_within(300) == 0 && !verdict.recovered);
	}
}

TEST("what never worked cannot fail; what worked before anybody looked can")
{
	given_a_channel_that_works();
	channels_init(&channels, &settings);
	look.connected_real_ms = 0;
	it_is_refused();
	CHECK(restart_within(100) == 0);
	look.connected_real_ms = 17;
	CHECK(restart_within(2) == 2);
}

TEST("what is disabled, not configured or logged out, or was stopped by somebody, is nobody's failure")
{
	given_a_channel_that_works();
	it_was_stopped_by_somebody();
	CHECK(restart_within(100) == 0);
	/* An old error of it is still there. */
	snprintf(look.error, sizeof(look.error), "socket closed");
	look.restarts = 9;
	CHECK(restart_within(100) == 0);
	for (int way = 0; way < 4; way++) {
		given_a_channel_that_works();
		it_is_refused();
		look.enabled = way == 0 ? CHANNEL_NO : way == 3 ? CHANNEL_UNSAID : CHANNEL_YES;
		look.configured = way == 1 ? CHANNEL_NO : CHANNEL_YES;
		look.linked = way == 2 ? CHANNEL_NO : CHANNEL_UNSAID;
		CHECK(restart_within(100) == 0);
	}
}

TEST("one that somebody stops while it is dead is left alone until it was started again")
{
	given_a_channel_that_works();
	settings.restarts = false;
	it_is_refused();
	CHECK(restart_within(5) == 0);
	look.stopped_real_ms = look.at_ms;
	when_looked_at(MINUTE_MS);
	settings.restarts = true;
	CHECK(restart_within(100) == 0);
	look.started_real_ms = look.at_ms;
	CHECK(restart_within(5) == 2);
}

TEST("while the gateway's own restart is pending it has its turn, and each start is another chance")
{
	given_a_channel_that_works();
	it_was_given_up();
	look.pending = CHANNEL_YES;
	CHECK(restart_within(100) == 0);
	look.pending = CHANNEL_NO;
	for (int i = 0; i < 20; i++) {
		look.started_real_ms = look.at_ms;
		CHECK(restart_within(1) == 0);
	}
	CHECK(restart_within(1) == 1);
}

TEST("what is not understood is no evidence, and neither are words of a plugin's own")
{
	given_a_channel_that_works();
	it_is_disconnected();
	look.health = CHANNEL_HEALTH_OTHER;
	CHECK(restart_within(100) == 0);
	look.health = CHANNEL_HEALTH_UNSAID;
	CHECK(restart_within(100) == 0);
	look.health = 77;
	CHECK(restart_within(100) == 0);
	it_is_disconnected();
	look.running = CHANNEL_UNSAID;
	CHECK(restart_within(100) == 0);
}

TEST("a restart that does not help within two minutes is told and made again, after 5, 10, 20, 40 and 60 "
     "minutes")
{
	static const int after[] = {5, 10, 20, 40, 60, 60, 60};
	int64_t asked_ms;

	given_a_channel_that_works();
	it_is_disconnected();
	CHECK(restart_within(2) == 2);
	for (size_t i = 0; i < 7; i++) {
		asked_ms = look.at_ms;
		answered(CHANNEL_STARTED);
		CHECK(verdict.quiet == (i >= CHANNELS_TRIES));
		look.started_real_ms = look.at_ms;
		when_looked_at(MINUTE_MS);
		CHECK(!verdict.failed && !verdict.restart);
		when_looked_at(MINUTE_MS);
		CHECK(verdict.failed == (i < CHANNELS_TRIES) && !verdict.restart && !verdict.dead);
		CHECK(verdict.last == (i == CHANNELS_TRIES - 1));
		CHECK(restart_within(70) > 0 && !verdict.dead);
		CHECK(look.at_ms - asked_ms == after[i] * (int64_t)MINUTE_MS);
	}
	it_is_connected();
	when_looked_at(MINUTE_MS);
	CHECK(verdict.recovered);
}

TEST("one that is refused by its server is tried three times, until it works again by other means")
{
	int restarts = 0;

	given_a_channel_that_works();
	it_is_refused();
	for (int i = 0; i < 600; i++) {
		when_looked_at(MINUTE_MS);
		restarts += verdict.restart;
		if (verdict.restart)
			answered(CHANNEL_STARTED);
	}
	CHECK(restarts == CHANNELS_TRIES);
	it_is_connected();
	when_looked_at(MINUTE_MS);
	CHECK(verdict.recovered && verdict.tries == CHANNELS_TRIES);
}

TEST("what keeps failing after it had recovered is restarted ever more seldom, until it is well for an hour")
{
	given_a_channel_that_works();
	it_is_disconnected();
	CHECK(restart_within(2) == 2);
	it_is_connected();
	CHECK(restart_within(1) == 0);
	it_is_disconnected();
	CHECK(restart_within(10) == 4); /* five minutes after the first */
	it_is_connected();
	CHECK(restart_within(61) == 0);
	it_is_disconnected();
	CHECK(restart_within(2) == 2);
	it_is_connected();
	CHECK(restart_within(1) == 0);
	it_is_disconnected();
	CHECK(restart_within(10) == 4);
}

TEST("a restart that only stopped it is made good a minute later, also when its answer was lost")
{
	given_a_channel_that_works();
	it_is_disconnected();
	CHECK(restart_within(2) == 2);
	answered(CHANNEL_LEFT_STOPPED);
	CHECK(verdict.failed && verdict.next_ms == CHANNELS_LEFT_AGAIN_MS);
	it_was_stopped_by_somebody();
	CHECK(restart_within(3) == 1);
	/* Without an answer. */
	given_a_channel_that_works();
	it_is_disconnected();
	CHECK(restart_within(2) == 2);
	it_was_stopped_by_somebody();
	when_looked_at(MINUTE_MS);
	CHECK(!verdict.failed);
	when_looked_at(MINUTE_MS);
	CHECK(verdict.failed);
	CHECK(restart_within(3) == 2);
	/* But one that was started, and is stopped then, was stopped by somebody. */
	answered(CHANNEL_STARTED);
	CHECK(restart_within(100) == 0);
}

TEST("what nobody answered, or the gateway refused, is tried again after the back-off")
{
	given_a_channel_that_works();
	it_was_given_up();
	CHECK(restart_within(2) == 2);
	answered(CHANNEL_UNREACHABLE);
	CHECK(verdict.failed && verdict.next_ms == CHANNELS_BACKOFF_MIN_MS);
	answered(CHANNEL_NOT_STARTED);
	CHECK(!verdict.failed);
	CHECK(restart_within(10) == 5);
	answered(CHANNEL_NOT_STARTED);
	CHECK(verdict.failed && verdict.next_ms == 2 * CHANNELS_BACKOFF_MIN_MS);
}

TEST("in a pause, and while the gateway is not simply running, nothing is judged; afterwards it begins anew")
{
	given_a_channel_that_works();
	it_is_disconnected();
	when_looked_at(MINUTE_MS);
	for (int i = 0; i < 100; i++) {
		look.at_ms += MINUTE_MS;
		channels_step(&channels, &look, false, &verdict);
		CHECK(!verdict.dead && !verdict.restart);
	}
	CHECK(restart_within(5) == 2);
}

TEST("looks that did not come are no evidence, and a new gateway begins anew")
{
	given_a_channel_that_works();
	it_is_disconnected();
	when_looked_at(MINUTE_MS);
	when_looked_at(3 * MINUTE_MS + 1);
	CHECK(!verdict.dead);
	CHECK(restart_within(1) == 1);
	given_a_channel_that_works();
	it_is_disconnected();
	when_looked_at(MINUTE_MS);
	look.generation++;
	look.connected_real_ms = 0;
	CHECK(restart_within(100) == 0);
}

TEST("a version that cannot restart one has each death told once, and nothing is asked")
{
	int told = 0;

	given_a_channel_that_works();
	look.has_ladder = 0;
	it_is_refused();
	look.health = CHANNEL_HEALTH_UNSAID;
	for (int i = 0; i < 100; i++) {
		when_looked_at(MINUTE_MS);
		told += verdict.dead;
		CHECK(!verdict.restart && !verdict.failed);
	}
	CHECK(told == 1);
}

TEST("with the setting off a death is told and nothing is done")
{
	given_a_channel_that_works();
	settings.restarts = false;
	it_is_refused();
	CHECK(restart_within(100) == 0);
	CHECK(channels.kept[0].told);
}

TEST("there is a place for 32, one is restarted at a time, and one that is gone gives its place away")
{
	int restarts = 0;

	given_a_channel_that_works();
	it_is_disconnected();
	for (int round = 0; round < 2; round++) {
		look.at_ms += MINUTE_MS;
		for (int i = 0; i < 40; i++) {
			snprintf(look.account, sizeof(look.account), "a%d", i);
			channels_step(&channels, &look, true, &verdict);
			restarts += verdict.restart;
		}
	}
	CHECK(channels.count == CHANNELS_MAX && channels.ignored == 2 * 9);
	CHECK(restarts == 1);
	look.at_ms += 10 * MINUTE_MS;
	snprintf(look.account, sizeof(look.account), "late");
	channels_step(&channels, &look, true, &verdict);
	CHECK(channels.ignored == 2 * 9);
}

/* --- What the gateway says --- */

static uint64_t wrong;
static struct channel_look looks[CHANNELS_MAX];

static uint32_t read_text(const char *text)
{
	static struct json_value values[512];
	static char strings[8192];
	static struct json_document document;
	struct json_fault fault;

	document = (struct json_document){
	    .values = values, .value_max = 512, .strings = strings, .string_size = sizeof(strings)};
	CHECK(json_parse(&document, text, strlen(text), JSON_STRICT, &fault) == 0);
	wrong = 0;
	return channels_read(&document, json_root(&document), true, looks, CHANNELS_MAX, &wrong);
}

TEST("the answer of 2026.9.6 is read: connected, dead with its token masked, disabled")
{
	CHECK(read_text(
	          "{\"ts\":1,\"channelAccounts\":{\"telegram\":["
	          "{\"accountId\":\"default\",\"enabled\":true,\"configured\":true,\"running\":true,"
	          "\"connected\":true,"
	          "\"restartPending\":false,\"reconnectAttempts\":0,\"lastStartAt\":1796074580597,"
	          "\"lastStopAt\":null,"
	          "\"lastConnectedAt\":1796074593124,\"lifecycle\":\"ready\",\"lastError\":null},"
	          "{\"accountId\":\"b\",\"enabled\":true,\"configured\":true,\"running\":false,\"connected\":"
	          "false,"
	          "\"restartPending\":false,\"healthState\":\"terminal-disconnect\",\"terminalDisconnect\":"
	          "true,"
	          "\"lastError\":\"GET https://x/bot123456:AAAAAAAAAAAAAAAAAAAAAAAAAAAA/getMe\\u001b[31m: "
	          "401\"},"
	          "{\"accountId\":\"off\",\"enabled\":false,\"configured\":true,\"running\":false}]}}") == 3);
	CHECK(wrong == 0 && strcmp(looks[0].channel, "telegram") == 0 &&
	      strcmp(looks[0].account, "default") == 0);
	CHECK(channel_state(&looks[0]) == CHANNEL_UP && looks[0].connected_real_ms == 1796074593124);
	CHECK(looks[0].started_real_ms == 1796074580597 && looks[0].stopped_real_ms == 0);
	CHECK(channel_state(&looks[1]) == CHANNEL_REFUSED && strchr(looks[1].error, '\033') == NULL);
	CHECK(
	    strstr(looks[1].error, "AAAA") == NULL && strstr(looks[1].error, "bot123456:***/getMe") != NULL);
	CHECK(channel_state(&looks[2]) == CHANNEL_OFF);
}

TEST("wrong shapes are counted, and never dead")
{
	static const char *const texts[] = {"{}", "[]", "null", "{\"channelAccounts\":[]}",
	    "{\"channelAccounts\":{\"x\":{}}}", "{\"channelAccounts\":{\"x\":[7,null,[],{}]}}",
	    "{\"channelAccounts\":{\"x\":[{\"accountId\":7}]}}",
	    "{\"channelAccounts\":{\"\":[{\"accountId\":\"a\"}]}}",
	    "{\"channelAccounts\":{\"x\":[{\"accountId\":\"a\\u0000b\"}]}}",
	    "{\"channelAccounts\":{\"x\":[{\"accountId\":\"a\\nb\"}]}}",
	    "{\"channelAccounts\":{\"this name is longer than any of a channel "
	    "is\":[{\"accountId\":\"a\"}]}}",
	    "{\"channelAccounts\":{\"x\":[{\"accountId\":\"a\",\"enabled\":\"yes\",\"configured\":true,"
	    "\"running\":false,\"healthState\":\"terminal-disconnect\"}]}}",
	    "{\"channelAccounts\":{\"x\":[{\"accountId\":\"a\",\"enabled\":true,\"configured\":true,"
	    "\"running\":false,"
	    "\"healthState\":[\"terminal-disconnect\"],\"reconnectAttempts\":-1,\"lastError\":{\"a\":1}}]}}",
	    "{\"channelAccounts\":{\"x\":[{\"accountId\":\"a\",\"enabled\":true,\"configured\":true,"
	    "\"running\":1,"
	    "\"lastStartAt\":1e300}]}}"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		uint32_t count = read_text(texts[i]);

		CHECK(wrong > 0);
		for (uint32_t j = 0; j < count; j++)
			CHECK(channel_state(&looks[j]) < CHANNEL_DEAD);
	}
}
