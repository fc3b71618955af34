#!/usr/bin/env python3
"""Programs that people use do on a mount what they do elsewhere; each is compared with a local copy of its work."""
import os, shutil, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import ROOT, Cluster, Skip, main, promise, require_mount, run
from twins import differences, tree

TRANSPORTS = {"dev_fuse": ("-o", "dev_fuse"), "io_uring": ("-o", "io_uring")}


def need(*programs):
    for p in programs:
        if not shutil.which(p):
            raise Skip(f"no {p}")


def sources(where):
    """A small tree with what trees have: modes, times, links, an empty file, a big one, odd names, a hole."""
    os.makedirs(os.path.join(where, "sub/deep er"))
    for n in range(200):
        with open(os.path.join(where, "sub", f"n{n}.txt"), "wb") as f:
            f.write(bytes([n]) * (n * 97))
    with open(os.path.join(where, "big"), "wb") as f:
        for n in range(40):
            f.write(os.urandom(1 << 20))
    with open(os.path.join(where, "sub/deep er/ü space"), "w") as f:
        f.write("odd\n")
    with open(os.path.join(where, "hole"), "wb") as f:
        f.truncate(3 << 20)
        f.seek(5 << 20)
        f.write(b"end")
    open(os.path.join(where, "empty"), "w").close()
    os.symlink("sub/n1.txt", os.path.join(where, "to"))
    os.symlink("/no/where", os.path.join(where, "dangling"))
    os.link(os.path.join(where, "sub/n2.txt"), os.path.join(where, "second"))
    os.chmod(os.path.join(where, "sub/n3.txt"), 0o750)
    os.chmod(os.path.join(where, "sub"), 0o2775)
    for at, directories, files in os.walk(where, topdown=False):
        for name in files + directories:
            os.utime(os.path.join(at, name), ns=(10**18 + 1, 10**18 + 123456789), follow_symlinks=False)


def times(root):
    return {os.path.relpath(os.path.join(at, n), root): os.lstat(os.path.join(at, n)).st_mtime_ns
            for at, directories, files in os.walk(root) for n in files + directories}


def same_trees(a, b, with_times=False):
    found = differences(tree(a), tree(b))
    if with_times:
        found += differences(times(a), times(b))
    assert not found, "\n".join(found)


def on_mounts(use, *transports, **cluster):
    """use(c, mounted, local, again): by each transport; again() unmounts and mounts."""
    require_mount()
    os.umask(0o022)
    with Cluster(**cluster) as c:
        for transport in transports or TRANSPORTS:
            local = tempfile.mkdtemp(prefix="skua-local-")
            c.mount(*TRANSPORTS[transport])
            ours = os.path.join(c.mounted, transport)
            os.mkdir(ours)

            def again():
                c.unmount()
                c.mount(*TRANSPORTS[transport])
            try:
                use(c, ours, local, again)
            finally:
                c.unmount()
                shutil.rmtree(local, ignore_errors=True)


@promise
def cp_and_rsync_and_tar_bring_everything_over():
    need("rsync")

    def use(c, ours, local, again):
        sources(f"{local}/tree")
        run("cp", "-a", f"{local}/tree", f"{ours}/cp")
        run("rsync", "-aH", f"{local}/tree/", f"{ours}/rsync")
        run("tar", "--format=posix", "-cf", f"{ours}/tree.tar", "-C", local, "tree")
        run("tar", "xf", f"{ours}/tree.tar", "-C", ours)
        for copy in ("cp", "rsync", "tree"):
            same_trees(f"{ours}/{copy}", f"{local}/tree", with_times=True)
        assert not run("rsync", "-aHi", "--checksum", f"{local}/tree/", f"{ours}/rsync").stdout, "rsync sees changes"
        again()
        for copy in ("cp", "rsync", "tree"):
            same_trees(f"{ours}/{copy}", f"{local}/tree", with_times=True)
        run("cp", "-a", f"{ours}/cp", f"{local}/back")
        same_trees(f"{local}/back", f"{local}/tree", with_times=True)
        with open(f"{local}/tree/sub/n9.txt", "ab") as f:
            f.write(b"more")
        os.unlink(f"{local}/tree/sub/n8.txt")
        run("rsync", "-aH", "--delete", "--inplace", f"{local}/tree/", f"{ours}/rsync")
        same_trees(f"{ours}/rsync", f"{local}/tree")
        run("rm", "-rf", f"{ours}/cp", f"{ours}/rsync", f"{ours}/tree", f"{ours}/tree.tar")
        assert os.listdir(ours) == []
    on_mounts(use)


@promise
def git_clones_commits_and_finds_nothing_wrong():
    need("git")

    def git(where, *args):
        return run("git", "-c", "safe.directory=*", "-c", "user.name=t", "-c", "user.email=t@t", "-C", where, *args, timeout=300).stdout

    def use(c, ours, local, again):
        run("git", "-c", "safe.directory=*", "clone", "-q", "--no-hardlinks", ROOT, f"{ours}/clone", timeout=300)
        git(f"{ours}/clone", "fsck", "--full")
        assert git(f"{ours}/clone", "status", "--porcelain") == b""
        with open(f"{ours}/clone/new file", "w") as f:
            f.write("new\n")
        git(f"{ours}/clone", "add", "-A")
        git(f"{ours}/clone", "commit", "-qm", "new")
        git(f"{ours}/clone", "checkout", "-q", "HEAD~1")
        git(f"{ours}/clone", "checkout", "-q", "-")
        git(f"{ours}/clone", "gc", "-q")
        again()
        git(f"{ours}/clone", "fsck", "--full")
        assert git(f"{ours}/clone", "status", "--porcelain") == b""
        assert open(f"{ours}/clone/new file").read() == "new\n"
    on_mounts(use)


