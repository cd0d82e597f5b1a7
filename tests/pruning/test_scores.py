import pytest

from tftransfer.pruning.scores import Bound


@pytest.mark.parametrize(
    ("monitor", "baseline", "scores", "expected"),
    [
        ("auto", None, (0.9, 0.88, 0.879), [True, True, False]),
        ("auto", 0.95, (0.93, 0.929), [True, False]),
        ("val_loss", None, (0.5, 0.52, 0.521, 0.1), [True, True, False, True]),
    ],
)
def test_scores_may_fall_by_points(monitor, baseline, scores, expected):
    bound = Bound(monitor, 2.0, baseline)
    name = "val_accuracy" if monitor == "auto" else monitor
    assert [bound.holds(bound.read({name: score})) for score in scores] == expected


def test_better_is_lower_for_errors():
    accuracy, error = Bound("auto", 1.0, None), Bound("val_loss", 1.0, None)
    accuracy.read({"val_binary_accuracy": 0.9})
    error.read({"val_loss": 0.9})
    assert [x.is_better(0.8, 0.7) for x in (accuracy, error)] == [True, False]
    assert [x.is_better(0.7, 0.7) for x in (accuracy, error)] == [True, True]
    assert accuracy.describe() == "val_binary_accuracy of at least 0.89"
    assert error.describe() == "val_loss of at most 0.91"


def test_without_a_bound_everything_holds():
    bound = Bound("auto", None, None)
    assert bound.read({"loss": 0.1}) is None
    assert bound.holds(None)


@pytest.mark.parametrize(
    ("monitor", "message"),
    [
        ("auto", r"Received: monitor='auto', and \['loss'\].*Give `fit` validation"),
        ("los", "Received: monitor='los', .* Did you mean 'loss'"),
    ],
)
def test_a_metric_that_is_not_there_is_refused(monitor, message):
    with pytest.raises(ValueError, match=message):
        Bound(monitor, 1.0, None).read({"loss": 0.1})
