#!/usr/bin/env python3
"""Figures with their bounds, as ratios against a baseline taken in the same run (`make bench`).

Ours and the baseline alternate five times; medians and spread are printed and written to build/bench.json:
[{name, value, unit, bound, holds}]. Runs alone (a lock), in a scratch directory. --record writes docs/benchmarks.md's
table anew; nothing else touches docs/. --quick: one round of small sizes, to see that it works.
"""
import argparse, fcntl, json, os, re, resource, shutil, statistics, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
parser = argparse.ArgumentParser()
parser.add_argument("--build", default="build/release")
parser.add_argument("--record", action="store_true")
parser.add_argument("--quick", action="store_true")
parser.add_argument("--only", default="", help="comma list of: cp, mount, meta, up, memory, replicas, restart")
args = parser.parse_args()
os.environ["SKUA_BUILD"] = os.path.abspath(args.build)
from harness import BUILD, Cluster, ROOT, can_mount, run

ROUNDS = 1 if args.quick else 5
# What is removed gives its space back after half an hour only: all rounds must fit at once.
free_gib = shutil.disk_usage(tempfile.gettempdir()).free >> 30
MIB = 256 if args.quick else 2048 if free_gib > 56 else 1024
BIG_MIB = 512 if args.quick else 8192
only = set(args.only.split(",")) if args.only else {"cp", "mount", "meta", "up", "memory", "replicas", "restart"}
results = []


def record(name, value, unit, bound, holds, detail=""):
    results.append({"name": name, "value": round(value, 3), "unit": unit, "bound": bound, "holds": bool(holds), "detail": detail})
    print(f"{name:55} {value:10.3f} {unit:8} bound {bound:14} {'holds' if holds else 'DOES NOT HOLD'}  {detail}", flush=True)


def median(values):
    return statistics.median(values)


def spread(values):
    return f"{min(values):.0f}..{max(values):.0f}"


def seconds(f):
    started = time.monotonic()
    f()
    return time.monotonic() - started


def raw_disk(path):
    return json.loads(run(os.path.join(BUILD, "skua-blocks"), "bench", path, "--json", timeout=300).stdout)


def drop_caches():
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("3")
    except OSError:
        pass


def resident_mib(cluster):
    total = 0
    run_dir = os.path.join(cluster.dir, "run")
    for name in os.listdir(run_dir):
        if name.endswith(".pid"):
            try:
                text = open(f"/proc/{cluster.pid(name[:-4])}/status").read()
                total += int(re.search(r"VmRSS:\s+(\d+)", text)[1])
            except (OSError, TypeError, ValueError):
                pass
    return total / 1024


