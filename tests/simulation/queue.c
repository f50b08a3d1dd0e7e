#include "tests/simulation/world.h"

static bool is_before(const struct pending *a, const struct pending *b)
{
	return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void swap(struct pending *a, struct pending *b)
{
	struct pending kept = *a;

	*a = *b;
	*b = kept;
}

/* Returns a place to be filled with what belongs to it. A full queue drops what comes: only meddling is that much,
 * and the gateway's own end is kept a place. */
struct pending *world_schedule(struct world *world, enum happening what, int64_t after_ms)
{
	static struct pending dropped;
	struct pending *heap = world->pending, added = {0};
	uint32_t room = what == HAPPEN_DELIVER || what == HAPPEN_MOVES ? WORLD_PENDING_MAX - 32 : WORLD_PENDING_MAX;
	uint32_t at = world->pending_count;

	if (world->pending_count >= room)
		return &dropped;
	added.at_ms = world->now_ms + (after_ms > 0 ? after_ms : 0);
	added.order = world->pending_order++;
	added.what = what;
	added.boot = world->gateway.boot;
	added.event.generation = world->gateway.generation;
	world->pending_count++;
	heap[at] = added;
	for (; at > 0 && is_before(&heap[at], &heap[(at - 1) / 2]); at = (at - 1) / 2)
		swap(&heap[at], &heap[(at - 1) / 2]);
	return &heap[at];
}

static void sift_down(struct world *world, uint32_t at)
{
	struct pending *heap = world->pending;

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
	*next = world->pending[0];
	world->pending[0] = world->pending[--world->pending_count];
	sift_down(world, 0);
	return true;
}

/* The supervisor's death closes its channels: what was under way to it is lost. */
void world_forget_messages(struct world *world)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < world->pending_count; i++)
		if (world->pending[i].what != HAPPEN_DELIVER && world->pending[i].what != HAPPEN_REPORT)
			world->pending[kept++] = world->pending[i];
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
		world->pending[i].at_ms += slept_ms;
	if (world->gateway.dies_ms != 0)
		world->gateway.dies_ms += slept_ms;
	for (uint32_t i = 0; i < WORLD_HELPERS_MAX; i++)
		if (world->helpers[i].dies_ms != 0)
			world->helpers[i].dies_ms += slept_ms;
}
