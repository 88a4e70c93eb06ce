"""The commands: `python -m asr_core transcribe|evaluate|...`; `--help` lists them."""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys

from asr_core import benchmark, evaluate_command, language_model_commands, transcribe_command
from asr_core.errors import AsrError, sentence
from asr_core.models import quiet_clients
from asr_core.start import run_and_leave

COMMANDS = {
    "transcribe": ("Write down what is said in recordings.", transcribe_command),
    "language-model": ("Build a language model from text, and weigh it.", language_model_commands),
    "evaluate": ("Measure a model on a dataset.", evaluate_command),
    "benchmark": ("Measure speed against the guide's way.", benchmark),
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m asr_core", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (summary, module) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    quiet_clients()
    if isinstance(sys.stdout, io.TextIOWrapper):  # what a terminal cannot show ends nothing
        sys.stdout.reconfigure(errors="backslashreplace")
        if not sys.stdout.isatty() and not os.environ.get("PYTHONIOENCODING"):
            sys.stdout.reconfigure(encoding="utf-8")  # as files and programs on Windows do not ask
    try:
        status = options.run(options) or 0
        print(end="", flush=True)  # now, as a full disk is told of below
        return status
    except BrokenPipeError:  # as with `| head`: nobody reads on, and what is left has no place
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # 128 + SIGPIPE, which Windows does not know
    except (AsrError, OSError) as error:
        print(f"asr_core {options.command}: {sentence(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130  # 128 + SIGINT


if __name__ == "__main__":
    run_and_leave(main)  # at once: a thread may read from a pipe to which nobody writes
