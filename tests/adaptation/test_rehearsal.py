import keras
import numpy as np

from tftransfer.adaptation.rehearsal import rehearse
from tftransfer.pacing import Clock


class Network:
    """Takes 5 s to start and 1 s for a batch of any size, on a clock of its own."""

    def __init__(self):
        self.spent, self.left, self.started = 0.0, 100.0, False

    def predict_on_batch(self, batch):
        seconds = 1.0 if self.started else 6.0
        self.spent, self.left = self.spent + seconds, self.left - seconds
        self.started = True
        return 2 * batch


def test_passes_are_timed_without_what_the_start_takes():
    network, rows = Network(), np.arange(8.0).reshape(8, 1)
    found = rehearse(network, [rows[:4], rows[4:]], network)
    np.testing.assert_array_equal(found.logits, 2 * rows)
    assert (found.starting, found.batch, found.row) == (5.0, 1.0, 0.25)
    assert found.seconds(num_rows=8) == 7.0


def test_it_ends_where_time_does():
    network, rows = Network(), np.zeros((4, 1))
    found = rehearse(network, [rows] * 50, network, reserve=90.0)
    assert found.logits is None
    assert network.spent == 10  # 6 and 1 for the first batch, then one each


def test_a_real_network():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    rows = np.ones((10, 3), "float32")
    found = rehearse(model, [rows[:6], rows[6:]], Clock(60))
    np.testing.assert_allclose(found.logits, model(rows), rtol=1e-5)
    assert found.starting >= 0 and found.batch > 0
