/* `holdfast-recorder events`: what `holdfast events` becomes, so that `holdfast` itself needs no SQLite. */
#ifndef HOLDFAST_RECORDER_EVENTS_H
#define HOLDFAST_RECORDER_EVENTS_H

/* argv[0] is "events". Returns the exit code: 0, 1 when the events cannot be read, 2 for a wrong command
 * line. */
int events_main(int argc, char **argv);

#endif
