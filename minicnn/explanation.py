"""explain: the page of an error code, from the files that are installed with minicnn."""

from __future__ import annotations

from pathlib import Path

from minicnn.suggest import did_you_mean

PAGES = Path(__file__).parent / "explanations"


def codes() -> list[str]:
    """All codes that have a page."""
    return sorted(path.stem for path in PAGES.glob("MC*.md"))


def page(code: str) -> str:
    """The page of a code, in Markdown.

    Raises:
        ValueError: there is no such code.

    >>> page("MC3")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: explain: there is no code 'MC3'. Did you mean ...
    """
    wanted = code.strip().strip("[]").upper() if isinstance(code, str) else code
    if wanted not in codes():
        hint = did_you_mean(str(wanted), codes())
        raise ValueError(f"explain: there is no code {code!r}.{hint} explain() lists all.")
    return (PAGES / f"{wanted}.md").read_text(encoding="utf-8")


def contents() -> str:
    """One line for each code: the code and what it is about."""
    titles = (page(code).partition("\n")[0] for code in codes())
    return "\n".join(title.removeprefix("# ") for title in titles)


def explain(code: str | None = None) -> None:
    """Print what an error or warning with a code in brackets means, and how to mend it.

    Args:
        code: as "MC003"; None lists all codes.

    Raises:
        ValueError: there is no such code.

    >>> explain("MC054")  # doctest: +ELLIPSIS
    # MC054: empty data, or batches of size 0
    ...
    """
    print(contents() if code is None else page(code).rstrip())
