/* What is seen of the sessions that are played, and what comes of it to the supervisor: as a sentry does it.
 */
#include <string.h>

#include "base/text.h"
#include "tests/simulation/sessions_world.h"

#define LOG_FRESH_MS  45000
#define LIST_FRESH_MS 30000

static bool is_there(const struct sessions_world *world)
{
	return world->now_ms >= world->away_until_ms;
}

/* An event came: it began, moved, or ended. */
void sentry_saw(struct sessions_world *world, struct played *played)
{
	if (!is_there(world) || !world->linked || played->dark)
		return;
	played->knows = true;
	played->quiet_ms = 0;
}

/* Time that nobody watched. */
void sentry_forget(struct sessions_world *world)
{
	for (uint32_t i = 0; i < world->played_count; i++) {
		/* What events had told is newer than the list was. */
		if (world->played[i].knows)
			world->played[i].list_at_ms = 0;
		world->played[i].knows = world->played[i].said = false;
		world->played[i].quiet_ms = 0;
		if (world->played[i].log_lies)
			world->played[i].log_run = 0;
	}
}

/* --- Looks. --- */

static struct post *new_post(struct sessions_world *world)
{
	struct post *post = &world->post[(world->post_first + world->post_count) % POST_MAX];
	int64_t at_ms = world->now_ms, last_ms = 0;

	if (world->post_count == POST_MAX)
		return NULL;
	if (world->now_ms < world->slow_until_ms)
		at_ms += random_between(&world->random, 0, POST_LATE_MAX_MS - 1500);
	if (world->post_count > 0)
		last_ms = world->post[(world->post_first + world->post_count - 1) % POST_MAX].at_ms;
	world->post_count++;
	*post = (struct post){.at_ms = at_ms > last_ms ? at_ms : last_ms};
	return post;
}

/* Whose events are seen: all of it is known. */
static void look_by_events(const struct sessions_world *world, const struct played *played, struct post *post)
{
	struct session_look *look = &post->look;

	post->run = played->run;
	post->waits = look->waits = played->waits;
	look->moved_ms = played->moved_ms;
	if (played->run == 0)
		return;
	snprintf(look->run, sizeof(look->run), "run-%llu", (unsigned long long)played->run);
	look->quiet_ms = played->quiet_ms;
	look->witnesses = SESSION_WITNESS_EVENTS;
	look->began_ms = played->began_ms;
	if (look->waits == SESSION_WAITS_TOOL)
		text_copy(look->tool, sizeof(look->tool), "browser");
	post->silent_ms = world->now_ms - played->moved_ms;
}

static bool log_is_fresh(const struct sessions_world *world, const struct played *played, uint64_t run)
{
	return world->has_log && run != 0 && played->log_run == run &&
	       world->now_ms - played->log_at_ms < LOG_FRESH_MS;
}

/* Others are known by the list, which may be of old, or by the lock and the log. */
static void look_by_others(
    struct sessions_world *world, const struct played *played, bool list_is_fresh, struct post *post)
{
	struct session_look *look = &post->look;
	bool listed = list_is_fresh && played->list_run != 0, locked = played->locks && played->run != 0;

	post->run = listed ? played->list_run : locked ? played->run : 0;
	if (post->run == 0)
		return;
	/* Of what it waits for the list knows less than a sentry that saw it begin; the log knows. */
	look->waits = SESSION_WAITS_MODEL;
	if (log_is_fresh(world, played, post->run))
		look->waits = played->log_waits;
	else if (played->dark)
		look->waits = listed ? played->list_waits : played->waits;
	post->waits = played->run == post->run && !played->dark ? played->waits : look->waits;
	/* It was watched all the time, and none of its events came. */
	look->quiet_ms = played->dark ? world->now_ms - played->began_ms : played->quiet_ms;
	if (listed || locked)
		look->began_ms = (listed ? played->list_began_ms : played->began_ms) +
		                 random_between(&world->random, -900, 900);
	/* What was true when its log line was written is the evidence of a dark one. */
	post->silent_ms = world->now_ms - played->moved_ms;
	if (played->dark || played->run != post->run)
		post->silent_ms = played->log_run == post->run ? played->log_quiet_ms : 0;
}

static void add_witnesses(
    const struct sessions_world *world, const struct played *played, bool list_is_fresh, struct post *post)
{
	struct session_look *look = &post->look;

	if (look->waits == SESSION_IDLE)
		return;
	if (list_is_fresh && played->list_run == post->run) {
		look->witnesses |= SESSION_WITNESS_LIST;
		look->began_real_ms = played->list_began_ms + REAL_OFFSET_MS;
	}
	if (played->locks && played->run == post->run)
		look->witnesses |= SESSION_WITNESS_LOCK;
	if (log_is_fresh(world, played, post->run)) {
		look->witnesses |= SESSION_WITNESS_LOG;
		look->own_quiet_ms = played->log_quiet_ms;
	}
	look->recovery = played->run == post->run ? played->recovery : SESSION_RECOVERY_NONE;
	look->recovery_ms = look->recovery != SESSION_RECOVERY_NONE ? played->recovery_ms : 0;
	if (!world->forgets_began || look->run[0] != '\0' || look->began_real_ms != 0)
		return;
	/* Of what cannot be told from another run nothing is said against it. */
	look->began_ms = 0;
	look->witnesses = 0;
}

