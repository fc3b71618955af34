#!/usr/bin/env python3
"""Runs the test suites, in order of cost, and ends with the line "N passed, N failed[, N skipped]".

A GoogleTest binary counts its cases; any other program counts its lines "ok NAME", "FAIL NAME: why" and
"skip NAME: why". A program that ends badly without a FAIL line counts as one failure. Everything a failed
program printed is shown.
"""
import argparse, concurrent.futures, glob, json, os, re, subprocess, sys, tempfile, time

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
suites = {
    "tree": (2, 120, python("tests/tree/*_test.py")),
    "unit": (2, 300 * slow, [(os.path.basename(p), [os.path.abspath(p)]) for p in sorted(glob.glob(build("tests/unit/*_test")))]),
    "sim": (2, 7200 if args.long else 600 * slow, python("tests/sim/*_test.py")),
    "mutations": (1, 6 * 3600, python("tests/sim/mutations.py") if args.long else []),
    "model": (1, 7200 if args.long else 300, [] if args.sanitized else python("tests/model/*_test.py")),
    "fuzz": (2, 3600 if args.long else 120, [] if args.sanitized else python("tests/fuzz/*_test.py")),
    "cluster": (1, 7200 if args.long else 600 * slow, python("tests/cluster/*_test.py") + (python("tests/cluster/*_long.py") if args.long else [])),
    "posix": (1, 3600 if args.long else 420 * slow, python("tests/posix/*_test.py")),
}
chosen = args.suites.replace(",", " ").split() if args.suites else list(suites)
totals = [0, 0, 0]
for suite in chosen:
    at_once, limit_s, programs = suites[suite]
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        for out in pool.map(lambda p: run(p[0], p[1], limit_s), programs):
            totals = [totals[0] + out.passed, totals[1] + out.failed, totals[2] + out.skipped]
            print(f"{suite:8} {out.name:45} {out.passed:4} passed {out.failed:3} failed"
                  + (f" {out.skipped:3} skipped" if out.skipped else "") + f"  {out.seconds:6.1f} s", flush=True)
            if out.failed:
                print("\n".join("    " + line for line in out.output.splitlines()[-200:]), flush=True)
            for line in re.findall(r"^skip .*", out.output, re.M):
                print("    " + line)
print(f"{totals[0]} passed, {totals[1]} failed" + (f", {totals[2]} skipped" if totals[2] else ""), flush=True)
sys.exit(1 if totals[1] or totals[0] == 0 else 0)
