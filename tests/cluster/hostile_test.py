#!/usr/bin/env python3
"""Bad input and faults get what docs/failures.md says, and stop no process."""
import os, random, shutil, socket, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Cluster, main, promise, run, wait_for


def addresses(c):
    out = {}
    for s in c.status()["servers"]:
        host, port = s["address"].rsplit(":", 1)
        out[s["name"]] = (host, int(port))
    return out


def alive(c):
    return {n: c.pid(n) for n in os.listdir(os.path.join(c.dir, "run")) if False} or {
        n[:-4]: c.pid(n[:-4]) for n in sorted(os.listdir(os.path.join(c.dir, "run"))) if n.endswith(".pid")}


@promise
def random_bytes_at_every_port_stop_no_process():
    rng = random.Random(7)
    with Cluster(disks=3) as c:
        c.skua("put", "/before", input=b"x")
        before = alive(c)
        for name, where in addresses(c).items():
            for i in range(40):
                with socket.create_connection(where, timeout=5) as s:
                    try:
                        s.sendall(rng.randbytes(rng.choice([0, 1, 63, 64, 100, 5000])) if i % 2 else b"SKUA" + rng.randbytes(rng.randrange(300)))
                        if i % 3 == 0:
                            s.settimeout(0.05)
                            s.recv(100)
                    except OSError:
                        pass
        assert c.skua("cat", "/before").stdout == b"x"
        for name, pid in before.items():
            os.kill(pid, 0)
        assert alive(c) == before


@promise
def without_the_key_nobody_gets_in():
    with Cluster(disks=3) as a, Cluster(disks=3) as b:
        a.skua("put", "/secret", input=b"s")
        # a's addresses with b's key
        conf = open(os.path.join(a.dir, "skua.conf")).read().splitlines()
        theirs = dict(line.split("=", 1) for line in open(os.path.join(b.dir, "skua.conf")).read().splitlines() if "=" in line)
        theirs = {k.strip(): v.strip() for k, v in theirs.items()}
        mixed = "\n".join(f"key = {theirs['key']}" if line.split("=")[0].strip() == "key" else line for line in conf) + "\n"
        path = os.path.join(a.scratch, "mixed.conf")
        with open(path, "w") as f:
            f.write(mixed)
        done = run(a.binary(), "cat", "/secret", check=False, env=dict(a.env, SKUA_CONFIG=path), timeout=60)
        assert done.returncode != 0 and b"s" != done.stdout, done


@promise
def bad_names_are_refused():
    with Cluster(disks=3) as c:
        long = "n" * 256
        done = c.skua("put", "/" + long, input=b"", check=False)
        assert done.returncode == 1 and b"too long" in done.stderr, done.stderr
        done = c.skua("mkdir", "/a/../..", check=False)
        assert done.returncode == 1, done


@promise
def a_disk_of_another_cluster_is_refused_and_both_are_named():
    with Cluster(disks=3) as a, Cluster(disks=3) as b:
        b.cluster("kill", "blocks-0")
        a.cluster("kill", "blocks-0")
        ours = os.path.join(a.dir, "blocks-0")
        theirs = os.path.join(b.dir, "blocks-0")
        shutil.rmtree(ours)
        shutil.copytree(theirs, ours)
        a.cluster("start", "blocks-0", check=False)
        cluster_ids = [line.split("=")[1].strip() for c in (a, b) for line in open(os.path.join(c.dir, "skua.conf")) if line.split("=")[0].strip() == "cluster"]
        wait_for(lambda: all(i in a.log("blocks-0") for i in cluster_ids), 20, "a message that names both clusters")


@promise
def usage_errors_exit_2_and_failures_1():
    with Cluster(disks=3) as c:
        assert c.skua("ls", "--no-such-flag", check=False).returncode == 2
        assert c.skua("cat", "/nothing", check=False).returncode == 1
        assert c.skua("no-such-command", check=False).returncode == 2
        nowhere = dict(c.env, SKUA_CONFIG=os.path.join(c.scratch, "none.conf"), HOME=c.scratch)
        done = run(c.binary(), "ls", "/", check=False, env=nowhere)
        assert done.returncode in (1, 2) and b"cluster up" in done.stderr, done.stderr
        assert c.cluster("up", "--replicas", "8", check=False).returncode == 2


@promise
def a_full_cluster_says_no_space_and_still_reads_and_deletes():
    with Cluster(disks=6, options=["--set", "capacity=268435456"]) as c:
        c.skua("put", "/kept", input=b"k" * 100_000)
        full = None
        for i in range(80):
            done = c.skua("put", f"/fill{i}", input=random.Random(i).randbytes(32 << 20), check=False, timeout=120)
            if done.returncode != 0:
                full = done
                break
        assert full is not None, "it never became full"
        assert b"no space" in full.stderr.lower(), full.stderr
        assert c.skua("stat", f"/fill{i}", check=False).returncode == 1         # nothing of what failed
        assert c.skua("cat", "/kept").stdout == b"k" * 100_000
        c.skua("rm", "/fill0")


main()
