"""serve.py on loopback: how fast, what hostile requests cost, and restarts and new models under load.

    pip install -r requirements-dev.txt -r requirements-benchmarks.txt
    python benchmarks/serve.py

200 JPEGs of 500x375 cut from scikit-image's photographs, in 5 classes, and the network that train.py
makes of them, an EfficientNet-Lite0. Beside it stands a plain
FastAPI handler: it reads the body with Pillow and calls `model.predict`. Each server has a process
of its own; the clients are in this one, keep their connections, and send the next photograph once
they have an answer. Cold start is from starting the process to its first answer, the median of
`--repeats`.

Hostile bodies are those of benchmarks/damage.py, sent by 8 clients; each must get an answer that
names what is wrong, or predictions where the damage is bearable. Abuse is of the protocol. In a
restart, the server gets SIGTERM and is started again; a client whose connection is refused or
closed before an answer sends its request again, which is counted; a request is lost if it never
gets one. A new model has other names of the classes: an answer is wrong if its names are of two
models, or of another class. Takes about five minutes on two quiet cores.
"""

import asyncio
import json
import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import damage
import measure

PHOTOGRAPHS, WIDTH, HEIGHT = 200, 500, 375
SECONDS, CLIENTS = 8, (1, 8, 64)  # of each load
BODIES, HOSTILE_CLIENTS = 2_200, 8
PATIENCE = 60  # seconds for an answer, and for a server to start or end
SWAPS, SWAP_SECONDS = 4, 6  # it is looked for every 2 seconds, and must be found twice
HEAD = "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n\r\n"
ABUSE = {
    "nothing": b"",
    "noise": random.Random(0).randbytes(5000),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "half a head": b"POST /predict HTTP/1.1\r\nHost: local",
    "a head without end": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 10**6,
    "a thousand headers": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    "half a body": HEAD.format(path="/predict", kind="x", size=1000).encode() + b"half",
    "a negative length": HEAD.format(path="/predict", kind="x", size=-1).encode() + b"x",
    "two lengths": b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "length and chunks": b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "a broken chunk": b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx",
    "a path out": b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an encoded path out": b"GET /%2e%2e%2fetc%2fpasswd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an upgrade": b"GET /predict HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "a form without end": HEAD.format(
        path="/predict", kind="multipart/form-data; boundary=x", size=40
    ).encode()
    + b"--x\r\nContent-Disposition: form-data; nam",
    "a pipeline that nobody reads": b"GET /page.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000,
}


class Server:
    """A server in a process of its own, and the most memory it held since it began or `reset`."""

    def __init__(self, command: list, folder: Path, port: int):
        self.port, self.peak, self.began = port, 0, time.perf_counter()
        log = open(folder / "server.log", "a")  # noqa: SIM115 the process has it
        self.process = subprocess.Popen([*map(str, command), str(port)], cwd=folder, stderr=log)

    def look(self) -> None:
        self.peak = max(self.peak, measure.memory(self.process.pid)[0])

    def first_answer(self, request: bytes) -> float:
        """Seconds from its start to its first answer."""
        while time.perf_counter() - self.began < PATIENCE:
            with socket.socket() as connection:
                connection.settimeout(PATIENCE)
                try:
                    connection.connect(("127.0.0.1", self.port))
                    connection.sendall(request)
                    if connection.recv(12).endswith(b"200"):
                        return time.perf_counter() - self.began
                except OSError:
                    time.sleep(0.01)
        raise SystemExit(f"The server doesn't answer: {self.process.args}")

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def plain(model: str, port: str) -> None:
    """The peer, as tutorials write it."""
    import io

    import fastapi
    import keras
    import numpy as np
    import uvicorn
    from PIL import Image

    network = keras.saving.load_model(model)
    with zipfile.ZipFile(model) as archive:
        classes = json.loads(archive.read("foldernet.json"))["classes"]
    app = fastapi.FastAPI()

    @app.post("/predict")
    async def predict(request: fastapi.Request):
        image = Image.open(io.BytesIO(await request.body())).convert("RGB")
        pixels = np.asarray(image.resize(network.input_shape[2:0:-1]))
        shares = network.predict(pixels[None], verbose=0)[0]
        return {"class": classes[shares.argmax()], "probability": float(shares.max())}

    uvicorn.run(app, port=int(port), log_level="error")


def post(body: bytes, path: str = "/predict", kind: str = "image/jpeg") -> bytes:
    return HEAD.format(path=path, kind=kind, size=len(body)).encode() + body


def form(*bodies: bytes) -> bytes:
    """A request of several images."""
    parts = (
        b'--zzz\r\nContent-Disposition: form-data; name="a"; filename="%d"\r\n\r\n%s\r\n'
        % (number, body)
        for number, body in enumerate(bodies)
    )
    return post(b"".join(parts) + b"--zzz--\r\n", kind="multipart/form-data; boundary=zzz")