static void say(struct sessions_world *world, struct played *played)
{
	bool list_is_fresh = world->linked && world->now_ms - played->list_at_ms < LIST_FRESH_MS;
	struct post built = {.session = (uint32_t)(played - world->played)}, *post;
	struct session_look *look = &built.look;
	bool changed;

	if (played->gone_to_say)
		look->gone = true;
	else if (played->knows)
		look_by_events(world, played, &built);
	else if (list_is_fresh || played->locks)
		look_by_others(world, played, list_is_fresh, &built);
	else
		return; /* that nothing says that it runs is no evidence that it does not */
	changed = !played->said || built.run != played->said_run || look->waits != played->said_waits;
	if (!look->gone && !changed && (look->waits == SESSION_IDLE || world->now_ms < played->look_due_ms))
		return;
	add_witnesses(world, played, list_is_fresh, &built);
	if (random_permille(&world->random, 20)) {
		sessions_world_see(world, SEEN_LOOK_LOST); /* tried again */
		return;
	}
	text_copy(look->key, sizeof(look->key), played->key);
	snprintf(look->id, sizeof(look->id), "id-%u", played->incarnation);
	look->at_ms = world->now_ms;
	look->relayed = look->waits != SESSION_IDLE && world->now_ms < played->relayed_until_ms;
	post = new_post(world);
	if (post == NULL)
		return;
	built.at_ms = post->at_ms;
	*post = built;
	played->said = !look->gone;
	played->gone_to_say = false;
	played->said_run = built.run;
	played->said_waits = look->waits;
	played->look_due_ms = world->now_ms + random_between(&world->random, 1000, 4000);
}

void sentry_look(struct sessions_world *world, int64_t step_ms)
{
	if (!is_there(world))
		return;
	for (uint32_t i = 0; i < world->played_count; i++) {
		struct played *played = &world->played[i];

		if (played->waits != SESSION_IDLE && world->linked && !played->dark)
			played->quiet_ms += step_ms;
		/* Never more than is true. */
		if (played->quiet_ms > world->now_ms - played->moved_ms)
			played->quiet_ms = world->now_ms - played->moved_ms;
		if (played->exists || played->gone_to_say)
			say(world, played);
	}
}

void sentry_answer(struct sessions_world *world, const struct task *task)
{
	struct post *post = is_there(world) ? new_post(world) : NULL;

	if (post == NULL)
		return;
	post->is_answer = true;
	post->session = task->session;
	post->serial = task->serial;
	post->outcome = task->outcome;
	if (task->of_former_life)
		sessions_world_see(world, SEEN_ANSWER_OF_FORMER_LIFE);
}

/* --- The way to the core. --- */

static void remember_look(struct played *played, const struct post *post)
{
	bool same = played->last_run == post->run && played->told;

	played->previous_ms = played->last.at_ms;
	played->last = post->look;
	played->last_run = post->run;
	played->last_silent_ms = post->silent_ms;
	played->last_waits = post->waits;
	played->told = !post->look.gone;
	if (post->look.witnesses & SESSION_WITNESS_EVENTS) {
		played->told_run = post->run;
		played->told_waits = post->look.waits;
	} else if (!same || post->run == 0)
		played->told_run = 0;
	else if (post->look.waits != SESSION_WAITS_MODEL)
		played->told_waits = post->look.waits;
}

static void deliver_answer(struct sessions_world *world, const struct post *post)
{
	struct played *played = &world->played[post->session];
	bool awaited = sessions_check_answered(world, played, post);
	uint32_t under_way = world->core.under_way;

	world->answer = post;
	sessions_answered(&world->core, post->serial, post->outcome, world->now_ms, &world->actions);
	if (!awaited && (world->core.under_way != under_way || world->actions.count > 0))
		sessions_check_violate(world, SESSIONS_CHECK_ANSWER, played);
	sessions_world_carry_out(world);
	world->answer = NULL;
}

static void deliver(struct sessions_world *world, struct post *post)
{
	const struct sessions_plant *plant = world->plant;
	struct played *played = &world->played[post->session];
	bool may_act = sessions_world_may_act(world);

	if (post->is_answer) {
		deliver_answer(world, post);
		return;
	}
	world->seen[SEEN_LOOKS]++;
	remember_look(played, post);
	sessions_check_look(world, played, may_act);
	if (plant != NULL && plant->before != NULL)
		plant->before(world, &post->look);
	sessions_looked(&world->core, &post->look, may_act || (plant != NULL && plant->acts_always),
	    world->now_ms, &world->actions);
	sessions_world_carry_out(world);
}

void sentry_deliver(struct sessions_world *world)
{
	while (world->post_count > 0 && world->violated == SESSIONS_CHECK_NONE &&
	       world->post[world->post_first].at_ms <= world->now_ms) {
		struct post *post = &world->post[world->post_first];

		world->post_first = (world->post_first + 1) % POST_MAX;
		world->post_count--;
		deliver(world, post);
	}
}
