#!/usr/bin/env python3
"""The simulator's suite: the same seeds every time, with faults and without, shared out to two processes.

Ends with the counts of all faults and of every PROBE: what no run of the whole suite has seen is a failure.
SKUA_SIM_SEEDS=FROM:RUNS replaces the seeds with faults, SKUA_LONG=1 makes it 2,000.
"""
import collections, concurrent.futures, os, re, subprocess, sys, time

BINARY = os.path.join(os.environ.get("SKUA_BUILD", "build/release"), "tests", "skua-sim")
LONG = bool(os.environ.get("SKUA_LONG"))
FIRST, RUNS = (int(n) for n in os.environ.get("SKUA_SIM_SEEDS", "1:2000" if LONG else "1:100").split(":"))
CALM = 100 if LONG else 10
# A human's decision, in raft_hosts_test and tests/cluster.
NOT_HERE = {"probe a member goes on alone, by a human's word", "probe who was shut out speaks, and is not heard"}
# One seed in hundreds: must be seen in long runs only.
RARE = {"probe " + p for p in ("a client hears of its change before another shard has counted",
                               "a message between shards overtakes another", "an empty directory has a locked name",
                               "a snapshot was installed, and the log not yet begun anew")}
CHUNK = 10          # seeds of a process: a failure hides at most these from the test
failed = False


def chunk(first, runs, flags):
    command = ["nice", "-n", "5" if os.nice(0) < 5 else "0", BINARY, "--seed", str(first), "--runs", str(runs), "--counts", *flags]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    return done.returncode, done.stdout


def report(good, name, why=""):
    global failed
    failed = failed or not good
    print(f"ok {name}" if good else f"FAIL {name}: {why}", flush=True)


def batch(name, first, runs, flags):
    """Runs the seeds and returns what they counted, and how many hours they simulated."""
    counts, hours, all_good = collections.Counter(), 0, True
    work = [(n, min(CHUNK, first + runs - n)) for n in range(first, first + runs, CHUNK)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for (at, many), (code, output) in zip(work, pool.map(lambda w: chunk(*w, flags), work)):
            for line in re.findall(r"^ +(\d+) (\w.*)$", output, re.M):
                counts[line[1]] += int(line[0])
            hours += sum(int(h) for h in re.findall(r": (\d+) h simulated", output))
            if code != 0:
                all_good = False
                why = re.search(r"^seed .*", output, re.M)
                print(output[-6000:])
                report(False, f"{name}, seeds {at} to {at + many - 1}", why.group(0) if why else f"ended with {code}")
    if all_good:
        report(True, f"{name}, seeds {first} to {first + runs - 1}")
    return counts, hours, all_good


started = time.monotonic()
_, calm_hours, _ = batch("nothing fails", 1, CALM, ["--calm"])
counts, hours, all_good = batch("anything fails", FIRST, RUNS, [])
seconds = time.monotonic() - started
code, output = chunk(FIRST, 2, ["--repeat"])
report(code == 0, "a seed tells the same story twice", output[-2000:])
for what, n in sorted(counts.items()):
    print(f"{n:10} {what}")
print(f"{CALM + RUNS} seeds: {calm_hours + hours} h simulated in {seconds:.0f} s, {3600 * (calm_hours + hours) / seconds:.0f} simulated seconds a second")
if all_good and RUNS >= 100:
    never = [what for what, n in counts.items() if n == 0 and what not in NOT_HERE and (LONG or what not in RARE)]
    report(not never, "every fault and every PROBE was seen", "never: " + "; ".join(never))
sys.exit(1 if failed else 0)
