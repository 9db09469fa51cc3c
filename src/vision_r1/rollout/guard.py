"""Runs a command and ends it, children and all, when standard input closes; a script, not a module.

Standard input is a pipe from whoever started it, so the command does not outlive that process, not
even when it is killed without warning.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

GRACE = 10.0  # seconds between asking and killing


def _end(group: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)
            if number == signal.SIGTERM:
                _wait_for(group)


def _wait_for(group: int) -> None:
    """Until the group is gone (ProcessLookupError) or its time is up."""
    end = time.monotonic() + GRACE
    while time.monotonic() < end:
        os.killpg(group, 0)
        time.sleep(0.1)


def main() -> int:
    """Run the command that the arguments name."""
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)

    def watch() -> None:
        while os.read(0, 1024):
            pass
        _end(child.pid)

    threading.Thread(target=watch, daemon=True).start()
    code = child.wait()
    _end(child.pid)  # what the command left behind
    return code if code >= 0 else 1


if __name__ == "__main__":
    sys.exit(main())
