"""Does jobs under a strategy and writes what came out: `KIND FOLDER JOB...`.

Kinds: `one` device, two of them `mirrored`, or `worker`, with TF_CONFIG set; with
KERAS_BACKEND=jax `one` or `parallel`, with XLA_FLAGS set.
"""

import json
import sys
from pathlib import Path

import tensorflow as tf


def main(kind, folder, *names):
    strategy = make_strategy(kind)
    assert count_devices(kind, strategy) == (1 if kind == "one" else 2)
    from tests.distribution.jobs import JOBS  # after the devices are set up

    for name in names:
        found = JOBS[name](strategy)
        Path(folder, f"{name}.json").write_text(json.dumps(found))
        print(name, flush=True)


def count_devices(kind, strategy):
    if kind != "parallel":
        return strategy.num_replicas_in_sync
    import keras

    return len(keras.distribution.list_devices())


def make_strategy(kind):
    if kind == "worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if kind == "parallel":
        import keras  # here, as it looks at the devices

        keras.distribution.set_distribution(keras.distribution.DataParallel())
    if kind in ("one", "parallel"):
        return tf.distribute.get_strategy()
    (cpu,) = tf.config.list_physical_devices("CPU")
    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, halves)
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


if __name__ == "__main__":
    main(*sys.argv[1:])
