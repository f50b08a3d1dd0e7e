/* "Did you mean": which known name is most like an unknown one. */
#include <string.h>

#include "config/schema.h"

#define NAME_MAX_COMPARED 63

static char folded(char character)
{
	return character >= 'A' && character <= 'Z' ? (char)(character - 'A' + 'a') : character;
}

static unsigned char smaller(unsigned a, unsigned b)
{
	return (unsigned char)(a < b ? a : b);
}

/* How many characters must be added, removed, changed or swapped; upper and lower case are the same. */
static unsigned edit_distance(const char *a, const char *b)
{
	size_t a_length = strnlen(a, NAME_MAX_COMPARED), b_length = strnlen(b, NAME_MAX_COMPARED);
	unsigned char table[NAME_MAX_COMPARED + 1][NAME_MAX_COMPARED + 1];

	for (size_t i = 0; i <= a_length; i++)
		table[i][0] = (unsigned char)i;
	for (size_t j = 0; j <= b_length; j++)
		table[0][j] = (unsigned char)j;
	for (size_t i = 1; i <= a_length; i++) {
		for (size_t j = 1; j <= b_length; j++) {
			bool same = folded(a[i - 1]) == folded(b[j - 1]);

			table[i][j] = smaller(
			    table[i - 1][j - 1] + !same, smaller(table[i - 1][j] + 1u, table[i][j - 1] + 1u));
			if (i > 1 && j > 1 && folded(a[i - 1]) == folded(b[j - 2]) &&
			    folded(a[i - 2]) == folded(b[j - 1]))
				table[i][j] = smaller(table[i][j], table[i - 2][j - 2] + 1u);
		}
	}
	return table[a_length][b_length];
}

struct search {
	const char *name;
	unsigned best;
	char *nearest; /* SETTING_VARIABLE_MAX bytes */
	bool found;
};

static void search_try(struct search *search, const char *candidate)
{
	unsigned distance = edit_distance(search->name, candidate);

	if (distance >= search->best)
		return;
	search->best = distance;
	search->found = text_copy(search->nearest, SETTING_VARIABLE_MAX, candidate);
}

static void search_begin(struct search *search, const char *name, size_t ignored, char *nearest)
{
	size_t length = strlen(name) - ignored;

	/* A third of it wrong is a slip, more is another word. */
	*search = (struct search){.name = name,
	    .best = (length < 3 ? 1 : (unsigned)(length < 60 ? length : 60) / 3) + 1,
	    .nearest = nearest};
}

static const char *last_part(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot != NULL ? dot + 1 : path;
}

static void try_sections(struct search *search, const char *path)
{
	char section[SETTING_VARIABLE_MAX];

	for (const char *dot = strchr(path, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
		memcpy(section, path, (size_t)(dot - path));
		section[dot - path] = '\0';
		search_try(search, section);
	}
}

const char *schema_nearest(const char *path, char nearest[SETTING_VARIABLE_MAX])
{
	size_t prefix = (size_t)(last_part(path) - path);
	struct search search;

	search_begin(&search, path, prefix, nearest);
	for (size_t i = 0; i < schema_count; i++) {
		search_try(&search, schema[i].path);
		try_sections(&search, schema[i].path);
	}
	/* The right key in the wrong place. */
	for (size_t i = 0; i < schema_count && !search.found; i++)
		if (edit_distance(last_part(schema[i].path), last_part(path)) == 0)
			search.found = text_copy(nearest, SETTING_VARIABLE_MAX, schema[i].path);
	return search.found ? nearest : NULL;
}

const char *schema_nearest_variable(const char *variable, char nearest[SETTING_VARIABLE_MAX])
{
	char name[SETTING_VARIABLE_MAX];
	struct search search;

	search_begin(&search, variable, strlen("HOLDFAST_"), nearest);
	for (size_t i = 0; i < schema_count; i++)
		search_try(&search, setting_variable(&schema[i], name));
	for (size_t i = 0; schema_other_variables[i] != NULL; i++)
		search_try(&search, schema_other_variables[i]);
	return search.found ? nearest : NULL;
}

const char *schema_nearest_of(const char *const *names, const char *name)
{
	const char *best = NULL;
	unsigned least = (unsigned)(strnlen(name, 60) < 3 ? 1 : strnlen(name, 60) / 3) + 1;

	for (; *names != NULL; names++) {
		unsigned distance = edit_distance(name, *names);

		if (distance < least) {
			least = distance;
			best = *names;
		}
	}
	return best;
}
