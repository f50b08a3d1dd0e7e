/* What new settings change in those in force: said line by line, and refused where it cannot be done. */
#ifndef HOLDFAST_CONFIG_CHANGES_H
#define HOLDFAST_CONFIG_CHANGES_H

#include "base/error.h"
#include "base/text.h"
#include "config/settings.h"

/* Whether a Holdfast that runs with `old` can go on with `new`: the directories and whatever the schema calls
 * EFFECT_NEVER must be the same. Returns 0, or -EBUSY with *why. */
int settings_check_fixed(const struct settings *old, const struct settings *new, struct error *why);

/* Adds one line for each setting whose value differs: `gateway.stopTimeout: from "330s" to "5m", now`. Long
 * values are cut to where they differ, secrets are not shown, and what does not fit becomes "and 3 more".
 * *waiting (may be NULL): how many of them take effect only with the gateway's next start. Returns how many
 * there are. */
uint32_t settings_changes(
    const struct settings *old, const struct settings *new, struct text *lines, uint32_t *waiting);

#endif
