/* The life of the gateway over the lives of its supervisors: what is started, recorded, found again, adopted,
 * ended and removed, when anybody may be killed before every step. Checked by tools/check-model.
 *
 * What each step stands for is named beside it, by function. A step here is one call that changes the world: a
 * death of who makes it comes before or after it, never within (a record is one write within one page).
 *
 * Left out, because it changes nothing here: back-off, boot budget, parking and pauses (they put a start off),
 * probes (the state of health is judged anew by each life), and processes that the kernel does not let go.
 * What is condemned and has had its inspector opened is saved as asked to end before that: here it is.
 * Time is left out too: a deadline may pass at any moment, except the 2 s that a supervisor waits for the lock and
 * the 200 ms it waits for the execution, which are longer than a cloned child takes for what it does then.
 *
 * PLANTED_* are mistakes, one at a time, that must be found. */

#ifndef DEATHS
#define DEATHS 3 /* of supervisors and of the gateway, by whatever cause */
#endif
#ifndef COMMANDS
#define COMMANDS 2 /* a person gives */
#endif
#ifndef SECOND_STARTS
#define SECOND_STARTS 1 /* somebody starts a supervisor though one lives */
#endif
#ifndef UPGRADES
#define UPGRADES 1 /* the supervisor executes itself anew: `holdfast upgrade`, a reload */
#endif
#ifndef HELPERS
#define HELPERS 2 /* processes that a gateway makes, which outlive it until they are killed */
#endif
#ifndef STRANGERS
#define STRANGERS 0 /* processes of somebody else that get the number of one that ended */
#endif
#ifndef DELETIONS
#define DELETIONS 0 /* of the runtime directory, with the record in it */
#endif

#ifndef MARKERS
#define MARKERS DELETIONS /* a gateway is known by its marker too: the record must do without, while there is one */
#endif

#define SUPERVISORS 2
#define NUMBERS     2 /* that processes can have: two gateways at once are possible, and must not be */
#define NOBODY      7

mtype = { FREE, GATED, STARTS, LISTENS, ENDED, STRANGER }; /* what has a process number */
mtype = { SHUT, OPEN, CLOSED };                            /* its gate */
mtype = { NOTHING, START, STOP, RESTART };                 /* what a person asks */
mtype = { UP, DOWN, UNKNOWN };                             /* what a person may rely on */
mtype = { NONE, LIVES, KILLED };                           /* a helper */

mtype process[NUMBERS] = FREE;
mtype gate[NUMBERS] = CLOSED;
mtype helper[NUMBERS] = NONE; /* of the gateway with that number; carries its marker */
bool term[NUMBERS], kill[NUMBERS];
bool must_end[NUMBERS]; /* its restart was promised */

byte owner = NOBODY; /* who holds the lock in the state directory */
bool had_owner;      /* there is a pid in it */
byte living;         /* supervisors */

/* The record. A number in it stands for number and start time: `stale` when the number was given anew. */
bool record_there, record_deleted, record_stale;
bool record_wanted, record_asked, record_down;
byte record_number = NOBODY;

/* What supervisors know while they live. */
bool wanted[SUPERVISORS];
bool has_asked[SUPERVISORS];           /* its gateway to end, and waits for it */
byte gateway_of[SUPERVISORS] = NOBODY; /* the number of its gateway, also when that has ended */
bool holds[SUPERVISORS];               /* its pidfd */
bool adopted[SUPERVISORS];             /* it is no child: its orphans do not fall to us */
bool owes[SUPERVISORS];                /* an answer to the person */

mtype asked = NOTHING;
mtype promised = UP; /* `holdfast run` wants it up */

byte deaths = DEATHS, commands = COMMANDS, second_starts = SECOND_STARTS, upgrades = UPGRADES;
byte helpers = HELPERS, strangers = STRANGERS, deletions = DELETIONS;

#define is_gateway(number) (process[number] == GATED || process[number] == STARTS || process[number] == LISTENS)
#define executes(number)   (process[number] == STARTS || process[number] == LISTENS)
#define is_held(number)    ((holds[0] && gateway_of[0] == number) || (holds[1] && gateway_of[1] == number))

/* A cloned child has a copy of the lock's descriptor until it executes its program, or ends. */
#define lock_is_free (owner == NOBODY && process[0] != GATED && process[1] != GATED)

/* The helpers that kill_tree() sees. Of a child's tree all fall to the subreaper; of an adopted one they are known
 * by the marker. */
#ifdef PLANTED_ADOPTED_TREE_FORGOTTEN
#define sees_helper(me, number) (!adopted[me] && gateway_of[me] == number)
#else
#define sees_helper(me, number) (gateway_of[me] == number)
#endif

