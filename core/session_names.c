/* Names for people and records; they are part of what scripts read, and never change. */
#include "core/sessions.h"

const char *session_witness_name(uint32_t bit)
{
	static const char *const names[SESSION_WITNESS_COUNT] = {"events", "log", "list", "lock"};

	for (uint32_t i = 0; i < SESSION_WITNESS_COUNT; i++)
		if (bit == 1u << i)
			return names[i];
	return "unknown";
}
