#!/usr/bin/env python3
"""Many kills under a checked workload of 16 clients: kill -9, and stopping for a while, of leaders and followers of each kind, of
block services, sometimes of two at once. Every hundred faults the clients pause and everything is checked.

    kills_long.py [FAULTS]      1,000 unless said; SEED=n for another order. Of `make test-long`.
"""
import collections, os, random, signal, sys, time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), d) for d in ("..", ".")]
FAULTS = int(sys.argv.pop(1)) if len(sys.argv) > 1 and sys.argv[1].isdigit() else 1000
from checked import Worker
from harness import Cluster, main, promise, wait_for

CLIENTS, BETWEEN_CHECKS, DISKS = 16, 100, 8


def pick(rng, groups):
    """A process, and what it is: leader or follower of a group, or a block service."""
    if rng.random() < 0.2:
        return f"blocks-{rng.randrange(DISKS)}", "blocks"
    kind = rng.choice(["registry", "cdc", "shard"])
    g = rng.choice([g for g in groups if g["kind"] == kind])
    followers = [m for m in g["members"] if m != g["leader"]]
    if g["leader"] and rng.random() < 0.5:
        return g["leader"], kind + " leader"
    return rng.choice(followers), kind + " follower"


def fault(c, rng, groups, counts):
    two = rng.random() < 0.15
    victims = dict(pick(rng, groups) for _ in range(2 if two else 1))
    stopped, killed = [], []
    for name, what in victims.items():
        if rng.random() < 0.35:
            pid = c.pid(name)
            os.kill(pid, signal.SIGSTOP)
            stopped.append(pid)
            counts["stop of " + what] += 1
        else:
            c.kill(name)
            killed.append(name)
            counts["kill of " + what] += 1
    try:
        time.sleep(rng.random() * 2)        # the fault's own length, drawn from the seed
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    for name in killed:
        c.start(name)
    return len(victims)


@promise
def many_kills_of_everybody_lose_nothing_acknowledged():
    seed = int(os.environ.get("SEED", "1"))
    print(f"seed={seed} faults={FAULTS}", flush=True)
    rng = random.Random(seed)
    counts = collections.Counter()
    operations = uncertain = done = 0
    longest = 0.0
    with Cluster(disks=DISKS, shards=4, replicas=3) as c:
        for n in range(CLIENTS):
            c.skua("mkdir", f"/w{n}")
        known = [{} for _ in range(CLIENTS)]
        while done < FAULTS:
            workers = [Worker(c, n, known[n]) for n in range(CLIENTS)]
            for w in workers:
                w.rng.seed(seed * 1000 + done * CLIENTS + w.number)
                w.start()
            try:
                until = min(done + BETWEEN_CHECKS, FAULTS)
                while done < until:
                    done += fault(c, rng, c.status()["groups"], counts)
                    time.sleep(rng.random() * 0.5)
            finally:
                for w in workers:
                    w.stop = True
                for w in workers:
                    w.join()
            wait_for(lambda: c.status()["healthy"], 60, "a healthy cluster")
            for w in workers:
                w.check()
            assert b"no problems" in c.skua("admin", "fsck").stdout
            operations += sum(w.done for w in workers)
            uncertain += sum(w.uncertain for w in workers)
            longest = max([longest] + [w.longest for w in workers])
            print(f"faults={done} operations={operations} uncertain={uncertain} longest={longest:.1f} s", flush=True)
        print(" ".join(f"{what}={n}" for what, n in sorted(counts.items())))
        assert operations > done


main()
