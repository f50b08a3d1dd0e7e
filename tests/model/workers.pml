/* The workers over the lives of supervisors: started, abandoned, taken back, succeeded, and at their end; the
 * listening socket that passes from hand to hand; and who reads the gateway's console. Checked by
 * tools/check-model.
 *
 * That there is one supervisor at a time is gateway.pml's to show; here it is given. A step is one call that changes
 * the world, and anybody may be killed before it. Kind 0 is the sentry; with the two kinds of the safety runs each
 * keeps a copy of the listening socket, as the three real ones do.
 *
 * Deadlines of seconds pass only when who they wait for has had its turn: a worker's 5 s for its new owner not before
 * that has its workers at work, its 10 s without a gateway not while a supervisor lives, and the 2 s that a supervisor
 * waits for a worker's word never. Left out are the service manager's copies of the listening socket (the model must
 * hold without) and a worker that hangs.
 *
 * PLANTED_* are mistakes, one at a time, that must be found. */

#ifndef KINDS
#define KINDS 2
#endif
#ifndef DEATHS
#define DEATHS 2 /* of supervisor and workers */
#endif
#ifndef UPGRADES
#define UPGRADES 1 /* the supervisor executes itself anew, with other settings or as another build */
#endif
#ifndef GATEWAY_ENDS
#define GATEWAY_ENDS 0
#endif
#ifndef DELETIONS
#define DELETIONS 0 /* of the runtime directory, with the workers' names in it; with one kind only */
#endif

#define WORKERS 4 /* that there can be: four of one kind, or two of each */
#define PLACES  (WORKERS / KINDS)
#define NONE    7

#define kind_of(worker)  ((worker) / PLACES)
#define first_of(worker) (kind_of(worker) * PLACES)
#define is_other(worker, other, is) (is(other) && (other) != worker)
#if KINDS == 1
#define another(worker, is) (is_other(worker, 0, is) || is_other(worker, 1, is) || \
	is_other(worker, 2, is) || is_other(worker, 3, is))
#else
#define another(worker, is) (is_other(worker, first_of(worker), is) || is_other(worker, first_of(worker) + 1, is))
#endif

mtype = { ABSENT, CLONED, BOUND, SERVES, FINISHES };

/* A worker */
mtype state[WORKERS] = ABSENT;
bool briefed[WORKERS]; /* it was told what there is to do: where to listen, and which console to read */
bool keeps[WORKERS];   /* a copy of the listening socket, or has one waiting in its channel */
bit build[WORKERS];    /* which, and with which settings */
bool told[WORKERS];    /* FINISH, or SIGTERM, is on its way to it */
bool same_owner[WORKERS]; /* the lock names the process that its channel had come from */

/* Between it and the supervisor that lives */
bool channel[WORKERS]; /* it is open */
bool calls[WORKERS];   /* a connection waits to be accepted */
bool hello[WORKERS];   /* was said and not yet heard */

/* The runtime directory */
bool named[WORKERS];         /* its socket lies there, under a name of its own */
byte recorded[KINDS] = NONE; /* the worker in the record, while it lives */

/* The supervisor */
bool lives, judges; /* it has asked all whom it could find */
bool has_socket;
bit own_build;
byte worker_of[KINDS] = NONE, predecessor[KINDS] = NONE;
bool returning[KINDS], ready[KINDS];
bool outdated[KINDS];  /* its successor failed: it is to be succeeded again */
bool surplus[WORKERS]; /* of two of a kind: it may go once it has given back what it keeps */

bool gateway = true;
bool in_service;      /* the listening socket: a worker has answered at it, and somebody of that time lives */
bool excused[KINDS];  /* one of its kind was killed: a gap is no wonder */
bool lingered;        /* the gateway was gone for long, and no supervisor there: nobody was served */
bool deleted;         /* the directory, and it was not made anew yet */
bool lost_names;      /* it died before that: the next one does not find its workers */
byte deaths = DEATHS, upgrades = UPGRADES, deletions = DELETIONS, gateway_ends = GATEWAY_ENDS;

