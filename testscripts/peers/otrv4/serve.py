#!/usr/bin/env python3
"""Runs commands of offline.py in one process: starting Python for each costs more than most
of them take.

Each line of standard input is a JSON object: "args", the arguments of offline.py, and
"input", its standard input. The line of standard output that answers it has "status",
"stdout" and "stderr".
"""
import io
import json
import os
import sys
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import offline  # noqa: E402


def run(args, text):
    real = sys.argv, sys.stdin, sys.stdout, sys.stderr
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding='utf-8') for _ in range(2))
    sys.argv, sys.stdout, sys.stderr = ['offline.py'] + args, out, err
    sys.stdin = io.TextIOWrapper(io.BytesIO(text.encode()), encoding='utf-8')
    status = 0
    try:
        offline.main()
    except SystemExit as e:
        status = e.code or 0
    except Exception:
        traceback.print_exc()
        status = 1
    finally:
        sys.argv, sys.stdin, sys.stdout, sys.stderr = real
    out.flush()
    err.flush()
    return {'status': status, 'stdout': out.buffer.getvalue().decode(), 'stderr': err.buffer.getvalue().decode()}


for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps(run(request['args'], request['input'])), flush=True)
