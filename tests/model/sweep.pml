/* Commit of a file against garbage and the sweep of a block service.

   What must hold: a block that committed contents reference is on its service, durably; so is one that was
   replaced and waits to become garbage.

   Processes
     Writer   a client with reservation 0: writes blocks 0 and 1 of one content, stages the span of block 0,
              commits the content with the span of block 1. It may stop for ever, or for hours, before any line.
              (client/writer.cc)
     Editor   another client, or repair, with reservation 1: writes block 2 of the same content in the place of
              block 1. (shard/contents_edit.cc:edit, shard/contents_edit.cc:replaceBlock)
     Shard    what its log applies, one entry a step: shard/reservations.cc:make, :use, :useContent, :useBlocks,
              shard/contents.cc:stage, :make, :toPast, :restore, :die, shard/contents_blocks.cc:fates, and the
              expiry rows (shard/expiry.cc:purge) of reservations, staged, past and replaced.
     Service  one disk: blocks/store_write.cc:makeDurable, blocks/membership.cc:sweep, :ask, :garbageOf,
              blocks/store_read.cc:erase, :settle; it crashes, and forgets what is under way.

   Abstracted: time. A reservation ends, a staged content is given up, a past one is purged, a replaced block
   becomes garbage at any moment at all; so no limit (1 h, 24 h, 30 min) is what safety rests on. A request,
   once sent, arrives at any time, any number of times, under new request ids. The shard's replication (an entry
   is applied once, in order), and holds and retention, which only delay. Reads are of the shard's newest rows;
   answers are late.
   Bounds: one content of two blocks, one replacement, two reservations, one service; nothing else is bounded.

   Guards that can be taken out
     NO_RESERVATION_CHECK     apply uses ids and blocks of a reservation that has ended
     RESERVATION_AT_ADMIT     it is looked at when the request is proposed, not when it is applied
     NO_USED_IDS              a content or block may be used twice under one reservation
     NO_KEEP                  Fate does not ask whether the reservation lives
     EARLY_RECEIPT            a receipt is given before the block is durable
     REPLACED_NOT_REFERENCED  Fate does not look at blocks that were replaced and wait */
#include "probe.pml"

#define BLOCKS 3
#define RESERVATION(b) ((b) / 2) /* blocks 0, 1: the writer's; 2: the editor's */

#define NONE 0
#define ALIVE 1
#define GONE 2
byte reservation[2];

#define STAGED 1
#define CURRENT 2
#define PAST 3
#define DYING 4
byte content; /* NONE again when it has died */

bool span[BLOCKS];     /* a span row names the block */
bool replaced[BLOCKS]; /* waits to become garbage */
bool garbage[BLOCKS];
bool usedContent, usedBlock[BLOCKS]; /* Used rows, of living reservations */

#define WRITTEN 1
#define DURABLE 2
byte disk[BLOCKS];
bool unsettled[BLOCKS];

/* What was sent, and arrives at any time, more than once too. */
bool write[BLOCKS], receipt[BLOCKS];
#define STAGE 0
#define COMMIT 1
#define EDIT 2
bool sent[3];
bool logged[3]; /* admitted and proposed: may be applied */

/* Answers on their way to the service. */
#define KEEP 1
#define REFERENCED 2
#define DEAD 3
byte fate[BLOCKS];
bool taken[BLOCKS], done[BLOCKS];

#define COMMITTED(b) (span[b] && (content == CURRENT || content == PAST))
#define GOOD(b) (disk[b] == DURABLE || !(COMMITTED(b) || replaced[b]))
inline check() { assert(GOOD(0) && GOOD(1) && GOOD(2)) }

#if defined(NO_RESERVATION_CHECK) || defined(RESERVATION_AT_ADMIT)
#define MAY_USE(r) (reservation[r] != NONE)
#else
#define MAY_USE(r) (reservation[r] == ALIVE)
#endif
#ifdef RESERVATION_AT_ADMIT
#define ADMITS(r) (reservation[r] == ALIVE)
#else
#define ADMITS(r) true
#endif
#ifdef NO_USED_IDS
#define FRESH(used) true
#else
#define FRESH(used) (!(used))
#endif

active proctype Writer() {
    d_step { reservation[0] == NONE; reservation[0] = ALIVE }
end1:
    write[0] = true;
end2:
    receipt[0];
    sent[STAGE] = true;
end3:
    write[1] = true;
end4:
    receipt[1];
    sent[COMMIT] = true
}

active proctype Editor() {
    d_step { reservation[1] == NONE; reservation[1] = ALIVE }
end1:
    write[2] = true;
end2:
    receipt[2];
    sent[EDIT] = true
}

