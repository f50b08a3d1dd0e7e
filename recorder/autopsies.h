/* Reports of autopsies on their way into the store.
 *
 * The sentry writes a report as a file into the runtime directory, where a reboot ends it. The event that
 * tells of it names the file, and when that event is stored its report goes into the database in the same
 * transaction; only then the file is removed. A report that cannot be taken never keeps its event out: what
 * is missing is said in the event's evidence ("missing"), and a file that is there stays where it is. Which
 * files may be there is the sentry's to bound. */
#ifndef HOLDFAST_RECORDER_AUTOPSIES_H
#define HOLDFAST_RECORDER_AUTOPSIES_H

#include "recorder/store.h"

#define AUTOPSY_KIND             "gateway.autopsy"
#define AUTOPSY_REPORT_BYTES_MAX 65536
#define AUTOPSY_NAME_MAX         40

/* Which report the event names. Returns 0 with its name, -ENOENT when it names none (or is of another kind),
 * or -EINVAL for a name that is not exactly "autopsy.", at most 20 digits, ".json". */
int autopsy_name(const struct message_event *event, char name[AUTOPSY_NAME_MAX]);

/* For store_write, within its transaction: takes the report that the event just stored as `id` names, or
 * says what is missing. Returns 0, or -1 when the database does not take it. */
int autopsy_take(struct store *store, const struct message_event *event, int64_t id);

/* After the commit, and when a stored event comes again: removes the file if its report is stored. */
void autopsy_remove_file(struct store *store, const struct message_event *event);

#endif
