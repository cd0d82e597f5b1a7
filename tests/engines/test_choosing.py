import json

import numpy as np
import pytest
import tensorflow as tf

from tests.engines.conftest import relative_error, run_all
from tftransfer.engines import choosing
from tftransfer.engines.choosing import choose_engine
from tftransfer.engines.interface import Engine, EngineError, Finished
from tftransfer.engines.remembered import FILE

RATES = {"tensorflow": 100.0, "openvino": 300.0, "onnx": 200.0}


@pytest.fixture
def lines():
    return []


@pytest.fixture
def built():
    """Names of the engines built, in order."""
    return []


@pytest.fixture
def machine(monkeypatch, built):
    """Three engines, all run by Keras, with rates that are given.

    The dictionary returned is that of the rates. An engine of factor other than 1
    gives wrong values.
    """
    rates, factors = dict(RATES), {}

    class Played(Engine):
        def __init__(self, name, graphs, dtype, precision):
            super().__init__(graphs.example, dtype, precision)
            self.name, self._graphs = name, graphs

        def _start(self, leaves):
            output = self._graphs.call_flat(*leaves)
            return Finished(output.numpy() * factors.get(self.name, 1))

    def build(name, graphs, example, dtype, precision="float32"):
        built.append(name)
        if factors.get(name) is None and name in factors:
            raise EngineError("`engine` failed.") from EngineError("it is too new")
        return Played(name, graphs, dtype, precision)

    def measure(engines, batches):
        return {key: rates[key.name] for key in engines}, rates.get("quiet", True)

    monkeypatch.setattr(choosing, "build_engine", build)
    monkeypatch.setattr(choosing, "measure_rates", measure)
    monkeypatch.setattr(choosing, "estimate_rate", lambda *few: rates["tensorflow"])
    monkeypatch.setattr(choosing, "is_installed", lambda name: True)
    monkeypatch.setattr(choosing, "list_precisions", lambda: ["float32", "bfloat16"])
    rates["factors"] = factors
    return rates


@pytest.fixture
def choose(function, images, lines, tmp_path):
    def call(**options):
        options = {"folder": tmp_path, "report": lines.append, **options}
        return choose_engine(function, images, **options)

    return call


def test_the_fastest_is_chosen(machine, choose, lines, function, images):
    engine = choose()
    assert engine.name == "openvino"
    assert lines == ["Engine openvino: 300 rows a second (tensorflow 100, onnx 200)."]
    assert relative_error(run_all(engine, [images]), function, images) < 1e-6


def test_short_work_tries_nothing(machine, choose, built, lines):
    assert choose(num_rows=799).name == "tensorflow"
    assert (built, lines) == (["tensorflow"], [])


def test_longer_work_is_worth_a_trial(machine, choose):
    assert choose(num_rows=801).name == "openvino"


def test_tensorflow_is_kept_where_it_is_fastest(machine, choose):
    machine["tensorflow"] = 1000.0
    assert choose().name == "tensorflow"


def test_other_values_are_told_and_left_out(machine, choose, lines):
    machine["factors"]["openvino"] = 1.01
    assert choose().name == "onnx"
    assert lines[0] == (
        "Engine openvino is not used: its relative error is 0.01, more than the "
        "0.0001 allowed for float32."
    )


def test_an_engine_that_fails_is_told_and_left_out(machine, choose, lines):
    machine["factors"]["openvino"] = None
    assert choose().name == "onnx"
    assert lines[0] == "Engine openvino is not used: it is too new."


