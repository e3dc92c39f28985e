"""Data sets: location, verification, and complete downloads whatever the server does."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import re
import threading
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from optibench_benchmarks import BenchmarkError, MissingDataError, create, data
from optibench_benchmarks.data import download, store

CONTENT = {"toy/a.bin": bytes(range(256)) * 2000, "toy/b.json": b'{"b": 1}\n'}
Behaviour = Callable[["Handler", bytes, int], None]


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT; ``server.behave`` may answer the n-th request for a path in its own way."""

    def do_GET(self) -> None:
        path = self.path.removeprefix("/mirror/")
        self.server.requests[path] += 1
        self.server.ranges.append(self.headers.get("Range"))
        body = CONTENT.get(path)
        if body is None:
            self.send_error(404)
            return
        self.server.behave(self, body, self.server.requests[path])

    def usual(self, body: bytes, *, ranges: bool = True, stop: int | None = None) -> None:
        """Answer correctly; after ``stop`` bytes the connection breaks."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "") if ranges else None
        begin = int(asked[1]) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(body) - begin))
        if asked:
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        self.wfile.write(body[begin:][:stop])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A local server and a manifest of two files that it serves, with an empty data folder."""
    entries = [
        {"path": path, "size": len(body), "sha256": hashlib.sha256(body).hexdigest(), "url": f"http://x.invalid/{path}"}
        for path, body in CONTENT.items()
    ]
    toy = {"description": "", "licence": "CC0", "source": "here", "files": entries}
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"datasets": {"toy": toy}}))
    monkeypatch.setattr(store, "MANIFEST", manifest)
    monkeypatch.setenv("OPTIBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(download, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(download, "TIMEOUT", 5.0)
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    httpd.requests, httpd.ranges = Counter(), []
    httpd.behave = lambda handler, body, n: handler.usual(body)
    monkeypatch.setenv("OPTIBENCH_DATA_MIRROR", f"http://127.0.0.1:{httpd.server_port}/mirror/")
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield httpd
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def files() -> dict[str, bytes]:
    return {str(path.relative_to(data.root())): path.read_bytes() for path in data.root().rglob("*") if path.is_file()}


def one_sentence(error: pytest.ExceptionInfo) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


def test_fetch_brings_every_file_once(server):
    (status,) = data.fetch(["toy"], progress=False)
    assert status.state == "present"
    assert files() == CONTENT
    data.fetch(progress=False)
    assert server.requests == {"toy/a.bin": 1, "toy/b.json": 1}


def test_a_connection_that_drops_is_continued_where_it_broke(server):
    server.behave = lambda handler, body, n: handler.usual(body, stop=None if n > 4 else 100_000)
    data.fetch(["toy"], progress=False)
    assert files() == CONTENT
    assert server.ranges[:5] == [None, *(f"bytes={n}00000-" for n in (1, 2, 3, 4))]
    assert server.requests["toy/a.bin"] == 5


@pytest.mark.parametrize("impossible", [False, True])
def test_a_server_that_refuses_ranges_is_asked_for_the_whole_file(server, impossible):
    def behave(handler, body, n):
        if impossible and handler.headers.get("Range"):
            handler.send_error(416)
        else:
            handler.usual(body, ranges=False, stop=50_000 if n == 1 else None)

    server.behave = behave
    data.fetch(["toy"], progress=False)
    assert files() == CONTENT


def test_a_file_that_stays_truncated_is_given_up_and_continued_later(server):
    server.behave = lambda handler, body, n: handler.usual(body[:300_000])
    with pytest.raises(BenchmarkError) as error:
        data.fetch(["toy"], progress=False)
    assert "`optibench data fetch toy` again" in one_sentence(error)
    assert files() == {"toy/a.bin.part": CONTENT["toy/a.bin"][:300_000]}
    server.behave = lambda handler, body, n: handler.usual(body)
    data.fetch(["toy"], progress=False)
    assert server.ranges[-2] == "bytes=300000-"
    assert files() == CONTENT


def test_a_corrupt_part_is_downloaded_once_more_from_its_first_byte(server):
    part = data.root() / "toy" / "a.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    data.fetch(["toy"], progress=False)
    assert server.ranges[:2] == ["bytes=1000-", None]
    assert files() == CONTENT


@pytest.mark.parametrize(
    ("sent", "problem", "requests"),
    [
        (lambda body: body[:-1] + b"!", r"is not the file of the manifest \(toy/a\.bin has the checksum", 2),
        (lambda body: body + b"more", "is not the file of the manifest", None),
    ],
)
def test_a_wrong_file_is_never_put_in_place(server, sent, problem, requests):
    server.behave = lambda handler, body, n: handler.usual(sent(body))
    with pytest.raises(BenchmarkError, match=problem) as error:
        data.fetch(["toy"], progress=False)
    assert one_sentence(error)
    assert requests is None or server.requests["toy/a.bin"] == requests
    assert files() == {}


def test_a_server_error_is_tried_again_a_few_times(server):
    server.behave = lambda handler, body, n: handler.send_error(500) if n < 4 else handler.usual(body)
    data.fetch(["toy"], progress=False)
    assert files() == CONTENT
    server.behave = lambda handler, body, n: handler.send_error(503)
    (data.root() / "toy" / "b.json").unlink()
    server.requests.clear()
    with pytest.raises(BenchmarkError) as error:
        data.fetch(["toy"], progress=False)
    assert "the server answers 503" in one_sentence(error)
    assert server.requests["toy/b.json"] == download.ATTEMPTS


def test_a_file_that_the_server_has_not_is_asked_for_once(server):
    server.behave = lambda handler, body, n: handler.send_error(404)
    with pytest.raises(BenchmarkError) as error:
        data.fetch(["toy"], progress=False)
    assert "answers 404" in one_sentence(error)
    assert "OPTIBENCH_DATA_MIRROR" in str(error.value)
    assert server.requests["toy/a.bin"] == 1
    assert files() == {}


def test_without_a_connection_one_sentence_says_so(server, monkeypatch):
    monkeypatch.setenv("OPTIBENCH_DATA_MIRROR", "http://127.0.0.1:9/")
    with pytest.raises(BenchmarkError) as error:
        data.fetch(["toy"], progress=False)
    assert "Cannot download toy/a.bin from 127.0.0.1:9: Connection refused" in one_sentence(error)


def test_a_mirror_that_is_no_address_is_named(server, monkeypatch):
    monkeypatch.setenv("OPTIBENCH_DATA_MIRROR", "mirror")
    with pytest.raises(BenchmarkError, match="correct OPTIBENCH_DATA_MIRROR"):
        data.fetch(["toy"], progress=False)


def test_a_silent_server_counts_as_a_broken_connection(server, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.05)
    silence = threading.Event()
    server.behave = lambda handler, body, n: silence.wait(0.5) if n < 3 else handler.usual(body)
    data.fetch(["toy"], progress=False)
    assert files() == CONTENT


def test_nothing_is_written_to_a_folder_that_is_marked_read_only(server):
    data.root().mkdir()
    data.root().chmod(0o555)
    with pytest.raises(BenchmarkError) as error:
        data.fetch(["toy"], progress=False)
    assert "read-only" in one_sentence(error)
    assert "OPTIBENCH_DATA" in str(error.value)
    assert files() == {}
    assert not server.requests


def test_a_data_folder_that_is_a_file_is_refused(server):
    data.root().write_text("")
    with pytest.raises(BenchmarkError, match="Cannot write the data set toy"):
        data.fetch(["toy"], progress=False)


def test_a_full_disk_is_seen_before_and_during_the_download(server, monkeypatch):
    usage = download.shutil.disk_usage(".")
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: usage._replace(free=10))
    with pytest.raises(BenchmarkError, match="No room for the data set toy"):
        data.fetch(["toy"], progress=False)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: usage)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download, "_copy", full)
    with pytest.raises(BenchmarkError) as error:
        data.fetch(["toy"], progress=False)
    assert "No space left on device" in one_sentence(error)
    assert files() == {}


