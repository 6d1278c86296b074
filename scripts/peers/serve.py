"""The line protocol that `bench-peers` speaks with everything it measures, for the contestants written in Python.

A request is one line of JSON, {"op": ..., "params": {...}, "seconds": s}. The answer is one line, {"us": microseconds
of one operation, "n": operations timed}, or {"error": ...}; an answer may tell the "bits" of a lattice scheme's moduli and, in
a "note", what its time has or has not in it. The workload of an (op, params) is made at its first request and kept until
another one is asked for.
"""

import itertools
import json
import os
import sys
import time
from dataclasses import dataclass
from typing import Any, Callable

# The clock is read once per so many seconds, so that reading it costs nothing beside what is timed.
CHUNK_SECONDS = 0.001


class Unsupported(Exception):
    """This contestant does not do the operation, does it wrong, or does not run here."""


@dataclass
class Work:
    """What one request times."""

    call: Callable[[], object]
    # Operations in one call.
    operations: int = 1
    # What one operation of the request costs in operations of `call`: 1 unless only a part is run.
    scale: float = 1.0
    # What must live as long as the call, such as buffers behind pointers.
    keep: object = None
    # Bits of Q and of the special primes, for the lattice schemes.
    bits: list[int] | None = None
    # What a reader must know to compare the time with others'.
    note: str = ""

    def remarks(self) -> dict[str, Any]:
        """What goes with every answer."""
        return ({"bits": self.bits} if self.bits else {}) | ({"note": self.note} if self.note else {})


def each(function: Callable[..., object], items: list[tuple]) -> Callable[[], object]:
    """A call that applies `function` to the next of the items, over and over."""
    following = itertools.cycle(items)
    return lambda: function(*next(following))


def chunk_of(call: Callable[[], object]) -> int:
    """How many calls fill `CHUNK_SECONDS`; the first call of all is not counted, as it may fill caches."""
    call()
    started = time.perf_counter()
    call()
    return max(1, int(CHUNK_SECONDS / max(time.perf_counter() - started, 1e-7)))


def sample(work: Work, chunk: int, seconds: float) -> dict[str, Any]:
    """Calls for at least `seconds`."""
    calls = 0
    started = time.perf_counter()
    while True:
        for _ in range(chunk):
            work.call()
        calls += chunk
        elapsed = time.perf_counter() - started
        if elapsed >= seconds:
            return {"us": elapsed * 1e6 / (calls * work.operations) * work.scale, "n": calls * work.operations}


def serve(prepare: Callable[[str, dict], Work]) -> None:
    """Answers requests until stdin ends; `prepare` makes the workload or raises `Unsupported`."""
    # Some libraries log to stdout: keep the real one for answers and send everything else to stderr.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    # One workload at most: keys of the lattice schemes fill hundreds of MiB.
    ready: dict[str, tuple[Work, int]] = {}
    for line in sys.stdin:
        try:
            request = json.loads(line)
            key = json.dumps([request["op"], request["params"]], sort_keys=True)
            if key not in ready:
                ready.clear()
                work = prepare(request["op"], request["params"])
                ready[key] = work, chunk_of(work.call)
            answer = sample(*ready[key], request["seconds"]) | ready[key][0].remarks()
        # A contestant that fails loses a row; the others go on.
        except Exception as error:  # noqa: BLE001
            last = str(error).strip().rpartition("\n")[2]
            answer = {"error": last if isinstance(error, Unsupported) else f"{type(error).__name__}: {last}"}
        print(json.dumps(answer), file=answers, flush=True)