/* procfs_is_alive() of what the record names: number and start time. */
#ifdef PLANTED_ADOPT_BY_PID_ALONE
#define recorded_lives (record_number != NOBODY && (is_gateway(record_number) || process[record_number] == STRANGER))
#else
#define recorded_lives (record_number != NOBODY && is_gateway(record_number) && !record_stale)
#endif

/* Anybody may be killed before each of its steps. */
#define OR_IS_KILLED :: atomic { deaths > 0 -> deaths--; goto killed }

#define process_is_none (!holds[me] && !has_tree)

/* supervisor_save() */
inline save()
{
	record_there = true;
	record_number = gateway_of[me];
	record_stale = false;
	record_down = process_is_none;
#ifdef PLANTED_RESTART_FORGOTTEN
	record_asked = false;
#else
	record_asked = has_asked[me];
#endif
#ifdef PLANTED_RECORD_WITHOUT_WISH
	record_wanted = true
#else
	record_wanted = wanted[me]
#endif
}

inline answer()
{
	if
	:: owes[me] ->
		promised = (record_deleted -> UNKNOWN : (asked == STOP -> DOWN : UP));
		if
		:: asked == RESTART && holds[me] && executes(gateway_of[me]) -> must_end[gateway_of[me]] = !record_deleted
		:: else
		fi;
		asked = NOTHING;
		owes[me] = false
	:: else
	fi
}

/* A process that ended: its number is known to be free once who held it has seen the end. */
inline reap()
{
	process[gateway_of[me]] = FREE;
	holds[me] = false
}

/* The numbers are given anew: nothing that was said of the former process holds. */
inline become(number, what)
{
	process[number] = what;
	must_end[number] = false;
	term[number] = false;
	kill[number] = false;
	if
	:: record_number == number -> record_stale = true
	:: else
	fi
}

