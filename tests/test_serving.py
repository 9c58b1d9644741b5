"""serve.py: the HTTP interface, its limits, models that change, and the page."""

import asyncio
import contextlib
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, STRIPES
from PIL import Image

pytest.importorskip("fastapi", reason="requirements-serve.txt has it")
pytest.importorskip("httpx2", reason="requirements-dev.txt has it")

import httpx2 as httpx
from fastapi.testclient import TestClient

import foldernet
import predict
import serve
from foldernet.interchange import memory
from foldernet.serving import app, command, models
from foldernet.training import runs
from foldernet.training.model_file import load_model, read_metadata, save_model

SLOW = 30  # seconds, after which something has gone wrong


@pytest.fixture(scope="module")
def run(trained) -> Path:
    return trained / "models/first"


@pytest.fixture(scope="module")
def images(stripes_folder) -> list[Path]:
    """One of each class."""
    return [stripes_folder / "val" / name / "000.png" for name in STRIPES]


@pytest.fixture(scope="module")
def served(run) -> models.Served:
    return models.Served(str(run), foldernet.load)


@pytest.fixture
def client(served):
    with TestClient(app.make(served)) as opened:
        yield opened


def form(paths) -> list:
    return [("images", (path.name, path.read_bytes())) for path in paths]


def renamed(run: Path, to: str) -> Path:
    """The same network in a run of its own, with other names of its classes."""
    folder = runs.MODELS / to
    folder.mkdir(parents=True)
    metadata = read_metadata(run / runs.BEST)
    names = [f"{name} of {to}" for name in metadata["classes"]]
    save_model(load_model(run / runs.BEST), folder / runs.BEST, metadata | {"classes": names})
    shutil.copy(run / runs.METRICS, folder)
    return folder


# The interface


def test_answers_are_those_of_predict_py(client, run, images):
    arguments = [*map(str, images), "--run", str(run), "--json", "told.json", "--top", "2"]
    assert predict.main(arguments) == 0
    expected = json.loads(Path("told.json").read_text())
    together = client.post("/predict?top=2", files=form(images))
    assert together.headers["content-type"] == "application/json"
    alone = [client.post("/predict?top=2", content=path.read_bytes()).json() for path in images]
    assert [len(each) for each in alone] == [1, 1, 1]
    for one, many, path, wanted in zip(alone, together.json(), images, expected, strict=True):
        assert (one[0].pop("file"), many["file"]) == ("<bytes>", path.name)
        for found in (one[0], many):
            assert found.keys() | {"file"} == wanted.keys()
            assert [each["class"] for each in found["top"]] == [
                each["class"] for each in wanted["top"]
            ]
            assert found["probability"] == pytest.approx(wanted["probability"], abs=1e-5)
            assert found["unknown"] == wanted["unknown"]


def test_an_image_that_cannot_be_read_has_an_error_and_the_others_answers(client, images):
    files = [*form(images[:1]), ("images", ("../../etc/passwd", b"no image"))]
    good, bad = client.post("/predict", files=files).json()
    assert good["class"] in STRIPES
    assert bad == {"file": "../../etc/passwd", "error": bad["error"]}
    assert bad["error"].startswith("not an image of a known format")


def test_an_image_that_cannot_be_read_leaves_nothing_of_it_in_memory(served):
    ((_, error),) = memory.named_images(served.predictor, b"no image")
    assert (error.__traceback__, error.__cause__, error.__context__) == (None, None, None)


def test_a_heat_map_is_an_image_of_the_size_that_the_network_sees(client, images):
    response = client.post("/explain", content=images[0].read_bytes())
    assert response.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(response.content)).size == (24, 24)


def test_the_model_tells_of_itself(client, run):
    told = client.get("/model").json()
    assert told["run"] == "first"
    assert told["classes"] == sorted(STRIPES)
    assert told["image_size"] == [24, 24]
    assert told["accuracy"] == json.loads((run / runs.METRICS).read_text())["accuracy"]
    assert client.get("/health").json() == {"status": "ok"}


