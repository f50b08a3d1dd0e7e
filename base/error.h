/* What went wrong, in words a person can act on: one sentence, filled once, where the cause is known. */
#ifndef HOLDFAST_BASE_ERROR_H
#define HOLDFAST_BASE_ERROR_H

#define ERROR_TEXT_MAX 512

struct error {
	int code; /* negative errno */
	char text[ERROR_TEXT_MAX];
};

/* Fills `error` (may be NULL) and returns `code`, so that callers can write `return error_set(...)`.
 * `code` is a negative errno. The text is cut at ERROR_TEXT_MAX - 1 bytes. */
int error_set(struct error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