class Client:
    """One connection, opened again where the server has closed it."""

    def __init__(self, port: int):
        self.port, self.streams, self.retried = port, None, 0

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body.

        Raises:
            TimeoutError: there was no answer in `PATIENCE` seconds, however often it was asked.
        """
        first = True
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    if not self.streams:
                        self.streams = await asyncio.open_connection("127.0.0.1", self.port)
                    reader, writer = self.streams
                    writer.write(request)
                    head = await reader.readuntil(b"\r\n\r\n")
                    size = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
                    body = await reader.readexactly(size)
                    if re.search(rb"(?i)connection: close", head):
                        self.close()
                    return int(head.split()[1]), body
                except (OSError, asyncio.IncompleteReadError):
                    self.close()
                    self.retried, first = self.retried + first, False
                    await asyncio.sleep(0.02)

    def close(self) -> None:
        if self.streams:
            self.streams[1].close()
        self.streams = None


async def load(port: int, requests: list[bytes], clients: int, seconds: float, check=None) -> dict:
    """Ask for so long, by so many clients at a time.

    Args:
        check: number of the request, status, body -> whether the answer is right.
    """
    ends, times, wrong, lost, retried = time.perf_counter() + seconds, [], 0, 0, 0

    async def one(number: int) -> None:
        nonlocal wrong, lost, retried
        client = Client(port)
        while time.perf_counter() < ends:
            began, number = time.perf_counter(), (number + 1) % len(requests)
            try:
                status, body = await client.ask(requests[number])
                wrong += not (check(number, status, body) if check else status == 200)
            except TimeoutError:
                lost += 1
            times.append(time.perf_counter() - began)
        retried += client.retried
        client.close()

    began = time.perf_counter()
    await asyncio.gather(*map(one, range(clients)))
    took = time.perf_counter() - began
    return {
        "requests": len(times),
        "images/s": len(times) / took,
        "median ms": 1000 * statistics.median(times),
        "99% ms": 1000 * statistics.quantiles(times, n=100)[98],
        "longest s": max(times),
        "sent again": retried,
        "wrong": wrong,
        "lost": lost,
    }


async def hostile(server: Server, bodies: list[tuple[str, bytes]]) -> dict:
    """What bodies that mean harm get, and cost."""
    left, worst, told = iter(bodies), (0.0, ""), {"refused": 0, "read": 0, "without a reason": 0}

    async def one() -> None:
        nonlocal worst
        client = Client(server.port)
        for name, body in left:
            began = time.perf_counter()
            status, answer = await client.ask(post(body))
            worst = max(worst, (time.perf_counter() - began, name))
            server.look()
            said = json.loads(answer)
            if status == 200:
                told["refused" if "error" in said[0] else "read"] += 1
            else:
                told["refused" if status in (400, 413) else "without a reason"] += 1
        client.close()

    server.look()
    before, server.peak = server.peak, 0
    await asyncio.gather(*(one() for _ in range(HOSTILE_CLIENTS)))
    alive = server.process.poll() is None
    return {
        "what": "bodies",
        "requests": len(bodies),
        **told,
        "worst s": worst[0],
        "the worst": worst[1],
        "MB before": before / measure.MEGABYTE,
        "MB at most": server.peak / measure.MEGABYTE,
        "crashes": 0 if alive else 1,
    }


async def abuse(server: Server, good: bytes) -> dict:
    """Whether others are answered while connections do what they shouldn't, 20 times each."""
    server.look()
    before, server.peak = server.peak, 0
    kept = []
    for content in list(ABUSE.values()) * 20:
        with_stream = await asyncio.open_connection("127.0.0.1", server.port)
        kept.append(with_stream)
        with_stream[1].write(content)
    answered = await load(server.port, [good], 8, SECONDS / 2)
    server.look()
    for _, writer in kept:
        writer.transport.abort()
    again = await load(server.port, [good], 8, 1)
    return {
        "what": "protocol",
        "requests": len(kept),
        "refused": None,
        "read": answered["requests"],
        "without a reason": answered["wrong"] + answered["lost"] + again["wrong"] + again["lost"],
        "worst s": answered["longest s"],
        "the worst": "of the others",
        "MB before": before / measure.MEGABYTE,
        "MB at most": server.peak / measure.MEGABYTE,
        "crashes": 0 if server.process.poll() is None else 1,
    }


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def photographs(folder: Path) -> tuple[Path, list[bytes]]:
    """The run that is served, and what it is asked about."""
    images = measure.build_images(folder / "photographs", PHOTOGRAPHS, WIDTH, HEIGHT)
    run = folder / "models" / "served"
    if not run.exists():
        command = [sys.executable, measure.ROOT / "train.py", images, "--name", "served"]
        measure.run([*map(str, command), "--epochs", "1", "--fine-tune", "head"], cwd=folder)
    return run, [path.read_bytes() for path in sorted(images.rglob("*.jpg"))]


