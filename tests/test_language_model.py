"""A language model: what it learns from text, what it refuses, where it is kept and found."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import random
import re
import subprocess
import sys
import unicodedata

import numpy as np
import pyarrow
import pytest
from safetensors import SafetensorError

from asr_core import corpus, language_model_sources, models, ngrams, search
from asr_core.__main__ import main
from asr_core.beam import BeamDecoder
from asr_core.decoding import Alphabet
from asr_core.errors import DataError, ModelError, OptionError
from asr_core.flags import parse
from asr_core.language_model import Weights
from asr_core.language_model_files import NUMBERS, SETTINGS, load, save_weights
from asr_core.language_model_sources import FOLDER, build, find, provide
from asr_core.lexicon import Vocabulary
from asr_core.text import Spelling, normalize

TEXT = """I want to pay my bill
I want to see my balance
you want to pay the rent
the bank is closed
is the bank open
my card is lost
the card of the bank is lost
I pay the bill with my card
"""
GZIP = gzip.compress(TEXT.encode(), mtime=0)


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT * 3 + "a rare sentence\n")
    return path


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("megabytes", [100, 0.0009])
def test_probabilities_of_all_words_add_up_to_one(text, tmp_path, order, megabytes):
    model = build([text], tmp_path / "lm", order=order, megabytes=megabytes)
    numbers = {word: number for number, word in enumerate(model.words)}
    for context in ("", "want", "want to", "the card of the", "of nothing known", "i want to"):
        state = model.begin
        for word in context.split():
            _, state = search.step(model.ngrams, state, numbers.get(word, ngrams.UNKNOWN))
        total = sum(
            np.exp(search.step(model.ngrams, state, word)[0])
            for word in range(1, len(model.words))  # nothing is followed by a beginning
        )
        assert total == pytest.approx(1.0, abs=0.02), context  # one byte a number


def test_what_was_read_is_more_probable_than_what_was_not(text, tmp_path):
    model = build([text], tmp_path / "lm")
    score = model.log_probability
    assert score("I want to pay the bill") > score("to want pay I bill the") + 5
    assert score("I want to pay the zebra") < score("I want to pay the bill")
    assert np.isfinite(score("zebra giraffe"))


def test_more_words_of_context_help(text, tmp_path):
    scores = [
        build([text], tmp_path / str(n), order=n).log_probability("my card is lost")
        for n in (1, 2, 3)
    ]
    assert scores[0] < scores[1] < scores[2]


def test_compressed_text_gives_the_same_model(text, tmp_path):
    content = text.read_bytes()
    packed = {
        ".gz": gzip.compress(content),
        ".bz2": bz2.compress(content),
        ".xz": lzma.compress(content),
        ".zst": pyarrow.compress(content, codec="zstd", asbytes=True),
    }
    plain = build([text], tmp_path / "plain")
    for ending, compressed in packed.items():
        path = tmp_path / f"text.txt{ending}"
        path.write_bytes(compressed)
        model = build([path], tmp_path / ending)
        assert model.words == plain.words
        for one, other in zip(model.ngrams, plain.ngrams, strict=True):
            np.testing.assert_array_equal(one, other)


def test_pruning_keeps_to_the_size_and_to_what_tells_most(tmp_path):
    rng = np.random.default_rng(0)
    nouns = [f"n{a}{b}" for a in "aeiou" for b in "bcdfg"]
    lines = [f"the boss sees {' '.join(rng.choice(nouns, 4))} now" for _ in range(3000)]
    path = tmp_path / "text.txt"
    path.write_text("\n".join(lines))
    large = build([path], tmp_path / "large")
    small = build([path], tmp_path / "small", megabytes=0.005)
    assert len(small.ngrams.word) < len(large.ngrams.word) / 5
    # The frame of every sentence tells more than the nouns drawn at random.
    sentence = "the boss sees now"
    assert small.log_probability(sentence) == pytest.approx(
        large.log_probability(sentence), abs=1.0
    )
    with pytest.raises(OptionError, match="does not hold the vocabulary of"):
        build([path], tmp_path / "tiny", megabytes=0.0001)


def test_the_vocabulary_is_the_commonest_words(text, tmp_path, caplog):
    caplog.set_level("INFO")
    model = build([text], tmp_path / "lm", minimum=2)
    assert "bank" in model.words
    assert "rare" not in model.words
    with pytest.raises(DataError, match=r"No word .* 99 times: use more text or a smaller --min_"):
        build([text], tmp_path / "none", minimum=99)
    small = build([text], tmp_path / "small", vocabulary=6)
    assert len(small.words) == 6
    assert "a vocabulary of 3 words" in caplog.text  # which begins with three that are none
    assert set(small.words[3:]) <= set(model.words)


def test_a_saved_model_is_the_same_when_loaded(text, tmp_path):
    built = build([text], tmp_path / "lm")
    loaded = load(tmp_path / "lm")
    assert loaded.log_probability("my bank is lost") == built.log_probability("my bank is lost")
    (rights,) = {path.stat().st_mode for path in (tmp_path / "lm").iterdir()}
    usual = tmp_path / "usual"
    usual.touch()
    assert rights == usual.stat().st_mode


def test_tuned_weights_are_stored_beside_the_ngrams(text, tmp_path):
    model = build([text], tmp_path / "lm")
    weights = model.with_weights(alpha=0.77, width=9).weights
    heard = {"": 0.5, "a": 0.1}
    save_weights(tmp_path / "lm", weights, tuned_on="something", heard=heard)
    loaded = load(tmp_path / "lm")
    assert (loaded.weights, loaded.heard) == (weights, heard)


def test_one_of_a_later_program_is_read_where_that_is_possible(text, tmp_path):
    built = build([text], tmp_path / "lm")
    path = tmp_path / "lm" / SETTINGS
    settings = json.loads(path.read_text())
    settings["weights"]["later"] = 1.0
    path.write_text(json.dumps(settings))
    assert load(tmp_path / "lm").weights == built.weights
    path.write_text(json.dumps(settings | {"version": 2}))
    with pytest.raises(ModelError, match="version 2"):
        load(tmp_path / "lm")


@pytest.mark.parametrize("width", [0, 1001])
def test_an_impossible_width_is_refused(width):
    with pytest.raises(OptionError, match=f"{width}"):
        Weights(width=width)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.txt", b"", "no words"),
        ("spaces.txt", b" \n\n  \n", "no words"),
        ("numbers.txt", b"1 2 3\n", "No word of letters alone occurs: use more text."),
        ("sound.txt", b"RIFF\0\0\0\0WAVEfmt ", "sound.txt is not UTF-8 text"),
        ("latin.txt", "Käse\n".encode("latin-1"), "latin.txt is not UTF-8 text"),
        ("broken.txt.gz", b"not gzip at all", "broken.txt.gz is not UTF-8 text"),
        # zlib's own error, which is no OSError
        ("bad.txt.gz", GZIP[:10] + b"\xff" * 50, "bad.txt.gz is not UTF-8 text"),
        ("second.txt", b"a word\nK\xe4se\n", "in line 2, .*: save it as such"),
        ("broken.txt.xz", b"not xz at all", "broken.txt.xz is not UTF-8 text"),
        ("cut.txt.gz", GZIP[:40], "cut.txt.gz is not UTF-8 text"),
        ("broken.txt.zst", b"not zstd at all", "broken.txt.zst is not UTF-8 text"),
    ],
)
def test_text_that_is_none_is_refused_in_a_sentence(tmp_path, capsys, name, content, said):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=said):
        build([path], tmp_path / "lm")
    command = ["language-model", "build", str(path), "--output", str(tmp_path / "lm")]
    assert main(command) == 1
    assert re.search(said, capsys.readouterr().err)
    assert not (tmp_path / "lm").exists()


@pytest.mark.parametrize("dotless", [False, True])
def test_ascii_text_is_read_as_any_other(dotless):
    draw = random.Random(0)
    spelling = Spelling(dotless=dotless)
    for _ in range(5000):
        line = "".join(draw.choice("abSI s'`.,-19\tzT^&$_") for _ in range(draw.randint(0, 12)))
        assert corpus.words_of(line, spelling) == normalize(line, spelling).split(), line


def test_what_another_program_left_out_is_no_word_and_joins_none(tmp_path):
    spelling = Spelling()
    for line in ("the <unk> of <UNK> it", "<s> the <unk> of<unk> it </s>", "thé <unk> of <unk> it"):
        the, *rest = corpus.words_of(line, spelling)
        assert (the[:2], rest) == ("th", ["0", "of", "0", "it"])
    (tmp_path / "text.txt").write_text("the <unk> of it\n" * 9 + "the of\n")
    known = build([tmp_path / "text.txt"], tmp_path / "lm", order=2)
    assert known.words[3:] == ("it", "of", "the")
    assert known.log_probability("the of") < np.log(0.2)  # as often as it was read, and no more


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("今日は天気がいいです\n明日は雨が降ります\n", True),
        ("วันนี้อากาศดีมาก\nพรุ่งนี้ฝนจะตก\n", True),
        ("今日 は 天気 が いい です\n明日 は 雨 が 降り ます\n", False),
        ("วันนี้ อากาศ ดี มาก\nพรุ่งนี้ ฝน จะ ตก\n", False),
        ("오늘날씨가좋습니다 내일은비가오겠습니다\n", False),
        (TEXT, False),
    ],
)
def test_text_without_spaces_between_words_is_warned_of(tmp_path, caplog, written, told):
    (tmp_path / "text.txt").write_text(written, encoding="utf-8")
    build([tmp_path / "text.txt"], tmp_path / "lm")
    assert ("no spaces between its words" in caplog.text) == told


def test_what_is_too_long_for_a_word_is_none(tmp_path):
    text = f"a {'w' * corpus.LONGEST_WORD} and {'w' * (corpus.LONGEST_WORD + 1)}"
    (tmp_path / "text.txt").write_text(text)
    known = build([tmp_path / "text.txt"], tmp_path / "lm")
    assert known.words[3:] == ("a", "and", "w" * corpus.LONGEST_WORD)


TURKISH = ["Işık ile İzmir'de ılık bir gün", "Çağrı için şu dört büyük liste"]


@pytest.mark.parametrize("case", ["lower", "upper"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_turkish_words_keep_their_two_letters_i(tmp_path, case, form):
    written = unicodedata.normalize(form, "\n".join(TURKISH))
    (tmp_path / "text.txt").write_text(written, encoding="utf-8")
    known = build([tmp_path / "text.txt"], tmp_path / "lm")
    assert {"ışık", "izmir'de", "ılık", "bir"} <= set(known.words)
    spelling = Spelling(case=case, dotless=True)
    said = [normalize(line, spelling) for line in TURKISH]
    alphabet = Alphabet(("", " ", *sorted(set("".join(said)) - {" "})), blank=0)
    decoder = BeamDecoder(Vocabulary.of(alphabet, known, hotwords=["İZMİR", "IŞIK"]), 0.02)
    emissions = np.full((2 * len(said[0]), len(alphabet.tokens)), -9.0, np.float32)
    for i, letter in enumerate(said[0]):
        emissions[2 * i, alphabet.tokens.index(letter)] = emissions[2 * i + 1, 0] = 0.0
    decoder.feed(emissions)
    decoder.finish()
    written = "IŞIK ile İzmir'de ılık bir gün"  # as the hotword was typed, and the text has it
    assert " ".join(word.text for word in decoder.words()) == written


def test_a_few_names_from_turkey_make_no_turkish_text(tmp_path):
    (tmp_path / "text.txt").write_text("çağrı gülüş şö\n" + "It Is I\n" * 10_000)
    assert "it" in build([tmp_path / "text.txt"], tmp_path / "lm").words


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.txt is not a file"):
        build([tmp_path / "nowhere.txt"], tmp_path / "lm")


@pytest.mark.parametrize("order", [0, 7])
def test_an_impossible_order_is_refused(text, tmp_path, order):
    with pytest.raises(OptionError, match="1 to 6"):
        build([text], tmp_path / "lm", order=order)


def test_a_folder_without_a_language_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match="holds no language model"):
        load(tmp_path)


def test_a_damaged_language_model_is_refused(text, tmp_path):
    build([text], tmp_path / "lm")
    numbers = tmp_path / "lm" / NUMBERS
    numbers.write_bytes(numbers.read_bytes()[:-50])
    with pytest.raises(ModelError, match="cannot be read"):
        load(tmp_path / "lm")


def test_it_is_found_again_in_the_folder_of_its_model(text, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    assert find(str(folder)) is None
    build([text], folder / FOLDER)
    assert "bank" in find(str(folder)).words
    assert find(str(folder), "none") is None
    assert "bank" in find("embedded", str(folder / FOLDER)).words


@pytest.mark.parametrize(
    ("flags", "new", "kept"),
    [
        ("", False, True),
        ("", True, False),  # other characters: another language, perhaps
        ("--language_model none", False, False),
    ],
)
def test_fine_tuning_keeps_it_while_the_characters_stay(tmp_path, flags, new, kept):
    options, _ = parse(["--preset", "quickstart", *flags.split()])
    wish = language_model_sources.wish(options, new)
    assert (wish != "none") == kept
    if kept:
        provide(tmp_path, wish, [])
        provide(tmp_path, str(tmp_path / "language_model"), [])  # where it is
        assert find(str(tmp_path)).words == find("embedded").words


def test_of_what_one_learns_from_and_of_more_text_one_is_built_beside_the_model(tmp_path):
    (tmp_path / "more.txt").write_text("three four\n")
    said = ["one two", None]  # a row without a transcript
    provide(tmp_path, "build", said, [str(tmp_path / "more.txt")])
    assert {"one", "two", "three", "four"} <= set(find(str(tmp_path)).words)
    provide(tmp_path, "none", said)
    assert not (tmp_path / "language_model").exists()
    assert find(str(tmp_path)) is None


def test_without_numba_one_sentence_says_what_to_do(text, tmp_path):
    build([text], tmp_path / "lm")
    code = f"""
