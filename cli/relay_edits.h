/* What is changed in openclaw.json for the relay, and how it is undone.
 *
 * An edit is a member that was inserted, or a value that was replaced, at a path of keys. Undone in reverse
 * order on the very file that they were made in, they leave it byte for byte as it was. In a file that was
 * changed since, each is undone only where its value still stands. */
#ifndef HOLDFAST_CLI_RELAY_EDITS_H
#define HOLDFAST_CLI_RELAY_EDITS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "config/settings.h"
#include "config/source.h"

#define RELAY_KEYS_MAX   4
#define RELAY_KEY_BYTES  80
#define RELAY_EDITS_MAX  (SETTINGS_PROVIDERS_MAX * 4)
#define RELAY_TEXT_BYTES 4096

struct relay_edit {
	int depth;
	char keys[RELAY_KEYS_MAX][RELAY_KEY_BYTES]; /* "models", "providers", "anthropic", "baseUrl" */
	bool inserted;                              /* else `before` was replaced */
	char before[RELAY_TEXT_BYTES], after[RELAY_TEXT_BYTES]; /* as they are spelled */
};

struct relay_edits {
	int count;
	struct relay_edit list[RELAY_EDITS_MAX];
};

/* Text that is edited: owned. */
struct relay_text {
	char *bytes; /* NUL-terminated */
	size_t length;
};

/* What one provider gets. NULL or 0: not. */
struct relay_wish {
	const char *id, *address;
	const char *api;         /* where it has no entry yet */
	bool models;             /* an empty list of models, where it has no entry yet */
	const char *placeholder; /* a key */
	unsigned timeout_seconds;
};

int relay_text_set(struct relay_text *text, const char *bytes, size_t length);
void relay_text_release(struct relay_text *text);

/* Makes the changes for one provider in `text`, and adds them to `edits`. Returns 0 or a negative errno with
 * *why. */
int relay_edits_make(
    struct relay_edits *edits, struct relay_text *text, const struct relay_wish *wish, struct error *why);

/* Puts a value, as it is spelled on one line, at the path `keys` (NULL-terminated, RELAY_KEYS_MAX at most):
 * in place of the one there is, or with all that is missing of the path. */
int relay_edits_put(struct relay_edits *edits, struct relay_text *text, const char *const *keys,
    const char *spelling, struct error *why);

/* Undoes all of them; *skipped counts those whose place was changed since. */
int relay_edits_undo(
    const struct relay_edits *edits, struct relay_text *text, int *skipped, struct error *why);

/* Every provider whose address still begins with `prefix` ("http://127.0.0.1:18791/") gets the one that
 * `direct` gives for its id (NULL: left, and counted in *left). *changed counts. */
int relay_edits_sweep(struct relay_text *text, const char *prefix,
    const char *(*direct)(const void *context, const char *id), const void *context, int *changed, int *left,
    struct error *why);

#endif
