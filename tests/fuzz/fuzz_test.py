#!/usr/bin/env python3
"""Every decoder under libFuzzer for a few seconds (SKUA_LONG: ten minutes each): no crash, no hang, no huge allocation."""
import concurrent.futures, glob, os, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import LONG, ROOT, main, promise

targets = sorted(glob.glob(os.path.join(ROOT, "build/fuzz/tests/fuzz/*_fuzz")))
seconds = 600 if LONG else max(4, 80 // max(1, len(targets)))  # others run beside them


def fuzz(target):
    with tempfile.TemporaryDirectory(prefix="skua-fuzz-") as scratch:
        kept = os.path.join(ROOT, "tests/fuzz/corpus", os.path.basename(target))
        corpora = [os.path.join(scratch, "new")] + ([kept] if os.path.isdir(kept) else [])
        os.mkdir(corpora[0])
        done = subprocess.run([target, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=1024", "-max_len=8192", "-print_final_stats=1",
                               f"-artifact_prefix={scratch}/", *corpora], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                              timeout=seconds + 120)
        if done.returncode != 0:
            for path in glob.glob(os.path.join(scratch, "crash-*")) + glob.glob(os.path.join(scratch, "timeout-*")) + glob.glob(os.path.join(scratch, "oom-*")):
                print("input:", open(path, "rb").read().hex())
            raise AssertionError(done.stdout[-3000:])


pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())  # each target has a processor of its own
running = {target: pool.submit(fuzz, target) for target in targets}
for target in targets:
    def check(target=target):
        running[target].result()
    check.__name__ = os.path.basename(target) + "_finds_nothing"
    promise(check)

main()
