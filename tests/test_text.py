"""Transcripts are written as a model spells: any script, nothing lost, the same every time."""

from __future__ import annotations

import json

import pytest
from transformers import Wav2Vec2CTCTokenizer

from asr_core import text
from asr_core.errors import OptionError
from asr_core.transcript import Word, joined

UPPER = text.Spelling(case="upper")
LOWER = text.Spelling(case="lower")
TURKISH = text.Spelling(case="lower", dotless=True)
TURKISH_CAPITALS = text.Spelling(case="upper", dotless=True)


@pytest.mark.parametrize(
    ("written", "spelling", "expected"),
    [
        ("I’d like to set up a joint account.", UPPER, "I'D LIKE TO SET UP A JOINT ACCOUNT"),
        ("don't 'quote' the dogs' bowls", LOWER, "don't quote the dogs' bowls"),
        ("well-known — e.g. “this”…", LOWER, "well known e g this"),
        ("  two\tspaces\u00a0and\nlines ", LOWER, "two spaces and lines"),
        ("ﬁve ½ cafés", LOWER, "five 1 2 cafés"),
        ("cafe\u0301", LOWER, "café"),
        ("हिन्दी में", LOWER, "हिन्दी में"),
        ("ภาษาไทย", LOWER, "ภาษาไทย"),
        ("น้ำ ทำ", LOWER, "น้ำ ทำ"),  # with one character for am, as everybody writes it
        ("ນ້ຳ", LOWER, "ນ້ຳ"),
        ("İstanbul", LOWER, "istanbul"),
        ("Işık, İzmir'in ILIK kıyısı", TURKISH, "ışık izmir'in ılık kıyısı"),
        ("Işık, İzmir'in ılık kıyısı", TURKISH_CAPITALS, "IŞIK İZMİR'İN ILIK KIYISI"),
        ("東京、大阪。", LOWER, "東京 大阪"),
        ("안녕하세요!", LOWER, "안녕하세요"),
        ("Wort\u00adtrennung", LOWER, "worttrennung"),
        ("می\u200cخواهم", LOWER, "میخواهم"),
        ("ක්\u200dරීඩා", LOWER, "ක්රීඩා"),
        ("ไทย\u200bแลนด์", LOWER, "ไทย แลนด์"),
        ("ΣΊΣΥΦΟΣ", LOWER, "σίσυφος"),
        ("Straße", text.Spelling(case="keep"), "Straße"),
        ('צה"ל, ד״ר כהן אמר "שלום" לג׳ורג׳', LOWER, "צהל דר כהן אמר שלום לג'ורג"),
        ("una col·lecció · dues", LOWER, "una collecció dues"),
        ("مـحمد كتـاب", LOWER, "محمد كتاب"),
        ("Hello, world!", text.Spelling(case="keep", punctuation="keep"), "Hello, world!"),
        ("don\u00b4t, it\u2032s", LOWER, "don't it's"),
        ("I love you \u2764\ufe0f", LOWER, "i love you"),
        ("1\ufe0f\u20e3 and \u845b\U000e0100\u98fe", LOWER, "1 and \u845b\u98fe"),
        ("\u3070\u309b \u00a8 x", LOWER, "\u3070 x"),
        ("\u0345\u0345 x, e\u00ad\u0308", LOWER, "x \u00eb"),
        ("ŉ boek, it｀s", LOWER, "n boek it's"),
        ("Ταΐλάνδη", UPPER, "ΤΑ\u03aa\u0301ΛΆΝΔΗ"),
        ("한ㆍ중ㆍ일, 가\u3164나", LOWER, "한 중 일 가 나"),
        ("1½ Liter, 10² m²", LOWER, "1 1 2 liter 10 2 m2"),
        ("5'10, l'80, 1'000 '80s don't", LOWER, "5 10 l 80 1000 80s don't"),
        ("<unk> yes<PAD>no ＜s＞</s>", LOWER, "yes no"),
        ("<unk> yes<PAD>no ＜s＞</s>", text.Spelling("lower", "keep"), "yes no"),
        ("a<b> <i>c</i>", text.Spelling("lower", "keep"), "a<b> <i>c</i>"),
        ("?!", LOWER, ""),
        ("", LOWER, ""),
    ],
)
def test_normalisation(written, spelling, expected):
    assert text.normalize(written, spelling) == expected
    assert text.normalize(expected, spelling) == expected


