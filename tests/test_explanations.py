"""Every code has a page, every page a program that makes the mistake, and one that mends it."""

import re
import warnings
from pathlib import Path

import pytest

import minicnn
from minicnn import explanation
from minicnn.cli import main

ROOT = Path(__file__).parents[1]
SECTIONS = [
    "What it means",
    "A program that makes the mistake",
    "The message",
    "How to mend it",
    "Why it goes wrong",
    "Further reading",
]


def codes_in_the_source():
    sources = [*ROOT.glob("minicnn/**/*.py"), *ROOT.glob("kernels/**/*.py")]
    return {
        code
        for path in sources
        if path.name not in ("notices.py", "explanation.py")  # they speak of codes in general
        for code in re.findall(r'"MC\d{3}"|\[(?:MC\d{3})\]', path.read_text())
    }


def blocks(code, kind):
    return re.findall(rf"```{kind}\n(.*?)```", explanation.page(code), re.DOTALL)


def told(program):
    """What a program says: the text of its error, and of its warnings."""
    minicnn.random.set_seed(0)
    found = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", category=RuntimeWarning)  # NumPy's, of log(-1)
        try:
            exec(compile(program, "program.py", "exec"), {"__name__": "program"})
        except Exception as error:
            text = error.args[0] if isinstance(error, KeyError) else str(error)
            found.append(f"{type(error).__name__}: {text}")
    return [*found, *(f"{warning.category.__name__}: {warning.message}" for warning in caught)]


def without_numbers(text):
    """The text, whatever the random numbers and the counted names of layers are."""
    text = re.sub(r"_\d+\b", "", " ".join(text.split()))
    return re.sub(r"-?\d+(\.\d+)?(e-?\d+)?", "#", text)


def test_the_pages_are_those_of_the_codes_in_the_source():
    named = {re.sub(r"\W", "", code) for code in codes_in_the_source()}
    assert sorted(named) == explanation.codes()


@pytest.mark.parametrize("code", explanation.codes())
def test_a_page_has_all_its_sections(code):
    page = explanation.page(code)
    assert page.startswith(f"# {code}: ")
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == SECTIONS
    assert max(map(len, page.splitlines())) <= 100
    for path in re.findall(r"^- ([\w/.]+\.py)", page, re.MULTILINE):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("code", explanation.codes())
def test_the_program_of_a_page_gives_its_message(code):
    program, _ = blocks(code, "python")
    (message,) = blocks(code, "text")
    (said,) = told(program)
    assert f"[{code}]" in said
    assert without_numbers(said) == without_numbers(message)


@pytest.mark.parametrize("code", explanation.codes())
def test_the_mended_program_says_nothing(code):
    _, mended = blocks(code, "python")
    assert told(mended) == []


def test_explain_prints_a_page_or_the_list(capsys):
    minicnn.explain("mc003")
    assert capsys.readouterr().out == explanation.page("MC003")
    minicnn.explain()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(explanation.codes()) and lines[2].startswith("MC003: Flatten")


def test_an_unknown_code_gets_a_hint(capsys):
    with pytest.raises(ValueError, match="there is no code 'MC0O3'. Did you mean 'MC0"):
        minicnn.explain("MC0O3")
    assert main(["explain", "MC0O3"]) == 2
    assert "minicnn explain: there is no code 'MC0O3'. Did you mean" in capsys.readouterr().err


def test_the_command_prints_the_page(capsys):
    assert main(["explain", "MC041"]) == 0
    assert capsys.readouterr().out == explanation.page("MC041")


def test_a_warning_can_be_turned_off_by_its_code():
    (program, _) = blocks("MC030", "python")
    off = 'import warnings\nwarnings.filterwarnings("ignore", r".*\\[MC030\\]")\n'
    assert told(program) and told(off + program) == []


def test_every_page_that_is_made_is_installed():
    assert '"explanations/*.md"' in (ROOT / "setup.py").read_text()
    assert all(path.suffix == ".md" for path in explanation.PAGES.iterdir())


def test_a_program_that_says_nothing_is_told_from_one_that_does():
    assert told("x = 1") == []
    assert told("import warnings\nwarnings.warn('x')") == ["UserWarning: x"]
