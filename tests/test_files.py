"""A file that cannot be written is named, and leaves nothing behind."""

import errno

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from orthontk import tensor_files
from orthontk.files import remove_partials, replacing, write_text
from orthontk.tensor_files import DamagedFile, read_tensors, write_tensors


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def half_written(tensors, path, metadata):
    path.write_bytes(b"half")
    raise SafetensorError("I/O error: No space left on device (os error 28)")


def test_a_text_on_a_full_disk(tmp_path, monkeypatch):
    path = tmp_path / "summary.json"
    write_text(path, "before")
    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space left on device") as error:
        write_text(path, "after")
    assert error.value.filename == str(path)
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_tensors_on_a_full_disk(tmp_path, monkeypatch):
    path = tmp_path / "ntk.safetensors"
    monkeypatch.setattr(tensor_files, "save_file", half_written)
    with pytest.raises(OSError, match="No space left on device") as error:
        write_tensors(path, {"x": torch.ones(3)})
    assert error.value.filename == str(path)
    assert not list(tmp_path.iterdir())


def test_a_file_of_tensors_without_settings_is_named(tmp_path):
    path = tmp_path / "others.safetensors"
    save_file({"x": torch.ones(3)}, path)
    with pytest.raises(DamagedFile, match=f"^{path}: expected "):
        read_tensors(path)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        write_text(tmp_path / "nowhere" / "summary.json", "text")
    assert error.value.filename == str(tmp_path / "nowhere" / "summary.json")


def test_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError) as error, replacing(tmp_path / "summary.json"):
        (tmp_path / "source.json").read_text()
    assert error.value.filename == str(tmp_path / "source.json")


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_whatever_ends_the_writing_leaves_nothing(tmp_path, error):
    with pytest.raises(error), replacing(tmp_path / "summary.json") as partial:
        partial.write_text("half")
        raise error
    assert not list(tmp_path.iterdir())


def test_two_writers_at_once_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "record.json"
    with replacing(path) as first:
        first.write_text("first")
        write_text(path, "second")
    assert path.read_text() == "first" and list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_removed(tmp_path):
    writing = replacing(tmp_path / "chunks" / "metrics.csv")
    (tmp_path / "chunks").mkdir()
    partial = writing.__enter__()
    partial.write_text("half")
    (tmp_path / "own.partial").write_text("a user's")
    remove_partials(tmp_path)
    assert not partial.exists() and (tmp_path / "own.partial").exists()
