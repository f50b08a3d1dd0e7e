/* The manners of the mock upstream. Each fills the steps of an answer to connection->request; `words` is from
 * the table in mock_upstream_manners.c, `number` the manner's number, negative or 0 where none was said. */
#ifndef MOCK_UPSTREAM_MANNERS_H
#define MOCK_UPSTREAM_MANNERS_H

#include "tests/support/mock_upstream.h"

typedef void answer_function(struct connection *connection, const char *words, int64_t number);

struct manner {
	const char *name;
	answer_function *answer;
	const char *words;
	int64_t number; /* where the key has none; 0: its next word is no number */
	bool is_early;  /* answers before the body has come */
};

answer_function answer_ok, answer_error, answer_gzip_error, answer_filtered, answer_reset, answer_closed,
    answer_silent, answer_late, answer_slow, answer_gap, answer_drip, answer_tick, answer_pings, answer_big,
    answer_usage, answer_preamble_error, answer_preamble_silence, answer_preamble_cut, answer_cut,
    answer_stall, answer_middle_error, answer_bad_chunk, answer_no_end, answer_gzip, answer_tool,
    answer_thinking, answer_goes, answer_untold, answer_control;

/* mock_upstream_hostile.c */
answer_function answer_raw, answer_nul, answer_info, answer_infoflood, answer_headbomb, answer_endlesshead,
    answer_endlessline, answer_slowhead, answer_endlessbody, answer_endlessevent, answer_endlesserror,
    answer_early;

#endif
