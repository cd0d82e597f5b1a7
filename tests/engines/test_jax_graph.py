import pytest

# Keras' backend is chosen once for a process, hence another one.
SCRIPT = """
import warnings

warnings.simplefilter("error")
import keras
import numpy as np

from tftransfer.engines.building import build_engine, measure_error
from tftransfer.engines.choosing import choose_engine

inputs = keras.Input((8, 8, 3))
outputs = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
outputs = keras.layers.BatchNormalization()(outputs)
outputs = keras.layers.Dropout(0.5)(outputs)
outputs = keras.layers.GlobalAveragePooling2D()(outputs)
model = keras.Model(inputs, outputs)
images = np.random.default_rng(0).random((10, 8, 8, 3), "float32")
expected = keras.ops.convert_to_numpy(model(images, training=False))

lines = []
engine = choose_engine(
    lambda batch: model(batch, training=False), images, report=lines.append
)
batches = [images[:4], images[4:8], images[8:], images[:0]]
outputs = list(engine.run(batches))
assert [len(output) for output in outputs] == [4, 4, 2, 0]
assert measure_error(np.concatenate(outputs), expected) < 1e-6

halved = build_engine("jax", lambda batch: batch["b"] - batch["a"], {
    "b": np.full((2, 1), 5.0, "float32"), "a": np.ones((2, 1), "float32")
}, "bfloat16")
(output,) = halved.run([{"a": np.ones((2, 1)), "b": np.full((2, 1), 5.0)}])
assert output.dtype.name == "bfloat16" and output.tolist() == [[4.0], [4.0]]

for name in ("tensorflow", "openvino"):
    try:
        build_engine(name, abs, images)
    except ValueError as error:
        assert f"engine={name!r}, which needs tensorflow" in str(error)
engine.close()
print(engine.name, engine.dtype, lines[0].partition(" rows")[0].split(": ")[0])
"""


@pytest.mark.slow
def test_values_under_the_jax_backend_are_those_of_keras(run_under_jax):
    printed = run_under_jax(SCRIPT)
    assert printed.strip() == "jax float32 Engine jax"
