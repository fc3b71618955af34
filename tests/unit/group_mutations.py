#!/usr/bin/env python3
"""Breaks raft/group.* in one way after the other and says which test notices: group_test, group_lead_test or
group_world_test (and at which seed). Exit 1 if one goes unnoticed. Minutes; run by hand: python3 tests/unit/group_mutations.py [NAME...]
A line of the table is (name, file, text, what it becomes); several edits make one mutation. If a text is not found the
script says so: mend the table. docs/replication.md has the results."""
import os, re, shutil, subprocess, sys, tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GROUP, VOTE, LEAD, HEAD, LOG = "raft/group.cc", "raft/group_vote.cc", "raft/group_lead.cc", "raft/group.h", "raft/group_log.cc"
MUTATIONS = [
    ("vote twice in a term", [(VOTE, "(vote_.store == 0 || vote_ == m.from) &&", "")]),
    ("forget the vote at a restart", [(GROUP, "if (vote.term == term_) vote_ = vote.vote;", "")]),
    ("tell a vote before it is durable", [(VOTE, "send(m.from, Vote{false, granted}, voteWrite_)", "send(m.from, Vote{false, granted}, 0)")]),
    ("vote for a log that is behind", [(VOTE, "return std::pair(ask.last_term, ask.last) >= std::pair(log_.lastTerm(), log_.last());", "return ask.last.value > 0;")]),
    ("commit an old term's entry by counting", [(LEAD, " || log_.termAt(agreed) != term_", "")]),
    ("acknowledge before persisting", [(GROUP, "std::max(voteWrite_, writeOf(match))", "0")]),
    ("an older write acknowledges a newer entry", [(GROUP, "    for (auto& [_, index] : writes_) index = std::min(index, i);\n}", "}"),
                                                   (GROUP, "durable_ = std::max(durable_, writes_[done].second)", "durable_ = std::max(durable_, std::min(log_.last(), writes_[done].second))")]),
    ("a heartbeat's answer claims what is not durable", [(GROUP, "entries.empty() ? std::min(match, durable_) : match", "match")]),
    ("the leader counts its own entries before they are durable", [(LEAD, "matches.push_back(durable_)", "matches.push_back(log_.last())")]),
    ("commit without a majority", [(LEAD, "const Index agreed = matches[matches.size() / 2];", "const Index agreed = matches[(matches.size() - 1) / 2];")]),
    ("truncate what is committed", [(GROUP, "while (known < entries.size() && log_.has", "while (false && log_.has"), (GROUP, "if (keep < commit_) return;", ""),
                                    (GROUP, "    CHECK(i >= commit_);\n", ""), (GROUP, "CHECK(commit_ <= log_.last() && durable_ <= log_.last() && handedOut_ <= commit_);", "")]),
    ("a follower believes a commit beyond what it knows to agree", [(GROUP, "std::min(a.committed, match)", "std::min(a.committed, log_.last())")]),
    ("lease too long", [(HEAD, "return election_ns / 10 * 8;", "return election_ns * 2;")]),
    ("lease from the answer's coming", [(LEAD, "p.acked = std::max(p.acked, a.sent);", "p.acked = now_;")]),
    ("read without a lease", [(HEAD, "return ready() && !leaseGone_ && now < leaseUntil(now);", "return ready();")]),
    ("a new leader reads before an entry of its own", [(HEAD, "return leads() && !needsRows_ && applied_ >= firstOfTerm_;", "return leads() && !needsRows_;")]),
    ("a vote soon after hearing the leader", [(VOTE, "    noVoteUntil_ = std::max(noVoteUntil_, Monotonic{now_.value + options_.election_ns});\n", "")]),
    ("a vote soon after the own start", [(GROUP, "else if (term_.value != 0) noVoteUntil_ = Monotonic{now_.value + options_.election_ns};", "")]),
    ("a transfer keeps the lease", [(LEAD, "    leaseGone_ = true;                  // before anybody may stand in spite of what was promised to us\n", "")]),
    ("a failed transfer gives the lease back", [(LEAD, "if (everTold_) {", "if (false) {")]),
    ("a read index without a round", [(LEAD, "if (r.asked > heard) return false;", "")]),
    ("a read index of a leader without an entry of its own", [(LEAD, "if (reads_.empty() || commit_ < firstOfTerm_) return;", "if (reads_.empty()) return;")]),
    ("install an older snapshot", [(GROUP, "if (s.base.index <= commit_ && !(needsRows_ && s.base.index >= handedOut_)) {", "if (false) {"),
                                   (GROUP, "if (base.index <= commit_ && base.index < log_.base().index) return;", ""), (GROUP, "if (base.index <= commit_ || leads()) return;", "if (leads()) return;")]),
    ("a snapshot is acknowledged before the log is begun anew", [(GROUP, "in_log ? std::max(voteWrite_, writeOf(base.index)) : lastWrite_", "0")]),
    ("a snapshot keeps a log that is not its own", [(GROUP, "&& log_.termAt(base.index) == base.term;", ";")]),
    ("members change before an entry of the own term", [(LEAD, "if (commit_ < firstOfTerm_) return {Code::Busy, \"the leader is new; again in a moment\"};", "")]),
    ("two changes of members at once", [(LEAD, "if (log_.configIndex() > commit_) return {Code::Busy, \"another change of the members is under way\"};", "")]),
    ("two voters at a time", [(LEAD, "if (differences > 1) return {Code::Invalid, \"one voter at a time\"};", "")]),
    ("a removed entry's members stay", [(LOG, "    while (!configs_.empty() && configs_.back().first > i) configs_.pop_back();\n", "")]),
    ("apply before it is durable", [(GROUP, "const Index limit = std::min(commit_, durable_);", "const Index limit = commit_;"),
                                    (GROUP, "handedOut_ < std::min(commit_, durable_)", "handedOut_ < commit_")]),
    ("an idle leader does not tell what is committed", [(HEAD, " && p.committed == commit_ && !p.needsRows;", " && !p.needsRows;")]),
    ("who has no rows never stands", [(HEAD, "(fit() || (waits_ >= kCaretakerWaits && !alone()))", "fit()")]),
    ("a caretaker gives away the rows it has not", [(LEAD, "if (needsRows_) { // a caretaker's", "if (false) { // a caretaker's")]),
    ("who is removed but not yet never stands", [(HEAD, "log_.mayVote(options_.self, commit_)", "members().votes(options_.self)")]),
]
TESTS = ["group_test", "group_lead_test", "group_world_test"]
WORLD = ["group_world.cc", "group_world_run.cc"]
CXX = ["clang++-19", "-std=c++23", "-O1", "-D_FILE_OFFSET_BITS=64"]
RUNS = os.environ.get("RUNS", "3000")


