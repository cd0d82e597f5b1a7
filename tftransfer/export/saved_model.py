"""SavedModels that serve exactly what was trained."""

import contextlib
import json

import keras
import tensorflow as tf

from tftransfer.export.about import (
    METADATA_FILE,
    VERSION_FOLDER,
    describe_model,
    hash_files,
)
from tftransfer.export.extras import build_extras
from tftransfer.export.inputs import read_input
from tftransfer.export.neighbors import check_neighbors, keep_neighbors
from tftransfer.export.parity import measure_parity
from tftransfer.export.proven_formats import (
    describe_formats,
    plan_formats,
    tell_proofs,
    write_formats,
)
from tftransfer.export.requirements import list_requirements
from tftransfer.export.rows import take_rows
from tftransfer.export.signatures import (
    METADATA,
    build_metadata_signature,
    build_signatures,
    write_signatures,
)
from tftransfer.export.target_folder import check_export_path
from tftransfer.export.temperature import read_temperature, scale_logits
from tftransfer.export.training_data import describe_training_data
from tftransfer.tasks import infer_task
from tftransfer.views.averaging import build_averaging, check_model
from tftransfer.views.views import read_views
from tftransfer.writing import check_free_space, replace_when_whole


def export_model(
    model,
    path,
    *,
    class_names=None,
    examples=None,
    overwrite=False,
    task=None,
    augment=None,
    temperature=None,
    metadata=None,
    verbose=True,
    formats=None,
    quantization=None,
    representative_data=None,
    extra_signatures=None,
    training_data=None,
):
    """Write a model as a SavedModel that serves what was trained, and prove it.

    Serving needs TensorFlow and nothing else: decoding, resizing, preprocessing and
    the names of the classes are inside. Only what splits texts for some encoders needs
    TensorFlow Text beside it; `"requires"` in `metadata.json` says so. Before the
    export gets its name a fresh process loads it and its predictions are compared with
    the live model's.

    `path/1` holds the SavedModel, `path/metadata.json` describes it. Signatures:

    - `serving_default` takes `image_bytes`, strings `(n,)`: JPEG, PNG, BMP or GIF
      (first frame) of any size, grey and RGBA too. A model of texts or numbers takes
      those instead (`texts`, `inputs`).
    - `serve_images` takes `images`, uint8 `(n, height, width, channels)` of any size.
    - `metadata` takes nothing and returns `json`: metadata.json without the proofs,
      `"requires"`, `"formats"` and `"files"`.

    The first two return `probabilities` `(n, num_classes)` (two columns for a single
    logit) and, of the most probable class, `class_id` `(n,)` and `label` `(n,)`; for
    several labels at once the probabilities are independent; `logits` `(n,
    num_outputs)` where the model gives them; a regression returns `values`.

    With `formats`, each lies in a folder of its name, `path/onnx` and so on, takes
    uint8 `images` `(n, height, width, channels)` of the model's own size, and returns
    `logits` and `probabilities`, or `values`. Each, the SavedModel too, is then served
    by its own runtime alone in a fresh process, on up to 1,000 examples, and compared
    with the live model; differences, accuracy, latency and size are printed and kept in
    `path/parity.json`. One that is out of bounds (float32: 1e-4 of the range of the
    outputs; float16: 5e-3; int8: 99 % equal decisions or one point of accuracy, for a
    regression 1 % root mean square), or cannot be written, is left out with a warning.

    Args:
        model: Functional or Sequential `keras.Model` with one input and one output, or
            a `tft.AlignedModel`, whose `.model` is exported.
        path: Folder to make, such as `"saved_models/cells"`.
        class_names: Distinct names, one per class (two for a single logit), in the
            order of the outputs; for a regression names of the values. `None` numbers
            them.
        examples: Real data for the comparison, as a `tf.data.Dataset`, array or list
            of images; float pixels are rounded, since files hold whole numbers. `None`
            makes some images of odd sizes. Labels in a dataset give the accuracy of
            each of `formats`.
        overwrite: Whether an earlier export at `path` is replaced, once the new one is
            whole. Other files there stay, if they are of a model of equal weights.
        task: One of `tasks.TASKS` where the model's loss does not tell.
        augment: Views of each image, see `tft.predict`, over which the export averages
            probabilities or values, within its graph: it serves what `tft.predict`
            gives with the same `augment`. Every row costs as much as that many.
            `"augment"` in the metadata lists them. `None`: the image alone.
        temperature: What logits are divided by, after averaging over views, so that
            probabilities mean what they say: what `tft.calibrate` returned, kept under
            `"calibration"`, or a float above 0. Decisions stay.
        metadata: Dictionary of your own, kept under `"metadata"`; JSON values, such as
            the license of the weights.
        verbose: Whether to print the outcome of the comparison.
        formats: Names out of `"tf_saved_model"` (always among them), `"litert"`,
            `"onnx"` and `"openvino"`; for texts and numbers the first alone. `None`
            writes that without timing it.
        quantization: `None`; `"float16"`, weights stored so; or `"int8"`, weights and
            activations: of all formats but the SavedModel.
        representative_data: For int8, data like `examples`, best from training; up to
            300 images tell how large activations get.
        extra_signatures: List of further signatures of the SavedModel, each on what
            `serving_default` takes: `"features"` returns `features` `(n, width)`;
            `"explain"` takes `class_id` `(n,)` too, below 0 for the class predicted,
            and returns `maps`, `class_id`, `label` and `heat_maps` (see `tft.explain`),
            of what the network saw, at the model's image size; what
            `tft.fit_domain_shift` returned, as `domain_shift`: `score` `(n,)`, and
            `is_shifted` where it knows its threshold. They look at a row once, whatever
            `augment`; `load_exported` has a method for each.
        training_data: What the model learned from, for the record: `"training_data"`
            tells a fingerprint of the rows, their number and, of a loader that knows
            it, the license. Arrays, or datasets without a fingerprint, are read once.
            A dictionary that an earlier export held under this name is kept.

    Returns:
        Dictionary, the content of `metadata.json`.

    Raises:
        ValueError: If the model and an argument, or two arguments, do not fit.
        TypeError: If an argument is of a wrong kind.
        RuntimeError: If live and exported model differ by more than 1e-4, or the
            fresh process cannot serve; nothing is left behind.
        ImportError: If a format needs a package that is not installed.
        OSError: If the disk is full; what stood at `path` is untouched.

    Example:

    >>> import tempfile
    >>> inputs = keras.Input((None, None, 3))
    >>> x = keras.layers.Rescaling(1 / 255)(tft.build_resizing(8)(inputs))
    >>> features = keras.layers.GlobalAveragePooling2D()(x)
    >>> model = keras.Model(inputs, keras.layers.Dense(2)(features))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     about = export_model(
    ...         model, f"{folder}/cells", task="classification",
    ...         class_names=["good", "bad"], verbose=False,
    ...     )
    >>> about["parity"]["max_abs_difference"] < 1e-4
    True

    Reference:
        [TensorFlow SavedModel](https://www.tensorflow.org/guide/saved_model)
    """
    plain = plain_model(model)
    model_input = read_input(plain)
    task = _read_task(model, plain, task)
    class_names = check_class_names(class_names, task)
    views = read_views(augment)
    check_model(plain, views)
    check_export_path(path, overwrite=overwrite)
    about = _describe(plain, model_input, task, class_names, metadata, training_data)
    about["augment"] = list(views) if len(views) > 1 else None
    about["temperature"], about["calibration"] = read_temperature(temperature, task)
    extras = build_extras(extra_signatures, plain, model_input, task, class_names)
    about["extra_signatures"] = {extra.name: extra.about for extra in extras}
    rows = take_rows(examples, model_input)
    check_neighbors(path, about["weights_sha256"])
    plan = plan_formats(
        formats, quantization, representative_data, examples, model_input, task
    )
    num_bytes = sum(weight.numpy().nbytes for weight in plain.weights)
    check_free_space(path, num_bytes * len(formats or [1]))
    plain = _with_views_and_temperature(plain, views, about["temperature"], task)
    model_input = read_input(plain)
    signatures = build_signatures(plain, model_input, task, class_names, extras)
    about["signatures"] = {name: each.describe() for name, each in signatures.items()}
    signatures[METADATA] = build_metadata_signature(about)
    with replace_when_whole(path, overwrite) as folder:
        saved_model = folder / VERSION_FOLDER
        with _explaining_failure(path):
            write_signatures(plain, signatures, saved_model, extras)
        about["requires"] = list_requirements(saved_model)
        about["parity"] = measure_parity(
            saved_model, rows, plain, model_input, task, extras
        )
        with _explaining_failure(path):
            proofs = write_formats(plan, folder, saved_model, plain, model_input, task)
            about["formats"] = describe_formats(plan, proofs, task)
            about["files"] = hash_files(folder)
            _write_json(folder / METADATA_FILE, about)
            keep_neighbors(path, folder)
    tell_proofs(path, about["parity"], proofs, verbose)
    return about


