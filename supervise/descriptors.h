/* Open descriptors that come with us, by name: from the service manager's store, or from ourselves before we
 * executed anew. `--descriptors=lock:5,holdfast-api:10` says which is which. */
#ifndef HOLDFAST_SUPERVISE_DESCRIPTORS_H
#define HOLDFAST_SUPERVISE_DESCRIPTORS_H

#include <stdbool.h>

#include "base/text.h"

#define DESCRIPTORS_OPTION   "--descriptors="
#define DESCRIPTORS_MAX      32
#define DESCRIPTORS_NAME_MAX 32

/* Reads the list (what follows the option), makes its descriptors close-on-exec, and closes every other one
 * from `lowest` on. Strict: an entry that is no name and open descriptor is passed over. */
void descriptors_read(const char *list, int lowest);

/* A descriptor of that name, the caller's from now on, or -1. */
int descriptors_take(const char *name);

bool descriptors_has(const char *name);

/* Closes what nobody took. */
void descriptors_close_rest(void);

/* Adds an entry to a list for the next image, and lets the descriptor stay open over the exec. */
void descriptors_add(struct text *list, const char *name, int fd);

/* The exec failed: what was added is for this image alone again. */
void descriptors_withdraw(const struct text *list);

#endif
