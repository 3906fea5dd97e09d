"""The simulated slaves against pymodbus's own clients, over a pty and over TCP."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import serial
from hypothesis import given
from hypothesis import strategies as st
from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException

from gateway.demo.simulator.faults import SERIAL_KINDS, Fault, Faults
from gateway.demo.simulator.frames import crc16, rtu_frame, rtu_parts
from gateway.demo.simulator.process import SimulatorProcess, read_serves
from gateway.demo.simulator.serial_line import SerialLine
from gateway.demo.simulator.slave import OrdinalPlace, PatternImage, ServeLog, Slave, WordImage
from gateway.demo.simulator.tcp_server import Downstream, TcpPlant, TcpServer


def read_pdu(function, address, count):
    return bytes((function, address >> 8, address & 255, count >> 8, count & 255))


# --- the core
# -------------------------------------------------------------------------------------------------------


def test_crc_of_the_specification():
    assert crc16(bytes.fromhex("0207")) == bytes.fromhex("4112")  # Modbus over serial line V1.02, appendix B
    assert rtu_parts(bytes.fromhex("010300000001840a")) == (1, bytes.fromhex("0300000001"))


@given(st.binary(min_size=1, max_size=60), st.integers(0, 255), st.data())
def test_a_frame_with_one_wrong_byte_is_no_frame(pdu, unit, data):
    frame = rtu_frame(unit, pdu)
    assert rtu_parts(frame) == (unit, pdu)
    at = data.draw(st.integers(0, len(frame) - 1))
    assert (
        rtu_parts(frame[:at] + bytes((frame[at] ^ data.draw(st.integers(1, 255)),)) + frame[at + 1 :]) is None
    )


def test_a_slave_answers_and_refuses_as_the_specification_says():
    slave = Slave(1, WordImage({10: 0x1234, 11: lambda: 7}), limit=4)
    assert slave.respond(read_pdu(3, 10, 2)) == bytes.fromhex("030412340007")
    assert slave.respond(read_pdu(4, 11, 1)) == bytes.fromhex("04020007")
    assert slave.respond(read_pdu(6, 10, 1)) == b"\x86\x01"
    assert slave.respond(read_pdu(3, 10, 3)) == b"\x83\x02"
    assert slave.respond(read_pdu(3, 10, 5)) == b"\x83\x03"
    assert slave.respond(read_pdu(3, 10, 0)) == b"\x83\x03"
    assert slave.respond(b"\x03\x00") == b"\x83\x03"
    assert Slave(1, WordImage({0: lambda: 1 // 0})).respond(read_pdu(3, 0, 1)) == b"\x83\x04"


@given(st.binary(max_size=12))
def test_no_request_makes_a_slave_fall(pdu):
    response = Slave(1, PatternImage()).respond(pdu)
    assert len(response) >= 2


def test_the_ordinal_counts_whole_serves_and_the_log_tells_them():
    log = ServeLog(keep=True)
    slave = Slave(5, PatternImage(), name="hvac", stamp=OrdinalPlace(address=100), log=log)
    slave.respond(read_pdu(3, 0, 10))
    slave.respond(read_pdu(3, 99, 2))  # half of the stamp is no stamp
    slave.respond(read_pdu(3, 99, 3))
    assert slave.respond(read_pdu(3, 100, 2)) == bytes.fromhex("0304") + (2).to_bytes(4, "big")
    assert [entry["ordinal"] for entry in log.entries] == [None, None, 1, 2]
    last = log.entries[-1]
    assert (last["meter"], last["unit"], last["address"], last["count"], last["words"], last["fault"]) == (
        "hvac",
        5,
        100,
        2,
        [0, 2],
        "",
    )
    assert abs(last["t"] - time.clock_gettime(time.CLOCK_BOOTTIME) * 1000) < 60_000


def test_the_log_file_holds_whole_lines_only(tmp_path):
    path = tmp_path / "serves.jsonl"
    log = ServeLog(path)
    Slave(1, PatternImage(), log=log).respond(read_pdu(3, 7, 2))
    log.close()
    with path.open("a") as file:
        file.write('{"half')
    assert [entry["words"] for entry in read_serves(path)] == [[7, 8]]


# --- the line
# -------------------------------------------------------------------------------------------------------


async def rtu_client(line, baudrate=9600):
    client = AsyncModbusSerialClient(
        line.port, framer=FramerType.RTU, baudrate=baudrate, timeout=10, retries=0
    )
    assert await client.connect()
    return client


async def test_pymodbus_reads_several_slaves_over_a_pty(tmp_path):
    with SerialLine([Slave(1, PatternImage()), Slave(2, PatternImage(1000))], path=tmp_path / "line") as line:
        client = await rtu_client(line)
        try:
            for unit, offset in ((1, 0), (2, 1000), (1, 0)):
                answer = await client.read_input_registers(20, count=30, device_id=unit)
                assert answer.registers == [20 + offset + index for index in range(30)]
                await asyncio.sleep(line.silence * 2)
            refused = await client.read_holding_registers(65535, count=2, device_id=1)
            assert refused.exception_code == 2
        finally:
            client.close()
        assert line.stats.strangers == line.stats.bad_frames == line.stats.dropped == 0


def talk(port, request, *, quiet=0.3, limit=20.0, first=3.0, size=None):
    """Write a request to a serial port; the bytes that come, and when each came.

    They end when it is quiet (s), or `size` bytes are there. The first one may take `first` s.
    """
    at = [time.monotonic()]
    port.write(request)
    answer = b""
    while time.monotonic() < at[0] + limit and (size is None or len(answer) < size):
        patience = limit if size is not None else quiet if answer else first
        ready, _, _ = select.select([port.fileno()], [], [], patience)
        if not ready:
            break
        answer += os.read(port.fileno(), 4096)
        at.append(time.monotonic())
    return answer, at


def test_an_answer_takes_as_long_as_the_wire_needs():
    with (
        SerialLine([Slave(1, PatternImage())], baudrate=9600, turnaround=0.02) as line,
        serial.Serial(line.port, 9600) as port,
    ):
        due = 8 * 10 / 9600 + 38.5 / 9600 + 0.02 + 125 * 10 / 9600
        spans, pieces = [due * 100], [0]
        for _ in range(30):  # a busy machine may be late for one of them, and not for all
            answer, at = talk(port, rtu_frame(1, read_pdu(3, 0, 60)), size=125)
            assert len(answer) == 125
            spans.append(at[-1] - at[0])
            pieces.append(len(at))
            if min(spans) < due * 1.5 and max(pieces) > 20:
                break
            time.sleep(0.05)
        assert min(spans) > due - 0.0005, "no byte may come before the wire has carried it"
        assert min(spans) < due * 1.5
        assert max(pieces) > 20, "the bytes must come one by one, not in a lump"


def test_a_line_is_deaf_to_the_wrong_speed_when_told_so():
    with SerialLine([Slave(1, PatternImage())], baudrate=9600, check_speed=True) as line:
        with serial.Serial(line.port, 19200) as port:
            assert talk(port, rtu_frame(1, read_pdu(3, 0, 2)), first=0.5)[0] == b""
        with serial.Serial(line.port, 9600) as port:
            assert rtu_parts(talk(port, rtu_frame(1, read_pdu(3, 5, 1)), size=7)[0]) == (
                1,
                bytes.fromhex("03020005"),
            )


def test_a_request_that_breaks_the_silence_is_counted():
    with (
        SerialLine([Slave(1, PatternImage())], baudrate=1200) as line,
        serial.Serial(line.port, 1200) as port,
    ):
        port.timeout = 20
        requests = 0
        while requests < 6 or (not line.stats.early and requests < 60):
            port.write(rtu_frame(1, read_pdu(3, 0, 1)))
            assert (
                len(port.read(7)) == 7
            )  # t3.5 is 32 ms here, and the next request follows at once, unless this machine is busy
            requests += 1
        assert 1 <= line.stats.early < requests
        assert line.stats.shortest_gap < line.silence


EXPECTED = {
    "dead": lambda answer, _: answer == b"",
    "late": lambda answer, good: answer == good,
    "truncated": lambda answer, good: 0 < len(answer) < len(good) and good.startswith(answer),
    "foreign": lambda answer, good: rtu_parts(answer) == (2, good[1:-2]),
    "wrong_function": lambda answer, good: rtu_parts(answer) == (1, b"\x04" + good[2:-2]),
    "wrong_count": lambda answer, good: rtu_parts(answer) == (1, bytes((3, good[2] - 2)) + good[3:-4]),
    "exception": lambda answer, _: rtu_parts(answer) == (1, b"\x83\x06"),
    "double": lambda answer, good: answer == good * 2,
    "corrupt": lambda answer, good: len(answer) == len(good) and rtu_parts(answer) is None,
    "noise": lambda answer, good: answer.endswith(good) and len(answer) > len(good),
    "padded": lambda answer, good: (
        answer.startswith(good) and not any(answer[len(good) :]) and len(answer) > len(good)
    ),
    "echo": lambda answer, good: answer == rtu_frame(1, read_pdu(3, 300, 4)) + good,
}


@pytest.mark.parametrize("kind", SERIAL_KINDS)
def test_each_serial_fault_does_what_its_name_says_and_only_once(kind):
    log = ServeLog(keep=True)
    slave = Slave(1, PatternImage(), log=log)
    with (
        SerialLine([slave], baudrate=115200, turnaround=0.005) as line,
        serial.Serial(line.port, 115200) as port,
    ):
        request = rtu_frame(1, read_pdu(3, 300, 4))
        good, _ = talk(port, request, size=13)
        assert rtu_parts(good) is not None
        line.faults.order(1, Fault(kind, seconds=0.35 if kind == "late" else None))
        faulted, at = talk(port, request, first=1.0 if kind == "dead" else 5.0)
        if kind == "late":
            assert at[1] - at[0] > 0.3
        assert EXPECTED[kind](faulted, good)
        assert talk(port, request, size=13)[0] == good
        assert line.faults.log == [(1, kind)]
    assert [entry["fault"] for entry in log.entries] == [
        "",
        *([] if kind in {"dead", "exception"} else [kind]),
        "",
    ]


def late_then_next(busy):
    """Ask @1000 of a slave that is too late, give up, ask @2000 at once: what comes back, in order."""
    with (
        SerialLine([Slave(1, PatternImage())], baudrate=115200, turnaround=0.002, busy=busy) as line,
        serial.Serial(line.port, 115200) as port,
    ):
        port.timeout = 0.15
        for _ in range(5):
            line.faults.order(1, Fault("late", seconds=0.8))
            dropped, began = line.stats.dropped, time.monotonic()
            port.write(rtu_frame(1, read_pdu(3, 1000, 2)))
            early = port.read(9)
            answers, at = talk(port, rtu_frame(1, read_pdu(3, 2000, 2)), quiet=0.8)
            if (
                not early and at[0] < began + 0.5
            ):  # else this machine stood still, and the second question was not asked in time
                return answers, line.stats.dropped - dropped
        pytest.fail("this machine is too busy to ask twice within half a second")


def test_a_slave_that_queues_answers_the_old_question_first():
    answers, dropped = late_then_next("queue")
    old, new = rtu_frame(1, bytes.fromhex("030403e803e9")), rtu_frame(1, bytes.fromhex("030407d007d1"))
    assert answers == old + new
    assert dropped == 0


def test_a_slave_that_drops_while_busy_answers_only_the_old_question():
    answers, dropped = late_then_next("drop")
    assert answers == rtu_frame(1, bytes.fromhex("030403e803e9"))
    assert dropped == 1


def test_a_late_answer_of_one_slave_does_not_silence_the_others():
    with (
        SerialLine(
            [Slave(1, PatternImage()), Slave(2, PatternImage(7))], baudrate=115200, turnaround=0.002
        ) as line,
        serial.Serial(line.port, 115200) as port,
    ):
        line.faults.order(1, Fault("late", seconds=3.0))
        port.write(rtu_frame(1, read_pdu(3, 0, 1)))
        time.sleep(0.1)
        answer, _ = talk(port, rtu_frame(2, read_pdu(3, 0, 1)), size=14)
        assert answer == rtu_frame(2, bytes.fromhex("03020007")) + rtu_frame(1, bytes.fromhex("03020000"))
        assert line.stats.dropped == 0


def test_a_request_while_another_slave_talks_is_heard_by_nobody():
    slaves = [Slave(1, PatternImage()), Slave(2, PatternImage())]
    with SerialLine(slaves, baudrate=9600, turnaround=0.002) as line, serial.Serial(line.port, 9600) as port:
        port.timeout = 20
        for _ in range(5):
            dropped = line.stats.dropped
            port.write(rtu_frame(1, read_pdu(3, 0, 100)))
            assert len(port.read(20)) == 20
            answer, _ = talk(port, rtu_frame(2, read_pdu(3, 0, 1)), quiet=0.5)
            if (
                line.stats.dropped > dropped
            ):  # else this machine stood still, and the first one had fallen silent meanwhile
                break
        assert len(answer) == 185
        assert line.stats.dropped == 1


def test_a_slave_does_not_hear_what_comes_before_its_minimum_gap_is_over():
    with (
        SerialLine([Slave(1, PatternImage(), min_gap=0.8)], baudrate=115200) as line,
        serial.Serial(line.port, 115200) as port,
    ):
        request = rtu_frame(1, read_pdu(3, 0, 1))
        for _ in range(5):
            assert len(talk(port, request, size=7)[0]) == 7
            answer, _ = talk(port, request, first=0.5)
            time.sleep(0.9)
            if not answer:  # else this machine stood still until the gap was over
                break
        assert answer == b""
        assert line.stats.hasty == 1
        assert len(talk(port, request, size=7)[0]) == 7


def test_an_adapter_that_goes_hangs_up_and_comes_back_under_its_path(tmp_path):
    path = tmp_path / "adapter"
    with SerialLine([Slave(1, PatternImage())], path=path, baudrate=115200) as line:
        request = rtu_frame(1, read_pdu(3, 1, 1))
        port = serial.Serial(line.port, 115200)
        assert talk(port, request, size=7)[0]
        line.unplug()
        assert not path.exists()
        with pytest.raises((OSError, serial.SerialException)):  # noqa: PT012 - which of the two notices first is the driver's choice
            port.write(request)
            port.read(1)
        port.close()
        line.plug()
        with serial.Serial(str(path), 115200) as again:
            assert rtu_parts(talk(again, request, size=7)[0]) == (1, bytes.fromhex("03020001"))
    assert not path.is_symlink()


def test_noise_that_nobody_asked_for_arrives():
    with SerialLine([], baudrate=115200) as line, serial.Serial(line.port, 115200) as port:
        line.inject(b"\x00\xff\x55")
        port.timeout = 20
        assert port.read(3) == b"\x00\xff\x55"


def test_chance_is_the_same_for_the_same_seed():
    def course(seed):
        faults = Faults(seed, 0.3, (Fault("late"), Fault("corrupt"), Fault("dead")), frozenset({1}))
        return [(f.kind if (f := faults.next_fault(unit)) else "") for unit in (1, 2) * 100]

    assert course(4) == course(4) != course(5)
    assert set(course(4)[::2]) == {"", "late", "corrupt", "dead"}
    assert set(course(4)[1::2]) == {""}


# --- TCP
# ------------------------------------------------------------------------------------------------------------


async def tcp_client(server, patience=10.0, framer=FramerType.SOCKET):
    client = AsyncModbusTcpClient(
        server.host, port=server.port, timeout=patience, retries=0, framer=framer, reconnect_delay=0
    )
    assert await client.connect()
    return client


@pytest.mark.parametrize(("mode", "framer"), [("tcp", FramerType.SOCKET), ("rtu", FramerType.RTU)])
async def test_pymodbus_reads_many_units_with_many_clients_over_tcp(mode, framer):
    server = TcpServer([Slave(unit, PatternImage(unit * 100)) for unit in (1, 2, 3)], mode=mode)
    with TcpPlant([server]):
        clients = [await tcp_client(server, framer=framer) for _ in range(3)]
        try:
            for _ in range(5):
                answers = await asyncio.gather(
                    *(c.read_holding_registers(7, count=125, device_id=u) for u, c in enumerate(clients, 1))
                )
                for unit, answer in enumerate(answers, 1):
                    assert answer.registers[0] == 7 + unit * 100
                    assert len(answer.registers) == 125
        finally:
            for client in clients:
                client.close()
        assert server.stats.requests == server.stats.answers == 15


async def test_a_unit_that_is_not_there_is_refused_by_a_tcp_server_and_ignored_by_a_converter():
    server, converter = (
        TcpServer([Slave(1, PatternImage())]),
        TcpServer([Slave(1, PatternImage())], mode="rtu"),
    )
    with TcpPlant([server, converter]):
        client = await tcp_client(server)
        assert (await client.read_holding_registers(0, count=1, device_id=9)).exception_code == 0x0B
        client.close()
        silent = await tcp_client(converter, patience=0.3, framer=FramerType.RTU)
        with pytest.raises(ModbusException):
            await silent.read_holding_registers(0, count=1, device_id=9)
        silent.close()


async def raw(server, request, limit=10.0, size=None):
    """A request as bytes; what comes within the limit, `size` bytes at most; how the connection ended:
    open, closed or reset.
    """
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(request)
    answer, end = b"", "open"
    try:
        while (size is None or len(answer) < size) and (
            chunk := await asyncio.wait_for(reader.read(4096), limit)
        ):
            answer += chunk
        end = "open" if answer and len(answer) == size else "closed"
    except TimeoutError:
        pass
    except ConnectionResetError:
        end = "reset"
    writer.close()
    return answer, end


TCP_GOOD = bytes.fromhex("abcd0000000501" + "03020007")
TCP_EXPECTED = {
    "dead": (b"", "open"),
    "reset": (b"", "reset"),
    "half_open": (b"", "open"),
    "late": (TCP_GOOD, "open"),
    "exception": (bytes.fromhex("abcd0000000301830b"), "open"),
    "foreign": (bytes.fromhex("abcd000000050203020007"), "open"),
    "wrong_transaction": (bytes.fromhex("abce000000050103020007"), "open"),
    "wrong_function": (bytes.fromhex("abcd000000050104020007"), "open"),
    "wrong_count": (bytes.fromhex("abcd00000003010300"), "open"),
    "double": (TCP_GOOD * 2, "open"),
}


@pytest.mark.parametrize("kind", TCP_EXPECTED)
async def test_each_tcp_fault_does_what_its_name_says_and_only_once(kind):
    server = TcpServer([Slave(1, PatternImage())])
    with TcpPlant([server]):
        request = bytes.fromhex("abcd00000006010300070001")
        server.faults.order(1, Fault(kind, seconds=0.2, code=0x0B))
        answer, end = TCP_EXPECTED[kind]
        assert await raw(server, request, 10.0 if answer or end != "open" else 0.5, len(answer) or None) == (
            answer,
            end,
        )
        assert await raw(server, request, size=len(TCP_GOOD)) == (TCP_GOOD, "open")


async def test_a_half_open_connection_stays_deaf_while_new_ones_are_served():
    server = TcpServer([Slave(1, PatternImage())])
    with TcpPlant([server]):
        server.faults.order(1, Fault("half_open"))
        deaf = await tcp_client(server, patience=0.3)
        for _ in range(2):
            with pytest.raises(ModbusException):
                await deaf.read_holding_registers(0, count=1, device_id=1)
        fresh = await tcp_client(server)
        assert (await fresh.read_holding_registers(3, count=1, device_id=1)).registers == [3]
        deaf.close()
        fresh.close()


async def test_garbage_on_a_socket_harms_nobody():
    server = TcpServer([Slave(1, PatternImage())])
    with TcpPlant([server]):
        assert (await raw(server, b"GET / HTTP/1.1\r\n\r\n"))[1] in {"reset", "closed"}
        assert server.stats.bad_frames == 1
        client = await tcp_client(server)
        assert (await client.read_holding_registers(3, count=1, device_id=1)).registers == [3]
        client.close()


async def test_a_converter_costs_what_its_line_costs():
    line = Downstream(baudrate=9600, turnaround=0.02)
    server = TcpServer([Slave(1, PatternImage())], mode="rtu", downstream=line)
    with TcpPlant([server]):
        client = await tcp_client(server, framer=FramerType.RTU)
        start = time.monotonic()
        await client.read_holding_registers(0, count=60, device_id=1)
        took = time.monotonic() - start
        client.close()
    assert took >= line.seconds(8, 125) > 0.16


# --- the process
# ----------------------------------------------------------------------------------------------------


def spec(directory):
    return {
        "lines": [
            {
                "name": "line1",
                "path": str(directory / "tty1"),
                "baudrate": 115200,
                "slaves": [{"unit": 1, "meter": "main", "stamp": {"address": 50}, "image": {"pattern": 0}}],
            }
        ],
        "servers": [
            {
                "name": "plant",
                "slaves": [{"unit": 3, "meter": "chiller", "image": {"words": {"0": 17, "0x10": 4}}}],
            }
        ],
    }


async def test_a_simulator_in_its_own_process_takes_orders(tmp_path):
    with SimulatorProcess(spec(tmp_path), tmp_path) as simulator:
        host, port = simulator.addresses["plant"]
        client = AsyncModbusTcpClient(host, port=port, timeout=10, retries=0)
        assert await client.connect()
        assert (await client.read_holding_registers(16, count=1, device_id=3)).registers == [4]
        simulator.fault("plant", 3, "exception", code=4)
        assert (await client.read_holding_registers(0, count=1, device_id=3)).exception_code == 4
        client.close()
        with serial.Serial(simulator.ports["line1"], 115200) as tty:
            assert rtu_parts(talk(tty, rtu_frame(1, read_pdu(4, 50, 2)), size=9)[0]) == (
                1,
                bytes.fromhex("040400000001"),
            )
        simulator.order("unplug", bus="line1")
        assert not (tmp_path / "tty1").exists()
        simulator.order("plug", bus="line1")
        assert simulator.order("stats")["stats"]["line1"]["requests"] == 1
        with pytest.raises(RuntimeError, match="'corrupt' cannot happen on this bus"):
            simulator.fault("plant", 3, "corrupt")
        with pytest.raises(RuntimeError, match="'reset' cannot happen on this bus"):
            simulator.fault("line1", 1, "reset")
        with pytest.raises(RuntimeError, match="nonsense"):
            simulator.order("nonsense")
        with pytest.raises(RuntimeError, match="nowhere"):
            simulator.order("unplug", bus="nowhere")
        assert [(s["meter"], s["ordinal"]) for s in simulator.serves()] == [("chiller", None), ("main", 1)]
    assert simulator.process.returncode == 0


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_a_simulator_dies_with_the_one_who_started_it(tmp_path):
    code = (
        "import json, sys, time, pathlib; from gateway.demo.simulator.process import SimulatorProcess\n"
        f"s = SimulatorProcess(json.loads({json.dumps(json.dumps(spec(tmp_path)))}), "
        f"pathlib.Path({str(tmp_path)!r}))\n"
        "print(s.process.pid, flush=True); time.sleep(60)"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(starter.stdout.readline())
    assert alive(pid)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    deadline = time.monotonic() + 60
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(pid)
