#include "core/memory.h"

#include <string.h>

#define RECENT_LOOKS     6 /* of the fast judgement: two and a half minutes */
#define RECENT_LOOKS_MIN 5
#define RISES_MIN        4  /* of the steps between them */
#define LASTING_LOOKS    20 /* of the slow one, at least: ten minutes */
#define QUARTERS         4
#define COMPARED_LOOKS   20 /* so many before a climb can be told from the first tooth of a sawtooth */
#define SPACING_MS       10000
#define BYTES_MAX        (UINT64_C(1) << 46) /* more is nonsense, and would not fit a slope */

#define SMALL_PERCENT 15
#define SOON_MS       (5 * 60000)
/* Almost nothing: what a garbage collection or one large message takes at once. */
#define LITTLE_PERCENT 3
#define LITTLE_BYTES   (32 * 1024 * 1024)
#define NEAR_MS        (15 * 60000)
/* The drain of a restart for memory may take 60 s, and the next look is 30 s away. */
#define URGENT_MS    90000
#define BETTER_LOOKS 3

void memory_init(struct memory *memory)
{
	memset(memory, 0, sizeof(*memory));
}

static bool is_usable(const struct memory *memory, const struct memory_look *look)
{
	return look->tree_bytes > 0 && look->limit_bytes > 0 && look->tree_bytes <= BYTES_MAX &&
	       look->limit_bytes <= BYTES_MAX && look->room_bytes <= look->limit_bytes &&
	       (memory->count == 0 || look->at_ms > memory->looks[memory->count - 1].at_ms);
}

/* One that comes too soon after the last stands for it from now on: what is remembered is to reach back. */
static void keep(struct memory *memory, const struct memory_look *look)
{
	if (memory->count >= 2 && look->at_ms - memory->looks[memory->count - 2].at_ms < SPACING_MS)
		memory->count--;
	if (memory->count == MEMORY_LOOKS_MAX) {
		memmove(memory->looks, memory->looks + 1, (MEMORY_LOOKS_MAX - 1) * sizeof(*look));
		memory->count--;
	}
	memory->looks[memory->count++] = *look;
}

/* The lower of the two in the middle: who is in doubt says that it grows less. */
static int64_t median(int64_t *values, uint32_t count)
{
	for (uint32_t i = 1; i < count; i++) {
		int64_t value = values[i];
		uint32_t place = i;

		for (; place > 0 && values[place - 1] > value; place--)
			values[place] = values[place - 1];
		values[place] = value;
	}
	return values[(count - 1) / 2];
}

static int64_t least(int64_t left, int64_t right)
{
	return left < right ? left : right;
}

/* Bytes a minute. */
static int64_t slope(const struct memory_look *from, const struct memory_look *to)
{
	return ((int64_t)to->tree_bytes - (int64_t)from->tree_bytes) * 60000 / (to->at_ms - from->at_ms);
}

/* At least half of what was lost went to the tree, and at least half of what the tree took was lost. */
static bool takes_the_room(int64_t grown, int64_t lost)
{
	return grown > 0 && grown >= lost / 2 && lost >= grown / 2;
}

/* Above all that was seen before the climb began; where nothing was, nobody knows. */
static bool is_new_high(const struct memory *memory, uint32_t first)
{
	const struct memory_look *last = &memory->looks[memory->count - 1];
	uint64_t highest = 0;

	for (uint32_t i = 0; i < first; i++)
		if (memory->looks[i].tree_bytes > highest)
			highest = memory->looks[i].tree_bytes;
	return first == 0 ||
	       last->tree_bytes > highest + (last->tree_bytes - memory->looks[first].tree_bytes) / 2;
}

/* The growth of a climb that goes on: the median of all pairs (Theil and Sen), of looks of which nearly every
 * one is above the one before it; no more than the last steps make, and nothing where they make less than
 * half: it comes to rest. 0: there is none. */
static int64_t climb(const struct memory *memory)
{
	uint32_t count = memory->count < RECENT_LOOKS ? memory->count : RECENT_LOOKS;
	const struct memory_look *looks = memory->looks + memory->count - count, *last = &looks[count - 1];
	int64_t slopes[RECENT_LOOKS * (RECENT_LOOKS - 1) / 2] = {0}, middle, latest;
	uint32_t pairs = 0, rises = 0, falls = 0;

	if (count < RECENT_LOOKS_MIN)
		return 0;
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t j = i + 1; j < count; j++)
			slopes[pairs++] = slope(&looks[i], &looks[j]);
	middle = median(slopes, pairs);
	latest = slope(last - 2, last);
	for (uint32_t i = 1; i < count; i++) {
		int64_t step = slope(&looks[i - 1], &looks[i]);

		rises += step > middle / 4;
		falls += step < -middle;
	}
	if (middle <= 0 || falls > 0 || latest < middle / 2 || rises < RISES_MIN ||
	    !takes_the_room((int64_t)last->tree_bytes - (int64_t)looks->tree_bytes,
	        (int64_t)looks->room_bytes - (int64_t)last->room_bytes) ||
	    !is_new_high(memory, memory->count - count))
		return 0;
	return least(latest, middle);
}

/* The middle of some looks. */
struct middle {
	int64_t at_ms, tree_bytes, room_bytes;
};

static struct middle middle_of(const struct memory_look *looks, uint32_t count)
{
	int64_t trees[MEMORY_LOOKS_MAX] = {0}, rooms[MEMORY_LOOKS_MAX] = {0};

