/* What is true of the sessions that are played, and what the gateway says of it. */
#include <string.h>

#include "tests/simulation/sessions_world.h"

#define LOG_EVERY_MS 30000

static int64_t limit_of(const struct sessions_world *world, const struct played *played)
{
	return sessions_limit_ms(&world->settings, played->key, (enum session_waits)played->waits);
}

/* --- Runs. --- */

static void moves(struct sessions_world *world, struct played *played, int64_t at_ms)
{
	played->moved_ms = at_ms;
	if (played->log_run == played->run && !played->dark)
		played->log_run = 0; /* the sentry sees that it is of old */
	sentry_saw(world, played);
}

/* What it does next, and how long that takes: mostly less than its limit. */
static void draw_phase(struct sessions_world *world, struct played *played)
{
	static const uint32_t choices[] = {SESSION_WAITS_MODEL, SESSION_WAITS_MODEL, SESSION_WAITS_MODEL,
	    SESSION_WAITS_TOOL, SESSION_WAITS_TOOL, SESSION_WAITS_PERSON, SESSION_WAITS_TURN};
	struct random *random = &world->random;
	int64_t limit_ms;

	played->waits = choices[random_below(random, 7)];
	limit_ms = limit_of(world, played);
	if (limit_ms == INT64_MAX)
		played->next_ms = world->now_ms + random_duration(random, 1000, 2000000);
	else if (random_permille(random, 30))
		played->next_ms = world->now_ms + random_between(random, limit_ms, 2 * limit_ms);
	else
		played->next_ms = world->now_ms + random_duration(random, 200, limit_ms);
	played->hung = limit_ms != INT64_MAX && random_permille(random, world->hang_permille);
	world->seen[SEEN_HANGS] += played->hung;
	if (random_permille(random, 30))
		played->relayed_until_ms = world->now_ms + random_between(random, 1000, 2 * 600000);
}

static void begin_run(struct sessions_world *world, struct played *played)
{
	played->run = ++world->runs;
	played->began_ms = world->now_ms;
	played->abort = (enum played_abort)random_below(&world->random, PLAYED_ABORT_COUNT);
	if (random_permille(&world->random, 300))
		played->abort = PLAYED_TAKES;
	played->refusals = 0;
	played->asked_in_this_life = false;
	played->hangs_again = random_permille(&world->random, 300);
	played->recovery = SESSION_RECOVERY_NONE;
	draw_phase(world, played);
	moves(world, played, world->now_ms);
}

static void end_run(struct sessions_world *world, struct played *played, bool itself)
{
	bool hung = played->hung && played->hangs_again;

	sessions_check_ended(world, played, itself && !played->asked_in_this_life);
	played->waits = SESSION_IDLE;
	played->hung = false;
	played->relayed_until_ms = 0;
	played->run = 0;
	played->moved_ms = world->now_ms;
	played->next_ms = world->now_ms + random_duration(&world->random, 3000, 300000);
	sentry_saw(world, played);
	if (random_permille(&world->random, 100))
		played->incarnation++;
	if (!hung && !random_permille(&world->random, 50))
		return;
	/* The next message was waiting already. */
	begin_run(world, played);
	played->hung |= hung && limit_of(world, played) != INT64_MAX;
}

static void ends_session(struct sessions_world *world, struct played *played)
{
	if (played->waits != SESSION_IDLE) {
		sessions_check_ended(world, played, !played->asked_in_this_life);
		played->waits = SESSION_IDLE;
	}
	played->exists = played->hung = false;
	played->run = played->list_run = played->log_run = 0;
	played->list_at_ms = 0;
	played->gone_to_say = true;
	played->next_ms = world->now_ms + random_duration(&world->random, 1000, 600000);
}

static void phase_ends(struct sessions_world *world, struct played *played)
{
	if (!played->exists) {
		played->exists = true;
		played->incarnation++;
		played->said = played->gone_to_say = false;
		played->next_ms = world->now_ms + random_duration(&world->random, 1000, 60000);
	} else if (played->waits == SESSION_IDLE)
		if (random_permille(&world->random, 20))
			ends_session(world, played);
		else
			begin_run(world, played);
	else if (random_permille(&world->random, world->incurable ? 3 : 150))
		end_run(world, played, true);
	else {
		draw_phase(world, played);
		moves(world, played, world->now_ms);
	}
}