def test_measurements_count_requests_by_path_and_status(client, images):
    client.post("/predict", files=form(images))
    for path in ("/no", "/nowhere"):
        client.get(path)
    told = client.get("/metrics").text
    assert 'foldernet_seconds_count{path="/predict",status="200"} 1.0' in told
    assert 'foldernet_seconds_count{path="other",status="404"} 2.0' in told
    assert "foldernet_batch_images_sum 3.0" in told


def test_the_description_is_of_what_there_is(client, images):
    told = client.get("/openapi.json").json()
    assert told["paths"].keys() == {"/predict", "/explain", "/model", "/health", "/metrics"}
    operation = told["paths"]["/predict"]["post"]
    assert [each["name"] for each in operation["parameters"]] == ["top"]
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]["items"]
    (found,) = client.post("/predict", content=images[0].read_bytes()).json()
    assert found.keys() | {"error"} == answer["properties"].keys()


def test_a_name_of_a_class_may_have_bytes_that_are_not_utf_8(served, monkeypatch):
    monkeypatch.setattr(served.predictor, "classes", ("caf\udce9", "down", "plain"))
    with TestClient(app.make(served)) as client:
        assert client.get("/model").json()["classes"][0] == "caf\udce9"


# What is refused


@pytest.mark.parametrize(
    ("request_", "status", "detail"),
    [
        (("POST", "/predict", {}), 400, "no image in it"),
        (("POST", "/predict", {"files": [("a", ("a", b""))]}), 400, "no image in it"),
        (("POST", "/predict?top=0", {"content": b"x"}), 422, "A parameter has an invalid value"),
        (("POST", "/predict?top=x", {"content": b"x"}), 422, "A parameter has an invalid value"),
        (("POST", "/explain", {"content": b"x"}), 422, "not an image of a known format"),
        (("GET", "/predict", {}), 405, "Method Not Allowed"),
        (("GET", "/page/../../pyproject.toml", {}), 404, "Not Found"),
        (("GET", "/%2e%2e/pyproject.toml", {}), 404, "Not Found"),
        (("GET", "/docs", {}), 404, "Not Found"),
        (("POST", "/predict", {"files": [("a", ("a", b"x"))] * 33}), 413, "At most 32 images"),
        (("POST", "/predict", {"content": bytes(6001)}), 413, "At most 6,000 bytes"),
        (("POST", "/predict", {"files": [("a", ("a", bytes(6001)))]}), 413, "At most 6,000"),
        *(
            (
                ("POST", "/predict", {"content": body, "headers": {"Content-Type": kind}}),
                400,
                "The form can't be read",
            )
            for body, kind in [
                (b"no form", "multipart/form-data; boundary=x"),
                (b"--x\r\n\r\n\r\n--x--", "multipart/form-data; boundary=x"),
                (b"--x\r\nContent-Disposition: form-data; na", "multipart/form-data; boundary=x"),
                (b"no boundary", "multipart/form-data"),
            ]
        ),
    ],
    ids=lambda value: " ".join(map(str, value))[:60] if isinstance(value, tuple) else "",
)
def test_what_is_wrong_is_a_problem_of_rfc_9457(request_, status, detail, served, monkeypatch):
    monkeypatch.setattr(app, "MOST_BYTES", 6000)
    method, path, arguments = request_
    with TestClient(app.make(served)) as client:
        response = client.request(method, path, **arguments)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    told = response.json()
    assert told.keys() == {"title", "status", "detail"}
    assert told["status"] == status
    assert detail in told["detail"]
    assert (status == 405) == ("allow" in response.headers)


