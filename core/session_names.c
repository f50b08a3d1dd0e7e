/* Names for people and records; they are part of what scripts read, and never change. */
#include "core/sessions.h"

const char *session_witness_name(uint32_t bit)
{
	static const char *const names[SESSION_WITNESS_COUNT] = {"events", "log", "list", "lock", "silence"};

	for (uint32_t i = 0; i < SESSION_WITNESS_COUNT; i++)
		if (bit == 1u << i)
			return names[i];
	return "unknown";
}

const char *session_waits_name(enum session_waits waits)
{
	static const char *const names[] = {"", "model", "tool", "approval", "queue"};

	return waits < SESSION_WAITS_COUNT ? names[waits] : "";
}

const char *session_state_name(enum session_state state)
{
	static const char *const names[] = {"quiet", "stuck", "aborting", "verifying", "failed"};

	return state < SESSION_STATE_COUNT ? names[state] : "";
}

const char *abort_outcome_name(enum abort_outcome outcome)
{
	static const char *const names[] = {"done", "nothing", "moved", "refused", "unreachable"};

	return outcome < ABORT_OUTCOME_COUNT ? names[outcome] : "";
}
