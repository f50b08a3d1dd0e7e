/* Where new programs are tried: directories of their own inside ours, with copies of the record and of the
 * events that wait. */
#ifndef HOLDFAST_SUPERVISE_SCRATCH_H
#define HOLDFAST_SUPERVISE_SCRATCH_H

struct supervisor;

#define SCRATCH_NAME ".trial"

/* Makes them anew; `state` and `runtime` (PATH_MAX bytes each) get their paths. What is in the state
 * directory is made by the trial itself, because that disk may block. Returns 0 or a negative errno. */
int scratch_make(struct supervisor *supervisor, char *state, char *runtime);
/* Harmless when there are none. */
void scratch_remove(struct supervisor *supervisor);

/* Removes all files of a directory, and the directory. */
void scratch_clear(const char *path);

#endif
