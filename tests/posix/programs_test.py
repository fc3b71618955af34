#!/usr/bin/env python3
"""Programs that people use work on a mount: cp, tar, rsync, git, gcc, sqlite3, find, mv, rm and what they rely on."""
import os, shutil, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Cluster, ROOT, Skip, main, promise, require_mount, run

cluster = None


def mount():
    """One cluster for all of this file."""
    global cluster
    require_mount()
    if cluster is None:
        cluster = Cluster()
        cluster.mount()
    return cluster.mounted


def fresh(name):
    path = os.path.join(mount(), name)
    os.mkdir(path)
    return path


def sh(script, cwd=None):
    return run("bash", "-euo", "pipefail", "-c", script, cwd=cwd, timeout=300).stdout.decode()


def needs(program):
    if not shutil.which(program):
        raise Skip(f"no {program} here")


def some_tree(path):
    """A few hundred files, folders, links, modes and times."""
    os.makedirs(path)
    for i in range(10):
        os.makedirs(f"{path}/d{i}/sub")
        for j in range(15):
            with open(f"{path}/d{i}/f{j}", "wb") as f:
                f.write(os.urandom((i * 15 + j) ** 2 * 7))
        os.symlink(f"../d{i}/f3", f"{path}/d{i}/sub/link")
        os.link(f"{path}/d{i}/f4", f"{path}/d{i}/sub/hard")
        os.chmod(f"{path}/d{i}/f5", 0o755)
        os.utime(f"{path}/d{i}/f6", ns=(10**18 + i, 10**18 + 2 * i))
    open(f"{path}/empty", "w").close()
    with open(f"{path}/sparse", "wb") as f:
        f.seek(5 << 20)
        f.write(b"end")


@promise
def cp_a_keeps_everything():
    d = fresh("cp")
    scratch = tempfile.mkdtemp(prefix="skua-cp-")
    src = os.path.join(scratch, "tree")
    try:
        some_tree(src)
        sh(f"cp -a {src} {d}/copy && diff -r --no-dereference {src} {d}/copy")
        listing = "find . -printf '%p %y %m %U %G %s %T@ %l\\n' | sed -E 's/ d ([0-9]+ [0-9]+ [0-9]+) [0-9]+ / d \\1 0 /' | sort"
        assert sh(listing, cwd=src) == sh(listing, cwd=f"{d}/copy")
        sh(f"cp -a {d}/copy {d}/again && diff -r --no-dereference {d}/copy {d}/again")
    finally:
        shutil.rmtree(scratch)


@promise
def rsync_copies_and_then_finds_nothing_to_do():
    needs("rsync")
    d = fresh("rsync")
    some_tree(f"{d}/src")
    sh(f"rsync -aH {d}/src/ {d}/dst/ && diff -r --no-dereference {d}/src {d}/dst")
    again = sh(f"rsync -aH --itemize-changes {d}/src/ {d}/dst/")
    assert again == "", again
    sh(f"echo more >> {d}/src/d1/f1 && rm {d}/src/d2/f2 && rsync -aH --delete --inplace {d}/src/ {d}/dst/ && diff -r --no-dereference {d}/src {d}/dst")


@promise
def tar_gives_back_what_it_took():
    d = fresh("tar")
    some_tree(f"{d}/src")
    sh(f"cd {d} && tar cf all.tar src && mkdir out && tar xf all.tar -C out && diff -r --no-dereference src out/src && tar df all.tar")


@promise
def git_clones_commits_packs_and_checks():
    needs("git")
    d = fresh("git")
    sh(f"""
        git clone -q --no-hardlinks {ROOT} {d}/clone
        cd {d}/clone
        git fsck --strict
        test -z "$(git status --porcelain)"
        git -c user.name=x -c user.email=x@y commit -q --allow-empty -m 'nothing'
        echo change >> README.md && git -c user.name=x -c user.email=x@y commit -qam 'change'
        git checkout -q -b other HEAD~1 && git checkout -q - && git gc -q && git fsck
        git clone -q . ../second && test "$(git -C ../second log --oneline | wc -l)" -gt 1
    """)


@promise
def gcc_builds_a_library_and_a_program():
    needs("gcc")
    d = fresh("gcc")
    sh("""
        for i in 1 2 3 4 5; do echo "int f$i(int x) { return x + $i; }" > f$i.c; done
        echo 'int f1(int), f5(int); int main(void) { return f1(f5(36)) == 42 ? 0 : 1; }' > main.c
        printf 'all: p\\n%%.o: %%.c\\n\\tgcc -g -O2 -c $< -o $@\\nlib.a: f1.o f2.o f3.o f4.o f5.o\\n\\tar rcs $@ $^\\np: main.o lib.a\\n\\tgcc -o $@ $^\\n' > Makefile
        make -s -j4 && ./p && make -s -q && touch f3.c && ! make -s -q && make -s && ./p
    """, cwd=d)


