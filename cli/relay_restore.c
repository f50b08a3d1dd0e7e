/* `holdfast relay disable`, and what restores the direct addresses when nobody asks for it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/text.h"
#include "channel/message.h"
#include "cli/print.h"
#include "cli/relay.h"
#include "cli/relay_diff.h"
#include "world/world.h"

struct restoring {
	const struct settings *settings;
	bool urgent, dry_run, has_record;
	bool exact; /* the file is as we left it: its copy takes its place */
	int skipped, changed, left;
	char prefix[RELAY_ADDRESS_MAX], copy[PATH_MAX];
	struct relay_record record;
	struct relay_file file;
	struct relay_text text;
	struct relay_edits shown; /* for the diff: all that may appear in it */
};

static const char *direct_of(const void *context, const char *id)
{
	const struct restoring *restoring = context;
	const struct settings_provider *provider = relay_settings_of(restoring->settings, id);

	for (int i = 0; i < restoring->record.count; i++)
		if (strcmp(restoring->record.providers[i].id, id) == 0)
			return restoring->record.providers[i].direct;
	return provider != NULL ? settings_string(restoring->settings, provider->base_url) : NULL;
}

/* The copy, where it is the one that was made and the file is the one that was left. */
static bool take_copy(struct restoring *restoring)
{
	const struct relay_record *record = &restoring->record;
	struct relay_file copy;
	struct error ignored;
	bool taken = false;

	if (record->before == 0 || hash_bytes(restoring->file.bytes, restoring->file.length) != record->after)
		return false;
	if (relay_file_read(&copy, restoring->copy, &ignored) == 0 &&
	    hash_bytes(copy.bytes, copy.length) == record->before)
		taken = relay_text_set(&restoring->text, copy.bytes, copy.length) == 0;
	relay_file_release(&copy);
	return taken;
}

static int sweep(struct restoring *restoring, struct error *why)
{
	return relay_edits_sweep(&restoring->text, restoring->prefix, direct_of, restoring,
	    &restoring->changed, &restoring->left, why);
}

static int make_text(struct restoring *restoring, struct error *why)
{
	int result = 0;

	restoring->exact = restoring->has_record && take_copy(restoring);
	if (!restoring->exact)
		result = relay_text_set(&restoring->text, restoring->file.bytes, restoring->file.length);
	if (result == 0 && !restoring->exact && restoring->has_record)
		result =
		    relay_edits_undo(&restoring->record.edits, &restoring->text, &restoring->skipped, why);
	return result == 0 ? sweep(restoring, why) : result;
}

/* The gateway is asked. Where it would refuse what is left of an entry, only the addresses go back. */
static bool is_accepted(struct restoring *restoring, char words[RELAY_WORDS_MAX])
{
	struct error why;

	if (restoring->exact && restoring->changed == 0)
		return true;
	if (relay_try(restoring->settings, &restoring->file, &restoring->text, NULL, words) !=
	    VALIDATE_INVALID)
		return true;
	if (relay_text_set(&restoring->text, restoring->file.bytes, restoring->file.length) < 0 ||
	    sweep(restoring, &why) < 0)
		return false;
	return relay_try(restoring->settings, &restoring->file, &restoring->text, NULL, words) !=
	           VALIDATE_INVALID ||
	       restoring->urgent;
}

static void forget(struct restoring *restoring)
{
	if (restoring->has_record)
		world_unlink(restoring->copy);
	relay_record_remove(restoring->settings);
}

static bool is_unchanged(const struct restoring *restoring)
{
	return restoring->text.length == restoring->file.length &&
	       memcmp(restoring->text.bytes, restoring->file.bytes, restoring->file.length) == 0;
}

static void add_outcome(const struct restoring *restoring, struct text *sentence)
{
	text_addf(sentence, "The gateway calls its providers directly again: %.160s is %s.",
	    restoring->file.path,
	    restoring->exact ? "as it was before" : "changed back, and your other changes in it stay");
	if (restoring->left > 0)
		text_addf(sentence,
		    " %d of them still goes through the relay, because its own address is not known: write "
		    "its "
		    "baseUrl yourself.",
		    restoring->left);
}

static enum relay_restored carry_out(struct restoring *restoring, struct text *sentence)
{
	char words[RELAY_WORDS_MAX];
	struct error why;

