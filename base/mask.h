/* Secrets in what is shown of other programs' command lines: they are replaced by "***". */
#ifndef HOLDFAST_BASE_MASK_H
#define HOLDFAST_BASE_MASK_H

#include <stddef.h>

#define MASK_SHOWN "***"

/* Copies words as /proc/PID/cmdline has them (each ends with a NUL, and may itself hold several, as a title
 * or the argument of a shell does) into `target`, cut to fit and NUL-terminated. Masked are, in any case of
 * letters:
 * - what follows an option whose name ends with token, key, secret, password or passwd (--api-key VALUE);
 * - VALUE in NAME=VALUE and NAME: VALUE where NAME contains KEY, TOKEN, SECRET, PASSWORD or PASSWD;
 * - what follows "Bearer" and "Basic";
 * - who is named in a URL ("://user:password@");
 * - what looks like an API key: sk- and eight or more letters, digits, dashes or underscores.
 * In doubt too much is masked. Give it more than is shown: what was cut within a secret is not always known
 * for one. Returns the length of the copy, without its last NUL. */
size_t mask_secrets(const char *words, size_t length, char *target, size_t size);

#endif