@promise
def sqlite_keeps_its_database_whole():
    needs("sqlite3")
    d = fresh("sqlite")
    sh(f"""
        sqlite3 {d}/a.db 'create table t(id integer primary key, v text); begin;' 'select 1;' > /dev/null
        for i in $(seq 30); do sqlite3 {d}/a.db "insert into t(v) values (hex(randomblob(2000)))"; done
        sqlite3 {d}/a.db "begin; with recursive c(n) as (select 1 union all select n+1 from c where n<5000) insert into t(v) select hex(randomblob(50)) from c; commit;"
        sqlite3 {d}/a.db "delete from t where id % 3 = 0; vacuum;"
        test "$(sqlite3 {d}/a.db 'pragma integrity_check')" = ok
        sqlite3 {d}/w.db 'pragma journal_mode=truncate; create table t(v); insert into t values (1); insert into t values (2);' > /dev/null
        sqlite3 {d}/w.db 'pragma journal_mode=persist; insert into t values (3);' > /dev/null
        test "$(sqlite3 {d}/w.db 'select count(*) from t; pragma integrity_check' | tr '\\n' ' ')" = '3 ok '
    """)


@promise
def checksums_hold_after_a_remount():
    d = fresh("sums")
    sh("for i in $(seq 40); do head -c $((i * i * 3001)) /dev/urandom > f$i; done; sha256sum f* > sums; sha256sum --quiet -c sums", cwd=d)
    cluster.unmount()
    cluster.mount()
    sh("sha256sum --quiet -c sums", cwd=d)


@promise
def find_mv_ln_touch_and_rm_do_what_they_say():
    d = fresh("tools")
    some_tree(f"{d}/t")
    sh(f"""
        cd {d}
        test "$(find t -type f | wc -l)" = 162
        test "$(find t -type l | wc -l)" = 10
        test "$(find t -links 2 -type f | wc -l)" = 20
        mkdir other && mv t/d1 other/ && test -e other/d1/f1 && test ! -e t/d1
        mv t/d2/f1 other/moved && mv other/moved t/d2/f1
        ln t/d2/f1 hard && test "$(stat -c %h hard)" = 2 && echo x >> hard && cmp hard t/d2/f1
        ln -s t/d2/f1 soft && cmp soft hard && test "$(readlink soft)" = t/d2/f1
        touch -d '2001-02-03 04:05:06.5 UTC' hard && test "$(stat -c %Y t/d2/f1)" = 981173106
        chmod 4711 hard && test "$(stat -c %a t/d2/f1)" = 4711
        rm -rf t other && test ! -e t && test ! -e other
        ! cat soft 2> /dev/null
        mkfifo p && (echo through > p &) && test "$(cat p)" = through
        df . | grep -q skua
        dd if=/dev/zero of=z bs=64k count=16 conv=notrunc,fsync status=none && truncate -s 100 z && test "$(stat -c %s z)" = 100
    """)


@promise
def a_directory_of_5000_files_lists_and_goes():
    d = fresh("many")
    for i in range(5000):
        os.close(os.open(f"{d}/f{i}", os.O_CREAT | os.O_WRONLY))
    assert len(os.listdir(d)) == 5000
    assert sh(f"ls -l {d} | wc -l") == "5001\n"
    shutil.rmtree(d)
    assert not os.path.exists(d)


@promise
def programs_run_from_it():
    d = fresh("run")
    sh(f"cp /bin/ls {d}/ls && {d}/ls {d} | grep -qx ls && printf '#!/bin/sh\\necho script' > {d}/s && chmod +x {d}/s && test $({d}/s) = script")


@promise
def many_programs_at_once_do_not_disturb_each_other():
    d = fresh("busy")
    script = "for j in 1 2 3; do head -c 3000000 /dev/urandom > b$i; cp b$i c$i; cmp b$i c$i; mkdir -p x$i/y; mv c$i x$i/y/; rm -rf x$i; done"
    users = [subprocess.Popen(["bash", "-ec", f"i={i}; {script}"], cwd=d, stderr=subprocess.PIPE) for i in range(8)]
    for u in users:
        _, err = u.communicate(timeout=200)
        assert u.returncode == 0, err.decode()


if __name__ == "__main__":
    try:
        main()
    finally:
        if cluster:
            cluster.close()
