"""The command line, as a user meets it: what it prints, what it writes, and how it ends."""

import contextlib
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from minicnn import __version__
from minicnn.backend import get_device, kernels, set_device
from minicnn.cli import data, doctor, main, run_folder, train
from minicnn.cli.image_files import resized
from minicnn.cli.networks import NETWORKS, build
from minicnn.datasets import cifar10, shapes10

ROOT = Path(__file__).parents[1]
QUICK = ["--train-images", "64", "--epochs", "1", "--model", "linear", "--verbose", "0"]


@pytest.fixture(scope="module", autouse=True)
def _few_images():
    (x, y), test = shapes10.load_data(n_train=64, n_test=40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes10, "load_data", lambda n_train: ((x[:n_train], y[:n_train]), test))
        yield


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    device = get_device()
    yield
    set_device(device)


@pytest.fixture(scope="module")
def trained(_few_images, tmp_path_factory):
    """A run of `minicnn train` to be copied, for each takes a second or two."""
    folder = tmp_path_factory.mktemp("trained") / "minicnn-run"
    assert main(["train", *QUICK, "--output", str(folder)]) == 0
    return folder


@pytest.fixture
def finished_run(trained):
    return shutil.copytree(trained, Path("minicnn-run"))


def refusal(words, capsys):
    """What `minicnn words` says when it refuses, with exit code 2 and no traceback."""
    try:
        code = main(words)
    except SystemExit as exit:  # argparse's way
        code = exit.code
    out, err = capsys.readouterr()
    assert code == 2 and "Traceback" not in err
    return err


def last_line(text):
    return text.rstrip("\n").rpartition("\n")[2]


# --- train


def test_train_saves_weights_and_pictures_and_says_so_in_the_last_line(capsys):
    assert main(["train", "--train-images", "64", "--epochs", "2"]) == 0
    out = capsys.readouterr().out
    assert {path.name for path in Path("minicnn-run").iterdir()} == {
        "run.json",
        "model.weights.h5",
        "learning_curves.png",
        "predictions.png",
    }
    assert "Epoch 2/2" in out and "training 'small' (160,202 weights) on shapes10, 64 images" in out
    notes = json.loads(Path("minicnn-run/run.json").read_text())["notes"]
    accuracy = f"{notes['test_accuracy']:.4f}"
    assert last_line(out) == f"Test accuracy: {accuracy}. Weights and pictures: minicnn-run"


def test_verbose_0_prints_the_last_line_only(capsys):
    main(["train", *QUICK])
    out = capsys.readouterr().out
    assert out.startswith("Test accuracy: ") and out.count("\n") == 1


def test_the_seed_decides_everything(capsys):
    for seed in ("1", "1", "2"):
        main(["train", *QUICK, "--seed", seed])
    runs = ["minicnn-run", "minicnn-run-2", "minicnn-run-3"]
    one, same, other = (weights_of(run) for run in runs)
    assert np.array_equal(one, same) and not np.array_equal(one, other)


def weights_of(folder):
    run = run_folder.read_run(Path(folder))
    return run_folder.trained_model(Path(folder), run).get_weights()[0]


def test_a_second_run_leaves_the_first_alone(finished_run, capsys):
    before = (finished_run / "model.weights.h5").stat()
    main(["train", *QUICK])
    assert last_line(capsys.readouterr().out).endswith("minicnn-run-2")
    assert (finished_run / "model.weights.h5").stat() == before


