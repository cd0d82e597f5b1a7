"""Train a model on your data: a new head first, then more of the backbone if asked."""

import tftransfer as tft
from tftransfer.cli.budgeted import (
    check_budgeted,
    choose_image_size,
    train_in_time,
)
from tftransfer.cli.datasets import add_data_arguments, load_datasets
from tftransfer.cli.durations import read_seconds
from tftransfer.cli.interrupts import interrupts_kept
from tftransfer.cli.networks import add_backbone_arguments, load_backbone
from tftransfer.cli.results import write_results

HELP = "train, evaluate and export a model on your data"
EXAMPLES = """\
examples:
  tftransfer train photos/ --output saved_models/photos
  tftransfer train cifar10 --splits "train[:90%],train[90%:],test" --data-dir data \\
      --image-size 224 --epochs 3 --trainable-depth 0.3 --output saved_models/cifar10
  tftransfer train cells.csv --image-column file --label-columns crack,finger \\
      --backbone keras:ResNet50 --weights resnet50_notop.h5 --output saved_models/cells
  tftransfer train photos/ --strategy gradual_unfreezing --epochs 8 \\
      --output saved_models/photos
  tftransfer train photos/ --time-budget 10m --augment flip --output saved_models/photos
  tftransfer train reviews.csv --text-column review --output saved_models/reviews
"""
_BY_HAND = {  # what a strategy says itself, with the defaults
    "frozen_epochs": 5,
    "trainable_depth": "0.3",
    "head_rate": 1e-2,
    "learning_rate": 3e-4,
}
STRATEGIES = [
    "head_only",
    "head_then_all",
    "gradual_unfreezing",
    "discriminative",
    "full",
    "from_scratch",
]
_DEFAULT_SPLITS = ["train[:90%]", "train[90%:]", "test"]


def add_arguments(parser):
    """Add the arguments of this command."""
    add_data_arguments(parser)
    parser.add_argument("--output", required=True, help="folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace the output")
    group = add_backbone_arguments(parser)
    group.add_argument(
        "--head", default="linear", choices=["linear", "mlp", "conv_transpose"]
    )
    group.add_argument("--dropout", type=float, default=0.0, metavar="SHARE")
    group.add_argument(
        "--task", choices=["classification", "multi_label", "regression"]
    )
    group = parser.add_argument_group("training")
    group.add_argument(
        "--time-budget",
        type=read_seconds,
        metavar="TIME",
        help="such as 10m: find out which backbone, how deep and how long",
    )
    group.add_argument(
        "--strategy",
        choices=STRATEGIES,
        help="instead of the next four; --epochs are then all of them",
    )
    group.add_argument("--frozen-epochs", type=int, metavar="N", help="default 5")
    group.add_argument("--trainable-depth", help="3, 0.3 (default), all, or a name")
    group.add_argument(
        "--head-rate", type=float, metavar="RATE", help="while frozen; default 1e-2"
    )
    group.add_argument(
        "--learning-rate", type=float, metavar="RATE", help="after it; default 3e-4"
    )
    group.add_argument(
        "--epochs", type=int, default=0, metavar="N", help="after the frozen ones"
    )
    group.add_argument(
        "--augment", default="", help="separated by commas, such as flip,rotate90"
    )
    group.add_argument(
        "--validation-fraction", type=float, default=0.2, metavar="SHARE"
    )


def run(arguments):
    """Run the command."""
    tft.check_export_path(arguments.output, overwrite=arguments.overwrite)
    train_model = _train_by_hand if arguments.time_budget is None else _train_in_time
    model, training, train, validation, test = train_model(arguments)
    evaluation = tft.evaluate(model, test, class_names=train.class_names)
    name = getattr(test, "split_name", "held-out")
    chosen = ", which chose the best epoch too" if test is validation else ""
    print(f"\nOn the {name} data{chosen}:\n{evaluation}\n")
    about = write_results(
        model,
        arguments.output,
        training=training,
        evaluation=evaluation,
        dataset=test,
        overwrite=arguments.overwrite,
        metadata={
            **_describe_origin(arguments),
            "measured_on": f"the {name} data{chosen}",
        },
        training_data=train,
    )
    _say_what_is_next(arguments.output, about)


