"""`python -m asr_core.recipe COMMAND`: make speech, models, the sample."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
from pathlib import Path

from asr_core import recipe
from asr_core.data import SAMPLE_FOLDER
from asr_core.errors import AsrError, sentence
from asr_core.models import EMBEDDED_FOLDER
from asr_core.recipe.settings import Recipe


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m asr_core.recipe",
        description=recipe.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)

    speech = commands.add_parser("synthesize", help="speak text with synthetic voices")
    speech.add_argument("--text", type=Path, required=True, help="folder of *.txt.xz")
    speech.add_argument("--output", type=Path, required=True, help="folder for parquet shards")
    speech.add_argument("--hours", type=float, default=20.0)
    speech.add_argument("--first", type=int, default=0, help="number of the first shard: its seed")
    speech.add_argument("--processes", type=int)
    speech.add_argument(
        "--kokoro", type=Path, help="folder of voices: speak with these (see recipe/kokoro.py)"
    )
    speech.add_argument(
        "--accents", action="store_true", help="all of it in accents that nobody has"
    )
    speech.add_argument(
        "--foreign", action="store_true", help="all of it by voices of other languages"
    )

    train = commands.add_parser("pretrain", help="train the embedded model; continues if run again")
    train.add_argument("--speech", type=Path, required=True, help="folder of *_train.parquet")
    train.add_argument("--synthetic", type=Path, required=True, help="what synthesize wrote")
    train.add_argument("--noise", type=Path, required=True, help="folder of *.ogg")
    train.add_argument("--output", type=Path, required=True)
    train.add_argument("--start", type=Path, help="a model this made, to go on from")
    train.add_argument(
        "--moonshine",
        help="Moonshine tiny, to grow from: a model on the Hub such as "
        "UsefulSensors/moonshine-tiny, a folder, or encoder_model.onnx of npm's "
        "@moonshine-ai/moonshine-js",
    )
    train.add_argument(
        "--teacher",
        help="Moonshine tiny as for --moonshine, or the teacher.safetensors of an earlier run, to "
        "learn along and teach the model",
    )
    for field in dataclasses.fields(Recipe):
        train.add_argument(f"--{field.name}", type=type(field.default), default=field.default)

    export = commands.add_parser("export", help="turn a checkpoint into a model to ship")
    export.add_argument(
        "--checkpoint", type=Path, required=True, help="one of after step --fade_to of its run"
    )
    export.add_argument("--output", type=Path, default=EMBEDDED_FOLDER)

    mean = commands.add_parser("average", help="the mean of a model and what was made of it")
    mean.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    mean.add_argument("--output", type=Path, required=True)

    deeper = commands.add_parser("grow", help="a model of more layers, to go on training")
    deeper.add_argument("model", type=Path, metavar="MODEL", help="one that this made")
    deeper.add_argument("--layers", type=int, required=True)
    deeper.add_argument("--output", type=Path, required=True)

    words = commands.add_parser("language-model", help="count the embedded language model anew")
    words.add_argument("--text", type=Path, required=True, help="folder of *.txt.xz")
    words.add_argument("--speech", type=Path, required=True, help="folder of *.parquet")
    words.add_argument("--output", type=Path, required=True)

    sample = commands.add_parser("sample", help="speak the embedded data set anew")
    sample.add_argument("--output", type=Path, default=SAMPLE_FOLDER)

    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        _run(options)
    except (AsrError, OSError) as error:
        print(f"recipe: {sentence(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    return 0


def _run(options: argparse.Namespace) -> None:
    if options.command == "synthesize":
        from asr_core.recipe.synthesize import synthesize

        synthesize(
            options.text,
            options.output,
            options.hours,
            options.processes,
            options.first,
            options.kokoro,
            options.accents,
            options.foreign,
        )
    elif options.command == "pretrain":
        from asr_core.recipe.pretrain import pretrain

        names = [field.name for field in dataclasses.fields(Recipe)]
        pretrain(
            Recipe(**{name: getattr(options, name) for name in names}),
            options.speech,
            options.synthetic,
            options.noise,
            options.output,
            options.start,
            options.moonshine,
            options.teacher,
        )
    elif options.command == "export":
        from asr_core.recipe.pretrain import export

        export(options.checkpoint, options.output)
    elif options.command == "average":
        from asr_core.recipe.pretrain import average

        average(options.models, options.output)
    elif options.command == "grow":
        from asr_core.recipe.pretrain import grow

        grow(options.model, options.layers, options.output)
    elif options.command == "language-model":
        from asr_core.recipe.language import make_language_model

        make_language_model(options.text, options.speech, options.output)
    else:
        from asr_core.recipe.sample import make_sample

        make_sample(options.output)


if __name__ == "__main__":
    sys.exit(main())
