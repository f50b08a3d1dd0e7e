#include "sentry/channels.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "base/mask.h"
#include "sentry/autopsy.h"

#define PERIOD_INTERVALS 2
#define QUICK_SHARE      6 /* of a period */
#define MS_MAX           1e15
#define RESTARTS_MAX     1000000
#define TOKEN_DIGITS_MIN 6
#define TOKEN_REST_MIN   20

/* --- Reading --- */

struct reader {
	const struct json_document *document;
	uint64_t *wrong;
};

static const struct json_value *member(
    const struct reader *reader, const struct json_value *object, const char *key, enum json_type type)
{
	const struct json_value *value = json_find(reader->document, object, key);

	if (value == NULL || value->type == JSON_NULL)
		return NULL;
	*reader->wrong += value->type != type;
	return value->type == type ? value : NULL;
}

static uint32_t read_word(const struct reader *reader, const struct json_value *account, const char *key)
{
	const struct json_value *value = member(reader, account, key, JSON_BOOL);

	if (value == NULL)
		return CHANNEL_UNSAID;
	return value->boolean ? CHANNEL_YES : CHANNEL_NO;
}

static double read_number(
    const struct reader *reader, const struct json_value *account, const char *key, double max)
{
	const struct json_value *value = member(reader, account, key, JSON_NUMBER);

	if (value == NULL)
		return 0;
	if (value->number >= 0 && value->number <= max)
		return value->number;
	++*reader->wrong;
	return 0;
}

/* A name is given back to the gateway as it is: one that does not fit is none. */
static bool copy_name(char *target, size_t size, const char *bytes, size_t length)
{
	if (length == 0 || length >= size || strlen(bytes) != length)
		return false;
	for (size_t i = 0; i < length; i++)
		if (iscntrl((unsigned char)bytes[i]))
			return false;
	return text_copy(target, size, bytes);
}

/* A bot's token, as in an address of Telegram's: digits, a colon, and the secret. */
static void mask_bot_tokens(char *text)
{
	char *colon = text;

	while ((colon = strchr(colon, ':')) != NULL) {
		size_t digits = 0, rest = 0;

		while (colon - digits > text && isdigit((unsigned char)colon[-(ptrdiff_t)digits - 1]))
			digits++;
		for (colon++;
		     isalnum((unsigned char)colon[rest]) || colon[rest] == '-' || colon[rest] == '_';)
			rest++;
		if (digits < TOKEN_DIGITS_MIN || rest < TOKEN_REST_MIN)
			continue;
		memcpy(colon, MASK_SHOWN, strlen(MASK_SHOWN));
		memmove(colon + strlen(MASK_SHOWN), colon + rest, strlen(colon + rest) + 1);
	}
}

static void read_error(
    const struct reader *reader, const struct json_value *account, struct channel_look *look)
{
	const struct json_value *value = member(reader, account, "lastError", JSON_STRING);
	char whole[4 * CHANNEL_ERROR_MAX];

	if (value == NULL)
		return;
	mask_secrets(value->string.bytes, strlen(value->string.bytes), whole, sizeof(whole));
	mask_bot_tokens(whole);
	autopsy_clean(whole);
	text_copy(look->error, sizeof(look->error), whole);
}

/* healthState. Some words a plugin may say of itself. */
static uint32_t read_health(const struct reader *reader, const struct json_value *account)
{
	static const struct {
		const char *word;
		enum channel_health health;
	} words[] = {{"healthy", CHANNEL_HEALTH_FINE}, {"busy", CHANNEL_HEALTH_FINE},
	    {"startup-connect-grace", CHANNEL_HEALTH_FINE}, {"reconnect-grace", CHANNEL_HEALTH_FINE},
	    {"not-running", CHANNEL_HEALTH_NOT_RUNNING}, {"disconnected", CHANNEL_HEALTH_DISCONNECTED},
	    {"ingress-unavailable", CHANNEL_HEALTH_DEAF}, {"terminal-disconnect", CHANNEL_HEALTH_BLOCKED},
	    {"blocked", CHANNEL_HEALTH_BLOCKED}};
	const struct json_value *value = member(reader, account, "healthState", JSON_STRING);

	if (value == NULL)
		return CHANNEL_HEALTH_UNSAID;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (json_string_is(value, words[i].word))
			return words[i].health;
	return CHANNEL_HEALTH_OTHER;
}

