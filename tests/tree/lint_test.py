#!/usr/bin/env python3
"""The tree keeps its own rules: arrows between folders, co_await, sizes; docs name what exists."""
import os, re, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import ROOT, main, promise


@promise
def arrows_between_folders_go_one_way_and_co_await_stands_alone():
    done = subprocess.run([sys.executable, os.path.join(ROOT, "tests/lint.py")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def markdown():
    out = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True)
    return [f for f in out.stdout.split() if os.path.exists(os.path.join(ROOT, f))]


@promise
def every_function_that_docs_name_exists():
    bad = []
    for page in markdown():
        for path, name in re.findall(r"`([\w./-]+\.(?:cc|h|py|sh|mk)):([\w:~]+)`", open(os.path.join(ROOT, page)).read()):
            full = os.path.join(ROOT, path)
            if not os.path.exists(full):
                bad.append(f"{page}: {path} is not there")
            elif not re.search(r"\b" + re.escape(name.split("::")[-1]) + r"\b", open(full, errors="replace").read()):
                bad.append(f"{page}: {path} has no {name}")
    assert not bad, "\n".join(bad)


@promise
def every_file_that_docs_link_exists():
    bad = []
    for page in markdown():
        for target in re.findall(r"\]\(([^)#\s]+)", open(os.path.join(ROOT, page)).read()):
            if "://" not in target and not os.path.exists(os.path.join(ROOT, os.path.dirname(page), target)):
                bad.append(f"{page}: {target}")
    assert not bad, "\n".join(bad)


main()