active proctype Shard() {
    byte b;
end:
    do
    /* --- the leader proposes what it admits (ops/<op>.cc:admit: receipts hold) --- */
    :: d_step { sent[STAGE] && receipt[0] && !logged[STAGE] && ADMITS(0) -> logged[STAGE] = true }
    :: d_step { sent[COMMIT] && receipt[1] && !logged[COMMIT] && ADMITS(0) -> logged[COMMIT] = true }
    :: d_step { sent[EDIT] && receipt[2] && !logged[EDIT] && ADMITS(1) -> logged[EDIT] = true }
    /* --- and the log applies, as often as it was proposed --- */
    :: d_step {
        logged[STAGE] && MAY_USE(0) && content == NONE && FRESH(usedContent) && FRESH(usedBlock[0]) ->
        usedContent = true;
        usedBlock[0] = true;
        content = STAGED;
        span[0] = true;
        PROBE("a span is staged")
        check()
    }
    :: d_step { /* the span of block 0 came before; without it the size is not covered: Invalid */
        logged[COMMIT] && MAY_USE(0) && content == STAGED && FRESH(usedBlock[1]) ->
        usedBlock[1] = true;
        content = CURRENT;
        span[1] = true;
        PROBE("a file is committed")
        check()
    }
#ifdef NO_USED_IDS
    :: d_step { /* the same request once more, under another request id, when the first content has died */
        logged[COMMIT] && MAY_USE(0) && content == NONE ->
        content = CURRENT;
        span[0] = true;
        span[1] = true;
        check()
    }
#endif
    :: d_step { /* repair does so to staged, past and dying contents too */
        logged[EDIT] && MAY_USE(1) && content != NONE && span[1] && FRESH(usedBlock[2]) ->
        usedBlock[2] = true;
        span[1] = false;
        replaced[1] = true;
        span[2] = true;
        PROBE("a block is replaced")
        check()
    }
    :: d_step { reservation[0] == ALIVE ->
        reservation[0] = GONE; usedContent = false; usedBlock[0] = false; usedBlock[1] = false }
    :: d_step { reservation[1] == ALIVE -> reservation[1] = GONE; usedBlock[2] = false }
    :: d_step { content == STAGED && reservation[0] != ALIVE -> content = DYING; PROBE("a staged content is given up") }
    :: d_step { content == CURRENT -> content = PAST } /* unlinked, or written anew */
    :: d_step { content == PAST -> content = CURRENT; PROBE("a past content is restored") }
    :: d_step { content == PAST -> content = DYING; PROBE("a past content is purged") }
    :: d_step { /* dies in steps, the first span first */
        content == DYING && (span[0] || span[1] || span[2]) ->
        if
        :: span[0] -> b = 0
        :: !span[0] && span[1] -> b = 1
        :: else -> b = 2
        fi;
        span[b] = false;
        garbage[b] = true;
        b = 0;
        check()
    }
    :: d_step { content == DYING && !span[0] && !span[1] && !span[2] -> content = NONE }
    :: d_step { replaced[1] -> replaced[1] = false; garbage[1] = true; PROBE("a replaced block becomes garbage") }
    :: d_step { done[0] && garbage[0] -> garbage[0] = false }
    :: d_step { done[1] && garbage[1] -> garbage[1] = false }
    :: d_step { done[2] && garbage[2] -> garbage[2] = false }
    od
}

/* shard/contents_blocks.cc:fates */
inline answerFate(b) {
    if
#ifndef NO_KEEP
    :: reservation[RESERVATION(b)] != GONE -> fate[b] = KEEP
    :: reservation[RESERVATION(b)] == GONE &&
#else
    ::
#endif
#ifdef REPLACED_NOT_REFERENCED
       span[b] -> fate[b] = REFERENCED
#else
       (span[b] || replaced[b]) -> fate[b] = REFERENCED
#endif
    :: else -> fate[b] = DEAD
    fi
}

inline erase(b) {
    disk[b] = NONE;
    unsettled[b] = false;
    check()
}

proctype Service(byte b) {
end:
    do
    :: d_step { write[b] && disk[b] == NONE ->
        disk[b] = WRITTEN;
#ifdef EARLY_RECEIPT
        receipt[b] = true
#endif
    }
    :: d_step { disk[b] == WRITTEN -> disk[b] = DURABLE; unsettled[b] = true; receipt[b] = true }
    :: d_step { disk[b] == WRITTEN -> disk[b] = NONE } /* a crash, or the writer went away */
    :: d_step { fate[b] != NONE || taken[b] -> fate[b] = NONE; taken[b] = false } /* a crash, or lost */
    /* the sweep */
    :: d_step { disk[b] == DURABLE && unsettled[b] && fate[b] == NONE -> answerFate(b) }
    :: d_step { fate[b] == KEEP -> fate[b] = NONE; PROBE("the sweep hears: keep") }
    :: d_step { fate[b] == REFERENCED -> fate[b] = NONE; unsettled[b] = false; PROBE("the sweep hears: referenced") }
    :: d_step { fate[b] == DEAD -> fate[b] = NONE; PROBE("the sweep hears: dead") erase(b) }
    /* garbage */
    :: d_step { garbage[b] && !taken[b] -> taken[b] = true }
    :: d_step { taken[b] -> taken[b] = false; done[b] = true; PROBE("garbage is erased") erase(b) }
    od
}

init { atomic { run Service(0); run Service(1); run Service(2) } }
