"""Which features of a TFDS data set are input and label, and how to read them."""

import dataclasses

import tensorflow as tf
import tensorflow_datasets as tfds

from tftransfer.data.texts import check_no_pixels
from tftransfer.decoding import decode_image


@dataclasses.dataclass(frozen=True)
class Supervision:
    """How to turn an example of a TFDS data set into `(input, label)`.

    Attributes:
        keys: Names of the input feature and of the label feature; texts that are
            joined are a list of names.
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
        return self._pick_input(example), label

    def _pick_input(self, example):
        if isinstance(self.keys[0], str):
            return example[self.keys[0]]
        parts = [tf.strings.strip(example[key]) for key in self.keys[0]]
        # What is empty leaves no blank behind.
        return tf.strings.strip(tf.strings.join(parts, separator=" "))


def read_supervision(name, info, preparation, text_features=None):
    """Find input and label of a data set, and check that they can be batched.

    Args:
        name: Name of the data set, for messages.
        info: Its `tfds.core.DatasetInfo`.
        preparation: A `Preparation`.
        text_features: Name of a text feature, or a list of those to join with blanks;
            None for what the data set says.

    Returns:
        A `Supervision`.

    Raises:
        ValueError: If there is no one image or text with a label, the images differ
            in size and nothing says what to resize them to, there is one class, or
            `text_features` names no text.
    """
    keys = _choose_keys(name, info, _check_text_features(name, info, text_features))
    class_names = _read_classes(name, info.features[keys[1]])
    if isinstance(keys[0], list) or _is_text(info.features[keys[0]]):
        check_no_pixels(f"name={name!r}", preparation)
        return Supervision(keys, None, tf.identity, None, class_names)
    source = info.features[keys[0]]
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


def _check_text_features(name, info, text_features):
    """Return `text_features` as a name, or a list of several, or None."""
    if text_features is None:
        return None
    keys = [text_features] if isinstance(text_features, str) else text_features
    is_list = isinstance(keys, (list, tuple)) and len(keys) > 0
    # Their own order depends on the package that reads them.
    texts = sorted(key for key, value in info.features.items() if _is_text(value))
    if not is_list or not all(key in texts for key in keys):
        raise ValueError(
            f"`text_features` must be out of the texts of {name!r}, {texts}. "
            f"Received: text_features={text_features!r}."
        )
    return list(keys) if len(keys) > 1 else keys[0]


def _choose_keys(name, info, texts):
    if isinstance(info.supervised_keys, tuple) and len(info.supervised_keys) == 2:
        keys = info.supervised_keys
    else:
        keys = (
            _only(info.features, _is_image) or _only(info.features, _is_text),
            _only(info.features, _is_class) or ("label" in info.features and "label"),
        )
    if texts is not None and isinstance(keys[1], str) and keys[1] in info.features:
        return texts, keys[1]
    if not all(isinstance(key, str) and key in info.features for key in keys) or not (
        _is_image(info.features[keys[0]]) or _is_text(info.features[keys[0]])
    ):
        raise ValueError(
            "`name` must be a data set with one 8-bit image or text, and one label. "
            f"Received: name={name!r} with features "
            f"{ {key: type(value).__name__ for key, value in info.features.items()} }. "
            "Pass text_features= where there are several texts; else load it with "
            "tfds.load and map it to batches of (image, label)."
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
