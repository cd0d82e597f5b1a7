"""What a learning rate for each layer adds to a training step.

Run:  python benchmarks/layerwise_rates.py --save layerwise_rates.json
      ... --repeats 15 --steps 10 --batch-size 32 --image-size 224
      ... --smoke          images of 64 x 64, two rounds, seconds
      pip install "tftransfer[demo]"
Data: one batch of made-up images again and again, so that nothing but the step counts.
Models: EfficientNet-Lite0 with all its weights open (151 variables), and as the hardest
case a network of two layers on 1,280 features, whose step takes under a millisecond.
Rivals, AdamW with weight decay each, in the same process, in turn:
- bare: one rate for all;
- ours with multiplier 1 for all, and with layer_decay=0.75;
- keras.optimizers.MultiOptimizer with one AdamW for each rate of the latter.
Each rival has a model of its own with the same weights, and one round is one `fit` of
`--steps` steps. `over_bare` is the median over rounds of the round's seconds over those
of bare in the same round, minus 1; `low` and `high` are its quartiles.
"""

import argparse
import os
import statistics

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from timing import interleave, print_rows, summarize, write_rows

import tftransfer as tft

DECAY = 0.75
BARE, ONES, OURS, MULTI = (
    "bare",
    "ours, all 1",
    f"ours, layer_decay={DECAY}",
    "MultiOptimizer",
)


def main(repeats, steps, batch_size, image_size, smoke, save):
    if smoke:
        repeats, steps, batch_size, image_size = 2, 2, 4, 64
    images = np.random.default_rng(0).uniform(
        0, 255, (batch_size, image_size, image_size, 3)
    )
    features = np.random.default_rng(0).normal(size=(batch_size, 1280))
    rows = []
    for name, build, batch, more in [
        ("EfficientNet-Lite0", build_network, images, 1),
        ("two layers", build_small, features, 50),
    ]:
        rows += measure(name, build, batch.astype("float32"), repeats, more * steps)
        print_rows(rows[-4:])
    if save:
        write_rows(save, rows, repeats=repeats, steps=steps, batch_size=batch_size)


def measure(name, build, batch, repeats, steps):
    """Return a row for each rival."""
    labels = np.arange(len(batch)) % 2
    data = tf.data.Dataset.from_tensors((batch, labels)).cache().repeat(steps)
    models = {rival: build() for rival in (BARE, ONES, OURS, MULTI)}
    for rival, model in models.items():
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(make_optimizer(rival, model), loss)
    seconds = interleave(
        {
            rival: lambda model=model: model.fit(data, shuffle=False, verbose=0)
            for rival, model in models.items()
        },
        repeats,
        warm=2,
    )
    rows = []
    for rival, each in seconds.items():
        row = summarize([1e3 * second / steps for second in each])
        over = [a / b - 1 for a, b in zip(each, seconds[BARE], strict=True)]
        low, middle, high = statistics.quantiles(over, n=4, method="inclusive")
        rows.append(
            {
                "model": name,
                "optimizer": rival,
                "variables": len(models[rival].trainable_variables),
                "milliseconds": row.pop("seconds"),
                **row,
                "over_bare": middle,
                "low": low,
                "high": high,
            }
        )
    return rows


def make_optimizer(rival, model):
    if rival == BARE:
        return make_adamw()
    if rival == ONES:
        return tft.LayerwiseRates(make_adamw())
    ours = tft.LayerwiseRates(make_adamw(), layer_decay=DECAY)
    if rival == OURS:
        return ours
    multipliers = ours.match(model)
    optimizers = {each: make_adamw(each) for each in set(multipliers.values())}
    return keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(
            optimizers[1.0],
            {path: optimizers[each] for path, each in multipliers.items()},
        )
    )


def make_adamw(multiplier=1.0):
    return keras.optimizers.AdamW(1e-5 * multiplier, weight_decay=0.01)


def build_network():
    return tft.build_transfer_model(
        "pip:efficientnet_lite0", num_classes=2, trainable_depth="all", seed=0
    )


def build_small():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((1280,))
    x = keras.layers.Dense(64, activation="relu", name="hidden")(inputs)
    x = keras.layers.Activation("linear", name="features")(x)
    return keras.Model(inputs, keras.layers.Dense(2, name="logits")(x))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--save")
    main(**vars(parser.parse_args()))
