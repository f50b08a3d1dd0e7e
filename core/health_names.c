/* Names for people and records; they are part of what scripts read, and never change. */
#include <stddef.h>

#include "core/health.h"

static const char *name_of(const char *const *names, uint32_t count, uint32_t index)
{
	return index < count && names[index] != NULL ? names[index] : "unknown";
}

static const char *name_of_bit(const char *const *names, uint32_t count, uint32_t bit)
{
	return bit != 0 && (bit & (bit - 1)) == 0 ? name_of(names, count, (uint32_t)__builtin_ctz(bit))
	                                          : "unknown";
}

const char *probe_result_name(enum probe_result result)
{
	static const char *const names[PROBE_RESULT_COUNT] = {"UNK", "SOCKERR", "L4OK", "L4CON", "L4TOUT",
	    "L7OK", "L7TOUT", "L7RSP", "L7STS", "WSOK", "WSTICK", "WSAUTH", "PROCOK", "PROCERR", "PROCTOUT"};

	return name_of(names, PROBE_RESULT_COUNT, (uint32_t)result);
}

const char *health_state_name(enum health_state state)
{
	static const char *const names[HEALTH_STATE_COUNT] = {
	    "unknown", "live", "suspect", "hung", "deaf", "broken-promise"};

	return name_of(names, HEALTH_STATE_COUNT, (uint32_t)state);
}

const char *health_witness_name(uint32_t bit)
{
	static const char *const names[WITNESS_COUNT] = {"unanswered", "pinned", "stopped", "uninterruptible",
	    "no-tick", "queue", "promise", "no-connection"};

	return name_of_bit(names, WITNESS_COUNT, bit);
}

const char *health_held_name(uint32_t bit)
{
	static const char *const names[HELD_COUNT] = {
	    "debugger", "frozen", "no-witness", "blind", "reloading", "starved", "stolen", "memory", "late"};

	return name_of_bit(names, HELD_COUNT, bit);
}
