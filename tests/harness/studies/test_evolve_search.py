"""The search for attentions: its rules, configurations, and an endpoint that answers well and badly."""

from __future__ import annotations

import functools
import http.server
import json
import sys
import threading
from pathlib import Path

import pytest
import yaml

from optibench.errors import HarnessError
from optibench.studies.attention_search import evaluator, runner, settings
from optibench.studies.attention_search.__main__ import main
from optibench.studies.attention_search.client import EndpointError, complete
from optibench.studies.attention_search.evaluator import Answer, Limits
from optibench.studies.attention_search.program import (
    END,
    START,
    RuleError,
    check,
    framework_of,
    parts,
    splice,
    template,
)
from optibench_benchmarks.training.attention.tasks import FRAMEWORKS

sys.path.insert(0, str(Path(__file__).parent))  # where the blocks are
from evolved import LEAKING, MEAN


def fenced(code: str) -> str:
    return f"Here is a better one:\n```python\n{code}\n```\nIt is faster."


# --- the rules


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_shipped_programs_keep_the_rules(framework):
    before, block, after = parts(template(framework))
    check(block, longest=10_000)
    assert before + block + after == template(framework)
    assert framework_of(template(framework), FRAMEWORKS) == framework


def test_a_block_is_put_into_the_frameworks_file_and_nothing_else_changes():
    for answer in (
        fenced(MEAN),
        fenced(template("coefficient-dynamics").replace(*_swap("coefficient-dynamics", MEAN))),
    ):
        found = splice(answer, "coefficient-dynamics", longest=10_000)
        before, block, after = parts(found)
        assert block.strip() == MEAN.strip()
        assert (before, after) == parts(template("coefficient-dynamics"))[::2]
        compile(found, "found", "exec")
    marked = splice(fenced(f"{START}\n{MEAN}{END}"), "matrix-mixer", longest=10_000)
    assert parts(marked)[1].strip() == MEAN.strip()


def _swap(framework: str, block: str) -> tuple[str, str]:
    return parts(template(framework))[1], block


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("I cannot do that.", "no code in a fence"),
        (fenced("def mix(q, k, v):\n  return ("), "no Python: .* line"),
        (fenced("def attend(q, k, v):\n    return v"), "defines no function `mix`"),
        (fenced("x" * 5001), "more than 5000"),
        (fenced(f"import torch\n{START}\n{MEAN}{END}"), "Only what is between"),
        (fenced(template("matrix-mixer").replace("from torch", "import os\nfrom torch", 1)), "Only what is between"),
        (fenced(f"{START}\n{MEAN}"), "exactly|one line"),
    ],
)
def test_an_answer_that_is_no_block_is_refused_with_the_reason(answer, message):
    with pytest.raises(RuleError, match=message) as caught:
        splice(answer, "matrix-mixer", longest=5000)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "import os",
        "import torch.hub",
        "from torch import load",
        "from torch.nn import Parameter",
        "from . import evolvable",
        "x = open('/etc/passwd')",
        "x = eval('1')",
        "x = __import__('os')",
        "x = torch.load('weights')",
        "x = torch.nn.Parameter(torch.zeros(3))",
        "x = v.__class__",
        "x = v._base",
        "torch.manual_seed(0)",
        "while True: pass",
        "class Mixer: pass",
        "y = [getattr(torch, 'load')]",
    ],
)
def test_a_block_that_does_more_than_compute_is_refused(line):
    with pytest.raises(RuleError, match=r"is not allowed|is no function, import or assignment"):
        check(f"{line}\n{MEAN}", longest=5000)


# --- configurations


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_shipped_configurations_are_read(framework):
    found = settings.read(framework, api_base="http://127.0.0.1:1/v1/", model="m", iterations=3)
    assert (found.max_iterations, found.llm.api_base) == (3, "http://127.0.0.1:1/v1")
    assert found.llm.models == (settings.Model(name="m"),)
    assert found.evaluator.timeout > 0
    assert "mix(q, k, v)" in found.prompt.system_message


def test_the_key_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    assert settings.read("matrix-mixer").llm.token == "secret"
    monkeypatch.delenv("OPENAI_API_KEY")
    assert settings.read("matrix-mixer").llm.token == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, r"c\.yaml:1: unknown key 'colour'"),
        ({"llm": {"api_bass": 1}}, r"c\.yaml:\d+: `llm`: .*unknown field `api_bass`"),
        ({"diff_based_evolution": True}, "has to be false"),
        ({"llm": {"api_base": "localhost", "models": [{"name": "a"}]}}, "has to begin with http"),
        ({"llm": {"api_base": "http://a"}}, r"`llm.models`: expected `array` of length >= 1"),
        ({"max_iterations": "many"}, r"c\.yaml:\d+: `max_iterations`: expected `int`, got `str`"),
        ({"evaluator": {"timeout": 0}}, r"`evaluator.timeout`: expected `float` > 0"),
    ],
)
def test_a_wrong_configuration_is_one_sentence(tmp_path, change, message):
    values = yaml.safe_load((settings.CONFIGS / "matrix-mixer.yaml").read_text()) | change
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(HarnessError, match=message) as caught:
        settings.read(tmp_path / "c.yaml")
    assert "\n" not in str(caught.value)


# --- a stand-in for an endpoint