def _describe(model, model_input, task, class_names, metadata, training_data):
    about = describe_model(model, model_input, task, class_names, metadata)
    return about | {"training_data": describe_training_data(training_data)}


def _with_views_and_temperature(model, views, temperature, task):
    if len(views) > 1:
        model = build_averaging(model, views, task)
    return model if temperature == 1 else scale_logits(model, temperature)


def plain_model(model):
    """Return the functional model inside a `tft.AlignedModel`, else `model` itself."""
    inner = getattr(model, "model", None)
    if not getattr(model, "inputs", None) and isinstance(inner, keras.Model):
        return inner
    return model


def check_class_names(class_names, task):
    """Return one name per class of `task`; numbers where `class_names` is `None`.

    Raises:
        TypeError: If `class_names` is no sequence of strings.
        ValueError: If their count is wrong, or one is empty or used twice.
    """
    if class_names is None:
        return [str(number) for number in range(task.num_classes)]
    is_text = isinstance(class_names, (str, bytes))
    names = None if is_text else list(class_names)
    if names is None or not all(isinstance(name, str) for name in names):
        raise TypeError(
            "`class_names` must be a list of strings. "
            f"Received: class_names={class_names!r}. Pass dataset.class_names."
        )
    if len(names) != task.num_classes:
        raise ValueError(
            f"`class_names` must hold {task.num_classes} names, one per class of the "
            f"model. Received: class_names={names}, which are {len(names)}. "
            "Pass them in the order of the labels."
        )
    if len(set(names)) < len(names) or not all(name.strip() for name in names):
        raise ValueError(
            "`class_names` must be distinct and not empty. "
            f"Received: class_names={names}. Give every class a name of its own."
        )
    return names


def _read_task(model, plain, task):
    if plain is model or plain.compiled:
        return infer_task(plain, task)
    # A model trained with alignment is compiled as a whole; the outputs are inside.
    return infer_task(model, task, num_outputs=plain.output_shape[-1])


def _write_json(path, content):
    text = json.dumps(content, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


@contextlib.contextmanager
def _explaining_failure(path):
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise OSError(
            "`path` must lie on a disk that takes the whole export. "
            f"Received: path={str(path)!r}, and the writing failed: {error}. Nothing "
            "half-written is left and an earlier export there is untouched. "
            "Make room and try again."
        ) from error
