/* Which histories of memory condemn a gateway, and which never may: told one by one, and then by the thousand
 * from a seed (SEED=N lives that one; LIVES=N so many), with judges that are wrong on purpose to see that the
 * checks find them out. */
#include "core/memory.h"
#include "tests/support/tap.h"

#include <inttypes.h>

#define MB         (INT64_C(1024) * 1024)
#define LOOK_MS    30000
#define LIMIT      (2048 * MB)
#define GENERATION 7

static struct memory memory;
static struct memory_verdict verdict;
static int64_t now_ms;

static void given_a_gateway(void)
{
	memory_init(&memory);
	verdict = (struct memory_verdict){0};
	now_ms = 1000000;
}

/* A look half a minute later. */
static void when_seen(int64_t tree_bytes, int64_t room_bytes, bool quiet)
{
	struct memory_look look = {.generation = GENERATION,
	    .at_ms = now_ms += LOOK_MS,
	    .tree_bytes = (uint64_t)tree_bytes,
	    .limit_bytes = LIMIT,
	    .room_bytes = (uint64_t)room_bytes,
	    .quiet = quiet};

	memory_step(&memory, &look, &verdict);
}

/* Alone below its limit. */
static void when_it_holds(int64_t tree_bytes, bool quiet)
{
	when_seen(tree_bytes, LIMIT - tree_bytes, quiet);
}

static void when_it_holds_for(int looks, int64_t tree_bytes)
{
	while (looks-- > 0)
		when_it_holds(tree_bytes, true);
}

TEST("a leak is told when its end is five minutes away, and condemned in the next quiet moment")
{
	int64_t tree = 1000 * MB;

	given_a_gateway();
	for (; LIMIT - tree > 200 * MB; tree += 20 * MB) {
		when_it_holds(tree, true);
		CHECK(verdict.state == MEMORY_WELL && !verdict.changed);
	}
	when_it_holds(tree, false);
	CHECK(verdict.state == MEMORY_SHORT && verdict.changed);
	CHECK(verdict.growth_per_minute == 40 * MB);
	CHECK(verdict.left_ms > 240000 && verdict.left_ms <= 300000);
	when_it_holds(tree += 20 * MB, false);
	CHECK(verdict.state == MEMORY_SHORT && !verdict.changed);
	when_it_holds(tree += 20 * MB, true);
	CHECK(verdict.state == MEMORY_CONDEMNED && verdict.changed);
}

TEST("without a quiet moment it is condemned when what is left would not last for a drain and the next look")
{
	int64_t tree = 1000 * MB;

	given_a_gateway();
	do
		when_it_holds(tree += 20 * MB, false);
	while (verdict.state != MEMORY_CONDEMNED && tree < LIMIT - 40 * MB);
	CHECK(verdict.state == MEMORY_CONDEMNED);
	CHECK(verdict.left_ms > 60000 && verdict.left_ms <= 90000);
}

TEST("a leak that has just begun is seen after five looks, and no sooner")
{
	given_a_gateway();
	when_it_holds_for(30, 900 * MB);
	for (int i = 1; i <= 3; i++) {
		when_it_holds((900 + 240 * i) * MB, false);
		CHECK(verdict.state == MEMORY_WELL && verdict.left_ms == INT64_MAX);
	}
	when_it_holds(1860 * MB, false);
	CHECK(verdict.state == MEMORY_CONDEMNED);
}

TEST("a plateau close to the limit is no trend, however close")
{
	given_a_gateway();
	for (int i = 0; i < 200; i++) {
		when_it_holds(LIMIT - 20 * MB + (i % 3) * MB, true);
		CHECK(verdict.state == MEMORY_WELL);
	}
}

TEST("a jump to a plateau is no trend, whether it takes one look or three")
{
	for (int steps = 1; steps <= 3; steps++) {
		given_a_gateway();
		when_it_holds_for(20, 800 * MB);
		for (int i = 1; i <= steps; i++)
			when_it_holds((800 + 1180 * i / steps) * MB, true);
		for (int i = 0; i < 100; i++) {
			when_it_holds(1980 * MB, true);
			CHECK(verdict.state == MEMORY_WELL);
		}
	}
}

