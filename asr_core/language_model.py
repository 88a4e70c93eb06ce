"""What a language model is: how probable words are after others, and how much that counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from asr_core import corpus, ngrams
from asr_core.errors import OptionError
from asr_core.text import normalize

if TYPE_CHECKING:
    from asr_core import search


@dataclass(frozen=True)
class Weights:
    """How the decoder weighs a language model against what is heard, and how hard it searches.

    Scores are natural logarithms.
    """

    alpha: float = 0.4  # of the language model's log-probabilities
    beta: float = 1.0  # for each word, against too few of them
    unknown: float = -7.0  # for each word outside the vocabulary
    letter: float = -1.0  # and for each of its letters after the beginning that is known
    hotword: float = 1.5  # for each letter of a hotword
    prior: float = 0.0  # of the logarithms of `LanguageModel.heard`, which are taken away
    width: int = 50  # hypotheses kept
    beam: float = 8.0  # those this much worse than the best are dropped
    token: float = 5.0  # columns this much less probable than a frame's best are not tried
    skip: float = -0.01  # frames with a more probable blank than this extend nothing

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 1000:
            raise OptionError(f"A beam of {self.width} is not possible: give 1 to 1000 hypotheses.")


@dataclass(frozen=True)
class LanguageModel:
    """Back-off n-grams over `words`, the first three of which are `ngrams.SPECIAL`.

    `heard` are the shares of tokens, the blank as "", in all that the acoustic model hears. It has
    learnt which letters are common; the n-grams know that, too, and it should count only once
    (Miao et al., 2015, https://arxiv.org/abs/1507.08240, section 3.2). `capitals` are words as they
    are written where not all of their letters are small (see `capitals.Forms`).
    """

    words: tuple[str, ...]
    ngrams: search.Ngrams
    order: int
    weights: Weights = field(default_factory=Weights)
    name: str = ""
    heard: dict[str, float] = field(default_factory=dict)
    capitals: tuple[str, ...] = ()

    def log_probability(self, text: str) -> float:
        """Natural logarithm of the probability of `text` as one whole sentence."""
        from asr_core import search

        numbers = {word: number for number, word in enumerate(self.words)}
        spelling = corpus.spelling_of(Counter("".join(self.words)))
        total, state = 0.0, self.begin
        for word in [*normalize(text, spelling).split(), "</s>"]:
            score, state = search.step(self.ngrams, state, numbers.get(word, ngrams.UNKNOWN))
            total += score
        return total

    @property
    def begin(self) -> int:
        """The state at the beginning of a sentence."""
        from asr_core import search

        return search.shortest(self.ngrams, ngrams.BEGIN)

    def with_weights(self, **changes: float) -> LanguageModel:
        return replace(self, weights=replace(self.weights, **changes))