def renamed(run: Path, to: str) -> Path:
    """The same network, whose classes have other names."""
    import onnx

    from foldernet.export import onnx_file
    from foldernet.training.model_file import METADATA, read_metadata

    other = Path(shutil.copytree(run, run.with_name(to)))
    metadata = read_metadata(run / "best.keras")
    metadata["classes"] = [f"{name} {to}" for name in metadata["classes"]]
    with (
        zipfile.ZipFile(run / "best.keras") as old,
        zipfile.ZipFile(other / "best.keras", "w") as new,
    ):
        for member in old.infolist():
            told = member.filename == METADATA
            new.writestr(member, json.dumps(metadata) if told else old.read(member))
    made = onnx.load(run / "model.onnx")
    digest = onnx_file.digest(other / "best.keras")
    props = {METADATA: json.dumps(metadata), onnx_file.DIGEST: digest}
    onnx.helper.set_model_props(made, props)
    onnx.save(made, other / "model.onnx")
    return other


async def restart(command: list, folder: Path, server: Server, requests: list[bytes]) -> dict:
    """Ask while the server is ended and started again."""
    asking = asyncio.create_task(load(server.port, requests, 8, SECONDS))
    await asyncio.sleep(SECONDS / 3)
    status = await asyncio.to_thread(server.end)
    again = Server(command, folder, server.port)
    found = await asking
    ended = again.end()
    return {"what": "restart", "exit status": max(status, ended), **found}


async def swap(run: Path, others: list[Path], server: Server, bodies: list[bytes]) -> dict:
    """Ask while other models are put in the place of the one that is served."""
    requests, first = [form(*bodies[at : at + 2]) for at in range(0, len(bodies) - 1, 2)], {}
    seen = set()

    def check(number: int, status: int, body: bytes) -> bool:
        """Whether both answers are of one model, and as that network has always answered."""
        said = [each["class"].rpartition(" ") for each in json.loads(body)]
        seen.update(name for *_, name in said)
        classes = tuple(name for name, *_ in said)
        same = first.setdefault(number, classes) == classes
        return status == 200 and len({name for *_, name in said}) == 1 and same

    asking = asyncio.create_task(load(server.port, requests, 8, (SWAPS + 1) * SWAP_SECONDS, check))
    for number in range(SWAPS):
        await asyncio.sleep(SWAP_SECONDS)
        for name in ("best.keras", "model.onnx"):
            shutil.copy(others[number % 2] / name, run / f".{name}")
        for name in ("best.keras", "model.onnx"):
            os.replace(run / f".{name}", run / name)
    found = await asking
    return {"what": f"{len(seen)} models in turn", "exit status": server.end(), **found}


def main() -> None:
    options = measure.parser(__doc__, "a tenth of the bodies, a second of each load").parse_args()
    if options.contestant:
        plain(*options.contestant)
        return
    global SECONDS, SWAPS
    bodies = BODIES
    if options.quick:
        SECONDS, SWAPS, bodies, options.repeats = 2, 2, BODIES // 10, 1
    with measure.workspace(options.folder) as folder:
        run, images = photographs(folder)
        requests = [post(image) for image in images]
        serve = [sys.executable, measure.ROOT / "serve.py", run, "--port"]
        commands = {
            "serve.py": serve,
            "plain FastAPI": measure.child(__file__, run / "best.keras"),
        }
        speed, cold, harm, changes = [], [], [], []
        for name, command in commands.items():
            starts = []
            for number in range(options.repeats):
                server = Server(command, folder, free_port())
                starts.append(server.first_answer(requests[0]))
                if number < options.repeats - 1:
                    server.end()
            server.look()
            held = server.peak / measure.MEGABYTE
            cold.append({"server": name, "seconds": statistics.median(starts), "MB": held})
            for clients in CLIENTS:
                print(f"{name}, {clients} clients", file=sys.stderr)
                found = asyncio.run(load(server.port, requests, clients, SECONDS))
                speed.append({"server": name, "clients": clients, **found})
            server.end()
        print("hostile requests", file=sys.stderr)
        server = Server(serve, folder, free_port())
        server.first_answer(requests[0])
        asyncio.run(load(server.port, requests, 8, 2))
        contents = list(damage.damaged(bodies)) + ([] if options.quick else list(damage.bombs()))
        harm.append(asyncio.run(hostile(server, contents)))
        harm.append(asyncio.run(abuse(server, requests[0])))
        print("restart", file=sys.stderr)
        changes.append(asyncio.run(restart(serve, folder, server, requests)))
        print("new models", file=sys.stderr)
        others = [renamed(run, name) for name in ("a", "b")]
        live = Path(shutil.copytree(others[1], run.with_name("live")))
        server = Server([*serve[:2], live, "--port"], folder, free_port())
        server.first_answer(requests[0])
        changes.append(asyncio.run(swap(live, others, server, images)))
        log = (folder / "server.log").read_text()
    tables = {
        "From the start to the first answer": cold,
        f"Photographs, {SECONDS} seconds each": speed,
        "Requests that mean harm": harm,
        "Changes under load": changes,
    }
    measure.report("serve", tables, options)
    if "Traceback" in log:
        print(log[-3000:], file=sys.stderr)


if __name__ == "__main__":
    main()
