"""Processes beside this one for plain Python over many rows, which threads would not make faster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection

from vision_r1.core.errors import VisionR1Error
from vision_r1.grading.worker_pool import CAN_FORK


@contextmanager
def processes(count: int, work: str) -> Iterator[ProcessPoolExecutor]:
    """So many processes; what they have not begun is dropped at the end.

    Args:
        count: of processes.
        work: what they do, "judges rows", for the message.

    Raises:
        VisionR1Error: one of them died, for want of memory for instance.
    """
    context = multiprocessing.get_context("forkserver" if CAN_FORK else "spawn")
    pool = ProcessPoolExecutor(count, context, initializer=_serve)
    try:
        yield pool
    except BrokenProcessPool:
        fix = "most often memory ran out: close other programs"
        raise VisionR1Error(f"a process that {work} died", fix=fix) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _serve() -> None:
    """Begin a process: Ctrl-C is for the one that was started, and so is the end of all.

    A pool's process that waits for work does not notice that nobody is there any more to give it any, as
    its siblings hold the same pipe open.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
