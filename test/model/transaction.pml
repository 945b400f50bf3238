/*
 * Two-phase commit of lib/transactions/: a driver, NODES nodes, a lease that may end at any moment, and two others who settle what they find. A step of
 * one process is one message, or one change in the table of the coordinator. The driver may die, or not be heard, between any two.
 * Checked in every interleaving: no node follows what is not committed, none drops what is, and at the end nobody is in doubt.
 * Each macro takes out one precaution, and must be found out.
 */

#define NODES 2

mtype = { untouched, promised, followed, dropped };

mtype node[NODES] = untouched;
/* In the table: the key of the driver, which goes with its lease, and the one that says that it is committed. */
bool driver_key = true, committed_key = false;
/* What was decided, also when its key is gone again. */
bool is_committed = false;
bool driver_is_gone = false, late_is_over = false;

#ifdef COMMIT_WITHOUT_LEASE
#define MAY_COMMIT true
#else
#define MAY_COMMIT driver_key
#endif

#ifdef ABORT_WHILE_OPEN
#define IS_OPEN(seen) false
#else
#define IS_OPEN(seen) seen
#endif

inline follow(at) {
  atomic { if :: node[at] == promised -> assert(is_committed); node[at] = followed :: else fi }
}

inline drop(at) {
  atomic { if :: node[at] == promised -> assert(!is_committed); node[at] = dropped :: else fi }
}

active proctype Driver() {
  byte at = 0;
  bool all = true;
  do
  :: at < NODES ->
    if
    :: node[at] = promised
    :: atomic { node[at] = promised; all = false } /* The answer is lost. */
    :: all = false /* It refuses, or does not hear. */
    :: goto gone
    fi;
    at++
  :: else -> break
  od;
#ifndef ONE_PROMISE_MISSING
  if :: all :: else -> goto abort fi;
#endif
  if
  :: atomic { MAY_COMMIT -> committed_key = true; is_committed = true }
  :: !MAY_COMMIT -> goto abort
  :: goto gone
  fi;
  at = 0;
  do
  :: at < NODES ->
    follow(at);
#ifdef FORGET_AT_ONCE
    committed_key = false;
#endif
    at++
  :: goto gone
  :: at == NODES -> committed_key = false; break
  od;
  goto gone;
abort:
  at = 0;
  do
  :: at < NODES -> drop(at); at++
  :: at == NODES -> break
  :: goto gone
  od;
gone:
  driver_is_gone = true
}

/* It ends when the driver has not kept it alive, whether that is dead or only stands still. */
active proctype Lease() { driver_key = false }

/* A message to promise that comes late, or once more: what has been followed has changed, and is not promised again. */
active proctype Late() {
  byte at;
  select(at : 0 .. NODES - 1);
  if
  :: atomic { driver_is_gone && node[at] != followed -> node[at] = promised }
  :: true
  fi;
  late_is_over = true
}

active [2] proctype Other() {
  byte at;
  bool driver_seen, committed_seen;
again:
  at = 0;
  do
  :: at < NODES ->
    if
    :: node[at] == promised ->
#ifdef COMMIT_SEEN_FIRST
      committed_seen = committed_key;
      driver_seen = driver_key;
#else
      driver_seen = driver_key;
      committed_seen = committed_key;
#endif
      if
      :: committed_seen -> follow(at)
      :: !committed_seen && !IS_OPEN(driver_seen) -> drop(at)
      :: else
      fi
    :: else
    fi;
    at++
  :: else -> break
  od;
  /* As long as there may be something. */
  if
  :: node[0] == promised || node[1] == promised || !driver_is_gone || !late_is_over || driver_key -> goto again
  :: else
  fi
}

/* What is not committed leaves no node that has followed it, and what is none that has dropped it. */
active proctype Judge() {
  byte at = 0;
  driver_is_gone && late_is_over && !driver_key && node[0] != promised && node[1] != promised;
  do
  :: at < NODES ->
    assert(!is_committed || node[at] == followed);
    assert(is_committed || node[at] != followed);
    at++
  :: else -> break
  od
}
