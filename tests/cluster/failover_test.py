#!/usr/bin/env python3
"""Metadata groups of three: any minority of processes may die, hang or come back, and nothing is lost or stops for long."""
import json, os, random, signal, statistics, subprocess, sys, time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), d) for d in ("..", ".")]
from checked import Worker
from harness import LONG, Cluster, main, promise, wait_for

ROUNDS = 50 if LONG else 6
SECONDS = 900 if LONG else 45
HOSTS = [f"{kind}-{i}" for kind in ("registry", "cdc", "shard") for i in range(3)]


def leader(c, kind, number=0):
    """The server that leads the group, as soon as the registry knows of one that runs."""
    def known():
        for g in c.status()["groups"]:
            if g["kind"] == kind and g["id"] == number and g["leader"]:
                return g["leader"]
        return None
    return wait_for(known, 20, f"a leader of {kind} {number}")


def healthy(c):
    return wait_for(lambda: c.status()["healthy"], 30, "a healthy cluster")


@promise
def a_leader_is_killed_and_writes_go_on_within_seconds():
    with Cluster(disks=6, shards=2, replicas=3) as c:
        took = {"shard": [], "cdc": []}
        for i in range(ROUNDS):
            kind = ("shard", "cdc")[i % 2]
            name = leader(c, kind)
            c.kill(name)
            started = time.monotonic()
            if kind == "shard":
                c.skua("touch", f"/file-{i}")       # the root is on shard 0
            else:
                c.skua("mkdir", f"/dir-{i}")
            took[kind].append(time.monotonic() - started)
            c.start(name)
            healthy(c)
        for kind, seconds in took.items():
            print(f"{kind}: killed to the next write, median {statistics.median(seconds):.2f} s, longest {max(seconds):.2f} s")
            assert max(seconds) < 5, seconds
        names = {e["name"] for e in json.loads(c.skua("ls", "--json", "/").stdout)}
        assert len(names) == ROUNDS, names
        assert b"no problems" in c.skua("admin", "fsck").stdout


@promise
def the_registrys_leader_is_killed_and_nobody_notices():
    with Cluster(disks=6, shards=2, replicas=3) as c:
        c.skua("put", "/before", input=b"1" * 100_000)
        for _ in range(2):
            name = leader(c, "registry")
            c.kill(name)
            c.skua("put", "/after", input=b"2" * 100_000)
            assert c.skua("cat", "/before").stdout == b"1" * 100_000
            wait_for(lambda: (lambda l: l and l != name)(leader(c, "registry")), 20, "another leader")
            c.start(name)
            healthy(c)