#define all_absent (state[0] == ABSENT && state[1] == ABSENT && state[2] == ABSENT && state[3] == ABSENT)
#define somebody_keeps (keeps[0] || keeps[1] || keeps[2] || keeps[3])
#define any_surplus (surplus[0] || surplus[1] || surplus[2] || surplus[3])
#if KINDS == 1
#define is_changing (returning[0] || predecessor[0] != NONE)
#define is_returning (returning[0] || any_surplus)
#define is_starting (!ready[0])
#define somebody_answers false /* one kind alone cannot always give the socket back */
#define somebody_was_killed true
#else
#define is_changing (returning[0] || predecessor[0] != NONE || returning[1] || predecessor[1] != NONE)
#define is_returning (returning[0] || returning[1] || any_surplus)
#define is_starting (!ready[0] || !ready[1])
#define somebody_answers (answers(0) || answers(1) || answers(2) || answers(3))
#define somebody_was_killed (excused[0] || excused[1])
#endif

#define answers(worker) (is_at_work(worker) && keeps[worker])
#define excused_all (deleted || lost_names || lingered)

#define is_there(worker)   (state[worker] != ABSENT)
#define is_at_work(worker) (state[worker] == SERVES && briefed[worker])

#define OR_IS_KILLED :: atomic { deaths > 0 -> deaths--; goto killed }

/* Nothing of a process is left but what it never had. */
inline forget_worker(which)
{
	state[which] = ABSENT;
	briefed[which] = false; keeps[which] = false; build[which] = 0; told[which] = false; same_owner[which] = false;
	channel[which] = false; calls[which] = false; hello[which] = false; named[which] = false;
	if
	:: recorded[kind_of(which)] == which -> recorded[kind_of(which)] = NONE
	:: else
	fi;
	if
	:: all_absent && !lives -> in_service = false
	:: else
	fi
}

#define gives_up(worker) (!channel[worker] && !calls[worker] && lives && judges && \
	worker_of[kind_of(worker)] != NONE && is_at_work(worker_of[kind_of(worker)]))

/* holdfast-sentry, holdfast-recorder, holdfast-relay: worker/worker.c */
proctype worker(byte me)
{
	bool was_at_work;

end_absent:
	if
	:: atomic { state[me] == CLONED }
	fi;

	/* spawn_worker(), worker_init(): listen_for_supervisors(). Until then a SIGTERM ends it on the spot. */
	if
	:: atomic { told[me] -> goto gone }
	:: atomic { !told[me] -> state[me] = BOUND; named[me] = !deleted }
	OR_IS_KILLED
	fi;
	/* introduce(): one whose supervisor is gone already ends */
	if
	:: atomic { channel[me] -> state[me] = SERVES; hello[me] = true }
	:: atomic { !channel[me] -> goto gone }
	OR_IS_KILLED
	fi;

end_serving:
	do
	/* message_came() with FINISH, or SIGTERM */
	:: atomic { told[me] -> break }
	/* supervisor_came(), after what came before: a new one is given what the former had opened, then HELLO is said */
	:: atomic { calls[me] && !channel[me] && !told[me] ->
		calls[me] = false; channel[me] = true; same_owner[me] = true; hello[me] = true }
	/* look(): the gateway has been gone for WORKER_LINGER_MS, and nobody came: there is nobody to serve */
	:: atomic { !channel[me] && !gateway && !lives -> lingered = true; goto finishing }
	/* or the owner had WORKER_CLAIM_MS to come, and did not */
#ifdef PLANTED_SAME_PID_IS_SAME_OWNER
	:: atomic { gives_up(me) && !same_owner[me] -> break }
#elif !defined(PLANTED_WORKER_STAYS)
	:: atomic { gives_up(me) -> break }
#endif
#ifdef PLANTED_DEAD_OWNER_COUNTS
	:: atomic { !channel[me] && !calls[me] && !lives && !same_owner[me] -> break }
#endif
	OR_IS_KILLED
	od;
	/* One that was at work goes only when another is. */
	assert(!briefed[me] || another(me, is_at_work) || excused[kind_of(me)] || excused_all);

finishing:
	atomic { state[me] = FINISHES; told[me] = false; calls[me] = false };
	if
	:: atomic { true ->
		was_at_work = briefed[me] && keeps[me];
		forget_worker(me);
		/* Who ends by itself leaves the socket in somebody's hands. */
		assert(!was_at_work || somebody_keeps || has_socket || somebody_was_killed || excused_all);
		was_at_work = false;
		goto end_absent }
	OR_IS_KILLED
	fi;

killed:
	excused[kind_of(me)] = true;
gone:
	atomic { forget_worker(me); goto end_absent }
}

#define is_free(kind, worker) (state[worker] == ABSENT && predecessor[kind] != worker && !surplus[worker])

