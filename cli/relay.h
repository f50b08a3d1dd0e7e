/* `holdfast relay`: what its verbs share. */
#ifndef HOLDFAST_CLI_RELAY_H
#define HOLDFAST_CLI_RELAY_H

#include "cli/command.h"
#include "cli/relay_ask.h"
#include "cli/relay_edits.h"
#include "cli/relay_file.h"
#include "cli/relay_record.h"
#include "cli/relay_view.h"
#include "config/settings.h"

#define RELAY_SENTENCE_MAX 384

/* The supervisor executes `holdfast` under this name when the relay cannot stay up: with the sealed settings
 * as SETTINGS_FD, it restores the direct addresses, says what came of it over CHANNEL_FD (MESSAGE_SETTINGS)
 * and ends with one of the statuses below. Not for people. */
#define RELAY_TAKE_OUT "holdfast-relay-take-out"

enum relay_restored {
	RELAY_FAILED = -1,
	RELAY_NOTHING = 0, /* the gateway does not go through the relay */
	RELAY_RESTORED = 1,
};

int relay_enable(const struct invocation *invocation, const struct settings *settings);
int relay_disable(const struct settings *settings, bool dry_run);
int relay_status(const struct settings *settings, bool json);
int relay_import(const struct settings *settings, bool dry_run);

/* Whether OpenClaw 2026.2.1's own profiles have a credential for this provider. */
bool relay_import_knows(const struct settings *settings, const char *id);

/* Restores the providers' own addresses in the gateway's configuration: to be called before the relay goes
 * away for good while the gateway lives on. `urgent`: the gateway's own program is asked, but what it says
 * stops nothing. `sentence` says what was done, or why it could not be. */
enum relay_restored relay_restore(
    const struct settings *settings, bool urgent, bool dry_run, char sentence[RELAY_SENTENCE_MAX]);

/* RELAY_TAKE_OUT: returns its exit status. */
int relay_take_out(void);

/* "http://127.0.0.1:18791/", and the whole address for a provider. */
void relay_prefix(const struct settings *settings, char prefix[RELAY_ADDRESS_MAX]);
void relay_address(const struct settings *settings, const char *id, char address[RELAY_ADDRESS_MAX]);

/* The provider's settings, or NULL. */
const struct settings_provider *relay_settings_of(const struct settings *settings, const char *id);

/* Asks the gateway whether it would accept `text` as its configuration: as a file beside its own (not
 * beside what that is a link to), so that what it includes is found. */
enum validate_answer relay_try(const struct settings *settings, const struct relay_file *file,
    const struct relay_text *text, const char *wanted, char why[RELAY_WORDS_MAX]);

/* "anthropic", "anthropic and openai", "a, b and c" */
void relay_add_name(struct text *list, int index, int count, const char *name);

#endif