@promise
def a_leader_that_hangs_is_replaced_and_says_nothing_old_when_it_goes_on():
    with Cluster(disks=6, shards=1, replicas=3) as c:
        c.skua("put", "/f", input=b"old")
        name = leader(c, "shard")
        pid = c.pid(name)
        os.kill(pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            c.skua("put", "/f", input=b"new")
            took = time.monotonic() - started
            print(f"stopped to the next write: {took:.2f} s")
            assert took < 5
            assert c.skua("cat", "/f").stdout == b"new"
        finally:
            os.kill(pid, signal.SIGCONT)
        for _ in range(5):
            assert c.skua("cat", "/f").stdout == b"new"
        healthy(c)


@promise
def without_a_majority_nothing_is_acknowledged_and_with_it_all_goes_on():
    with Cluster(disks=6, shards=1, replicas=3) as c:
        c.skua("put", "/f", input=b"1")
        gone = [n for n in HOSTS if n.startswith("shard")][:2]
        for name in gone:
            c.kill(name)
        try:
            c.skua("put", "/g", input=b"2", timeout=3)
            raise AssertionError("acknowledged by one of three")
        except subprocess.TimeoutExpired:
            pass
        for name in gone:
            c.start(name)
        healthy(c)
        c.skua("put", "/g", input=b"3")
        assert c.skua("cat", "/g").stdout == b"3" and c.skua("cat", "/f").stdout == b"1"


@promise
def all_are_killed_at_once_and_come_back_whole():
    with Cluster(disks=6, shards=4, replicas=3) as c:
        for i in range(20):
            c.skua("put", f"/f{i}", input=str(i).encode() * 1000)
        for name in HOSTS:
            c.kill(name)
        for name in HOSTS:
            c.start(name)
        healthy(c)
        for i in range(20):
            assert c.skua("cat", f"/f{i}").stdout == str(i).encode() * 1000


def under_load(c, faults):
    """Calls faults() while checked workers write; then all must be there, healthy and free of problems."""
    workers = [Worker(c, n) for n in range(2)]
    for w in workers:
        c.skua("mkdir", w.dir)
        w.start()
    try:
        wait_for(lambda: all(w.done > 3 for w in workers), 60, "work")
        faults()
        before = [w.done for w in workers]
        wait_for(lambda: all(w.done > b + 3 for w, b in zip(workers, before)), 60, "work that goes on")
    finally:
        for w in workers:
            w.stop = True
        for w in workers:
            w.join()
    healthy(c)
    for w in workers:
        w.check()
    assert b"no problems" in c.skua("admin", "fsck").stdout


def settled(c):
    """Every group has its three members in step, and nobody is catching up."""
    def look():
        status = c.status()
        return status["healthy"] and all(
            len(g["members"]) == 3 and g["learners"] == 0 and all(lag is not None and lag < 100 for lag in g["lag"].values())
            for g in status["groups"])
    return wait_for(look, 60, "all members in step")


@promise
def servers_that_lost_everything_take_their_places_again_while_clients_work():
    with Cluster(disks=6, shards=4, replicas=3) as c:
        settled(c)

        def faults():
            for name in ("shard-1", "cdc-0", "registry-2", "shard-2", "registry-0"):
                c.kill(name)
                assert name.encode() in c.skua("admin", "replace-server", name).stdout
                settled(c)
        under_load(c, faults)
        # Those who were replaced carry the data: the others of each kind may go.
        for name in ("shard-0", "cdc-1", "registry-1"):
            c.kill(name)
        assert sorted(c.skua("ls", "/").stdout.split()) == [b"w0", b"w1"]


@promise
def another_server_takes_the_place_of_one_that_runs():
    with Cluster(disks=6, shards=4, replicas=3) as c:
        settled(c)
        with open(f"{c.dir}/run/shard-0.cmd") as f:
            command = f.read().replace("shard-0", "shard-3")
        with open(f"{c.dir}/run/shard-3.cmd", "w") as f:
            f.write(command)
        assert c.skua("admin", "replace-server", "shard-0", "--with", "nobody", check=False).returncode == 1
        assert b"runs" in c.skua("admin", "replace-server", "shard-0", check=False).stderr

        def faults():
            c.start("shard-3")
            wait_for(lambda: any(s["name"] == "shard-3" for s in c.status()["servers"]), 20, "the new server")
            c.skua("admin", "replace-server", "shard-0", "--with", "shard-3")
            settled(c)
            for g in c.status()["groups"]:
                assert "shard-0" not in g["members"], g
            c.kill("shard-0")
            c.kill("shard-1")       # two of the three that are left are a majority
            c.skua("mkdir", "/after")
            c.start("shard-1")
            wait_for(lambda: all(s["name"] != "shard-0" for s in c.status()["servers"]), 30, "the old one gone from the map")
        under_load(c, faults)


@promise
def a_log_with_a_flipped_byte_is_set_aside_and_healed_from_the_others():
    with Cluster(disks=6, shards=2, replicas=3) as c:
        settled(c)

        def faults():
            name = leader(c, "shard")
            for i in range(30):
                c.skua("mkdir", f"/marked-{i}")
            c.kill(name)
            log = f"{c.dir}/{name}/log/segment-000000000001"
            with open(log, "r+b") as f:
                at = f.read(1 << 24).find(b"marked-3")
                assert at > 0
                f.seek(at)
                f.write(b"M")
            c.start(name)
            assert "set aside" in c.log(name)
            settled(c)
        under_load(c, faults)
        assert c.skua("ls", "/").stdout.count(b"marked-") == 30


@promise
def leaders_spread_by_themselves_and_by_word():
    with Cluster(disks=6, shards=6, replicas=3) as c:
        settled(c)
        name = leader(c, "shard")
        other = next(m for g in c.status()["groups"] if g["kind"] == "shard" and g["id"] == 0 for m in g["members"] if m != name)
        c.skua("admin", "transfer-leader", "--group", "shard:0", "--to", other)
        wait_for(lambda: leader(c, "shard") == other, 10, "the other leader")
        c.kill("shard-0")
        wait_for(lambda: all(g["leader"] not in ("", "shard-0") for g in c.status()["groups"]), 20, "leaders elsewhere")
        c.start("shard-0")

        def spread():
            leads = [g["leader"] for g in c.status()["groups"] if g["kind"] == "shard"]
            return all(leads.count(f"shard-{i}") == 2 for i in range(3))
        wait_for(spread, 60, "two groups led by each")


@promise
def kill_9_and_stop_of_any_member_under_load_lose_nothing_acknowledged():
    seed = int(os.environ.get("SEED", "1"))
    print(f"seed={seed}")
    rng = random.Random(seed)
    with Cluster(disks=8, replicas=3) as c:
        workers = [Worker(c, n) for n in range(3)]
        for w in workers:
            c.skua("mkdir", w.dir)
            w.start()
        faults = 0
        end = time.monotonic() + SECONDS
        try:
            while time.monotonic() < end:
                name = rng.choice(HOSTS)
                if rng.random() < 0.3:
                    pid = c.pid(name)
                    os.kill(pid, signal.SIGSTOP)
                    time.sleep(rng.random() * 2)        # the fault's own length, drawn from the seed
                    os.kill(pid, signal.SIGCONT)
                else:
                    c.kill(name)
                    time.sleep(rng.random() * 2)
                    c.start(name)
                faults += 1
                time.sleep(rng.random())
        finally:
            for w in workers:
                w.stop = True
            for w in workers:
                w.join()
        healthy(c)
        for w in workers:
            w.check()
        print(f"faults={faults} operations={sum(w.done for w in workers)} uncertain={sum(w.uncertain for w in workers)}")
        assert sum(w.done for w in workers) > 20
        assert b"no problems" in c.skua("admin", "fsck").stdout


main()
