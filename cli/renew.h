/* What the supervisor executes `holdfast` for, under other names, while it changes itself: these are its own
 * forms of `run`, and not for people. Each takes argv without its [0] and returns the exit status. */
#ifndef HOLDFAST_CLI_RENEW_H
#define HOLDFAST_CLI_RENEW_H

#define RENEW_SETTINGS "holdfast-settings"
#define RENEW_TRIAL    "holdfast-trial"

/* {ARGUMENTS OF `holdfast`...}: reads the settings as those arguments say and sends them over CHANNEL_FD
 * (MESSAGE_SETTINGS), with what changes against those in force, which are SETTINGS_FD. EXIT_CONFIG when they
 * are refused, which the message says as well. */
int renew_settings(char **arguments);

/* {STATE_SCRATCH, RUNTIME_SCRATCH, "--", ARGUMENTS OF `holdfast`...}: becomes a supervisor on trial, with its
 * settings and its instance, but with these two directories: {"holdfast-supervise", "--trial", "--",
 * ARGUMENTS...}. What stands against it is said over CHANNEL_FD as above. */
int renew_trial(char **arguments);

#endif
