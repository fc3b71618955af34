/* The coordinator's steps against changes of its leader and delayed duplicates.

   What must hold: each step takes effect at most once; no name is locked by a transaction that has ended; a
   transaction that has ended has done all or nothing; with none in flight, link counts equal the names.

   Processes
     Client       begins transactions (renames between names a and b, links to either), and changes the names
                  itself, without the coordinator (shard/entries.cc:add, :remove).
     Coordinator  what its log applies: cdc/state.cc:apply, cdc/transaction.cc:due, :took, cdc/ops/rename.cc,
                  cdc/ops/link.cc. A transaction starts when no earlier unfinished one has one of its names.
     Leader       cdc/state.cc:drive sends the current step of a transaction once; another leader, :started,
                  sends it again, with the watermark of that time, :lowestUnfinished.
     Shards       two: name a is on one, name b on the other, link counts on the first. shard/ops/step.cc:applyStep,
                  shard/ops/lock_entry.cc, shard/ops/set_entry.cc, shard/ops/add_link.cc.

   Abstracted: both logs (an entry is applied once, in order). A step, once sent, arrives at any time, any number
   of times, also when its transaction has long ended; so does its answer: one of an earlier step is passed over
   by the coordinator. Directories: walks up, CloseDir, SetParent. Any step may be refused for a reason that the
   model does not know. Progress is not shown: the simulator shows it.
   Bounds: TXNS transactions, CHANGES changes by clients, REFUSALS refusals without reason.

   Guards that can be taken out
     NO_WATERMARK       a shard forgets answers below the watermark, and does not refuse what comes for them
     WATERMARK_AT_LAST  the watermark is the newest transaction's, not the lowest unfinished one's
     REFUSALS_FORGOTTEN a refusal of a step is not remembered
     NO_ANSWERS         no answer of a step is remembered
     NO_STEP_NUMBER     the coordinator takes an answer of an earlier step for one of the current one
     NO_LOCKS           what is locked is changed nevertheless, by clients and by transactions that run side by side

   And a variant that must hold too
     ANY_ORDER          transactions with a common name run side by side: locks alone keep them apart (the order of
                        names is there so that none waits for another in a circle, or for ever) */
#include "probe.pml"

#ifndef TXNS
#define TXNS 3
#endif
#ifndef CHANGES
#define CHANGES 1
#endif
#ifndef REFUSALS
#define REFUSALS 1
#endif
#define STEPS (5 + REFUSALS) /* of a transaction, undoing and repeating included */
#define AT(t, s) ((t) * STEPS + (s))

/* --- shards: the name n is on shard n, link counts on shard 0 --- */
#define F 1 /* is there from the beginning, named a */
#define G 2 /* may be made by a client */
byte target[2], lock[2];
byte links[3];
byte watermark[2];
#define REFUSED 1
#define DONE(there) (2 + (there))
byte answer[(TXNS + 1) * STEPS]; /* remembered */
bool ran[(TXNS + 1) * STEPS];    /* only to check: it took effect */

/* --- steps under way, for ever --- */
#define LOCK 1
#define UNLOCK 2
#define SET 3
#define REMOVE 4
#define ADD_LINK 5
#define DROP_LINK 6
byte action[(TXNS + 1) * STEPS], on[(TXNS + 1) * STEPS]; /* what to do on which name */
byte sent[(TXNS + 1) * STEPS];                           /* the highest watermark it was sent with; 0: not sent */

/* --- the coordinator's rows --- */
#define RENAME 1
#define LINK 2
#define WAITING 1
#define RUNNING 2
#define ENDED 3
#define UNDONE 9
byte begun;
byte state[TXNS + 1], kind[TXNS + 1], to[TXNS + 1];
byte phase[TXNS + 1], step[TXNS + 1];
bool back[TXNS + 1], fixed[TXNS + 1];
byte there_a[TXNS + 1], there_b[TXNS + 1];
byte reply[TXNS + 1]; /* to the current step, on its way */
bool flight[TXNS + 1];
byte did[TXNS + 1]; /* only to check: effects that stand. 1 SET, 2 REMOVE, 4 ADD_LINK */

byte changes = CHANGES, refusals = REFUSALS;
byte i, low; /* of d_steps only, 0 between */

#define UNFINISHED(t) (state[t] == WAITING || state[t] == RUNNING)
#define COMMON_NAME(t, u) (kind[t] == RENAME || kind[u] == RENAME || to[t] == to[u])
#define NOTHING_TO_DO(t) (kind[t] == RENAME && phase[t] >= 2 && there_a[t] == there_b[t])

