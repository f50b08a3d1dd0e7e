/* The settings of the judge of sessions (core/sessions.h), from all settings: for who judges and for who
 * looks. */
#ifndef HOLDFAST_WORKER_SESSION_POLICY_H
#define HOLDFAST_WORKER_SESSION_POLICY_H

#include "config/settings.h"
#include "core/sessions.h"

void session_policy_read(const struct settings *settings, struct sessions_settings *policy);

#endif