def _train_by_hand(arguments):
    stages = _read_training(arguments)
    backbone = load_backbone(arguments)
    augment = _read_augment(arguments)
    train, validation, test = _load_data(arguments, backbone.image_size, augment)
    rows = train
    if train.element_spec[0].dtype.name == "string":
        rows = tft.batch_by_length(train, arguments.batch_size, seed=arguments.seed)
    model = tft.build_transfer_model(
        backbone,
        num_classes=_count_outputs(train, arguments.task),
        task=arguments.task or _tell_task(train),
        head=arguments.head,
        dropout=arguments.dropout,
        seed=arguments.seed,
    )
    with interrupts_kept() as callbacks:
        history = tft.fine_tune(
            model,
            rows,
            validation_data=validation,
            **stages,
            callbacks=callbacks,
            seed=arguments.seed,
        )
    return model, history, train, validation, test


def _train_in_time(arguments):
    check_budgeted(arguments)
    augment = _read_augment(arguments)
    handle = arguments.backbone
    size = choose_image_size(arguments, handle and [handle])
    train, _, test = _load_data(arguments, size)
    found = train_in_time(arguments, train, augment)
    arguments.backbone = ", ".join(found.best.backbones)
    return found.model, found, train, None, test


def _read_augment(arguments):
    return tuple(filter(None, arguments.augment.split(",")))


def _say_what_is_next(output, about):
    difference = about["parity"]["max_abs_difference"]
    rows = "TEXT" if about["input"] == "texts" else "IMAGE"
    print(f"Written to {output}; in a fresh process its answers differ from")
    print(f"the live model's by at most {difference:.1e}. Next:")
    print(f"  tftransfer predict {output} {rows} ...")


def _describe_origin(arguments):
    licenses = {info.handle: info.license for info in tft.list_backbones()}
    used = [licenses.get(handle) for handle in arguments.backbone.split(", ")]
    known = dict.fromkeys(each for each in used if each)
    return {
        "data": arguments.data,
        "backbone": arguments.backbone,
        "backbone_license": ", ".join(known) or None,
    }


def _load_data(arguments, image_size, augment=()):
    """Return train, validation and test; one part serves as both where there is one."""
    train, *held_out = load_datasets(
        arguments,
        image_size,
        default_splits=_DEFAULT_SPLITS,
        task=arguments.task,
        augment=augment,
        validation_fraction=arguments.validation_fraction,
    )
    if not held_out:
        raise ValueError(
            "`DATA` must give something to train on and something to evaluate on. "
            "Received: one part only. Give --validation-fraction above 0 and below 1, "
            "or name more --splits."
        )
    return train, held_out[0], held_out[-1]


def _count_outputs(dataset, task):
    if dataset.class_names is not None:
        return len(dataset.class_names)
    labels = dataset.element_spec[1]
    if task != "regression":
        raise ValueError(
            "`DATA` must have labels with names of classes, or --task regression. "
            f"Received: labels of dtype {labels.dtype.name} without names. "
            "Give --task regression if they are values."
        )
    return labels.shape[1] if len(labels.shape) == 2 else 1


def _tell_task(dataset):
    labels = dataset.element_spec[1]
    return "multi_label" if len(labels.shape) == 2 else "classification"


def _read_training(arguments):
    """Return what tells `fine_tune` how to train: stages, or a strategy and epochs."""
    given = {name: getattr(arguments, name) for name in _BY_HAND}
    if arguments.strategy:
        others = [name for name, value in given.items() if value is not None]
        if others or arguments.epochs < 1:
            found = others or ["epochs"]
            flags = ", ".join("--" + name.replace("_", "-") for name in found)
            raise ValueError(
                "`--strategy` must come with --epochs above 0 and without what its "
                f"stages say themselves. Received: --strategy {arguments.strategy} and "
                f"{flags}{'' if others else f' {arguments.epochs}'}. Give --epochs "
                "alone."
            )
        return {"strategy": arguments.strategy, "epochs": arguments.epochs}
    settings = {
        name: _BY_HAND[name] if value is None else value
        for name, value in given.items()
    }
    return {"stages": _make_stages(arguments.epochs, **settings)}


def _make_stages(epochs, *, frozen_epochs, trainable_depth, head_rate, learning_rate):
    stages = []
    if frozen_epochs:
        stages.append(tft.Stage(frozen_epochs, head_rate, 0))
    if epochs:
        depth = _read_depth(trainable_depth)
        stages.append(tft.Stage(epochs, learning_rate, depth))
    if not stages:
        raise ValueError(
            "`--frozen-epochs` and `--epochs` must not both be 0. Received: 0 and 0. "
            "Nothing would learn."
        )
    return stages


def _read_depth(text):
    """Read "3" as blocks, "0.3" as a share; anything else is a name."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
