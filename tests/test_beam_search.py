"""The beam search: what it says with a language model, with hotwords, in pieces and for hours."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf

from asr_core import audio, beam, data, metrics, tuning
from asr_core.beam import BeamDecoder
from asr_core.decoding import Alphabet, GreedyDecoder, end_words
from asr_core.errors import ModelError, OptionError
from asr_core.language_model_sources import build
from asr_core.lexicon import NO_LANGUAGE_MODEL, Vocabulary
from asr_core.text import decompose, favoured

FRAME = 0.02
ALPHABET = Alphabet(("", "", " ", *"ABCDEGHIKLMNOPRSTUWY'"), blank=0)
TEXT = """i want to pay my bill
the bank is closed
the bank is here
the dog can bark
a dog can bark
i can pay the bill
"""


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    (folder / "text.txt").write_text(TEXT * 20)
    return build([folder / "text.txt"], folder / "lm")


@pytest.fixture(scope="module")
def vocabulary(known):
    return Vocabulary.of(ALPHABET, known)


def hear(text: str, doubts: dict[int, dict[str, float]] | None = None) -> np.ndarray:
    """Emissions in which `text` is heard, one character in two frames and a blank after each.

    `doubts` gives for the character at a position how probable others are.
    """
    rows = []
    for i, character in enumerate(text):
        probabilities = np.full(len(ALPHABET.tokens), 1e-4)
        probabilities[ALPHABET.tokens.index(character)] = 0.9
        for other, probability in (doubts or {}).get(i, {}).items():
            probabilities[ALPHABET.tokens.index(other)] = probability
        blank = np.full(len(ALPHABET.tokens), 1e-4)
        blank[ALPHABET.blank] = 1.0
        rows += [probabilities, probabilities, blank]
    table = np.array(rows)
    return np.log(table / table.sum(axis=1, keepdims=True)).astype(np.float32)


def chatter(words: int, seed: int = 0) -> np.ndarray:
    """Emissions of words in any order, each letter heard badly."""
    rng = np.random.default_rng(seed)
    text = " ".join(rng.choice([*TEXT.upper().split(), "BADASSEUGI", "OTTER"], words))
    logits = hear(text) + rng.normal(0, 3, (3 * len(text), len(ALPHABET.tokens)))
    return (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)


def decode(vocabulary: Vocabulary, emissions: np.ndarray):
    decoder = BeamDecoder(vocabulary, FRAME)
    decoder.feed(emissions)
    return decoder.finish()


def text_of(words) -> str:
    return " ".join(word.text for word in words)


def test_it_finds_the_most_probable_spelling_of_all():
    """Against every alignment there is: the sum over alignments, not the best one, decides."""
    alphabet = Alphabet(("", "A", "B", "C"), blank=0)
    thorough = replace(NO_LANGUAGE_MODEL, width=1000, beam=100.0, token=100.0, skip=0.0)
    wide = replace(Vocabulary.of(alphabet), weights=thorough)
    for seed in range(20):
        logits = np.random.default_rng(seed).normal(0, 1.0, (6, 4))
        emissions = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        sums: dict[tuple[int, ...], float] = {}
        for path in itertools.product(range(4), repeat=len(emissions)):
            spelt = tuple(c for c, _ in itertools.groupby(path) if c)
            score = emissions[np.arange(len(path)), path].sum()
            sums[spelt] = np.logaddexp(sums.get(spelt, -np.inf), score)
        best = max(sums, key=sums.__getitem__)
        said = "".join(alphabet.tokens[c] for c in best)
        assert text_of(decode(wide, emissions)) == said, seed


def test_what_is_heard_clearly_is_written_whatever_the_language_model_knows(vocabulary):
    for text in ("THE BANK IS CLOSED", "BADASSEUGI PAID", "CLOSED IS BANK THE", "A"):
        assert text_of(decode(vocabulary, hear(text))) == text


def test_words_around_decide_between_words_that_sound_alike(vocabulary):
    doubt = {"N": 0.5, "R": 0.5}
    bank, bark = "THE BANK IS CLOSED", "THE DOG CAN BANK"
    assert text_of(decode(vocabulary, hear(bank, {6: doubt}))) == "THE BANK IS CLOSED"
    assert text_of(decode(vocabulary, hear(bark, {14: doubt}))) == "THE DOG CAN BARK"


def test_a_misheard_letter_is_put_right(vocabulary):
    emissions = hear("THE BENK IS CLOSED", {5: {"A": 0.3}})
    greedy = GreedyDecoder(ALPHABET, FRAME)
    greedy.feed(emissions)
    assert text_of(greedy.finish()) == "THE BENK IS CLOSED"
    assert text_of(decode(vocabulary, emissions)) == "THE BANK IS CLOSED"


def test_a_hotword_wins_over_what_is_heard_a_little_better(known):
    emissions = hear("PAY NIMDS HERE", {4: {"M": 0.4}, 6: {"N": 0.4}})
    for model in (known, None):
        hot = Vocabulary.of(ALPHABET, model, ["MInDS"])
        assert text_of(decode(hot, emissions)) == "PAY MINDS HERE"
    assert text_of(decode(Vocabulary.of(ALPHABET, known), emissions)) != "PAY MINDS HERE"
    # And it does not appear where it was not said.
    assert text_of(decode(hot, hear("MY BILL IS MINE"))) == "MY BILL IS MINE"


def test_a_hotword_that_the_language_model_knows_is_still_a_word_to_it(known):
    for hotwords in ([], ["bank"]):
        vocabulary = Vocabulary.of(ALPHABET, known, hotwords)
        assert sorted(vocabulary.lexicon.word) == sorted(range(3, len(known.words)))


def test_a_sentence_begins_as_the_language_model_has_it(known):
    assert Vocabulary.of(ALPHABET, known).begin == known.begin


def test_a_hotword_that_cannot_be_spelt_is_named(known):
    with pytest.raises(OptionError, match="'바다쓰기'"):
        Vocabulary.of(ALPHABET, known, ["바다쓰기"])


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("O’Brien", "O'BRIEN"),
        ("Jean-Luc", "LUC JEAN"),
        ("Dr. Kim", "DR KIM"),
        ("“Kim”", "KIM"),
        ("bar;tab", "TAB BAR"),
        ("bar，tab、kim", "BAR TAB KIM"),
        ("Ｋｉｍ", "KIM"),
        ("\u200bKim\ufeff", "KIM"),
        ("Ki\u00adm –", "KIM"),
    ],
)
def test_hotwords_are_taken_as_phones_type_them(typed, said):
    wide = Alphabet(("", " ", *"ABCDEIJKLMNORTU'"), blank=0)
    by_hand, known = Vocabulary.of(wide, None, [said]), Vocabulary.of(wide, None, [typed])
    assert len(known.lexicon.bonus) == len(said.split())
    for one, other in zip(known.lexicon, by_hand.lexicon, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("letters", "typed", "said"),
    [
        ("ΑΛΟΠΣΥ", "Παυλος", "ΠΑΥΛΟΣ"),
        ("ΑΛΟΠΣΥ", "ΠΑΥΛΟΣ", "ΠΑΥΛΟΣ"),
        ("AERST", "Straße", "STRASSE"),
        ("aerstß", "Straße", "straße"),
    ],
)
def test_letters_that_differ_by_case_and_place_are_known(tmp_path, letters, typed, said):
    (tmp_path / "text.txt").write_text(f"{typed}\n" * 3, encoding="utf-8")
    known = build([tmp_path / "text.txt"], tmp_path / "lm")
    vocabulary = Vocabulary.of(Alphabet(("", " ", *letters), 0), known, [typed])
    by_hand = Vocabulary.of(Alphabet(("", " ", *letters), 0), None, [said])
    assert len(vocabulary.lexicon.bonus) == len(by_hand.lexicon.bonus) == 1


def test_turkish_hotwords_may_be_of_either_case():
    turkish = Alphabet(("", " ", *"abcçdefgğhıijklmnoöprsştuüvyz"), blank=0)
    spelt = [Vocabulary.of(turkish, None, [word]).lexicon.letter for word in ("IŞIK", "ışık")]
    np.testing.assert_array_equal(*spelt)


def test_a_sign_that_the_model_spells_stays_in_its_hotwords():
    signs = Alphabet(("", " ", *"aceujnl-"), blank=0)
    assert len(Vocabulary.of(signs, None, ["Jean-Luc"]).lexicon.bonus) == 1


@pytest.mark.parametrize("between", [",", ", ", ";", "，", "、", "؛", "،", " "])
def test_hotwords_are_listed_with_the_commas_of_any_script(between):
    assert favoured(f"Jean-Luc{between}Kim") == ["Jean-Luc", "Kim"]
    assert favoured(f"{between} {between}") == []


def test_a_language_model_for_another_alphabet_is_refused(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("은행에 가고 싶어요\n카드를 잃어버렸어요\n")
    korean = build([path], tmp_path / "lm")
    with pytest.raises(ModelError, match="another alphabet"):
        Vocabulary.of(ALPHABET, korean)


def test_letters_may_be_of_either_case_and_hangul_of_either_kind(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("은행 계좌\n" * 5)
    korean = build([path], tmp_path / "lm")
    jamo = Alphabet(("", " ", *sorted(set("은행계좌")), *map(chr, range(0x1100, 0x11C3))), blank=0)
    assert len(Vocabulary.of(jamo, korean).lexicon.word) == 2


def test_tokens_of_several_letters_spell_the_same_words(known):
    pieces = Alphabet(("", " THE", " BA", "NK", " BAR", "K", " I", "S", "N"), blank=0)
    table = np.full((8, 9), 1e-4)
    for frame, column in enumerate((1, 0, 2, 0, 3, 0, 6, 7)):
        table[frame, column] = 1.0
    table[2, 4] = 0.9
    table[4, 5] = 0.3
    emissions = np.log(table / table.sum(axis=1, keepdims=True))
    words = decode(Vocabulary.of(pieces, known), emissions)
    assert text_of(words) == "THE BANK IS"
    assert [word.start for word in words] == [0.0, 0.04, 0.12]


def test_times_and_confidence_are_those_of_what_is_heard(vocabulary):
    emissions = hear("I CAN PAY THE BILL", {9: {" ": 0.2}})
    greedy = GreedyDecoder(ALPHABET, FRAME)
    greedy.feed(emissions)
    assert decode(vocabulary, emissions) == greedy.finish()


def test_a_word_put_right_by_the_language_model_is_less_sure(vocabulary):
    clear = decode(vocabulary, hear("THE BANK IS CLOSED"))
    doubtful = decode(vocabulary, hear("THE BENK IS CLOSED", {5: {"A": 0.3}}))
    assert doubtful[1].confidence < clear[1].confidence
    assert doubtful[2] == clear[2]
    assert [word.start for word in doubtful] == [word.start for word in clear]


def test_seldom_letters_count_as_if_they_were_common_but_are_not_surer(known):
    emissions = chatter(300)
    heard = tuning.shares(ALPHABET, [emissions])
    assert set(heard) == set(ALPHABET.tokens)
    fair = replace(known, heard=heard).with_weights(prior=0.7)
    rarity = [np.log(heard[""] / heard[token]) if token else 0.0 for token in ALPHABET.tokens]
    by_hand = decode(Vocabulary.of(ALPHABET, known), emissions + 0.7 * np.array(rarity))
    said = decode(Vocabulary.of(ALPHABET, fair), emissions)
    assert [(w.text, w.start) for w in said] == [(w.text, w.start) for w in by_hand]
    assert text_of(said) != text_of(decode(Vocabulary.of(ALPHABET, known), emissions))
    assert np.mean([w.confidence for w in said]) < np.mean([w.confidence for w in by_hand])


def test_a_letter_that_was_never_heard_is_made_good_within_bounds(known):
    heard = dict.fromkeys(ALPHABET.tokens, 0.0) | {"": 0.5}
    fair = replace(known, heard=heard).with_weights(prior=0.7)
    assert np.isfinite(Vocabulary.of(ALPHABET, fair).columns.rarity).all()


def test_tuning_finds_weights_that_are_better(known):
    said = [" ".join(np.random.default_rng(i).permutation(TEXT.upper().split())) for i in range(4)]
    rng = np.random.default_rng(0)
    noisy = [hear(text) + rng.normal(0, 3, (3 * len(text), len(ALPHABET.tokens))) for text in said]
    noisy = [logits - np.logaddexp.reduce(logits, axis=1, keepdims=True) for logits in noisy]
    ear = SimpleNamespace(
        alphabet=ALPHABET,
        hop=320,
        rate=16_000,
        processor=SimpleNamespace(
            tokenizer=SimpleNamespace(get_vocab=lambda: dict.fromkeys(ALPHABET.tokens, 0))
        ),
    )
    found = tuning.tune(ear, known, tuning.Heard(noisy, said, 4.0, 1.0), progress=lambda _: None)
    assert found.wer < min(found.default_wer, found.greedy_wer)
    tuned = replace(known, weights=found.weights, heard=found.heard)
    again = [text_of(decode(Vocabulary.of(ALPHABET, tuned), emissions)) for emissions in noisy]
    assert metrics.wer(again, said) == pytest.approx(found.wer)


def test_what_is_tuned_on_is_changed_alike_each_time_and_what_is_left_out_is_named(caplog):
    (row,) = data.load(data.SAMPLE, split="test[:1]")
    broken = row | {"audio": {"bytes": b"no sound", "path": "broken.wav"}}
    whole = audio.load(data.row_source(row), 16_000)
    file = io.BytesIO()
    sf.write(file, whole, 16_000, format="WAV")
    half = file.getvalue()[: len(whole)]
    cut = {"audio": {"bytes": half, "path": "cut.wav"}, "transcription": "PAY THE BILL"}
    rows = [row | {"transcription": ""}, broken, cut]
    tokenizer = SimpleNamespace(get_vocab=lambda: dict.fromkeys(ALPHABET.tokens, 0))
    ear = SimpleNamespace(
        rate=16_000, emissions=list, processor=SimpleNamespace(tokenizer=tokenizer)
    )

    def hiss(samples: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        return samples + draw.normal(size=len(samples))

    plain, *changed = (tuning.listen(ear, rows, augment) for augment in (None, hiss, hiss))
    for one in (plain, *changed):
        assert one.references == ["PAY THE BILL"]
    assert np.array_equal(changed[0].emissions, changed[1].emissions)
    assert not np.array_equal(plain.emissions, changed[0].emissions)
    assert "broken.wav was left out" in caplog.text
    assert "cut.wav is cut short" in caplog.text


@pytest.mark.parametrize("jamo", [decompose("계좌"), "ㄱㅖㅈㅘ"])
def test_korean_spelt_in_jamo_comes_as_syllables(jamo):
    alphabet = Alphabet(("", " ", *sorted(set(jamo))), blank=0)
    emissions = np.full((2 * len(jamo), len(alphabet.tokens)), -9.0, np.float32)
    emissions[1::2, 0] = 0.0
    for place, sign in enumerate(jamo):
        emissions[2 * place, alphabet.tokens.index(sign)] = 0.0
    (word,) = decode(Vocabulary.of(alphabet, None, ["계좌"]), emissions)
    assert word.text == "계좌"


def test_a_korean_final_is_no_initial():
    initial, vowel, final = decompose("각")
    alphabet = Alphabet(("", " ", initial, vowel, final), blank=0)
    emissions = np.full((5, 5), -9.0, np.float32)
    emissions[range(5), [2, 0, 3, 0, 2]] = 0.0
    emissions[4, 4] = -0.3
    (word,) = decode(Vocabulary.of(alphabet, None, ["각"]), emissions)
    assert word.text == "각"


def test_hotwords_may_have_any_apostrophe():
    alphabet = Alphabet(("", " ", "l", "’", "o"), blank=0)
    emissions = np.full((4, 5), -9.0, np.float32)
    emissions[range(4), [2, 3, 0, 4]] = 0.0
    for hotword in ("l'o", "l’o"):
        (word,) = decode(Vocabulary.of(alphabet, None, [hotword]), emissions)
        assert word.text == "l’o"


@pytest.mark.parametrize("piece", [1, 7, 100, 999])
def test_pieces_make_no_difference(vocabulary, piece):
    emissions = np.concatenate([chatter(30), hear("THE DOG CAN BARK"), chatter(30, seed=1)])
    whole = decode(vocabulary, emissions)
    decoder = BeamDecoder(vocabulary, FRAME)
    settled: tuple = ()
    for start in range(0, len(emissions), piece):
        decoder.feed(emissions[start : start + piece])
        assert decoder.settled()[: len(settled)] == settled
        settled = decoder.settled()
        assert decoder.words()[: len(settled)] == settled
    assert decoder.finish() == whole
    assert whole[: len(settled)] == settled
    assert len(settled) > len(whole) / 2
    assert list(whole) == sorted(whole, key=lambda word: word.start)
    assert all(0 <= w.start < w.end and 0 <= w.confidence <= 1 for w in whole)


def test_a_pause_ends_a_word_and_no_second_time(vocabulary):
    heard = hear("OTTERBADASSEUGI")
    assert text_of(decode(vocabulary, heard)) == "OTTERBADASSEUGI"  # knows neither
    pause = np.tile(heard[2], (80, 1))
    for ending in (heard[:0], hear(" ")):
        paused = np.concatenate([heard[:15], ending, pause, heard[15:]])
        end_words(paused, ALPHABET, FRAME)
        assert text_of(decode(vocabulary, paused)) == "OTTER BADASSEUGI"


def test_a_fork_looks_ahead_and_leaves_its_origin_alone(vocabulary):
    decoder = BeamDecoder(vocabulary, FRAME)
    decoder.feed(hear("THE BA"))
    ahead = decoder.fork()
    ahead.feed(hear("RK"))
    decoder.feed(hear("NK"))
    assert text_of(ahead.finish()) == "THE BARK"
    assert text_of(decoder.finish()) == "THE BANK"


def test_memory_does_not_grow_with_the_recording(vocabulary):
    def size(decoder: BeamDecoder) -> int:
        return sum(v.nbytes for v in vars(decoder).values() if isinstance(v, np.ndarray))

    decoder = BeamDecoder(vocabulary, FRAME)
    decoder.feed(chatter(100))
    before = size(decoder)
    for seed in range(20):
        decoder.feed(chatter(100, seed))
    assert size(decoder) <= 2 * before
    assert len(decoder.finish()) > 1000


def test_a_stretch_on_which_hypotheses_never_agree_stays_bounded(vocabulary):
    decoder = BeamDecoder(vocabulary, FRAME)
    row = np.full((1, len(ALPHABET.tokens)), -np.log(len(ALPHABET.tokens)), np.float32)
    for _ in range(40):
        decoder.feed(np.repeat(row, 100, axis=0))
    assert decoder._used < 20_000


def test_what_would_stay_open_for_too_long_is_settled_and_loses_nothing(vocabulary, monkeypatch):
    monkeypatch.setattr(beam, "MOST_OPEN", 20)
    words = decode(vocabulary, np.concatenate([chatter(30, 2), hear(" THE DOG CAN BARK")]))
    assert text_of(words).endswith("THE DOG CAN BARK")
    assert list(words) == sorted(words, key=lambda word: word.start)
    assert all(word.start < word.end for word in words)
    decoder = BeamDecoder(vocabulary, FRAME)
    for seed in range(10):
        decoder.feed(chatter(20, seed))
        assert decoder._used <= 20


def test_silence_without_any_probability_left_is_no_word(vocabulary):
    silence = np.full((500, len(ALPHABET.tokens)), -np.inf, np.float32)
    silence[:, ALPHABET.blank] = 0.0
    assert decode(vocabulary, silence) == ()
    both = np.concatenate([silence, hear("THE BANK IS CLOSED"), silence])
    assert text_of(decode(vocabulary, both)) == "THE BANK IS CLOSED"
    assert decode(vocabulary, np.zeros((0, len(ALPHABET.tokens)), np.float32)) == ()
