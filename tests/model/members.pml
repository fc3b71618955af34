/* The replicated log: cutting it, changes of its members, and stores that come back empty.

   What must hold: what was committed at an index is what is ever committed or applied there, and every later leader
   has it.

   Processes
     Store     one replica: (server, store id). Stores 0, 1, 2 are the members at first; others have never been
               anything, and are what a server has after it came back empty (raft/data_dir.cc:open, :setAside draw
               another id), or a server that takes another's place. What is for a store that is no more is dropped:
               raft/server_group.cc:frame. raft/group_vote.cc:stand, :askOthers, :upToDate, :count;
               raft/group_lead.cc:lead, :advanceCommit, :mayChange; raft/group.cc:truncateAfter, :trim, :on (Append,
               SnapshotInstalled); raft/group_log.cc:mayVote, :baseAt, :dropUpTo. Who asks for changes is
               registry/members.cc:nextStep: one more voter, then one less.
     Network   keeps a copy of an Append and delivers it at any time, to anybody, any number of times.

   Abstracted: what a store says it has on disk (answers wait for it: raft/group.cc:writeOf). Votes and
   acknowledgements are counted when they are given: to count them later is as if their receiver were slower. Leases,
   pre-votes and timeouts: anybody may stand at any time. Learners and how far they must have come: the model makes
   voters of stores that have nothing yet, so nothing is lost by that; only progress is. Refused Appends: a leader may send any entry.
   Entries are (term, members or nothing); a store is cut up to what it has applied.
   Bounds: STORES stores, indexes 1 (Format) to LAST, terms 1 to TERMS, EMPTIED stores lost; the first to stand is
   store 0 (the three are alike).

   Guards that can be taken out
     SAME_STORE_ID          a store that comes back empty votes and acknowledges as the member it was
     BASE_WITHOUT_MEMBERS   a log that is cut knows the first members only
     COUNT_OLD_TERMS        a leader commits entries of earlier terms by counting
     MANY_AT_ONCE           the next change of members does not wait for the one before to be committed
     VOTE_FORGOTTEN         a restarted store no longer knows whom it gave its vote
     CUT_TOO_FAR            the log is cut behind what is committed */
#include "probe.pml"

#ifndef STORES
#define STORES 4
#endif
#ifndef LAST
#define LAST 3
#endif
#ifndef TERMS
#define TERMS 3
#endif
#ifndef EMPTIED
#define EMPTIED 1
#endif
#ifndef MEMBERS
#define MEMBERS 7 /* the first: a bit each */
#endif
#define USUAL 3 /* so many voters, or one more while one is replaced */

#define AT(i, k) ((i) * (LAST + 1) + (k))
#define BIT(i) (1 << (i))
#define VOTES(m, i) (((m) >> (i)) & 1)
#define SIZE(m) (VOTES(m, 0) + VOTES(m, 1) + VOTES(m, 2) + VOTES(m, 3) + VOTES(m, 4))
#define MAJORITY(in_term, m) (2 * SIZE((in_term) & (m)) > SIZE(m))

#define FOLLOWER 0
#define CANDIDATE 1
#define LEADER 2
#define LOST 3
byte role[STORES];
byte term[STORES], vote[STORES]; /* vote: for store - 1 */
byte base[STORES], last[STORES], commit[STORES];
byte termAt[STORES * (LAST + 1)];  /* from the base on */
byte membersAt[STORES * (LAST + 1)]; /* at the base: those in force; behind it: 0 if the entry does not say */
byte votes[STORES], first[STORES], match[STORES * STORES]; /* while it stands, leads, leads */
/* follow from the log */
byte members[STORES], changedAt[STORES];
bool mayVote[STORES];

byte emptied;
bool begun;

/* what was committed, and in which term that was; only to check */
byte was[LAST + 1], wasBy[LAST + 1];

/* the copy of an Append; term 0: none */
byte m_term, m_index, m_before, m_entry, m_members, m_commit;

byte x, n, c; /* of d_steps only, 0 between */

inline readLog(i) {
    members[i] = membersAt[AT(i, base[i])];
    changedAt[i] = base[i];
    mayVote[i] = VOTES(members[i], i);
    x = base[i] + 1;
    do
    :: x <= last[i] ->
        if
        :: membersAt[AT(i, x)] != 0 ->
            members[i] = membersAt[AT(i, x)];
            changedAt[i] = x;
            mayVote[i] = VOTES(members[i], i) || (x > commit[i] && mayVote[i])
        :: else
        fi;
        x++
    :: else -> break
    od;
    x = 0
}

