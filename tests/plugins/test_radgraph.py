"""Annotator ``radgraph`` through the real package, with a tiny archive in its format: every pitfall of the package is here."""

from __future__ import annotations

import hashlib
import http.server
import importlib.metadata
import importlib.util
import io
import json
import logging
import os
import random
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest
from rrgbench_annotators import RadGraph
from rrgbench_annotators import radgraph as ours
from rrgbench_annotators.radgraph import graph_of

from rrgbench import ConfigError, PluginError, ReportGraph
from rrgbench.findings import findings_of
from rrgbench.testing import AnnotatorContract

pytestmark = pytest.mark.heavy  # importing the package and what it brings takes seconds

_PATH = Path(__file__).parent.parent / "tiny_radgraph.py"


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    pytest.importorskip("radgraph", reason="the package radgraph is not installed")
    spec = importlib.util.spec_from_file_location("rrgbench_tiny_radgraph", _PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def held(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Tiny weights of two models, extracted and as archives, and their base model."""
    folder = tmp_path_factory.mktemp("radgraph")
    bert = tiny.write_bert(folder / "bert")
    archives = {}
    for model in ("radgraph", "radgraph-xl"):
        tiny.write_weights(folder / "weights", bert, model)
        archives[model] = tiny.write_archive(folder / f"{model}.tar.gz", folder / "weights", model)
    return SimpleNamespace(weights=folder / "weights", bert=bert, archives=archives)


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Caches of this test alone, and no network."""
    monkeypatch.setenv("RRGBENCH_CACHE", str(tmp_path / "ours"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ours._loaded.cache_clear()
    return tmp_path


@pytest.fixture(scope="session")
def package(held: SimpleNamespace, tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """The package's own object on a copy of the weights whose configuration names the base model's folder."""
    import radgraph

    def make(model: str = "radgraph") -> Any:
        folder = tmp_path_factory.mktemp("package")
        shutil.copytree(held.weights / model, folder / model)
        config = folder / model / "config.json"
        config.write_text(config.read_text().replace(tiny.BASE, str(held.bert)))
        return radgraph.RadGraph(model_type=model, model_cache_dir=str(folder), cuda=-1)

    return make


@pytest.fixture
def annotator(held: SimpleNamespace) -> RadGraph:
    return RadGraph(weights=held.weights, bert=held.bert)


class TestRadGraph(AnnotatorContract):
    component = RadGraph

    @pytest.fixture(autouse=True)
    def _weights(self, held: SimpleNamespace) -> None:
        type(self).options = {"weights": held.weights, "bert": held.bert}


class TestRadGraphXL(AnnotatorContract):
    component = RadGraph

    @pytest.fixture(autouse=True)
    def _weights(self, held: SimpleNamespace) -> None:
        type(self).options = {"weights": held.archives["radgraph-xl"], "bert": held.bert, "model": "radgraph-xl"}


def texts(tiny: ModuleType, number: int = 100) -> list[str]:
    draw = random.Random(5)
    return [
        " ".join(draw.choices([*tiny.WORDS, ".", ",", "2.5", "The", "HEART"], k=draw.randrange(2, 40))) for _ in range(number)
    ]


def plain(annotation: dict[str, Any]) -> dict[str, Any]:
    """The package's annotation without relations of an entity to itself."""
    entities = {
        key: entity | {"relations": [pair for pair in entity["relations"] if pair[1] != key]}
        for key, entity in annotation["entities"].items()
    }
    return annotation | {"entities": entities}


@pytest.mark.parametrize("model", ["radgraph", "radgraph-xl"])
def test_its_graphs_are_those_of_the_package_called_directly(
    model: str, held: SimpleNamespace, tiny: ModuleType, package: Callable[..., Any]
) -> None:
    import torch

    reports = texts(tiny)
    graphs = RadGraph(model=model, weights=held.weights, bert=held.bert, lower=False)(reports)  # type: ignore[arg-type]
    direct, threads = package(model), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        annotations = [plain(direct([report])["0"]) for report in reports]
    finally:
        torch.set_num_threads(threads)
    assert graphs == [graph_of(annotation) for annotation in annotations]
    labels = {entity.label for graph in graphs for entity in graph.entities}
    relations = {name for graph in graphs for entity in graph.entities for name, _ in entity.relations}
    assert len(labels) >= 4 and len(relations) == 3, "the archive predicts too little to show anything"


def test_case_is_taken_away_first_unless_asked_otherwise(held: SimpleNamespace) -> None:
    lower, kept = (RadGraph(weights=held.weights, bert=held.bert, lower=lower) for lower in (True, False))
    assert lower(["The Heart is Large."])[0].text == "the heart is large ."
    assert kept(["The Heart is Large."])[0].text == "The Heart is Large ."
    assert lower.identity != kept.identity


def test_nothing_and_spaces_are_not_given_to_the_package(held: SimpleNamespace, package: Callable[..., Any]) -> None:
    with pytest.raises(AssertionError):
        package()(["the heart", " \n "])
    assert "None" in package()([""])["0"]["text"]
    unread = RadGraph(weights=Path("/nowhere"))
    assert unread([]) == [] and unread(["", " \n\t", "\u2028"]) == [ReportGraph("")] * 3


def test_odd_characters_do_not_end_a_call(annotator: RadGraph, package: Callable[..., Any]) -> None:
    with pytest.raises(TypeError):
        package()(["the \udcff heart"])
    assert [graph.text for graph in annotator(["the \udcff heart", "\x00", "心"])] == ["the ? heart", "\x00", "心"]


def test_each_model_reads_with_its_own_tokens(held: SimpleNamespace) -> None:
    """``RadGraph(model=..)`` of the package is silently radgraph-xl."""
    small, large = (RadGraph(model=model, weights=held.weights, bert=held.bert) for model in ("radgraph", "radgraph-xl"))
    assert small(["a 5 x 6mm-node (old)"])[0].text != large(["a 5 x 6mm-node (old)"])[0].text
    assert small.identity.startswith("radgraph 0.1.18 radgraph|") and large.identity.startswith("radgraph 0.1.18 radgraph-xl|")
    finding = {entity.label.partition("::")[0] for entity in large(["the heart is large no effusion"] * 2)[0].entities}
    assert finding <= {"Anatomy", "Observation"}
    findings_of(large(["the heart is large"])[0])


def test_echograph_is_refused_with_the_reason() -> None:
    with pytest.raises(
        ConfigError, match=r"got echograph; .*Hint: the package cuts echograph's reports with RadGraph-XL's tokens"
    ):
        RadGraph(model="echograph")  # type: ignore[arg-type]


def test_a_text_is_annotated_alone_and_once(annotator: RadGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's ``batch_size`` changes nothing; batches from outside would change graphs."""
    import radgraph

    given: list[list[str]] = []
    original = radgraph.RadGraph.forward
    monkeypatch.setattr(radgraph.RadGraph, "forward", lambda self, hyps: given.append(list(hyps)) or original(self, hyps))
    annotator(["the heart", "no effusion", "The  heart"])
    assert given == [["the heart"], ["no effusion"]]


def test_a_long_text_is_cut_at_a_clear_limit_and_told(
    held: SimpleNamespace, caplog: pytest.LogCaptureFixture, tiny: ModuleType
) -> None:
    short = RadGraph(weights=held.weights, bert=held.bert, max_tokens=16)
    reports = ["the heart is large . " * 10, "lungs clear", "no effusion , " * 8]
    with caplog.at_level(logging.WARNING):
        graphs = short(reports)
    assert "2 of 3 reports have more than 16 tokens" in caplog.text
    assert [len(graph.text.split()) for graph in graphs] == [16, 2, 16]
    assert graphs[0] == short([" ".join(reports[0].split()[:16])])[0]
    assert short.identity != RadGraph(weights=held.weights, bert=held.bert).identity
    for report in texts(tiny):  # cutting tokens leaves the tokens before as they were
        for model in ("radgraph", "radgraph-xl"):
            tokens = ours._tokens(report, model)
            assert ours._tokens(" ".join(tokens[:9]), model) == tokens[:9]


def test_nothing_is_written_beside_the_weights(annotator: RadGraph, held: SimpleNamespace) -> None:
    """The package writes ``vocabulary/.lock``, and fails in a folder that cannot be written."""
    before = {path: path.stat().st_mtime_ns for path in held.weights.parent.rglob("*")}
    annotator(["the heart"])
    assert {path: path.stat().st_mtime_ns for path in held.weights.parent.rglob("*")} == before


def test_neither_random_numbers_nor_threads_nor_standard_output_are_touched(
    annotator: RadGraph, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    torch.manual_seed(3)
    expected, threads = torch.random.get_rng_state(), torch.get_num_threads()
    annotator(["the heart", "x"])
    assert torch.equal(torch.random.get_rng_state(), expected) and torch.get_num_threads() == threads
    assert capsys.readouterr().out == ""


def test_the_identity_is_the_same_for_folder_and_archive_and_another_for_other_weights(
    held: SimpleNamespace, tiny: ModuleType, tmp_path: Path
) -> None:
    places = (held.weights, held.weights / "radgraph", held.archives["radgraph"], held.archives["radgraph"].parent)
    identities = {RadGraph(weights=place, bert=held.bert).identity for place in places}
    assert len(identities) == 1
    other = tiny.write_weights(tmp_path / "other", held.bert, seed=1)
    first, second = identities.pop().split("|"), RadGraph(weights=other, bert=held.bert).identity.split("|")
    assert first[1] != second[1] and first[2:] == second[2:]
    words = tiny.write_bert(tmp_path / "bert")
    (words / "vocab.txt").write_text((words / "vocab.txt").read_text().replace("heart\nlungs", "lungs\nheart"))
    third = RadGraph(weights=held.weights, bert=words).identity.split("|")
    assert third[1] == first[1] and third[2] != first[2]


def test_missing_weights_are_one_line_that_says_how_to_get_them(tmp_path: Path) -> None:
    for options in ({}, {"weights": tmp_path}):
        with pytest.raises(ConfigError) as caught:
            RadGraph(**options)(["the heart"])
        message = str(caught.value)
        assert "\n" not in message and "no weights of radgraph" in message
        assert (
            "get radgraph.tar.gz from https://huggingface.co/StanfordAIMI/RRG_scorers and name it by the option weights"
            in message
        )


def test_the_packages_own_cache_is_found(held: SimpleNamespace, caches: Path) -> None:
    shutil.copytree(held.weights, caches / "cache" / "radgraph" / importlib.metadata.version("radgraph"))
    assert RadGraph(bert=held.bert).identity == RadGraph(weights=held.weights, bert=held.bert).identity


def test_a_missing_base_model_is_one_line_that_names_it(held: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", "/nowhere")
    with pytest.raises(ConfigError, match=r"no base model example/base; got not in the hub's cache; .*by the option bert"):
        RadGraph(weights=held.weights)(["the heart"])


def test_the_base_model_of_the_hubs_cache_is_found(held: SimpleNamespace, tmp_path: Path) -> None:
    """In a process of its own: the hub's library reads HF_HOME when it is imported."""
    snapshot = tmp_path / "hub" / "hub" / "models--example--base" / "snapshots" / "abc"
    shutil.copytree(held.bert, snapshot)
    (snapshot.parent.parent / "refs").mkdir()
    (snapshot.parent.parent / "refs" / "main").write_text("abc")
    script = (
        "import sys; from pathlib import Path; from rrgbench_annotators import RadGraph;"
        "a = RadGraph(weights=Path(sys.argv[1])); print(a.identity); print(a(['The heart'])[0].text)"
    )
    environment = os.environ | {"HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}
    command = [sys.executable, "-c", script, str(held.weights)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"{RadGraph(weights=held.weights, bert=held.bert).identity}\nthe heart\n"


class _Hub(http.server.BaseHTTPRequestHandler):
    """As much of the hub as a download asks for; ``files`` maps repository and name to content."""

    files: ClassVar[dict[str, bytes]] = {}

    def log_message(self, *told: object) -> None: ...

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self.wfile.write(self._answer())

    def _answer(self) -> bytes:
        path = self.path.partition("?")[0]
        if path.startswith("/api/models/example/base/revision/"):
            names = [name.rpartition("/")[2] for name in self.files if name.startswith("example/base/")]
            told = {
                "id": "example/base",
                "modelId": "example/base",
                "sha": "a" * 40,
                "siblings": [{"rfilename": n} for n in names],
            }
            content = json.dumps(told | {"private": False, "downloads": 0, "tags": []}).encode()
        else:
            content = self.files.get(
                "/".join(part for part in path.split("/") if part not in ("resolve", "main", "a" * 40))[1:], b""
            )
        self.send_response(200 if content else 404)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", "a" * 40)
        self.end_headers()
        return content


def test_what_is_missing_is_downloaded_only_where_it_is_asked_for(held: SimpleNamespace, tmp_path: Path) -> None:
    """From a hub on loopback, in a process of its own."""
    _Hub.files = {"StanfordAIMI/RRG_scorers/radgraph.tar.gz": held.archives["radgraph"].read_bytes()}
    _Hub.files |= {f"example/base/{path.name}": path.read_bytes() for path in held.bert.iterdir()}
    _Hub.files["example/base/pytorch_model.bin"] = b"weights that nobody needs"
    script = (
        "import sys; from rrgbench import RRGBenchError; from rrgbench_annotators import RadGraph\n"
        "try: print(RadGraph(download=sys.argv[1] == 'yes').identity)\n"
        "except RRGBenchError as error: print(error)"
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        home = {
            "HF_HOME": str(tmp_path / "hub"),
            "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_address[1]}",
            "HF_HUB_OFFLINE": "0",
        }
        told = []
        for answer in ("no", "yes"):
            command = [sys.executable, "-c", script, answer]
            done = subprocess.run(command, env=os.environ | home, capture_output=True, text=True, check=True)
            told.append(done.stdout.strip())
            if answer == "no":
                assert not (tmp_path / "hub").exists()
        hub.shutdown()
    assert "no weights of radgraph" in told[0]
    assert told[1] == RadGraph(weights=held.weights, bert=held.bert).identity
    assert not list((tmp_path / "hub").rglob("pytorch_model.bin"))


def test_weights_of_another_model_are_refused(held: SimpleNamespace, tmp_path: Path) -> None:
    shutil.copytree(held.weights / "radgraph", tmp_path / "radgraph-xl")
    with pytest.raises(ConfigError, match=r"is not of the model radgraph-xl; got radgraph__ner_labels\.txt"):
        RadGraph(model="radgraph-xl", weights=tmp_path, bert=held.bert)(["the heart"])


def test_a_base_model_of_another_size_is_refused_in_one_line(held: SimpleNamespace, tmp_path: Path, tiny: ModuleType) -> None:
    bert = tiny.write_bert(tmp_path / "bert")
    config = json.loads((bert / "config.json").read_text())
    (bert / "config.json").write_text(json.dumps(config | {"hidden_size": 32}))
    with pytest.raises(ConfigError, match=r"cannot be loaded from .*Hint: do the two belong together") as caught:
        RadGraph(weights=held.weights, bert=bert)(["the heart"])
    assert "\n" not in str(caught.value)


def test_a_base_models_own_code_is_never_run(held: SimpleNamespace, tmp_path: Path, tiny: ModuleType) -> None:
    bert = tiny.write_bert(tmp_path / "bert")
    (bert / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Config: ...\n")
    config = json.loads((bert / "config.json").read_text())
    (bert / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}}))
    (bert / "tokenizer_config.json").write_text(json.dumps({"auto_map": {"AutoTokenizer": ["evil.Tokenizer", None]}}))
    expected = RadGraph(weights=held.weights, bert=held.bert)(["the heart is large"])
    assert RadGraph(weights=held.weights, bert=bert)(["the heart is large"]) == expected
    assert not (tmp_path / "ran").exists()


def _tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def _member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ([(_member("../weights.th"), b"x")], "plain files inside"),
        ([(_member("/etc/weights.th"), b"x")], "plain files inside"),
        ([(_member("weights.th", tarfile.SYMTYPE, "/etc/passwd"), b"")], "plain files inside"),
        ([(_member("config.json", tarfile.LNKTYPE, "weights.th"), b"")], "plain files inside"),
        ([(_member("config.json", tarfile.FIFOTYPE), b"")], "plain files inside"),
        ([(_member("config.json"), b"{}"), (_member("./config.json"), b"{}")], "too much at"),
        ([(_member("config.json"), b" " * (1 << 24) + b"{}")], "too much at config.json"),
        ([(_member("readme.txt"), b"x")], "config.json, weights.th and vocabulary/ in it"),
    ],
)
def test_a_hostile_archive_is_refused_in_one_line(members: Any, told: str, tmp_path: Path, held: SimpleNamespace) -> None:
    archive = _tar(tmp_path / "radgraph.tar.gz", *members)
    with pytest.raises(ConfigError, match=told) as caught:
        RadGraph(weights=archive, bert=held.bert)(["the heart"])
    assert "\n" not in str(caught.value)
    assert not [path for path in (tmp_path / "ours").rglob("*") if path.is_file()], "something was left behind"
    assert not (tmp_path.parent / "weights.th").exists()


@pytest.mark.parametrize("keep", [0, 10, 3000, -20])
def test_a_torn_archive_is_refused_in_one_line(keep: int, tmp_path: Path, held: SimpleNamespace) -> None:
    archive = tmp_path / "radgraph.tar.gz"
    archive.write_bytes(held.archives["radgraph"].read_bytes()[:keep])
    with pytest.raises(ConfigError, match=r"a whole archive of the package|cannot be read") as caught:
        RadGraph(weights=archive, bert=held.bert)(["the heart"])
    assert "\n" not in str(caught.value)
    assert not [path for path in (tmp_path / "ours").rglob("*") if path.is_file()]


def test_a_weights_file_that_is_no_tensors_is_refused_in_one_line(held: SimpleNamespace, tmp_path: Path) -> None:
    shutil.copytree(held.weights, tmp_path / "weights")
    for content in (b"", b"not tensors", b"\x80\x04cos\nsystem\n(S'true'\ntR."):
        (tmp_path / "weights" / "radgraph" / "weights.th").write_bytes(content)
        with pytest.raises(ConfigError, match="radgraph cannot be loaded from") as caught:
            RadGraph(weights=tmp_path / "weights", bert=held.bert)(["the heart"])
        assert "\n" not in str(caught.value)


def test_a_cache_that_cannot_be_written_is_told(held: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RRGBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match=r"cannot write .*set RRGBENCH_CACHE to a folder that can be written"):
        RadGraph(weights=held.archives["radgraph"], bert=held.bert)(["the heart"])


class _NewTokenizer:
    """A tokenizer without the two methods that transformers 5 took away."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def __getattr__(self, name: str) -> Any:
        if name in ("encode_plus", "build_inputs_with_special_tokens", "batch_encode_plus"):
            raise AttributeError(name)
        return getattr(self._tokenizer, name)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._tokenizer(*arguments, **options)


@pytest.fixture
def without_old_methods(held: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    from radgraph.allennlp.common import cached_transformers

    original = cached_transformers.get_tokenizer
    monkeypatch.setattr(
        cached_transformers, "get_tokenizer", lambda *names, **options: _NewTokenizer(original(*names, **options))
    )


def test_with_the_tokenizers_of_transformers_5_graphs_are_the_same(
    held: SimpleNamespace, tiny: ModuleType, request: pytest.FixtureRequest
) -> None:
    reports = texts(tiny, 200)
    expected = RadGraph(weights=held.weights, bert=held.bert)(reports)
    ours._loaded.cache_clear()
    request.getfixturevalue("without_old_methods")
    from radgraph.allennlp.common import cached_transformers

    with pytest.raises(AttributeError, match="encode_plus"):
        cached_transformers.get_tokenizer(str(held.bert)).encode_plus("a")
    assert RadGraph(weights=held.weights, bert=held.bert)(reports) == expected


def test_modern_radgraph_xl_is_refused_without_the_old_methods(held: SimpleNamespace, without_old_methods: None) -> None:
    from radgraph.allennlp.common import cached_transformers

    with ours._tokenizers("modern-radgraph-xl"), pytest.raises(ConfigError, match=r"modern-radgraph-xl would give other graphs"):
        cached_transformers.get_tokenizer(str(held.bert))
    with ours._tokenizers("radgraph"):
        made = cached_transformers.get_tokenizer(str(held.bert))
        assert made.build_inputs_with_special_tokens([7, 8]) == [2, 7, 8, 3]


def test_a_report_that_the_package_leaves_out_is_told(annotator: RadGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    import radgraph

    monkeypatch.setattr(radgraph.RadGraph, "forward", lambda self, hyps: {})
    with pytest.raises(PluginError, match="the package gave no annotation of a report"):
        annotator(["the heart"])


def test_without_the_package_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    with pytest.raises(ConfigError, match=r'Hint: pip install "rrgbench\[radgraph\]"'):
        RadGraph()(["the heart"])