def test_two_downloads_at_once_do_not_mix(server):
    (dataset,) = store.select(["toy"])
    target = data.root() / "toy" / "a.bin"
    target.parent.mkdir(parents=True)
    with (
        download._exclusive(download._part(target), dataset),
        pytest.raises(BenchmarkError, match="Another process is downloading toy"),
    ):
        data.fetch(["toy"], progress=False)
    data.fetch(["toy"], progress=False)
    assert files() == CONTENT


def test_the_progress_is_the_position_in_the_file_however_often_it_starts_again(server):
    server.behave = lambda handler, body, n: handler.usual(body, ranges=n != 2, stop=100_000 if n < 3 else None)
    (dataset,) = store.select(["toy"])
    target = data.root() / "toy" / "a.bin"
    target.parent.mkdir(parents=True)
    steps: list[int] = []
    download._download(dataset, dataset.files[0], steps.append)
    assert sum(steps) == len(CONTENT["toy/a.bin"])
    assert len([step for step in steps if step > 0]) > 3
    assert min(steps) < 0


def test_the_progress_bar_goes_to_standard_error(server, capfd):
    data.fetch(["toy"], progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "toy" in err


@pytest.fixture
def archived(server, tmp_path):
    """The same files, one of them in an archive."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside/a.bin", CONTENT["toy/a.bin"])
        archive.writestr("inside/other.bin", b"unused" * 1000)
    content = json.loads(store.MANIFEST.read_text())
    entry = content["datasets"]["toy"]["files"][0]
    digest = hashlib.sha256(packed.getvalue()).hexdigest()
    entry |= {"member": "inside/a.bin", "archive_size": len(packed.getvalue()), "archive_sha256": digest}
    store.MANIFEST.write_text(json.dumps(content))
    store._read.cache_clear()
    return packed.getvalue()


def test_of_an_archive_only_the_file_is_kept(server, archived, monkeypatch):
    mirror = os.environ["OPTIBENCH_DATA_MIRROR"].rstrip("/")
    monkeypatch.delenv("OPTIBENCH_DATA_MIRROR")
    monkeypatch.setattr(download, "_url", lambda file: f"{mirror}/{file.path}")
    server.behave = lambda handler, body, n: handler.usual(archived if "a.bin" in handler.path else body, stop=900)
    (status,) = data.fetch(["toy"], progress=False)
    assert status.state == "present"
    assert files() == CONTENT
    assert None in server.ranges
    assert "bytes=900-" in server.ranges


def test_a_mirror_has_the_file_itself(server, archived):
    data.fetch(["toy"], progress=False)
    assert files() == CONTENT


def test_an_archive_with_another_file_is_refused(server, archived, monkeypatch):
    content = json.loads(store.MANIFEST.read_text())
    content["datasets"]["toy"]["files"][0]["sha256"] = "0" * 64
    store.MANIFEST.write_text(json.dumps(content))
    store._read.cache_clear()
    mirror = os.environ["OPTIBENCH_DATA_MIRROR"].rstrip("/")
    monkeypatch.delenv("OPTIBENCH_DATA_MIRROR")
    monkeypatch.setattr(download, "_url", lambda file: f"{mirror}/{file.path}")
    server.behave = lambda handler, body, n: handler.usual(archived)
    with pytest.raises(BenchmarkError, match=r"What the archive of .* holds is not the file of the manifest") as error:
        data.fetch(["toy"], progress=False)
    assert one_sentence(error)
    assert list(files()) == ["toy/a.bin.part"]


def test_states_are_told_apart(server):
    assert [status.state for status in data.datasets()] == ["missing"]
    with pytest.raises(MissingDataError, match="`optibench data fetch toy`"):
        data.locate("toy")
    data.fetch(progress=False)
    assert data.locate("toy") == data.root() / "toy"
    path = data.root() / "toy" / "a.bin"
    path.write_bytes(b"!" + CONTENT["toy/a.bin"][1:])
    seen: list[str] = []
    (status,) = data.verify(["toy"], progress=seen.append)
    assert (status.state, seen) == ("corrupt", ["toy"])
    assert "a.bin has the checksum" in status.problem
    assert data.datasets()[0].state == "present"  # by size alone
    path.write_bytes(b"!")
    assert data.datasets()[0].state == "corrupt"
    with pytest.raises(MissingDataError, match=r"corrupt .*1 bytes instead of 512000"):
        data.locate("toy")
    data.fetch(progress=False)  # fixes what is corrupt
    assert files() == CONTENT


def test_a_version_is_given_only_to_the_manifests_own_bytes_and_read_once(server, monkeypatch):
    with pytest.raises(MissingDataError, match="`optibench data fetch toy`"):
        data.version("toy")
    data.fetch(progress=False)
    read: list[str] = []
    real = store.sha256
    monkeypatch.setattr(store, "sha256", lambda path: read.append(path.name) or real(path))
    version = data.version("toy")
    assert re.fullmatch(r"[0-9a-f]{12}", version)
    assert data.version("toy") == version
    assert read == ["a.bin", "b.json"]
    (data.root() / "toy" / "a.bin").write_bytes(b"!" + CONTENT["toy/a.bin"][1:])  # as long as the right one
    with pytest.raises(MissingDataError, match=r"corrupt .*a\.bin has the checksum .*`optibench data fetch toy`"):
        data.version("toy")


@pytest.mark.parametrize("name", ["digits/mlp", "hpobench/ml/svm/wine", "hpobench/ml/lr/iris", "hpobench/ml/rf/digits"])
def test_a_task_on_data_of_scikit_learn_names_its_files_checksum(name):
    sklearn = pytest.importorskip("sklearn")
    dataset = "digits" if name.startswith("digits") else name.rpartition("/")[2]
    file = {"wine": "wine_data.csv", "iris": "iris.csv", "digits": "digits.csv.gz"}[dataset]
    content = (Path(sklearn.__file__).parent / "datasets" / "data" / file).read_bytes()
    version = create(name).data_version
    assert version == f"scikit-learn {dataset}, {hashlib.sha256(content).hexdigest()[:12]}, split 1"
    assert create(name).reference is not None


def test_an_unknown_data_set_is_answered_with_the_closest():
    for call in (data.locate, lambda name: data.fetch([name], progress=False), lambda name: data.verify([name])):
        with pytest.raises(BenchmarkError, match="did you mean yahpo/lcbench"):
            call("yahpo/lcbnch")


def test_without_the_variable_data_lies_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("OPTIBENCH_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert tmp_path in data.root().parents
    assert not data.root().exists()


def test_the_committed_manifest_is_complete():
    for name, dataset in data.manifest().items():
        assert dataset.licence, name
        assert dataset.files
        for file in dataset.files:
            assert file.path.startswith(name)
            assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
            assert file.url.startswith("https://")
            assert Path(file.member or file.url).name == Path(file.path).name


@pytest.mark.skipif(
    all(status.state == "missing" for status in data.datasets()), reason="needs a data set: optibench data fetch"
)
def test_the_data_on_this_machine_has_the_manifests_checksums():
    present = [status.dataset.name for status in data.datasets() if status.state != "missing"]
    assert [status.problem for status in data.verify(present)] == [""] * len(present)
