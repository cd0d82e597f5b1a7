"""A model that learns from more than labels, with plain fit."""

import keras
from keras import ops

from tftransfer.alignment.model_parts import ModelParts, pool
from tftransfer.alignment.several import SeveralAlignments
from tftransfer.distribution.scope import check_single
from tftransfer.regularization.layer import TrainingPass
from tftransfer.regularization.starting_weights import (
    StartingWeights,
    check_replaceable,
    number_trackers,
    other_weights,
    pair_with_start,
    pretrained_weights,
)


@keras.saving.register_keras_serializable(package="tftransfer")
class AlignedModel(keras.Model):
    """A transfer model with what plain Keras has no place for while it trains.

    With an alignment it learns from labeled source and unlabeled target data: `fit`
    takes batches `((source_x, target_x), source_y)`, as `pair_domains` makes them; the
    batches of both domains may differ in size. With a regularization it stays near the
    weights it has when this model is made; without alignment `fit` takes what the plain
    model takes. `evaluate` and `predict` take one input and count the loss of the
    labels alone. Set the depth of this model, not of `.model`: this one is compiled.

    Where the target has labels too, set `labels_both` before training: `fit` then takes
    what `pair_labeled_domains` makes, and learns from the labels of both while it
    aligns them.

    Args:
        model: Functional `keras.Model` with a layer named `features`, raw input to
            logits. It stays at hand as `.model`: the plain model to save or export.
        alignment: `Alignment` layer, a list of them to be added, or `None`.
        regularization: `Regularization` layer, a list of them to be added, or `None`.

    Attributes:
        labels_both: Whether pairs come with the labels of both domains, `False` at
            first; a saved model does not keep it.

    Raises:
        ValueError: If `model` has no layer named `features`, or weights that a
            regularization replaces lie in a SavedModel; if `labels_both` is set where
            the model has copies on several devices.

    Reference:
        [Sun & Saenko, 2016](https://arxiv.org/abs/1607.01719), figure 1.
    """

    steps_without_inputs = ("compute_loss",)  # so the fast path may replace them

    def __init__(self, model, alignment=None, regularization=None, **kwargs):
        # The plain model's policy, for `compile` to scale the loss under float16. The
        # images themselves stay as they are.
        policy = {"dtype": model.dtype_policy, "autocast": False}
        super().__init__(**{**policy, **kwargs})
        if isinstance(alignment, (list, tuple)):
            alignment = SeveralAlignments(alignment)
        if not isinstance(regularization, (list, tuple)):
            regularization = [] if regularization is None else [regularization]
        self.model = model
        self.alignment = alignment
        self.regularization = list(regularization)
        number_trackers(self.regularization)
        check_replaceable(model, self.regularization)
        names = [name for x in self.regularization for name in x.map_names(model)]
        self._parts = ModelParts(model, dict.fromkeys(names))
        self.start = None
        if any(part.needs_start for part in self.regularization):
            self.start = StartingWeights(pretrained_weights(self._parts.backbone))
        if alignment is not None and not alignment.built:  # before weights are loaded
            width = self._parts.backbone.output_shape[-1]
            shapes = {"features": (None, width), "logits": model.output_shape}
            alignment.build(shapes, shapes)
        self._aligns, self._regularizes = alignment is not None, bool(regularization)
        self._labels_both = False
        self.built = True  # the plain model is

    @property
    def labels_both(self):
        """Whether pairs come with the labels of both domains."""
        return self._labels_both

    @labels_both.setter
    def labels_both(self, value):
        if value:
            check_single(self, "labels_both")
        self._labels_both = bool(value)

    def take_start(self):
        """Let the weights as they are now be those that the model stays near."""
        for weight, start in self._pairs():
            if isinstance(start, keras.Variable):
                start.assign(weight)

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
        if self.obstacle_to_cutting:
            return []
        self._parts.choose_maps()
        return [self._parts.entry, self.model]

    @property
    def obstacle_to_cutting(self):
        """Why frozen features must not be stored, or `None`."""
        if self.labels_both:
            return "rows of two labeled domains come in pairs"
        if self.start is not None and self._parts.has_moved(self._pairs()):
            return (
                "feature maps are compared with pretrained ones, and a frozen part "
                "below them has moved from its pretrained weights"
            )
        return None

    def call(self, inputs, training=None):
        """Return the logits of one input, or of what has labels in a pair."""
        for tracker in self._trackers():
            tracker.forget()
        aligns = self.alignment is not None
        is_pair = (aligns or self.labels_both) and isinstance(inputs, (list, tuple))
        source, target = inputs if is_pair else (inputs, None)
        has_both = is_pair and self.labels_both
        self._aligns = bool(aligns and is_pair and training and self.alignment.weight)
        self._regularizes = bool(training and self.regularization)
        if not self._aligns and not self._regularizes and not has_both:
            return self.model(source, training=training)
        if self._parts.has_other_maps():
            self._parts.choose_maps()
        with other_weights(self.model, self._replacements()):
            wanted = target if self._aligns or has_both else None
            made = self._run(source, wanted, training)
        if self._aligns:
            domains = [{**x, "features": pool(x["features"])} for x in made]
            features_learn = bool(self._parts.backbone.trainable_variables)
            self.add_loss(self.alignment(*domains, features_learn=features_learn))
        if self._regularizes:
            self._add_penalties(source, made[0])
        if has_both:
            return ops.concatenate([x["logits"] for x in made], axis=0)
        return made[0]["logits"]

    def _run(self, source, target, training):
        """Run one input, or source and target: a list of dicts of what was made."""
        looks_inside = self._parts.entry_names or any(
            part.needs_features for part in self.regularization
        )
        if target is None and not looks_inside:
            return [{"logits": self.model(source, training=training)}]
        if target is not None:
            return self.run_pair(source, target, training)
        made = self._parts.run(source, training)
        return [self.with_logits(self._parts, made, training)]

    def run_pair(self, source, target, training):
        """Run both domains: a dict of features, logits and maps for each."""
        made = self._parts.run_pair(source, target, training)
        return [self.with_logits(self._parts, x, training) for x in made]

    def with_logits(self, parts, made, training):
        """Return what the backbone of `parts` made, and what its head makes of it."""
        return {**made, "logits": parts.head(made["features"], training=training)}

    def _replacements(self):
        if not self._regularizes:
            return []
        pairs = _learning(self._pairs())
        return [x for part in self.regularization for x in part.replace(pairs)]

    def _add_penalties(self, source, made):
        backbone = self._parts.backbone
        features = None
        if backbone.trainable_variables and "features" in made:
            features = pool(made["features"])
        names = self._parts.entry_names
        starts: dict = self._starting_maps(source) if names else {}
        shown = TrainingPass(
            backbone=_learning(self._pairs()),
            head=self._parts.head.trainable_variables,
            features=features,
            maps={name: (made[name], starts[name]) for name in names},
        )
        for part in self.regularization:
            penalty = part.penalty(shown)
            if penalty is not None:
                part.tracker.note(penalty)
                self.add_loss(penalty)

    def _starting_maps(self, source):
        with other_weights(self.model, self._pairs(), keep_updates=False):
            return self._parts.run(source, training=False)

    def _pairs(self):
        """The backbone's weights, each with its value before training."""
        if self.start is None:
            return []
        return pair_with_start(self._parts.backbone, self.start)

    def compute_loss(self, *args, **kwargs):
        """Return the loss of the labels and all that `call` has added."""
        for tracker in self._trackers():
            tracker.count_noted()
        return super().compute_loss(*args, **kwargs)

    def _trackers(self):
        """The metrics of what is added to the loss."""
        trackers = [part.tracker for part in self.regularization if part.tracker]
        return trackers + (self.alignment.trackers if self.alignment else [])

    def get_metrics_result(self):
        """Return the metrics; added losses only where they were computed."""
        results = super().get_metrics_result()
        aligning = self.alignment.trackers if self.alignment else []
        for tracker in self._trackers():
            is_shown = self._aligns if tracker in aligning else self._regularizes
            if not is_shown:
                results.pop(tracker.name, None)
        return results

    def get_config(self):
        """Return the arguments that rebuild this model."""
        serialize = keras.saving.serialize_keras_object
        config = {
            "model": serialize(self.model),
            "alignment": self.alignment and serialize(self.alignment),
            "name": self.name,
        }
        if self.regularization:
            config["regularization"] = [serialize(x) for x in self.regularization]
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Rebuild the model from `get_config`."""
        names = ("model", "alignment", "regularization")
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects)
            for name in names
            if config.get(name) is not None
        }
        others = {name: x for name, x in config.items() if name not in names}
        return cls(**parts, **others)


def _learning(pairs):
    return [(variable, start) for variable, start in pairs if variable.trainable]
