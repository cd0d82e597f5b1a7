"""Joint training of a head on features of two domains and on virtual rows."""

import dataclasses

import keras
import numpy as np

from tftransfer.data.labeled_domains import join_domains
from tftransfer.distribution.replicas import prepare_replicas
from tftransfer.features.extract_features import extract_features
from tftransfer.freezing.blocks import FEATURES
from tftransfer.freezing.depth import set_trainable_depth
from tftransfer.freezing.graph import graph_of
from tftransfer.freezing.tensors import graph_tensors
from tftransfer.training.batches import TrainingData
from tftransfer.training.running import run_stages
from tftransfer.training.virtual_features import draw_virtual_features


def run_on_features(
    model, stages, data, validation, *, strategy, fast_path, **settings
):
    """Train the head of a model on features of both domains, as `run_stages` would.

    The backbone is frozen and runs once over each domain. Virtual rows count to the
    target: with the real ones they have `1 - source_weight` of the loss.

    Args:
        model: Compiled functional model with a layer named `features`, or a wrapper.
        stages: List of `Stage` with depth 0.
        data: `TrainingData` of the target.
        validation: `TrainingData` or `None`.
        strategy: `Strategy` with `source` and `virtual_rows`.
        fast_path: `FastPath`, for its settings.
        settings: Further arguments of `run_stages`.

    Returns:
        `keras.callbacks.History`.

    Raises:
        ValueError: If features may not be stored, or no class has two rows.
    """
    if fast_path is None:
        raise ValueError(
            "`cache` must not be False with virtual rows, which are drawn from stored "
            "features. Received: cache=False. Leave cache out."
        )
    set_trainable_depth(model, stages[0].trainable_depth)
    graph = graph_of(model)

    def extract(source):
        found = extract_features(
            *(graph, source, FEATURES),
            engine=fast_path.settings.engine,
            directory=fast_path.settings.folder,
            verbose=fast_path.report is not None,
        )
        return np.asarray(found.features), np.asarray(found.labels)

    x, y = extract(data.source)
    more_x, more_y = draw_virtual_features(
        x, y, strategy.virtual_rows, seed=settings["seed"] or 0
    )
    rows = join_domains(
        extract(strategy.source),
        (np.concatenate([x, more_x]), np.concatenate([y, more_y])),
        source_weight=strategy.source_weight,
    )
    rows = TrainingData("train", rows)
    if validation is not None:
        validation = TrainingData("validation_data", extract(validation.source))
    head = keras.Model(graph_tensors(graph)[FEATURES], graph.output)
    head.compile_from_config(model.get_compile_config())
    prepare_replicas(head)
    stages = [dataclasses.replace(stage, trainable_depth=None) for stage in stages]
    return run_stages(head, stages, rows, validation, **settings)