def bench_copies(c):
    source = os.path.join(c.scratch, "source")
    with open(source, "wb") as f:
        for _ in range(MIB // 64):
            f.write(os.urandom(64 << 20))
    raw_w, raw_r, w, r, mw, mr = [], [], [], [], [], []
    mnt = c.mount() if "mount" in only and can_mount() else None
    for i in range(ROUNDS):
        raw = raw_disk(c.scratch)
        raw_w.append(raw["write_mb_s"])
        raw_r.append(raw["read_mb_s"])
        with open(source, "rb") as f:          # in the page cache
            while f.read(8 << 20):
                pass
        mb = MIB * 1.048576
        w.append(mb / seconds(lambda: c.skua("cp", source, f"skua:/in-{i}", timeout=600)))
        drop_caches()
        r.append(mb / seconds(lambda: c.skua("cp", f"skua:/in-{i}", "/dev/null", timeout=600)))
        if mnt:
            with open(source, "rb") as f:
                while f.read(8 << 20):
                    pass
            mw.append(mb / seconds(lambda: run("dd", f"if={source}", f"of={mnt}/by-mount-{i}", "bs=1M", "conv=fsync", "status=none", timeout=600)))
            drop_caches()
            mr.append(mb / seconds(lambda: run("dd", f"if={mnt}/by-mount-{i}", "of=/dev/null", "bs=1M", "status=none", timeout=600)))
            os.unlink(f"{mnt}/by-mount-{i}")
        c.skua("rm", f"/in-{i}")
    os.unlink(source)
    ratio = median(w) / (median(raw_w) * 4 / 6)
    record("skua cp in / raw write x 4/6", ratio, "x", ">= 0.45", ratio >= 0.45,
           f"{median(w):.0f} MB/s ({spread(w)}), raw {median(raw_w):.0f} ({spread(raw_w)})")
    ratio = median(r) / median(raw_r)
    record("skua cp out, cold / raw read", ratio, "x", ">= 0.6", ratio >= 0.6,
           f"{median(r):.0f} MB/s ({spread(r)}), raw {median(raw_r):.0f} ({spread(raw_r)})")
    if mnt:
        ratio = median(mw) / median(w)
        record("write through the mount / skua cp in", ratio, "x", ">= 0.7", ratio >= 0.7, f"{median(mw):.0f} MB/s ({spread(mw)})")
        ratio = median(mr) / median(r)
        record("read through the mount, cold / skua cp out", ratio, "x", ">= 0.7", ratio >= 0.7, f"{median(mr):.0f} MB/s ({spread(mr)})")
        c.unmount()


def bench_meta(c):
    sync, creates, mkdirs = [], [], []
    for i in range(ROUNDS):
        sync.append(raw_disk(c.scratch)["syncs_per_s"])
        duration = "1" if args.quick else "3"
        creates.append(json.loads(c.skua("bench", "meta", "--op", "create", "--in-flight", 16, "--seconds", duration, "--json").stdout)["ops_per_s"])
        mkdirs.append(json.loads(c.skua("bench", "meta", "--op", "mkdir", "--in-flight", 32, "--seconds", duration, "--json").stdout)["ops_per_s"])
    ratio = median(creates) / median(sync)
    record("creates of 4 KiB files, 16 in flight / 4 KiB fdatasync", ratio, "x", ">= 1.0", ratio >= 1.0,
           f"{median(creates):.0f}/s ({spread(creates)}), disk {median(sync):.0f}/s ({spread(sync)})")
    ratio = median(mkdirs) / median(sync)
    record("mkdir, 32 in flight / 4 KiB fdatasync", ratio, "x", ">= 0.15", ratio >= 0.15, f"{median(mkdirs):.0f}/s ({spread(mkdirs)})")


def metadata_cpu_s(c):
    """Processor seconds of all metadata processes so far."""
    total = 0
    for name in os.listdir(os.path.join(c.dir, "run")):
        if name.endswith(".pid") and not name.startswith(("blocks", "mount")):
            fields = open(f"/proc/{c.pid(name[:-4])}/stat").read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def leader_of(c, kind):
    for _ in range(400):
        for g in c.status()["groups"]:
            if g["kind"] == kind and g["id"] == 0 and g["leader"]:
                return g["leader"]
        time.sleep(0.05)
    raise AssertionError(f"nobody leads {kind}")


def caught_up(c, name):
    """It answers, and has applied all that its groups' leaders know."""
    lags = [g["lag"][name] for g in c.status()["groups"] if name in g.get("lag", {})]
    return lags and all(lag == 0 for lag in lags)


def bench_replicas():
    duration = "1" if args.quick else "3"

    def creates(c, in_flight):
        return json.loads(c.skua("bench", "meta", "--op", "create", "--in-flight", in_flight, "--seconds", duration, "--json").stdout)

    with Cluster(disks=8, shards=8, replicas=1) as one, Cluster(disks=8, shards=8, replicas=3) as three:
        sync, ones, threes, lone = [], [], [], []
        for _ in range(ROUNDS):
            sync.append(raw_disk(one.scratch)["syncs_per_s"])
            ones.append(creates(one, 64)["ops_per_s"])
            threes.append(creates(three, 64)["ops_per_s"])
            lone.append(creates(three, 1)["p50_us"])
        ratio = median(threes) / median(ones)
        record("creates, 64 in flight, 3 replicas / 1 replica", ratio, "x", ">= 0.35", ratio >= 0.35,
               f"{median(threes):.0f}/s ({spread(threes)}), one {median(ones):.0f}/s ({spread(ones)})")
        ratio = median(threes) / median(sync)
        record("creates, 64 in flight, 3 replicas / 4 KiB fdatasync", ratio, "x", ">= 6", ratio >= 6, f"disk {median(sync):.0f}/s ({spread(sync)})")
        ratio = median(lone) / (1e6 / median(sync))
        record("one client's commit, 3 replicas / one fdatasync", ratio, "x", "<= 3", ratio <= 3,
               f"median {median(lone):.0f} us ({spread(lone)}), fdatasync {1e6 / median(sync):.0f} us")
        took, back = [], []
        for i in range(6 if args.quick else 18):
            kind = ("shard", "cdc", "registry")[i % 3]
            name = leader_of(three, kind)
            three.kill(name)
            what = {"shard": ("touch", f"/killed-{i}"), "cdc": ("mkdir", f"/dir-{i}"), "registry": ("admin", "set-up", "--disk", 1)}[kind]
            took.append(seconds(lambda: three.skua(*what)))
            at = time.monotonic()
            three.start(name)
            while not caught_up(three, name):
                time.sleep(0.02)
            back.append(time.monotonic() - at)
            while not three.status()["healthy"]:
                time.sleep(0.1)
        record("leader killed to the next write", median(took), "s", "<= 1", median(took) <= 1, f"{min(took):.2f}..{max(took):.2f}")
        record("that one started to having caught up", median(back), "s", "< 5", median(back) < 5, f"{min(back):.2f}..{max(back):.2f}")
    with Cluster(disks=1, shards=254, replicas=3) as c:
        time.sleep(5)
        before, at = metadata_cpu_s(c), time.monotonic()
        time.sleep(10)
        share = 100 * (metadata_cpu_s(c) - before) / (time.monotonic() - at)
        record("256 idle groups x 3, of one core", share, "%", "<= 2", share <= 2)


def forget_pages(folder):
    """Drops the files of a folder from the page cache."""
    os.sync()
    for at, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(at, name), "rb") as f:
                os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def bench_restart():
    """One metadata server, nobody else has its groups: killed right after the last of many creates, and started."""
    inodes = 50_000 if args.quick else 1_000_000
    more = 20_000 if args.quick else 100_000  # for the second time: as much log again
    with Cluster(disks=1, shards=8, replicas=1) as c:
        def once(count, cold):
            made = json.loads(c.skua("bench", "meta", "--op", "create", "--size", 0, "--in-flight", 256, "--count", count,
                                     "--dirs", 256, "--keep", "--json", timeout=600).stdout)
            c.kill("shard-0")
            if cold:
                forget_pages(os.path.join(c.dir, "shard-0"))
            started = time.monotonic()
            c.start("shard-0")
            c.skua("stat", f"{made['dir']}/d0/n0")
            c.skua("touch", f"{made['dir']}/d0/after")
            took = time.monotonic() - started
            for i in range(1, 17):  # of all groups
                c.skua("stat", f"{made['dir']}/d{i}/n{i}")
                c.skua("touch", f"{made['dir']}/d{i}/after")
            peak = int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{c.pid('shard-0')}/status").read())[1]) / 1024
            said = re.findall(r"recovered records=(\d+).* bytes=(\d+) ms=(\d+)", c.log("shard-0"))[-1]
            return took, peak, made, f"{int(said[0])} records, {int(said[1]) >> 20} MiB of log read in {int(said[2]) / 1000:.1f} s"
        took, peak, made, log = once(inodes, cold=True)
        record(f"restart with {inodes} inodes, cold cache", took, "s", "< 5", took < 5, f"{log}; made at {made['ops_per_s']:.0f}/s")
        warm, peak_warm, _, log = once(more, cold=False)
        record("the same, page cache warm", warm, "s", "< 5", warm < 5, log)
        record("the same, peak resident", max(peak, peak_warm), "MiB", "< 1024", max(peak, peak_warm) < 1024)


