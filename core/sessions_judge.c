/* What a look at a session says, without regard to what is being done about it. */
#include <string.h>

#include "core/sessions_step.h"

/* The moment a run began is known by different clocks to different witnesses. */
#define BEGAN_WOBBLE_MS 2000

static bool is_near(int64_t a, int64_t b)
{
	return a - b <= BEGAN_WOBBLE_MS && b - a <= BEGAN_WOBBLE_MS;
}

bool sessions_same_run(const struct session_look *a, const struct session_look *b)
{
	if (a->run[0] != '\0' && b->run[0] != '\0')
		return strcmp(a->run, b->run) == 0;
	if (a->began_real_ms != 0 && b->began_real_ms != 0)
		return a->began_real_ms == b->began_real_ms;
	if (a->began_ms != 0 && b->began_ms != 0)
		return is_near(a->began_ms, b->began_ms);
	return a->id[0] == '\0' || b->id[0] == '\0' || strcmp(a->id, b->id) == 0;
}

bool session_pattern_fits(const char *pattern, const char *key)
{
	const char *star = NULL, *from = NULL;

	while (*key != '\0') {
		if (*pattern == '*') {
			star = ++pattern;
			from = key;
		} else if (*pattern == *key) {
			pattern++;
			key++;
		} else if (star != NULL) {
			pattern = star;
			key = ++from;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

int64_t sessions_limit_ms(const struct sessions_settings *settings, const char *key, enum session_waits waits)
{
	int64_t session_ms = settings->session_timeout_ms, tool_ms = settings->tool_timeout_ms;

	for (uint32_t i = 0; i < settings->pattern_count; i++) {
		if (!session_pattern_fits(settings->patterns[i].key, key))
			continue;
		session_ms = settings->patterns[i].session_timeout_ms;
		tool_ms = settings->patterns[i].tool_timeout_ms;
		break;
	}
	switch (waits) {
	case SESSION_WAITS_MODEL:
		return session_ms;
	case SESSION_WAITS_TOOL:
		return tool_ms;
	default:
		return INT64_MAX;
	}
}

bool sessions_is_stuck(const struct sessions_settings *settings, const struct session_look *look)
{
	int64_t limit_ms = sessions_limit_ms(settings, look->key, (enum session_waits)look->waits);

	if (limit_ms == INT64_MAX || look->relayed)
		return false;
	if (!(look->witnesses & (SESSION_WITNESS_LIST | SESSION_WITNESS_LOCK)))
		return false;
	/* Whose events are seen is judged by them: the gateway's own clock may know of less. */
	if (look->witnesses & SESSION_WITNESS_EVENTS)
		return look->quiet_ms >= limit_ms;
	if ((look->witnesses & SESSION_WITNESS_SILENCE) && look->quiet_ms >= limit_ms &&
	    look->quiet_ms >= sessions_limit_ms(settings, look->key, SESSION_WAITS_TOOL))
		return true;
	return (look->witnesses & SESSION_WITNESS_LOG) && look->own_quiet_ms >= limit_ms &&
	       look->quiet_ms >= limit_ms;
}

bool sessions_is_judged(const struct session *session)
{
	struct session_look judged = {
	    .began_ms = session->judged_began_ms, .began_real_ms = session->judged_began_real_ms};

	/* Which run it was may not have been known; that it began later says enough. */
	if (session->judged_run[0] == '\0' && session->judged_began_ms == 0 &&
	    session->judged_began_real_ms == 0 && session->look.began_ms > session->judged_at_ms)
		return false;
	memcpy(judged.run, session->judged_run, sizeof(judged.run));
	memcpy(judged.id, session->judged_id, sizeof(judged.id));
	return sessions_same_run(&judged, &session->look);
}

bool sessions_has_left(const struct session *session)
{
	const struct session_look *look = &session->look;

	if (look->waits == SESSION_IDLE)
		return true;
	/* A person may end what moves as well. */
	if (!session->by_person && look->moved_ms > session->judged_at_ms)
		return true;
	return !sessions_is_judged(session);
}
