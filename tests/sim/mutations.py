#!/usr/bin/env python3
"""Breaks a copy of the tree in one way after the other; the simulator must notice, within 500 seeds.

    python3 tests/sim/mutations.py [NAME...]      make test-long SUITES=mutations      (docs/testing.md has the results)

A line of the table: name, edits (file, text, what it becomes; the first place, however it is laid out), and where the simulator cannot be
lucky enough a unit test that must fail instead. If a text is not found the script says so: mend the table. One process at a time; SEEDS=n
other than 500, FROM=n other than 1, KEEP=1 leaves build/mutations. Ends with the table as docs/testing.md has it."""
import os, re, shutil, subprocess, sys, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COPY = os.path.join(ROOT, "build/mutations")
SEEDS, FROM = int(os.environ.get("SEEDS", "500")), int(os.environ.get("FROM", "1"))
GROUP, VOTE, LEAD, HEAD = "raft/group.cc", "raft/group_vote.cc", "raft/group_lead.cc", "raft/group.h"
MUTATIONS = [
    ("vote twice in a term", [(VOTE, "(vote_.store == 0 || vote_ == m.from) &&", "")], None),
    ("forget the vote", [(GROUP, "if (vote.term == term_) vote_ = vote.vote;", "")], None),
    ("commit an old term's entry by counting", [(LEAD, " || log_.termAt(agreed) != term_", "")], None),
    ("answer before persisting", [(LEAD, "matches.push_back(durable_)", "matches.push_back(log_.last())"),
                                  (GROUP, "const Index limit = std::min(commit_, durable_);", "const Index limit = commit_;"),
                                  (GROUP, "handedOut_ < std::min(commit_, durable_)", "handedOut_ < commit_")], None),
    ("a follower acknowledges before persisting", [(GROUP, "std::max(voteWrite_, writeOf(match))", "0")], None),
    ("forget an answer", [("raft/server_apply.cc", "Answers::put(t, {entry.client, entry.request}, stored);",
                           "if (stored.pending) Answers::put(t, {entry.client, entry.request}, stored); else Answers::erase(t, {entry.client, entry.request});")], None),
    ("one request's answer is given to another", [("raft/server_apply.cc", "g.byRequest.find({entry.client, entry.request}); entry.client.value != 0 && at != g.byRequest.end()",
                                                   "g.byRequest.lower_bound({entry.client, {}}); entry.client.value != 0 && at != g.byRequest.end() && at->first.first == entry.client")], None),
    ("a lease is too long", [(HEAD, "return election_ns / 10 * 8;", "return election_ns * 2;")], None),
    ("read without a lease", [(HEAD, "return ready() && !leaseGone_ && now < leaseUntil(now);", "(void)now; return ready();")], None),
    ("skip the watermark", [("shard/ops/step.cc", "if (op.txn < Watermark::get(ctx.rows, {}).value_or(WatermarkRow{}).txn) {", "if (false) {")], None),
    ("truncate committed entries", [(GROUP, "while (known < entries.size() && log_.has", "while (false && log_.has"), (GROUP, "if (keep < commit_) return;", ""),
                                    (GROUP, "    CHECK(i >= commit_);\n", ""), (GROUP, "CHECK(commit_ <= log_.last() && durable_ <= log_.last() && handedOut_ <= commit_);", "")], None),
    ("install an older snapshot", [(GROUP, "if (s.base.index <= commit_ && !(needsRows_ && s.base.index >= handedOut_)) {", "if (false) {"),
                                   (GROUP, "if (base.index <= commit_ && base.index < log_.base().index) return;", ""), (GROUP, "if (base.index <= commit_ || leads()) return;", "if (leads()) return;")], "group_lead_test:GroupTest.AnOlderSnapshotIsRefused"),
    ("apply twice after a restart", [(GROUP, "handedOut_(rows.index),", "handedOut_(log_.has(rows.index) ? Index{rows.index.value - 1} : rows.index),")], None),
    ("take corruption for a tear", [("raft/segment_format.cc", "if (expected > scan.synced) break; // never", "break; // never")], None),
    ("a dropped segment forgets votes", [("raft/segment_writer.cc", "state_ ? state_(group) : std::string()", "std::string()")], None),
    ("drop an entry's lock early", [("cdc/ops/rename.cc", "case 2: if (!changesParent(t, op)) return Skip{};", "case 2: if (!changesParent(t, op)) return unlockEntry(op.to_dir, op.to_name);")], None),
    ("two directory moves at once", [("cdc/state.cc", "if (moveHolder(r) != id) {", "if (false) {")], "cdc_test:CoordinatorTest.DirectoriesAreMovedOneAtATime"),
    ("erase while the reservation lives", [("shard/contents_blocks.cc", "b.reservation.value > last || Reservations::has(r.rows, {b.reservation})", "b.reservation.value > last")], "shard_content_test:ShardContent.FateIsKeepWhileTheReservationLives"),
]
TREE = ("Makefile", "tests/tests.mk", "tools", "core", "raft", "registry", "shard", "cdc", "blocks", "client", "fuse", "tests/sim", "tests/unit")