@promise
def a_c_project_is_built_and_runs():
    need("gcc", "make")

    def use(c, ours, local, again):
        os.mkdir(f"{ours}/p")
        for n in range(12):
            with open(f"{ours}/p/part{n}.c", "w") as f:
                f.write(f'#include "all.h"\nint part{n}(void) {{ return {n}; }}\n')
        with open(f"{ours}/p/all.h", "w") as f:
            f.write("".join(f"int part{n}(void);\n" for n in range(12)))
        with open(f"{ours}/p/main.c", "w") as f:
            f.write('#include <stdio.h>\n#include "all.h"\nint main(void) { printf("%d\\n", ' + "+".join(f"part{n}()" for n in range(12)) + "); return 0; }\n")
        with open(f"{ours}/p/Makefile", "w") as f:
            f.write("O := $(patsubst %.c,%.o,$(wildcard *.c))\nsum: lib.a main.o\n\tgcc -o $@ main.o lib.a\n"
                    "lib.a: $(filter part%,$(O))\n\tar rcs $@ $^\n%.o: %.c all.h\n\tgcc -O1 -g -c $< -o $@\n")
        run("make", "-j4", cwd=f"{ours}/p")
        assert run(f"{ours}/p/sum").stdout == b"66\n"
        assert b"up to date" in run("make", cwd=f"{ours}/p").stdout
        again()
        assert run(f"{ours}/p/sum").stdout == b"66\n"
        assert b"up to date" in run("make", cwd=f"{ours}/p").stdout
    on_mounts(use)


@promise
def sqlite_keeps_its_database_whole():
    need("sqlite3")

    def use(c, ours, local, again):
        for journal in ("delete", "truncate", "persist", "wal"):
            db = f"{ours}/{journal}.db"
            script = f"pragma journal_mode={journal}; create table t(a integer primary key, b text);"
            for batch in range(5):
                script += "begin;" + "".join(f"insert into t(b) values('{batch}-{n}' || hex(zeroblob({n % 300})));" for n in range(200)) + "commit;"
            script += "update t set b = b || 'x' where a % 7 = 0; delete from t where a % 11 = 0; create index i on t(b); vacuum;"
            run("sqlite3", db, input=script.encode(), timeout=300)
            run("sqlite3", db, input=b"begin; delete from t; rollback; insert into t(b) values('last');")
        again()
        for journal in ("delete", "truncate", "persist", "wal"):
            said = run("sqlite3", f"{ours}/{journal}.db", input=b"pragma integrity_check; select count(*), sum(length(b)) > 0 from t;").stdout.decode().split()
            assert said == ["ok", "911|1"], (journal, said)
    on_mounts(use)


@promise
def the_small_tools_do_their_work():
    def use(c, ours, local, again):
        script = r"""set -e; cd "$1"
mkdir -p x/y z; seq 1 20000 > x/seq; head -c 300000 /dev/zero | tr '\0' q > x/y/q; : > x/none
sha256sum x/seq x/y/q x/none > sums; sha256sum -c --quiet sums
mv x/y z/y; mv x/seq z/; test ! -e x/y; test "$(tail -1 z/seq)" = 20000
ln z/seq z/hard; ln -s seq z/soft; test "$(stat -c %h z/seq)" = 2; cmp z/hard z/soft
chmod 640 z/seq; touch -d '2001-02-03 04:05:06 UTC' z/seq; stat -c '%a %Y' z/hard
sed -i s/20000/end/ z/seq; tail -1 z/seq; tail -1 z/hard
echo one > log; echo two >> log; (echo three; echo four) >> log; cat log
dd if=/dev/zero of=dd bs=64k count=40 conv=fsync status=none; dd if=z/hard of=dd bs=1000 seek=3 conv=notrunc status=none; sha256sum dd
truncate -s 100 dd; truncate -s 5000 dd; sha256sum dd
sort -r z/hard | split -l 5000 - part.; cat part.* | sha256sum; cp --sparse=always dd dd2; cmp dd dd2
for i in 1 2 3 4 5 6 7 8; do (for j in 1 2 3 4 5 6 7 8 9 10; do echo $i $j > z/c.$i.$j; done) & done; wait
find . -type f | sort | xargs stat -c '%n %s %h %a'; find . -name 'c.*' -delete; find . | sort
mkfifo fifo; (echo through > fifo &); cat fifo; rm -rf x z part.*; ls
"""
        done = [run("bash", "-c", script, "x", where).stdout for where in (ours, local)]
        assert done[0] == done[1], b"\n".join(a + b" / " + b for a, b in zip(done[0].split(b"\n"), done[1].split(b"\n")) if a != b)[:1500].decode()
        again()
        same_trees(ours, local)
    on_mounts(use)


if __name__ == "__main__":
    main()