import sys
sys.modules["numba"] = None
from asr_core.errors import OptionError
from asr_core.flags import parse
from asr_core.language_model_files import load
from asr_core.language_model_sources import find
assert find("embedded", "none") is None
try:
    load({str(tmp_path / "lm")!r})
except OptionError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install numba" in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_build_says_how_large_the_result_is(text, tmp_path, capsys):
    output = tmp_path / "lm"
    command = ["language-model", "build", str(text), "--order", "2", "--output", str(output)]
    assert main(command) == 0
    assert f"{output}: 0.0 MB" in capsys.readouterr().out
    assert load(output).order == 2


@pytest.mark.parametrize("written", ["हिन्दी में बोलिए", "தமிழ் மொழி", "น้ำ ครับ", "مُحَمَّد كِتَاب"])
def test_vowels_that_are_marks_belong_to_words(written):
    vocabulary, tokens = corpus.encode(iter([written.split()]))
    assert set(written.split()) <= set(vocabulary)
    assert ngrams.UNKNOWN not in tokens


def test_numbers_of_ngrams_are_those_of_the_text():
    words, tokens = corpus.encode(iter([["a", "b", "a", "b"], ["b", "a"]]))
    levels = ngrams.count(tokens, len(words), 3)
    # <s> a b a b </s>, <s> b a </s>
    a, b = words.index("a"), words.index("b")
    bigrams = levels[1]
    counted = dict(zip(zip(bigrams.parent, bigrams.word, strict=True), bigrams.count, strict=True))
    assert counted[a, b] == 2
    assert counted[b, a] == 2
    assert counted[ngrams.BEGIN, a] == 1
    assert counted[a, ngrams.END] == 1
    assert (ngrams.END, ngrams.BEGIN) not in counted
    assert len(levels[2].word) == 6  # sab aba bab ab/s sba ba/s


