"""What turns images into maps of evidence, within a graph."""

import dataclasses

import keras
from keras import ops

from tftransfer.checks import check_choice
from tftransfer.explanation.gradients import gradient_of_sum
from tftransfer.explanation.maps import weigh_channels
from tftransfer.explanation.places import class_scores, find_map, linear_head
from tftransfer.freezing.parts import Cut
from tftransfer.tasks import Task, infer_task

METHODS = ("auto", "cam", "grad_cam")


@dataclasses.dataclass(frozen=True, eq=False)
class Explainer:
    """Maps of evidence of one model, made by `build_explainer`.

    Of Keras operations, so that it can go into an exported graph.

    Attributes:
        cut: `Cut` at the last feature map.
        head: The dense layer above its average, for CAM; `None` for Grad-CAM.
        task: `Task` of the model.
    """

    cut: Cut
    head: keras.layers.Layer | None
    task: Task

    @property
    def method(self):
        """Return `"cam"` or `"grad_cam"`."""
        return "grad_cam" if self.head is None else "cam"

    def __call__(self, images, classes=None):
        """Explain a batch.

        Args:
            images: What the model takes, `(batch, height, width, channels)`.
            classes: Whole numbers `(batch,)`, below 0 for the class predicted; `None`
                for that of all.

        Returns:
            float32 tensor `(batch, map_height, map_width)`, evidence for the class,
            below 0 against it; and the classes, whole numbers `(batch,)`.
        """
        return self.explain_map(self.cut.run_below(images, training=False), classes)

    def explain_map(self, feature_map, classes=None):
        """Explain what was made of the feature map, where that is at hand.

        Args:
            feature_map: Tensor, as `cut.run_below` gives it.
            classes: See `__call__`.

        Returns:
            See `__call__`.
        """
        predicted = self._decide(class_scores(self.cut, feature_map))
        if classes is None:
            classes = predicted
        else:
            classes = ops.cast(classes, "int32")
            classes = ops.where(classes < 0, predicted, classes)
        chosen = self._choose(classes)
        if self.head is not None:
            kernel = ops.cast(self.head.kernel, "float32")
            weights = ops.matmul(chosen, ops.transpose(kernel))
        else:

            def score(x):
                return ops.cast(class_scores(self.cut, x), "float32") * chosen

            weights = ops.mean(gradient_of_sum(score, feature_map), axis=(1, 2))
        return weigh_channels(feature_map, weights), classes

    def _decide(self, scores):
        if self.task.is_binary:
            return ops.cast(scores[:, 0] > 0, "int32")
        return ops.cast(ops.argmax(scores, axis=-1), "int32")

    def _choose(self, classes):
        """Return `(batch, num_outputs)`: what each output counts for the class."""
        if self.task.is_binary:  # one logit: against it is for class 0
            return 2.0 * ops.cast(classes, "float32")[:, None] - 1.0
        return ops.one_hot(classes, self.task.num_outputs, dtype="float32")


def build_explainer(model, *, method="auto", task=None):
    """Build what explains a classifier: CAM where it is exact, else Grad-CAM.

    Where a dense layer reads the averages of a feature map, its score is a sum over
    places, and the map is that sum before it is added up: exact, without gradients
    (CAM). Elsewhere the channels weigh by the mean gradient of the score (Grad-CAM),
    which is the same map up to a factor where both apply.

    Args:
        model: Functional or Sequential `keras.Model` of images, or a wrapper that has
            one as `.model`; nested backbones are entered.
        method: One of `METHODS`; `"auto"` takes CAM where it applies.
        task: One of `tasks.TASKS` where the model's loss does not tell.

    Returns:
        `Explainer`.

    Raises:
        ValueError: If the model has no feature map, or `"cam"` does not apply.

    Example:

    >>> from tftransfer.explanation.explainer import build_explainer
    >>> network = keras.applications.MobileNetV2(weights=None, input_shape=(64, 64, 3))
    >>> build_explainer(network).method
    'cam'

    Reference:
        [Zhou et al., 2016](https://arxiv.org/abs/1512.04150), equation 2;
        [Selvaraju et al., 2017](https://arxiv.org/abs/1610.02391), equations 1 and 2.
    """
    check_choice("method", method, METHODS)
    cut = find_map(model)
    head = None if method == "grad_cam" else linear_head(cut)
    if method == "cam" and head is None:
        names = [call.operation.name for call in cut.calls_above]
        raise ValueError(
            '`method="cam"` must stand on global average pooling and one dense layer. '
            f"Received: above the feature map {cut.name!r} lie {names[:8]}. "
            'Use method="grad_cam".'
        )
    kind = infer_task(model, task, num_outputs=cut.model.outputs[0].shape[-1])
    return Explainer(cut, head, kind)