def sh(command, **kw):
    return subprocess.run(command, capture_output=True, text=True, **kw)


def compile_all(work, sources, out):
    for s in sources:
        r = sh(CXX + ["-I", work, "-I", ROOT, "-c", s, "-o", os.path.join(out, os.path.basename(s) + ".o")], cwd=ROOT)
        if r.returncode:
            sys.exit(r.stderr[:3000])


def main():
    scratch = tempfile.mkdtemp(prefix="group_mutations.")
    libs = os.path.join(ROOT, "build/release/libcore.a")
    tests = [os.path.join(ROOT, "tests/unit", t + ".cc") for t in TESTS] + [os.path.join(ROOT, "tests/unit", w) for w in WORLD]
    units = [GROUP, VOTE, LEAD, LOG]
    plain = os.path.join(scratch, "plain")
    os.mkdir(plain)
    compile_all(ROOT, tests + [os.path.join(ROOT, u) for u in units], plain)
    missed = 0
    for name, edits in MUTATIONS:
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        work = os.path.join(scratch, "work")
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(plain, os.path.join(work, "o"))
        os.mkdir(os.path.join(work, "raft"))
        texts = {}
        for path, old, new in edits:
            text = texts.get(path) or open(os.path.join(ROOT, path)).read()
            pattern = r"\s*".join(re.escape(word) for word in re.findall(r"\w+|[^\w\s]", old))      # however it is laid out
            if not re.search(pattern, text):
                sys.exit(f"{name}: {path} has no such text any more: {old}")
            texts[path] = re.sub(pattern, lambda _: new, text, count=1)
        for path, text in texts.items():
            open(os.path.join(work, path), "w").write(text)
        if HEAD in texts:
            again = tests + [os.path.join(work, u) if u in texts else os.path.join(ROOT, u) for u in units]
        else:
            again = [os.path.join(work, u) for u in texts]
        compile_all(work, again, os.path.join(work, "o"))
        noticed = []
        for t in TESTS:
            objects = [os.path.join(work, "o", os.path.basename(u) + ".o") for u in units + [t + ".cc"]] + ([os.path.join(work, "o", w + ".o") for w in WORLD] if "world" in t else [])
            r = sh(["clang++-19", "-fuse-ld=lld-19", "-o", os.path.join(work, t)] + objects + [libs, "-lgtest", "-lgtest_main", "-lspdlog", "-lfmt", "-lcrypto", "-lxxhash"])
            if r.returncode:
                sys.exit(r.stderr[:3000])
            try:
                r = sh([os.path.join(work, t)], timeout=120, env=dict(os.environ, RUNS=RUNS))
            except subprocess.TimeoutExpired:
                noticed.append(f"{t} (does not end)")
                continue
            if r.returncode:
                said = re.findall(r"FAILED  \] \w+\.(\w+) \(", r.stdout)
                seed = re.search(r'"seed (\d+) at \d+ us: ([^"]*)', r.stdout)
                noticed.append(f"seed {seed[1]}: {seed[2]}" if seed else ", ".join(said) or f"{t} stops (CHECK)")
        missed += not noticed
        print(f"| {name} | {'; '.join(noticed) or '**nobody**'} |", flush=True)
    shutil.rmtree(scratch)
    return 1 if missed else 0


sys.exit(main())
