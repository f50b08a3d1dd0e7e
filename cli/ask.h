/* Asking the supervisor. */
#ifndef HOLDFAST_CLI_ASK_H
#define HOLDFAST_CLI_ASK_H

#include <stdbool.h>

#include "channel/control.h"
#include "cli/command.h"

/* Asks and waits for the answer. Returns EXIT_DONE with *reply, else EXIT_NO_SUPERVISOR or EXIT_FAILED with
 * *why. */
int ask(const struct settings *settings, const struct control_request *request, struct control_reply *reply,
    struct error *why);

/* The same for one part of the list of sessions; `after` as in struct control_request. */
int ask_sessions(
    const struct settings *settings, uint32_t after, struct control_sessions *reply, struct error *why);

/* The gateway runs and is ready. */
bool reply_is_healthy(const struct control_reply *reply);

/* When no supervisor runs: does a gateway of an earlier one go on? Then *pid is its process. */
bool gateway_left_running(const struct settings *settings, int *pid);

#endif
