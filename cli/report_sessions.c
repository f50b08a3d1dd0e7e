/* The gateway's sessions, for people and for programs. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/member.h"
#include "cli/print.h"
#include "cli/report.h"
#include "format/json_write.h"

#define COLUMNS   4 /* those with a width of their own; what a session waits for comes last */
#define WAITS_MAX 256
#define ROW_MAX   8192 /* each byte of a text may take six in JSON */

/* --- Order. --- */

enum rank { RANK_STUCK, RANK_RUNNING, RANK_IDLE };

static enum rank rank_of(const struct control_session *session)
{
	if (strcmp(session->state, "idle") == 0)
		return RANK_IDLE;
	return strcmp(session->state, "running") == 0 ? RANK_RUNNING : RANK_STUCK;
}

static int compare(const void *left, const void *right)
{
	const struct control_session *a = left, *b = right;

	if (rank_of(a) != rank_of(b))
		return rank_of(a) < rank_of(b) ? -1 : 1;
	if (rank_of(a) != RANK_IDLE && a->quiet_ms != b->quiet_ms)
		return a->quiet_ms > b->quiet_ms ? -1 : 1;
	return strcmp(a->key, b->key);
}

void report_sort_sessions(struct control_session *sessions, size_t count)
{
	qsort(sessions, count, sizeof(*sessions), compare);
}

/* --- For people. --- */

/* "2 min" for "2 min 0 s": limits are round. */
static const char *round_duration(char *target, size_t size, int64_t ms)
{
	static const char *const nothing[] = {" 0 s", " 0 min", " 0 h"};

	text_duration(target, size, ms);
	for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
		size_t length = strlen(target), tail = strlen(nothing[i]);

		if (length > tail && strcmp(target + length - tail, nothing[i]) == 0)
			target[length - tail] = '\0';
	}
	return target;
}

static void add_what(const struct control_session *session, struct text *text)
{
	if (strcmp(session->waits, "model") == 0)
		text_add(text, "a model");
	else if (strcmp(session->waits, "tool") == 0 && session->tool[0] != '\0')
		text_addf(text, "the tool %s", session->tool);
	else if (strcmp(session->waits, "tool") == 0)
		text_add(text, "a tool");
	else if (strcmp(session->waits, "queue") == 0)
		text_add(text, "its turn");
	else
		text_add(text, session->waits);
}

/* "the tool exec, 4 min 2 s of 15 min; 2 messages wait behind it" */
static const char *waits_for(const struct control_session *session, char target[WAITS_MAX])
{
	char quiet[32], limit[32];
	struct text text;

	text_init(&text, target, WAITS_MAX);
	add_what(session, &text);
	if (text.length > 0 && session->quiet_ms >= 0 && session->limit_ms > 0)
		text_addf(&text, ", %s of %s", text_duration(quiet, sizeof(quiet), session->quiet_ms),
		    round_duration(limit, sizeof(limit), session->limit_ms));
	if (session->queued > 0)
		text_addf(&text, "%s%u message%s behind it", text.length > 0 ? "; " : "", session->queued,
		    session->queued == 1 ? " waits" : "s wait");
	if (session->attempts > 0)
		text_addf(&text, "%sits abort was tried %s", text.length > 0 ? "; " : "",
		    session->attempts == 1   ? "once"
		    : session->attempts == 2 ? "twice"
		                             : "several times");
	return target;
}

static const char *duration(char *target, size_t size, int64_t ms)
{
	if (ms < 0)
		text_copy(target, size, "-");
	else
		text_duration(target, size, ms);
	return target;
}

struct row {
	const char *cells[COLUMNS];
	char age[32], quiet[32];
};

static void fill_row(struct row *row, const struct control_session *session)
{
	row->cells[0] = session->key;
	row->cells[1] = session->state;
	row->cells[2] = duration(row->age, sizeof(row->age), session->age_ms);
	row->cells[3] = duration(row->quiet, sizeof(row->quiet), session->quiet_ms);
}

