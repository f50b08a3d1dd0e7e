/* Text with a declared maximum: appending past it cuts and remembers that it did. Never allocates. */
#ifndef HOLDFAST_BASE_TEXT_H
#define HOLDFAST_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
	char *data; /* always NUL-terminated; borrowed from whoever called text_init */
	size_t size;
	size_t length;
	bool truncated;
};

/* Borrows `data`; `size` counts the final NUL and is at least 1. */
void text_init(struct text *text, char *data, size_t size);
void text_add(struct text *text, const char *string);
void text_add_bytes(struct text *text, const char *bytes, size_t length);
void text_addf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Copies `source` into `target`, cut to fit and NUL-terminated. Returns true when all of it fitted. */
bool text_copy(char *target, size_t target_size, const char *source);

/* Reads all of `string` as a decimal number of at most `max`. Returns 0, or -EINVAL / -ERANGE. */
int text_to_u64(const char *string, uint64_t max, uint64_t *value);

/* "45 s", "3 min 20 s", "2 h 5 min": a duration for people. `target` is at least 32 bytes. */
const char *text_duration(char *target, size_t target_size, int64_t ms);

/* "740 MB", "1.2 GB": a size for people, decimal. `target` is at least 32 bytes. */
const char *text_bytes(char *target, size_t target_size, uint64_t bytes);

#endif
