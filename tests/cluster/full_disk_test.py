#!/usr/bin/env python3
"""A metadata server's disk is full: it says so and leads nothing, the others go on; alone it reads and deletes; nothing
acknowledged is lost, and all comes back by itself."""
import os, sys, time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), d) for d in ("..", ".")]
from harness import Cluster, main, promise, run, wait_for
from small_disk import SmallDisk


def leader(c):
    def known():
        for g in c.status()["groups"]:
            if g["kind"] == "shard" and g["id"] == 0 and g["leader"]:
                return g["leader"]
        return None
    return wait_for(known, 20, "a leader of shard 0")


def low(c, name):
    return next(s["low"] for s in c.status()["servers"] if s["name"] == name)


def tree(c, name, files):
    """A folder of inline files: all of it goes through the metadata logs."""
    path = os.path.join(c.scratch, name)
    os.makedirs(path)
    for i in range(files):
        with open(f"{path}/{i}", "wb") as f:
            f.write(name.encode() + i.to_bytes(4, "big") * 1000)
    return path


def check_tree(c, name, files):
    got = os.path.join(c.scratch, name + ".got")
    c.skua("cp", "-r", f"skua:/{name}", got, timeout=300)
    for i in range(files):
        with open(f"{got}/{i}", "rb") as f:
            assert f.read() == name.encode() + i.to_bytes(4, "big") * 1000, i


@promise
def a_full_disk_under_one_of_three_stops_nobody_and_it_comes_back_by_itself():
    with Cluster(disks=6, shards=1, replicas=3) as c:
        name = leader(c)
        with SmallDisk(c, name) as disk:
            wait_for(lambda: c.status()["healthy"], 30, "a healthy cluster")
            others = [n for n in ("shard-0", "shard-1", "shard-2") if n != name]
            c.skua("admin", "transfer-leader", "--group", "shard:0", "--to", name)
            wait_for(lambda: leader(c) == name, 10, "the lead")
            c.skua("put", "/before", input=b"1")
            disk.fill()
            started = time.monotonic()
            wait_for(lambda: leader(c) != name, 10, "another leader")
            c.skua("put", "/after", input=b"2")
            print(f"full to written elsewhere: {time.monotonic() - started:.1f} s")
            wait_for(lambda: low(c, name), 10, "its saying so")
            assert not c.status()["healthy"]
            assert b"almost full" in c.skua("status", check=False).stdout
            assert "disk almost full" in c.log(name)
            pid = c.pid(name)
            files = 9000                        # some 50 MiB of log, more than its disk has
            c.skua("cp", "-r", tree(c, "tree", files), "skua:/tree", timeout=300)
            assert leader(c) != name
            disk.fill()
            assert c.pid(name) == pid and os.path.exists(f"/proc/{pid}"), "the process has ended"
            disk.empty()
            wait_for(lambda: c.status()["healthy"], 60, "a healthy cluster")

            def caught_up():
                g = next(g for g in c.status()["groups"] if g["kind"] == "shard" and g["id"] == 0)
                return all(lag is not None and lag < 100 for lag in g["lag"].values())
            wait_for(caught_up, 60, "all in step")
            assert os.path.exists(f"/proc/{pid}"), "the process has ended"
            c.kill(others[0])                   # now it is needed for every majority
            c.skua("put", "/again", input=b"3")
            assert c.skua("cat", "/before").stdout == b"1" and c.skua("cat", "/after").stdout == b"2"
            check_tree(c, "tree", files)
            c.start(others[0])


@promise
def alone_on_a_full_disk_reads_and_deletes_go_on_and_writes_say_enospc():
    with Cluster(disks=6, shards=1) as c:
        with SmallDisk(c, "shard-0") as disk:
            c.skua("mkdir", "/d")
            files = 3000
            c.skua("cp", "-r", tree(c, "tree", files), "skua:/tree", timeout=300)
            disk.fill()
            wait_for(lambda: low(c, "shard-0"), 10, "its saying so")
            for _ in range(3):
                started = time.monotonic()
                done = c.skua("put", "/d/f", input=b"x", check=False)
                assert done.returncode != 0 and b"no space left" in done.stderr, done.stderr
                assert time.monotonic() - started < 5
            check_tree(c, "tree", files)
            c.skua("rm", "/tree/0", "/tree/1")
            assert c.skua("cat", "/tree/0", check=False).returncode != 0
            for _ in range(3):                  # a start on the full disk forgets nothing
                c.kill("shard-0")
                c.start("shard-0")
                wait_for(lambda: low(c, "shard-0"), 10, "its saying so")
                assert c.skua("cat", "/tree/2").stdout == b"tree" + (2).to_bytes(4, "big") * 1000
            assert c.skua("cat", "/tree/0", check=False).returncode != 0
            c.skua("rm", "/tree/2")
            c.kill("shard-0")
            disk.fill()                         # now not even the reserve is left: it waits, and says so
            run("sync", "-f", disk.dir)         # what was deleted is room only when the journal has it
            disk.fill()
            c.cluster("start", "shard-0", check=False)
            assert "waiting for room to start" in c.log("shard-0")
            wait_for(lambda: any(g["leader"] == "" for g in c.status()["groups"]), 15, "the registry's seeing that nobody leads")
            started = time.monotonic()
            assert b"group shard 0 has no leader" in c.skua("status", check=False).stdout
            assert time.monotonic() - started < 5, "status waits for a group that nobody leads"
            disk.empty()
            wait_for(lambda: any(s["name"] == "shard-0" and s["up"] and not s["low"] for s in c.status()["servers"]), 30, "room")
            c.skua("put", "/d/f", input=b"x")
            assert c.skua("cat", "/d/f").stdout == b"x"
            assert len(c.skua("ls", "/tree").stdout.split()) == files - 3
            assert b"no problems" in c.skua("admin", "fsck").stdout


main()
