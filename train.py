"""Fine-tune a CTC model and save it where the app can take it.

    python train.py                                   # wav2vec2-base on MInDS-14, so that it works
    python train.py --preset guide                    # with the guide's own values
    python train.py --preset quickstart               # offline, minutes: embedded on sample
    python train.py --dataset my/recordings           # a folder with metadata.csv
    python train.py --dataset my.csv --dry_run        # look at the data first

Every flag of transformers' TrainingArguments is understood; see README.md for the rest.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from asr_core.errors import AsrError, sentence
from asr_core.imports import lean

log = logging.getLogger("asr_core")


def main(argv: list[str]) -> int:
    lean()
    from asr_core import flags

    options, arguments = flags.parse(argv)
    first = arguments.should_save  # with `torchrun`, of several that do the same: who speaks
    if not first:
        log.setLevel(logging.WARNING)
    # Heavy imports wait until it is known that there is something to do.
    from transformers import set_seed

    from asr_core import (
        card,
        evaluation,
        hub,
        language_model_sources,
        models,
        preparation,
        pretrained,
        report,
        resuming,
        training,
    )
    from asr_core.frames import Frames
    from asr_core.parts import load_parts

    models.quiet()
    folder = Path(arguments.output_dir)
    checkpoint = None if options.dry_run else resuming.starting_point(options, arguments)
    destination = hub.destination(arguments) if options.push_to_hub else None
    log.info("Preset %s, %s", options.preset, flags.device_line(arguments))
    log.info("%s", flags.resolved(options, arguments))

    # 1. Data: who said what, in which part; the characters to spell it with, words to expect.
    parts = load_parts(options, arguments.seed)
    log.info("%d rows of %s, %s", len(parts.train), options.dataset, parts.note)
    processor, new = pretrained.load_processor(options, parts.train["transcription"])
    words = language_model_sources.wish(options, new)
    if words not in ("none", "build"):
        language_model_sources.check(words, processor.tokenizer)  # of no use: told before the work

    # 2. Model, with a CTC head as wide as the vocabulary; the Trainer's seed comes after it.
    set_seed(arguments.seed)
    model, fresh = pretrained.load_model(options, processor, new)
    frames = Frames.of(model.config, processor.feature_extractor)

    # 3. Look before training: what is there, what is left out and why.
    least = pretrained.shortest(model.config, processor)
    limits = preparation.Limits(max(options.shortest, least), options.longest)
    train, test = (
        preparation.prepare(
            *(rows, processor, frames, limits),
            num_proc=options.num_proc,
            part=f"{part} part",
            new_vocabulary=new,
        )
        for part, rows in (("train", parts.train), ("test", parts.test))
    )
    material = resuming.material(train, test, processor)
    if checkpoint:
        resuming.check_material(folder, material)
    looked = report.look(train, test, processor, new)
    if first:
        print(looked)
        if not (options.dry_run and resuming.holds_model(folder)):  # whose card shows other data
            looked.save(folder)
    if options.dry_run:
        return 0

    # 4. Train, from the last checkpoint if asked; Ctrl-C saves and goes on to the end.
    trainer = training.make_trainer(
        *(options, arguments, model, processor, train.rows, test.rows, fresh)
    )
    if first and not checkpoint:
        language_model_sources.provide(folder, words, parts.train["transcription"], options.text)
        if words == "build":
            language_model_sources.check(
                folder / language_model_sources.FOLDER, processor.tokenizer
            )
        resuming.begin(options, arguments, material)
    training.run(trainer, checkpoint)

    # 5. Save, and measure before and after with the very code that will transcribe.
    training.save(trainer, options)
    if not first:
        return 0
    before, after = training.compare(options, fresh, folder, parts.test)
    print(evaluation.side_by_side(before, after))
    name = destination.id if destination else folder.resolve().name
    card.save(folder, name, options, arguments, looked, before, after)
    if destination and training.interrupted(trainer):
        print(f"Not pushed, as it was interrupted; to push it: {destination.again(folder)}")
    elif destination:
        print(f"On the Hub: {hub.push(folder, destination)}")
    print(f"Talk to it: python app.py --model {folder}")
    return 130 if training.interrupted(trainer) else 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        sys.exit(main(sys.argv[1:]))
    except (AsrError, OSError) as error:
        sys.exit(f"train.py: {sentence(error)}")
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        sys.exit(130)
