"""Find defective solar cells: train, measure, draw, export, ask; three minutes."""

import shlex
import subprocess
import sys
import time

import tftransfer as tft
from tftransfer.cli.results import write_results

HELP = "a working solar-cell classifier in three minutes"
EXAMPLES = """\
example:
  tftransfer demo
"""
BACKBONE = "pip:efficientnet_lite0"
# Accuracy in percent on the same protocol: Deitsch et al., 2019 (SVM, VGG-19) and the
# later comparison with ResNet-152.
PUBLISHED = {"SVM": 82.44, "VGG-19": 88.42, "ResNet-152": 90.13}
_IMAGE_SIZE = (224, 224)
_EPOCHS, _LEARNING_RATE = 4, 2e-2
_ASKED = 6


def add_arguments(parser):
    """Add the arguments of this command."""
    parser.add_argument("--output", default="saved_models/elpv", help="folder to write")
    parser.add_argument("--epochs", type=int, default=_EPOCHS, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")


def run(arguments):
    """Run the command."""
    started = time.monotonic()
    tft.check_export_path(arguments.output, overwrite=True)
    print(
        "Is a solar cell defective? 2,624 photographs of cells under current, three\n"
        "quarters to learn from, one quarter to measure on. A network pretrained on\n"
        f"ImageNet ({BACKBONE}) stays frozen; a new head learns on top of it.\n"
        f"Data: {tft.ELPV_LICENSE}.\n",
        flush=True,
    )
    train, test = tft.load_elpv(arguments.seed, image_size=_IMAGE_SIZE)
    model = tft.build_transfer_model(
        BACKBONE, num_classes=2, image_size=_IMAGE_SIZE, seed=arguments.seed
    )
    stage = tft.Stage(epochs=arguments.epochs, learning_rate=_LEARNING_RATE)
    history = tft.fine_tune(model, train, stages=[stage], seed=arguments.seed)
    evaluation = tft.evaluate(model, test)
    print(f"\n{evaluation}\n\n{_compare(evaluation)}\n", flush=True)
    about = write_results(
        model,
        arguments.output,
        training=history,
        evaluation=evaluation,
        dataset=test,
        overwrite=True,
        metadata={"data": "elpv", "backbone": BACKBONE},
        training_data=train,
    )
    print(
        f"Exported to {arguments.output}: a SavedModel that takes image files; in a\n"
        "fresh process its answers differ from the live model's by at most "
        f"{about['parity']['max_abs_difference']:.1e}.\n"
    )
    cells = _choose_cells(arguments.seed)
    _ask_in_a_fresh_process(arguments.output, cells)
    print(f"\n{_next_commands(arguments.output, cells)}")
    print(f"\nDone in {time.monotonic() - started:.0f} seconds.")


def _compare(evaluation):
    low, high = (100 * end for end in evaluation.intervals["accuracy"])
    accuracy = 100 * evaluation.metrics["accuracy"]
    published = ", ".join(f"{name} {value}" for name, value in PUBLISHED.items())
    return (
        f"Test accuracy {accuracy:.2f} % (95 % interval {low:.1f} to {high:.1f}).\n"
        f"Published on this protocol: {published} %."
    )


def _choose_cells(seed):
    paths, probabilities, wafers = tft.read_elpv()
    test = tft.split_elpv(probabilities, wafers, seed=seed)["test"]
    return [paths[cell] for cell in test[:: len(test) // _ASKED][:_ASKED]]


def _ask_in_a_fresh_process(output, cells):
    command = [sys.executable, "-m", "tftransfer", "predict", output, *cells]
    print("Asking the export about some test cells, in a fresh process:", flush=True)
    subprocess.run(command, check=True)


def _next_commands(output, cells):
    folder, cell = shlex.quote(output), shlex.quote(cells[0])
    return (
        "What to try next:\n"
        f"  look at {folder}/history.png, confusion.png and examples.png\n"
        f"  tftransfer predict {folder} {cell} --json\n"
        "  tftransfer train YOUR_FOLDER --output saved_models/yours\n"
        "  tftransfer backbones --local"
    )
