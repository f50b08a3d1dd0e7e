#include "config/secret_file.h"

#include <unistd.h>

/* Whoever else may read or write it could have the secret, or give us another one. */
const char *secret_file_fault(const struct stat *status)
{
	if (!S_ISREG(status->st_mode))
		return "is no file";
	if (status->st_uid != geteuid() && status->st_uid != 0)
		return "belongs to another user";
	if ((status->st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return "may be read or written by others: make its mode 0600";
	return NULL;
}