inline stopLeading(i, r) {
    role[i] = r;
    votes[i] = 0;
    first[i] = 0;
    x = 0;
    do
    :: x < STORES -> match[i * STORES + x] = 0; x++
    :: else -> break
    od;
    x = 0
}

inline follow(i, in_term) {
    if
    :: in_term > term[i] -> term[i] = in_term; vote[i] = 0; stopLeading(i, FOLLOWER)
    :: else
    fi
}

/* Entries behind `k` go. */
inline cutAfter(i, k) {
    x = k + 1;
    do
    :: x <= last[i] -> termAt[AT(i, x)] = 0; membersAt[AT(i, x)] = 0; x++
    :: else -> break
    od;
    last[i] = k
}

inline append(i, in_term, m) {
    last[i]++;
    termAt[AT(i, last[i])] = in_term;
    membersAt[AT(i, last[i])] = m;
    readLog(i)
}

/* Store i, which leads, commits up to k. */
inline committed(i, k) {
    x = commit[i] + 1;
    do
    :: x <= k ->
        if
        :: x > base[i] && was[x] == 0 -> was[x] = termAt[AT(i, x)]; wasBy[x] = term[i]
        :: x > base[i] && was[x] != 0 -> assert(was[x] == termAt[AT(i, x)])
        :: else
        fi;
        x++
    :: else -> break
    od;
    commit[i] = k;
    readLog(i)
}

/* A follower learns that all up to k is committed. */
inline learns(i, k) {
    x = commit[i] + 1;
    do
    :: x <= k ->
        assert(was[x] == termAt[AT(i, x)]);
        x++
    :: else -> break
    od;
    commit[i] = k;
    readLog(i)
}

inline lead(i) {
    role[i] = LEADER;
    votes[i] = 0;
    /* what was committed in an earlier term is there */
    x = base[i] + 1;
    do
    :: x <= LAST ->
        assert(was[x] == 0 || wasBy[x] >= term[i] || (x <= last[i] && termAt[AT(i, x)] == was[x]));
        x++
    :: else -> break
    od;
    first[i] = last[i] + 1;
    append(i, term[i], 0)
}

inline stand(i) {
    begun = true;
    term[i]++;
    vote[i] = i + 1;
    stopLeading(i, CANDIDATE);
    votes[i] = BIT(i);
    if
    :: MAJORITY(votes[i], members[i]) -> lead(i)
    :: else
    fi
}

/* Of candidate i; the asked one is j. */
inline askVote(i, j) {
    follow(j, term[i]);
    if
    :: role[j] == FOLLOWER && (vote[j] == 0 || vote[j] == i + 1) &&
       (termAt[AT(i, last[i])] > termAt[AT(j, last[j])] ||
        (termAt[AT(i, last[i])] == termAt[AT(j, last[j])] && last[i] >= last[j])) ->
        vote[j] = i + 1;
        votes[i] = votes[i] | BIT(j);
        if
        :: MAJORITY(votes[i], members[i]) -> lead(i)
        :: else
        fi
    :: else
    fi
}

inline acknowledge(j, in_term, k) {
    x = 0;
    do
    :: x < STORES ->
        if
        :: role[x] == LEADER && term[x] == in_term && k <= last[x] && k > match[x * STORES + j] -> match[x * STORES + j] = k
        :: else
        fi;
        x++
    :: else -> break
    od;
    x = 0
}

/* Store j gets entry k, behind one of term `before`, from the leader of term `of`. */
inline receive(j, in_term, k, before, entry, m, known) {
    follow(j, in_term);
    if
    :: role[j] == CANDIDATE -> stopLeading(j, FOLLOWER)
    :: else
    fi;
    if
    :: role[j] == FOLLOWER && k <= base[j] -> acknowledge(j, in_term, commit[j])
    :: role[j] == FOLLOWER && k > base[j] && k - 1 <= last[j] && termAt[AT(j, k - 1)] == before ->
        n = 1;
        if
        :: k <= last[j] && termAt[AT(j, k)] == entry -> skip
        :: !(k <= last[j] && termAt[AT(j, k)] == entry) && k <= commit[j] -> n = 0 /* not a leader of ours */
        :: !(k <= last[j] && termAt[AT(j, k)] == entry) && k > commit[j] ->
            if
            :: k <= last[j] -> PROBE("a follower drops entries that were not committed") cutAfter(j, k - 1)
            :: else
            fi;
            append(j, entry, m)
        fi;
        if
        :: n == 1 ->
            c = (known < k -> known : k);
            if
            :: c > commit[j] -> learns(j, c)
            :: else
            fi;
            acknowledge(j, in_term, k)
        :: else
        fi
    :: else /* refused: another entry is tried */
    fi;
    n = 0;
    c = 0
}