def test_a_fault_of_ours_is_a_problem_too_and_the_next_request_is_answered(served, monkeypatch):
    with TestClient(app.make(served), raise_server_exceptions=False) as client:
        with monkeypatch.context() as patch:
            patch.setattr(memory, "read", lambda *_: 1 / 0)
            response = client.post("/predict", content=b"x")
        assert (response.status_code, response.json()["status"]) == (500, 500)
        assert "division" not in response.text
        assert client.post("/predict", content=b"x").status_code == 200


def test_a_token_is_asked_for_but_by_the_page_and_health(served, images):
    with TestClient(app.make(served, "s3cret")) as client:
        for path in ("/model", "/metrics", "/openapi.json", "/nowhere"):
            response = client.get(path)
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
        for given in ("s3cret", "Bearer", "Bearer s3cre", "Bearer s3crett", "Bearer \xe9"):
            response = client.get("/model", headers={"Authorization": given.encode("latin-1")})
            assert response.status_code == 401
        for path in ("/", "/page.js", "/page.css", "/health"):
            assert client.get(path).status_code == 200
        assert client.get("/model", headers={"Authorization": "Bearer s3cret"}).is_success


def test_another_name_of_this_computer_is_refused(served):
    """As a page elsewhere would use it, whose name is made to point here."""
    with TestClient(app.make(served, hosts=("127.0.0.1", "localhost", "::1"))) as client:
        for host in ("127.0.0.1:8000", "localhost", "[::1]:80"):
            assert client.get("/model", headers={"Host": host}).status_code == 200
        for host in ("evil.example", "localhost.evil.example:8000"):
            assert client.get("/model", headers={"Host": host}).status_code == 421


# What comes at the same time