def sh(command, limit_s=None):
    try:
        done = subprocess.run(command, cwd=COPY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=limit_s)
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired as e:
        text = e.stdout or b""
        return -1, (text.decode(errors="replace") if isinstance(text, bytes) else text) + f"\nno end after {limit_s} s"


def build(target):
    code, output = sh([*os.environ.get("SLOT", "").split(), "nice", "make", "-s", "-j2", "O=build/o", target])
    if code:
        sys.exit(f"{target} does not compile:\n{output[-4000:]}")


def broken(path, text, old, new):
    pattern = r"\s*".join(re.escape(word) for word in re.findall(r"\w+|[^\w\s]", old))      # however it is laid out
    if not re.search(pattern, text):
        sys.exit(f"{path} has no such text any more: {old}")
    return re.sub(pattern, lambda _: new, text, count=1)


def simulate():
    """The first seed that fails and why, or nothing."""
    code, output = sh(["nice", "build/o/tests/skua-sim", "--seed", str(FROM), "--runs", str(SEEDS)], 20 * SEEDS)
    if code == 0 or re.search(r"^never in ", output, re.M):
        return None
    said = re.search(r"^seed (\d+) failed after [\d.]+ s: (.*)", output, re.M)
    check = re.search(r"CHECK.*", output)
    return (said[1], check[0] if check else said[2]) if said else ("?", output.strip().splitlines()[-1])


def main():
    chosen = [m for m in MUTATIONS if not sys.argv[1:] or m[0] in sys.argv[1:]]
    if not chosen:
        sys.exit("no such mutation; there are: " + "; ".join(m[0] for m in MUTATIONS))
    shutil.rmtree(COPY, ignore_errors=True)
    files = subprocess.run(["git", "ls-files", *TREE], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    for f in filter(None, files):
        os.makedirs(os.path.dirname(os.path.join(COPY, f)), exist_ok=True)
        shutil.copyfile(os.path.join(ROOT, f), os.path.join(COPY, f))
        shutil.copymode(os.path.join(ROOT, f), os.path.join(COPY, f))
    rows, missed = [], 0
    for name, edits, unit in chosen:
        started = time.monotonic()
        texts = {}
        for path, old, new in edits:
            before = texts.get(path) or open(os.path.join(ROOT, path)).read()
            texts[path] = broken(path, before, old, new)
        for path, text in texts.items():
            open(os.path.join(COPY, path), "w").write(text)
        build("build/o/tests/skua-sim")
        found = simulate()
        if not found and unit:
            build("build/o/tests/unit/" + unit.split(":")[0])
            code, output = sh(["build/o/tests/unit/" + unit.split(":")[0], "--gtest_filter=" + unit.split(":")[1]], 300)
            found = ("-", "unit test " + unit.split(":")[1]) if code else None
        for path in texts:
            shutil.copyfile(os.path.join(ROOT, path), os.path.join(COPY, path))
        took = time.monotonic() - started
        if found:
            print(f"ok {name}: seed {found[0]}: {found[1]} ({took:.0f} s)", flush=True)
        else:
            missed += 1
            print(f"FAIL {name}: nobody noticed ({took:.0f} s)", flush=True)
        rows.append(f"| {name} | `{edits[0][0]}` | {found[0] if found else ''} | {found[1] if found else '**nobody**'} |")
    print("\n| mutation | file | seed | found by |\n|---|---|---|---|\n" + "\n".join(rows))
    if "KEEP" not in os.environ:
        shutil.rmtree(COPY)
    return 1 if missed else 0


sys.exit(main())