	if (is_unchanged(restoring)) {
		text_add(sentence, restoring->left > 0
		                       ? "The gateway still calls a provider through the relay, "
		                         "because its own address is not known: write its baseUrl yourself."
		                       : "The gateway does not call any provider through the relay.");
		if (!restoring->dry_run && restoring->left == 0)
			forget(restoring);
		return restoring->left > 0 ? RELAY_FAILED : RELAY_NOTHING;
	}
	if (restoring->dry_run) {
		relay_diff_print(
		    restoring->file.path, restoring->file.bytes, restoring->text.bytes, &restoring->shown);
		text_add(sentence, "Nothing was changed (--dry-run).");
		return RELAY_RESTORED;
	}
	if (!is_accepted(restoring, words)) {
		text_addf(sentence,
		    "The gateway would refuse its configuration without the relay: %.200s. Nothing was "
		    "changed.",
		    words);
		return RELAY_FAILED;
	}
	if (relay_file_replace(&restoring->file, restoring->text.bytes, restoring->text.length, &why) < 0) {
		text_add(sentence, why.text);
		return RELAY_FAILED;
	}
	forget(restoring);
	add_outcome(restoring, sentence);
	return RELAY_RESTORED;
}

/* What a diff may show: what was recorded, and the addresses. */
static void list_shown(struct restoring *restoring)
{
	struct relay_edits *shown = &restoring->shown;
	const struct settings *settings = restoring->settings;

	*shown = restoring->record.edits;
	for (uint32_t i = 0; i < settings->relay.provider_count && shown->count < RELAY_EDITS_MAX; i++) {
		const struct settings_provider *provider = &settings->relay.providers[i];
		struct relay_edit *edit = &shown->list[shown->count++];

		*edit = (struct relay_edit){0};
		snprintf(edit->before, sizeof(edit->before), "\"%s%s\" '%s%s'", restoring->prefix,
		    settings_string(settings, provider->name), restoring->prefix,
		    settings_string(settings, provider->name));
		snprintf(edit->after, sizeof(edit->after), "\"%s\"",
		    settings_string(settings, provider->base_url));
	}
}

enum relay_restored relay_restore(
    const struct settings *settings, bool urgent, bool dry_run, char sentence[RELAY_SENTENCE_MAX])
{
	struct restoring *restoring = calloc(1, sizeof(*restoring));
	enum relay_restored outcome = RELAY_FAILED;
	struct error why = {0};
	struct text text;

	text_init(&text, sentence, RELAY_SENTENCE_MAX);
	if (restoring == NULL) {
		text_add(&text, "There is no memory left.");
		return RELAY_FAILED;
	}
	restoring->settings = settings;
	restoring->urgent = urgent;
	restoring->dry_run = dry_run;
	relay_prefix(settings, restoring->prefix);
	if (relay_file_read(
	        &restoring->file, settings_string(settings, settings->gateway.config_path), &why) < 0) {
		text_add(&text, why.text);
		outcome = why.code == -ENOENT ? RELAY_NOTHING : RELAY_FAILED;
	} else {
		restoring->has_record = relay_record_read(&restoring->record, settings, &why) == 0 &&
		                        strcmp(restoring->record.file, restoring->file.path) == 0;
		if (!restoring->has_record)
			memset(&restoring->record, 0, sizeof(restoring->record));
		snprintf(restoring->copy, sizeof(restoring->copy), "%.*s" RELAY_COPY_SUFFIX,
		    (int)(PATH_MAX - sizeof(RELAY_COPY_SUFFIX)), restoring->file.path);
		list_shown(restoring);
		if (make_text(restoring, &why) < 0)
			text_add(&text, why.text);
		else
			outcome = carry_out(restoring, &text);
	}
	relay_file_release(&restoring->file);
	relay_text_release(&restoring->text);
	free(restoring);
	return outcome;
}

int relay_disable(const struct settings *settings, bool dry_run)
{
	char sentence[RELAY_SENTENCE_MAX];
	enum relay_restored outcome = relay_restore(settings, false, dry_run, sentence);

	if (outcome == RELAY_FAILED) {
		complain("%s", sentence);
		return EXIT_FAILED;
	}
	print_text(sentence);
	putchar('\n');
	return EXIT_DONE;
}

int relay_take_out(void)
{
	struct message message = {0};
	struct error why;
	const struct settings *settings = settings_map(SETTINGS_FD, &why);
	enum relay_restored outcome;

	if (settings == NULL) {
		complain("This is what Holdfast starts when its relay does not stay up, and is not for the "
		         "command line.");
		return EXIT_USAGE;
	}
	if (settings->gateway.kind != GATEWAY_OPENCLAW || settings->gateway.config_path == 0)
		return EXIT_DONE;
	outcome = relay_restore(settings, true, false, message.settings.sentence);
	message.settings.changed = outcome == RELAY_RESTORED;
	message.settings.refused = outcome == RELAY_FAILED;
	message_send(CHANNEL_FD, MESSAGE_SETTINGS, &message, -1);
	return outcome == RELAY_FAILED ? EXIT_FAILED : EXIT_DONE;
}
