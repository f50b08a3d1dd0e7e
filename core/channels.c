#include "core/channels.h"

#include <string.h>

#define GATEWAYS_OWN_TRIES 10 /* 2026.9.6: then it gives up */

void channels_init(struct channels *channels, const struct channels_settings *settings)
{
	memset(channels, 0, sizeof(*channels));
	channels->settings = settings;
}

const char *channel_health_name(enum channel_health health)
{
	static const char *const names[] = {
	    "unsaid", "fine", "not-running", "disconnected", "deaf", "blocked", "other"};

	return health <= CHANNEL_HEALTH_OTHER ? names[health] : "other";
}

/* What does not run was stopped by somebody, unless the gateway says that it failed: refused, or given up
 * after all of its own tries. An old version has no tries of its own, and nobody can stop a channel in it:
 * there an error says it. */
static enum channel_state state_of_still(const struct channel_look *look)
{
	if (look->health == CHANNEL_HEALTH_BLOCKED)
		return CHANNEL_REFUSED;
	if (look->error[0] == '\0' || (look->has_ladder && look->health != CHANNEL_HEALTH_NOT_RUNNING))
		return CHANNEL_STOPPED;
	return !look->has_ladder || look->restarts >= GATEWAYS_OWN_TRIES ? CHANNEL_DEAD : CHANNEL_STOPPED;
}

enum channel_state channel_state(const struct channel_look *look)
{
	if (look->enabled != CHANNEL_YES || look->configured != CHANNEL_YES || look->linked == CHANNEL_NO)
		return CHANNEL_OFF;
	if (look->pending == CHANNEL_YES)
		return CHANNEL_RECOVERING;
	if (look->running == CHANNEL_NO)
		return state_of_still(look);
	if (look->running != CHANNEL_YES || look->health == CHANNEL_HEALTH_OTHER)
		return CHANNEL_STOPPED;
	if (look->health == CHANNEL_HEALTH_DISCONNECTED || look->health == CHANNEL_HEALTH_DEAF)
		return CHANNEL_DEAD;
	return look->connected == CHANNEL_NO ? CHANNEL_RECOVERING : CHANNEL_UP;
}

static bool is_dead(enum channel_state state)
{
	return state == CHANNEL_DEAD || state == CHANNEL_REFUSED;
}

static struct channel_kept *find(struct channels *channels, const char *channel, const char *account)
{
	for (uint32_t i = 0; i < channels->count; i++)
		if (strcmp(channels->kept[i].channel, channel) == 0 &&
		    strcmp(channels->kept[i].account, account) == 0)
			return &channels->kept[i];
	return NULL;
}

static int64_t gap_ms(const struct channels *channels)
{
	return CHANNELS_GAP_LOOKS * channels->settings->dead_ms;
}

/* A place for a new one; of one that is seen no more, if need be. */
static struct channel_kept *add(struct channels *channels, const struct channel_look *look)
{
	struct channel_kept *kept = NULL;

	if (channels->count < CHANNELS_MAX)
		kept = &channels->kept[channels->count++];
	for (uint32_t i = 0; i < channels->count && kept == NULL; i++)
		if (look->at_ms - channels->kept[i].at_ms > gap_ms(channels))
			kept = &channels->kept[i];
	if (kept == NULL) {
		channels->ignored++;
		return NULL;
	}
	memset(kept, 0, sizeof(*kept));
	memcpy(kept->channel, look->channel, sizeof(kept->channel));
	memcpy(kept->account, look->account, sizeof(kept->account));
	return kept;
}

/* One at a time: a restart takes a connection and some of the gateway's time. */
static bool is_busy(const struct channels *channels, int64_t now_ms)
{
	for (uint32_t i = 0; i < channels->count; i++)
		if (channels->kept[i].asked_ms != 0 &&
		    now_ms - channels->kept[i].asked_ms < CHANNELS_VERIFY_MS)
			return true;
	return false;
}

static int64_t backoff_ms(uint32_t restarts)
{
	int64_t delay_ms = CHANNELS_BACKOFF_MIN_MS << (restarts < 8 ? restarts : 8);

	return delay_ms < CHANNELS_BACKOFF_MAX_MS ? delay_ms : CHANNELS_BACKOFF_MAX_MS;
}

static void fail(struct channel_kept *kept, int64_t now_ms, struct channels_verdict *verdict)
{
	kept->asked_ms = 0;
	if (kept->left_stopped)
		kept->again_ms = now_ms + CHANNELS_LEFT_AGAIN_MS;
	verdict->failed = kept->tries <= CHANNELS_TRIES;
	verdict->last = kept->tries == CHANNELS_TRIES;
	verdict->tries = kept->tries;
	verdict->next_ms = kept->again_ms > now_ms ? kept->again_ms - now_ms : 0;
	verdict->dead_ms = now_ms - kept->told_since_ms;
}