void played_init(struct sessions_world *world, uint32_t index)
{
	struct played *played = &world->played[index];

	snprintf(played->key, sizeof(played->key), "agent:%s:%u", index % 4 == 3 ? "slow" : "main", index);
	played->exists = true;
	played->dark = random_permille(&world->random, 200);
	played->locks = random_permille(&world->random, 600);
	played->next_ms = world->now_ms + random_duration(&world->random, 1000, 60000);
}

void played_restart(struct sessions_world *world)
{
	for (uint32_t i = 0; i < world->played_count; i++) {
		struct played *played = &world->played[i];
		bool ran = played->waits != SESSION_IDLE, hung = played->hung;

		played->waits = SESSION_IDLE;
		played->hung = false;
		played->run = played->log_run = played->list_run = 0;
		played->list_at_ms = 0;
		played->recovery = SESSION_RECOVERY_NONE;
		played->relayed_until_ms = 0;
		played->next_ms = world->now_ms + random_duration(&world->random, 1000, 60000);
		if (!ran || !played->exists || random_permille(&world->random, 200))
			continue;
		begin_run(world, played);
		played->hung |=
		    hung && limit_of(world, played) != INT64_MAX && random_permille(&world->random, 900);
	}
}

/* What all of them wait for answers nobody. */
void played_outage(struct sessions_world *world)
{
	world->seen[SEEN_OUTAGES]++;
	for (uint32_t i = 0; i < world->played_count; i++)
		world->played[i].hung |=
		    world->played[i].waits != SESSION_IDLE && limit_of(world, &world->played[i]) != INT64_MAX;
}

/* --- Its own words. --- */

static void recover_itself(struct sessions_world *world, struct played *played, int64_t silent_ms)
{
	struct random *random = &world->random;

	if (played->recovery == SESSION_RECOVERY_NONE && silent_ms > limit_of(world, played) / 2 &&
	    random_permille(random, 20)) {
		played->recovery = SESSION_RECOVERY_CHECKING;
		played->recovery_ms = world->now_ms;
	} else if (played->recovery == SESSION_RECOVERY_CHECKING && random_permille(random, 50)) {
		played->recovery = SESSION_RECOVERY_CLAIMED;
		played->recovery_ms = world->now_ms;
		if (random_permille(random, 300))
			end_run(world, played, true);
	}
}

void played_advance(struct sessions_world *world, uint32_t index, int64_t step_ms)
{
	struct played *played = &world->played[index];
	int64_t silent_ms = world->now_ms - played->moved_ms;
	int64_t limit_ms;

	if (!played->hung && world->now_ms >= played->next_ms) {
		phase_ends(world, played);
		return;
	}
	if (played->waits == SESSION_IDLE)
		return;
	if (!played->hung && played->exists && random_permille(&world->random, 20)) {
		moves(world, played, world->now_ms - random_between(&world->random, 0, step_ms - 1));
		return;
	}
	if (played->hung && !world->incurable && random_permille(&world->random, 1)) {
		if (random_permille(&world->random, 500))
			end_run(world, played, true);
		else {
			played->hung = false;
			played->next_ms = world->now_ms + 5000;
			moves(world, played, world->now_ms);
		}
		return;
	}
	if (played->hung && random_permille(&world->random, 1) && random_permille(&world->random, 300)) {
		ends_session(world, played);
		return;
	}
	limit_ms = limit_of(world, played);
	if (world->recovers_itself && limit_ms != INT64_MAX)
		recover_itself(world, played, silent_ms);
	silent_ms = world->now_ms - played->moved_ms;
	if (!world->has_log || limit_ms == INT64_MAX || world->now_ms - played->log_at_ms < LOG_EVERY_MS)
		return;
	/* Of one whose events are seen it may say what is not so. */
	if (silent_ms > limit_ms / 2 ||
	    (!played->dark && played->knows && random_permille(&world->random, 20))) {
		played->log_at_ms = world->now_ms;
		played->log_run = played->run;
		played->log_waits = played->waits;
		played->log_lies = silent_ms <= limit_ms / 2;
		played->log_quiet_ms = silent_ms + (played->log_lies ? limit_ms : 0);
	}
}

/* The list, as the sentry gets it now and then. */
void gateway_say(struct sessions_world *world)
{
	if (!world->linked || !world->lists || world->now_ms < world->list_due_ms)
		return;
	world->list_due_ms = world->now_ms + random_between(&world->random, 4000, 20000);
	for (uint32_t i = 0; i < world->played_count; i++) {
		struct played *played = &world->played[i];

		/* ... as it was a moment ago: what just began is missing, and what a tool does is not known.
		 */
		if (played->began_ms > world->now_ms - 2000)
			continue;
		played->list_at_ms = world->now_ms;
		played->list_run = played->run;
		played->list_began_ms = played->began_ms;
		played->list_waits = played->waits;
	}
}