def test_an_output_folder_may_exist_and_hold_other_things(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    main(["train", *QUICK, "--output", "mine"])
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep me"
    assert (tmp_path / "mine" / "model.weights.h5").exists()


def test_output_folders_are_made_with_their_parents(capsys):
    main(["train", *QUICK, "--output", "a/b"])
    assert Path("a/b/model.weights.h5").exists()


def test_train_tells_when_the_loss_is_no_number_any_more(capsys):
    with np.errstate(all="ignore"):
        main(["train", *QUICK, "--learning-rate", "1e38", "--batch-size", "8", "--model", "small"])
    assert "try a smaller --learning-rate" in capsys.readouterr().err


# --- what train refuses, before anything is lost


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--epochs", "0"], "--epochs: must be a whole number from 1 on, but is '0'"),
        (["--epochs", "1.5"], "must be a whole number from 1 on, but is '1.5'"),
        (["--seed", "-1"], "--seed: must be a whole number from 0 on, but is '-1'"),
        (["--batch-size", "many"], "--batch-size: must be a whole number from 1 on, but is 'many'"),
        (["--learning-rate", "0"], "--learning-rate: must be a number above 0, but is '0'"),
        (["--learning-rate", "nan"], "--learning-rate: must be a number above 0, but is 'nan'"),
        (["--learning-rate", "x"], "--learning-rate: must be a number above 0, but is 'x'"),
        (["--model", "smal"], "unknown model 'smal'. Did you mean 'small'?"),
        (["--dataset", "cifar-10"], "unknown dataset 'cifar-10'. Did you mean 'cifar10'?"),
        (["--epoch-s", "3"], "unrecognized arguments: --epoch-s 3. Did you mean '--epochs'?"),
        (["--batchsize=3"], "--batchsize=3. Did you mean '--batch-size'?"),
        (["--data", "x"], "--data is for --dataset cifar10"),
        (["--dataset", "cifar10", "--data", "x"], "--data: there is nothing at 'x'"),
        (["--dataset", "cifar10", "--train-images", "50001"], "cifar10 has 50000 training images"),
    ],
)
def test_train_refuses_bad_settings_and_writes_nothing(words, message, capsys, tmp_path):
    assert message in refusal(["train", *words], capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_output_folder_is_refused(capsys, tmp_path):
    (tmp_path / "minicnn-run").write_text("a file")
    message = refusal(["train", *QUICK], capsys)
    assert "--output:" in message and "minicnn-run is a file, not a folder." in message
    assert (tmp_path / "minicnn-run").read_text() == "a file"


def test_a_file_among_the_parents_of_the_output_folder_is_refused(capsys, tmp_path):
    (tmp_path / "file").write_text("a file")
    message = refusal(["train", *QUICK, "--output", "file/run"], capsys)
    assert "nothing can be saved in" in message and "training has not begun" in message


def test_an_unwritable_output_folder_is_refused_before_the_training(capsys, tmp_path, monkeypatch):
    def forbidden(*arguments, **settings):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "mkdir", forbidden)  # for root, every folder is writable
    monkeypatch.setattr(data, "load", lambda *_: pytest.fail("training has begun"))
    message = refusal(["train", *QUICK], capsys)
    assert "nothing can be saved in" in message and "Permission denied" in message


def test_a_gpu_that_cannot_be_had_is_refused_with_the_reason(capsys, monkeypatch):
    def no_gpu(name):
        raise RuntimeError("no GPU can be used, because it is out for lunch.")

    monkeypatch.setattr("minicnn.cli.options.set_device", no_gpu)
    assert "because it is out for lunch" in refusal(["train", "--device", "gpu"], capsys)


