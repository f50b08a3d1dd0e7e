/* One table of options parses them, prints their help and completes them.
 * Values go into members of a struct the caller names by offset; strings are borrowed from argv. */
#ifndef HOLDFAST_CLI_OPTIONS_H
#define HOLDFAST_CLI_OPTIONS_H

#include <stddef.h>
#include <stdio.h>

#include "base/error.h"

#define OPTION_LIST_MAX   16
#define OPTION_TABLES_MAX 4

enum option_kind {
	OPTION_FLAG, /* bool: takes no value */
	OPTION_TEXT, /* const char *: the last one given, NULL where none is */
	OPTION_LIST, /* struct option_list: all that are given */
};

struct option_list {
	size_t count;
	const char *items[OPTION_LIST_MAX];
};

struct option {
	const char *name; /* with its dashes: "--state-dir"; NULL ends a table */
	char letter;      /* 'h' for -h; 0: none. Flags only */
	enum option_kind kind;
	size_t offset;     /* of its value */
	const char *value; /* what the value is called: "DIR" and "FILE" complete as such; NULL for a flag */
	const char *choices; /* the only values allowed, separated by blanks; NULL: any */
	const char *help;    /* NULL: accepted, and not shown */
};

/* Reads the option at arguments[0], which may take its value from arguments[1]. `tables` ends with NULL.
 * Returns the number of arguments used, 0 when arguments[0] is no option ("-", "--", a word, NULL), or
 * -EINVAL. */
int options_take(const struct option *const *tables, void *values, char **arguments, struct error *why);

/* The reverse: writes the options of `table` that were given as arguments again, at most `room` of them.
 * Returns how many, or -E2BIG. */
int options_write(const struct option *table, const void *values, const char **arguments, size_t room);

/* One aligned line an option. */
void options_help(const struct option *table, FILE *out);

#endif
