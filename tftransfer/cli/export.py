"""Write a trained `.keras` file as a SavedModel that takes raw image bytes.

With --formats, files for other runtimes are written beside it, each compared with the
model by its own runtime: on the rows of --examples, else on some made-up images.
"""

import tftransfer as tft
from tftransfer.checks import check_choice
from tftransfer.cli.datasets import SOURCES, add_reading_arguments
from tftransfer.cli.evaluate import load_rows
from tftransfer.cli.trained import (
    add_augment_argument,
    add_trust_argument,
    load_trained,
    read_about,
)

HELP = "write a .keras file as a SavedModel that serves"
EXAMPLES = """\
examples:
  tftransfer export model.keras saved_models/photos --class-names cat,dog
  tftransfer export model.keras saved_models/photos --overwrite --augment 2
  tftransfer export model.keras saved_models/photos --formats onnx,litert \\
      --quantization int8 --representative photos/train --examples photos/test
  tftransfer export model.keras saved_models/photos --extra features,explain \\
      --domain-shift photos/train
"""


def add_arguments(parser):
    """Add the arguments of this command."""
    parser.add_argument("model", metavar="MODEL", help="a .keras file")
    parser.add_argument("output", metavar="OUTPUT", help="folder to write")
    parser.add_argument(
        "--class-names",
        help="in the order of outputs, with commas (default: those beside the file)",
    )
    parser.add_argument(
        "--task", choices=["classification", "multi_label", "regression"]
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the output")
    add_augment_argument(parser)
    add_trust_argument(parser)
    parser.add_argument(
        "--calibrate",
        metavar="DATA",
        help="labeled rows, not trained on, to fit a temperature to, so that "
        "probabilities mean what they say",
    )
    _add_signature_arguments(parser)
    _add_format_arguments(parser)
    add_reading_arguments(parser)


def _add_signature_arguments(parser):
    group = parser.add_argument_group("further signatures")
    group.add_argument(
        "--extra",
        help="with commas: features, explain (heat maps of images)",
    )
    group.add_argument(
        "--domain-shift",
        metavar="DATA",
        help="labeled rows trained on, for a score of how strange a row is; those of "
        "--calibrate, else --examples, set its threshold",
    )


def _add_format_arguments(parser):
    group = parser.add_argument_group("formats")
    group.add_argument(
        "--formats",
        help="with commas: litert, onnx, openvino, for images; each is measured",
    )
    group.add_argument(
        "--quantization",
        choices=["float16", "int8"],
        help="of all formats but the SavedModel",
    )
    group.add_argument(
        "--representative",
        metavar="DATA",
        help="rows to tell for int8 how large activations get, best from training",
    )
    group.add_argument(
        "--examples",
        metavar="DATA",
        help=f"labeled rows to compare and measure on: {SOURCES}",
    )


def run(arguments):
    """Run the command."""
    names, about = arguments.class_names, read_about(arguments.model)
    tft.check_export_path(arguments.output, overwrite=arguments.overwrite)
    extra = _read_extra(arguments.extra)
    model = load_trained(arguments.model, trust=arguments.trust)
    names = names.split(",") if names else about.get("class_names")
    task = arguments.task or about.get("task")
    rows = {
        word: load_rows(arguments, data, model, names, task, part) if data else None
        for word, data, part in (
            ("examples", arguments.examples, "test"),
            ("representative_data", arguments.representative, "train"),
            ("validation_data", arguments.calibrate, "test"),
            ("trained_on", arguments.domain_shift, "train"),
        )
    }
    validation, trained_on = rows.pop("validation_data"), rows.pop("trained_on")
    of_task = {"task": task, "class_names": names, "augment": arguments.augment}
    temperature = None
    if validation is not None:
        temperature = tft.calibrate(model, validation, **of_task)
        print(temperature)
    if trained_on is not None:
        known = rows["examples"] if validation is None else validation
        shift = tft.fit_domain_shift(model, trained_on, inside=known, task=task)
        extra.append(shift)
    formats = arguments.formats and ["tf_saved_model", *arguments.formats.split(",")]
    tft.export_model(
        model,
        arguments.output,
        **of_task,
        metadata=about.get("metadata"),
        training_data=about.get("training_data"),
        temperature=temperature,
        overwrite=arguments.overwrite,
        formats=formats and list(dict.fromkeys(formats)),
        extra_signatures=extra or None,
        quantization=arguments.quantization,
        **rows,
    )


def _read_extra(text):
    extra = text.split(",") if text else []
    for name in extra:
        advice = "For the score of strange rows give --domain-shift DATA."
        check_choice("--extra", name, ["explain", "features"], advice)
    return extra