inline lowestUnfinished() {
    low = 1;
    do
    :: low <= begun && state[low] == ENDED -> low++
    :: else -> break
    od
#ifdef WATERMARK_AT_LAST
    ;
    low = begun
#endif
}

#define LOCK_FINE(n) (lock[n] == 0 || state[lock[n]] == RUNNING)
inline check() {
    assert(LOCK_FINE(0) && LOCK_FINE(1));
    low = 1;
    do
    :: low <= begun && state[low] == ENDED -> low++
    :: else -> break
    od;
    if
    :: low > begun ->
        assert(links[F] == (target[0] == F) + (target[1] == F));
        assert(links[G] == (target[0] == G) + (target[1] == G))
    :: else
    fi;
    low = 0
}

#ifdef NO_LOCKS
#define UNLOCKED(n, t) true
#else
#define UNLOCKED(n, t) (lock[n] == 0 || lock[n] == t)
#endif

proctype Client() {
end:
    do
    :: d_step { begun < TXNS -> begun++; state[begun] = WAITING; kind[begun] = RENAME; to[begun] = 0 }
    :: d_step { begun < TXNS -> begun++; state[begun] = WAITING; kind[begun] = RENAME; to[begun] = 1 }
    :: d_step { begun < TXNS -> begun++; state[begun] = WAITING; kind[begun] = LINK; to[begun] = 0; there_a[begun] = F }
    :: d_step { begun < TXNS -> begun++; state[begun] = WAITING; kind[begun] = LINK; to[begun] = 1; there_a[begun] = F }
    :: d_step { changes > 0 && links[G] == 0 && UNLOCKED(0, 0) && target[0] == 0 -> changes--; target[0] = G; links[G]++ }
    :: d_step { changes > 0 && links[G] == 0 && UNLOCKED(1, 0) && target[1] == 0 -> changes--; target[1] = G; links[G]++ }
    :: d_step { changes > 0 && UNLOCKED(0, 0) && target[0] != 0 -> changes--; links[target[0]]--; target[0] = 0 }
    :: d_step { changes > 0 && UNLOCKED(1, 0) && target[1] != 0 -> changes--; links[target[1]]--; target[1] = 0 }
    od
}

/* cdc/transaction.cc:due: the next thing to do; phases that have nothing to do are passed over */
inline due(t) {
    if
    :: back[t] ->
        do
        :: phase[t] != UNDONE && phase[t] >= 2 -> phase[t]--
        :: else -> break
        od
    :: else
    fi;
    on[AT(t, step[t])] = to[t];
    if
    :: back[t] && phase[t] == UNDONE -> state[t] = ENDED
    :: back[t] && phase[t] == 1 && kind[t] == RENAME -> action[AT(t, step[t])] = UNLOCK
    :: back[t] && phase[t] == 1 && kind[t] == LINK -> action[AT(t, step[t])] = DROP_LINK; on[AT(t, step[t])] = 0
    :: back[t] && phase[t] == 0 ->
        action[AT(t, step[t])] = UNLOCK;
        if
        :: kind[t] == RENAME -> on[AT(t, step[t])] = 1 - to[t]
        :: else
        fi
    :: !back[t] && kind[t] == RENAME && phase[t] == 0 -> action[AT(t, step[t])] = LOCK; on[AT(t, step[t])] = 1 - to[t]
    :: !back[t] && kind[t] == RENAME && phase[t] == 1 -> action[AT(t, step[t])] = LOCK
    :: NOTHING_TO_DO(t) && !back[t] && phase[t] == 2 -> action[AT(t, step[t])] = UNLOCK; on[AT(t, step[t])] = 1 - to[t]
    :: NOTHING_TO_DO(t) && !back[t] && phase[t] == 3 -> action[AT(t, step[t])] = UNLOCK
    :: !NOTHING_TO_DO(t) && !back[t] && kind[t] == RENAME && phase[t] == 2 -> action[AT(t, step[t])] = SET
    :: !NOTHING_TO_DO(t) && !back[t] && kind[t] == RENAME && phase[t] == 3 ->
        action[AT(t, step[t])] = REMOVE; on[AT(t, step[t])] = 1 - to[t]
    :: !back[t] && kind[t] == RENAME && phase[t] == 4 -> state[t] = ENDED
    :: !back[t] && kind[t] == LINK && phase[t] == 0 -> action[AT(t, step[t])] = LOCK
    :: !back[t] && kind[t] == LINK && phase[t] == 1 -> action[AT(t, step[t])] = ADD_LINK; on[AT(t, step[t])] = 0
    :: !back[t] && kind[t] == LINK && phase[t] == 2 -> action[AT(t, step[t])] = SET
    :: !back[t] && kind[t] == LINK && phase[t] == 3 -> state[t] = ENDED
    fi;
    if
    :: state[t] == ENDED ->
        on[AT(t, step[t])] = 0;
        /* all or nothing */
        if
        :: back[t] || NOTHING_TO_DO(t) -> assert(did[t] == 0)
        :: else -> assert((kind[t] == RENAME && did[t] == 3) || (kind[t] == LINK && did[t] == 5))
        fi;
        did[t] = 0;
        phase[t] = 0; back[t] = false; fixed[t] = false; there_b[t] = 0;
        check()
    :: else
    fi
}