def test_jamo_there_and_back_is_exact():
    every = "".join(map(chr, range(0xAC00, 0xD7A4)))
    apart = text.decompose(every)
    assert not set(apart) & set(every)
    assert len(set(apart)) == 19 + 21 + 27
    assert text.compose(apart) == every
    syllables = [text.compose(text.decompose(each).translate(text.TYPED)) for each in every]
    assert "".join(syllables) == every
    assert text.decompose("latin 東京 é") == "latin 東京 é"


def test_vocabulary_is_the_same_whatever_the_order_of_the_rows():
    rows = ["zebra", "don't", "año 7", "안녕", "a|b"]
    made = text.vocabulary(rows)
    assert made == text.vocabulary(reversed(rows))
    assert list(made)[:5] == ["<pad>", "<s>", "</s>", "<unk>", "|"]
    assert made["<pad>"] == 0
    assert " " not in made
    assert list(made.values()) == list(range(len(made)))  # as many columns as a model has
    assert set("zebradon'tño7안녕") <= set(made)


def tokenizer(tmp_path, characters: str, **options) -> Wav2Vec2CTCTokenizer:
    path = tmp_path / "vocab.json"
    path.write_text(json.dumps(text.vocabulary([characters])), encoding="utf-8")
    return Wav2Vec2CTCTokenizer(str(path), **options)


@pytest.mark.parametrize(
    ("characters", "options", "spelling"),
    [
        ("ABC'", {}, text.Spelling("upper")),
        ("abc'", {}, text.Spelling("lower")),
        ("abAB", {}, text.Spelling("keep")),
        ("ABC", {"do_lower_case": True}, text.Spelling("upper")),
        ("abc.,?", {}, text.Spelling("lower", "keep")),
        ("안녕", {}, text.Spelling("keep")),
        ("\u1112\u1161\u11ab", {}, text.Spelling("keep", hangul="jamo")),
        ("abcçgğıiöşüâîû", {}, TURKISH),
        ("ABCÇGĞIİÖŞÜ", {}, TURKISH_CAPITALS),
        ("abcçdeıö", {}, LOWER),  # a name from Turkey among others
        ("abcçgğıiöşüàâäåæèéêëîïñóôøœß", {}, LOWER),  # many languages
    ],
)
def test_spelling_follows_the_tokenizer(tmp_path, characters, options, spelling):
    assert text.Spelling.of(tokenizer(tmp_path, characters, **options)) == spelling


@pytest.mark.parametrize(
    ("characters", "said"),
    [
        ("aehilmno’", "l'homme"),
        ("зʼязок", "з'язок"),
        ("क\u095cाल", "कड़ा"),  # in one, which Unicode's normal forms take apart
        ("tiêngvư\u0301\u0323\u0300", "tiếng việt"),  # tones apart, as is usual there
        ("tiengvu\u0301\u0323\u0302\u031b", "tiếng việt"),  # all signs apart
        ("ㅎㅏㄴㄱㅡㄹㅋㅠ", "한글 한나 ㅋㅋ"),
        ("한글ㅋ", "한글 ㅋㅋ"),
        ("ㄱㅏㅂㅄㅀ", "값 ㅄ ㅀ"),
        ("άόταϊνδησμε\u0301", "ταϊ\u0301 άνδη"),
    ],
)
def test_characters_that_a_model_writes_in_its_own_way(tmp_path, characters, said):
    model = tokenizer(tmp_path, characters)
    spelling = text.Spelling.of(model)
    written = text.normalize(said, spelling)
    assert not text.unknown([written], model)
    assert text.normalize(written, spelling) == written
    assert text.compose(written).replace("’", "'").replace("ʼ", "'") == text.compose(
        text.normalize(said, text.Spelling())
    )


