"""What a training run leaves behind: one folder, complete or not there at all."""

import importlib.util
import json

import tftransfer as tft
from tftransfer.writing import replace_when_whole

_SHOWN = 8  # right and wrong images in examples.png


def write_results(
    model, path, *, training, evaluation, dataset, overwrite, metadata, training_data
):
    """Write the export, the Keras file, the figures and the numbers of a run.

    Args:
        model: The trained model.
        path: Folder to write.
        training: What `fine_tune` returned, or `auto_transfer`.
        evaluation: The `Evaluation` on `dataset`.
        dataset: The data that was evaluated, in a fixed order.
        overwrite: Whether an existing folder is replaced.
        metadata: Dictionary kept in the export.
        training_data: The dataset the model learned from.

    Returns:
        Dictionary, the content of `metadata.json`.

    Raises:
        OSError: If the disk is full; what stood at `path` is untouched.
    """
    try:
        with replace_when_whole(path, overwrite=overwrite) as folder:
            about = {"metadata": metadata, "training_data": training_data}
            return _write(folder, model, training, evaluation, dataset, about)
    except OSError as error:
        raise OSError(
            "`--output` must lie on a disk that takes all results. "
            f"Received: {str(path)!r}, and the writing failed: "
            f"{error.__cause__ or error}. Nothing half-written is left and what stood "
            "there before is untouched. Make room and try again."
        ) from error


def _write(folder, model, training, evaluation, dataset, told):
    about = tft.export_model(
        model,
        folder,
        class_names=list(evaluation.class_names),
        examples=dataset.take(1),
        **told,
        verbose=False,
    )
    model.save(folder / "model.keras")
    evaluation.save(folder / "evaluation.json")
    draws = importlib.util.find_spec("matplotlib") is not None
    if hasattr(training, "trials"):
        training.save(folder / "trials.json")
    else:
        _write_history(folder, training, draws)
    if draws:
        _draw(folder, model, evaluation, dataset)
    return about


def _write_history(folder, history, draws):
    curves = {
        name: [float(value) for value in values]
        for name, values in history.history.items()
    }
    (folder / "history.json").write_text(json.dumps(curves, indent=2))
    if draws:
        tft.plot_history(history, folder / "history.png")


def _draw(folder, model, evaluation, dataset):
    if evaluation.task != "classification":
        return
    tft.plot_confusion(evaluation, folder / "confusion.png")
    tft.plot_reliability(evaluation, folder / "reliability.png")
    if dataset.element_spec[0].dtype.name == "string":
        return  # texts are no pictures
    right, wrong = tft.choose_examples(
        evaluation.labels, evaluation.probabilities, _SHOWN
    )
    images = _pick(dataset, {*right, *wrong})
    tft.plot_examples(images, evaluation, folder / "examples.png", num_examples=_SHOWN)
    _draw_heat_maps(folder, model, images, evaluation, [*wrong, *right][:_SHOWN])


def _draw_heat_maps(folder, model, images, evaluation, rows):
    """Draw where the model found what it named, the wrong ones first."""
    import numpy as np  # not at the top: help must not wait for it

    pixels = np.stack([images[row] for row in rows])
    try:
        explanation = tft.explain(model, pixels)
    except ValueError as error:  # no feature map, as of some heads
        print(f"No heat maps: {error}")
        return
    names, labels = evaluation.class_names, evaluation.labels
    called = evaluation.probabilities.argmax(axis=1)
    captions = [
        names[called[row]]
        + ("" if called[row] == labels[row] else f", is {names[labels[row]]}")
        for row in rows
    ]
    path = folder / "heat_maps.png"
    tft.plot_heat_maps(pixels, explanation, path, captions=captions)


def _pick(dataset, rows):
    images, row = {}, 0
    for batch, _ in dataset.as_numpy_iterator():
        images.update({row + i: batch[i] for i in range(len(batch)) if row + i in rows})
        row += len(batch)
    return images