	for (uint32_t i = 0; i < count; i++) {
		trees[i] = (int64_t)looks[i].tree_bytes;
		rooms[i] = (int64_t)looks[i].room_bytes;
	}
	return (struct middle){
	    (looks[0].at_ms + looks[count - 1].at_ms) / 2, median(trees, count), median(rooms, count)};
}

static int64_t slope_between(const struct middle *from, const struct middle *to)
{
	return (to->tree_bytes - from->tree_bytes) * 60000 / (to->at_ms - from->at_ms);
}

/* The median over pairs that are half of the time apart. */
static int64_t lasting_slope(const struct memory *memory)
{
	int64_t slopes[MEMORY_LOOKS_MAX] = {0};
	uint32_t half = memory->count / 2;

	if (half == 0)
		return 0;
	for (uint32_t i = 0; i + half < memory->count; i++)
		slopes[i] = slope(&memory->looks[i], &memory->looks[i + half]);
	return median(slopes, memory->count - half);
}

/* The growth over all that is remembered: each quarter stands above the one before, no one step is most of
 * it, and within the last it goes on. A leak below a sawtooth is seen so. 0: there is none. */
static int64_t drift(const struct memory *memory)
{
	uint32_t quarter = memory->count / QUARTERS, half = quarter / 2;
	const struct memory_look *last = memory->looks + memory->count - quarter;
	struct middle middles[QUARTERS], early, late;
	int64_t grown, growth = lasting_slope(memory);

	if (memory->count < LASTING_LOOKS)
		return 0;
	for (uint32_t i = 0; i < QUARTERS; i++)
		middles[i] = middle_of(memory->looks + memory->count - (QUARTERS - i) * quarter, quarter);
	grown = middles[QUARTERS - 1].tree_bytes - middles[0].tree_bytes;
	for (uint32_t i = 1; i < QUARTERS; i++)
		if (middles[i].tree_bytes - middles[i - 1].tree_bytes < grown / 6)
			return 0;
	if (!takes_the_room(grown, middles[0].room_bytes - middles[QUARTERS - 1].room_bytes))
		return 0;
	early = middle_of(last, half);
	late = middle_of(last + quarter - half, half);
	growth = least(growth, slope_between(&middles[QUARTERS - 2], &middles[QUARTERS - 1]));
	growth = least(growth, slope_between(&early, &late));
	return growth > 0 ? growth : 0;
}

static bool is_near(const struct memory_verdict *verdict)
{
	uint64_t used = verdict->limit_bytes - verdict->room_bytes;
	bool is_small = verdict->room_bytes < verdict->limit_bytes / 100 * SMALL_PERCENT;
	bool is_little = verdict->room_bytes < verdict->limit_bytes / 100 * LITTLE_PERCENT ||
	                 verdict->room_bytes < LITTLE_BYTES;

	if (verdict->left_ms == INT64_MAX)
		return false;
	return (is_small && verdict->left_ms <= SOON_MS) ||
	       (is_little && verdict->left_ms <= NEAR_MS && verdict->tree_bytes >= used / 2);
}

/* A quiet moment is taken only when the look before was short as well, and there was something to compare
 * with: the first climb of all may be the first tooth of a sawtooth. */
static enum memory_state judge(const struct memory *memory, const struct memory_look *look, int64_t left_ms)
{
	if (left_ms <= URGENT_MS)
		return MEMORY_CONDEMNED;
	if (memory->state != MEMORY_WELL && look->quiet && memory->count >= COMPARED_LOOKS)
		return MEMORY_CONDEMNED;
	return MEMORY_SHORT;
}

static void move(struct memory *memory, enum memory_state state, struct memory_verdict *verdict)
{
	verdict->changed = memory->state != state;
	memory->state = state;
}

static void fill(const struct memory *memory, const struct memory_look *look, struct memory_verdict *verdict)
{
	int64_t fast = climb(memory), slow = drift(memory);
	int64_t growth = fast > slow ? fast : slow;

	verdict->tree_bytes = look->tree_bytes;
	verdict->limit_bytes = look->limit_bytes;
	verdict->room_bytes = look->room_bytes;
	verdict->growth_per_minute = growth > 0 ? growth : lasting_slope(memory);
	verdict->left_ms = growth > 0 ? (int64_t)look->room_bytes * 60000 / growth : INT64_MAX;
}

void memory_step(struct memory *memory, const struct memory_look *look, struct memory_verdict *verdict)
{
	memset(verdict, 0, sizeof(*verdict));
	verdict->left_ms = INT64_MAX;
	if (look->generation != memory->generation) {
		memory_init(memory);
		memory->generation = look->generation;
	}
	verdict->state = memory->state;
	if (!is_usable(memory, look))
		return;
	/* What was lost below one limit says nothing about the room below another. */
	if (memory->count > 0 && memory->looks[0].limit_bytes != look->limit_bytes)
		memory->count = 0;
	keep(memory, look);
	fill(memory, look, verdict);
	if (is_near(verdict)) {
		memory->better = 0;
		move(memory, judge(memory, look, verdict->left_ms), verdict);
	} else if (memory->state != MEMORY_WELL) {
		/* Condemned it is only while there is a reason; that it is short has been told. */
		memory->state = MEMORY_SHORT;
		if (++memory->better >= BETTER_LOOKS)
			move(memory, MEMORY_WELL, verdict);
	}
	verdict->state = memory->state;
}
