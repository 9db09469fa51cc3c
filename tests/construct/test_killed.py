"""SIGKILL in the middle of a construction: only what was in flight is asked again, and the bytes agree."""

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


def command(config, out, *more):
    return [sys.executable, "-m", "vision_r1", "construct", str(config), "--out", str(out), *more]


def finish(config, out):
    done = subprocess.run(command(config, out), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done


def rows_of(out):
    return {path.name: path.read_bytes() for path in sorted((out / "rows").iterdir())}


@pytest.fixture
def running(tmp_path):
    table = write_problems(tmp_path / "problems", 150)
    with FaultyServer(script(delay=0.02)) as server:
        config = tmp_path / "construction.yaml"
        config.write_text(yaml.safe_dump(settings(server.url, table)), encoding="utf-8")
        finish(config, tmp_path / "whole")
        yield server, config, tmp_path


def asked(server, since):
    return Counter(json.dumps(body, sort_keys=True) for body in server.bodies[since:])


def kill_at(server, config, out, wanted, since):
    """Start a construction and kill it when the server has been asked `wanted` times."""
    process = subprocess.Popen(command(config, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(server.bodies) - since < wanted and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    # What was under way is answered into the void.
    while server.now:
        time.sleep(0.01)


def try_moments(running, moments):
    server, config, folder = running
    whole = rows_of(folder / "whole")
    total = len(server.bodies)
    for turn, moment in enumerate(moments):
        since, out = len(server.bodies), folder / f"killed{turn}"
        kill_at(server, config, out, moment, since)
        finish(config, out)
        counts = asked(server, since)
        repeated = sum(counts.values()) - len(counts)
        assert repeated <= IN_FLIGHT, f"killed at request {moment}: {repeated} repeated"
        assert len(counts) == total
        assert rows_of(out) == whole


def test_killed_at_three_moments(running):
    total = len(running[0].bodies)
    try_moments(running, [3, total // 2, total - 5])


@pytest.mark.slow
def test_killed_at_twenty_random_moments(running):
    total = len(running[0].bodies)
    rng = random.Random(int(os.environ.get("VISION_R1_SEED", "20")))
    try_moments(running, [rng.randrange(1, total) for _ in range(20)])


def test_killed_while_the_rows_are_written(running):
    server, config, folder = running
    whole, since, out = rows_of(folder / "whole"), len(server.bodies), folder / "late"
    process = subprocess.Popen(command(config, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    total = since
    while len(server.bodies) - since < total or server.now:
        assert process.poll() is None
        time.sleep(0.005)
    time.sleep(0.05)
    process.kill()
    process.wait()
    finish(config, out)
    assert rows_of(out) == whole and len(server.bodies) - since <= total + IN_FLIGHT


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
    assert rows_of(out) == rows_of(folder / "whole") and max(asked(server, since).values()) == 1


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
    assert rows_of(out) == rows_of(folder / "whole")
