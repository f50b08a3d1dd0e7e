/* What `holdfast relay enable` did, so that `disable` can undo it: "relay-enabled.json" in our state
 * directory, 0600. The file as it was lies beside openclaw.json, as openclaw.json.before-relay. */
#ifndef HOLDFAST_CLI_RELAY_RECORD_H
#define HOLDFAST_CLI_RELAY_RECORD_H

#include <limits.h>
#include <stdint.h>

#include "cli/relay_edits.h"

#define RELAY_DIRECT_BYTES 512

struct relay_record {
	char file[PATH_MAX];    /* that was changed; its links resolved */
	uint64_t before, after; /* hashes of the copy, and of the file as it was left; 0: of no use */
	int count;
	struct {
		char id[RELAY_KEY_BYTES], direct[RELAY_DIRECT_BYTES];
	} providers[SETTINGS_PROVIDERS_MAX];
	struct relay_edits edits;
};

/* Returns 0; -ENOENT when there is none, or one that makes no sense; or another negative errno with *why. */
int relay_record_read(struct relay_record *record, const struct settings *settings, struct error *why);
int relay_record_write(const struct relay_record *record, const struct settings *settings, struct error *why);
void relay_record_remove(const struct settings *settings);

/* Remembers the provider's own address. */
void relay_record_add(struct relay_record *record, const char *id, const char *direct);

#endif