/* --- Aborts. --- */

static struct task *new_task(struct sessions_world *world)
{
	for (uint32_t i = 0; i < TASKS_MAX; i++)
		if (!world->tasks[i].taken)
			return &world->tasks[i];
	return NULL;
}

static void decide(struct sessions_world *world, struct played *played, struct task *task)
{
	struct random *random = &world->random;
	int64_t soon_ms = world->now_ms + random_between(random, 50, 3000);

	task->answer_ms = soon_ms;
	task->outcome = ABORT_DONE;
	switch (played->abort) {
	case PLAYED_TAKES:
		task->take_ms = soon_ms;
		break;
	case PLAYED_TAKES_LATE:
		task->take_ms = soon_ms + random_between(random, 1000, 40000);
		break;
	case PLAYED_TAKES_UNHEARD:
		task->take_ms = soon_ms;
		task->answer_ms = 0;
		break;
	case PLAYED_MOVES:
		task->take_ms = soon_ms;
		task->moves = true;
		break;
	case PLAYED_NOTHING:
		task->outcome = ABORT_NOTHING;
		break;
	case PLAYED_REFUSED_ONCE:
		if (played->refusals++ > 0)
			task->take_ms = soon_ms;
		else
			task->outcome = ABORT_REFUSED;
		break;
	case PLAYED_REFUSED:
		task->outcome = ABORT_REFUSED;
		break;
	case PLAYED_UNREACHABLE:
		task->outcome = ABORT_UNREACHABLE;
		break;
	case PLAYED_ANSWERED_LATE:
		task->outcome = ABORT_REFUSED;
		task->answer_ms = world->now_ms + random_between(random, 15000, 60000);
		break;
	case PLAYED_LOST:
		task->answer_ms = 0;
		break;
	default:
		break;
	}
}

/* The sentry looks once more, then asks the gateway. */
void gateway_abort(struct sessions_world *world, int place)
{
	const struct session *session = &world->core.sessions[place];
	struct played *played = sessions_world_find(world, session->look.key);
	struct task *task = new_task(world);
	char run[SESSION_RUN_MAX];

	if (played == NULL || task == NULL || world->now_ms < world->away_until_ms)
		return;
	*task = (struct task){.taken = true,
	    .serial = session->serial,
	    .session = (uint32_t)(played - world->played),
	    .run = played->run,
	    .outcome = ABORT_UNREACHABLE,
	    .answer_ms = world->now_ms + 100};
	snprintf(run, sizeof(run), "run-%llu", (unsigned long long)played->run);
	if (!world->linked)
		return;
	if (played->knows && !session->by_person &&
	    (played->quiet_ms < limit_of(world, played) || played->run != played->judged_run))
		task->outcome = ABORT_MOVED;
	else if (played->run == 0 ||
	         (session->judged_run[0] != '\0' && strcmp(run, session->judged_run) != 0) ||
	         (session->judged_run[0] == '\0' && session->judged_began_real_ms != 0 &&
	             session->judged_began_real_ms != played->began_ms + REAL_OFFSET_MS))
		task->outcome = ABORT_NOTHING;
	else {
		played->asked_in_this_life = true;
		world->aborts[played->abort]++;
		decide(world, played, task);
	}
}

void gateway_tasks(struct sessions_world *world)
{
	for (uint32_t i = 0; i < TASKS_MAX; i++) {
		struct task *task = &world->tasks[i];
		struct played *played = &world->played[task->session];

		if (!task->taken)
			continue;
		if (task->take_ms != 0 && world->now_ms >= task->take_ms) {
			task->take_ms = 0;
			if (played->run == task->run && task->moves) {
				played->hung = false;
				played->next_ms = world->now_ms + 10000;
				moves(world, played, world->now_ms);
			} else if (played->run == task->run && played->run != 0)
				end_run(world, played, !played->asked_in_this_life);
		}
		if (task->answer_ms != 0 && world->now_ms >= task->answer_ms) {
			task->answer_ms = 0;
			sentry_answer(world, task);
		}
		task->taken = task->take_ms != 0 || task->answer_ms != 0;
	}
}
