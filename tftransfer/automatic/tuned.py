"""The second thing to try: some of the network learns, for as long as the time is."""

import numpy as np

from tftransfer.automatic.result import Trial
from tftransfer.pacing import Clock, Pace
from tftransfer.training.fine_tune import fine_tune
from tftransfer.training.stages import Stage

RATE, MOST_EPOCHS = 3e-4, 12
# Share of the weights that learns, and epochs without which it is not worth it.
DEPTHS = ((0.9, 5), (0.5, 3))


def try_tuned(frozen, problem, clock, seconds, seed):
    """Fine-tune a network whose head is learned, as deep as the time allows.

    Args:
        frozen: `Frozen`; its model is trained.
        problem: `Problem`.
        clock: `Clock` of the whole budget.
        seconds: What training may take.
        seed: Of the order of rows, and of dropout.

    Returns:
        `Trial`, or `None` where the time was too short; then the model is as it was.
    """
    model, own = frozen.model, Clock(seconds)
    before = [np.array(weight) for weight in model.weights]
    for depth, least in DEPTHS:
        steps = problem.num_batches
        pace = Pace(MOST_EPOCHS * steps, least * steps, Clock(own.left))
        stage = Stage(MOST_EPOCHS, RATE, depth, schedule="constant", patience=None)
        fine_tune(
            model,
            problem.training(seed),
            stages=[stage],
            callbacks=[pace],
            seed=seed,
            verbose=0,
        )
        if pace.fits:
            predicted = predict(model, problem)
            epochs = pace.done / steps
            label = f"{frozen.name}, depth {depth:g}, {epochs:.2g} epochs"
            score, used = problem.score(predicted), frozen.trial.backbones
            return Trial(label, score, clock.spent, predicted, used)
        for weight, value in zip(model.weights, before, strict=True):
            weight.assign(value)
    return None


def predict(model, problem):
    """Return probabilities or values of the rows set aside."""
    images = problem.validation.map(lambda *row: row[0])
    outputs = model.predict(images, verbose=0).astype("float32")
    return np.asarray(problem.task.probabilities(outputs))