def bench_up():
    times, rss = [], []
    for _ in range(ROUNDS):
        c = Cluster(disks=8, shards=8, up=False)
        try:
            os.makedirs(os.path.join(c.scratch, "mnt"), exist_ok=True)
            extra = ["--mount", os.path.join(c.scratch, "mnt")] if can_mount() else []
            times.append(seconds(lambda: c.up(*extra)))
            c.skua("cp", "-r", "/usr/include", "skua:/include", timeout=300)
            c.skua("cp", "-r", "skua:/include", os.path.join(c.scratch, "back"), timeout=300)
            rss.append(resident_mib(c))
        finally:
            c.close()
    record("cluster up --mount to serving", median(times), "s", "< 10", median(times) < 10, f"{min(times):.1f}..{max(times):.1f}")
    record("all processes together, resident", median(rss), "MiB", "< 2048", median(rss) < 2048, spread(rss))


def bench_memory(c):
    source = os.path.join(c.scratch, "big")
    with open(source, "wb") as f:
        chunk = os.urandom(64 << 20)
        for _ in range(BIG_MIB // 64):
            f.write(chunk)
    pid = os.fork()
    if pid == 0:
        os.environ.update(c.env)
        os.execv(c.binary(), [c.binary(), "cp", source, "skua:/big"])
    _, status, usage = os.wait4(pid, 0)
    os.unlink(source)
    c.skua("rm", "/big")
    peak = usage.ru_maxrss / 1024
    record(f"skua cp of {BIG_MIB >> 10} GiB, peak resident", peak, "MiB", "< 400", peak < 400 and status == 0)


def main():
    lock = open("/tmp/skua-bench.lock", "w")
    print("waiting for the bench lock...", flush=True)
    fcntl.flock(lock, fcntl.LOCK_EX)
    for wanted, bench in (({"cp", "mount"}, bench_copies), ({"meta"}, bench_meta), ({"memory"}, bench_memory)):
        if only & wanted:
            with Cluster(disks=8, shards=8) as c:
                bench(c)
    if "up" in only:
        bench_up()
    if "replicas" in only:
        bench_replicas()
    if "restart" in only:
        bench_restart()
    os.makedirs(os.path.join(ROOT, "build"), exist_ok=True)
    with open(os.path.join(ROOT, "build/bench.json"), "w") as f:
        json.dump(results, f, indent=1)
    if args.record:
        page = os.path.join(ROOT, "docs/benchmarks.md")
        text = open(page).read()
        table = "| what | value | bound | holds | |\n|---|---|---|---|---|\n" + "".join(
            f"| {r['name']} | {r['value']:.2f} {r['unit']} | {r['bound']} | {'yes' if r['holds'] else 'no'} | {r['detail']} |\n" for r in results)
        stamp = time.strftime("%Y-%m-%d") + ", " + subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
        begin, end = "<!-- figures: make bench-record -->", "<!-- end of figures -->"
        before, rest = text.split(begin, 1)
        open(page, "w").write(f"{before}{begin}\nTaken {stamp}.\n\n{table}{end}{rest.split(end, 1)[1]}")


main()
