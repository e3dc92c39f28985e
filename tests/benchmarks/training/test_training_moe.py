"""The routing task: the structure of its traces, Parquet there and back, a conditional space, exact repetition."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from optibench_benchmarks import BenchmarkError, create, families
from optibench_benchmarks.references import table as references
from optibench_benchmarks.training.moe import traces as moe_traces
from optibench_benchmarks.training.moe.traces import EXPERTS, HISTORY, LAYERS, generate, histories, read, split

#: The guide's untuned model.
BASELINE = {
    "learning_rate": 1e-3,
    "layer_emb": 10,
    "expert_emb": 10,
    "num_layers": 3,
    "units_1": 256,
    "units_2": 128,
    "units_3": 64,
    "dropout": 0.1,
}


@pytest.fixture(scope="module")
def trace():
    return generate(12, 40, seed=0)


def test_the_units_of_a_layer_exist_only_in_networks_that_deep():
    space = create("moe-router").space
    assert dict(space.get_default_configuration()) == BASELINE
    for config in space.sample_configuration(50):
        units = [name for name in config if name.startswith("units_")]
        assert len(units) == config["num_layers"]
    with pytest.raises(BenchmarkError, match="moe-router/generated cannot train"):
        create("moe-router").evaluate(BASELINE | {"units_4": 64}, seed=0)


def test_the_model_has_the_published_layers():
    from torch import nn

    from optibench_benchmarks.training.moe.model import Router

    model = Router(BASELINE)
    kinds = [type(layer) for layer in model.head]
    assert kinds == [nn.Linear, nn.BatchNorm1d, nn.LeakyReLU, nn.Dropout] * 3 + [nn.Linear]
    assert [layer.out_features for layer in model.head if isinstance(layer, nn.Linear)] == [256, 128, 64, 8]
    assert model.head[0].in_features == 10 + 10 + 32 * 10 + 3
    assert not model.expert.weight[0].any()  # the padding


def test_top_2_accuracy_counts_the_two_largest():
    import torch

    from optibench_benchmarks.training.moe.model import top_accuracy

    logits = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    assert top_accuracy(logits, torch.tensor([0, 1, 2]), 1) == pytest.approx(1 / 3)
    assert top_accuracy(logits, torch.tensor([0, 1, 2]), 2) == pytest.approx(2 / 3)


# --- traces


def test_generated_traces_are_whole_and_repeatable(trace):
    assert len(trace.expert) == 12 * 40 * LAYERS
    assert len({*zip(trace.sequence, trace.position, trace.layer, strict=True)}) == len(trace.expert)
    assert not np.any(trace.expert == trace.second_expert)
    assert {*trace.expert.tolist()} == set(range(EXPERTS))
    np.testing.assert_allclose(trace.gate + trace.second_gate, 1.0)
    assert np.all(trace.gate >= trace.second_gate)
    again, other = generate(12, 40, seed=0), generate(12, 40, seed=1)
    assert np.array_equal(again.expert, trace.expert)
    assert not np.array_equal(other.expert, trace.expert)


def test_generated_routing_is_uneven_markov_and_drifts():
    trace = generate(60, 120, seed=0)
    grid = np.empty((60, LAYERS, 120), dtype=int)
    grid[trace.sequence, trace.layer, trace.position] = trace.expert
    loads = np.stack([np.bincount(layer.ravel(), minlength=EXPERTS) for layer in grid.transpose(1, 0, 2)])
    loads = loads / loads.sum(axis=1, keepdims=True)
    assert np.median(loads.max(axis=1)) > 1.7 / EXPERTS  # uneven ...
    assert np.abs(np.corrcoef(loads)[np.triu_indices(LAYERS, 1)]).mean() < 0.5  # ... in each layer's own way
    stays = (grid[:, :, 1:] == grid[:, :, :-1]).mean()
    shuffled = np.random.default_rng(0).permuted(grid, axis=2)
    assert stays > (shuffled[:, :, 1:] == shuffled[:, :, :-1]).mean() + 0.05
    early, late = (
        np.stack([np.bincount(layer.ravel(), minlength=EXPERTS) for layer in part.transpose(1, 0, 2)])
        for part in (grid[:, :, :30], grid[:, :, 60:90])
    )
    moved = np.abs(early / early.sum(axis=1, keepdims=True) - late / late.sum(axis=1, keepdims=True)).sum(axis=1) / 2
    assert np.median(moved) > 0.15


def test_a_history_is_the_layers_latest_choices_and_padded(trace):
    found = histories(trace, np.arange(len(trace.expert)))
    assert found.shape == (len(trace.expert), HISTORY)
    rows = {key: row for row, key in enumerate(zip(trace.sequence, trace.layer, trace.position, strict=True))}
    for sequence, layer, position in [(0, 0, 0), (3, 31, 5), (11, 7, 39)]:
        history = found[rows[sequence, layer, position]]
        assert np.array_equal(histories(trace, np.array([rows[sequence, layer, position]]))[0], history)
        earlier = [trace.expert[rows[sequence, layer, back]] + 1 for back in range(position - 1, -1, -1)][:HISTORY]
        assert history.tolist() == earlier + [0] * (HISTORY - len(earlier))


def test_no_sequence_is_in_two_parts(trace):
    order = np.arange(len(trace.expert))
    marked = moe_traces.Trace(**{**vars_of(trace), "gate": trace.sequence.astype(float)})
    parts = split(marked, (10**9,) * 3, seed=0)
    names = [set(x[:, -3].tolist()) for x, _ in (parts.train, parts.validation, parts.test)]
    assert [len(each) for each in names] == [7, 3, 2]
    assert len(set.union(*names)) == 12
    assert sum(len(y) for _, y in (parts.train, parts.validation, parts.test)) == len(order)
    assert len(split(trace, (100, 50, 7), seed=0).test[1]) == 7
    with pytest.raises(BenchmarkError, match="at least 5 sequences to be split, not 3"):
        split(generate(3, 5, seed=0), (9, 9, 9), seed=0)


def vars_of(trace):
    return {name: getattr(trace, name) for name in trace.__dataclass_fields__}


# --- real traces


@pytest.fixture
def real(data_folder):
    (data_folder / "moe-router").mkdir()
    return data_folder / "moe-router" / "traces.parquet"


def test_traces_are_read_from_parquet_as_they_were_written(real, trace):
    pq.write_table(pa.table(vars_of(trace)), real)
    for name, values in vars_of(read(real)).items():
        assert np.array_equal(values, getattr(trace, name))
    assert families()["moe-router"].provider().names() == ["moe-router/generated", "moe-router/traces"]
    task = create("moe-router/traces")
    assert task.reference is None
    assert task.evaluate(BASELINE, seed=0, fidelity={"epochs": 1}).value > 0.3
    version = task.data_version
    pq.write_table(pa.table(vars_of(generate(12, 40, seed=1))), real)
    assert create("moe-router/traces").data_version != version


def test_broken_traces_are_one_sentence(real, trace):
    columns = vars_of(trace)
    tables = {
        "cannot be read": None,
        "cannot be read .*gate": {name: values for name, values in columns.items() if name != "gate"},
        "Column layer .* has values outside of 0 to 31": columns | {"layer": trace.layer + 1},
        "Column second_gate .* is no weight between 0 and 1": columns | {"second_gate": trace.gate * np.nan},
        "Column sequence .* is empty": {name: values[:0] for name, values in columns.items()},
        "cannot be read .*cast": columns | {"expert": trace.expert + 0.5},
    }
    for message, table in tables.items():
        if table is None:
            real.write_bytes(b"no parquet")
        else:
            pq.write_table(pa.table(table), real)
        with pytest.raises(BenchmarkError, match=message) as caught:
            read(real)
        assert "\n" not in str(caught.value)


# --- references


def test_the_best_found_is_better_than_the_baseline():
    entry = references.entries()["moe-router/generated"]
    assert entry.reference.f_best > 0.69
    assert entry.best != BASELINE
