#include "core/orphans.h"

#include <string.h>

void orphans_init(struct orphans *orphans)
{
	memset(orphans, 0, sizeof(*orphans));
}

static const struct orphan_kept *find(const struct orphans *orphans, const struct orphan *orphan)
{
	for (uint32_t i = 0; i < orphans->count; i++)
		if (orphans->kept[i].pid == orphan->pid && orphans->kept[i].start_time == orphan->start_time)
			return &orphans->kept[i];
	return NULL;
}

/* Any change is a movement, also to less: a child of it has ended. */
static struct orphan_kept follow(const struct orphans *orphans, const struct orphan *orphan, int64_t now_ms)
{
	const struct orphan_kept *before = find(orphans, orphan);
	struct orphan_kept kept = {.pid = orphan->pid,
	    .start_time = orphan->start_time,
	    .cpu_ticks = orphan->cpu_ticks,
	    .io_bytes = orphan->io_bytes,
	    .still_since_ms = now_ms};

	if (before == NULL)
		return kept;
	kept.asked = before->asked;
	if (before->cpu_ticks == kept.cpu_ticks && before->io_bytes == kept.io_bytes &&
	    now_ms - orphans->at_ms <= ORPHANS_GAP_MS)
		kept.still_since_ms = before->still_since_ms;
	return kept;
}

/* What ended since makes room for being told of the next; what they held as well. */
static bool should_tell(struct orphans *orphans, const struct orphans_look *look)
{
	bool more, bigger;

	if (look->found < orphans->told)
		orphans->told = look->found;
	if (look->found_bytes < orphans->told_bytes)
		orphans->told_bytes = look->found_bytes;
	more = look->found > orphans->told;
	bigger = look->found_bytes - orphans->told_bytes >= ORPHANS_TELL_BYTES &&
	         look->found_bytes - orphans->told_bytes >= orphans->told_bytes / 2;
	if ((!more && !bigger) || (orphans->told_ms != 0 && look->at_ms - orphans->told_ms < ORPHANS_TELL_MS))
		return false;
	orphans->told = look->found;
	orphans->told_bytes = look->found_bytes;
	orphans->told_ms = look->at_ms;
	return true;
}

void orphans_step(
    struct orphans *orphans, const struct orphans_look *look, bool reap_idle, struct orphans_verdict *verdict)
{
	uint32_t count = look->count < ORPHANS_MAX ? look->count : ORPHANS_MAX;
	struct orphan_kept kept[ORPHANS_MAX];

	memset(verdict, 0, sizeof(*verdict));
	if (look->generation != orphans->generation) {
		orphans_init(orphans);
		orphans->generation = look->generation;
	} else if (look->at_ms <= orphans->at_ms) {
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		const struct orphan *orphan = &look->list[i];

		kept[i] = follow(orphans, orphan, look->at_ms);
		if (!reap_idle || orphan->kind != ORPHAN_OWN_COMMAND || kept[i].asked ||
		    look->at_ms - kept[i].still_since_ms < ORPHANS_IDLE_MS)
			continue;
		kept[i].asked = true;
		verdict->end[verdict->count].pid = orphan->pid;
		verdict->end[verdict->count++].start_time = orphan->start_time;
	}
	memcpy(orphans->kept, kept, count * sizeof(kept[0]));
	orphans->count = count;
	orphans->at_ms = look->at_ms;
	verdict->tell = should_tell(orphans, look);
}