@pytest.mark.parametrize("order", ngrams.ORDERS)
@pytest.mark.parametrize("written", ["hello", "hello there"])
def test_a_text_shorter_than_the_order_makes_a_model_all_the_same(tmp_path, written, order):
    path = tmp_path / "text.txt"
    path.write_text(written)
    model = build([path], tmp_path / "lm", order=order)
    assert model.log_probability(written) > model.log_probability("goodbye now")
    alphabet = Alphabet(("", " ", *"ehlort"), blank=0)
    emissions = np.full((2 * len(written), len(alphabet.tokens)), -9.0, np.float32)
    for i, letter in enumerate(written):
        emissions[2 * i, alphabet.tokens.index(letter)] = emissions[2 * i + 1, 0] = 0.0
    decoder = BeamDecoder(Vocabulary.of(alphabet, model), 0.02)
    decoder.feed(emissions)
    assert " ".join(word.text for word in decoder.finish()) == written


def test_single_words_that_do_not_fit_are_refused(text, tmp_path):
    with pytest.raises(OptionError, match="does not hold the vocabulary of"):
        build([text], tmp_path / "lm", order=1, megabytes=0.0001)


@pytest.mark.parametrize("vocabulary", [0, 2, 3])
def test_a_vocabulary_of_nothing_is_refused(text, tmp_path, vocabulary):
    with pytest.raises(OptionError, match=f"--vocabulary {vocabulary} is too small"):
        build([text], tmp_path / "lm", vocabulary=vocabulary)


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"order": 7}, "--order 7 is not possible: give 1 to 6"),
        ({"megabytes": float("nan")}, "--size nan"),
        ({"megabytes": float("inf")}, "--size inf"),
        ({"megabytes": -1.0}, "--size -1"),
        ({"vocabulary": 3}, "--vocabulary 3"),
    ],
)
def test_what_cannot_be_made_is_told_before_the_text_is_read(tmp_path, wish, said):
    with pytest.raises(OptionError, match=said):
        build([tmp_path / "missing.txt"], tmp_path / "lm", **wish)


