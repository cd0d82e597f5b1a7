"""Pixels in another scale, or colors in another order, than a backbone was trained on.

Judged by what the first normalization of the network meets, against the statistics
that it brings from pretraining; where a network is trained and labels are at hand, by
whether it recognizes the data in another form.
"""

import keras
import numpy as np

from tftransfer.diagnosis.finding import ERROR, Finding, NotChecked
from tftransfer.diagnosis.pixel_forms import COLOR_FORMS, FORMS, conversion, guess_form
from tftransfer.diagnosis.scoring import recognizes_better
from tftransfer.diagnosis.watching import is_eager, watching

FAR, FAR_RATIO = 3.0, 3.0  # a scale wrong by tens
OFF, OFF_RATIO, CLOSE = 1.0, 4.0, 0.3  # such as 0..1 for -1..1
COLOR_OFF, COLOR_RATIO = 0.5, 4.0
_MOST_IMAGES, _UNSETTLED = 32, 0.2


def find_pixel_scale(case):
    """Find pixels in a scale that the backbone was not trained on.

    The distance of a form of the pixels is the median over channels of `|ln(v / V)| +
    ln(1 + (m - M)^2 / V)`, where m and v are mean and variance of what the first
    normalization takes and M and V those it stores. Measured with MobileNetV2's
    weights, whose form is -1..1: photographs 0.1, gray solar cells 0.8, noise 1.1;
    photographs as 0..255 18, scaled twice 9, as 0..1 1.3.
    """
    images = _images_of(case)
    form, pixels = guess_form(images)
    if form is None:
        raise NotChecked("the pixels are in no usual form")
    others = [x for x in _forms_of(images) if x is not form]
    some = slice(0, _MOST_IMAGES)
    try:
        met = _meet(case, images[some])
    except NotChecked:
        recognized = recognizes_better(case, [x.make(pixels) for x in others])
        if recognized is None:
            raise
        place, evidence = recognized
        return [_scale_finding(form, others[place], evidence)]
    given = _distance(*met)
    if given < OFF:
        return []
    _check_settled(*met)
    distances = [_distance(*_meet(case, x.make(pixels[some]))) for x in others]
    best = int(np.argmin(distances))
    is_far = given > FAR and given > FAR_RATIO * distances[best]
    is_off = distances[best] < CLOSE and given > OFF_RATIO * distances[best]
    if not (is_far or is_off):
        return []
    evidence = {"distance": given, "distance after repair": distances[best]}
    return [_scale_finding(form, others[best], evidence)]


def find_channel_order(case):
    """Find colors in another order than the network was trained on.

    The order shows in few channels of a network, and in photographs hardly in their
    statistics: there is a finding only where the reversed order fits far better.
    """
    images = _images_of(case)
    if images.shape[-1] != 3:
        raise NotChecked("the images have no three colors")
    reverse = images[..., ::-1]
    if np.abs(images - reverse).mean() < 1e-3 * max(images.std(), 1e-12):
        raise NotChecked("the images are gray")
    recognized = recognizes_better(case, [reverse])
    if recognized is not None:
        return [_order_finding(recognized[1])]
    met = [_meet(case, x[:_MOST_IMAGES]) for x in (images, reverse)]
    given, reversed_ = (_divergence(*x) for x in met)
    if given < COLOR_OFF or given < COLOR_RATIO * reversed_:
        return []
    _check_settled(*met[0])
    evidence = {"divergence": given, "divergence reversed": reversed_}
    return [_order_finding(evidence)]


def _scale_finding(form, other, evidence):
    return Finding(
        "pixel_scale",
        ERROR,
        f"Pixels come as {form.name}, but the network was trained on {other.name}.",
        evidence,
        "What the network has learned does not apply: its features are far from those "
        "of its training, and accuracy stays low.",
        f"data = data.map(lambda x, y: ({conversion(form, other)}, y))",
    )


def _order_finding(evidence):
    return Finding(
        "channel_order",
        ERROR,
        "Colors come in the reverse of the order that the network was trained on.",
        evidence,
        "Filters for red see blue: accuracy falls most where color tells classes.",
        "data = data.map(lambda x, y: (x[..., ::-1], y))  # cv2 reads BGR",
    )


def _images_of(case):
    images = case.inputs
    is_array = isinstance(images, np.ndarray) and images.ndim == 4
    if not is_array or images.shape[-1] not in (1, 3) or images.dtype.kind not in "iuf":
        raise NotChecked("the inputs are no images of one or three channels")
    return images.astype("float32")


def _forms_of(images):
    return COLOR_FORMS if images.shape[-1] == 3 else FORMS


def _distance(mean, variance, wanted_mean, wanted):
    scale = np.abs(np.log(variance / wanted))
    return float(np.median(scale + np.log1p((mean - wanted_mean) ** 2 / wanted)))


def _check_settled(mean, variance, stored_mean, stored):
    """Raise where the statistics are on their way from those they were made with."""
    distances = [
        _distance(share * mean, 1 - share + share * variance, stored_mean, stored)
        for share in np.linspace(0, 0.99, 100)
    ]
    if min(distances) < _UNSETTLED:
        raise NotChecked("the network's statistics have not settled yet")


def _divergence(mean, variance, wanted_mean, wanted):
    """Mean over channels of the divergence of two normal distributions."""
    ratio = variance / wanted
    shift = (mean - wanted_mean) ** 2 / wanted
    return float(np.mean(np.minimum(ratio + shift - 1 - np.log(ratio), 20) / 2))


def _meet(case, images):
    """What the first normalization takes, and what it stores, by channel."""
    layers = [x for x in case.plain._flatten_layers() if stored_statistics(x)]
    met: list = []

    def note(layer, inputs):
        if is_eager(inputs) and (not met or met[0] is layer):
            met[:1] = [layer]
            met.append(keras.ops.convert_to_numpy(inputs).astype("float64"))

    with watching(layers, note):
        case.predict(images)
    if not met:
        raise NotChecked(
            "the network stores no statistics of its pretraining, as "
            "BatchNormalization does"
        )
    layer, values = met[0], np.concatenate(met[1:])
    mean, variance = stored_statistics(layer)
    axes = tuple(range(values.ndim - 1))
    floor = 1e-4 * max(float(np.median(variance)), 1e-12)
    return values.mean(axes), values.var(axes) + floor, mean, variance + floor


def stored_statistics(layer):
    """Return mean and variance that a normalization brings from its training.

    Returns:
        Two float arrays `(channels,)`; `None` for other layers, and for statistics that
        are as they were made.
    """
    if isinstance(layer, keras.layers.BatchNormalization) and layer.built:
        mean, variance = layer.moving_mean, layer.moving_variance
        is_last = layer.axis in (-1, layer.input_spec.ndim - 1)
    elif isinstance(layer, keras.layers.Normalization) and layer.built:
        mean, variance = layer.mean, layer.variance
        is_last = True
    else:
        return None
    mean = np.ravel(keras.ops.convert_to_numpy(mean)).astype("float64")
    variance = np.ravel(keras.ops.convert_to_numpy(variance)).astype("float64")
    # A variance of one everywhere is none that was measured.
    return None if not is_last or np.all(variance == 1) else (mean, variance)
