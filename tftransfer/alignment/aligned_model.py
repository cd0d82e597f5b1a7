"""A model that learns from two domains with plain fit."""

import keras
from keras import ops

from tftransfer.alignment.several import SeveralAlignments


@keras.saving.register_keras_serializable(package="tftransfer")
class AlignedModel(keras.Model):
    """A transfer model that learns from labeled source and unlabeled target data.

    `fit` takes batches `((source_x, target_x), source_y)`, as `pair_domains` makes
    them; the batches of both domains may differ in size. `evaluate` and `predict` take
    one input. Set the depth of this model, not of `.model`: this one is compiled.

    Args:
        model: Functional `keras.Model` with a layer named `features`, raw input to
            logits. It stays at hand as `.model`: the plain model to save or export.
        alignment: `Alignment` layer, or a list of them to be added.

    Raises:
        ValueError: If `model` has no layer named `features`.

    Reference:
        [Sun & Saenko, 2016](https://arxiv.org/abs/1607.01719), figure 1.
    """

    def __init__(self, model, alignment, **kwargs):
        # The plain model's policy, for `compile` to scale the loss under float16. The
        # images themselves stay as they are.
        policy = {"dtype": model.dtype_policy, "autocast": False}
        super().__init__(**{**policy, **kwargs})
        if isinstance(alignment, (list, tuple)):
            alignment = SeveralAlignments(alignment)
        self.model = model
        self.alignment = alignment
        self._parts = _Parts(model)
        if not alignment.built:  # before weights are loaded into it
            width = self._parts.backbone.output_shape[-1]
            shapes = {"features": (None, width), "logits": model.output_shape}
            alignment.build(shapes, shapes)
        self._aligns = True
        self.built = True  # the plain model is

    @property
    def output_shape(self):
        """Shape of the logits, `(None, num_classes)`."""
        return self.model.output_shape

    @property
    def input_shape(self):
        """Shape of one domain's images."""
        return self.model.input_shape

    @property
    def entry_models(self):
        """The functional models that images are passed to, all with the same layers."""
        return [self._parts.backbone, self.model]

    def call(self, inputs, training=None):
        """Return the logits of one input, or of the source in a pair."""
        is_pair = isinstance(inputs, (list, tuple))
        source = inputs[0] if is_pair else inputs
        self._aligns = bool(is_pair and training and self.alignment.weight)
        if not self._aligns:
            return self.model(source, training=training)
        features = self._parts.features(source, inputs[1], training)
        logits = [self._parts.head(x, training=training) for x in features]
        domains = [
            {"features": _pool(x), "logits": y}
            for x, y in zip(features, logits, strict=True)
        ]
        features_learn = bool(self._parts.backbone.trainable_variables)
        self.add_loss(self.alignment(*domains, features_learn=features_learn))
        return logits[0]

    def get_metrics_result(self):
        """Return the metrics; the alignment loss only where it was computed."""
        results = super().get_metrics_result()
        if not self._aligns:
            for tracker in self.alignment.trackers:
                results.pop(tracker.name, None)
        return results

    def get_config(self):
        """Return the arguments that rebuild this model."""
        serialize = keras.saving.serialize_keras_object
        return {
            "model": serialize(self.model),
            "alignment": serialize(self.alignment),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Rebuild the model from `get_config`."""
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects)
            for name in ("model", "alignment")
        }
        return cls(**parts, name=config["name"])


class _Parts:
    """Backbone and head as two models that share the layers of one."""

    def __init__(self, model):
        names = [layer.name for layer in model.layers]
        if "features" not in names:
            raise ValueError(
                "`model` must have a layer named 'features', where backbone and head "
                f"meet. Received: layers {names[-3:]} at the end. Build it with "
                "build_transfer_model."
            )
        # On word vectors that learn, `features` marks what stays, further down.
        last = "text_features" if "text_features" in names else "features"
        features = model.get_layer(last).output
        self.backbone = keras.Model(model.input, features)
        self.head = keras.Model(features, model.output)

    def features(self, source, target, training):
        """Features of both domains, in one pass where the images are of one size."""
        both = [source, target]
        leaves = [keras.tree.flatten(x) for x in both]
        if not _fit_together(*leaves):
            return [self.backbone(x, training=training) for x in both]
        if any(a.dtype != b.dtype for a, b in zip(*leaves, strict=True)):
            both = keras.tree.map_structure(lambda x: ops.cast(x, "float32"), both)
        # One batch: both domains meet the same BatchNormalization statistics.
        joined = keras.tree.map_structure(lambda *x: ops.concatenate(x, axis=0), *both)
        features = self.backbone(joined, training=training)
        size = ops.shape(leaves[0][0])[0]
        return [features[:size], features[size:]]


def _fit_together(source, target):
    """Whether rows of both can lie in one batch; sizes not known may differ."""
    return all(
        a.shape[1:] == b.shape[1:] and None not in a.shape[1:]
        for a, b in zip(source, target, strict=True)
    )


def _pool(features):
    axes = tuple(range(1, len(features.shape) - 1))
    return ops.mean(features, axis=axes) if axes else features
