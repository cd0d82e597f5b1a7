"""From labeled rows and a time to a model: what to transfer, and how deep."""

from tftransfer.automatic.problem import read_problem
from tftransfer.automatic.search import Search
from tftransfer.checks import (
    check_choice,
    check_number,
    check_positive,
    check_whole_number,
)
from tftransfer.data.augmentation import check_augment
from tftransfer.pacing import Clock
from tftransfer.ranking.entrants import AVAILABLE, list_entrants
from tftransfer.ranking.inputs import TASKS


def auto_transfer(
    data,
    time_budget=600,
    *,
    backbones=AVAILABLE,
    task="classification",
    augment=(),
    validation_fraction=0.2,
    engine="auto",
    directory=None,
    seed=0,
    verbose=1,
):
    """Find the best model that a time buys, by validation rows set aside.

    1. A linear head on the stored features of each backbone, the smallest first, while
       two fifths of the time last; its penalty by the validation loss.
    2. The best of them is fine-tuned from that head, nine tenths of its weights where
       the time allows five epochs, else half of them, up to twelve epochs. The rate
       falls to 0 within the time there is.
    3. With time left, another network is fine-tuned: the same for larger images where
       the rows have them, else the runner-up, else the same with another seed; and the
       mean of both (`average_models`) is tried.

    What has the best score on the validation rows is returned; of equals what was known
    first. Those rows take no part in training. Seconds are those of this machine: equal
    calls may end after other numbers of steps.

    Args:
        data: Labeled training rows, images or texts: a batched `tf.data.Dataset` of
            `(x, y)` without augmentation, which is read twice, or a tuple of arrays.
        time_budget: Seconds for everything, above 0; one network is always looked at.
        backbones: As in `rank_backbones`.
        task: `"classification"` or `"regression"`.
        augment: Names out of `AUGMENTATIONS` that leave the meaning of your images,
            such as `("flip",)`, for fine-tuning.
        validation_fraction: Share of the rows to choose by, in 0.01..0.5.
        engine: What computes features: see `extract_features`.
        directory: Folder of the store, or `None` for the usual one.
        seed: Whole number >= 0.
        verbose: 1 prints a line for each trial, 0 nothing.

    Returns:
        `AutoTransfer`.

    Raises:
        ImportError: If scikit-learn is missing, for classification.
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of range, or rows or labels do not fit.

    Example:

    ```python
    train, test = tft.load_elpv(seed=0)
    found = tft.auto_transfer(train, 600, augment=("flip", "rotate90"))
    print(found)
    print(tft.evaluate(found.model, test))
    ```
    """
    check_positive("time_budget", time_budget)
    check_choice("task", task, TASKS)
    check_number("validation_fraction", validation_fraction, 0.01, 0.5)
    check_whole_number("seed", seed, 0)
    augment = check_augment(augment)
    clock = Clock(time_budget)
    problem = read_problem(data, task, augment, validation_fraction, seed)
    if augment and problem.image_size is None:
        raise ValueError(
            "`augment` must be empty for rows that are no images. "
            f"Received: augment={augment}. Leave it out."
        )
    batch = next(problem.plain.take(1).as_numpy_iterator())[0]
    entrants = list_entrants(backbones, batch)
    extracting = {"engine": engine, "directory": directory, "verbose": 0}
    search = Search(problem, clock, extracting, verbose)
    search.look_at(entrants)
    search.fine_tune()
    return search.finish()