inline turnBack(t) {
    PROBE("a transaction turns back")
    back[t] = true;
    if
    :: phase[t] == 0 -> phase[t] = UNDONE
    :: else -> phase[t]--
    fi
}

/* cdc/transaction.cc:took, with Script<Rename>::took and ::pointOfNoReturn, Script<Link>'s */
inline took(t, r) {
    step[t]++;
    assert(step[t] < STEPS);
    flight[t] = false;
    if
    :: back[t] && r == REFUSED -> PROBE("an undoing step is asked again") skip
    :: back[t] && r != REFUSED && phase[t] == 0 -> phase[t] = UNDONE
    :: back[t] && r != REFUSED && phase[t] != 0 -> phase[t]--
    :: !back[t] && r == REFUSED && fixed[t] -> PROBE("past the point of no return a step is asked again") skip
    :: !back[t] && r == REFUSED && !fixed[t] -> turnBack(t)
    :: !back[t] && r != REFUSED ->
        if
        :: phase[t] >= 2 -> fixed[t] = true
        :: else
        fi;
        if
        :: kind[t] == RENAME && phase[t] == 0 -> there_a[t] = r - DONE(0)
        :: kind[t] == RENAME && phase[t] == 1 -> there_b[t] = r - DONE(0)
        :: else
        fi;
        if
        :: kind[t] == RENAME && phase[t] == 0 && there_a[t] == 0 -> /* nothing there: undo this phase too */
            PROBE("a lock is given back, there is nothing to rename")
            back[t] = true
        :: else -> phase[t]++
        fi
    fi;
    reply[t] = 0;
    due(t)
}

inline start(t) {
    state[t] = RUNNING;
    due(t)
}

proctype Coordinator(byte t) {
end:
    do
    :: d_step {
        state[t] == WAITING &&
#if !defined(ANY_ORDER) && !defined(NO_LOCKS)
        (t == 1 || !(UNFINISHED(1) && COMMON_NAME(t, 1))) &&
#if TXNS > 2
        (t <= 2 || !(UNFINISHED(2) && COMMON_NAME(t, 2))) &&
#endif
#if TXNS > 3
        (t <= 3 || !(UNFINISHED(3) && COMMON_NAME(t, 3))) &&
#endif
#endif
        true -> start(t)
    }
    :: d_step { state[t] == RUNNING && reply[t] != 0 -> took(t, reply[t]) }
#ifdef NO_STEP_NUMBER
    :: d_step { state[t] == RUNNING && step[t] > 0 && answer[AT(t, step[t] - 1)] != 0 -> took(t, answer[AT(t, step[t] - 1)]) }
#endif
    od
}

proctype Leader(byte t) {
end:
    do
    :: d_step { state[t] == RUNNING && !flight[t] ->
        flight[t] = true;
        lowestUnfinished();
        if
        :: low > sent[AT(t, step[t])] -> sent[AT(t, step[t])] = low
        :: else
        fi;
        low = 0
    }
    :: d_step { flight[t] -> flight[t] = false; PROBE("another leader sends a step again") }
    od
}

