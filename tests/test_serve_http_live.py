"""Publishing while serving: no failed request, a damaged snapshot kept out, files deleted under a running service."""

import gc
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from http_service import Service, problem, publish

from configs.errors import ArtifactError, ConflictError, InputError, NotFoundError
from serve.app import create_app
from serve.server import listen, serve
from store.artifact import write_atomic
from store.workspace import Workspace


@contextmanager
def running(root: Path, **settings: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A service in a process of its own on a free port; gives its address."""
    code = """
import json, sys
from pathlib import Path
from serve.config import ServeConfig
from serve.server import serve
serve(Path(sys.argv[1]), port=0, config=ServeConfig(**json.loads(sys.argv[2])))
"""
    command = [sys.executable, "-c", code, str(root), json.dumps({"poll_seconds": 0.05, **settings})]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    reader = None
    try:
        entry = next(entry for entry in map(json.loads, process.stderr) if entry["event"] == "listening")
        # its log is read on, so that it never waits for us
        reader = threading.Thread(target=process.stderr.read)
        reader.start()
        yield entry["url"], process
    finally:
        process.kill()
        process.wait(20)
        if reader is not None:
            reader.join(20)
        process.stderr.close()


def flip(path: Path) -> None:
    """Flip one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_no_request_fails_while_snapshots_are_published(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path)
    names = [publish(tmp_path, seed) for seed in range(3)]
    workspace.point_to(names[0])
    service = Service(tmp_path)
    headers, stop = service.bearer("admin"), threading.Event()
    seen: list[tuple[int, str, str]] = []
    failures: list[str] = []

    def hammer(path: str) -> None:
        with httpx.Client(base_url=url, headers=headers, timeout=20) as client:
            while not stop.is_set():
                answer = client.get(path)
                if answer.status_code != 200:
                    failures.append(f"{answer.status_code} {answer.text}")
                    return
                seen.append((answer.status_code, answer.headers["kinfolk-snapshot"], answer.json()["snapshot"]))

    with running(tmp_path) as (url, process):
        paths = ("/v1/customers/17", "/v1/customers/17/similar?k=50", "/v1/segments", "/v1/segments/1/members")
        threads = [threading.Thread(target=hammer, args=(path,)) for path in paths]
        for thread in threads:
            thread.start()
        for name in (*names[1:], names[0], names[2]):
            workspace.point_to(name)
            wait_for(lambda name=name: httpx.get(f"{url}/readyz").json()["snapshot"] == name)  # type: ignore[misc]
        time.sleep(0.2)
        stop.set()
        for thread in threads:
            thread.join(30)
        swaps = [line for line in httpx.get(f"{url}/metrics").text.splitlines() if "snapshot_swaps_total" in line]
        process.terminate()
        assert process.wait(20) in (0, -signal.SIGTERM)
    assert failures == []
    assert {header for _, header, _ in seen} == set(names)
    # one request, one snapshot
    assert all(header == body for _, header, body in seen)
    assert swaps[-1] == "kinfolk_snapshot_swaps_total 4.0"
    service.close()


def wait_for(condition: "object", seconds: float = 20) -> None:
    """Wait until `condition()` holds."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.mark.parametrize(
    "damaged", ["embeddings/vectors.arrow", "segments/profiles.json", "behaviour/manifest.json", "manifest.json"]
)
def test_a_damaged_snapshot_is_kept_out_and_told(tmp_path: Path, damaged: str) -> None:
    workspace = Workspace.create(tmp_path)
    old, new = publish(tmp_path, 0), publish(tmp_path, 1)
    workspace.point_to(old)
    service = Service(tmp_path)
    before = (workspace.snapshots / new / damaged).read_bytes()
    flip(workspace.snapshots / new / damaged)
    write_atomic(workspace.pointer, new + "\n")
    assert not service.live.check()
    ready = service.get("/readyz")
    assert (ready["status"], ready["snapshot"], ready["refused"]) == ("degraded", old, new)
    assert str(tmp_path) not in json.dumps(ready)
    assert service.get("/v1/customers/17")["snapshot"] == old
    text = service.client.get("/metrics").text
    assert "kinfolk_snapshot_fault 1.0" in text
    assert "kinfolk_snapshot_failures_total 1.0" in text
    # not tried again at every poll, but once its time has come
    assert not service.live.check()
    assert service.live.failures == 1
    (workspace.snapshots / new / damaged).write_bytes(before)
    service.live._retry_at = 0
    assert service.live.check()
    assert service.get("/readyz") == {"status": "ready", "snapshot": new, "refused": None, "detail": None}
    service.close()


def test_a_pointer_that_goes_wrong_leaves_the_old_snapshot(tmp_path: Path) -> None:
    old = publish(tmp_path)
    service = Service(tmp_path)
    pointer = service.workspace.pointer
    for wrong in ("s-none\n", "../../etc\n", "\n", "\x00\n", "é" * 300 + "\n"):
        write_atomic(pointer, wrong)
        assert not service.live.check()
        assert service.get("/readyz")["status"] == "degraded", wrong
        assert service.get("/v1/snapshot")["name"] == old
    pointer.unlink()
    assert not service.live.check()
    assert service.get("/readyz")["status"] == "degraded"
    write_atomic(pointer, old + "\n")
    assert not service.live.check()
    assert service.get("/readyz")["status"] == "ready"
    assert service.live.swaps == 0
    service.close()


def test_the_files_of_the_served_snapshot_may_be_deleted(tmp_path: Path) -> None:
    name = publish(tmp_path)
    service = Service(tmp_path)
    before = service.get("/v1/customers/17/similar")
    shutil.rmtree(service.workspace.snapshots / name)
    assert service.get("/v1/customers/17/similar") == before
    assert service.get("/v1/customers/588", include="vector")["vector"]
    assert service.get("/v1/segments/1/members")["members"]
    service.close()


def test_an_old_snapshot_is_let_go(tmp_path: Path) -> None:
    publish(tmp_path, 0)
    service = Service(tmp_path)
    assert service.get("/v1/customers/17/similar")
    old = weakref.ref(service.live.snapshot)
    publish(tmp_path, 1)
    assert service.live.check()
    assert service.get("/v1/customers/17/similar")
    gc.collect()
    assert old() is None
    service.close()


def test_a_service_does_not_start_on_a_damaged_snapshot(tmp_path: Path) -> None:
    name = publish(tmp_path)
    path = tmp_path / "snapshots" / name / "embeddings" / "vectors.arrow"
    flip(path)
    with pytest.raises(ArtifactError, match=r"vectors\.arrow"):
        create_app(Workspace.open(tmp_path))
    with pytest.raises(NotFoundError, match="not a kinfolk workspace"):
        serve(tmp_path / "nowhere")


def test_an_address_that_cannot_be_taken_is_told_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConflictError, match=f"port {port} of 127.0.0.1 is in use"):
            listen("127.0.0.1", port)
    with pytest.raises(InputError, match="no such address"):
        listen("no.such.host.invalid", 0)
    with pytest.raises(InputError, match="not an address of this machine"):
        listen("192.0.2.1", 0)


def test_over_a_socket_bodies_are_limited_and_a_stop_finishes_what_is_in_flight(tmp_path: Path) -> None:
    publish(tmp_path)
    service = Service(tmp_path)
    with running(tmp_path, max_body_mb=0.1) as (url, process):
        with httpx.Client(base_url=url, timeout=20) as client:
            headers = {**service.bearer("admin"), "Content-Type": "text/csv"}
            problem(client.post("/v1/audiences", content=b"1" * 150_000, headers=headers), 413, "0.1 MiB")
            pieces = (b"1" * 10_000 for _ in range(15))
            problem(client.post("/v1/audiences", content=pieces, headers=headers), 413, "0.1 MiB")
            assert client.get("/v1/customers/%31%37", headers=headers).json()["customer_id"] == 17
            problem(client.get("/v1/customers/a%2Fb/similar", headers=headers), 404, "'a/b'")
            assert "server" not in client.get("/livez").headers
        answer = _interrupted(url, service.keys["admin"], process)
        assert answer.startswith(b"HTTP/1.1 201"), answer[:200]
        assert process.wait(20) == 0
    service.close()


def _interrupted(url: str, key: str, process: subprocess.Popen[str]) -> bytes:
    """The answer to a request of which the second half comes after Ctrl-C."""
    host, port = url.removeprefix("http://").split(":")
    body = json.dumps({"seeds": list(range(1, 180, 3)), "size": 120}).encode()
    head = f"POST /v1/audiences HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nConnection: close\r\n"
    head += f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    answer = b""
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(head.encode() + body[:10])
        # the request is in flight once the service has answered another one that came after it
        assert httpx.get(f"{url}/livez").status_code == 200
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        connection.sendall(body[10:])
        while piece := connection.recv(65536):
            answer += piece
    return answer


def test_a_request_whose_head_does_not_end_is_refused(tmp_path: Path) -> None:
    publish(tmp_path)
    with running(tmp_path) as (url, process):
        port = int(url.rsplit(":", 1)[1])
        for head in (b"X: ", b"X: 1\r\n"):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
                client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n")
                sent = 0
                while sent < 4 << 20:  # refused long before, and then the connection is gone
                    try:
                        sent += client.send(head * (4096 // len(head)))
                    except OSError:
                        break
                    time.sleep(0.001)
                assert sent < 1 << 20
        with httpx.Client(base_url=url) as client:
            long = {f"x{number}": "v" * 1000 for number in range(50)}
            assert [client.get("/livez", headers=long).status_code for _ in range(3)] == [200] * 3, "kept alive"
            body = b"i\n" * (1 << 20)
            assert client.post("/v1/audiences", content=body, headers={"content-type": "text/csv"}).status_code == 401
        assert process.poll() is None
