import keras
import pytest
from PIL import Image

from tftransfer.data.synthetic import load_synthetic


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder with two classes of twenty small images each."""
    folder = tmp_path_factory.mktemp("data") / "photos"
    (data,) = load_synthetic(2, num_splits=1, num_examples=40, batch_size=40)
    images, labels = next(data.as_numpy_iterator())
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / data.class_names[label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return folder


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory):
    """A `.keras` file of a network that gives the mean of each channel."""
    path = tmp_path_factory.mktemp("backbone") / "tiny.keras"
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    model.save(path)
    return str(path)