/* Its effect, and in `r` the answer. */
inline act(t, n, a, r) {
    if
    :: a == LOCK && (!UNLOCKED(n, t) || (kind[t] == LINK && target[n] != 0)) ->
        PROBE("a lock is refused")
        r = REFUSED
    :: a == LOCK && !(!UNLOCKED(n, t) || (kind[t] == LINK && target[n] != 0)) -> lock[n] = t; r = DONE(target[n])
    :: a == UNLOCK ->
        if
        :: lock[n] == t -> lock[n] = 0
        :: else
        fi;
        r = DONE(0)
    :: a == SET && !UNLOCKED(n, t) -> r = REFUSED
    :: a == SET && UNLOCKED(n, t) ->
        if
        :: target[n] != there_a[t] ->
            if
            :: target[n] != 0 -> PROBE("a rename replaces a file") links[target[n]]--
            :: else
            fi;
            target[n] = there_a[t]
        :: else
        fi;
        lock[n] = 0;
        did[t] = did[t] | 1;
        r = DONE(0)
    :: a == REMOVE && !UNLOCKED(n, t) -> r = REFUSED
    :: a == REMOVE && UNLOCKED(n, t) -> target[n] = 0; lock[n] = 0; did[t] = did[t] | 2; r = DONE(0)
    :: a == ADD_LINK && links[F] == 0 -> PROBE("a link is refused, the file is gone") r = REFUSED
    :: a == ADD_LINK && links[F] > 0 -> links[F]++; did[t] = did[t] | 4; r = DONE(0)
    :: a == DROP_LINK && links[F] == 0 -> r = REFUSED
    :: a == DROP_LINK && links[F] > 0 -> PROBE("a link is dropped again") links[F]--; did[t] = did[t] & 3; r = DONE(0)
    fi
}

/* shard/ops/step.cc:raiseWatermark */
inline raiseWatermark(n, wm) {
    if
    :: wm > watermark[n] ->
        watermark[n] = wm;
        i = STEPS;
        do
        :: i < wm * STEPS -> /* answers of this shard, of transactions below it */
            if
            :: on[i] == n -> answer[i] = 0
            :: else
            fi;
            i++
        :: else -> break
        od;
        i = 0
    :: else
    fi
}

/* A copy of step `s` of `t` arrives, sent with watermark `wm`. `refuse`: the shard has a reason of its own. */
inline arrives(t, s, wm, refuse) {
    r = 0;
    if
#ifndef NO_WATERMARK
    :: t < watermark[on[AT(t, s)]] ->
        PROBE("a step comes after its transaction has ended")
        assert(state[t] == ENDED);
        r = REFUSED
    :: t >= watermark[on[AT(t, s)]] && answer[AT(t, s)] != 0 ->
#else
    :: answer[AT(t, s)] != 0 ->
#endif
        PROBE("a step comes twice")
        r = answer[AT(t, s)]
    :: else ->
        raiseWatermark(on[AT(t, s)], wm);
        if
        :: refuse -> refusals--; r = REFUSED
        :: else -> act(t, on[AT(t, s)], action[AT(t, s)], r)
        fi;
        if
        :: r != REFUSED -> assert(!ran[AT(t, s)]); ran[AT(t, s)] = true
        :: else
        fi;
#ifdef REFUSALS_FORGOTTEN
        if
        :: r != REFUSED -> answer[AT(t, s)] = r
        :: else
        fi;
#else
#ifndef NO_ANSWERS
        answer[AT(t, s)] = r;
#endif
#endif
        check()
    fi;
    if
    :: s == step[t] && state[t] == RUNNING -> reply[t] = r
    :: else /* the coordinator passes it over: not of the current step */
    fi;
    r = 0
}

proctype Shards(byte t) {
    byte s, r;
end:
    do
    :: atomic {
        step[t] > 0 || sent[AT(t, 0)] != 0 ->
        s = 0;
        do
        :: s < step[t] && sent[AT(t, s + 1)] != 0 -> s++
        :: break
        od;
        if
        :: d_step { sent[AT(t, s)] != 0 -> arrives(t, s, sent[AT(t, s)], false) }
        :: d_step { sent[AT(t, s)] > 1 -> arrives(t, s, 1, false) } /* a copy that was sent long before */
        :: d_step {
            sent[AT(t, s)] != 0 && refusals > 0 && answer[AT(t, s)] == 0 && t >= watermark[on[AT(t, s)]] ->
            arrives(t, s, sent[AT(t, s)], true)
        }
        fi;
        s = 0
    }
    od
}

init {
    byte t;
    atomic {
        target[0] = F;
        links[F] = 1;
        run Client();
        for (t : 1 .. TXNS) {
            run Coordinator(t);
            run Leader(t);
            run Shards(t)
        }
        t = 0
    }
}
