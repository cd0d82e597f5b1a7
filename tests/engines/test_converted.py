import numpy as np
import pytest

from tests.engines.conftest import relative_error, run_all
from tftransfer.engines import converted
from tftransfer.engines.converted import MOST_SHAPES, ConvertedEngine
from tftransfer.engines.frozen_graph import Graphs
from tftransfer.engines.interface import Finished


class Recording(ConvertedEngine):
    """Runs the frozen graph itself and keeps a list of what was converted."""

    name = "recording"

    def __init__(self, graphs):
        self.converted, self.closed = [], []
        super().__init__(graphs, "float32", "float32")

    def _compile(self, frozen, leaves):
        shape = leaves[0].shape[1:]
        self.converted.append(shape)
        engine = self

        class Program:
            rows_at_once = 8

            def start(self, leaves):
                return Finished(frozen.run(leaves).numpy())

            def close(self):
                engine.closed.append(shape)

        return Program()


@pytest.fixture
def lengths(rng):
    return [rng.random((2, length, 3)).astype("float32") for length in range(1, 20)]


def sum_rows(batch):
    return batch[:, 0] + batch[:, -1]


def test_rare_shapes_are_left_to_tensorflow(lengths):
    engine = Recording(Graphs(sum_rows, lengths[0]))
    for batch in lengths:
        assert relative_error(run_all(engine, [batch]), sum_rows, batch) < 1e-6
    assert engine.converted == [(1, 3)]


@pytest.mark.slow
def test_shapes_that_cost_enough_are_converted(lengths, monkeypatch):
    monkeypatch.setattr(converted, "PATIENCE", 0.0)
    engine = Recording(Graphs(sum_rows, lengths[0]))
    for batch in [*lengths, lengths[-1]]:
        assert relative_error(run_all(engine, [batch]), sum_rows, batch) < 1e-6
    assert len(engine.converted) == len(lengths)
    assert len(engine.closed) == len(lengths) - MOST_SHAPES
    engine.close()
    assert len(engine.closed) == len(lengths)


def test_small_batches_are_read_further_ahead(lengths):
    engine = Recording(Graphs(sum_rows, lengths[0]))
    assert engine.ahead == 8  # 2 rows each, twice the 8 that run at once


def test_the_shape_used_last_is_kept(lengths, monkeypatch):
    monkeypatch.setattr(converted, "PATIENCE", 0.0)
    engine = Recording(Graphs(sum_rows, lengths[0]))
    for batch in lengths[1:]:
        run_all(engine, [lengths[0], batch])
    assert (1, 3) not in engine.closed


def test_resized_images_reach_the_program(resizing_function, rng):
    images = rng.random((3, 12, 5, 3)).astype("float32")
    engine = Recording(Graphs(resizing_function, images))
    assert engine.converted == [(8, 8, 3)]
    output = run_all(engine, [images, images[:1]])
    both = np.concatenate([images, images[:1]])
    assert relative_error(output, resizing_function, both) < 1e-6
    engine.close()
    assert engine.closed == [(8, 8, 3)]
