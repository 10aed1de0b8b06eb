"""Every bad value is refused under the name it has in the config, and its valid neighbour is taken."""

import io

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from orthontk.checks import InvalidValue
from orthontk.data import TensorDataModule
from orthontk.data.hub import from_hub

GAUSSIAN = {"source": "gaussian", "shape": (6,), "classes": 3, "train_size": 12, "test_size": 6, "batch_size": 4}


def load(options):
    TensorDataModule(**{"source": "mnist_5k", **options}).setup()


@pytest.mark.parametrize(
    ("name", "refused", "neighbour"),
    [
        ("source", {"source": "imagenet"}, {"source": "mnist_5k"}),
        ("train_size", {"train_size": 4001}, {"train_size": 4000}),
        ("train_size", {"train_size": 3501, "val_size": 500}, {"train_size": 3500, "val_size": 500}),
        ("train_size", {"train_size": 0}, {"train_size": None}),
        ("train_size", {"train_size": -10}, {"train_size": 130}),
        ("train_size", {"train_size": 200.0}, {"train_size": 200}),
        ("train_size", {"train_size": 0.5}, {"train_size": 150}),
        ("train_size", {"train_size": True}, {"train_size": None}),
        ("train_size", {"train_size": "all"}, {"train_size": None}),
        ("train_size", {"train_size": 9, "batch_size": 1}, {"train_size": 10, "batch_size": 1}),
        ("val_size", {"val_size": 4001}, {"val_size": 3000}),
        ("val_size", {"val_size": 4000}, {"val_size": 3990, "batch_size": 10}),
        ("val_size", {"val_size": 9}, {"val_size": 10}),
        ("val_size", {"val_size": None}, {"val_size": 0}),
        ("val_size", {"val_size": False}, {"val_size": 0}),
        ("val_size", {"val_size": -1}, {"val_size": 11}),
        ("test_size", {"test_size": 1001}, {"test_size": 1000}),
        ("test_size", {"test_size": 0}, {"test_size": 10}),
        ("test_size", {"test_size": 20.5}, {"test_size": 20}),
        ("batch_size", {"batch_size": 4001}, {"batch_size": 4000}),
        ("batch_size", {"batch_size": 101, "train_size": 100}, {"batch_size": 100, "train_size": 100}),
        ("batch_size", {"batch_size": 3501, "val_size": 500}, {"batch_size": 3500, "val_size": 500}),
        ("batch_size", {"batch_size": 0}, {"batch_size": 1}),
        ("batch_size", {"batch_size": 12.0}, {"batch_size": 12}),
        ("batch_size", {"batch_size": True}, {"batch_size": 1}),
        ("batch_size", {"batch_size": "half"}, {"batch_size": "full"}),
        ("batch_size", {"batch_size": None}, {"batch_size": "full"}),
        ("eval_batch_size", {"eval_batch_size": 0}, {"eval_batch_size": 1}),
        ("normalize", {"normalize": "whiten"}, {"normalize": "standardize"}),
        ("normalize", {"normalize": None}, {"normalize": "none"}),
        ("seed", {"seed": -1}, {"seed": 0}),
        ("seed", {"seed": 1.5}, {"seed": 1}),
        ("path", {"path": "/tmp"}, {"path": None}),
        ("shape", {"shape": (784,)}, {"shape": None}),
        ("classes", {"classes": 10}, {"classes": None}),
        ("shape", {**GAUSSIAN, "shape": None}, GAUSSIAN),
        ("shape", {**GAUSSIAN, "shape": (3, 4)}, {**GAUSSIAN, "shape": (3, 4, 4)}),
        ("shape", {**GAUSSIAN, "shape": (0,)}, {**GAUSSIAN, "shape": (1,)}),
        ("shape", {**GAUSSIAN, "shape": 6}, {**GAUSSIAN, "shape": [6]}),
        ("classes", {**GAUSSIAN, "classes": 0}, {**GAUSSIAN, "classes": 1}),
        ("train_size", {**GAUSSIAN, "train_size": None}, {**GAUSSIAN, "train_size": 4}),
        ("train_size", {**GAUSSIAN, "train_size": 2}, {**GAUSSIAN, "train_size": 7}),
        ("batch_size", {**GAUSSIAN, "batch_size": 13}, {**GAUSSIAN, "batch_size": 12}),
    ],
)
def test_arguments(name, refused, neighbour):
    with pytest.raises(InvalidValue, match=rf"^{name}=.*: expected .") as refusal:
        load(refused)
    assert "\n" not in str(refusal.value)
    load(neighbour)