/* worker_start(), up to the record: what it is to keep waits in its channel before it is cloned */
inline start_worker(kind)
{
	fresh = kind * PLACES;
	do
	:: is_free(kind, fresh) -> break
	:: else -> fresh++
	od;
	state[fresh] = CLONED;
	build[fresh] = own_build;
	channel[fresh] = true;
	same_owner[fresh] = true;
#ifndef PLANTED_SOCKET_GIVEN_AT_HELLO
	keeps[fresh] = has_socket;
#endif
	worker_of[kind] = fresh;
	ready[kind] = false;
	outdated[kind] = false;
	recorded[kind] = NONE
}

#if KINDS == 1
#define has_place(kind) (is_free(kind, 0) || is_free(kind, 1) || is_free(kind, 2) || is_free(kind, 3))
#else
#define has_place(kind) (is_free(kind, (kind) * PLACES) || is_free(kind, (kind) * PLACES + 1))
#endif

/* opened(): to every worker it has; those of an earlier life have it, or give their own */
inline give_socket()
{
	each = 0;
	do
	:: each < KINDS ->
		if
#ifdef PLANTED_SOCKET_GIVEN_AT_HELLO
		:: worker_of[each] != NONE && !returning[each] && ready[each] && state[worker_of[each]] != ABSENT ->
			keeps[worker_of[each]] = true
#else
		:: worker_of[each] != NONE && !returning[each] && channel[worker_of[each]] -> keeps[worker_of[each]] = true
#endif
		:: else
		fi;
		each++
	:: else -> break
	od;
	each = 0
}

/* workers_open_listeners(): not while somebody may give it back */
inline open_socket()
{
	if
#ifdef PLANTED_SOCKET_NOT_ASKED_FOR
	:: !has_socket ->
#else
	:: !has_socket && !is_returning ->
#endif
		assert(!somebody_answers || excused_all); /* at an address that is taken */
		if
		:: !somebody_keeps -> has_socket = true; give_socket()
		:: else
		fi
	:: else
	fi
}

/* worker_is_ready(): it is briefed, then its predecessor is told to finish */
inline release_predecessor(kind)
{
	if
	:: predecessor[kind] != NONE ->
		told[predecessor[kind]] = (state[predecessor[kind]] != ABSENT);
		channel[predecessor[kind]] = false;
		hello[predecessor[kind]] = false;
		predecessor[kind] = NONE
	:: else
	fi
}

inline brief(kind)
{
	if
	:: state[worker_of[kind]] != ABSENT ->
		briefed[worker_of[kind]] = true;
		keeps[worker_of[kind]] = keeps[worker_of[kind]] || has_socket;
		in_service = in_service || has_socket
	:: else
	fi
}

/* worker_succeed() up to the clone */
inline put_behind(kind)
{
	predecessor[kind] = worker_of[kind];
	worker_of[kind] = NONE;
	ready[kind] = false
#ifdef PLANTED_FINISH_BEFORE_HELLO
	;
	release_predecessor(kind)
#endif
}

inline forget_all()
{
	each = 0;
	do
	:: each < KINDS ->
		worker_of[each] = NONE; predecessor[each] = NONE; returning[each] = false; ready[each] = false;
		outdated[each] = false;
		each++
	:: else -> break
	od;
	each = 0;
	do
	:: each < WORKERS ->
		channel[each] = false; calls[each] = false; hello[each] = false; surplus[each] = false;
		each++
	:: else -> break
	od;
	each = 0
}

/* surplus_said(): one of two of a kind, left by a succession that a death cut short. One that is at work stays until
 * another is. */
#define LEAVES(worker) \
	:: atomic { surplus[worker] && hello[worker] && MAY_LEAVE(worker) -> \
		hello[worker] = false; surplus[worker] = false; channel[worker] = false; told[worker] = true; \
		if \
		:: keeps[worker] && !has_socket -> has_socket = true; give_socket() \
		:: else \
		fi; \
		open_socket() } \
	:: atomic { surplus[worker] && state[worker] == ABSENT -> surplus[worker] = false; open_socket() }

#define IN_LIST(worker) ((named[worker] && !deleted) << worker)
#define LIST            (IN_LIST(0) + IN_LIST(1) + IN_LIST(2) + IN_LIST(3))
#if KINDS == 1
#define IS_NEXT(worker) true /* in any order */
#else
#define IS_NEXT(worker) ((listed & ((1 << worker) - 1)) == 0)
#endif
#define VISIT(worker) \
	:: atomic { (listed & (1 << worker)) && IS_NEXT(worker) -> \
		listed = listed - (1 << worker); \
		if \
		:: !named[worker] || state[worker] == CLONED \
		:: else -> \
			calls[worker] = true; \
			if \
			:: worker_of[kind_of(worker)] == NONE -> \
				worker_of[kind_of(worker)] = worker; returning[kind_of(worker)] = true \
			:: else -> surplus[worker] = true \
			fi \
		fi }