TEST("the sawtooth of a garbage collector is no trend; its first tooth may look like one, and is waited for")
{
	for (int period = 2; period <= 12; period++) {
		given_a_gateway();
		for (int i = 0; i < 300; i++) {
			when_it_holds((1400 + 350 * (i % period) / (period - 1)) * MB, true);
			CHECK(verdict.state == MEMORY_WELL || i < period + 3);
			CHECK(verdict.state != MEMORY_CONDEMNED);
		}
	}
}

TEST("a leak below a sawtooth is found all the same")
{
	int condemned_at = 0;

	given_a_gateway();
	for (int i = 0; i < 400 && condemned_at == 0; i++) {
		when_it_holds((900 + 4 * i + 60 * (i % 5) / 4) * MB, i % 4 == 0);
		if (verdict.state == MEMORY_CONDEMNED)
			condemned_at = 900 + 4 * i;
	}
	CHECK(condemned_at > 1600);
}

TEST("what others take from the machine is not held against it, and neither is its own small part in that")
{
	for (int share = 0; share <= 30; share += 30) {
		given_a_gateway();
		for (int room = 900; room > 0; room -= 10) {
			when_seen((500 + (900 - room) * share / 100) * MB, room * MB, true);
			CHECK(verdict.state == MEMORY_WELL);
		}
	}
}

TEST("a tree that grows where nothing is lost (what it gained was free to be taken) is left alone")
{
	given_a_gateway();
	for (int i = 0; i < 60; i++) {
		when_seen((500 + 20 * i) * MB, 100 * MB, true);
		CHECK(verdict.state == MEMORY_WELL);
	}
}

TEST("a slow leak is waited for until almost nothing is left, and only where the tree holds most of it")
{
	for (int alone = 0; alone <= 1; alone++) {
		int64_t room = 0;

		given_a_gateway();
		for (int i = 0; i < 400 && verdict.state != MEMORY_CONDEMNED; i++) {
			room = (400 - i) * MB;
			when_seen(((alone ? 1600 : 600) + i) * MB, room, true);
		}
		CHECK(verdict.state == MEMORY_CONDEMNED);
		CHECK(alone ? room > 20 * MB && room <= 32 * MB : room <= 11 * MB);
	}
}

TEST("one that recovers is told to be well after three looks, and one that is short again is told again")
{
	int told = 0;

	given_a_gateway();
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 40; i++) {
			when_it_holds((1000 + round * 50 + 23 * i) * MB, false);
			told += verdict.changed && verdict.state == MEMORY_SHORT;
		}
		CHECK(verdict.state == MEMORY_SHORT);
		for (int i = 0; i < 70; i++) {
			when_it_holds(1000 * MB, true);
			CHECK(verdict.state == (i < 2 ? MEMORY_SHORT : MEMORY_WELL));
		}
	}
	CHECK(told == 2);
}

TEST("a new gateway, and another limit, begin anew")
{
	struct memory_look look = {.generation = GENERATION + 1, .tree_bytes = 1, .limit_bytes = LIMIT};

	given_a_gateway();
	for (int i = 0; i < 20; i++)
		when_it_holds((1000 + 20 * i) * MB, false);
	look.at_ms = now_ms + LOOK_MS;
	memory_step(&memory, &look, &verdict);
	CHECK(memory.count == 1 && verdict.state == MEMORY_WELL);
	look.at_ms += LOOK_MS;
	look.limit_bytes *= 2;
	memory_step(&memory, &look, &verdict);
	CHECK(memory.count == 1);
}

TEST("looks that say nothing, nonsense or the past change nothing")
{
	struct memory_look bad[] = {
	    {.generation = GENERATION, .at_ms = INT64_MAX, .limit_bytes = LIMIT},
	    {.generation = GENERATION, .at_ms = INT64_MAX, .tree_bytes = MB},
	    {.generation = GENERATION, .at_ms = INT64_MAX, .tree_bytes = UINT64_MAX, .limit_bytes = LIMIT},
	    {.generation = GENERATION, .at_ms = INT64_MAX, .tree_bytes = MB, .limit_bytes = UINT64_MAX},
	    {.generation = GENERATION,
	        .at_ms = INT64_MAX,
	        .tree_bytes = MB,
	        .limit_bytes = MB,
	        .room_bytes = 2 * MB},
	    {.generation = GENERATION, .at_ms = 5, .tree_bytes = MB, .limit_bytes = LIMIT},
	};

	given_a_gateway();
	when_it_holds_for(10, 900 * MB);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memory_step(&memory, &bad[i], &verdict);
		CHECK(memory.count == 10 && verdict.state == MEMORY_WELL && !verdict.changed);
	}
}

