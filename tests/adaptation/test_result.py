import json

import numpy as np
import pytest
from scipy import sparse

from tests.domains import draw_domain
from tftransfer.adaptation.adapt_features import adapt_features


@pytest.fixture(scope="module")
def data():
    source, labels = draw_domain(240, 0)
    target, truth = draw_domain(300, 1, shift=1.5)
    return source, labels, target, truth


@pytest.fixture(scope="module")
def result(data):
    return adapt_features(*data[:3], verbose=0)


def test_the_choice_is_one_of_the_candidates(result):
    np.testing.assert_array_equal(
        result.predict_proba(), result.candidates[result.choice]
    )
    assert result.choice in result.models
    assert result.source_counts.tolist() == [80, 80, 80]


def test_a_linear_layer_stands_for_the_model(data, result):
    kernel, bias, agreement = result.linear_layer(data[2])
    assert kernel.shape == (4, 3) and bias.shape == (3,)
    calls = (data[2] @ kernel + bias).argmax(axis=1)
    assert np.mean(calls == result.predict_proba().argmax(axis=1)) == agreement > 0.95


def test_of_the_control_the_layer_is_exact(data, result):
    rows = [int(row) for row in result.ask(60, None).rows]
    kept = result.decide(
        {row: int(result.control.predict(data[2][[row]])[0]) for row in rows}
    )
    assert kept.choice == "control"
    kernel, bias, agreement = kept.linear_layer(data[2])
    assert agreement == 1.0
    logits = data[2] @ kernel + bias
    expected = np.log(kept.control.predict_proba(data[2]))
    np.testing.assert_allclose(
        logits - logits.mean(axis=1, keepdims=True),
        expected - expected.mean(axis=1, keepdims=True),
        atol=1e-5,
    )


def test_sparse_rows_have_no_linear_layer(data, result):
    with pytest.raises(ValueError, match=r"sparse matrix of shape \(300, 4\)"):
        result.linear_layer(sparse.csr_array(data[2]))


def test_it_is_told_in_plain_values(data, result):
    told = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert told["verdict"] == result.verdict and told["choice"] == result.choice
    assert told["classes"] == [0, 1, 2] and told["num_target_rows"] == 300
    assert told["asked"] == [] and told["labels_needed"] is None
    assert [row["name"] for row in told["table"]] == list(
        dict.fromkeys(name for name in result.candidates if name != "chosen")
    )
    rows = result.ask(10, None).rows.tolist()
    decided = result.decide({row: data[3][row] for row in rows})
    told = json.loads(json.dumps(decided.to_dict(), allow_nan=False))
    assert told["asked"] == [[row, int(data[3][row])] for row in rows]
    assert set(told["estimated_accuracy"]["chosen"]) == {"value", "low", "high"}
    assert f"labels given: {len(rows)}" in str(decided)


def test_it_prints_in_lines_of_at_most_a_hundred_characters(result):
    lines = str(result).splitlines()
    assert lines[0] == result.verdict and lines[1].startswith("- ")
    assert max(map(len, lines)) <= 100
    text = " ".join(line.strip() for line in lines)
    assert all(reason in text for reason in result.reasons)