def test_a_file_is_no_folder_for_it(text, tmp_path):
    (tmp_path / "lm").write_text("mine")
    with pytest.raises(OptionError, match="lm is a file"):
        build([text], tmp_path / "lm")
    assert (tmp_path / "lm").read_text() == "mine"


def test_a_full_disk_costs_no_language_model_that_was_there(text, tmp_path, monkeypatch):
    built = build([text], tmp_path / "lm")

    def full(path, *_, **__):
        path.touch()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_text", full)
        with pytest.raises(OptionError, match=r"language_model\.json cannot be written: no space"):
            save_weights(tmp_path / "lm", Weights(alpha=0.9))

    def broken(tensors, path):
        raise SafetensorError("I/O error: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("safetensors.numpy.save_file", broken)
        with pytest.raises(OptionError, match=r"ngrams\.safetensors cannot be written: i/o error"):
            build([text], tmp_path / "lm", order=2)
    assert load(tmp_path / "lm").weights == built.weights
    assert len([*(tmp_path / "lm").iterdir()]) == 2


@pytest.mark.parametrize("count", [0, -1])
def test_tuning_on_nothing_is_refused(tmp_path, capsys, count):
    command = f"language-model tune {tmp_path} --dataset sample --max_samples {count}"
    assert main(command.split()) == 1
    assert f"--max_samples {count}: at least 1 is needed" in capsys.readouterr().err


@pytest.mark.parametrize("count", [1, 41, 999])
def test_tuning_takes_as_many_clips_as_are_asked_for(monkeypatch, capsys, count):
    def listen(recognizer, rows, augmentation):
        raise DataError(f"{len(list(rows))} clips")

    monkeypatch.setattr("asr_core.tuning.listen", listen)
    known = models.EMBEDDED_FOLDER.parent / "language_model"
    command = f"language-model tune {known} --dataset sample --max_samples {count}"
    assert main(command.split()) == 1
    assert f"{min(count, 42)} clips" in capsys.readouterr().err


def test_tuning_for_another_alphabet_is_refused_before_all_is_heard(tmp_path, monkeypatch, capsys):
    (tmp_path / "text.txt").write_text("안녕하세요 여러분\n", encoding="utf-8")
    build([tmp_path / "text.txt"], tmp_path / "lm")
    monkeypatch.setattr("asr_core.tuning.listen", lambda *_: pytest.fail("it was heard"))
    assert main(["language-model", "tune", str(tmp_path / "lm"), "--dataset", "sample"]) == 1
    assert "made for another alphabet: the model can spell only 0 of its 2" in (
        capsys.readouterr().err
    )


def test_where_nothing_can_be_kept_the_search_is_compiled_all_the_same(monkeypatch):
    def njit(cache=False, **_):
        if cache:
            raise RuntimeError("cannot cache function: no locator available for file 'search.py'")
        return lambda function: function

    monkeypatch.setattr(search, "njit", njit)
    assert search.compiled(len)("abc") == 3
