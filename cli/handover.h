/* What `holdfast run` hands to the supervisor it becomes. */
#ifndef HOLDFAST_CLI_HANDOVER_H
#define HOLDFAST_CLI_HANDOVER_H

#include "base/text.h"
#include "config/settings.h"

#define HANDOVER_DESCRIPTORS_BYTES 1024

/* Takes what the service manager passed to this very process (sd_listen_fds(3)): moves it out of the way of
 * CHANNEL_FD and SETTINGS_FD, and adds "--descriptors=holdfast-api:10,holdfast-relay:11" to `option`; nothing
 * when nothing came. What has no name of ours is closed. To be done before any other descriptor is handed
 * over. */
void handover_descriptors(struct text *option);

/* Becomes the supervisor: {"holdfast-supervise", option, "--", arguments...}, with the sealed settings as
 * SETTINGS_FD. `option` may be "". Returns only on failure, with a negative errno and *why. */
int handover_become(const struct settings *settings, const char *option, char **arguments, struct error *why);

#endif
