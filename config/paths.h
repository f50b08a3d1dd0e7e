/* Where things lie: home, paths with "~", Holdfast's own two directories. No name service is asked, so that
 * the program can be linked statically. */
#ifndef HOLDFAST_CONFIG_PATHS_H
#define HOLDFAST_CONFIG_PATHS_H

#include <limits.h>
#include <stdint.h>

#include "base/error.h"

/* A socket's whole path must fit into struct sockaddr_un. */
#define PATHS_RUNTIME_MAX 90

/* The variable `name` of `environment`, or NULL. */
const char *paths_variable(char *const *environment, const char *name);

/* HOME, else the user's entry in /etc/passwd. Returns 0 or a negative errno with *why. */
int paths_home(char *const *environment, char home[PATH_MAX], struct error *why);

/* Makes `path` absolute: "~" is `home`; what is relative is below `base`, or the current directory where
 * `base` is NULL; ".", ".." and doubled slashes go. Links are not followed. Returns 0, -ENAMETOOLONG or
 * another errno. */
int paths_resolve(const char *home, const char *base, const char *path, char resolved[PATH_MAX]);

/* The state directory as --state-dir (may be NULL) and the environment have it. */
int paths_state(char *const *environment, const char *home, const char *flag, char state_dir[PATH_MAX],
    struct error *why);

/* The runtime directory. Another state directory than the user's ordinary one gets another runtime directory.
 */
int paths_runtime(char *const *environment, const char *home, const char *flag, const char *state_dir,
    char runtime_dir[PATH_MAX], struct error *why);

/* Names the instance that owns this state directory. */
uint64_t paths_instance(const char *state_dir);

#endif