/* Behind the leader's base there is nothing for it. */
#define NEEDS_ROWS(i, j) (base[i] > base[j] && (last[j] < base[i] || termAt[AT(j, base[i])] != termAt[AT(i, base[i])]))

inline install(i, j) {
    follow(j, term[i]);
    if
    :: role[j] == CANDIDATE -> stopLeading(j, FOLLOWER)
    :: else
    fi;
    if
    :: role[j] == FOLLOWER ->
        PROBE("a store gets the rows")
        c = commit[i]; /* what the leader has applied */
        n = membersAt[AT(i, base[i])]; /* baseAt */
        x = base[i] + 1;
        do
        :: x <= c ->
            if
            :: membersAt[AT(i, x)] != 0 -> n = membersAt[AT(i, x)]
            :: else
            fi;
            x++
        :: else -> break
        od;
        if
        :: c <= last[j] && c >= base[j] && termAt[AT(j, c)] == termAt[AT(i, c)] -> skip /* in the log */
        :: else ->
            x = base[j];
            do
            :: x <= last[j] -> termAt[AT(j, x)] = 0; membersAt[AT(j, x)] = 0; x++
            :: else -> break
            od;
            base[j] = c;
            last[j] = c;
            termAt[AT(j, c)] = termAt[AT(i, c)];
            membersAt[AT(j, c)] = n;
            commit[j] = c - 1
        fi;
        learns(j, c);
        acknowledge(j, term[i], c)
    :: else
    fi;
    n = 0;
    c = 0
}

/* raft/group_lead.cc:advanceCommit, with what its followers have acknowledged */
#define HAS(i, j, k) ((j) < STORES && ((j) == (i) || match[(i) * STORES + ((j) % STORES)] >= (k)))
#define ACKED(i, k) (HAS(i, 0, k) + 2 * HAS(i, 1, k) + 4 * HAS(i, 2, k) + 8 * HAS(i, 3, k) + 16 * HAS(i, 4, k))

#ifdef COUNT_OLD_TERMS
#define OF_OWN_TERM(i, k) true
#else
#define OF_OWN_TERM(i, k) (termAt[AT(i, k)] == term[i])
#endif
#define OWN_FIRST(i) (commit[i] >= first[i])
#ifdef MANY_AT_ONCE
#define ONE_CHANGE(i) true
#else
#define ONE_CHANGE(i) (changedAt[i] <= commit[i])
#endif

inline trim(i, to) {
    n = membersAt[AT(i, base[i])];
#ifndef BASE_WITHOUT_MEMBERS
    x = base[i] + 1;
    do
    :: x <= to ->
        if
        :: membersAt[AT(i, x)] != 0 -> n = membersAt[AT(i, x)]
        :: else
        fi;
        x++
    :: else -> break
    od;
#endif
    x = base[i];
    do
    :: x < to -> termAt[AT(i, x)] = 0; membersAt[AT(i, x)] = 0; x++
    :: else -> break
    od;
    base[i] = to;
    membersAt[AT(i, to)] = n;
    n = 0;
    readLog(i)
}

inline comesBackEmpty(i) {
    emptied++;
    x = 0;
    do
    :: x <= LAST -> termAt[AT(i, x)] = 0; membersAt[AT(i, x)] = 0; x++
    :: else -> break
    od;
    base[i] = 0; last[i] = 0; commit[i] = 0;
    term[i] = 0; vote[i] = 0;
#ifdef SAME_STORE_ID
    stopLeading(i, FOLLOWER);
#else
    stopLeading(i, LOST); /* nobody has this id any more: its server has another, a new one */
#endif
    readLog(i)
}

