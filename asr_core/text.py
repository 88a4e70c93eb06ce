"""Transcripts in the characters a model can spell: normalisation, case, and new vocabularies."""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from asr_core.errors import OptionError

ACUTE = "\u00b4"  # typed for an apostrophe on many keyboards; NFKC makes an accent of it
APOSTROPHES = str.maketrans(dict.fromkeys(f"\u2019\u02bc\u2018\u0060\u2032\u05f3{ACUTE}", "'"))
# Punctuation that stands within a word: in Hebrew that of abbreviations, in Catalan between two l.
INSIDE = re.compile('(?<=[\u05d0-\u05ea])["\u05f4](?=[\u05d0-\u05ea])|(?<=[lL])\u00b7(?=[lL])')
# What looks like a space or a dot between words, and is a Korean letter to NFKC.
HANGUL_GAPS = dict.fromkeys([0x318D, 0x3164, 0x115F, 0x1160, 0xFFA0], " ")
# Before a fraction or power behind a number, of which NFKC makes digits: 1½ is not 11 2.
RAISED = re.compile(r"(?<=\d)(?=[\u00bc-\u00be\u2150-\u215e\u2189\u00b9\u00b2\u00b3\u2070-\u2079])")
# An apostrophe that is no letter's: of 5'10" and l'80, but not of the Swiss 1'000.
APART = re.compile(r"(?<=\d)'(?=\d{1,2}(?!\d))|(?<=[^\W\d_])'(?=\d)")
TATWEEL = "\u0640"  # that makes an Arabic word longer to look at
# Signs that choose between pictures of one character, and the frame of a keycap.
SELECTORS = dict.fromkeys([*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0), 0x20E3])
# The vowel of Thai and Lao that NFKC takes apart, though everybody writes it as one character.
AM = {"\u0e4d\u0e32": "\u0e33", "\u0ecd\u0eb2": "\u0eb3"}
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")  # <pad> is CTC's blank, in column 0
# In a transcript, where a tokenizer would take them for those, in capitals when all is lowered.
_SPECIAL = re.compile("|".join(SPECIAL), re.IGNORECASE)
DELIMITER = "|"  # stands for the space between words

_HANGUL_SYLLABLES = range(0xAC00, 0xD7A4)
_ACCENTED = range(0xC0, 0x2000)  # where letters with accents lie
_JAMO = range(0x1100, 0x1200)  # conjoining: initials, vowels and finals are different characters
_INITIALS, _VOWELS, _FINALS = range(0x1100, 0x1113), range(0x1161, 0x1176), range(0x11A8, 0x11C3)
# Conjoining -> as they are typed, one by one, which are the same before and after a vowel.
TYPED = {
    code: unicodedata.lookup("HANGUL LETTER " + unicodedata.name(chr(code)).split(" ", 2)[2])
    for code in (*_INITIALS, *_VOWELS, *_FINALS)
}
# What NFKC makes of two that no syllable begins with.
TYPED |= {ord(unicodedata.normalize("NFKC", c)): c for c in "ㅀㅄ"}
_INITIAL, _VOWEL, _FINAL = (
    {TYPED[code]: chr(code) for code in codes} for codes in (_INITIALS, _VOWELS, _FINALS)
)
_TYPED_SYLLABLE = re.compile(
    "([{0}])([{1}])(?:([{2}])(?![{1}]))?".format(*map("".join, (_INITIAL, _VOWEL, _FINAL)))
)

PAUSES = ".,?!。、।॥؟،؛۔။၊។៖։።፣፤།"  # as NFKC leaves them; models that spell these keep punctuation
# Commas and semicolons of the scripts that people type.
COMMAS = str.maketrans(dict.fromkeys(",;،؛՝፣፤、，；､", " "))
ZERO_WIDTH_SPACE = "\u200b"

# Who spells with these has two letters i, of which one has no dot as a capital either.
TURKIC = frozenset("çğıöşü")
MOST_FOREIGN = 12  # letters beside those: with more it is a vocabulary for many languages

# Scripts without spaces between words, by how their characters' names begin.
UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")
# Vowels of Thai and Lao that are letters: written before their consonant, and after it.
VOWELS_BEFORE, VOWELS_AFTER = "เแโใไເແໂໃໄ", "ะาำๅະາຳ"
BINDING = "\u17d2\u1039"  # signs of Khmer and Burmese that put the next letter below

FOREIGN = 0.2  # share of characters a model cannot spell from which another vocabulary is wanted

CASES = ("keep", "lower", "upper")
PUNCTUATION = ("remove", "keep")
HANGUL = ("syllables", "jamo")