static bool read_account(const struct reader *reader, const struct json_value *channel,
    const struct json_value *account, struct channel_look *look)
{
	const struct json_value *id =
	    account->type == JSON_OBJECT ? json_find(reader->document, account, "accountId") : NULL;

	*look = (struct channel_look){0};
	if (id == NULL || id->type != JSON_STRING ||
	    !copy_name(look->account, sizeof(look->account), id->string.bytes, id->string.length) ||
	    !copy_name(look->channel, sizeof(look->channel), channel->key, channel->key_length))
		return false;
	look->enabled = read_word(reader, account, "enabled");
	look->configured = read_word(reader, account, "configured");
	look->linked = read_word(reader, account, "linked");
	look->running = read_word(reader, account, "running");
	look->connected = read_word(reader, account, "connected");
	look->pending = read_word(reader, account, "restartPending");
	look->health = read_health(reader, account);
	look->restarts = (uint32_t)read_number(reader, account, "reconnectAttempts", RESTARTS_MAX);
	look->started_real_ms = (int64_t)read_number(reader, account, "lastStartAt", MS_MAX);
	look->stopped_real_ms = (int64_t)read_number(reader, account, "lastStopAt", MS_MAX);
	look->connected_real_ms = (int64_t)read_number(reader, account, "lastConnectedAt", MS_MAX);
	read_error(reader, account, look);
	return true;
}

uint32_t channels_read(const struct json_document *document, const struct json_value *payload,
    bool has_ladder, struct channel_look *looks, uint32_t max, uint64_t *wrong)
{
	const struct reader reader = {document, wrong};
	const struct json_value *channels =
	    payload != NULL ? json_find(document, payload, "channelAccounts") : NULL;
	uint32_t count = 0;

	if (channels == NULL || channels->type != JSON_OBJECT) {
		++*wrong;
		return 0;
	}
	for (const struct json_value *channel = json_first(document, channels); channel != NULL;
	     channel = json_next(document, channel)) {
		*wrong += channel->type != JSON_ARRAY;
		if (channel->type != JSON_ARRAY)
			continue;
		for (const struct json_value *account = json_first(document, channel);
		     account != NULL && count < max; account = json_next(document, account)) {
			if (!read_account(&reader, channel, account, &looks[count])) {
				++*wrong;
				continue;
			}
			looks[count++].has_ladder = has_ladder;
		}
	}
	return count;
}

/* --- Asking --- */

static void status_came(struct link *link, int result, const struct link_frame *frame, void *context)
{
	static struct channel_look looks[CHANNELS_MAX];
	struct channels_sense *sense = context;
	uint64_t wrong = sense->wrong, generation = sense->generation;
	uint32_t count = 0;

	sense->asking = false;
	if (generation == 0)
		return;
	if (result == 0 && frame->ok)
		count = channels_read(frame->document, frame->payload,
		    link->hello.protocol >= CHANNELS_PROTOCOL_WITH_LADDER, looks, CHANNELS_MAX,
		    &sense->wrong);
	else if (result == -EMSGSIZE || result == 0)
		sense->wrong++;
	if (sense->wrong != wrong && sense->puzzled_generation != generation) {
		sense->puzzled_generation = generation;
		sense->puzzled(sense);
	}
	for (uint32_t i = 0; i < count && sense->generation == generation; i++) {
		looks[i].generation = generation;
		looks[i].at_ms = sense->asked_ms;
		sense->looked(sense, &looks[i]);
	}
}

static int64_t period_ms(const struct channels_sense *sense)
{
	int64_t period = PERIOD_INTERVALS * sense->settings->health.interval_ms;

	return clock_boot_ms() < sense->quick_until_ms ? period / QUICK_SHARE : period;
}

static void ask(struct loop_timer *timer)
{
	struct channels_sense *sense = timer->context;
	int64_t now_ms = clock_boot_ms();

	loop_timer_arm(sense->loop, timer, now_ms + period_ms(sense));
	if (sense->asking || sense->link->state != LINK_UP)
		return;
	sense->asked_ms = now_ms;
	sense->asking = link_request(sense->link, "channels.status", "{\"probe\":false}",
	                    sense->settings->health.timeout_ms, status_came, sense) == 0;
}

void channels_sense_init(struct channels_sense *sense)
{
	sense->timer = (struct loop_timer){.callback = ask, .context = sense};
}

void channels_sense_watch(struct channels_sense *sense, uint64_t generation, bool on)
{
	if (on && sense->timer.due_ms != 0 && sense->generation == generation)
		return;
	sense->generation = on ? generation : 0;
	/* Neither with a health probe nor with what else is asked half-way between two of them. */
	if (on || sense->timer.due_ms != 0)
		loop_timer_arm(sense->loop, &sense->timer,
		    on ? clock_boot_ms() + sense->settings->health.interval_ms / 4 : 0);
}

void channels_sense_stop(struct channels_sense *sense)
{
	channels_sense_watch(sense, 0, false);
	sense->asking = false;
	sense->quick_until_ms = 0;
}

void channels_sense_hurry(struct channels_sense *sense)
{
	sense->quick_until_ms = clock_boot_ms() + CHANNELS_VERIFY_MS;
	if (sense->timer.due_ms != 0)
		loop_timer_arm(sense->loop, &sense->timer, clock_boot_ms() + period_ms(sense));
}
