/* Inside the core: one step through the table, the moves that its cells are made of, and the cells by what
 * they are about. Nobody outside core/ includes this. */
#ifndef HOLDFAST_CORE_SUPERVISION_STEP_H
#define HOLDFAST_CORE_SUPERVISION_STEP_H

#include "core/supervision.h"

#define KILL_RETRY_MS 1000

struct step {
	struct supervision *machine;
	const struct supervision_event *event;
	struct supervision_actions *actions;
};

typedef void supervision_cell(struct step *step);

/* Moves: what cells do to the machine, and the actions that come out. */
struct supervision_action *step_act(struct step *step, enum supervision_action_type type);
void step_record(
    struct step *step, enum supervision_record what, enum supervision_reason reason, int64_t value);
void step_enter(struct step *step, enum supervision_state state, int64_t deadline_ms);
void step_because(struct step *step, enum supervision_reason reason, int64_t value);
void step_went_down_because(struct step *step, enum supervision_reason reason, int64_t value);
void step_open_incident(struct step *step);
void step_set_wanted(struct step *step, bool wanted);
void step_park(struct step *step, enum supervision_reason reason);
void step_spawn(struct step *step);
void step_start_when_due(struct step *step);
void step_start_now(struct step *step);
void step_stay_stopped(struct step *step, enum supervision_reason reason);
void step_settle(struct step *step);
void step_kill_tree(struct step *step);
void step_begin_killing(struct step *step);
/* `value` belongs to the reason. */
void step_drain(struct step *step, int64_t grace_ms, enum supervision_reason reason, int64_t value);
/* Ends what it condemned; with no grace there is no SIGTERM either. */
void step_end_condemned(
    struct step *step, int64_t grace_ms, enum supervision_reason reason, int64_t evidence);
void step_end_by_force(struct step *step, enum supervision_reason reason, int64_t value);
void step_become_ready(struct step *step);
bool step_is_current(const struct step *step);

/* While it runs from the copy of its configuration (supervision_fallback.c). */
void step_validate(struct step *step);
void step_watch_again(struct step *step); /* a new life's sentry knows of no watch */
bool step_fall_back(
    struct step *step); /* the file was refused; returns whether the next start is from the copy */

/* The time that a gateway is given which somebody wants to end: one that is condemned is given no more than
 * that. */
int64_t supervision_asked_grace_ms(const struct supervision *machine);

/* What people ask for. */
void cell_person_starts(struct step *step);
void cell_start_found(struct step *step);
void cell_restart_found(struct step *step);
void cell_start_after_end(struct step *step);
void cell_restart_up(struct step *step);
void cell_restart_draining(struct step *step);
void cell_stop_up(struct step *step);
void cell_stop_draining(struct step *step);
void cell_stop_later(struct step *step);
void cell_stop_waiting(struct step *step);
void cell_finish_down(struct step *step);
void cell_finish_later(struct step *step);
void cell_finish_up(struct step *step);
void cell_finish_draining(struct step *step);
void cell_pause_any(struct step *step);
void cell_resume_any(struct step *step);

/* The life of a gateway: found, started, ready, draining, gone. */
void cell_found(struct step *step);
void cell_adopted(struct step *step);
void cell_adopt_refused(struct step *step);
void cell_adopt_again(struct step *step);
void cell_spawned(struct step *step);
void cell_spawn_failed(struct step *step);
void cell_exited(struct step *step);
void cell_exited_killing(struct step *step);
void cell_tree_gone(struct step *step);
void cell_tree_left(struct step *step);
void cell_words(struct step *step);
void cell_words_late(struct step *step);
void cell_timer_killing(struct step *step);
void cell_ready_starting(struct step *step);
void cell_ready_draining(struct step *step);
void cell_progress_starting(struct step *step);
void cell_timer_starting(struct step *step);
void cell_drain_began(struct step *step);
void cell_timer_draining(struct step *step);

/* Verdicts, the host, and waiting. */
void cell_suspected(struct step *step);
void cell_cleared(struct step *step);
void cell_suspected_again(struct step *step);
void cell_cleared_running(struct step *step);
void cell_timer_suspect(struct step *step);
void cell_condemned(struct step *step);
void cell_condemned_found(struct step *step);
void cell_wake(struct step *step);
void cell_wake_found(struct step *step);
void cell_config_changed(struct step *step);
void cell_timer_parked(struct step *step);
void cell_slept(struct step *step);
void cell_slept_waiting(struct step *step);
void cell_timer_waiting(struct step *step);

/* What is condemned is examined before its end. */
void step_examine(struct step *step);
void cell_examined(struct step *step);
void cell_timer_examining(struct step *step);
void cell_cleared_examining(struct step *step);
void cell_drain_examining(struct step *step);
void cell_exited_examining(struct step *step);
void cell_pause_examining(struct step *step);
void cell_slept_examining(struct step *step);

/* Running from the copy of its configuration. */
void cell_validate(struct step *step);
void cell_validated_down(struct step *step);
void cell_validated_up(struct step *step);
void cell_validated_draining(struct step *step);

#endif