def test_a_data_set_that_cannot_be_had_leaves_no_folder(capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    words = ["train", "--dataset", "cifar10", "--data", "empty"]
    assert "is not whole: data_batch_1 is missing" in refusal(words, capsys)
    assert [entry.name for entry in tmp_path.iterdir()] == ["empty"]


def test_a_full_disk_while_saving_is_told_without_a_traceback(capsys, monkeypatch, tmp_path):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert main(["train", *QUICK]) == 1
    err = capsys.readouterr().err
    assert "minicnn train:" in err and "could not be saved (No space left on device)" in err
    assert list(tmp_path.iterdir()) == []


def test_a_picture_that_cannot_be_saved_costs_neither_weights_nor_result(capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(train, "_draw", full)
    assert main(["train", *QUICK]) == 1
    out, err = capsys.readouterr()
    assert "No space left on device" in err and last_line(out).startswith("Test accuracy: ")
    assert Path("minicnn-run/model.weights.h5").exists()


# --- Ctrl-C


def interrupt(monkeypatch, epoch, batch):
    """Train for three epochs of two steps, and press Ctrl-C before one of the steps."""

    class Checkpoint(train.ModelCheckpoint):
        def on_epoch_begin(self, number, logs=None):
            self.running = number
            super().on_epoch_begin(number, logs)

        def on_train_batch_begin(self, step, logs=None):
            if (self.running, step) == (epoch, batch):
                raise KeyboardInterrupt

    monkeypatch.setattr(train, "ModelCheckpoint", Checkpoint)
    return main(["train", *QUICK, "--epochs", "3", "--batch-size", "32"])


def test_ctrl_c_keeps_what_is_learnt_and_draws_the_completed_epochs(monkeypatch, capsys):
    assert interrupt(monkeypatch, epoch=1, batch=1) == 130
    line = last_line(capsys.readouterr().out)
    assert line.startswith("Interrupted after 1 of 3 epochs. Test accuracy: ")
    assert {path.name for path in Path("minicnn-run").iterdir()} == {
        "run.json",
        "model.weights.h5",
        "learning_curves.png",
        "predictions.png",
    }


def test_ctrl_c_in_the_first_epoch_saves_all_but_the_curves(monkeypatch, capsys):
    assert interrupt(monkeypatch, epoch=0, batch=1) == 130
    assert "Interrupted after 0 of 3 epochs." in capsys.readouterr().out
    assert {path.name for path in Path("minicnn-run").iterdir()} == {
        "run.json",
        "model.weights.h5",
        "predictions.png",
    }


def test_ctrl_c_before_the_first_step_leaves_nothing_behind(monkeypatch, capsys, tmp_path):
    assert interrupt(monkeypatch, epoch=0, batch=0) == 130
    assert "nothing was learnt, so nothing is saved" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_the_data_is_loaded_leaves_nothing_behind(monkeypatch, capsys, tmp_path):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(data, "load", interrupted)
    assert main(["train", *QUICK]) == 130
    assert capsys.readouterr().err == "minicnn train: interrupted.\n"
    assert list(tmp_path.iterdir()) == []


def test_a_second_ctrl_c_says_what_is_missing(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "_report", interrupted)
    assert main(["train", *QUICK]) == 130
    assert "the test accuracy and the pictures are missing" in capsys.readouterr().err
    assert Path("minicnn-run/model.weights.h5").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_ends_a_real_training_cleanly(tmp_path):
    words = ["train", "--train-images", "64", "--epochs", "100000", "--model", "linear"]
    process = subprocess.Popen(
        [sys.executable, "-m", "minicnn", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # whoever starts the tests in the background lets their children ignore Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    with contextlib.closing(process.stdout), contextlib.closing(process.stderr):
        seen = ""
        while "Epoch 3/" not in seen:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            seen += line
        process.send_signal(signal.SIGINT)
        rest, err = process.stdout.read(), process.stderr.read()
        assert process.wait(60) == 130
    assert "Traceback" not in err
    assert last_line(rest).startswith("Interrupted after ")
    assert (tmp_path / "minicnn-run" / "learning_curves.png").exists()


# --- evaluate


def test_evaluate_finds_the_accuracy_that_train_has_found(finished_run, capsys):
    accuracy = json.loads((finished_run / "run.json").read_text())["notes"]["test_accuracy"]
    assert main(["evaluate"]) == 0
    line = last_line(capsys.readouterr().out)
    assert line.startswith("minicnn-run: 'linear' on 40 test images of shapes10: loss ")
    assert line.endswith(f"test accuracy {accuracy:.4f}")


def test_evaluate_takes_the_newest_run_or_the_one_that_is_named(finished_run, capsys):
    main(["train", *QUICK])
    os.utime("minicnn-run/model.weights.h5", (0, 0))
    capsys.readouterr()
    main(["evaluate", "--verbose", "0"])
    assert capsys.readouterr().out.startswith("minicnn-run-2: ")
    main(["evaluate", "minicnn-run", "--verbose", "0"])
    assert capsys.readouterr().out.startswith("minicnn-run: ")


def test_evaluate_and_predict_want_a_run(capsys):
    assert "Train one first: minicnn train" in refusal(["evaluate"], capsys)
    assert "Train one first: minicnn train" in refusal(["predict", "x.png"], capsys)


def test_a_folder_that_is_no_run_is_refused(capsys, tmp_path):
    message = refusal(["evaluate", str(tmp_path)], capsys)
    assert "is not the folder of a run: run.json cannot be read" in message


RUN = {"model": "linear", "dataset": "shapes10", "classes": ["a", "b"], "data": None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "run.json is damaged"),
        ("[" * 100_000, "run.json is damaged"),
        ("[]", "it holds no description of a run"),
        (json.dumps({**RUN, "model": "../small"}), "unknown model '../small'"),
        (json.dumps({**RUN, "model": ["small"]}), "model must be a short text"),
        (json.dumps({**RUN, "dataset": "imagenet"}), "unknown dataset 'imagenet'"),
        (json.dumps({**RUN, "classes": ["a"]}), "at least two names"),
        (json.dumps({**RUN, "classes": ["a", "\x1b[2J"]}), "classes must be a short text"),
        (json.dumps({**RUN, "data": 3}), "data must be a short text"),
        (json.dumps(RUN), "model.weights.h5: there is no such file"),
    ],
)
def test_a_damaged_run_is_refused(text, message, capsys, tmp_path):
    (tmp_path / "run.json").write_text(text)
    assert message in refusal(["evaluate", "."], capsys)


def test_weights_that_do_not_fit_are_refused(finished_run, capsys):
    text = (finished_run / "run.json").read_text().replace("linear", "small")
    (finished_run / "run.json").write_text(text)
    assert "no weight was loaded" in refusal(["evaluate"], capsys)


def test_a_broken_weights_file_is_refused(finished_run, capsys):
    (finished_run / "model.weights.h5").write_bytes(b"no HDF5")
    assert "cannot be read, so no weight was loaded" in refusal(["evaluate"], capsys)


# --- predict


def test_predict_names_the_likeliest_classes(finished_run, capsys):
    np.save("image.npy", shapes10.load_data(1)[0][0][0])
    assert main(["predict", "image.npy", "--top", "10"]) == 0
    first, second, *rows = capsys.readouterr().out.splitlines()
    assert first == "'linear' from minicnn-run, trained on shapes10"
    assert second == "image.npy:"  # its size needs no change, and none is told
    shares = [float(row.split()[0].rstrip("%")) for row in rows]
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(100, abs=0.1)
    assert {row.split()[1] for row in rows} == set(shapes10.CLASS_NAMES)


@pytest.mark.parametrize(
    "array",
    [
        np.full((32, 32, 3), 51, np.uint8),
        np.full((32, 32, 3), 51),
        np.full((32, 32, 3), 0.2),
        np.full((1, 32, 32, 3), 51, np.uint8),
        np.full((32, 32), 51, np.uint8),
        np.full((7, 50, 3), 51, np.uint8),
    ],
    ids=["bytes", "integers", "fractions", "a batch of one", "grey", "another size"],
)
def test_arrays_of_many_forms_are_the_same_image(array, finished_run, capsys):
    np.save("plain.npy", np.full((32, 32, 3), 51, np.uint8))
    np.save("other.npy", array)
    main(["predict", "plain.npy", "other.npy"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:5] == lines[6:9] and len(lines) == 9


def test_predict_says_that_it_resizes(finished_run, capsys):
    np.save("wide.npy", np.zeros((10, 64, 3)))
    main(["predict", "wide.npy"])
    assert "wide.npy, resized from 64 x 10 pixels:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((32, 32, 4)), r"wants one image, (height, width, 3), but its shape is"),
        (np.zeros((0, 32, 3)), r"wants one image"),
        (np.zeros((2, 32, 32, 3)), r"wants one image"),
        (np.full((32, 32, 3), 1.5), "fractions from 0 to 1, but its float64 go from 1.5 to 1.5"),
        (np.full((32, 32, 3), np.nan), "but its float64 go from nan to nan"),
        (np.full((32, 32, 3), 256), "whole numbers from 0 to 255"),
        (np.full((32, 32, 3), -1), "whole numbers from 0 to 255"),
        (np.full((32, 32, 3), "a"), "cannot be read as an image: it holds <U1"),
    ],
)
def test_arrays_that_are_no_image_are_refused(array, message, finished_run, capsys):
    np.save("image.npy", array)
    assert message in refusal(["predict", "image.npy"], capsys)


def test_files_that_are_no_image_are_refused(finished_run, capsys):
    Path("image.npy").write_bytes(b"no array")
    assert "image.npy: cannot be read as an array" in refusal(["predict", "image.npy"], capsys)
    assert "nope.png: there is no such file" in refusal(["predict", "nope.png"], capsys)


def test_a_pickle_in_the_place_of_an_array_is_not_run(finished_run, capsys):
    np.save("image.npy", np.array([print], dtype=object), allow_pickle=True)
    assert "cannot be read as an array" in refusal(["predict", "image.npy"], capsys)


def test_pictures_want_pillow(finished_run, capsys, monkeypatch):
    Path("image.png").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert "reading pictures needs Pillow: pip install pillow" in refusal(
        ["predict", "image.png"], capsys
    )


def test_pictures_are_read(finished_run, capsys):
    Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    pixels = shapes10.load_data(1)[0][0][0]
    np.save("image.npy", pixels)
    Image.fromarray(pixels).save("image.png")
    transparent = Image.fromarray(np.dstack([pixels, np.zeros((32, 32), np.uint8)]))
    transparent.save("nothing.png")
    np.save("white.npy", np.ones((32, 32, 3)))
    main(["predict", "image.npy", "image.png", "nothing.png", "white.npy"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:5] == lines[6:9]
    assert lines[10:13] == lines[14:17]  # what is transparent lies on white


def test_broken_pictures_are_refused(finished_run, capsys):
    pytest.importorskip("PIL", reason="Pillow is not installed")
    Path("image.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    assert "image.png: cannot be read as a picture" in refusal(["predict", "image.png"], capsys)


def test_resizing_takes_the_mean_of_the_covered_area():
    image = np.arange(24.0).reshape(4, 6, 1)
    wanted = image.reshape(2, 2, 2, 3, 1).mean(axis=(1, 3))
    assert np.allclose(resized(image, 2), wanted)


def test_resizing_to_a_size_that_is_no_divisor_weighs_the_parts_of_pixels():
    assert np.allclose(resized(np.array([[[0.0]], [[3.0]], [[6.0]]]), 2)[:, 0, 0], [1, 5])


def test_resizing_upward_repeats_pixels():
    image = np.array([[[1.0], [2.0]], [[3.0], [4.0]]])
    assert np.array_equal(resized(image, 4), image.repeat(2, axis=0).repeat(2, axis=1))


# --- doctor


def test_doctor_finds_nothing_wrong_with_a_good_installation(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for name in ("Python", "NumPy", "Numba", "h5py", "Matplotlib", "Processor", "Threads", "GPU"):
        assert f"\n  {name} " in out
    assert "conv2d.forward agrees with its reference" in out
    assert last_line(out) == "No problems found."


def test_doctor_gives_a_hint_for_a_library_that_is_missing(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "! h5py         cannot be imported" in out
    assert "-> Weights can neither be saved nor loaded without it: pip install" in out
    assert last_line(out) == "1 problem: see the lines marked with !"


def test_doctor_notices_a_kernel_that_computes_nonsense(capsys, monkeypatch):
    forward = kernels.conv2d.forward
    broken = type(forward)("conv2d.forward", forward.reference, wrong)
    monkeypatch.setattr(kernels.conv2d, "forward", broken)
    assert main(["doctor"]) == 1
    assert "conv2d.forward computes nonsense" in capsys.readouterr().out


def test_doctor_notices_a_kernel_that_fails(capsys, monkeypatch):
    forward = kernels.conv2d.forward
    monkeypatch.setattr(
        kernels.conv2d, "forward", type(forward)("conv2d.forward", forward.reference, int)
    )
    assert main(["doctor"]) == 1
    assert "conv2d.forward fails" in capsys.readouterr().out


def test_doctor_without_numba_says_so_and_ends(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "! Numba        cannot be imported" in out and "Nothing works without it" in out
    assert "Processor" not in out and last_line(out) == "1 problem: see the lines marked with !"


@pytest.mark.skipif(bool(kernels.emulator.why_unavailable()), reason="there is no g++")
def test_doctor_lets_a_gpu_compute(monkeypatch):
    monkeypatch.setattr(kernels.gpu, "why_no_gpu", lambda: "")
    monkeypatch.setattr(kernels.gpu, "description", lambda: "a GPU")
    assert str(doctor._gpu("emulator")).endswith("a GPU; conv2d.forward agrees with its reference")
    forward = kernels.conv2d.forward
    for gpu, message in ((lambda *_: 1 / 0, "fails (division by zero)"), (wrong, "nonsense")):
        broken = type(forward)("conv2d.forward", forward.reference, forward.cpu, gpu)
        monkeypatch.setattr(kernels.conv2d, "forward", broken)
        finding = doctor._gpu("emulator")
        assert finding.is_problem and message in finding.value and finding.hint


def wrong(x, *_):
    return x[:, 1:-1, 1:-1, :1]


def test_doctor_warns_of_a_thread_layer_that_ends_the_process(monkeypatch):
    monkeypatch.setattr(numba, "threading_layer", lambda: "workqueue")
    assert "Only one Python thread may compute at a time" in doctor._threads().hint


def test_doctor_says_where_cifar10_will_be_put(capsys, monkeypatch):
    monkeypatch.setattr(cifar10, "find", lambda: None)
    assert main(["doctor"]) == 0  # it will be downloaded: no problem
    out = capsys.readouterr().out
    assert "not on this machine" in out and "It is downloaded when it is first used" in out


def test_doctor_says_who_decides_about_the_threads(capsys, monkeypatch):
    numba.get_num_threads()
    monkeypatch.setenv("NUMBA_NUM_THREADS", str(numba.config.NUMBA_NUM_THREADS))
    main(["doctor"])
    assert f"{numba.get_num_threads()} (NUMBA_NUM_THREADS), for " in capsys.readouterr().out


# --- warmup


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_warmup_says_how_far_it_is_and_how_long_it_took(capsys):
    assert main(["warmup"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    count = len(lines) - 1
    assert lines[0] == f"compiling kernels 1 of {count}: conv2d"
    assert lines[-2].startswith(f"compiling kernels {count} of {count}: ")
    assert re.fullmatch(r"\d+ functions compiled for float32 in \d+\.\d s, kept in .+", lines[-1])
    assert err == ""


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_warmup_writes_one_line_anew_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    main(["warmup"])
    progress, _, rest = capsys.readouterr().out.partition("\n")
    assert progress.count("\r\x1b[Kcompiling kernels ") > 20
    assert "functions compiled" in rest and rest.count("\n") == 1


def test_warmup_without_a_compiler_is_refused(capsys, monkeypatch):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    assert "unset NUMBA_DISABLE_JIT" in refusal(["warmup"], capsys)


# --- the program itself


def test_a_misspelt_command_gets_a_hint(capsys):
    message = refusal(["trian"], capsys)
    assert "unknown command 'trian'. Did you mean 'train'? Known are: train, evaluate" in message


def test_no_command_gets_help(capsys):
    assert "train a network on shapes10 or CIFAR-10" in refusal([], capsys)


def test_too_little_memory_is_told_without_a_traceback(capsys, monkeypatch):
    def too_much(*_):
        raise MemoryError("Unable to allocate 1 PiB.")

    monkeypatch.setattr(data, "load", too_much)
    assert main(["train", *QUICK]) == 1
    assert "there is not enough memory. Unable to allocate 1 PiB." in capsys.readouterr().err


def test_python_m_minicnn_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "minicnn", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"minicnn {__version__}\n"


@pytest.mark.skipif(os.name == "nt", reason="needs a shell with pipes that break")
def test_a_reader_that_has_seen_enough_causes_no_traceback():
    command = f"{sys.executable} -u -m minicnn doctor | head -1"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("  minicnn ") and done.stderr == ""


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_gives_probabilities(name):
    model = build(name, classes=7)
    outputs = model.predict(np.zeros((2, 32, 32, 3)), verbose=0)
    assert outputs.shape == (2, 7) and np.allclose(outputs.sum(axis=1), 1)