proctype Store(byte i) {
    byte j, k;
end:
    do
    :: d_step { /* a leader too: it heard nobody, or was restarted */
        role[i] != LOST && term[i] < TERMS && mayVote[i] && last[i] < LAST && (i == 0 || begun) ->
        stand(i)
    }
    :: d_step { begun && role[i] != LOST && emptied < EMPTIED && VOTES(members[i], i) -> comesBackEmpty(i) }
#ifdef VOTE_FORGOTTEN
    :: d_step { role[i] == FOLLOWER && vote[i] != 0 -> vote[i] = 0 }
#endif
    :: d_step { commit[i] > base[i] -> PROBE("a log is cut") trim(i, commit[i]) }
#ifdef CUT_TOO_FAR
    :: d_step { last[i] > commit[i] -> trim(i, last[i]); commit[i] = last[i] }
#endif
    :: atomic { /* to or of store j, entry k */
        role[i] == LEADER || role[i] == CANDIDATE -> j = 0;
        do
        :: j < STORES - 1 -> j++
        :: break
        od;
        k = base[i];
        do
        :: k < last[i] && role[i] == LEADER -> k++
        :: break
        od;
        if
        :: d_step { k == base[i] && role[i] == CANDIDATE && role[j] != LOST && j != i && VOTES(members[i], j) && term[j] <= term[i] ->
            askVote(i, j)
        }
        :: d_step { k > base[i] && role[i] == LEADER && role[j] != LOST && j != i && term[j] <= term[i] ->
            receive(j, term[i], k, termAt[AT(i, k - 1)], termAt[AT(i, k)], membersAt[AT(i, k)], commit[i])
        }
        :: d_step { k == base[i] && role[i] == LEADER && role[j] != LOST && j != i && term[j] <= term[i] && commit[i] > commit[j] &&
                    NEEDS_ROWS(i, j) ->
            install(i, j)
        }
        :: d_step { k > commit[i] && j == i && role[i] == LEADER && OF_OWN_TERM(i, k) && MAJORITY(ACKED(i, k), members[i]) ->
            committed(i, k);
            if
            :: changedAt[i] <= commit[i] && !VOTES(members[i], i) ->
                PROBE("a leader removed itself")
                stopLeading(i, FOLLOWER)
            :: else
            fi
        }
        :: d_step { /* one more */
            k == base[i] && role[i] == LEADER && last[i] < LAST && OWN_FIRST(i) && ONE_CHANGE(i) && !VOTES(members[i], j) &&
            SIZE(members[i]) <= USUAL ->
            PROBE("a voter comes")
            append(i, term[i], members[i] | BIT(j))
        }
        :: d_step { /* one less */
            k == base[i] && role[i] == LEADER && last[i] < LAST && OWN_FIRST(i) && ONE_CHANGE(i) && VOTES(members[i], j) &&
            SIZE(members[i]) > USUAL ->
            PROBE("a voter goes")
            append(i, term[i], members[i] & ~BIT(j))
        }
#ifdef DELAYED
        :: d_step { k > base[i] && role[i] == LEADER && j == i ->
            m_term = term[i]; m_index = k; m_before = termAt[AT(i, k - 1)]; m_entry = termAt[AT(i, k)];
            m_members = membersAt[AT(i, k)]; m_commit = commit[i]
        }
#endif
        :: else -> skip
        fi;
        j = 0;
        k = 0
    }
    od
}

#ifdef DELAYED
proctype Network(byte j) {
end:
    do
    :: d_step { m_term != 0 && role[j] != LOST && term[j] <= m_term ->
        PROBE("an old Append comes")
        receive(j, m_term, m_index, m_before, m_entry, m_members, m_commit)
    }
    :: d_step { m_term != 0 -> m_term = 0; m_index = 0; m_before = 0; m_entry = 0; m_members = 0; m_commit = 0 }
    od
}
#endif

init {
    byte i;
    atomic {
        was[1] = 1;
        wasBy[1] = 1;
        for (i : 0 .. STORES - 1) {
            if
            :: VOTES(MEMBERS, i) ->
                d_step {
                    term[i] = 1;
                    base[i] = 1; last[i] = 1; commit[i] = 1;
                    termAt[AT(i, 1)] = 1;
                    membersAt[AT(i, 1)] = MEMBERS;
                    readLog(i)
                }
            :: else
            fi
        }
        for (i : 0 .. STORES - 1) { run Store(i) }
#ifdef DELAYED
        for (i : 0 .. STORES - 1) { run Network(i) }
#endif
        i = 0
    }
}
