/* `holdfast-recorder explain`: what `holdfast explain` becomes. An incident is told from the event store
 * alone, whether anything runs or not. */
#ifndef HOLDFAST_RECORDER_EXPLAIN_H
#define HOLDFAST_RECORDER_EXPLAIN_H

/* argv[0] is "explain". Returns the exit code: 0 (also when there was no incident yet), 1 when there is no
 * such incident or the events cannot be read, 2 for a wrong command line. */
int explain_main(int argc, char **argv);

#endif