static void print_row(const struct row *row, const char *last, const size_t widths[COLUMNS], enum colour head,
    enum colour state)
{
	for (int i = 0; i < COLUMNS; i++) {
		print_padded(i == 1 ? state : head, row->cells[i], widths[i]);
		printf("  ");
	}
	print_coloured(head, *last != '\0' ? last : "-");
	putchar('\n');
}

static void print_table(const struct control_session *sessions, size_t count)
{
	const struct row heads = {.cells = {"SESSION", "STATE", "RUNS FOR", "NO PROGRESS FOR"}};
	size_t widths[COLUMNS] = {0};
	char waits[WAITS_MAX];
	struct row row;

	for (size_t i = 0; i <= count; i++) {
		row = heads;
		if (i < count)
			fill_row(&row, &sessions[i]);
		for (int j = 0; j < COLUMNS; j++)
			if (text_width(row.cells[j]) > widths[j])
				widths[j] = text_width(row.cells[j]);
	}
	print_row(&heads, "WAITS FOR", widths, COLOUR_FAINT, COLOUR_FAINT);
	for (size_t i = 0; i < count; i++) {
		fill_row(&row, &sessions[i]);
		print_row(&row, waits_for(&sessions[i], waits), widths, COLOUR_NONE,
		    rank_of(&sessions[i]) == RANK_STUCK ? COLOUR_RED : COLOUR_NONE);
	}
	putchar('\n');
}

void report_sessions_text(
    const struct control_sessions *reply, const struct control_session *sessions, size_t count, bool all)
{
	size_t busy = 0;

	while (busy < count && rank_of(&sessions[busy]) != RANK_IDLE)
		busy++;
	if (all)
		busy = count;
	if (busy > 0)
		print_table(sessions, busy);
	printf("%u session%s known, %u running, %u stuck", reply->known, reply->known == 1 ? "" : "s",
	    reply->running, reply->stuck);
	if (busy < count)
		printf("; %zu idle, which --all lists", count - busy);
	if (reply->left > 0)
		printf("; %" PRIu64 " idle %s", reply->left,
		    reply->left == 1 ? "one has made room for others" : "ones have made room for others");
	printf(".\n");
}

/* --- For programs. --- */

static void print_session_json(const struct control_session *session)
{
	char data[ROW_MAX];
	struct text text;

	text_init(&text, data, sizeof(data));
	json_write_begin(&text, '{');
	member_text(&text, "key", session->key);
	member_text(&text, "id", session->id);
	member_text(&text, "run", session->run);
	member_text(&text, "state", session->state);
	member_text(&text, "waitsFor", session->waits);
	member_text(&text, "tool", session->tool);
	member_known(&text, "ageMs", session->age_ms);
	member_known(&text, "quietMs", session->quiet_ms);
	member_known(&text, "limitMs", session->limit_ms);
	json_write_key(&text, "witnesses");
	json_write_bits(&text, session->witnesses, SESSION_WITNESS_COUNT, session_witness_name);
	member_number(&text, "attempts", session->attempts);
	member_number(&text, "queued", session->queued);
	json_write_end(&text, '}');
	fputs(data, stdout);
}

void report_sessions_json(const struct control_sessions *reply, const struct control_session *sessions,
    size_t count, const char *message)
{
	char data[ROW_MAX];
	struct text text;

	text_init(&text, data, sizeof(data));
	json_write_begin(&text, '{');
	member_bool(&text, "ok", message == NULL);
	json_write_key(&text, "message");
	json_write_string(&text, message);
	member_number(&text, "known", reply->known);
	member_number(&text, "running", reply->running);
	member_number(&text, "stuck", reply->stuck);
	member_number(&text, "left", reply->left);
	member_number(&text, "strange", reply->strange);
	json_write_key(&text, "sessions");
	json_write_begin(&text, '[');
	fputs(data, stdout);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			putchar(',');
		print_session_json(&sessions[i]);
	}
	puts("]}");
}
