/* The service manager that started us, where there is one that listens (sd_notify(3)). It is told when we
 * supervise and when we end, and keeps our listening sockets for the life after this one. */
#ifndef HOLDFAST_SUPERVISE_MANAGER_H
#define HOLDFAST_SUPERVISE_MANAGER_H

/* "READY=1", "STOPPING=1\nSTATUS=...": lines as sd_notify(3) has them. Nobody listens: nothing happens. */
void manager_say(const char *lines);

/* We are about to execute ourselves anew: READY=1 follows from the new image. */
void manager_say_reloading(void);

/* Has it keep a copy of the descriptor under this name (at most 31 of a-z and -). It knows one that it has.
 */
void manager_keep(const char *name, int fd);

/* And forget it. */
void manager_forget(const char *name);

#endif