@dataclass(frozen=True)
class Spelling:
    """How transcripts are written for a model.

    `case` is one of `CASES`; `punctuation` one of `PUNCTUATION` (apostrophes inside words always
    stay); `hangul` one of `HANGUL`: a Korean syllable as one character, or as the two or three
    jamo it is made of (some 70 characters to learn instead of 2,000; `compose` turns them back).
    With `dotless`, the small letter of I is ı and that of İ is i, as in Turkish and Azerbaijani.
    `own` are signs that a model writes in a way of its own: what they are otherwise, and its way.
    """

    case: str = "lower"
    punctuation: str = "remove"
    hangul: str = "syllables"
    dotless: bool = False
    own: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for field, choices in (("case", CASES), ("punctuation", PUNCTUATION), ("hangul", HANGUL)):
            if getattr(self, field) not in choices:
                raise OptionError(
                    f"{field} '{getattr(self, field)}' is not one of {', '.join(choices)}."
                )

    @classmethod
    def of(cls, tokenizer: Any) -> Spelling:
        """The spelling that a tokenizer's own characters ask for."""
        # Language codes and special tokens are longer than one character and say nothing.
        characters = [token for token in tokenizer.get_vocab() if len(token) == 1]
        lower = any(c.islower() for c in characters)
        upper = any(c.isupper() for c in characters)
        # `do_lower_case` of Wav2Vec2CTCTokenizer upper-cases what it is given.
        if getattr(tokenizer, "do_lower_case", False):
            lower, upper = False, True
        case = "keep" if lower == upper else "lower" if lower else "upper"
        punctuation = "keep" if any(c in PAUSES for c in characters) else "remove"
        # Lone jamo stand beside whole syllables, too: what is laughed (ㅋㅋ) or cried (ㅠㅠ).
        whole = any(ord(c) in _HANGUL_SYLLABLES for c in characters)
        jamo = any(ord(c) in _JAMO for c in characters)
        typed = any(c in _VOWEL for c in characters)
        hangul = "jamo" if (jamo or typed) and not whole else "syllables"
        return cls(case, punctuation, hangul, is_turkic(characters), _own(set(characters)))


def _own(characters: set[str]) -> tuple[tuple[str, str], ...]:
    """Which of a model's characters `normalize` would take for others, and those it has in parts.

    French ’ for ', Hindi ड़ in one, Vietnamese ế as three signs, Korean as it is typed.
    """
    own = {}
    for c in (*map(chr, APOSTROPHES), *sorted(characters)):
        form = "'" if ord(c) in APOSTROPHES else unicodedata.normalize("NFC", c)
        if c in characters and form != c and form not in characters:
            own.setdefault(form, c)
    for c in map(chr, _ACCENTED):
        form = unicodedata.normalize("NFC", c)
        if form not in characters and (parts := _parts(form, characters)):
            own.setdefault(form, parts)
    own.update((chr(code), typed) for code, typed in TYPED.items() if typed in characters)
    return tuple(own.items())


def _parts(letter: str, characters: set[str]) -> str:
    """A letter with accents as `characters` can write it, "" if they cannot."""
    base, *marks = unicodedata.normalize("NFD", letter)
    for mark in marks:  # ệ as ê and a dot below
        rest = [other for other in marks if other != mark]
        if rest and characters >= {made := unicodedata.normalize("NFC", base + mark), *rest}:
            return made + "".join(rest)
    return base + "".join(marks) if marks and characters.issuperset((base, *marks)) else ""


def normalize(text: str, spelling: Spelling) -> str:
    """`text` as `spelling` writes it: NFKC, single spaces, no control characters.

    Punctuation that goes becomes a space (well-known -> well known); an apostrophe between two
    letters stays (don't), others go. So do invisible signs inside words (soft hyphens, joiners),
    those that choose between pictures of one character, and marks that stand on no letter.
    """
    text = RAISED.sub(" ", text.replace(ACUTE, "'").translate(HANGUL_GAPS))
    text = unicodedata.normalize("NFKC", text).translate(APOSTROPHES)
    text = text.translate(SELECTORS).replace(TATWEEL, "")
    for apart, vowel in AM.items():
        text = text.replace(apart, vowel)
    text = "".join(c for c in text if unicodedata.category(c) != "Cf" or c == ZERO_WIDTH_SPACE)
    text = _SPECIAL.sub(" ", text)
    if spelling.punctuation == "remove":
        text = APART.sub(" ", INSIDE.sub("", text))
        text = "".join(
            c if _is_spoken(text, i) else "" if c == "'" else " " for i, c in enumerate(text)
        )
    else:
        text = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    text = _without_lone_marks(text)
    if spelling.case == "lower":
        text = lowered(text, spelling.dotless)
    elif spelling.case == "upper":
        if spelling.dotless:
            text = text.replace("i", "İ")
        text = text.upper()
    text = unicodedata.normalize("NFC", text)  # without signs between, and in capitals
    if spelling.hangul == "jamo":
        text = decompose(text)
    for form, own in spelling.own:
        text = text.replace(form, own)
    return " ".join(text.split())


def _without_lone_marks(text: str) -> str:
    """Without marks that follow no letter, as that of an emoji or of an accent typed by itself."""
    kept = " "
    for c in text:
        if kept[-1] != " " or unicodedata.category(c)[0] != "M":
            kept += c
    return kept


