"""The command `minicnn`: finds the subcommand, and turns errors into messages."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from minicnn.cli import doctor, evaluate, explain, gradcheck, predict, source, train, warmup
from minicnn.cli.problems import UserError
from minicnn.suggest import did_you_mean

COMMANDS = {
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "explain": explain,
    "doctor": doctor,
    "source": source,
    "warmup": warmup,
    "gradcheck": gradcheck,
}
FAILED, MISUSED, INTERRUPTED = 1, 2, 130  # exit codes; 130 is what a shell makes of Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: what follows `minicnn`; None takes it from the command line of the process.

    Returns:
        The exit code: 0 if all went well, 1 if something failed, 2 if the command was given wrong
        arguments or files, 130 if Ctrl-C ended it.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    settings = _parsed(words)
    if settings is None:
        return MISUSED
    try:
        code: int = settings.execute(settings)
        sys.stdout.flush()
        return code
    except UserError as error:
        return _complain(settings.command, str(error), MISUSED)
    except KeyboardInterrupt:
        return _complain(settings.command, "interrupted.", INTERRUPTED)
    except BrokenPipeError:  # the reader of our output, as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        return _complain(settings.command, str(error), FAILED)
    except MemoryError as error:
        return _complain(settings.command, f"there is not enough memory. {error}", FAILED)


def _complain(command: str, message: str, code: int) -> int:
    print(f"minicnn {command}: {message}", file=sys.stderr)
    return code


def _parsed(words: list[str]) -> argparse.Namespace | None:
    """The settings that the words mean; None if there are no words, and help was printed."""
    parser = _parser()
    if not words:
        parser.print_help(sys.stderr)
        return None
    if not words[0].startswith("-") and words[0] not in COMMANDS:
        hint = did_you_mean(words[0], COMMANDS)
        parser.error(f"unknown command {words[0]!r}.{hint} Known are: {', '.join(COMMANDS)}.")
    settings, unknown = parser.parse_known_args(words)
    if unknown:
        options = [f"--{name.replace('_', '-')}" for name in vars(settings)]
        hint = did_you_mean(unknown[0].partition("=")[0], options)
        settings.parser.error(f"unrecognized arguments: {' '.join(unknown)}.{hint}")
    return settings


def _parser() -> argparse.ArgumentParser:
    from minicnn import __version__

    parser = argparse.ArgumentParser(
        prog="minicnn", description="Train small convolutional networks, and look at them."
    )
    parser.add_argument("--version", action="version", version=f"minicnn {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        subparser = subparsers.add_parser(
            name,
            help=module.SUMMARY,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(subparser)
        subparser.set_defaults(execute=module.run, parser=subparser)
    return parser
