/* Asks Node's inspector where JavaScript is: Debugger.enable, Debugger.pause, and the call frames of the
 * answer (Chrome DevTools Protocol). It runs in a thread of its own there, so it answers while the loop
 * spins.
 *
 * The address comes from the gateway's console, so it is believed only if the process in question listens
 * there. What comes over it is bounded, and read strictly. */
#ifndef HOLDFAST_SENTRY_INSPECTOR_H
#define HOLDFAST_SENTRY_INSPECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "http/websocket.h"
#include "loop/loop.h"

#define INSPECTOR_FRAMES_MAX   32
#define INSPECTOR_FUNCTION_MAX 96
#define INSPECTOR_FILE_MAX     256

struct inspector_frame {
	char function[INSPECTOR_FUNCTION_MAX]; /* "": it has no name */
	char file[INSPECTOR_FILE_MAX];         /* "": not known */
	uint32_t line, column;                 /* from 1 */
};

enum inspector_state {
	INSPECTOR_IDLE,
	INSPECTOR_ASKED,    /* for: its address has not come yet */
	INSPECTOR_OPENING,  /* connecting */
	INSPECTOR_ATTACHED, /* connected, and told to pause */
	INSPECTOR_ENABLED,  /* its thread answered: JavaScript was interrupted, and goes on until it pauses */
	INSPECTOR_PAUSED,   /* frames are filled */
	INSPECTOR_FAILED,   /* no connection, or it broke */
};

struct inspector_space;

struct inspector {
	void (*ended)(struct inspector *inspector); /* PAUSED or FAILED */
	void *context;

	/* To be read. */
	enum inspector_state state;
	uint32_t frame_count;
	struct inspector_frame frames[INSPECTOR_FRAMES_MAX]; /* the innermost first */

	/* Private. */
	struct websocket websocket;
	struct inspector_space *space; /* mapped while it is at work */
	int pid;
};

void inspector_init(struct inspector *inspector, struct loop *loop);

/* The process will say its address. Returns 0 or a negative errno (no memory). */
int inspector_ask(struct inspector *inspector, int pid);

/* A line of its console. Returns whether it was its address. */
bool inspector_line(struct inspector *inspector, const char *line, int64_t timeout_ms);

/* What was needed to read its answer is given back. It stays connected, so the process stays paused. */
void inspector_rest(struct inspector *inspector);

/* Lets go: the process runs on if it was paused. */
void inspector_close(struct inspector *inspector);

/* For tests: takes apart `Debugger listening on ws://127.0.0.1:PORT/UUID`. */
bool inspector_read_address(const char *line, uint32_t *port, char path[38]);

#endif
