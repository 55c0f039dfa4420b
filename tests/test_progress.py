"""The progress bar, to the letter, with a clock that the test winds."""

import io
import sys
import warnings
from types import SimpleNamespace

import pytest

from minicnn.models import progress
from minicnn.models.progress import ProgbarLogger
from minicnn.utils import progbar
from minicnn.utils.progbar import Progbar, format_value


class Clock:
    """Shows what `now` was set to."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(progbar.time, "perf_counter", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


class Terminal(io.StringIO):
    """Takes what is printed, and says that it is a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    screen = Terminal()
    # not sys.stdout itself, which pytest replaces between the set-up of a test and the test
    for module in (progbar, progress):
        monkeypatch.setattr(module, "sys", SimpleNamespace(stdout=screen))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return screen


def test_the_last_line_of_a_bar_is_keras(clock, capsys):
    bar = Progbar(7)
    for step in range(1, 8):
        clock.now += 0.25 if step == 1 else 0.000826
        bar.update(step, finalize=False)
    bar.stateful_metrics = {"accuracy", "loss"}
    bar.update(7, [("accuracy", 0.105), ("loss", 2.33294)], finalize=True)
    assert capsys.readouterr().out == (
        "7/7 ━━━━━━━━━━━━━━━━━━━━ 0s 826us/step - accuracy: 0.1050 - loss: 2.3329\n"
    )


def test_the_line_of_verbose_2_is_keras(clock, capsys):
    bar = Progbar(7, verbose=2, stateful_metrics=["loss"])
    bar.update(1)
    clock.now += 6 * 0.000722
    bar.update(7, [("loss", 2.3176), ("val_loss", 2.3542)])
    assert capsys.readouterr().out == "7/7 - 0s - 722us/step - loss: 2.3176 - val_loss: 2.3542\n"


def test_a_bar_for_a_terminal_has_colors_and_draws_over_itself(clock, terminal):
    bar = Progbar(4)
    for step in range(1, 5):
        clock.now += 1
        bar.update(step)
    first, *_, last = terminal.getvalue().split("\r")
    cells = "\x1b[32m━━━━━\x1b[0m\x1b[37m━━━━━━━━━━━━━━━\x1b[0m"
    assert first == f"\x1b[1m1/4\x1b[0m {cells} \x1b[1m3s\x1b[0m 1s/step"
    cells = "\x1b[32m━━━━━━━━━━━━━━━━━━━━\x1b[0m"
    assert last == f"\x1b[1m4/4\x1b[0m {cells} \x1b[1m4s\x1b[0m 1s/step\n"
    assert "\b" not in terminal.getvalue()


def test_a_file_gets_only_last_lines_without_control_characters(clock, capsys):
    bar = Progbar(4)
    for step in range(1, 5):
        clock.now += 1
        bar.update(step)
    out = capsys.readouterr().out
    assert out.count("\n") == 1 and not set("\r\b\x1b") & set(out)


def test_a_shorter_line_wipes_out_a_longer_one(clock, terminal):
    bar = Progbar(2, stateful_metrics=["loss"])
    clock.now += 1000
    bar.update(1, [("loss", 1e-5)])
    clock.now += 0.1
    bar.update(2, [("loss", 1.0)])
    before, after = (progbar._ESCAPES.sub("", line) for line in terminal.getvalue().split("\r"))
    assert len(after.rstrip("\n")) == len(before)


def test_a_line_that_would_wrap_leaves_values_out_until_it_is_the_last(
    clock, terminal, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "60")
    bar = Progbar(2, stateful_metrics=["loss", "accuracy"])
    values = [("accuracy", 0.5), ("loss", 1.0)]
    clock.now += 1
    bar.update(1, values)
    clock.now += 1
    bar.update(2, values)
    running, last = terminal.getvalue().split("\r")
    assert "accuracy" in running and "loss" not in running
    assert last.endswith("accuracy: 0.5000 - loss: 1.0000\n")


def test_drawing_is_rare(clock, terminal):
    bar = Progbar(1000)
    for step in range(1, 501):
        clock.now += 0.001
        bar.update(step)
    drawn = terminal.getvalue().count("\r") + 1
    assert drawn == 10


def test_an_unknown_target_is_told(clock, terminal):
    bar = Progbar(None, stateful_metrics=["loss"])
    clock.now += 0.168
    bar.update(1, [("loss", 0.6545)])
    text = progbar._ESCAPES.sub("", terminal.getvalue())
    assert text == "      1/Unknown 0s 168ms/step - loss: 0.6545"


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5s"), (60, "60s"), (65, "1:05"), (3600, "60:00"), (3661, "1:01:01")]
)
def test_the_time_left_is_that_of_the_remaining_steps(clock, terminal, seconds, text):
    bar = Progbar(2)
    clock.now += seconds
    bar.update(1)
    assert f"\x1b[1m{text}\x1b[0m" in terminal.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.4, "2s/step"), (0.0134, "13ms/step"), (0.000123, "123us/step")]
)
def test_the_time_of_a_step_has_a_fitting_unit(clock, capsys, seconds, text):
    bar = Progbar(1)
    clock.now += seconds
    bar.update(1)
    assert text in capsys.readouterr().out