static void step_up(struct channel_kept *kept, int64_t now_ms, struct channels_verdict *verdict)
{
	if (kept->told) {
		verdict->recovered = true;
		verdict->tries = kept->tries;
		verdict->dead_ms = now_ms - kept->told_since_ms;
	}
	if (kept->up_since_ms == 0)
		kept->up_since_ms = now_ms;
	if (now_ms - kept->up_since_ms >= CHANNELS_WELL_MS)
		kept->backoff = 0;
	kept->has_worked = true;
	kept->told = kept->left_alone = kept->left_stopped = false;
	kept->dead_since_ms = kept->asked_ms = 0;
	kept->tries = 0;
}

static void ask(
    struct channels *channels, struct channel_kept *kept, int64_t now_ms, struct channels_verdict *verdict)
{
	if (!channels->settings->restarts || now_ms < kept->again_ms || is_busy(channels, now_ms) ||
	    (verdict->state == CHANNEL_REFUSED && kept->tries >= CHANNELS_TRIES))
		return;
	kept->asked_ms = now_ms;
	kept->answered = false;
	kept->again_ms = now_ms + backoff_ms(kept->backoff++);
	kept->tries++;
	verdict->restart = true;
	verdict->tries = kept->tries;
	verdict->quiet = kept->tries > CHANNELS_TRIES;
}

/* It is dead now. Evidence is of one death: one that was started since has had another chance, and one that
 * was stopped since was stopped by somebody. */
static void step_dead(struct channels *channels, struct channel_kept *kept, const struct channel_look *look,
    struct channels_verdict *verdict)
{
	bool is_other = kept->dead_since_ms == 0 || kept->started_real_ms != look->started_real_ms;

	if (is_other)
		kept->left_alone = false;
	else if (kept->stopped_real_ms != look->stopped_real_ms && !kept->left_stopped)
		kept->left_alone = true;
	if (is_other)
		kept->dead_since_ms = look->at_ms;
	kept->started_real_ms = look->started_real_ms;
	kept->stopped_real_ms = look->stopped_real_ms;
	if (kept->left_alone || look->at_ms - kept->dead_since_ms < channels->settings->dead_ms)
		return;
	if (!kept->told) {
		kept->told = verdict->dead = true;
		kept->told_since_ms = kept->dead_since_ms;
	}
	verdict->dead_ms = look->at_ms - kept->told_since_ms;
	if (look->has_ladder)
		ask(channels, kept, look->at_ms, verdict);
}

static void judge(struct channels *channels, struct channel_kept *kept, const struct channel_look *look,
    bool may_act, struct channels_verdict *verdict)
{
	enum channel_state state = verdict->state;

	if (state == CHANNEL_UP) {
		step_up(kept, look->at_ms, verdict);
		return;
	}
	kept->up_since_ms = 0;
	if (!may_act || (!is_dead(state) && !(state == CHANNEL_STOPPED && kept->left_stopped)))
		kept->dead_since_ms = 0;
	if (!may_act)
		return;
	/* That it is stopped while a restart is under way and unanswered is that restart's doing. */
	if (kept->asked_ms != 0 && !kept->answered && state == CHANNEL_STOPPED)
		kept->left_stopped = true;
	if (kept->asked_ms != 0 && look->at_ms - kept->asked_ms >= CHANNELS_VERIFY_MS)
		fail(kept, look->at_ms, verdict);
	else if (kept->asked_ms == 0 && kept->has_worked &&
	         (is_dead(state) || (state == CHANNEL_STOPPED && kept->left_stopped)))
		step_dead(channels, kept, look, verdict);
	if (state == CHANNEL_OFF)
		kept->told = kept->left_stopped = false;
}

void channels_step(struct channels *channels, const struct channel_look *look, bool may_act,
    struct channels_verdict *verdict)
{
	struct channel_kept *kept;

	*verdict = (struct channels_verdict){.state = channel_state(look)};
	if (look->generation != channels->generation) {
		channels_init(channels, channels->settings);
		channels->generation = look->generation;
	}
	kept = find(channels, look->channel, look->account);
	if (kept == NULL)
		kept = add(channels, look);
	if (kept == NULL || look->at_ms <= kept->at_ms)
		return;
	if (kept->at_ms != 0 && look->at_ms - kept->at_ms > gap_ms(channels))
		kept->dead_since_ms = kept->up_since_ms = 0;
	kept->at_ms = look->at_ms;
	/* It may have worked before anybody looked. */
	kept->has_worked |= look->connected_real_ms > 0;
	judge(channels, kept, look, may_act, verdict);
}

void channels_restarted(struct channels *channels, const char *channel, const char *account,
    enum channel_outcome outcome, int64_t now_ms, struct channels_verdict *verdict)
{
	struct channel_kept *kept = find(channels, channel, account);

	*verdict = (struct channels_verdict){0};
	if (kept == NULL || kept->asked_ms == 0 || kept->answered)
		return;
	kept->answered = true;
	kept->left_stopped =
	    outcome == CHANNEL_LEFT_STOPPED || (kept->left_stopped && outcome != CHANNEL_STARTED);
	verdict->tries = kept->tries;
	verdict->quiet = kept->tries > CHANNELS_TRIES;
	if (outcome != CHANNEL_STARTED)
		fail(kept, now_ms, verdict);
}
