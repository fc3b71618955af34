#!/usr/bin/env python3
"""What was put into a real cluster comes out byte for byte: sizes at every edge, disks lost, everything restarted."""
import hashlib, os, random, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Cluster, main, promise, wait_for

SIZES = [0, 1, 4095, 4096, 4097, 65536, 128 * 1024, 128 * 1024 + 1, 1 << 20, (1 << 20) + 5, (16 << 20) - 1, 16 << 20, (16 << 20) + 1, 40 << 20]


def some_bytes(size, seed):
    return random.Random(seed).randbytes(size)


def put_all(c, where):
    c.skua("mkdir", "-p", where)
    for size in SIZES:
        c.skua("put", f"{where}/{size}", input=some_bytes(size, size))


def check_all(c, where):
    for size in SIZES:
        got = c.skua("cat", f"{where}/{size}").stdout
        assert hashlib.sha256(got).digest() == hashlib.sha256(some_bytes(size, size)).digest(), f"{size} bytes came back as {len(got)} others"


@promise
def files_of_every_size_come_back():
    with Cluster() as c:
        put_all(c, "/sizes")
        check_all(c, "/sizes")


@promise
def two_lost_disks_of_eight_lose_nothing():
    with Cluster() as c:
        put_all(c, "/d")
        for name in ("blocks-0", "blocks-5"):
            c.kill(name)
        check_all(c, "/d")
        # and new files are still written, whole
        c.skua("put", "/d/later", input=some_bytes(3 << 20, 77))
        assert c.skua("cat", "/d/later").stdout == some_bytes(3 << 20, 77)


@promise
def everything_killed_at_once_is_there_after_a_restart():
    with Cluster() as c:
        put_all(c, "/d")
        names = [n[:-4] for n in os.listdir(os.path.join(c.dir, "run")) if n.endswith(".pid")]
        for name in names:
            c.kill(name)
        c.up()
        check_all(c, "/d")
        c.cluster("down")
        c.up()
        check_all(c, "/d")


@promise
def a_tree_copied_in_and_out_is_the_same():
    with Cluster() as c:
        source, back = os.path.join(c.scratch, "src"), os.path.join(c.scratch, "back")
        rng = random.Random(5)
        for d in range(6):
            os.makedirs(os.path.join(source, f"d{d}", "deeper"))
            for i in range(20):
                with open(os.path.join(source, f"d{d}", "deeper" if i % 3 else "", f"f{i}"), "wb") as f:
                    f.write(rng.randbytes(rng.choice([0, 10, 5000, 70000, 300000])))
        os.symlink("d0/f0", os.path.join(source, "link"))
        os.chmod(os.path.join(source, "d0", "f0"), 0o640)
        c.skua("cp", "-r", source, "skua:/tree")
        c.skua("cp", "-r", "skua:/tree", back)
        from harness import run
        run("diff", "-r", "--no-dereference", source, back)
        assert os.stat(os.path.join(back, "d0", "f0")).st_mode & 0o777 == 0o640


@promise
def deleted_trees_are_undeleted():
    with Cluster() as c:
        c.skua("mkdir", "-p", "/t/a/b")
        c.skua("put", "/t/a/b/file", input=b"precious")
        c.skua("put", "/t/top", input=b"also")
        c.skua("rm", "-r", "/t")
        assert c.skua("ls", "/t", check=False).returncode == 1
        c.skua("undelete", "-r", "/t")
        assert c.skua("cat", "/t/a/b/file").stdout == b"precious"
        assert c.skua("cat", "/t/top").stdout == b"also"


@promise
def two_clusters_at_once_never_meet():
    with Cluster(disks=3) as a, Cluster(disks=3) as b:
        a.skua("put", "/x", input=b"a")
        b.skua("put", "/x", input=b"b")
        assert a.skua("cat", "/x").stdout == b"a"
        assert b.skua("cat", "/x").stdout == b"b"


@promise
def deleting_and_purging_gives_space_back():
    with Cluster() as c:
        c.skua("put", "/big", input=some_bytes(24 << 20, 1))
        used = lambda: sum(d["used"] for d in c.status()["disks"])
        wait_for(lambda: used() > (24 << 20), 30, "the disks' report of what is used")


main()