#define was_given(kind) (worker_of[kind] == NONE || returning[kind] || ready[kind] || \
	state[worker_of[kind]] == ABSENT || keeps[worker_of[kind]])

#define is_unreached(kind) (recorded[kind] != NONE && recorded[kind] != worker_of[kind] && \
	!surplus[recorded[kind]] && !told[recorded[kind]])

#ifdef PLANTED_SURPLUS_LEAVES_FIRST
#define MAY_LEAVE(worker) true
#else
#define MAY_LEAVE(worker) (ready[kind_of(worker)] || !briefed[worker] || \
	(predecessor[kind_of(worker)] != NONE && is_at_work(predecessor[kind_of(worker)])))
#endif

/* holdfast-supervise: supervise/succession.c, workers.c, talk.c, listeners.c */
proctype supervisor()
{
	byte kind, fresh, each, listed;

end_absent:
	atomic {
		!lives ->
		lives = true;
		lost_names = lost_names || deleted;
		deleted = false;
		/* ownership_take(): the lock names another process from now on */
		each = 0;
		do
		:: each < WORKERS -> same_owner[each] = false; each++
		:: else -> break
		od;
		each = 0
	}

begin: /* workers_take_back(): the directory is listed at once, then visit_socket() connects to each that is in it */
#ifndef PLANTED_PREDECESSOR_NOT_ASKED
	if
	:: atomic { true -> listed = LIST }
	OR_IS_KILLED
	fi;
#endif
	do
	VISIT(0)
	VISIT(1)
	VISIT(2)
	VISIT(3)
	:: listed == 0 -> break
	OR_IS_KILLED
	od;

	/* end_earlier_workers(): whom the record names, and no socket led to */
	do
	:: atomic { is_unreached(0) -> told[recorded[0]] = true }
#if KINDS > 1
	:: atomic { is_unreached(1) -> told[recorded[1]] = true }
	:: !is_unreached(0) && !is_unreached(1) -> break
#else
	:: !is_unreached(0) -> break
#endif
	OR_IS_KILLED
	od;
	judges = true;
	if
	:: atomic { true -> open_socket() }
	OR_IS_KILLED
	fi;

end_loop:
	do
	/* workers_start(), worker_succeed(), retry() */
	:: atomic { worker_of[0] == NONE && has_place(0) -> kind = 0; goto start }
#if KINDS > 1
	:: atomic { worker_of[1] == NONE && has_place(1) -> kind = 1; goto start }
#endif
	/* workers_ended() */
	:: atomic { worker_of[0] != NONE && state[worker_of[0]] == ABSENT -> kind = 0; goto ended }
#if KINDS > 1
	:: atomic { worker_of[1] != NONE && state[worker_of[1]] == ABSENT -> kind = 1; goto ended }
#endif
	/* hello_came() */
	:: atomic { worker_of[0] != NONE && hello[worker_of[0]] -> kind = 0; goto heard }
#if KINDS > 1
	:: atomic { worker_of[1] != NONE && hello[worker_of[1]] -> kind = 1; goto heard }
#endif
	/* surplus_said(), leaving_ended() */
	LEAVES(0)
	LEAVES(1)
	LEAVES(2)
	LEAVES(3)
	/* retry() of one whose successor had failed */
	:: atomic { outdated[0] && ready[0] -> put_behind(0); outdated[0] = false }
#if KINDS > 1
	:: atomic { outdated[1] && ready[1] -> put_behind(1); outdated[1] = false }
#endif
	/* open_missing(), by its timer */
	:: atomic { !has_socket && !is_returning && !somebody_keeps -> open_socket() }
	/* step_spawn(), workers_announce_gateway() */
	:: atomic { !gateway -> gateway = true }
	/* renew(): change_begin() waits until no worker changes, and some may again by now */
	:: atomic { upgrades > 0 -> upgrades--; goto execute_anew }
	/* runtime.c: restore(); workers_succeed(), for their sockets lay there too. Not before all have said HELLO: one that
	 * is just starting may have looked for the directory while there was none, and would stay without a name. */
#ifdef PLANTED_NAMELESS_KEPT
	:: atomic { deleted && !is_changing ->
#else
	:: atomic { deleted && !is_changing && !is_starting ->
#endif
		deleted = false;
		each = 0;
		do
		:: each < KINDS ->
			if
			:: worker_of[each] != NONE && ready[each] -> put_behind(each)
			:: else
			fi;
			each++
		:: else -> break
		od;
		each = 0 }
	OR_IS_KILLED
	od;

start:
	if
	:: atomic { true -> start_worker(kind); fresh = 0 }
	OR_IS_KILLED
	fi;
	if
	:: atomic { state[worker_of[kind]] != ABSENT && !deleted -> recorded[kind] = worker_of[kind] } /* supervisor_save() */
	:: atomic { state[worker_of[kind]] == ABSENT || deleted }
	OR_IS_KILLED
	fi;
	atomic { kind = 0; goto end_loop };

ended:
	if
	:: atomic { true ->
		worker_of[kind] = NONE; returning[kind] = false; ready[kind] = false;
		if
		:: predecessor[kind] != NONE -> /* worker_put_back(): it goes on, heard again */
			worker_of[kind] = predecessor[kind]; predecessor[kind] = NONE;
			ready[kind] = true; outdated[kind] = true;
			brief(kind)
		:: else
		fi;
		kind = 0;
		open_socket() }
	OR_IS_KILLED
	fi;
	goto end_loop;

heard:
	if
	:: atomic { !hello[worker_of[kind]] -> kind = 0; goto end_loop } /* it died meanwhile */
	:: atomic { hello[worker_of[kind]] ->
		hello[worker_of[kind]] = false;
		if
		:: returning[kind] -> /* what it keeps came before its HELLO */
			returning[kind] = false;
			if
			:: keeps[worker_of[kind]] && !has_socket -> has_socket = true; give_socket()
			:: else
			fi;
			if
			:: build[worker_of[kind]] != own_build -> put_behind(kind); open_socket(); kind = 0; goto end_loop
			:: else
			fi;
			ready[kind] = true;
			open_socket()
		:: else -> ready[kind] = true
		fi }
	OR_IS_KILLED
	fi;
	if
#ifdef PLANTED_FINISH_BEFORE_BRIEF
	:: atomic { true -> release_predecessor(kind) }
#else
	:: atomic { true -> brief(kind) }
#endif
	OR_IS_KILLED
	fi;
	if
#ifdef PLANTED_FINISH_BEFORE_BRIEF
	:: atomic { true -> brief(kind) }
#else
	:: atomic { true -> release_predecessor(kind) }
#endif
	OR_IS_KILLED
	fi;
	atomic { kind = 0; goto end_loop };

execute_anew: /* with the lock and the listening socket in hand; every channel closes */
	if
	:: atomic { true -> forget_all(); judges = false; own_build = 1 - own_build;
		lost_names = lost_names || deleted; deleted = false }
	OR_IS_KILLED
	fi;
	goto begin;

killed:
	atomic {
		/* What it has, everybody it started has. */
		assert(!has_socket || was_given(0));
#if KINDS > 1
		assert(!has_socket || was_given(1));
#endif
		assert(!in_service || !has_socket || somebody_keeps || all_absent || somebody_was_killed || excused_all);
		forget_all();
		has_socket = false; judges = false; kind = 0; fresh = 0; listed = 0;
		lives = false;
		if
		:: all_absent -> in_service = false
		:: else
		fi;
		goto end_absent
	}
}

proctype world()
{
end:
	do
	:: atomic { gateway && gateway_ends > 0 -> gateway_ends--; gateway = false }
	:: atomic { deletions > 0 && lives -> deletions--; deleted = true;
		named[0] = false; named[1] = false; named[2] = false; named[3] = false; recorded[0] = NONE }
	od
}

/* Where nothing happens any more time goes on all the same: an endless wait counts as one. */
proctype idle()
{
	do
	:: deaths <= DEATHS
	od
}

init {
	atomic {
#ifdef LIVENESS
		run idle();
#endif
		run worker(0); run worker(1); run worker(2); run worker(3);
		run supervisor();
		run world()
	}
}

/* Of one kind exactly one is there, at work (a sentry at work is the console's reader), kept, and in the right build. */
#define settled(kind) (worker_of[kind] != NONE && is_at_work(worker_of[kind]) && channel[worker_of[kind]] && \
	keeps[worker_of[kind]] && build[worker_of[kind]] == own_build && named[worker_of[kind]] && \
	!another(worker_of[kind], is_there))

#if KINDS == 1
ltl settles { <>[] (lives && has_socket && settled(0)) }
#else
ltl settles { <>[] (lives && has_socket && settled(0) && settled(1)) }
#endif
