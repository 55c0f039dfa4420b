"""Benchmarks: they run, they notice when two sides differ, and their arithmetic is right."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import contestants  # noqa: E402
import conv_shapes  # noqa: E402
import fresh  # noqa: E402
import gpu_harness  # noqa: E402
import networks  # noqa: E402
import report  # noqa: E402
from harness import Case, Comparison, check_same, options  # noqa: E402
from report import Outcome  # noqa: E402
from workers import Worker, alternate  # noqa: E402

from minicnn.backend import kernels  # noqa: E402

COMMANDS = {
    "train_step": ["--network", "tutorial"],
    "inference": ["--network", "tutorial"],
    "conv_layers": ["--only", "tutorial"],
    "layers": ["--only", "mobilenet"],
    "startup": [],
    "memory": [],
    "epoch": ["--batch-size", "4"],
}
MACHINE = {
    "cpu": "an abacus",
    "architecture": "wood",
    "threads": 2,
    "flops_per_second": 100.0,
    "bytes_per_second": 1e8,
    "cached_bytes_per_second": 10.0,
}
ABLE = [*contestants.NEEDED]
OUTCOME = Outcome("a step", {"minicnn": 2.0, "minicnn, predict": 0.1, "A": 5.0, "B": 3.0}, 40, 19)


def run(name, *arguments):
    return subprocess.run(
        [sys.executable, ROOT / "benchmarks" / f"{name}.py", "--quick", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_benchmark_runs_without_peers(name):
    if name == "memory" and not sys.platform.startswith("linux"):
        pytest.skip("memory is read from /proc")
    done = run(name, "--peers", "", *COMMANDS[name])
    assert done.returncode == 0, done.stderr
    assert " threads; " in done.stdout
    assert "GFLOP/s of multiply-adds" in done.stdout and "minicnn " in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("peer", contestants.NEEDED)
@pytest.mark.parametrize("name", ["train_step", "inference"])
def test_peers_agree_on_every_network(name, peer):
    if contestants.missing(peer):
        pytest.skip(contestants.missing(peer))
    if (name, peer) == ("train_step", "onnxruntime"):
        pytest.skip("ONNX Runtime does not train")
    done = run(name, "--peers", peer)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("best peer / minicnn:") == len(networks.NETWORKS)


@pytest.mark.slow
def test_pytorch_agrees_on_convolutions():
    pytest.importorskip("torch")
    done = run("conv_layers", "--peers", "torch", "--only", "resnet20")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("resnet20 ") == 3 * len(conv_shapes.resnet20()) - 1


@pytest.mark.slow
def test_pytorch_agrees_on_layers_and_their_gradients():
    pytest.importorskip("torch")
    done = run("layers", "--peers", "torch")
    assert done.returncode == 0, done.stderr
    layers = len(conv_shapes.vgg16()) + len(conv_shapes.mobilenet_blocks())
    assert done.stdout.count("best peer / minicnn:") == layers


def test_a_missing_peer_is_named_with_how_to_install_it(monkeypatch, capsys):
    monkeypatch.setattr(contestants, "is_installed", lambda module: module != "onnx")
    assert contestants.peers(["onnxruntime"], ABLE) == []
    said = capsys.readouterr().out
    assert said == (
        "onnxruntime does not take part: it is not installed. To mend it: pip install onnx\n"
    )
    assert [c.title for c in contestants.peers(["torch"], ABLE)] == [
        "PyTorch",
        "PyTorch, channels_last",
    ]


def test_keras_without_a_backend_does_not_take_part(monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setattr(contestants, "is_installed", lambda module: module == "keras")
    assert contestants.missing("keras") == "Keras needs a backend: pip install tensorflow-cpu"
    monkeypatch.setattr(contestants, "is_installed", lambda module: module in ("keras", "jax"))
    assert contestants.peers(["keras"], ABLE)[0].title == "Keras on JAX"


def test_who_does_not_train_is_no_peer_in_training(capsys):
    assert contestants.peers(["onnxruntime"], able=["torch", "keras"]) == []
    assert capsys.readouterr().out.startswith("onnxruntime does not take part: it does not do")


def test_an_unknown_peer_is_refused():
    with pytest.raises(ValueError, match="--peers: wants some of torch, keras, .* got 'caffe'"):
        contestants.peers(["caffe"], ABLE)


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        ([1.0, 2.001], "B and A do not compute the same: they differ by 4.5e-04 of the root mean"),
        ([1.0, np.nan], "B and A do not compute the same: they differ by nan"),
        ([1.0], r"B and A do not compute the same: the shapes are \(1,\) and \(2,\)"),
    ],
)
def test_results_that_differ_are_noticed(theirs, message):
    ours = [np.array([1.0, 2.0])]
    check_same({"A": ours, "B": [np.array([1.0, 2.0001])]}, tolerance=1e-4)
    with pytest.raises(AssertionError, match=message):
        check_same({"A": ours, "B": [np.array(theirs)]}, tolerance=1e-4)


def test_a_result_may_be_several_arrays():
    one, two = np.ones(3), np.array([[1.0, 2.0]])
    check_same({"A": [[one, two]], "B": [[one.copy(), two.copy()]]}, tolerance=0)
    with pytest.raises(AssertionError, match="B and A do not compute the same"):
        check_same({"A": [[one, two]], "B": [[one, two + 1]]}, tolerance=0.1)


@pytest.fixture
def a_liar(tmp_path, monkeypatch):
    text = "import with_minicnn\n\ndef inference(*args):\n"
    text += "    return lambda: 1.01 * with_minicnn.inference(*args)()\n"
    (tmp_path / "liar.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return contestants.Contestant("liar", "liar")


def test_a_comparison_does_not_time_who_computes_something_else(a_liar):
    settings = options("A test.", []).parse_args(["--quick", "--peers", ""])
    with Comparison("test", settings, others=[a_liar]) as comparison:
        with pytest.raises(AssertionError, match="liar and minicnn do not compute the same"):
            comparison.run(Case("probabilities", "inference", ("lenet", 2)))
        assert comparison.report.outcomes == []


def test_contestants_take_turns_and_the_median_counts():
    order = []

    class Clock:
        def __init__(self, name, turns):
            self.name, self.turns = name, iter(turns)

        def turn(self, seconds):
            order.append((self.name, seconds))
            return next(self.turns)

    clocks = {"A": Clock("A", [[1.0, 2.0], [9.0]]), "B": Clock("B", [[4.0], [5.0, 9.0]])}
    assert alternate(clocks, rounds=2, seconds=0.5) == {"A": 2.0, "B": 5.0}
    assert order == [("A", 0.5), ("B", 0.5), ("A", 0.5), ("B", 0.5)]


def test_a_worker_reports_its_failure_and_goes_on():
    worker = Worker("with_minicnn")
    with pytest.raises(RuntimeError, match="with_minicnn failed:(.|\n)*has no attribute 'nothing'"):
        worker.prepare(1, "nothing")
    assert worker.call("math.sqrt", 9) == 3
    worker.close()


def test_the_end_of_a_worker_is_noticed():
    worker = Worker("with_minicnn")
    with pytest.raises(RuntimeError, match="with_minicnn: its process ended with exit code 3"):
        worker.call("os._exit", 3)


def test_a_failure_in_a_new_process_is_reported():
    with pytest.raises(RuntimeError, match="import_time(.|\n)*No module named 'nothing'"):
        fresh.measure(fresh.import_time, "nothing")


def test_the_ratio_is_that_of_the_best_peer():
    assert OUTCOME.ratio == 1.5
    assert Outcome("alone", {"minicnn": 2.0}).ratio is None


def test_shares_of_peak_and_of_the_roof():
    assert OUTCOME.share_of_peak(MACHINE) == pytest.approx(0.2)  # 20 of 100 FLOP/s
    assert OUTCOME.waits_for_bytes(MACHINE)  # 1.9 s for the bytes, 0.4 s for the arithmetic
    assert OUTCOME.share_of_roof(MACHINE) == pytest.approx(0.95)
    computing = Outcome("much to compute", {"minicnn": 4.0}, flops=300, bytes=10)
    assert not computing.waits_for_bytes(MACHINE)
    assert computing.share_of_roof(MACHINE) == computing.share_of_peak(MACHINE) == 0.75


def test_what_outgrows_the_cache_waits_for_memory(capsys):
    large = Outcome("large arrays", {"minicnn": 8.0}, flops=80, bytes=4e8)
    assert large.least_seconds(MACHINE) == 4  # 1e8 bytes per second
    report.Report("test", MACHINE, unit="s").add(large)
    assert "10% of peak, 50% of what memory allows" in capsys.readouterr().out


def test_a_record_that_knows_no_cache_is_measured_by_its_arithmetic():
    before = {k: v for k, v in MACHINE.items() if k != "cached_bytes_per_second"}
    assert not OUTCOME.waits_for_bytes(before)
    assert OUTCOME.share_of_roof(before) == OUTCOME.share_of_peak(before)


def test_a_report_is_written_and_becomes_a_table(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    written = report.Report("test", MACHINE, unit="s")
    written.add(OUTCOME)
    said = capsys.readouterr().out
    assert "a step, 20% of peak, 95% of what the cache allows" in said
    assert "best peer / minicnn: 1.50" in said
    path, chart = written.save()
    assert chart.read_bytes().startswith(b"\x89PNG")
    record = json.loads(path.read_text())
    assert record["machine"]["threads"] == 2 and {"date", "versions"} < set(record)
    report.main()
    table = capsys.readouterr().out.splitlines()
    assert table[2] == (
        "| s | minicnn | minicnn, predict | A | B | best peer / minicnn | share of peak |"
    )
    assert table[4] == "| a step | 2 | 0.1 | 5 | 3 | 1.50 | 20% |"


def test_a_brief_report_has_a_line_for_each_case(capsys):
    report.Report("test", MACHINE, unit="s", brief=True).add(OUTCOME)
    said = capsys.readouterr().out
    assert said.split() == "a step 2.000 s, 1.50, 20% of peak, 95% of what the cache allows".split()


def test_networks_have_as_many_weights_as_they_should():
    def count(name):
        return sum(a.size for layer in networks.weights(networks.NETWORKS[name]) for a in layer)

    assert count("tutorial") == 160_202
    windows = 3 * 16 + 6 * 16 * 16 + 16 * 32 + 5 * 32 * 32 + 32 * 64 + 5 * 64 * 64
    shortcuts = 16 * 32 + 32 * 64
    norms = 4 * (7 * 16 + 7 * 32 + 7 * 64)
    assert count("resnet20") == 9 * windows + shortcuts + norms + 65 * 10
    widths = [32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
    blocks = list(itertools.pairwise(widths))
    norms = 4 * (32 + sum(a + b for a, b in blocks))
    weights = 9 * 3 * 32 + sum(9 * a + a * b for a, b in blocks) + norms
    assert count("mobilenet") == weights + 1025 * 10


def test_operations_are_counted_as_by_hand():
    tiny = (networks.Conv(4, 3), networks.Pool("max"), networks.Flatten(), networks.Dense(10))
    network = networks.Network("tiny", (6, 6, 2), tiny)
    conv, dense = 2 * 4 * 4 * 4 * 3 * 3 * 2, 2 * 16 * 10
    assert networks.flops(network) == conv + dense
    assert networks.training_flops(network) == 2 * conv + 3 * dense


def test_shapes_of_convolutions_are_those_of_the_networks():
    first, *_, last = conv_shapes.resnet50(N=2)
    assert first.y == (2, 112, 112, 64) and first.weight == (7, 7, 3, 64)
    assert last.y == (2, 7, 7, 2048)
    depthwise = conv_shapes.mobilenet(N=1)[1]
    assert depthwise.weight == (3, 3, 1, 32) and depthwise.y == (1, 112, 112, 32)
    assert depthwise.flops == 2 * 112 * 112 * 32 * 9
    assert depthwise.bytes == 4 * (2 * 112 * 112 * 32 + 9 * 32)


def run_on(device, name, *arguments):
    command = [sys.executable, ROOT / "benchmarks" / f"{name}.py", "--device", device, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.skipif(not kernels.gpu.why_no_gpu(), reason="there is a GPU")
@pytest.mark.parametrize("name", ["gpu_layers", "gpu_step"])
def test_benchmarks_of_a_gpu_say_that_they_need_one(name):
    done = run_on("gpu", name)
    assert done.returncode == 1
    assert "needs a GPU, and none can be used here: " in done.stderr


def test_a_peak_that_was_measured_while_others_worked_is_raised(capsys):
    found = report.Report("none", dict(MACHINE))
    for measured, share in ((50.0, "20%"), (200.0, "10%"), (100.0, "10%")):
        found.raise_peak(measured)
        found.add(OUTCOME)
        assert f"{share} of peak" in capsys.readouterr().out


class OfAnotherMachine:
    """A worker that needs no GPU: it answers what was written down."""

    ANSWERS = {"peaks": (8e12, 1e12), "why_absent": "", "results": [np.ones(3)]}

    def __init__(self, module):
        self.module = module

    def call(self, function, *_):
        return self.ANSWERS[function.partition(".")[2]]

    def prepare(self, *_):
        pass

    def turn(self, _):
        return [2e-3 if self.module == "gpu_with_minicnn" else 3e-3]

    def close(self):
        pass


def test_figures_of_a_gpu_are_saved_with_its_name_and_versions(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu_harness, "Worker", OfAnotherMachine)
    monkeypatch.setattr(contestants, "is_installed", lambda name: True)
    monkeypatch.setattr(kernels.gpu, "why_no_gpu", lambda: "")
    monkeypatch.setattr(kernels.gpu, "description", lambda: "a GPU, 8 GB")
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    settings = gpu_harness.options("A step.").parse_args(["--precision", "tf32", "--save"])
    with gpu_harness.Comparison("gpu_step", settings) as comparison:
        comparison.run(gpu_harness.Case("a step", "train_step", (), flops=4e9))
    said = capsys.readouterr().out
    assert "a GPU, 8 GB; 8000 GFLOP/s" in said and "a step, tf32, 25% of peak" in said
    assert "best peer / minicnn: 1.50" in said
    record = json.loads((tmp_path / "gpu_step_tf32.json").read_text())
    assert record["machine"]["gpu"] == "a GPU, 8 GB" and "numpy" in record["versions"]
    assert record["outcomes"][0]["values"]["PyTorch, CUDA graphs"] == 3e-3
    assert (tmp_path / "gpu_step_tf32.png").exists()
    assert "`gpu_step_tf32`" in report.markdown(record) and "25%" in report.markdown(record)


@pytest.mark.skipif(bool(kernels.emulator.why_unavailable()), reason="there is no emulator")
def test_benchmarks_of_a_gpu_run_on_the_emulator():
    done = run_on("emulator", "gpu_layers", "--only", "tutorial", "--batch-size", "1", "--no-torch")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3 * 8
    assert all("minicnn have computed it" in line for line in lines)
