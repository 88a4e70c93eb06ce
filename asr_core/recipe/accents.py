"""Accents nobody has heard yet: an engine's English with some of its sounds moved.

A model that knows seven accents by heart takes their vowels for the letters themselves. People move
vowels to neighbours, and consonants that their first language does not tell apart, each always in
the same way (Wells, 1982, "Accents of English"), so that is what an accent is here.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

import numpy as np

from asr_core.recipe import voices

# What vowels and consonants may become, by each engine's names for them.
VOWELS = {
    "espeak-ng": {
        "a": "E aa A: V",
        "aa": "a A:",
        "A:": "a O: 0",
        "A@": "A: a 3:",
        "a#": "a V I",
        "aI": "A: OI eI",
        "aU": "A: oU a",
        "E": "I a eI e:",
        "eI": "E e: I aI",
        "e@": "E e: 3:",
        "3:": "E O: V",
        "3": "@ V a",
        "I": "i: E @",
        "I#": "i: @",
        "I2": "i: @ E",
        "i": "I E",
        "i:": "I eI",
        "i@": "i: e@",
        "0": "O: A: V oU",
        "O:": "A: oU o: 0",
        "O2": "A: 0 oU",
        "O@": "O: oU",
        "oU": "O: o: aU u:",
        "u:": "U oU i:",
        "U": "u: V O:",
        "V": "a A: 0 U",
        "@": "V I E",
        "@2": "V I E",
        "@L": "oU U",
    },
    "flite": {
        "aa": "ao ah ae",
        "ae": "eh aa",
        "ah": "aa uh ae",
        "ao": "aa ow",
        "aw": "aa ow",
        "ax": "ih ah eh",
        "ay": "aa ey oy",
        "eh": "ih ae ey",
        "er": "ah eh ao",
        "ey": "eh ay ih",
        "ih": "iy eh ax",
        "iy": "ih ey",
        "ow": "ao uh uw",
        "uh": "uw ah ao",
        "uw": "uh ow",
    },
    "hibari": {
        "æ": "ɛ ɑ ʌ",
        "a": "ɛ ɑ ʌ",
        "ɑ": "æ ɔ",
        "ɒ": "ɔ ɑ ʌ",
        "ɔ": "ɑ O",
        "ə": "ʌ ɪ ɛ",
        "ɐ": "æ ʌ ɪ",
        "ʌ": "æ ɑ ʊ",
        "ɛ": "ɪ æ A",
        "ɜ": "ɛ ɔ ʌ",
        "ɪ": "i ɛ ə",
        "i": "ɪ A",
        "ʊ": "u ʌ ɔ",
        "u": "ʊ O i",
        "A": "ɛ I ɪ",
        "I": "ɑ Y A",
        "O": "ɔ W u",
        "Q": "ɔ W u",
        "W": "ɑ O æ",
    },
}
CONSONANTS = {
    "espeak-ng": {
        "T": "t s f",
        "D": "d z v",
        "w": "v",
        "v": "w f",
        "z": "s",
        "Z": "S dZ",
        "S": "s",
        "dZ": "tS Z",
        "N": "n",
        "t#": "t",
        "r-": "@",
    },
    "flite": {
        "th": "t s f",
        "dh": "d z v",
        "w": "v",
        "v": "w f",
        "z": "s",
        "zh": "sh jh",
        "sh": "s",
        "jh": "ch zh",
        "ng": "n",
    },
    "hibari": {
        "θ": "t s f",
        "ð": "d z v",
        "w": "v",
        "v": "w f",
        "z": "s",
        "ʒ": "ʃ ʤ",
        "ʃ": "s",
        "ʤ": "ʧ ʒ",
        "ŋ": "n",
        "T": "t",
    },
}
VOICES = [voice for voice in voices.TRAIN if voice.engine in VOWELS]
MOVED = (0.05, 0.35)  # of the vowels; of the consonants half as many
FLAT = 0.2  # of accents do not stress syllables
MARKS = re.compile(r"^[',%=ˈˌ]*")  # of stress, before a phoneme


class Accent:
    """What becomes of each phoneme of an engine, drawn from `number`."""

    def __init__(self, number: int, engine: str = "espeak-ng") -> None:
        rng = random.Random(number)
        share = rng.uniform(*MOVED)
        self.moved = {}
        for sounds, chance in ((VOWELS, share), (CONSONANTS, share / 2)):
            for sound, near in sounds[engine].items():
                other = rng.choice(near.split())
                if rng.random() < chance:
                    self.moved[sound] = other
        self.flat = rng.random() < FLAT

    def __call__(self, phonemes: str) -> str:
        """`phonemes`, with "|" between those of a word and one clause a line, as `voices.speak`
        takes them: in double brackets."""
        clauses = [" ".join(map(self._word, line.split())) for line in phonemes.splitlines()]
        return ", ".join(f"[[{clause}]]" for clause in clauses if clause)

    def _word(self, word: str) -> str:
        return "|".join(map(self.sound, word.split("|")))

    def sound(self, marked: str) -> str:
        """What becomes of one phoneme, which may have marks of stress before it."""
        marks = MARKS.match(marked).group()
        sound = marked[len(marks) :]
        return ("" if self.flat else marks) + self.moved.get(sound, sound)


@dataclass(frozen=True)
class Speaker:
    """A voice with an accent of its own."""

    voice: voices.Voice
    accent: int

    @property
    def speaker(self) -> str:
        return f"{self.voice.speaker}~{self.accent}"


def draw(rng: random.Random) -> Speaker:
    """Someone nobody has heard yet."""
    return Speaker(voices.draw(rng, VOICES), rng.getrandbits(32))


def speak(text: str, speaker: Speaker) -> np.ndarray:
    """As `voices.speak`."""
    accent = Accent(speaker.accent, speaker.voice.engine)
    return voices.speak(accent(voices.phonemes(text, speaker.voice)), speaker.voice)
