"""SIGKILL in the middle of a construction: only what was in flight is asked again, and the bytes agree.

What was in flight is what the server says that it had not answered. An answer that it had written, but that
the client had not read when it died, is in flight too: such ones are among the last.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
import yaml

from faulty_server import FaultyServer
from served_teachers import script, settings, write_problems

IN_FLIGHT = 2 * 16  # both teachers
SETTLED = 0.6  # seconds in which a client has read and written down what it was sent


class WatchedServer(FaultyServer):
    """Knows what it has not answered, and may fall silent.

    Attributes:
        unanswered: requests under way, by their place in `bodies`.
        answers: places of the requests answered, in that order.
        silent_after: answers nothing more once it was asked so often; None to answer always.
    """

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.unanswered, self.answers, self.silent_after = {}, [], None

    async def _answer(self, request, prompt, answer):
        place = len(self.bodies) - 1  # nothing is awaited between its entry and this
        self.unanswered[place] = self.bodies[place]
        try:
            while self.silent:
                await asyncio.sleep(0.005)
            response = await super()._answer(request, prompt, answer)
            self.answers.append(place)
            return response
        finally:
            del self.unanswered[place]

    @property
    def silent(self):
        return self.silent_after is not None and len(self.bodies) >= self.silent_after


def command(config, out, *more):
    return [sys.executable, "-m", "vision_r1", "construct", str(config), "--out", str(out), *more]


def finish(config, out):
    done = subprocess.run(command(config, out), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done


def written(out):
    """Rows, data set and images, byte for byte."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for folder in ("rows", "data", "images")
        for path in sorted((out / folder).rglob("*"))
        if path.is_file()
    }


def run_whole(folder, server, n, **changes):
    table = write_problems(folder / "problems", n)
    config = folder / "construction.yaml"
    config.write_text(yaml.safe_dump(settings(server.url, table, **changes)), encoding="utf-8")
    finish(config, folder / "whole")
    return server, config, folder


@pytest.fixture
def running(tmp_path):
    with WatchedServer(script(delay=0.02)) as server:
        yield run_whole(tmp_path, server, 150)


def plain(bodies):
    return Counter(json.dumps(body, sort_keys=True) for body in bodies)


def asked(server, since):
    return plain(server.bodies[since:])


def start(config, out):
    return subprocess.Popen(command(config, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for(process, reached):
    deadline = time.monotonic() + 60
    while not reached() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)


def kill(process, server):
    """What was unanswered at that moment, and how many answers there had been."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    left, done = plain(list(server.unanswered.values())), len(server.answers)
    server.silent_after = None
    # What was under way is answered into the void.
    while server.now:
        time.sleep(0.01)
    return left, done


def check_continued(running, out, since, allowed, what):
    """The same command goes on: nothing is asked twice but what is allowed, and the bytes are the whole's."""
    server, config, folder = running
    finish(config, out)
    counts = asked(server, since)
    repeated = counts - plain([json.loads(body) for body in counts])
    assert repeated <= allowed, f"{what}: asked again although it was answered: {repeated - allowed}"
    assert counts.keys() == asked(server, 0).keys()
    assert written(out) == written(folder / "whole")
    return repeated


def try_moment(running, moment, out):
    """Kill at a moment of the server's, wherever the client is just then."""
    server, config, _ = running
    since, process = len(server.bodies), start(config, out)
    wait_for(process, lambda: len(server.bodies) - since >= moment)
    left, done = kill(process, server)
    # An answer that the client has not put on file yet may be older than many others: a slow step of one.
    answered = plain([server.bodies[place] for place in server.answers[:done]])
    repeated = check_continued(running, out, since, left | answered, f"killed at request {moment}")
    assert repeated.total() <= IN_FLIGHT


def try_silence(running, moment, out):
    """Kill while the server is silent: what it has answered is long written down."""
    server, config, _ = running
    since, process = len(server.bodies), start(config, out)
    server.silent_after = since + moment
    wait_for(process, lambda: server.silent)
    time.sleep(SETTLED)
    left, _ = kill(process, server)
    assert 0 < left.total() <= IN_FLIGHT
    repeated = check_continued(running, out, since, left, f"killed in silence after {moment} requests")
    assert repeated == left, "what was in flight is asked again"


def test_killed_at_three_moments(running):
    total = len(running[0].bodies)
    for moment in (3, total // 2, total - 5):
        try_moment(running, moment, running[2] / f"killed{moment}")


def test_only_what_the_server_had_not_answered_is_asked_again(running):
    total = len(running[0].bodies)
    for moment in (total // 3, total - 2):
        try_silence(running, moment, running[2] / f"silent{moment}")


def test_killed_with_several_samples_and_controls(tmp_path):
    with WatchedServer(script(delay=0.02)) as server:
        running = run_whole(tmp_path, server, 40, samples=3, keep="all_right", controls_n=10)
        total = len(server.bodies)
        assert total > 5 * 40
        try_moment(running, total // 2, tmp_path / "half")
        # Late enough to be among the controls, which come last.
        try_silence(running, total - 10, tmp_path / "late")


@pytest.mark.slow
def test_killed_at_twenty_random_moments(running):
    total = len(running[0].bodies)
    rng = random.Random(int(os.environ.get("VISION_R1_SEED", "20")))
    for turn in range(20):
        try_moment(running, rng.randrange(1, total), running[2] / f"killed{turn}")


def test_killed_while_the_rows_are_written(running):
    server, config, folder = running
    total, out = len(server.bodies), folder / "late"
    process = start(config, out)
    wait_for(process, lambda: len(server.bodies) == 2 * total and not server.now)
    assert process.poll() is None
    time.sleep(0.05)
    left, done = kill(process, server)
    last = plain([server.bodies[place] for place in server.answers[done - IN_FLIGHT : done]])
    assert not left
    check_continued(running, out, total, last, "killed while the rows were written")


def test_a_second_process_on_the_same_folder_is_refused(running):
    server, config, folder = running
    since, out = len(server.bodies), folder / "both"
    server.script = script(delay=1.0)
    first = subprocess.Popen(command(config, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(server.bodies) - since < 10:
        assert first.poll() is None
        time.sleep(0.002)
    second = subprocess.run(command(config, out), capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 2 and "another process is working with this request log" in second.stderr
    server.script = script()
    assert "Traceback" not in second.stderr and first.wait(60) == 0
    assert written(out) == written(folder / "whole") and max(asked(server, since).values()) == 1


def test_ctrl_c_finishes_what_is_in_flight_and_says_how_to_go_on(running):
    server, config, folder = running
    since, out = len(server.bodies), folder / "stopped"
    process = subprocess.Popen(
        command(config, out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while len(server.bodies) - since < 60:
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "run the same command" in said and "Traceback" not in said
    finish(config, out)
    counts = asked(server, since)
    assert max(counts.values()) == 1, "a request was asked twice"
    assert written(out) == written(folder / "whole")
