#!/usr/bin/env python3
"""The SPIN models beside this file: each is searched exhaustively and holds; each guard that is taken out must
break what the model promises, or it guards nothing.

    model_test.py                       all of them; with SKUA_LONG=1 larger bounds too
    model_test.py --trace MODEL NAME=VALUE ...    a run with these switches; of a failure, the steps that led there

Works in build/model/ and leaves nothing elsewhere.
"""
import concurrent.futures, os, re, shutil, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import LONG, ROOT, Skip, main, promise

HERE = os.path.join(ROOT, "tests/model")
WORK = os.path.join(ROOT, "build/model")
CC = next((c for c in (os.environ.get("CC"), "clang-19", "cc", "gcc") if c and shutil.which(c)), "cc")
LIMIT_S = 3600 if LONG else 240
MEMORY_MB = 12000 if LONG else 3000

# Switches of the runs that must hold (all PROBEs are seen in some of these), those of longer ones, and by guard the
# bounds in which a counterexample is there. The same bounds, or larger ones, are among those that hold.
MODELS = {
    "sweep": dict(
        holds=[""], longer=[],
        guards=dict.fromkeys(("NO_RESERVATION_CHECK", "RESERVATION_AT_ADMIT", "NO_USED_IDS", "NO_KEEP", "EARLY_RECEIPT",
                              "REPLACED_NOT_REFERENCED"), ""), longer_guards={}),
    "steps": dict(
        holds=["", "TXNS=2 ANY_ORDER"], longer=["REFUSALS=2 CHANGES=2", "TXNS=4", "TXNS=2 REFUSALS=2 CHANGES=2 ANY_ORDER"],
        guards=dict.fromkeys(("NO_WATERMARK", "WATERMARK_AT_LAST", "REFUSALS_FORGOTTEN", "NO_ANSWERS", "NO_STEP_NUMBER", "NO_LOCKS"), ""),
        longer_guards={}),
    "members": dict(
        holds=["", "MEMBERS=15 EMPTIED=0", "STORES=3 TERMS=5 EMPTIED=0", "STORES=3 DELAYED"],
        longer=["DELAYED EMPTIED=0", "MEMBERS=15", "LAST=4 EMPTIED=0"],
        guards=dict(SAME_STORE_ID="", VOTE_FORGOTTEN="", CUT_TOO_FAR="", COUNT_OLD_TERMS="STORES=3 TERMS=5 EMPTIED=0"),
        longer_guards=dict(MANY_AT_ONCE="LAST=4 EMPTIED=0", BASE_WITHOUT_MEMBERS="LAST=4 EMPTIED=0")),
}