def test_a_model_that_has_both_apostrophes_is_given_the_plain_one(tmp_path):
    spelling = text.Spelling.of(tokenizer(tmp_path, "aehilmno'’"))
    assert text.normalize("l’homme", spelling) == text.normalize("l'homme", spelling) == "l'homme"


@pytest.mark.parametrize("pieces", [[], ["THE"]], ids=["letters", "pieces of words"])
def test_characters_outside_the_vocabulary_are_counted(tmp_path, pieces):
    model = tokenizer(tmp_path, "AB")
    model.add_tokens(pieces)
    assert text.unknown(["ÑAÑA 7", "ÑB"], model) == {"Ñ": 3, "7": 1}


@pytest.mark.parametrize(
    ("labels", "frames"), [([], 0), ([5], 1), ([5, 6], 2), ([5, 5], 3), ([5, 5, 5, 6, 6], 8)]
)
def test_repeats_need_a_blank_between(labels, frames):
    assert text.frames_needed(labels) == frames


def test_an_unknown_option_lists_those_there_are():
    with pytest.raises(OptionError, match="'Upper' is not one of keep, lower, upper"):
        text.Spelling(case="Upper")


def tokenizer_of(said: list[str], folder, spelling: text.Spelling) -> Wav2Vec2CTCTokenizer:
    path = folder / "vocab.json"
    path.write_text(json.dumps(text.vocabulary(text.normalize(line, spelling) for line in said)))
    return Wav2Vec2CTCTokenizer(str(path))


def test_laughter_does_not_take_korean_syllables_apart(tmp_path):
    said = ["안녕하세요 오늘 날씨 좋네요", "진짜 웃겨 ㅋㅋ ㅠㅠ"]
    tokenizer = tokenizer_of(said, tmp_path, LOWER)
    spelling = text.Spelling.of(tokenizer)
    assert spelling.hangul == "syllables"
    assert not text.unknown([text.normalize(line, spelling) for line in said], tokenizer)


@pytest.mark.parametrize(
    "said", ["हिन्दी में।", "東京、大阪。", "هل أنت هنا؟", "Well, yes.", "میں گھر پر ہوں۔", "သွားမယ်။"]
)
def test_punctuation_of_any_script_stays_where_it_was_learnt(tmp_path, said):
    keep = text.Spelling(punctuation="keep")
    tokenizer = tokenizer_of([said], tmp_path, keep)
    assert text.Spelling.of(tokenizer).punctuation == "keep"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("two words", "two| words"),
        ("그 은행", "그| 은행"),
        ("今日は", "今|日|は"),
        ("きょうっと、はい。", "きょ|うっ|と、|は|い。"),
        ("人々のコーヒー", "人々|の|コー|ヒー"),
        ("中国 AI技术2级", "中|国| AI|技|术|2|级"),
        ("ไม่เป็นไรครับ", "ไม่|เป็|น|ไร|ค|รั|บ"),
        ("น้ำตา", "น้ำ|ตา"),
        ("ខ្ញុំ", "ខ្ញុំ"),
        ("မြန်မာ", "မြ|န်|မာ"),
    ],
)
def test_where_words_are_written_without_spaces_every_character_is_one(written, words):
    parts = list(text.parted(written))
    assert "|".join(space * " " + part for part, space in parts).strip() == words
    assert joined(Word(part, 0, 0, 1, space) for part, space in parts) == written


def test_laughter_is_written_as_people_type_it():
    for spelling in (LOWER, text.Spelling(hangul="jamo")):
        assert text.compose(text.normalize("진짜 ㅋㅋ ㅠㅠ", spelling)) == "진짜 ㅋㅋ ㅠㅠ"