def test_the_counter_is_as_wide_as_the_target(clock, capsys):
    bar = Progbar(1000, verbose=2)
    bar.update(7, finalize=True)
    assert capsys.readouterr().out.startswith("   7/1000 - 0s")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.105, "0.1050"), (-0.185, "-0.1850"), (0.001, "1.0000e-03"), (0, "0.0000e+00")],
)
def test_small_values_get_an_exponent(value, text):
    assert format_value(value) == text


def test_other_values_are_averaged_over_steps(clock, capsys):
    bar = Progbar(4, verbose=2)
    bar.update(1, [("a", 1.0)])
    bar.add(3, [("a", 5.0)])
    assert "a: 4.0000" in capsys.readouterr().out


def test_an_encoding_without_the_bar_gets_another(clock, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    Progbar(3).update(3)
    assert raw.getvalue().startswith(b"3/3 ==================== 0s")


def test_no_color_is_heeded(clock, terminal, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    bar = Progbar(2)
    clock.now += 1
    bar.update(1)
    assert terminal.getvalue() == "1/2 ━━━━━━━━━━---------- 1s 1s/step"


def test_a_notebook_is_live(monkeypatch):
    stream = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    assert progbar.is_live(stream)
    assert not progbar.is_live(io.StringIO())


def test_silence_prints_nothing(clock, capsys):
    Progbar(1, verbose=0).update(1, [("loss", 1.0)])
    assert capsys.readouterr().out == ""


def test_an_unknown_verbosity_is_refused():
    with pytest.raises(ValueError, match="verbose must be 0, 1 or 2, but is 3"):
        Progbar(1, verbose=3)


def test_an_interrupted_bar_ends_its_line(clock, terminal):
    logger = ProgbarLogger()
    logger.set_params({"epochs": 1, "steps": 3})
    logger.on_train_begin()
    logger.on_epoch_begin(0)
    clock.now += 1
    logger.on_train_batch_end(0, {"loss": 1.0})
    logger.leave()
    logger.leave()
    assert terminal.getvalue().count("\n") == 1


def test_the_epoch_is_printed_if_there_are_several(clock, capsys):
    for epochs in (1, 2):
        logger = ProgbarLogger(2)
        logger.set_params({"epochs": epochs, "steps": 1})
        logger.on_train_begin()
        logger.on_epoch_begin(0)
        logger.on_train_batch_end(0, {"loss": 1.0})
        logger.on_epoch_end(0, {"loss": 1.0})
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["1/1 - 0s - 0s/step - loss: 1.0000", "Epoch 1/2", lines[0]]


def test_steps_that_were_unknown_are_known_after_the_first_epoch(clock, capsys):
    logger = ProgbarLogger(1)
    logger.set_params({"epochs": 1, "steps": None})
    logger.on_train_begin()
    logger.on_epoch_begin(0)
    for batch in range(3):
        logger.on_train_batch_end(batch, {"loss": 1.0})
    logger.on_epoch_end(0, {"loss": 1.0})
    assert capsys.readouterr().out == "3/3 ━━━━━━━━━━━━━━━━━━━━ 0s 0s/step - loss: 1.0000\n"


def test_the_bar_is_that_of_keras(clock, terminal, monkeypatch):
    """Keras itself draws the same, with the same clock, but for its backspaces and the wiping."""
    pytest.importorskip("torch", reason="PyTorch, on which Keras runs here, is not installed")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Keras imports warns of itself
        keras = pytest.importorskip("keras", reason="Keras is not installed")
    monkeypatch.setattr(keras.src.utils.progbar.time, "time", lambda: clock.now)
    monkeypatch.setattr(sys, "stdout", terminal)
    printed = []
    for make in (keras.utils.Progbar, Progbar):
        clock.now = 100.0
        bar = make(3, stateful_metrics=["loss"])
        for step, seconds in ((1, 4.0), (2, 0.5), (3, 0.25)):
            clock.now += seconds
            bar.update(step, [("loss", 2.5 / step), ("seen", 1e-4)])
        text = terminal.getvalue().replace("\b", "")
        lines = [line.rstrip() for line in text.split("\r")]
        printed.append([line for line in lines if progbar._ESCAPES.sub("", line).strip()])
        terminal.seek(0)
        terminal.truncate()
    theirs, ours = printed
    empty = "\x1b[37m\x1b[0m"  # a color for no characters
    assert [line.replace(empty, "") for line in theirs] == ours