TEST("looks that come every second are as good as those that come every half minute")
{
	given_a_gateway();
	for (int64_t ms = 0; ms < 3600000 && verdict.state != MEMORY_CONDEMNED; ms += 1000) {
		struct memory_look look = {
		    .generation = GENERATION, .at_ms = now_ms + ms, .limit_bytes = LIMIT};

		look.tree_bytes = (uint64_t)(1000 * MB + ms * 40 * MB / 60000);
		look.room_bytes = LIMIT - look.tree_bytes;
		memory_step(&memory, &look, &verdict);
	}
	CHECK(verdict.state == MEMORY_CONDEMNED && verdict.left_ms > 80000 && verdict.left_ms <= 90000);
}

/* ---- by the thousand
 * ------------------------------------------------------------------------------------------- */

static uint64_t random_state;

static int64_t pick(int64_t from, int64_t to)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return from + (int64_t)(random_state % (uint64_t)(to - from + 1));
}

enum story { LEAK, SAWTOOTH, PLATEAUS, WARM_UP, OTHERS, STORY_COUNT };

static const char *const story_names[] = {"leak", "sawtooth", "plateaus", "warm-up", "others"};

/* A gateway's life: what its tree holds, and what others do, in MB, by look. */
struct life {
	enum story story;
	int64_t base, amplitude, period, growth, noise, others, others_growth, limit;
	int64_t level;
};

static void begin_life(struct life *life, enum story story)
{
	*life = (struct life){.story = story, .limit = pick(1000, 16000), .noise = pick(0, 4)};
	life->base = life->limit * pick(20, 50) / 100;
	life->others = life->limit * pick(0, 10) / 100;
	life->level = life->base;
	switch (story) {
	case LEAK: /* over between 10 min and 2 h */
		life->growth = (life->limit - life->base - life->others) / pick(20, 240);
		life->noise = life->growth / 4;
		life->growth = life->growth < 1 ? 1 : life->growth;
		break;
	case SAWTOOTH: /* the first tooth is over before ten minutes are */
		life->period = pick(2, 18);
		life->amplitude = (life->limit * 90 / 100 - life->base - life->others) * pick(10, 100) / 100;
		break;
	case PLATEAUS:
		life->period = pick(8, 60);
		break;
	case WARM_UP: /* half of what is missing in so many looks */
		life->amplitude = (life->limit * 85 / 100 - life->base - life->others);
		life->period = pick(2, 20);
		break;
	default:
		life->others_growth = (life->limit - life->base - life->others) / pick(10, 100);
		break;
	}
}

static int64_t tree_at(struct life *life, int look)
{
	int64_t noise = pick(-life->noise, life->noise);
	int64_t missing;

	switch (life->story) {
	case LEAK:
		return life->base + life->growth * look + noise;
	case SAWTOOTH:
		return life->base + life->amplitude * (look % life->period) / life->period + noise;
	case PLATEAUS:
		if (look % life->period == 0)
			life->level = life->limit * pick(20, 88) / 100 - life->others;
		return life->level + noise;
	case WARM_UP:
		missing = life->amplitude;
		for (int64_t passed = look; passed >= life->period && missing > 0; passed -= life->period)
			missing /= 2;
		return life->base + life->amplitude - missing +
		       missing / 2 * (look % life->period) / life->period + noise;
	default:
		return life->base + noise;
	}
}

static void judge(struct memory *judged, const struct memory_look *look, struct memory_verdict *said)
{
	memory_step(judged, look, said);
}

/* Wrong on purpose. */
static void judge_never(struct memory *judged, const struct memory_look *look, struct memory_verdict *said)
{
	(void)judged, (void)look;
	said->state = MEMORY_WELL;
}

static void judge_by_number(
    struct memory *judged, const struct memory_look *look, struct memory_verdict *said)
{
	(void)judged;
	said->state = look->tree_bytes > look->limit_bytes / 10 * 8 ? MEMORY_CONDEMNED : MEMORY_WELL;
}