def lowered(text: str, dotless: bool = False) -> str:
    """Small letters; with `dotless`, the small letter of I is ı."""
    if dotless:
        text = text.replace("I", "ı")
    return text.replace("İ", "i").lower()  # else its dot becomes a letter of its own


def _is_spoken(text: str, i: int) -> bool:
    """Letters, marks and digits are; an apostrophe is when it has a letter on either side."""
    if text[i] == "'":
        before, after = text[max(0, i - 1) : i], text[i + 1 : i + 2]
        return before.isalpha() and (after.isalpha() or before in "sS")
    return unicodedata.category(text[i])[0] in "LMN"


def decompose(text: str) -> str:
    """Hangul syllables into conjoining jamo; everything else as it is."""
    return "".join(
        unicodedata.normalize("NFD", c) if ord(c) in _HANGUL_SYLLABLES else c for c in text
    )


def compose(text: str) -> str:
    """The inverse of `decompose`, also of jamo as they are typed; those alone (ㅋㅋ) stay so."""
    return _TYPED_SYLLABLE.sub(_syllable, unicodedata.normalize("NFC", text).translate(TYPED))


def _syllable(typed: re.Match) -> str:
    initial, vowel, final = typed.groups("")
    made = _INITIAL[initial] + _VOWEL[vowel] + _FINAL.get(final, "")
    return unicodedata.normalize("NFC", made)


def vocabulary(transcripts: Iterable[str]) -> dict[str, int]:
    """Characters of normalised training transcripts, in code-point order, after `SPECIAL`.

    The order depends on which characters occur and on nothing else, so two runs agree.
    """
    characters = {c for text in transcripts for c in text} - {" ", DELIMITER}
    tokens = [*SPECIAL, DELIMITER, *sorted(characters)]
    return {token: index for index, token in enumerate(tokens)}


def is_turkic(characters: Iterable[str]) -> bool:
    """Whether a vocabulary is that of Turkish or a language that writes i as it does."""
    # "İ" alone says that capitals are told apart: "I" is in every vocabulary of capitals.
    small = {"ı" if c == "İ" else c.lower() for c in characters if c.isalpha()}
    foreign = [c for c in small - TURKIC if not c.isascii()]
    return small >= TURKIC and len(foreign) <= MOST_FOREIGN


def favoured(hotwords: str) -> list[str]:
    """The hotwords in what people type: with commas, semicolons or spaces between them."""
    return hotwords.translate(COMMAS).split()


def parted(text: str) -> Iterator[tuple[str, bool]]:
    """Its words, each with whether a space stands before it; see `is_seam`."""
    for chunk in text.split():
        seams = [i for i in range(1, len(chunk)) if is_seam(chunk[i - 1], chunk[i])]
        for start, end in itertools.pairwise([0, *seams, len(chunk)]):
            yield chunk[start:end], not start


@functools.lru_cache(1 << 16)  # pairs: visitors may write any
def is_seam(before: str, after: str) -> bool:
    """Whether of two characters in a row, with no space between, the second begins a word.

    Where words are written without spaces, every character is one, with the signs that belong to
    it: as subtitles and captions can be cut there, and no machine agrees on words with another.
    """
    if not (_is_unspaced(before) or _is_unspaced(after)):
        return False
    bound = before in VOWELS_BEFORE or before in BINDING
    kind = unicodedata.category(after)  # of letters, Lm repeat or lengthen the one before
    belongs = kind[0] in "MP" or kind == "Lm" or after in VOWELS_AFTER
    return not (bound or belongs or " SMALL " in unicodedata.name(after, ""))


def _is_unspaced(character: str) -> bool:
    return unicodedata.name(character, "").startswith(UNSPACED)


def unknown(transcripts: Iterable[str], tokenizer: Any) -> Counter[str]:
    """Characters that the tokenizer cannot spell, with how often they occur."""
    known = set(tokenizer.get_vocab()) | {" "}
    if all(len(token) == 1 or token in tokenizer.all_special_tokens for token in known - {" "}):
        return Counter(c for text in transcripts for c in text if c not in known)
    # Tokens of several characters (SentencePiece): ask the tokenizer itself.
    missing: Counter[str] = Counter()
    for text in transcripts:
        for c in set(text) - {" "}:
            ids = tokenizer(c, add_special_tokens=False).input_ids
            if tokenizer.unk_token_id in ids:
                missing[c] += text.count(c)
    return missing


def is_spelt(labels: list[int], tokenizer: Any) -> bool:
    """Whether any of a transcript's labels is that of a character."""
    unspelt = (tokenizer.unk_token_id, getattr(tokenizer, "word_delimiter_token_id", None))
    return any(label not in unspelt for label in labels)


def frames_needed(labels: list[int]) -> int:
    """Frames CTC needs for `labels`: one each, and a blank between equal neighbours.

    A clip with fewer has an infinite loss (icefall #1777).
    """
    return len(labels) + sum(a == b for a, b in itertools.pairwise(labels))
