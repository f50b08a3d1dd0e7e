/* Inside core/sessions: what a look says. Nobody outside core/ includes this. */
#ifndef HOLDFAST_CORE_SESSIONS_STEP_H
#define HOLDFAST_CORE_SESSIONS_STEP_H

#include "core/sessions.h"

struct sessions_action *sessions_act(
    struct sessions_actions *actions, enum sessions_action_type type, int place);

/* Whether two looks are at the same run, as far as anybody can tell. */
bool sessions_same_run(const struct session_look *a, const struct session_look *b);

/* It makes no progress for its timeout, and two witnesses say so. */
bool sessions_is_stuck(const struct sessions_settings *settings, const struct session_look *look);

/* The run that was judged is no more, or has moved since. */
bool sessions_has_left(const struct session *session);

#endif