/* A gateway's process, from clone_run() on, and what it leaves behind. */
proctype gateway(byte number)
{
end:
	do
	/* run_gated(): the marker came through the gate */
#ifdef PLANTED_NO_GATE
	:: atomic { process[number] == GATED ->
#else
	:: atomic { process[number] == GATED && gate[number] == OPEN ->
#endif
		assert(!executes(1 - number)); /* never two gateways */
		process[number] = STARTS }
	/* or the gate closed: as if it had never been */
	:: atomic { process[number] == GATED && gate[number] == CLOSED -> process[number] = ENDED; must_end[number] = false }
	:: atomic { process[number] == STARTS -> process[number] = LISTENS }
	:: atomic { executes(number) && helper[number] == NONE && helpers > 0 -> helpers--; helper[number] = LIVES }
	/* SIGTERM: it ends, or is deaf to it */
	:: atomic { executes(number) && term[number] -> term[number] = false; process[number] = ENDED; must_end[number] = false }
	:: atomic { executes(number) && term[number] -> term[number] = false }
	/* SIGKILL takes its time */
	:: atomic { is_gateway(number) && kill[number] ->
		kill[number] = false; process[number] = ENDED; must_end[number] = false }
	:: atomic { helper[number] == KILLED -> helper[number] = NONE }
	:: atomic { is_gateway(number) && deaths > 0 -> deaths--; process[number] = ENDED; must_end[number] = false }
	/* with its parent dead the kernel forgets it, and gives its number to others */
	:: atomic { process[number] == ENDED && !is_held(number) -> process[number] = FREE }
	:: atomic { process[number] == FREE && strangers > 0 -> strangers--; become(number, STRANGER) }
	od
}

/* holdfast-supervise. Who starts it: a service manager whenever none lives, and somebody who does not know. */
proctype supervisor(byte me)
{
	bool found;
	bool has_tree; /* of its gateway something may be left */

end_absent:
	atomic {
		(living == 0 && me == 0) || second_starts > 0 -> /* which of two equals is the first says nothing new */
		if
		:: living == 0 && me == 0
		:: else -> second_starts--
		fi;
		living++;
		if
		:: living == 1 && record_deleted -> /* a new life finds none */
			record_deleted = false; record_there = false; record_stale = false;
			record_number = NOBODY; record_wanted = false; record_asked = false; record_down = false
		:: else
		fi
	}

	/* ownership_take(): refused while another lives; waits for the child that a dead one had cloned */
#ifndef PLANTED_NO_LOCK
	if
	:: atomic { lock_is_free -> owner = me }
	:: atomic { owner != NOBODY -> goto gone }
	OR_IS_KILLED
	fi;
#endif

take_up: /* take_up_record() */
	if
	:: atomic { true ->
		gateway_of[me] = (record_there -> record_number : NOBODY);
		wanted[me] = (record_there -> record_wanted : true);
		has_asked[me] = record_there && record_asked;
		has_tree = record_there && !record_down;
		found = record_there && recorded_lives;
		/* find_unrecorded(): by the marker in its environment, which it has from its execution on */
		if
		:: !found && MARKERS && had_owner && (executes(0) || executes(1)) ->
			found = true; has_tree = true;
			gateway_of[me] = (executes(0) -> 0 : 1);
			record_there = true; record_number = gateway_of[me]; record_stale = false /* in its memory */
		:: else
		fi }
	OR_IS_KILLED
	fi;
	had_owner = true;

	/* ownership_check(): the port is somebody's, and not a gateway's of ours */
	if
	:: atomic { !found && (process[0] == LISTENS || process[1] == LISTENS) -> goto gone }
	:: found || (process[0] != LISTENS && process[1] != LISTENS)
	OR_IS_KILLED
	fi;

	/* remove_orphans(): what carries the marker of a gateway that is no more; and it waits until they are gone */
	if
	:: d_step { true ->
		if
		:: helper[0] == LIVES && !is_gateway(0) -> helper[0] = KILLED
		:: else
		fi;
		if
		:: helper[1] == LIVES && !is_gateway(1) -> helper[1] = KILLED
		:: else
		fi }
	OR_IS_KILLED
	fi;
	if
	:: helper[0] != KILLED && helper[1] != KILLED
	OR_IS_KILLED
	fi;

	/* begin(), cell_found(): where an earlier life was without a gateway this one goes on; else it is proved */
	if
	:: !has_tree && !wanted[me] -> goto stopped
	:: !has_tree && wanted[me] -> goto spawn
	:: else
	fi;

	/* adopt(): the pidfd first, then the identity */
	if
	:: atomic { recorded_lives ->
		assert(process[gateway_of[me]] != STRANGER); /* nobody else's process is ever taken for ours */
		holds[me] = true; adopted[me] = true }
	:: atomic { !recorded_lives -> adopted[me] = true; goto killing }
	OR_IS_KILLED
	fi;
	/* cell_adopted() */
	if
	:: atomic { save(); found = false }
	OR_IS_KILLED
	fi;
	if
	:: !wanted[me] || has_asked[me] -> goto drain /* drain_adopted() */
	:: else
	fi;

end_running:
	do
	:: atomic { process[gateway_of[me]] == ENDED -> reap(); break } /* gateway_died() */
	:: atomic { asked == START && !owes[me] -> owes[me] = true; promised = UNKNOWN; answer() }
	:: atomic { asked == STOP && !owes[me] -> owes[me] = true; promised = UNKNOWN; wanted[me] = false; goto drain }
	:: atomic { asked == RESTART && !owes[me] -> owes[me] = true; promised = UNKNOWN; goto drain }
	:: atomic { upgrades > 0 -> upgrades--; goto execute_anew }
	:: atomic { record_deleted -> record_deleted = false; save() } /* runtime.c: restore(), from what is held open */
	OR_IS_KILLED
	od;
	goto killing;

drain: /* step_drain(): DO_SAVE, DO_TERMINATE; the answer comes when all of it is done */
	has_asked[me] = true;
#ifdef PLANTED_ANSWER_BEFORE_RECORD
	if
	:: atomic { answer() }
	OR_IS_KILLED
	fi;
#endif
	if
	:: atomic { save() }
	OR_IS_KILLED
	fi;
	if
	:: atomic { term[gateway_of[me]] = true }
	OR_IS_KILLED
	fi;
	if
	:: atomic { answer() }
	OR_IS_KILLED
	fi;

	/* draining: until it ends, or its time is over */
	do
	:: atomic { process[gateway_of[me]] == ENDED -> reap(); break }
	:: break /* cell_timer_draining() */
	:: atomic { asked == STOP && !owes[me] -> owes[me] = true; promised = UNKNOWN; wanted[me] = false; save(); answer() }
	:: atomic { (asked == START || asked == RESTART) && !owes[me] ->
		owes[me] = true; promised = UNKNOWN; wanted[me] = true; save(); answer() }
	OR_IS_KILLED
	od;

killing: /* kill_tree(), again and again until nothing is left */
	do
#ifdef PLANTED_TREE_NOT_AWAITED
	:: !holds[me] -> break
#endif
	:: atomic { holds[me] && process[gateway_of[me]] == ENDED -> reap() }
	:: atomic { holds[me] && process[gateway_of[me]] != ENDED && !kill[gateway_of[me]] -> kill[gateway_of[me]] = true }
	:: d_step { sees_helper(me, 0) && helper[0] == LIVES -> helper[0] = KILLED }
	:: d_step { sees_helper(me, 1) && helper[1] == LIVES -> helper[1] = KILLED }
	:: atomic { !holds[me] && !(sees_helper(me, 0) && helper[0] != NONE) &&
		!(sees_helper(me, 1) && helper[1] != NONE) -> break }
	:: atomic { asked == STOP && !owes[me] -> owes[me] = true; promised = UNKNOWN; wanted[me] = false; save(); answer() }
	:: atomic { (asked == START || asked == RESTART) && !owes[me] ->
		owes[me] = true; promised = UNKNOWN; wanted[me] = true; save(); answer() }
	OR_IS_KILLED
	od;

	/* step_settle() */
	if
	:: wanted[me] -> goto spawn
	:: else
	fi;

	/* step_stay_stopped() */
	if
	:: atomic { has_tree = false; has_asked[me] = false; save() }
	OR_IS_KILLED
	fi;

stopped:
	found = false;
end_stopped:
	do
	:: atomic { (asked == START || asked == RESTART) && !owes[me] ->
		owes[me] = true; promised = UNKNOWN; wanted[me] = true; break }
	:: atomic { asked == STOP && !owes[me] -> owes[me] = true; promised = UNKNOWN; answer() }
	:: atomic { upgrades > 0 -> upgrades--; goto execute_anew }
	:: atomic { record_deleted -> record_deleted = false; save() } /* runtime.c: restore(), from what is held open */
	OR_IS_KILLED
	od;

spawn: /* spawn_gated(): the clone, which waits at its gate */
	if
	:: atomic { process[0] == FREE || process[1] == FREE ->
		assert(!is_gateway(0) && !is_gateway(1));               /* never a start before the old tree is gone */
		assert(helper[0] == NONE && helper[1] == NONE);
		assert(promised != DOWN);                               /* stopped stays stopped */
		gateway_of[me] = (process[0] == FREE -> 0 : 1);
		become(gateway_of[me], GATED);
		gate[gateway_of[me]] = SHUT;
		holds[me] = true; adopted[me] = false; has_tree = true; has_asked[me] = false }
	OR_IS_KILLED
	fi;
#ifdef PLANTED_RECORD_AFTER_GATE
	if
	:: atomic { gate[gateway_of[me]] = OPEN }
	OR_IS_KILLED
	fi;
#endif
	if
	:: atomic { save() } /* spawn(): not on record, it must not run */
	OR_IS_KILLED
	fi;
	if
	:: atomic { gate[gateway_of[me]] = OPEN } /* spawn_release() */
	OR_IS_KILLED
	fi;
	if
	:: atomic { process[gateway_of[me]] != GATED -> answer() } /* it waits for the execution */
	OR_IS_KILLED
	fi;
	goto end_running;

execute_anew: /* the record is written; the lock goes on through the execution, all that was known does not */
	if
	:: atomic { save() }
	OR_IS_KILLED
	fi;
	if
	:: atomic {
#ifdef PLANTED_LOCK_LOST_ON_EXEC
		owner = NOBODY;
#endif
		gateway_of[me] = NOBODY; holds[me] = false; adopted[me] = false; has_asked[me] = false; found = false;
		has_tree = false }
	OR_IS_KILLED
	fi;
	goto take_up;

killed: /* what the kernel does: closes the gate and the lock, refuses the caller */
gone:
	atomic {
		living--;
		if
		:: owner == me -> owner = NOBODY
		:: else
		fi;
		if
		:: gateway_of[me] != NOBODY && process[gateway_of[me]] == GATED && gate[gateway_of[me]] == SHUT ->
			gate[gateway_of[me]] = CLOSED
		:: else
		fi;
		if
		:: owes[me] -> owes[me] = false; asked = NOTHING
		:: else
		fi;
		gateway_of[me] = NOBODY; holds[me] = false; adopted[me] = false; wanted[me] = false; has_asked[me] = false;
		found = false; has_tree = false
	}
	goto end_absent
}

proctype person()
{
end:
	do
	:: atomic { commands > 0 && asked == NOTHING -> commands--;
		if
		:: asked = START
		:: asked = STOP
		:: asked = RESTART
		fi }
	od
}

/* Who deletes the runtime directory deletes what was wanted with it. */
proctype deleter()
{
end:
	do
	:: atomic { deletions > 0 -> deletions--; record_deleted = true; promised = UNKNOWN;
		must_end[0] = false; must_end[1] = false }
	od
}

/* Where nothing happens any more time goes on all the same: an endless wait counts as one. */
proctype idle()
{
	do
	:: living <= SUPERVISORS
	od
}

init {
	atomic {
#ifdef LIVENESS
		run idle();
#endif
		run gateway(0); run gateway(1);
		run supervisor(0); run supervisor(1);
		run person();
		if
		:: DELETIONS > 0 -> run deleter()
		:: else
		fi
	}
}

#define supervised(number) (process[number] == LISTENS && is_held(number))

/* Once nobody dies any more: what is wanted up is up and held, once, what was stopped is gone, and what was to be
 * started again has been. */
ltl settles { <>[] (!must_end[0] && !must_end[1] && (promised == UP -> (supervised(0) || supervised(1))) &&
	(promised == DOWN -> (!is_gateway(0) && !is_gateway(1) && helper[0] == NONE && helper[1] == NONE))) }
