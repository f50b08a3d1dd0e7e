#include "tests/simulation/world.h"

static bool is_before(const struct pending_entry *a, const struct pending_entry *b)
{
	return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void swap(struct pending_entry *a, struct pending_entry *b)
{
	struct pending_entry kept = *a;

	*a = *b;
	*b = kept;
}

void world_queue_init(struct world *world)
{
	world->pending_count = 0;
	for (uint32_t i = 0; i < WORLD_PENDING_MAX; i++)
		world->heap[i].place = i;
}

/* Returns a place to be filled with what belongs to it. A full queue drops messages: there are never that
 * many but in a flood of them, and what the world itself does keeps its room. */
struct pending *world_schedule(struct world *world, enum happening what, int64_t after_ms)
{
	static struct pending dropped;
	struct pending_entry *heap = world->heap;
	uint32_t room =
	    what == HAPPEN_DELIVER || what == HAPPEN_MOVES ? WORLD_PENDING_MAX - 32 : WORLD_PENDING_MAX;
	uint32_t at = world->pending_count;
	struct pending *added;

	if (world->pending_count >= room)
		return &dropped;
	added = &world->pending[heap[at].place];
	*added = (struct pending){.what = what, .boot = world->gateway.boot};
	added->event.generation = world->gateway.generation;
	heap[at].at_ms = world->now_ms + (after_ms > 0 ? after_ms : 0);
	heap[at].order = world->pending_order++;
	world->pending_count++;
	for (; at > 0 && is_before(&heap[at], &heap[(at - 1) / 2]); at = (at - 1) / 2)
		swap(&heap[at], &heap[(at - 1) / 2]);
	return added;
}

static void sift_down(struct world *world, uint32_t at)
{
	struct pending_entry *heap = world->heap;

	for (uint32_t child = 2 * at + 1; child < world->pending_count; at = child, child = 2 * at + 1) {
		if (child + 1 < world->pending_count && is_before(&heap[child + 1], &heap[child]))
			child++;
		if (!is_before(&heap[child], &heap[at]))
			return;
		swap(&heap[child], &heap[at]);
	}
}

bool world_next(struct world *world, struct pending *next)
{
	if (world->pending_count == 0)
		return false;
	if (world->heap[0].at_ms > world->now_ms)
		world->now_ms = world->heap[0].at_ms;
	*next = world->pending[world->heap[0].place];
	swap(&world->heap[0], &world->heap[--world->pending_count]);
	sift_down(world, 0);
	return true;
}

/* The supervisor's death closes its channels: what was under way to it is lost. */
void world_forget_messages(struct world *world)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < world->pending_count; i++) {
		enum happening what = world->pending[world->heap[i].place].what;

		if (what != HAPPEN_DELIVER && what != HAPPEN_REPORT)
			swap(&world->heap[kept++], &world->heap[i]);
	}
	world->pending_count = kept;
	for (uint32_t i = kept / 2; i-- > 0;)
		sift_down(world, i);
}

/* While the host sleeps the clock goes on and nothing else does. */
void world_sleep(struct world *world, int64_t slept_ms)
{
	world->now_ms += slept_ms;
	checks_slept(world, slept_ms);
	for (uint32_t i = 0; i < world->pending_count; i++)
		world->heap[i].at_ms += slept_ms;
	if (world->gateway.dies_ms != 0)
		world->gateway.dies_ms += slept_ms;
	for (uint32_t i = 0; i < WORLD_HELPERS_MAX; i++)
		if (world->helpers[i].dies_ms != 0)
			world->helpers[i].dies_ms += slept_ms;
}