def of(coroutine):
    """What a coroutine returns, in a thread: Playwright has a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def at_once(application, *requests) -> list[httpx.Response]:
    """The responses to requests (path, body) that come together."""

    async def ask():
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            posts = (client.post(path, content=body) for path, body in requests)
            return await asyncio.gather(*posts)

    return of(ask())


def test_requests_that_come_together_are_one_call_of_the_network(served, images, monkeypatch):
    network, sizes = served.predictor.network, []
    ask = network.predict_on_batch
    monkeypatch.setattr(network, "predict_on_batch", lambda x: sizes.append(len(x)) or ask(x))
    bodies = [path.read_bytes() for path in images] * 8
    responses = at_once(app.make(served), *(("/predict", body) for body in bodies))
    assert sum(sizes) == 24
    assert len(sizes) <= 4
    alone = at_once(app.make(served), *(("/predict", body) for body in bodies[:1]))
    assert responses[0].json()[0]["class"] == alone[0].json()[0]["class"]
    classes = [response.json()[0]["class"] for response in responses]
    assert classes == classes[:3] * 8


@pytest.mark.parametrize(("limit", "most"), [("MOST_WAITING", 2), ("MOST_HELD", 3000)])
def test_what_is_too_much_at_a_time_is_sent_away_for_a_moment(
    limit, most, served, images, monkeypatch
):
    monkeypatch.setattr(models if limit == "MOST_WAITING" else app, limit, most)
    body, application = images[0].read_bytes(), app.make(served)
    responses = at_once(application, *[("/predict", body)] * 8)
    codes = {response.status_code for response in responses}
    assert codes == {200, 503} if limit == "MOST_WAITING" else {503} <= codes
    for response in responses:
        if response.status_code == 503:
            assert response.headers["retry-after"] == "1"
            assert response.json()["status"] == 503
    monkeypatch.undo()
    assert at_once(application, ("/predict", body))[0].status_code == 200, "nothing is held"


@pytest.mark.parametrize("kind", ["image/png", "multipart/form-data; boundary=x"])
def test_a_body_that_does_not_end_is_given_up(kind, served, monkeypatch):
    monkeypatch.setattr(app, "UPLOAD_SECONDS", 0.05)

    async def body():
        yield b"--x\r\n"
        await asyncio.Event().wait()

    async def ask():
        transport = httpx.ASGITransport(app.make(served))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post("/predict", content=body(), headers={"Content-Type": kind})

    assert of(ask()).status_code == 408


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is a temporary file")
def test_no_upload_reaches_a_disk(client, images, monkeypatch):
    opened = io.open

    def watched(file, mode="r", *others, **named):
        assert isinstance(file, int) or not set(mode) & set("wax+"), file
        return opened(file, mode, *others, **named)

    monkeypatch.setattr("builtins.open", watched)
    monkeypatch.setattr("tempfile.mkdtemp", None)
    monkeypatch.setattr("tempfile.mkstemp", None)
    large = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8)).save(
        large, "PNG"
    )
    files = [*form(images), ("images", ("large.png", large.getvalue()))]
    assert [each["file"] for each in client.post("/predict", files=files).json()][3] == "large.png"


# Models that change


def test_a_changed_model_takes_over_and_no_answer_is_of_two(run, images):
    names = {name: renamed(run, name) for name in ("a", "b")}
    shutil.copytree(names["a"], runs.MODELS / "live")
    loaded = []
    served = models.Served("live", lambda path: loaded.append(path) or foldernet.load(path))
    application = app.make(served)

    async def ask():
        transport, seen, done = httpx.ASGITransport(application), [], asyncio.Event()
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:

            async def keep_asking():
                while not done.is_set():
                    response = await client.post("/predict", files=form(images))
                    seen.append({each["class"].split()[-1] for each in response.json()})

            asking = [asyncio.create_task(keep_asking()) for _ in range(3)]
            for name in ("b", "a"):
                shutil.copy(names[name] / runs.BEST, runs.MODELS / "live" / runs.BEST)
                loaded.clear()
                for _ in range(2):
                    await asyncio.to_thread(served.renew)
                assert len(loaded) == 1
                before = len(seen)
                while len(seen) < before + 6:
                    await asyncio.sleep(0)
            done.set()
            await asyncio.gather(*asking)
        return seen

    seen = of(ask())
    assert all(len(models_) == 1 for models_ in seen)
    assert set.union(*seen) == {"a", "b"}


def test_the_newest_run_is_followed_once_it_has_ended(run, capsys):
    shutil.copytree(run, runs.MODELS / "one")
    loaded = []
    served = models.Served(
        None, lambda path: loaded.append(path.parent.name) or foldernet.load(path)
    )
    shutil.copytree(run, runs.MODELS / "two", ignore=lambda *_: [runs.METRICS])
    os.utime(runs.MODELS / "two" / runs.BEST)
    for _ in range(3):
        served.renew()
    assert (served.folder.name, loaded) == ("one", ["one"])
    shutil.copy(run / runs.METRICS, runs.MODELS / "two")
    for _ in range(3):
        served.renew()
    assert (served.folder.name, loaded) == ("two", ["one", "two"])
    assert "Serving two now" in capsys.readouterr().err


def test_a_model_that_cannot_be_loaded_is_told_once_and_the_old_one_stays(run, images, capsys):
    shutil.copytree(run, runs.MODELS / "one")
    served = models.Served("one", foldernet.load)
    (runs.MODELS / "one" / runs.BEST).write_bytes(b"damaged")
    for _ in range(4):
        served.renew()
    told = capsys.readouterr().err
    assert told.count("warning: ") == 1
    assert "'models/one/best.keras' is not served, the earlier model is: " in told
    shutil.rmtree(runs.MODELS / "one")
    served.renew()
    with TestClient(app.make(served)) as client:
        assert client.post("/predict", content=images[0].read_bytes()).is_success
        assert client.get("/model").json()["accuracy"] is None
    assert "error" not in capsys.readouterr().err


# serve.py


@pytest.fixture
def started(monkeypatch):
    """What would be served, in place of serving it."""
    begun = []
    monkeypatch.setattr(app, "serve", lambda *given: begun.append(given))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(models.Served, "follow", lambda _: None)
    return begun


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "for this computer alone"),
        (["--host", "localhost"], "at http://localhost:"),
        (["--host", "0.0.0.0"], "for everybody who reaches it, as there is no --token; nothing is"),
        (["--host", "0.0.0.0", "--token", "x"], "for everybody who has the token; nothing is enc"),
    ],
)
def test_it_says_what_is_open_to_whom(options, told, run, started, capsys):
    assert serve.main([str(run), "--port", "0", *options]) == 0
    *_, line_ = capsys.readouterr().err.splitlines()
    assert told in line_
    ((application, listener),) = started
    with listener, TestClient(application, base_url="http://elsewhere") as client:
        status = client.get("/health").status_code
    assert status == (200 if "0.0.0.0" in options else 421)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "There is no run 'nowhere'"),
        ([], "There is no trained classify model in"),
        (["{run}", "--host", "203.0.113.7"], "Can't listen on port 8000 of '203.0.113.7' ("),
        (
            ["{run}", "--port", "{taken}"],
            "(Address already in use). Choose another --port or --host.",
        ),
        (["--port", "70000"], "--port 70000 is too large"),
        (["blur"], "'models/blur/best.keras' is no classifier. Name a run of one."),
        (["--prot", "1"], "There is no option --prot; did you mean '--port'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_gets_one_sentence(arguments, told, run, started, capsys, monkeypatch):
    from types import SimpleNamespace

    if arguments == ["blur"]:
        Path("models/blur").mkdir(parents=True)
        shutil.copy(run / runs.BEST, "models/blur")
        monkeypatch.setattr(command, "load", lambda path: SimpleNamespace(path=path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        free = [] if "--port" in arguments or "--host" in arguments else ["--port", "0"]
        arguments = [each.format(taken=port, run=run) for each in arguments]
        assert serve.main([*arguments, *free]) == 1
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("error: ")
    assert told in last


def test_a_missing_library_gets_a_sentence(monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith("foldernet.serving.")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("app", "models"):
        monkeypatch.delattr(f"foldernet.serving.{name}")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.setitem(sys.modules, "multipart", None)
    assert serve.main([]) == 1
    assert "error: Serving needs multipart: pip install -r requirements-serve.txt" in (
        capsys.readouterr().err
    )


def test_what_it_needs_is_what_its_requirements_name():
    """No library but those, and with the bounds that training has."""
    imports = "import sys, serve\nfrom foldernet.serving import app, models\n"
    done = subprocess.run(
        [sys.executable, "-c", imports + "print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    heavy = {"tensorflow", "keras", "scipy", "sklearn", "matplotlib", "jinja2", "lmdb", "h5py"}
    assert not loaded & (heavy | {"psutil", "platformdirs", "threadpoolctl", "rich", "imagehash"})

    def bounds(name):
        lines = (ROOT / name).read_text().splitlines()
        return {row.split("  #")[0] for row in lines if row and row[0] not in "#-"}

    names = [re.split("[><=]", row)[0] for row in bounds("requirements-base.txt")]
    shared = {row for row in bounds("requirements-serve.txt") if re.split("[><=]", row)[0] in names}
    assert len(shared) == 7
    assert shared <= bounds("requirements-base.txt")


class Process:
    """serve.py in a process of its own, which has no TensorFlow to fall back on."""

    def __init__(self, *arguments, cwd):
        command = [sys.executable, str(ROOT / "serve.py"), "--port", "0", *arguments]
        self.process = subprocess.Popen(command, cwd=cwd, stderr=subprocess.PIPE, text=True)
        self.told = self.process.stderr.readline()
        self.url = re.search(r"http://[^,]+", self.told)[0]
        self.address = ("127.0.0.1", int(self.url.rpartition(":")[2]))

    def end(self) -> tuple[int, str]:
        """The exit status, and what was said since the start."""
        self.process.send_signal(signal.SIGTERM)
        _, told = self.process.communicate(timeout=SLOW)
        return self.process.returncode, told


@pytest.fixture(scope="module")
def process(trained):
    running = Process("first", cwd=trained)
    yield running
    assert running.end() == (0, ""), "nothing of a request is logged"


def test_sigterm_lets_what_was_begun_be_answered(trained, images):
    running, body = Process("first", cwd=trained), images[0].read_bytes()
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    with (
        socket.create_connection(running.address, SLOW) as begun,
        socket.create_connection(running.address, SLOW) as idle,
    ):
        begun.sendall(head.encode() + body[:10])
        assert httpx.get(f"{running.url}/health").is_success  # and so the others have arrived
        running.process.send_signal(signal.SIGTERM)
        assert idle.recv(1) == b"", "an idle connection is closed"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(running.address, SLOW).close()
        begun.sendall(body[10:])
        answer = begun.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])[0]["class"] in STRIPES
    assert running.process.communicate(timeout=SLOW) == (None, "")
    assert running.process.returncode == 0


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000,
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nhalf of it",
        b"GET /predict HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket"
        b"\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n",
    ],
)
def test_what_is_no_request_harms_nobody(sent, process, images):
    connection = socket.create_connection(process.address, SLOW)
    with connection, contextlib.suppress(ConnectionError):
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1000)
    response = httpx.post(f"{process.url}/predict", content=images[0].read_bytes())
    assert response.json()[0]["class"] in STRIPES


def test_every_answer_has_the_headers_of_security(process):
    for path, status in (("/", 200), ("/nowhere", 404), ("/model", 200)):
        response = httpx.get(process.url + path)
        assert response.status_code == status
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "server" not in response.headers


@contextlib.contextmanager
def in_a_thread(application):
    """The address of a server of this process."""
    servers, Server = [], app.uvicorn.Server
    listener = socket.create_server(("127.0.0.1", 0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            app.uvicorn,
            "Server",
            lambda config: servers.append(Server(config)) or servers[0],
        )
        thread = threading.Thread(target=app.serve, args=(application, listener))
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            while not servers:
                time.sleep(0.01)
            servers[0].should_exit = True
            thread.join(SLOW)


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTTP/1.1\r\nHost", b"GET /health HTTP/1.1\r\nH: x\r\n\r\nGET"]
)
def test_who_does_not_go_on_is_hung_up_on(sent, served, monkeypatch):
    monkeypatch.setattr(app, "CONNECTION_SECONDS", 0.1)
    with in_a_thread(app.make(served)) as address, socket.create_connection(address) as slow:
        slow.settimeout(SLOW)
        slow.sendall(sent)
        with contextlib.suppress(ConnectionResetError):
            while slow.recv(1000):
                pass


# The document


EXAMPLES = re.findall(r"```(sh|python|js)\n(.*?)```", (ROOT / "docs/serving.md").read_text(), re.S)


@pytest.mark.parametrize(("language", "code"), EXAMPLES[:3], ids=lambda value: value[:6])
def test_the_examples_of_the_document_work(language, code, process, images):
    program = {"sh": "curl", "js": "node", "python": sys.executable}[language]
    if not shutil.which(program):
        pytest.skip(f"there is no {program}")
    for name, path in zip(("cat.jpg", "dog.jpg"), images, strict=False):
        Image.open(path).save(name)
    code = code.replace("http://127.0.0.1:8000", process.url)
    command = {"sh": ["sh", "-ec"], "js": ["node", "-e"], "python": [sys.executable, "-c"]}
    done = subprocess.run([*command[language], code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert any(name in done.stdout for name in STRIPES)
    if language == "sh":
        assert Image.open(io.BytesIO(Path("cat-why.png").read_bytes())).size == (24, 24)


# The page


@pytest.fixture
def page(browser, process):
    """The page, which fetches nothing from elsewhere, and whose console is silent."""
    page, told, fetched = browser.new_page(), [], []
    page.set_default_timeout(SLOW * 1000)
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda request: fetched.append(request.url))
    page.goto(process.url)
    page.get_by_role("heading", name="The model").wait_for()
    yield page
    assert told == []
    assert [url for url in fetched if not url.startswith((process.url, "blob:", "data:"))] == []
    page.close()


def answers(page, count: int) -> list[str]:
    """What the page says of so many images, once it does."""
    page.locator(".answer table:visible, .answer .error:visible").nth(count - 1).wait_for()
    return page.locator(".answer").all_inner_texts()


def test_the_page_answers_for_several_images_and_one_that_is_none(page, images):
    Path("notes.jpg").write_text("no image")
    assert "Tells 3 classes apart" in page.inner_text("header")
    page.set_input_files("#choose", [*images, "notes.jpg"])
    *said, wrong = answers(page, 4)
    assert "It can't be read: not an image of a known format" in wrong
    for text in said:
        assert re.search(r"000\.png\s+(across|down|plain)\s+\d+\.\d%", text)
    widths = (
        page.locator(".answer")
        .first.locator(".bar")
        .evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().width)")
    )
    assert widths == sorted(widths, reverse=True)
    assert "%" in page.get_by_role("status").inner_text() or "read" in page.inner_text("#said")


def test_a_heat_map_is_shown_on_demand_and_hidden_again(page, images):
    page.set_input_files("#choose", images[0])
    answers(page, 1)
    button = page.get_by_role("button", name="Show heat map of 000.png")
    button.click()
    page.locator(".heat img:visible").wait_for()
    assert (
        page.locator(".heat img").evaluate("image => image.decode().then(() => image.naturalWidth)")
        == 24
    )
    assert "000.png" in page.locator(".heat img").get_attribute("alt")
    page.get_by_role("button", name="Hide heat map of 000.png").click()
    assert page.locator(".heat").is_hidden()


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_images_can_be_dropped_and_pasted(event, page, images):
    data = list(images[1].read_bytes())
    page.evaluate(
        """([event, bytes]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "given.png", { type: "image/png" }));
            const options = { bubbles: true, cancelable: true };
            document.body.dispatchEvent(event === "drop"
                ? new DragEvent(event, { ...options, dataTransfer: data })
                : new ClipboardEvent(event, { ...options, clipboardData: data }));
        }""",
        [event, data],
    )
    assert "given.png" in answers(page, 1)[0]


def test_all_of_it_works_by_keyboard(page, images):
    page.on("filechooser", lambda _: None)  # now, or Enter may come before Chromium tells of one
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "choose"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(images[0])
    answers(page, 1)
    for name in ("Clear", "Show heat map"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == name
    page.keyboard.press("Enter")
    page.locator(".heat img:visible").wait_for()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    assert page.locator(".answer").count() == 0
    assert page.evaluate("document.activeElement.id") == "choose"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_shut_out_of_the_page_on_a_phone_either(scheme, page, images):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="requirements-dev")
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 390, "height": 800})
    Path("notes.jpg").write_text("no image")
    page.set_input_files("#choose", [images[0], "notes.jpg"])
    answers(page, 2)
    page.get_by_role("button", name="Show heat map of 000.png").click()
    page.locator(".heat img:visible").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    found = axe.Axe().run(page)
    assert [each["id"] for each in found.response["violations"]] == []


def test_the_page_asks_for_a_token(browser, served, images):
    with in_a_thread(app.make(served, "s3cret")) as (host, port):
        page = browser.new_page()
        page.goto(f"http://{host}:{port}")
        for given in ("wrong", "s3cret"):
            page.get_by_label("This server asks for a token").fill(given)
            page.keyboard.press("Enter")
            told = "That is not the token" if given == "wrong" else "The model"
            page.get_by_text(told).wait_for()
        page.set_input_files("#choose", images[0])
        answers(page, 1)
        page.close()
