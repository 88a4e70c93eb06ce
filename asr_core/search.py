"""The inner loop of the beam search, compiled by numba: a prefix beam search over words.

Prefix search for CTC (Graves, 2012, section 7.5; Hannun et al., 2014, https://arxiv.org/abs/1408.2873)
with a back-off n-gram over words, a letter trie that looks ahead to the best word still possible
(Ortmanns et al., 1996), words outside the trie, and recombination of hypotheses that differ only in
what no longer matters, and in how much of their score ends in a blank, which hardly does.

Both the trie of letters and the n-grams are one structure: nodes in breadth-first order, so that
the children of node i are the sorted slice first[i]:first[i + 1].

In order: what goes in and out; the n-grams, word by word (`step`); the words, letter by letter
(`spell`); frame by frame, the search itself (`advance`); its history.

All that is compiled stays in this one file: what numba keeps for the next start is made anew when
the file changes, and not when another does from which something is called.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from asr_core.errors import OptionError
from asr_core.ngrams import END, UNKNOWN

try:
    from numba import njit
except ImportError as error:
    raise OptionError(
        "A language model and hotwords need numba: `pip install numba`, or do without them "
        "(`--language_model none`)."
    ) from error


def compiled(function):
    """Machine code, kept for the next start where there is a place that can be written."""
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba's "no locator available": some seconds at each start
        return njit(nogil=True)(function)


inlined = njit(inline="always")  # the steps of `advance`: a call in each frame would cost time


ROOT = 0  # of the trie: no letter of a word has come yet
OUTSIDE = -1  # of the trie: the word being spelt is not in it
EMPTY = -1  # state of the n-grams that remembers no word
SPACE = -1  # among the letters of a column: a word ends or begins
NEVER = -1e30  # log-probability of the impossible
WORD = 6.0  # how much the words before may raise a word's score above its unigram look-ahead


class Ngrams(NamedTuple):
    """A back-off model: natural logarithms, one node for each n-gram, unigrams first."""

    word: np.ndarray  # (nodes,): the last word of the n-gram
    first: np.ndarray  # (states + 1,) int32: first child, of all orders but the highest
    log_probability: np.ndarray  # (nodes,) float32
    backoff: np.ndarray  # (states,) float32
    link: np.ndarray  # (states,) int32: the longest shorter suffix that is a node, or EMPTY


class Lexicon(NamedTuple):
    """A trie of letters; `entry` numbers its words."""

    letter: np.ndarray  # (nodes,): code of the letter that leads here
    first: np.ndarray  # (nodes + 1,) int32
    entry: np.ndarray  # (nodes,) int32: the word that ends here, or -1
    ahead: np.ndarray  # (nodes,) float32: score to hope for, given out letter by letter
    word: np.ndarray  # (entries,) int32: as the n-grams know it
    bonus: np.ndarray  # (entries,) float32
    outside: float  # score to hope for once the trie has been left


class Columns(NamedTuple):
    """What the columns of the emissions spell: letters[first[i]:first[i + 1]]."""

    letters: np.ndarray  # int32 codes, or SPACE
    first: np.ndarray  # (columns + 1,) int32
    rarity: np.ndarray  # (columns,) float64: added to what is heard, but not to confidence
    blank: int


class Weights(NamedTuple):
    """Those of `language_model.Weights` that numba needs."""

    alpha: float  # weight of the n-grams' log-probabilities
    beta: float  # added for each word
    unknown: float  # added for each word outside the lexicon
    letter: float  # and for each of its letters after those that the lexicon knows
    hotword: float  # added for each letter of a hotword
    beam: float  # hypotheses this much worse than the best are dropped
    token: float  # columns this much less probable than the best are not tried
    skip: float  # frames whose blank is more probable than this extend nothing


class Known(NamedTuple):
    """All that is known before anything is heard."""

    ngrams: Ngrams
    lexicon: Lexicon
    columns: Columns
    weights: Weights


HYPOTHESIS = np.dtype(
    [
        ("prefix", np.uint64),  # hash of all columns spelt
        ("state", np.int32),  # of the n-grams
        ("node", np.int32),  # of the trie
        ("last", np.int32),  # column
        ("history", np.int32),  # index into the history
        # Where `last` was spelt in this frame, and is not in the history yet: 1 + the index of the
        # hypothesis that it was added to; else 0.
        ("fresh", np.int32),
        ("end", np.int32),  # frame after the last one of `last`
        ("peak", np.float64),  # highest log-probability of `last`, as heard
        ("blank", np.float64),  # log-probability of all alignments that end in a blank
        ("spelt", np.float64),  # and of those that end in `last`
        ("language", np.float64),  # score of the words, with what is hoped for
        ("score", np.float64),  # everything
    ]
)
HISTORY = np.dtype(
    [
        ("parent", np.int32),
        ("column", np.int32),
        ("start", np.int32),  # frame
        ("parent_end", np.int32),  # known only now that the next column has come
        ("parent_peak", np.float64),
    ]
)


@compiled
def add(a, b):
    """log(exp(a) + exp(b))"""
    if a < b:
        a, b = b, a
    return a if b < a - 30.0 else a + np.log1p(np.exp(b - a))


@compiled
def find(values, low, high, value):
    """The index of `value` in the sorted slice values[low:high], or -1."""
    end = high
    while low < high:
        middle = (low + high) >> 1
        if values[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low if low < end and values[low] == value else -1


@compiled
def step(ngrams, state, word):
    """(log-probability of `word` after `state`, next state)"""
    score = 0.0
    found = False
    states = len(ngrams.backoff)
    while state != EMPTY:
        child = find(ngrams.word, ngrams.first[state], ngrams.first[state + 1], word)
        if child >= 0:
            if not found:
                score += ngrams.log_probability[child]
                found = True
            if child < states:
                return score, shortest(ngrams, child)
        if not found:
            score += ngrams.backoff[state]
        state = ngrams.link[state]
    if not found:
        score += ngrams.log_probability[word]
    return score, shortest(ngrams, word)


@compiled
def shortest(ngrams, state):
    """The state without the words that no n-gram goes on from."""
    while state != EMPTY and ngrams.first[state] == ngrams.first[state + 1]:
        state = ngrams.link[state]
    return state


@compiled
def links(ngrams, parent):
    """Fill `ngrams.link`; unigrams come first, so every shorter suffix is ready when needed."""
    for node in range(len(ngrams.backoff)):
        ngrams.link[node] = EMPTY
        if parent[node] != EMPTY:
            word = ngrams.word[node]
            ngrams.link[node] = word
            state = ngrams.link[parent[node]]
            while state != EMPTY:
                child = find(ngrams.word, ngrams.first[state], ngrams.first[state + 1], word)
                if child >= 0:
                    ngrams.link[node] = child
                    break
                state = ngrams.link[state]


@compiled
def close(ngrams, lexicon, weights, state, node, language):
    """(state, language score) when the word being spelt ends."""
    if node == ROOT:
        return state, language
    entry = lexicon.entry[node] if node != OUTSIDE else -1
    language -= lexicon.ahead[node] if node != OUTSIDE else lexicon.outside
    word = lexicon.word[entry] if entry >= 0 else UNKNOWN
    bonus = lexicon.bonus[entry] if entry >= 0 else weights.unknown
    score, state = step(ngrams, state, word)
    return state, language + weights.alpha * score + weights.beta + bonus


@compiled
def spell(ngrams, lexicon, columns, weights, column, state, node, language):
    """(state, node, language score) after the letters of one column."""
    for i in range(columns.first[column], columns.first[column + 1]):
        letter = columns.letters[i]
        if letter == SPACE:
            state, language = close(ngrams, lexicon, weights, state, node, language)
            node = ROOT
        elif node == OUTSIDE:
            language += weights.letter
        else:
            child = find(lexicon.letter, lexicon.first[node], lexicon.first[node + 1], letter)
            ahead = lexicon.ahead[child] if child >= 0 else lexicon.outside
            language += ahead - lexicon.ahead[node]
            node = child if child >= 0 else OUTSIDE
    return state, node, language


@compiled
def advance(known, emissions, offset, beams, count, history, used, spare, table):
    """Take all frames of `emissions`; (number of hypotheses, of history entries) afterwards.

    `emissions` is (frames, columns) float32, log-probabilities, after `offset` frames that were
    taken before. `beams` holds `count` hypotheses, best first, before and after; `history` holds
    `used` entries and has room for `len(beams)` more with each frame; `spare` has room for the
    hypotheses of one frame; `table` is (power of two, 2), zero at the start.
    """
    ngrams, lexicon, columns, weights = known
    margins = most_gained(columns, weights)
    weighed = np.empty(emissions.shape[1], np.float64)
    tried = np.empty(emissions.shape[1], np.int32)
    totals = np.empty(len(beams), np.float64)
    keys = np.empty(len(spare), np.float64)
    places = np.empty(len(spare), np.int32)
    chosen = np.empty(len(beams), np.int32)
    for i in range(len(emissions)):
        heard, now = emissions[i], offset + i
        if heard[columns.blank] > weights.skip:
            wait(beams[:count], heard[columns.blank])
            continue
        trials = likely(heard, columns, weights, weighed, tried)
        best = stay(now, heard, weighed, columns.blank, beams[:count], totals, spare, table)
        made, best = extend(
            now,
            heard,
            weighed,
            tried[:trials],
            margins,
            ngrams,
            lexicon,
            columns,
            weights,
            beams[:count],
            totals,
            spare,
            table,
            best,
        )
        kept = different(spare[:made], best - weights.beam, keys, places, chosen)
        used = remember(now, beams, spare, chosen[:kept], history, used)
        for k in range(kept):
            beams[k] = spare[chosen[k]]
        count = kept
    return count, used


@compiled
def most_gained(columns, weights):
    """What each column can at most add to the language score: within a word hope only shrinks."""
    margins = np.full(len(columns.rarity), weights.hotword)
    for column in range(len(margins)):
        for i in range(columns.first[column], columns.first[column + 1]):
            if columns.letters[i] == SPACE:
                margins[column] = WORD
    return margins


@inlined
def wait(beams, blank):
    """A frame of hardly anything but a blank, of log-probability `blank`: nothing is spelt."""
    for i in range(len(beams)):
        beams[i].blank = add(beams[i].blank, beams[i].spelt) + blank
        beams[i].spelt = NEVER
        beams[i].score = beams[i].blank + beams[i].language


@inlined
def stay(now, heard, weighed, blank, beams, totals, spare, table):
    """The hypotheses as they are, into `spare`: a blank, or their last goes on; the best score.

    Fills `totals`: the log-probability of all alignments of each before this frame.
    """
    best, stamp = NEVER, np.int32(now + 1)
    for i in range(len(beams)):
        old = beams[i]
        totals[i] = add(old.blank, old.spelt)
        new = spare[i]
        spare[i] = beams[i]
        new.fresh = 0
        new.blank = totals[i] + heard[blank]
        new.spelt = NEVER
        if old.last != blank:
            new.spelt = old.spelt + weighed[old.last]
            if new.spelt > new.blank:
                new.end = now + 1
                new.peak = max(old.peak, heard[old.last])
        new.score = add(new.blank, new.spelt) + new.language
        best = max(best, new.score)
        at = slot(table, stamp, spare, new.prefix)
        table[at, 0], table[at, 1] = stamp, i
    return best


@inlined
def likely(heard, columns, weights, weighed, tried):
    """Fill `weighed` with what is heard and its rarity, and `tried` with the columns that spell
    something and are worth trying; how many those are."""
    for column in range(len(heard)):
        weighed[column] = heard[column] + columns.rarity[column]
    least = weighed.max() - weights.token
    trials = 0
    for column in range(len(heard)):
        if weighed[column] > least and columns.first[column] != columns.first[column + 1]:
            tried[trials] = column
            trials += 1
    return trials


@inlined
def extend(
    now,
    heard,
    weighed,
    tried,
    margins,
    ngrams,
    lexicon,
    columns,
    weights,
    beams,
    totals,
    spare,
    table,
    best,
):
    """The hypotheses with one more column, into `spare`; (how many are there now, best score).

    One may be there already, as it stays or another way led to it: then both are one.
    """
    made, stamp = len(beams), np.int32(now + 1)
    for i in range(len(beams)):
        old = beams[i]
        for j in range(len(tried)):
            column = tried[j]
            spelt = (old.blank if column == old.last else totals[i]) + weighed[column]
            if spelt + old.language < best - weights.beam - margins[column]:
                continue
            prefix = (old.prefix ^ np.uint64(column + 1)) * np.uint64(0x9E3779B97F4A7C15)
            prefix ^= prefix >> np.uint64(31)
            at = slot(table, stamp, spare, prefix)
            if table[at, 0] == stamp:
                new = spare[table[at, 1]]
                if spelt > add(new.blank, new.spelt):  # this alignment is the better one
                    new.history, new.fresh = old.history, i + 1
                    new.end, new.peak = now + 1, heard[column]
                new.spelt = add(new.spelt, spelt)
                new.score = add(new.blank, new.spelt) + new.language
                best = max(best, new.score)
                continue
            state, node, language = spell(
                ngrams, lexicon, columns, weights, column, old.state, old.node, old.language
            )
            if spelt + language < best - weights.beam:
                continue
            new = spare[made]
            new.prefix = prefix
            new.state, new.node, new.last = state, node, column
            new.history, new.fresh = old.history, i + 1
            new.end, new.peak = now + 1, heard[column]
            new.blank, new.spelt = NEVER, spelt
            new.language = language
            new.score = spelt + language
            best = max(best, new.score)
            table[at, 0], table[at, 1] = stamp, made
            made += 1
    return made, best


@compiled
def slot(table, stamp, candidates, prefix):
    """Where `prefix` is, or could be put, in the hash table, whose rows are (stamp, candidate).

    Rows with another frame's stamp are free: the table need not be cleared for each frame.
    """
    mask = np.uint64(len(table) - 1)
    at = (prefix ^ (prefix >> np.uint64(29))) & mask
    while table[at, 0] == stamp and candidates[table[at, 1]].prefix != prefix:
        at = (at + np.uint64(1)) & mask
    return at


@inlined
def different(candidates, least, keys, places, chosen):
    """Fill `chosen` with the candidates that score at least `least`, best first, and of those with
    the same future only the best; how many. `keys` and `places` are room for all candidates."""
    hopeful = 0
    for i in range(len(candidates)):
        if candidates[i].score >= least:
            keys[hopeful] = -candidates[i].score
            places[hopeful] = i
            hopeful += 1
    kept = 0
    for k in np.argsort(keys[:hopeful]):
        if kept == len(chosen):
            break
        new = candidates[places[k]]
        twin = False
        if new.node != OUTSIDE:
            for i in range(kept):
                other = candidates[chosen[i]]
                if other.node == new.node and other.state == new.state and other.last == new.last:
                    twin = True
                    break
        if not twin:
            chosen[kept] = places[k]
            kept += 1
    return kept


@inlined
def remember(now, beams, candidates, chosen, history, used):
    """Enter into the history what the chosen spelt in this frame; the number of entries."""
    for i in chosen:
        new = candidates[i]
        if new.fresh:
            old = beams[new.fresh - 1]
            history[used].parent = new.history
            history[used].column = new.last
            history[used].start = now
            history[used].parent_end = old.end
            history[used].parent_peak = old.peak
            new.history = used
            used += 1
    return used


@compiled
def best_ending(known, beams):
    """The index of the best hypothesis when every sentence ends here."""
    best, index = -np.inf, 0
    ngrams, lexicon, _, weights = known
    for i in range(len(beams)):
        beam = beams[i]
        state, language = close(ngrams, lexicon, weights, beam.state, beam.node, beam.language)
        ending, _ = step(ngrams, state, END)
        score = beam.score - beam.language + language + weights.alpha * ending
        if score > best:
            best, index = score, i
    return index


@compiled
def agreed(history, used, beams, count):
    """The last entry of the history that all hypotheses have in common."""
    seen = np.zeros(used, np.int32)
    for i in range(count):
        at = beams[i].history
        while at >= 0:
            seen[at] += 1
            at = history[at].parent
    at = beams[0].history
    while seen[at] < count:
        at = history[at].parent
    return at


@compiled
def shorten(history, used, beams, count, root):
    """Keep what hypotheses need after `root`, which becomes entry 0; the number of entries."""
    place = np.full(used, -1, np.int32)
    for i in range(count):
        at = beams[i].history
        while at != root and place[at] < 0:
            place[at] = 0
            at = history[at].parent
    place[root] = 0
    history[0] = history[root]
    history[0].parent = -1
    kept = 1
    for at in range(root + 1, used):  # parents stand before their children
        if place[at] == 0:
            place[at] = kept
            history[kept] = history[at]
            history[kept].parent = place[history[at].parent]
            kept += 1
    for i in range(count):
        beams[i].history = place[beams[i].history]
    return kept
