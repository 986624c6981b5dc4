"""Runs an operator's program for each line of stdin: `python -m zdb.serve.hookrunner PROGRAM S`.

A line is a JSON object with `call`, a number, and `words`, the arguments. For each call a line
goes to stdout when it runs and when it has ended. A call that takes longer than S seconds is
killed, with all that it has started.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

TOGETHER = 8  # calls that run at a time


class Runner:
    """Runs calls, each in a thread of its own."""

    def __init__(self, program: str, timeout_s: float) -> None:
        self.program = program
        self.timeout_s = timeout_s
        self.places = threading.Semaphore(TOGETHER)

    def run(self, call: int, words: list[str]) -> None:
        """Run the program to its end."""
        try:
            with subprocess.Popen(
                [self.program, *words],
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr.fileno(),
                start_new_session=True,
            ) as child:
                tell(call=call, pid=child.pid)
                error = self.wait(child)
                status = child.returncode if child.returncode >= 0 else 128 - child.returncode
                ended = {"status": status, "finished": int(time.time()), "error": error}
                tell(call=call, pid=child.pid, **ended)
        except OSError as error:
            text = error.strerror or str(error)
            tell(call=call, pid=0, status=1, finished=int(time.time()), error=text)
        finally:
            self.places.release()

    def wait(self, child: subprocess.Popen[bytes]) -> str:
        """Wait for a program; return what went wrong."""
        try:
            child.wait(self.timeout_s)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            return f"killed after {self.timeout_s:g} s"
        return ""


def tell(**fields: object) -> None:
    """Report about a call; nobody may be listening any more."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(fields).encode() + b"\n")


def main() -> None:
    """Run all calls; return when stdin has ended and the last of them, too."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    runner = Runner(sys.argv[1], float(sys.argv[2]))
    for line in sys.stdin:
        seen = json.loads(line)
        runner.places.acquire()
        threading.Thread(target=runner.run, args=(seen["call"], seen["words"])).start()


if __name__ == "__main__":
    main()