def encoded(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG")
    return buffer.getvalue()


def table(images, labels, image_column="image", label_column="label"):
    encoding = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    structs = pyarrow.array([{"bytes": blob, "path": None} for blob in images], encoding)
    return pyarrow.table({image_column: structs, label_column: labels})


def damage_nothing(folder, images, labels):
    pyarrow.parquet.write_table(table(images, labels), folder / "train.parquet")


def rename_images(folder, images, labels):
    pyarrow.parquet.write_table(table(images, labels, image_column="picture"), folder / "train.parquet")


def rename_labels(folder, images, labels):
    pyarrow.parquet.write_table(table(images, labels, label_column="y"), folder / "train.parquet")


def raw_numbers_as_images(folder, images, labels):
    pyarrow.parquet.write_table(pyarrow.table({"image": labels, "label": labels}), folder / "train.parquet")


def mix_shapes(folder, images, labels):
    damage_nothing(folder, [*images[:-1], encoded(np.zeros((27, 28), np.uint8))], labels)


def mix_colours(folder, images, labels):
    damage_nothing(folder, [*images[:-1], encoded(np.zeros((28, 28, 3), np.uint8))], labels)


def resize_one_split(folder, images, labels):
    damage_nothing(folder, [encoded(np.zeros((27, 28), np.uint8))] * len(images), labels)


def no_rows(folder, images, labels):
    damage_nothing(folder, [], pyarrow.array([], pyarrow.int64()))


def use_16_bits(folder, images, labels):
    damage_nothing(folder, [encoded(np.zeros((28, 28), np.uint16))] * len(images), labels)


def damage_an_image(folder, images, labels):
    damage_nothing(folder, [*images[:-1], images[-1][: len(images[-1]) // 2]], labels)


def lose_an_image(folder, images, labels):
    damage_nothing(folder, [*images[:-1], None], labels)


def label_outside(folder, images, labels):
    damage_nothing(folder, images, [*labels[:-1], 10])


def negative_label(folder, images, labels):
    damage_nothing(folder, images, [*labels[:-1], -1])


def null_label(folder, images, labels):
    damage_nothing(folder, images, [*labels[:-1], None])


def text_labels(folder, images, labels):
    damage_nothing(folder, images, [str(label) for label in labels])


def truncate_file(folder, images, labels):
    damage_nothing(folder, images, labels)
    content = (folder / "train.parquet").read_bytes()
    (folder / "train.parquet").write_bytes(content[: len(content) // 2])


def empty_file(folder, images, labels):
    (folder / "train.parquet").write_bytes(b"")


def overwrite_the_middle(folder, images, labels):
    damage_nothing(folder, images, labels)
    content = bytearray((folder / "train.parquet").read_bytes())
    content[len(content) // 4 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 4)
    (folder / "train.parquet").write_bytes(content)


def not_parquet(folder, images, labels):
    (folder / "train.parquet").write_text("image,label\n")


def remove_file(folder, images, labels):
    (folder / "train.parquet").unlink()


def folder_in_its_place(folder, images, labels):
    (folder / "train.parquet").unlink()
    (folder / "train.parquet").mkdir()


DAMAGES = [
    rename_images, rename_labels, resize_one_split, no_rows, raw_numbers_as_images, mix_shapes, mix_colours,
    use_16_bits, damage_an_image, lose_an_image, label_outside, negative_label, null_label, text_labels,
    truncate_file, empty_file, overwrite_the_middle, not_parquet, remove_file, folder_in_its_place,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_files(image_folder, digits, damage, capfd):
    pixels, labels = digits
    images, labels = [encoded(image) for image in pixels[::5]], labels[::5].tolist()
    options = {"source": "mnist", "path": str(image_folder)}
    damage_nothing(image_folder, images, labels)
    load(options)
    damage(image_folder, images, labels)
    capfd.readouterr()
    with pytest.raises(InvalidValue, match=r"^path=.*: expected .") as refusal:
        load(options)
    assert "\n" not in str(refusal.value)
    assert capfd.readouterr() == ("", "")  # the refusal's one line is all there is to read


def test_paths(image_folder):
    (image_folder / "empty").mkdir()
    for path in (image_folder / "missing", image_folder / "train.parquet", image_folder / "empty", 3):
        with pytest.raises(InvalidValue, match=r"^path=.*: expected a"):
            load({"source": "mnist", "path": path})
    load({"source": "mnist", "path": image_folder})


def test_another_set_is_not_trained_on_under_the_name_of_one(image_folder):
    with pytest.raises(InvalidValue, match=r"^path=.*: expected images of cifar10, 32 × 32 × 3, in .*; found 28 × 28$"):
        load({"source": "cifar10", "path": image_folder})
    with pytest.raises(InvalidValue, match=r"^path=.*: expected images of mnist, 28 × 28, in .*; found 32 × 32 × 3$"):
        load({"source": "mnist", "path": image_folder / "cifar10"})


def test_a_set_with_a_class_missing_has_no_balanced_subset(image_folder, digits):
    pixels, labels = digits
    damage_nothing(image_folder, [encoded(image) for image in pixels[:900:5]], labels[:900:5].tolist())
    load({"source": "mnist", "path": image_folder})
    with pytest.raises(InvalidValue, match=r"^train_size=100.*class 9 has 0"):
        load({"source": "mnist", "path": image_folder, "train_size": 100, "batch_size": 10})


def test_without_the_hub(image_folder, monkeypatch):
    """Offline mode is what `datasets` itself offers for a machine without a network."""
    import datasets
    import huggingface_hub

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InvalidValue, match=r"^source=mnist: expected .* ylecun/mnist could.* data\.path=FOLDER with"):
        load({"source": "mnist"})
    load({"source": "mnist", "path": image_folder})


def test_attempts_to_reach_the_hub_are_not_logged(monkeypatch, caplog):
    import datasets
    from huggingface_hub.utils import logging

    logger, verbosity = logging.get_logger("huggingface_hub.utils._http"), logging.get_verbosity()

    def load_dataset(name):
        logger.warning("Retrying in 1s")
        raise ConnectionError

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(InvalidValue, match=r"^source=mnist: "):
        load({"source": "mnist"})
    assert not caplog.records and logging.get_verbosity() == verbosity


def test_what_is_waited_for_is_said_before(monkeypatch, capsys):
    import datasets

    said = []
    monkeypatch.setattr(datasets, "load_dataset", lambda repository: said.append(capsys.readouterr().err))
    from_hub("mnist")
    assert "the Hugging Face hub for ylecun/mnist; data.path=FOLDER" in said[0]
