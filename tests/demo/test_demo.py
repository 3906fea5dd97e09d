"""`submeter demo` as a user runs it: it comes up, shows its page, survives kills of its parts, ends
cleanly and leaves nothing behind.
"""

import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import psutil
import pytest

from gateway.demo.show.worker import Worker, free_port

PATIENCE = 100


def start(directory, *arguments):
    command = [sys.executable, "-m", "gateway", "demo", "--directory", str(directory), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def lines_until(process, pattern):
    """The lines up to the one that matches, and the match."""
    seen = []
    deadline = time.monotonic() + PATIENCE
    for line in process.stdout:
        seen.append(line)
        if match := re.search(pattern, line):
            return seen, match
        assert time.monotonic() < deadline, "".join(seen)
    pytest.fail(f"ended with {process.wait()}:\n{''.join(seen)}")


def family(process):
    return psutil.Process(process.pid).children(recursive=True)


def wait_until_gone(processes):
    gone, left = psutil.wait_procs(processes, timeout=60)
    assert not left, left
    return gone


@pytest.fixture
def demo(tmp_path):
    started = []

    def run():
        started.append(start(tmp_path))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def end(process):
    """Ctrl-C: everything must go by itself, within seconds."""
    children = family(process)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    wait_until_gone(children)
    assert "were killed" not in process.stdout.read()


def test_the_demo_comes_up_mends_itself_and_ends_cleanly_twice_in_a_row(demo):
    first = demo()
    seen, page = lines_until(first, r"the page: (\S+)")
    assert any("serial lines at 9600 baud" in line for line in seen)
    _, pids = lines_until(first, r"gateway: PID (\d+)")
    programs = [
        one for one in psutil.Process(first.pid).children() if "-m gateway" in " ".join(one.cmdline())
    ]
    assert len(programs) == 4, "beside them Python has a helper of its own"
    lines_until(
        first,
        r"taken \d+ · delivered [1-9]\d* · missing at the platform 0 · waiting \d+ .*\(readings: [1-9]",
    )
    with urllib.request.urlopen(page[1], timeout=10) as response:
        assert response.status == 200
        assert b"Demo Belediye" in response.read()
    psutil.Process(int(pids[1])).kill()
    lines_until(first, r"the gateway was killed by signal 9; started again as PID \d+")
    _, before = lines_until(first, r"taken (\d+) · delivered [1-9]\d* · missing at the platform 0")
    end(first)
    second = demo()
    _, after = lines_until(second, r"taken (\d+) · delivered [1-9]\d* · missing at the platform 0")
    assert int(after[1]) >= int(before[1])
    end(second)


@pytest.mark.parametrize("moment", ["starting", "the page: "])
def test_nothing_outlives_a_demo_that_is_killed(demo, moment):
    process = demo()
    lines_until(process, moment)
    children = family(process)
    process.kill()
    wait_until_gone(children)


def test_a_port_that_is_taken_is_not_taken_again():
    first = free_port("127.0.0.1")
    with socket.create_server(("127.0.0.1", first)):
        assert free_port("127.0.0.1", first) > first


def test_a_worker_tells_how_it_ended(tmp_path):
    worker = Worker("snake", ["-c", "import sys; print('hiss', flush=True); sys.exit(3)"], tmp_path / "log")
    worker.start()
    deadline = time.monotonic() + 20
    while worker.running and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (worker.code, worker.tail()) == (3, "hiss")
    stubborn = Worker(
        "stubborn",
        [
            "-c",
            "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
        ],
        tmp_path / "log2",
    )
    stubborn.start()
    while stubborn.tail() != "up" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert stubborn.stop(0.3) is False
    assert not stubborn.running
