/* Which files may hold a secret. */
#ifndef HOLDFAST_CONFIG_SECRET_FILE_H
#define HOLDFAST_CONFIG_SECRET_FILE_H

#include <sys/stat.h>

/* NULL, or what is wrong with it, in words that follow its name: "belongs to another user". */
const char *secret_file_fault(const struct stat *status);

#endif