static void judge_by_two_looks(
    struct memory *judged, const struct memory_look *look, struct memory_verdict *said)
{
	uint64_t before = judged->looks[0].tree_bytes;

	said->state =
	    before > 0 && look->tree_bytes > before && look->room_bytes / (look->tree_bytes - before) < 10
	        ? MEMORY_CONDEMNED
	        : MEMORY_WELL;
	judged->looks[0] = *look;
}

/* Takes all that is used for the tree's. */
static void judge_by_room(struct memory *judged, const struct memory_look *look, struct memory_verdict *said)
{
	struct memory_look seen = *look;

	seen.tree_bytes = seen.limit_bytes - seen.room_bytes;
	memory_step(judged, &seen, said);
}

/* Forgets what came before the climb, and does not wait for more. */
static void judge_without_memory(
    struct memory *judged, const struct memory_look *look, struct memory_verdict *said)
{
	if (judged->count > 6) {
		memmove(judged->looks, judged->looks + judged->count - 6, 6 * sizeof(*look));
		judged->count = 6;
	}
	memory_step(judged, look, said);
	if (said->state == MEMORY_SHORT && look->quiet)
		said->state = MEMORY_CONDEMNED;
}

typedef void judge_function(
    struct memory *judged, const struct memory_look *look, struct memory_verdict *said);

/* Lives one life. Returns what is wrong with its end, or NULL. */
static const char *live(judge_function *function, struct life *life)
{
	struct memory judged;

	memory_init(&judged);
	for (int i = 0; i < 250; i++) {
		struct memory_verdict said = {0};
		struct memory_look look = {.generation = GENERATION, .at_ms = 1000 + i * (int64_t)LOOK_MS};
		int64_t tree = tree_at(life, i),
		        room = life->limit - tree - life->others - life->others_growth * i;

		if (room <= 0)
			return life->story == LEAK ? "killed by the kernel, and not condemned before" : NULL;
		look.tree_bytes = (uint64_t)(tree * MB);
		look.limit_bytes = (uint64_t)(life->limit * MB);
		look.room_bytes = (uint64_t)(room * MB);
		look.quiet = pick(0, 3) == 0;
		function(&judged, &look, &said);
		if (said.state != MEMORY_CONDEMNED)
			continue;
		if (life->story != LEAK)
			return "condemned, and it was well";
		return room > life->limit / 5 ? "condemned too early" : NULL;
	}
	return NULL;
}

/* Returns how many lives of this seed ended wrongly. */
static int campaign(judge_function *function, uint64_t seed, int lives, bool tell)
{
	int wrong = 0;

	for (int i = 0; i < lives; i++) {
		struct life life;
		const char *what;

		random_state = (seed + (uint64_t)i) * UINT64_C(0x9E3779B97F4A7C15) | 1;
		pick(0, 1);
		begin_life(&life, (enum story)pick(0, STORY_COUNT - 1));
		what = live(function, &life);
		if (what == NULL)
			continue;
		wrong++;
		if (tell && wrong <= 10)
			printf("# SEED=%" PRIu64 ": %s, limit %" PRId64 " MB: %s\n", seed + (uint64_t)i,
			    story_names[life.story], life.limit, what);
	}
	return wrong;
}

static uint64_t given_number(const char *variable, uint64_t otherwise)
{
	const char *given = getenv(variable);

	return given != NULL ? strtoull(given, NULL, 10) : otherwise;
}

TEST("no healthy life is condemned, and no leak comes to the kernel's killer")
{
	int lives = (int)given_number("LIVES", getenv("SEED") != NULL ? 1 : 3000);

	CHECK(campaign(judge, given_number("SEED", 1), lives, true) == 0);
}

TEST("judges that are wrong on purpose are found out by the same lives")
{
	CHECK(campaign(judge_never, 1, 1000, false) > 0);
	CHECK(campaign(judge_by_number, 1, 1000, false) > 0);
	CHECK(campaign(judge_by_two_looks, 1, 1000, false) > 0);
	CHECK(campaign(judge_by_room, 1, 1000, false) > 0);
	CHECK(campaign(judge_without_memory, 1, 1000, false) > 0);
}
