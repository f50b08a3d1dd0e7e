/* How the gateway is, for whoever asks. */
#include "base/clock.h"
#include "base/text.h"
#include "supervise/supervisor.h"

static int64_t to_real_ms(int64_t boot_ms)
{
	return boot_ms == 0 ? 0 : clock_real_ms() - clock_boot_ms() + boot_ms;
}

static void status_of_orphans(const struct orphans_look *look, struct control_health *status)
{
	static const char *const kinds[] = {[ORPHAN_OWN_COMMAND] = "own command",
	    [ORPHAN_BACKGROUND] = "background",
	    [ORPHAN_HELPER] = "helper"};

	status->processes = look->processes;
	status->orphan_count = look->found;
	status->orphan_bytes = look->found_bytes;
	for (uint32_t i = 0; i < look->count && i < CONTROL_ORPHANS_MAX; i++) {
		const struct orphan *orphan = &look->list[i];

		status->orphans[i].pid = orphan->pid;
		status->orphans[i].bytes = orphan->resident_bytes;
		status->orphans[i].age_ms = orphan->age_ms;
		text_copy(status->orphans[i].name, sizeof(status->orphans[i].name), orphan->name);
		text_copy(status->orphans[i].kind, sizeof(status->orphans[i].kind),
		    orphan->kind <= ORPHAN_HELPER ? kinds[orphan->kind] : "");
	}
}

static void status_of_figures(const struct message_figures *figures, struct control_health *status)
{
	status->loop_delay_p99_ms = figures->loop_delay_p99_ms;
	status->loop_delay_max_ms = figures->loop_delay_max_ms;
	status->loop_utilization_permille = figures->loop_utilization_permille;
	status->slow_listeners = figures->slow_listeners;
	text_copy(status->version, sizeof(status->version), figures->version);
	text_copy(status->failing, sizeof(status->failing), figures->failing);
	text_copy(status->said, sizeof(status->said), figures->status);
}

void health_status(const struct supervisor *supervisor, struct control_health *status)
{
	uint64_t generation = supervisor->machine.generation;
	const struct health_look *look = &supervisor->health.look;
	const struct memory_verdict *memory = &supervisor->health.memory_verdict;

	*status = (struct control_health){
	    .queue = -1, .loop_delay_p99_ms = -1, .loop_delay_max_ms = -1, .loop_utilization_permille = -1};
	if (!supervisor->machine.alive)
		return;
	if (supervisor->sessions.sessions.generation == generation)
		status->stuck_sessions = supervisor->sessions.sessions.stuck;
	if (supervisor->health.orphans_look.generation == generation)
		status_of_orphans(&supervisor->health.orphans_look, status);
	if (supervisor->health.figures.generation == generation)
		status_of_figures(&supervisor->health.figures, status);
	if (supervisor->health.memory.generation == generation) {
		status->tree_bytes = memory->tree_bytes;
		status->limit_bytes = memory->limit_bytes;
		status->room_bytes = memory->room_bytes;
	}
	if (look->generation != generation || supervisor->health.pace_ms == 0 ||
	    clock_boot_ms() - look->at_ms > health_patience_ms(supervisor))
		return;
	text_copy(status->state, sizeof(status->state), health_state_name(supervisor->health.verdict.state));
	text_copy(status->probe, sizeof(status->probe), probe_result_name((enum probe_result)look->probe));
	text_copy(status->link, sizeof(status->link), probe_result_name((enum probe_result)look->link));
	status->status = look->status;
	status->unanswered = look->unanswered;
	status->witnesses = supervisor->health.verdict.witnesses;
	status->held = supervisor->health.verdict.held;
	status->queue = look->queue;
	status->answered_ms = to_real_ms(look->answered_ms);
	status->heard_ms = to_real_ms(look->heard_ms);
}