def test_float32_never_tries_less(machine, choose, built):
    choose()
    assert built == ["tensorflow", "openvino", "onnx"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_less_is_tried_where_the_processor_has_it(machine, choose, lines, dtype):
    engine = choose(dtype=dtype)
    assert engine.dtype == dtype
    assert ("openvino in bfloat16" in lines[0]) == (dtype == "bfloat16")
    assert "float16" not in lines[0].replace("bfloat16", "")


def test_the_choice_is_remembered(machine, choose, built, lines, tmp_path):
    choose(key="abc")
    stored = json.loads((tmp_path / FILE).read_text())
    (trial,) = stored.values()
    assert [one["engine"] for one in trial["engines"]] == list(RATES)
    built.clear()
    lines.clear()
    assert choose(key="abc").name == "openvino"
    assert (built, lines) == (["openvino"], [])
    choose(key="another")
    assert built == ["openvino", "tensorflow", "openvino", "onnx"]


def test_what_tensorflow_won_is_remembered_too(machine, choose, built):
    machine["tensorflow"] = 1000.0
    choose(key="abc")
    built.clear()
    assert choose(key="abc").name == "tensorflow"
    assert built == ["tensorflow"]


def test_a_remembered_engine_must_be_worth_building(machine, choose, tmp_path):
    choose(key="abc")
    path = tmp_path / FILE
    stored = json.loads(path.read_text())
    (trial,) = stored.values()
    for one, seconds in zip(trial["engines"], (0, 5, 5), strict=True):
        one["seconds_to_build"] = seconds
    path.write_text(json.dumps(stored))
    # 700 rows: 7 s against 5 + 2.33 s; 800 rows: 8 s against 5 + 2.67 s
    assert choose(key="abc", num_rows=700).name == "tensorflow"
    assert choose(key="abc", num_rows=800).name == "openvino"


def test_a_remembered_engine_that_fails_is_measured_anew(machine, choose, built):
    choose(key="abc")
    machine["factors"]["openvino"] = None
    built.clear()
    assert choose(key="abc").name == "onnx"
    assert built == ["openvino", "tensorflow", "openvino", "onnx"]


def test_a_remembered_engine_that_is_gone_is_measured_anew(
    machine, choose, monkeypatch
):
    choose(key="abc")
    monkeypatch.setattr(choosing, "is_installed", lambda name: name != "openvino")
    assert choose(key="abc").name == "onnx"


@pytest.mark.parametrize("entry", [{}, {"engines": []}, {"engines": [{"engine": "x"}]}])
def test_a_damaged_memory_is_measured_anew(machine, choose, tmp_path, entry):
    choose(key="abc")
    path = tmp_path / FILE
    (name,) = json.loads(path.read_text())
    path.write_text(json.dumps({name: entry}))
    assert choose(key="abc").name == "openvino"


def test_a_busy_machine_is_not_remembered(machine, choose, tmp_path):
    machine["quiet"] = False
    assert choose(key="abc").name == "openvino"
    assert not (tmp_path / FILE).exists()


def test_without_a_key_nothing_is_remembered(machine, choose, tmp_path):
    choose()
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("num_rows, told", [(None, True), (11_999, False)])
def test_what_could_be_installed_is_told_for_long_work(
    machine, choose, lines, monkeypatch, num_rows, told
):
    monkeypatch.setattr(choosing, "is_installed", lambda name: name == "tensorflow")
    assert choose(num_rows=num_rows).name == "tensorflow"
    assert any('pip install "tftransfer[fast]"' in line for line in lines) == told


def test_an_engine_asked_for_is_taken_whatever_its_speed(machine, choose, built, lines):
    assert choose(engine="onnx").name == "onnx"
    assert (built, lines) == (["onnx"], [])


def test_an_engine_asked_for_must_give_the_values(machine, choose):
    machine["factors"]["onnx"] = 2
    with pytest.raises(
        EngineError,
        match="Received: engine='onnx', but its relative error is 1, .*"
        "Use engine='tensorflow'",
    ):
        choose(engine="onnx")


def test_an_engine_asked_for_that_fails_says_so(machine, choose):
    machine["factors"]["onnx"] = None
    with pytest.raises(EngineError, match="`engine` failed"):
        choose(engine="onnx")


def test_a_random_function_is_refused(images):
    noise = lambda batch: batch + tf.random.normal(tf.shape(batch))  # noqa: E731
    with pytest.raises(EngineError, match="same values each time.*training=False"):
        choose_engine(noise, images)


def test_values_too_large_for_float16_are_refused(rng):
    rows = rng.random((4, 2)).astype("float32") + 1
    with pytest.warns(RuntimeWarning, match="overflow"):
        with pytest.raises(EngineError, match="Use dtype='float32'"):
            choose_engine(lambda batch: batch * 1e6, rows, dtype="float16", num_rows=4)


def test_a_gpu_needs_no_conversion(machine, choose, built, monkeypatch):
    monkeypatch.setattr(choosing, "has_gpu", lambda: True)
    assert choose().name == "tensorflow"
    assert built == ["tensorflow"]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"engine": "opnvino"}, "Received: engine='opnvino'. Did you mean 'openvino'"),
        ({"dtype": "int8"}, "Received: dtype='int8'"),
        ({"engine": "jax"}, "Received: engine='jax', which needs jax"),
    ],
)
def test_bad_choices_are_refused(choose, options, message):
    with pytest.raises(ValueError, match=message):
        choose(**options)


def test_real_engines_are_measured_and_one_is_chosen(function, images, tmp_path):
    lines = []
    engine = choose_engine(
        function, images, key="abc", folder=tmp_path, report=lines.append
    )
    output = run_all(engine, [images, images[:3]])
    both = np.concatenate([images, images[:3]])
    assert relative_error(output, function, both) < 1e-5
    assert lines[-1].startswith(f"Engine {engine.name}: ")
