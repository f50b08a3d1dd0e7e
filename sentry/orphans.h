/* What of the running gateway's tree has outlived its parent, of which kind it is, and what the tree is made
 * of. */
#ifndef HOLDFAST_SENTRY_ORPHANS_H
#define HOLDFAST_SENTRY_ORPHANS_H

#include <stdbool.h>
#include <stdint.h>

#include "channel/message.h"
#include "gateway/gateway.h"
#include "loop/loop.h"

#define ORPHANS_LOOK_MS 60000

struct orphans_sense {
	/* Set by the owner before anything is called. */
	struct loop *loop;
	uint64_t instance; /* of the settings */
	const struct gateway_facts *facts;
	void (*looked)(struct orphans_sense *sense, const struct orphans_look *look);
	void *context;

	/* Private. */
	struct loop_timer timer;
	uint64_t generation, start_time;
	int pid;
};

/* A gateway runs: the one to be looked at from now on. */
void orphans_sense_begin(struct orphans_sense *sense, const struct message_gateway *gateway);

/* Looks at it, the first time at once; or no more. */
void orphans_sense_watch(struct orphans_sense *sense, bool on);

/* One look, now. */
void orphans_sense_look(struct orphans_sense *sense, struct orphans_look *look);

/* The kind, by both command lines as /proc/PID/cmdline has them: each word ends with a NUL, and a title that
 * the program gave itself may stand in their place. `same_program`: both run the same executable file. */
enum orphan_kind orphan_kind_of(const struct gateway_facts *facts, bool same_program, const char *gateway,
    size_t gateway_length, const char *process, size_t process_length);

/* The kind of a process that runs: ORPHAN_HELPER also of a fork that has executed nothing yet. */
enum orphan_kind orphan_kind_of_process(const struct gateway_facts *facts, int gateway_pid, int pid);

#endif
