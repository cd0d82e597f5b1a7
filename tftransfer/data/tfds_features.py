"""Which features of a TFDS data set are input and label, and how to read them."""

import dataclasses

import tensorflow as tf
import tensorflow_datasets as tfds

from tftransfer.decoding import decode_image


@dataclasses.dataclass(frozen=True)
class Supervision:
    """How to turn an example of a TFDS data set into `(input, label)`.

    Attributes:
        keys: Names of the input feature and of the label feature.
        decoders: What TFDS must leave encoded, for `as_dataset`, or None.
        decode: Function from the stored input to pixels or text.
        shape: `(height, width, channels)` where all images share it, else None.
        class_names: List of `str`, or None where labels are no classes.
    """

    keys: tuple
    decoders: object
    decode: object
    shape: object
    class_names: list | None

    def pick(self, example):
        """Take input and label out of one example, a dictionary of tensors."""
        label = example[self.keys[1]]
        if self.class_names is not None:
            label = check_label(label, len(self.class_names))
        return example[self.keys[0]], label


def read_supervision(name, info, preparation):
    """Find input and label of a data set, and check that they can be batched.

    Args:
        name: Name of the data set, for messages.
        info: Its `tfds.core.DatasetInfo`.
        preparation: A `Preparation`.

    Returns:
        A `Supervision`.

    Raises:
        ValueError: If there is no one image or text with a label, the images differ
            in size and nothing says what to resize them to, or there is one class.
    """
    keys = _choose_keys(name, info)
    source, label = (info.features[key] for key in keys)
    class_names = _read_classes(name, label)
    if isinstance(source, tfds.features.Text):
        _check_no_pixels(name, preparation)
        return Supervision(keys, None, tf.identity, None, class_names)
    shape = _read_shape(name, source.shape, preparation)
    decoders = {  # masks and further pictures would be decoded for nothing
        key: tfds.decode.SkipDecoding()
        for key, feature in info.features.items()
        if isinstance(feature, tfds.features.Image)
    }
    decode = _decode_color if source.shape[-1] != 4 else _decode_color_and_alpha
    return Supervision(keys, decoders, decode, shape, class_names)


def check_label(label, num_classes):
    """Return `label` as int64; the -1 of an unlabeled example fails here."""
    is_class = (label >= 0) & (label < num_classes)
    message = f"Labels must be 0..{num_classes - 1}; -1 marks an unlabeled example."
    with tf.control_dependencies([tf.debugging.Assert(is_class, [message, label])]):
        return tf.cast(label, tf.int64)


def _decode_color(encoded):
    return decode_image(encoded, channels=3)


def _decode_color_and_alpha(encoded):
    return decode_image(encoded, channels=4)


def _choose_keys(name, info):
    if isinstance(info.supervised_keys, tuple) and len(info.supervised_keys) == 2:
        keys = info.supervised_keys
    else:
        keys = (
            _only(info.features, _is_image) or _only(info.features, _is_text),
            _only(info.features, _is_class) or ("label" in info.features and "label"),
        )
    if not all(isinstance(key, str) and key in info.features for key in keys) or not (
        _is_image(info.features[keys[0]]) or _is_text(info.features[keys[0]])
    ):
        raise ValueError(
            "`name` must be a data set with one 8-bit image or text, and one label. "
            f"Received: name={name!r} with features "
            f"{ {key: type(value).__name__ for key, value in info.features.items()} }. "
            "Load it with tfds.load and map it to batches of (image, label)."
        )
    return keys


def _only(features, is_wanted):
    keys = [key for key, feature in features.items() if is_wanted(feature)]
    return keys[0] if len(keys) == 1 else None


def _is_image(feature):
    return isinstance(feature, tfds.features.Image) and feature.np_dtype == "uint8"


def _is_text(feature):
    return isinstance(feature, tfds.features.Text)


def _is_class(feature):
    return isinstance(feature, tfds.features.ClassLabel)


def _read_classes(name, label):
    if not _is_class(label):
        return None
    if label.num_classes is None or label.num_classes < 2:
        raise ValueError(
            "`name` must be a data set with at least two classes. "
            f"Received: name={name!r} with num_classes={label.num_classes}."
        )
    return list(label.names)


def _read_shape(name, shape, preparation):
    if None not in shape[:2]:
        return (*shape[:2], 4 if shape[2] == 4 else 3)
    if preparation.resizing is None:
        raise ValueError(
            "`image_size` must be given for images that differ in size. "
            f"Received: image_size=None for name={name!r} with images of shape "
            f"{tuple(shape)}. Pass for example image_size=(224, 224)."
        )
    return None


def _check_no_pixels(name, preparation):
    if preparation.resizing is not None or preparation.augment:
        raise ValueError(
            "`image_size` and `augment` must be left out for texts. "
            f"Received: image_size={preparation.image_size!r}, "
            f"augment={preparation.augment!r} for name={name!r}."
        )