def build(model, switches, optimise="-O2"):
    """The directory with a compiled search of the model."""
    if not shutil.which("spin"):
        raise Skip("spin is not installed: run `make deps`")
    where = os.path.join(WORK, "-".join([model, *switches.split()]).replace("=", ""))
    shutil.rmtree(where, ignore_errors=True)
    os.makedirs(where)
    defines = ["-D" + s for s in switches.split()]
    for command in (["spin", *defines, f"-P{CC} -E -x c", "-a", os.path.join(HERE, model + ".pml")],
                    [CC, "-w", optimise, "-DSAFETY", "-DNOREDUCE", f"-DMEMLIM={MEMORY_MB}", *(["-DCOLLAPSE"] if LONG else []),
                     "-o", "pan", "pan.c"]):
        done = subprocess.run(command, cwd=where, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0 and os.path.exists(os.path.join(where, "pan.c")), f"{' '.join(command)}\n{done.stdout[-3000:]}"
    return where


def search(model, switches, optimise="-O2"):
    where = build(model, switches, optimise)
    done = subprocess.run(["nice", "-n", "5", "./pan", "-m1000000"], cwd=where, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", timeout=LIMIT_S)
    return done.stdout


def hand(model, switches):
    return f"see how: python3 tests/model/model_test.py --trace {model} {switches}"


def holds(model, switches):
    """Nothing is left to search, nothing was found; returns the PROBEs that were seen."""
    out = search(model, switches)
    complete = "Search not completed" not in out and "truncated" not in out and "max search depth too small" not in out
    assert complete and re.search(r"errors: 0$", out, re.M), f"{model} {switches}: {hand(model, switches)}\n{out[-2500:]}"
    states = re.search(r"(\d+) states, stored", out)
    print(f"    {model} {switches or '(usual bounds)'}: {states[1]} states", flush=True)
    return set(re.findall(r"^PROBE (.*)$", out, re.M))


def together(f, arguments):
    """f of each, two at a time (in LONG runs one: they take memory); the first that fails is raised."""
    with concurrent.futures.ThreadPoolExecutor(1 if LONG else 2) as pool:
        return list(pool.map(lambda a: f(*a), arguments))


def breaks(model, guard, bounds):
    switches = (guard + " " + bounds).strip()
    out = search(model, switches, "-O1" if not LONG else "-O2")
    why = re.search(r"^pan:1: assertion violated (.*)", out, re.M)
    assert why, f"{model} holds without {guard}: it guards nothing, or the bounds ({bounds or 'usual'}) are too small\n{out[-2500:]}"
    # A bound that was reached is no counterexample.
    assert "step[t]<" not in why[1], f"{model} {switches} runs out of its bounds: {why[0]}"


def check(model):
    m = MODELS[model]
    seen = set().union(*together(holds, [(model, switches) for switches in m["holds"] + (m["longer"] if LONG else [])]))
    text = open(os.path.join(HERE, model + ".pml")).read()
    never = set(re.findall(r'PROBE\("([^"]*)"\)', text)) - seen
    assert not never, f"{model}.pml never sees: {'; '.join(sorted(never))}"
    told = re.findall(r"^     ([A-Z_]+) +\S", text[text.index("Guards that"):].split("And a variant")[0].split("*/")[0], re.M)
    assert sorted(told) == sorted([*m["guards"], *m["longer_guards"]]), f"{model}.pml tells of other guards: {told}"


def check_guards(model):
    m = MODELS[model]
    guards = {**m["guards"], **(m["longer_guards"] if LONG else {})}
    together(breaks, [(model, guard, bounds) for guard, bounds in guards.items()])


@promise
def what_the_models_follow_is_in_the_code():
    """Their headers name path/file.cc:function, :another of the same file."""
    bad = []
    for model in MODELS:
        header = open(os.path.join(HERE, model + ".pml")).read().split("*/")[0]
        path, text = "", ""
        for file, name in re.findall(r"([\w-]+(?:/[\w-]+)+\.(?:cc|h))|:([A-Za-z]\w*)", header):
            if file:
                path, full = file, os.path.join(ROOT, file)
                text = open(full).read() if os.path.exists(full) else ""
            if not re.search(r"\b" + name + r"\b" if name else r"\S", text):
                bad.append(f"{model}.pml: there is no {path}:{name}")
    assert not bad, "\n".join(bad)


@promise
def a_block_that_is_referenced_is_never_erased():
    check("sweep")


@promise
def every_guard_of_the_sweep_is_needed():
    check_guards("sweep")


@promise
def a_step_takes_effect_once_and_a_transaction_leaves_nothing_half_done():
    check("steps")


@promise
def every_guard_of_the_steps_is_needed():
    check_guards("steps")


@promise
def a_committed_entry_is_never_lost():
    check("members")


@promise
def every_guard_of_the_members_is_needed():
    check_guards("members")


def trace(model, *switches):
    """Searches breadth first, so the shortest way to a failure, and tells its steps with the lines of the model."""
    where = build(model, " ".join(switches))
    subprocess.run([CC, "-w", "-O2", "-DSAFETY", "-DNOREDUCE", "-DBFS", f"-DMEMLIM={MEMORY_MB}", "-o", "pan", "pan.c"], cwd=where, check=True)
    found = subprocess.run(["./pan"], cwd=where, stdout=subprocess.PIPE, text=True, errors="replace").stdout
    if "errors: 0" in found:
        return print(found)
    lines = open(os.path.join(HERE, model + ".pml")).read().splitlines()
    trail = next(f for f in os.listdir(where) if f.endswith(".trail"))
    told = subprocess.run(["./pan", "-r", trail], cwd=where, stdout=subprocess.PIPE, text=True, errors="replace").stdout
    for line in told.splitlines():
        step = re.match(r" *\d+:\s+proc +(\d+) \((\w+)\) .*\[D_STEP(\d+)\]", line)
        if step:
            at = int(step[3]) - 1
            text = lines[at].strip()
            for part in lines[at + 1:at + 3]:
                if text.endswith("}") or re.match(r"\s*(::|#|od)", part):
                    break
                text += " " + part.strip()
            print(f"{step[2] + ' ' + str(step[1]):16} {step[3]:>4}  {text[:110]}")
        elif re.match(r"pan:1:|\t\w+ +\S+:\t[1-9]", line): # what is not 0 in the end
            print(line)


if sys.argv[1:2] == ["--trace"]:
    trace(*sys.argv[2:])
else:
    try:
        main()
    finally:
        if not os.environ.get("SKUA_KEEP_MODELS"):
            shutil.rmtree(WORK, ignore_errors=True)
