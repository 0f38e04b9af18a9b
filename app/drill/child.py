"""`python -m app.drill.child MODULE ARGUMENTS`: run it, and die with the one who started us.

Says its process number first: in a virtual environment on Windows the process that was started is
not the one that works.
"""

import os
import runpy
import sys
import threading


def main(arguments: list[str]) -> None:
    """What `python -m MODULE ARGUMENTS` does, for as long as standard input stays open."""
    sys.stdout.write(f"{os.getpid()}\n")
    sys.stdout.flush()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.argv = arguments
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


def _end_with_parent() -> None:
    while os.read(0, 1024):  # nothing comes; it returns when the other end is closed
        pass
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