class StandIn(http.server.ThreadingHTTPServer):
    """Gives its answers in turn: a text, or a status to fail with, or bytes to send as they are."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[str | int | bytes] = []
        self.requests: list[dict] = []
        self.base = f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: StandIn

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(body | {"path": self.path, "key": self.headers.get("Authorization")})
        answer = self.server.answers.pop(0)
        content = answer if isinstance(answer, bytes) else b"{}"
        if isinstance(answer, str):
            content = json.dumps({"choices": [{"message": {"role": "assistant", "content": answer}}]}).encode()
        self.send_response(answer if isinstance(answer, int) else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def endpoint():
    server = StandIn()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def fast(endpoint, tmp_path, monkeypatch):
    """Settings that ask the stand-in."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    values = yaml.safe_load((settings.CONFIGS / "matrix-mixer.yaml").read_text())
    values["llm"] |= {"api_base": endpoint.base, "retries": 1, "retry_delay": 0.01, "timeout": 20}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(values))
    return lambda iterations: settings.read(tmp_path / "c.yaml", iterations=iterations)


def test_a_completion_is_asked_for_as_the_interface_says(endpoint, fast):
    endpoint.answers = [503, "hello"]
    assert complete(fast(1).llm, "m", [{"role": "user", "content": "hi"}], 7) == "hello"
    request = endpoint.requests[1]
    assert (request["path"], request["key"], request["model"], request["seed"]) == (
        *("/v1/chat/completions", "Bearer k", "m"),
        7,
    )
    assert request["messages"] == [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([401], "401"),
        ([500, 500], "500"),
        ([b"not json"], "without choices"),
        ([b'{"choices": []}'], "without choices"),
    ],
)
def test_an_endpoint_that_gives_nothing_is_one_sentence(endpoint, fast, answers, message):
    endpoint.answers = list(answers)
    with pytest.raises(EndpointError, match=message) as caught:
        complete(fast(1).llm, "m", [], 0)
    assert not endpoint.answers
    assert "\n" not in str(caught.value)


def scored(path: Path, framework: str, limits: Limits) -> Answer:
    """A fitness without a training: longer blocks are better, and leaking ones are refused."""
    block = parts(path.read_text())[1]
    if "expand_as" in block:
        return Answer(False, "contract", "`mix` is not causal")
    return Answer(True, values={"fitness": len(block) / 1000, "losses": [2.0, 1.0]})


def test_a_search_keeps_the_best_and_survives_bad_answers(endpoint, fast, tmp_path):
    better = MEAN + "\n\n" + "".join(f"def f{n}(x):\n    return x + {n}\n\n\n" for n in range(60))
    endpoint.answers = [
        fenced(MEAN),  # valid, worse
        fenced("def mix(q, k, v) return v"),  # no Python
        fenced("import os\n" + MEAN),  # breaks a rule
        fenced(LEAKING),  # breaks the contract
        "no code at all",
        fenced(better),
        fenced(template("coefficient-dynamics")),  # changes what is outside of the block
    ]
    out = tmp_path / "out"
    found = runner.run("matrix-mixer", fast(7), out, measure=scored)
    lines = [json.loads(line) for line in (out / runner.CANDIDATES).read_text().splitlines()]
    assert [line["reason"] for line in lines] == ["", "", "rules", "rules", "contract", "rules", "", "rules"]
    assert found.iteration == 6
    saved = (out / runner.BEST / "best_program.py").read_text()
    assert parts(saved)[1].strip() == better.strip()
    assert framework_of(saved, FRAMEWORKS) == "matrix-mixer"
    info = json.loads((out / runner.BEST / "best_program_info.json").read_text())
    assert info["metrics"]["combined_score"] == pytest.approx(found.fitness)
    told = endpoint.requests[-1]["messages"][1]["content"]
    assert "not causal" in told
    assert "has no code" in told
    assert not (out / "candidate.py").exists()


def test_a_stopped_search_goes_on_where_it_was(endpoint, fast, tmp_path):
    endpoint.answers = [fenced(MEAN), 401]
    with pytest.raises(EndpointError):
        runner.run("matrix-mixer", fast(3), tmp_path / "out", measure=scored)
    journal = tmp_path / "out" / runner.CANDIDATES
    journal.write_text(journal.read_text() + '{"iteration": 2, "par')
    endpoint.answers = [fenced(MEAN + "\n\ndef g(x):\n    return x\n"), fenced(LEAKING)]
    runner.run("matrix-mixer", fast(3), tmp_path / "out", measure=scored)
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [0, 1, 2, 3]
    assert not endpoint.answers
    with pytest.raises(HarnessError, match="does not hold a search of test-time-regression"):
        runner.run("test-time-regression", fast(3), tmp_path / "out", measure=scored)


@pytest.mark.heavy
def test_a_search_from_end_to_end_with_real_trainings(endpoint, fast, tmp_path):
    endpoint.answers = [fenced(MEAN), fenced(LEAKING)]
    found = runner.run("matrix-mixer", fast(2), tmp_path / "out", measure=functools.partial(evaluator.law, epochs=1))
    assert found.fitness is not None
    best = tmp_path / "out" / runner.BEST / "best_program.py"
    arguments = ["--frameworks", "matrix-mixer", "--seeds", "2", "--epochs", "1", "--out", str(tmp_path / "report")]
    assert main(["validate", "--best", f"matrix-mixer={best}", *arguments]) == 0
    assert "matrix-mixer evolved" in (tmp_path / "report" / "variants.md").read_text()
