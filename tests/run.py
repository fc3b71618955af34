#!/usr/bin/env python3
"""Runs the test suites and ends with the line "N passed, N failed[, N skipped]".

A GoogleTest binary counts its cases; any other program counts its lines "ok NAME", "FAIL NAME: why" and
"skip NAME: why". A program that ends badly without a FAIL line counts as one failure. Everything a failed
program printed is shown. Each program has a line when it ends, so lines of suites that run side by side mix.

What runs beside what (not with --long nor --sanitized: there one suite runs after the other):
  first   tree and unit, short programs, as many at once as there are processors (4 at most)
  then    those who compute, sim, model and fuzz: one after the other, each has a process for each of two
          processors, with less right to them (nice)
  beside  those who wait most of their time, cluster and posix: as many at once as processors, 4 at most, and
          then by themselves those of ALONE, who measure how long things take
"""
import argparse, concurrent.futures, glob, json, os, re, subprocess, sys, tempfile, threading, time

parser = argparse.ArgumentParser()
parser.add_argument("--build", default="build/release")
parser.add_argument("--suites", default="")
parser.add_argument("--long", action="store_true")
parser.add_argument("--sanitized", action="store_true")
args = parser.parse_args()
root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
os.chdir(root)
env = dict(os.environ, SKUA_BUILD=os.path.abspath(args.build), SKUA_LONG="1" if args.long else "",
           ASAN_OPTIONS="detect_leaks=0:" + os.environ.get("ASAN_OPTIONS", ""),
           # block_store_test forks to be killed; the child has threads of its own.
           TSAN_OPTIONS="die_after_fork=0:suppressions=%s/tests/tsan.supp:" % root + os.environ.get("TSAN_OPTIONS", ""))


class Outcome:
    def __init__(self, name):
        self.name, self.passed, self.failed, self.skipped, self.output, self.seconds = name, 0, 0, 0, "", 0.0


def run(name, command, limit_s):
    out = Outcome(name)
    started = time.monotonic()
    gtest = "/tests/unit/" in command[0]
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        if gtest:
            command = command + ["--gtest_output=json:" + report.name, "--gtest_brief=1"]
        try:
            done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=limit_s, text=True, errors="replace", start_new_session=True)
            out.output, code = done.stdout, done.returncode
        except subprocess.TimeoutExpired as e:
            text = e.stdout or b""
            out.output = (text.decode(errors="replace") if isinstance(text, bytes) else text) + f"\ntimed out after {limit_s} s"
            code = -1
        if gtest:
            try:
                result = json.load(open(report.name))
                out.failed = result["failures"]
                out.skipped = sum(t.get("result") == "SKIPPED" for s in result["testsuites"] for t in s["testsuite"])
                out.passed = result["tests"] - out.failed - out.skipped
            except (ValueError, KeyError):
                pass
        else:
            out.passed = len(re.findall(r"^ok ", out.output, re.M))
            out.failed = len(re.findall(r"^FAIL ", out.output, re.M))
            out.skipped = len(re.findall(r"^skip ", out.output, re.M))
    if code != 0 and out.failed == 0:
        out.failed = 1
        out.output += f"\nended with {code}"
    if code == 0 and out.passed + out.failed + out.skipped == 0:
        out.failed = 1
        out.output += "\nran no test"
    out.seconds = time.monotonic() - started
    return out


def python(pattern):
    return [(p, [sys.executable, p]) for p in sorted(glob.glob(pattern))]


def build(*parts):
    return os.path.join(args.build, *parts)


slow = 8 if args.sanitized else 1
side_by_side = not args.sanitized and not args.long
few = max(1, min(4, os.cpu_count() or 1))
ALONE = ["tests/cluster/" + name for name in ("admission_test.py", "failover_test.py", "full_disk_test.py", "full_test.py", "hard_mount_test.py")]
# name: (when it runs, how many of its programs at once, seconds each may take, programs)
suites = {
    "tree": ("first", 2, 120, python("tests/tree/*_test.py")),
    "unit": ("first", 2, 300 * slow, [(os.path.basename(p), [os.path.abspath(p)]) for p in sorted(glob.glob(build("tests/unit/*_test")))]),
    "sim": ("computes", 2, 7200 if args.long else 900 * slow, python("tests/sim/*_test.py")),
    "mutations": ("computes", 1, 6 * 3600, python("tests/sim/mutations.py") if args.long else []),
    "model": ("computes", 1, 7200 if args.long else 600, [] if args.sanitized else python("tests/model/*_test.py")),
    "fuzz": ("computes", 2, 3600 if args.long else 240, [] if args.sanitized else python("tests/fuzz/*_test.py")),
    "cluster": ("waits", 1, 7200 if args.long else 600 * slow, python("tests/cluster/*_test.py") + (python("tests/cluster/*_long.py") if args.long else [])),
    "posix": ("waits", 1, 3600 if args.long else 420 * slow, python("tests/posix/*_test.py")),
}
chosen = args.suites.replace(",", " ").split() if args.suites else list(suites)
totals = [0, 0, 0]
telling = threading.Lock()


def tell(suite, out):
    with telling:
        for i, n in enumerate((out.passed, out.failed, out.skipped)):
            totals[i] += n
        print(f"{suite:8} {out.name:45} {out.passed:4} passed {out.failed:3} failed"
              + (f" {out.skipped:3} skipped" if out.skipped else "") + f"  {out.seconds:6.1f} s", flush=True)
        if out.failed:
            print("\n".join("    " + line for line in out.output.splitlines()[-200:]), flush=True)
        for line in re.findall(r"^skip .*", out.output, re.M):
            print("    " + line, flush=True)


def run_all(work, at_once):
    """work: (suite, name, command, limit_s) each; tells of each as it ends."""
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        # Not raised in a thread that nobody asks: a program that was not counted would look like one that passed.
        for done in [pool.submit(lambda w=w: tell(w[0], run(*w[1:]))) for w in work]:
            done.result()


def work_of(when, among=chosen):
    return [(suite, name, command, suites[suite][2]) for suite in among if suites[suite][0] == when for name, command in suites[suite][3]]


started = time.monotonic()
if side_by_side:
    run_all(work_of("first"), few)
    computing = [(suite, name, ["nice", "-n", "5", *command], limit_s) for suite, name, command, limit_s in work_of("computes")]
    waiting = work_of("waits")
    with concurrent.futures.ThreadPoolExecutor(2) as lanes:
        beside = lanes.submit(run_all, computing, 1)
        run_all([w for w in waiting if w[1] not in ALONE], few)
        run_all([w for w in waiting if w[1] in ALONE], 1)
        beside.result()
else:
    for suite in chosen:
        run_all(work_of(suites[suite][0], [suite]), suites[suite][1])
print(f"in {time.monotonic() - started:.0f} s")
print(f"{totals[0]} passed, {totals[1]} failed" + (f", {totals[2]} skipped" if totals[2] else ""), flush=True)
sys.exit(1 if totals[1] or totals[0] == 0 else 0)
