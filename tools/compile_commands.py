#!/usr/bin/env python3
"""Prints compile_commands.json for every source that git knows (or would know)."""
import json, os, subprocess, sys

command = sys.argv[1]
files = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.cc"], capture_output=True, text=True).stdout.split()
json.dump([{"directory": os.getcwd(), "file": f, "command": f"{command} -c {f}"} for f in sorted(files)], sys.stdout, indent=1)
