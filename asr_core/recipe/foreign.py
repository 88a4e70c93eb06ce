"""English by festival's diphones of other languages, with the sounds that these have.

    apt-get install festvox-kallpc16k festvox-italp16k festvox-itapc16k festvox-suopuhe-lj \\
        festvox-suopuhe-mv festvox-czech-ph festvox-czech-dita festvox-czech-krb \\
        festvox-czech-machac

festival has two American voices made of diphones, and one is held out. But what kal says, how long
each sound takes and how high it is, any diphones can say that have sounds like them: eight more
speakers, in the accents of people who learnt English later. Each has an accent of its own besides
(`accents`), as has kal, who speaks here, too.
"""

from __future__ import annotations

import io
import random
import tempfile
from pathlib import Path

import numpy as np
import soundfile as sf

from asr_core.errors import DataError
from asr_core.recipe import voices
from asr_core.recipe.accents import Accent, Speaker

# What stands for kal's sounds, "+" between two of them; those that a language lets fall are "".
ITALIAN = (
    "aa:a1 ae:E1 ah:a1 ao:O1 aw:a1+u ax:e ay:a1+i eh:E1 er:E1+r ey:e1+i ih:i1 iy:i1 ow:o1+u "
    "oy:O1+i uh:u1 uw:u1 b:b ch:tS d:d dh:d f:f g:g hh: jh:dZ k:k l:l m:m n:n ng:ng+g p:p r:r s:s "
    "sh:S t:t th:t v:v w:w y:j z:z zh:Z pau:#"
)
FINNISH = (
    "aa:a: ae:& ah:a ao:o: aw:a+u ax:e ay:a+i eh:e er:7: ey:e+i ih:i iy:i: ow:o+u oy:o+i uh:u "
    "uw:u: b:b ch:t+S d:d dh:d f:f g:g hh:h jh:d+S k:k l:l m:m n:n ng:N p:p r:r s:s sh:S t:t th:t "
    "v:v w:v y:j z:s zh:S pau:#"
)
CZECH = (
    "aa:a: ae:e ah:a ao:o: aw:a+u ax:e ay:a+j eh:e er:e+r ey:e+j ih:i iy:i: ow:o+u oy:o+j uh:u "
    "uw:u: b:b ch:c~ d:d dh:d f:f g:g hh:h jh:dz~ k:k l:l m:m n:n ng:n*+g p:p r:r s:s sh:s~ t:t "
    "th:t v:v w:v y:j z:z zh:z~ pau:#"
)
# Each speaker's sounds, and how much higher than kal's the voice is.
SPEAKERS = {
    "kal_diphone": ("", 1.0),
    "pc_diphone": (ITALIAN, 1.1),
    "lp_diphone": (ITALIAN, 1.8),
    "hy_fi_mv_diphone": (FINNISH, 1.0),
    "suo_fi_lj_diphone": (FINNISH, 1.8),
    "czech_ph": (CZECH, 1.0),
    "czech_dita": (CZECH, 1.8),
    "czech_krb": (CZECH, 2.2),
    "czech_machac": (CZECH, 1.1),
}
# Sounds that follow themselves are one: there are no diphones for that.
SCRIPT = """
(define (sounds name) (let ((found (assoc_string name moved))) (if found (cadr found) (list name))))
(define (tones from to)
  (let ((inside nil))
    (mapcar
      (lambda (tone)
        (if (and (>= (car tone) from) (< (car tone) to))
          (set! inside (cons (list (- (car tone) from) (* {pitch:.3f} (cadr tone))) inside))))
      heard)
    (reverse inside)))
(voice_kal_diphone)
(Parameter.set 'Duration_Stretch {stretch:.3f})
(set! said (utt.synth (Utterance Text "{text}")))
(set! heard
  (mapcar (lambda (tone) (list (item.feat tone "pos") (item.feat tone "f0")))
    (utt.relation.leafs said 'Target)))
(set! begins 0)
(set! parts nil)
(define (add name ends)
  (if (and parts (string-equal name (car (car parts))))
    (set-car! (cdr (car parts)) ends)
    (set! parts (cons (list name ends) parts))))
(mapcar
  (lambda (segment)
    (let ((names (sounds (item.name segment))) (ends (item.feat segment "end")))
      (let ((each (if names (/ (- ends begins) (length names)) 0)))
        (mapcar (lambda (name) (set! begins (+ begins each)) (add name begins)) names))))
  (utt.relation.items said 'Segment))
(set! begins 0)
(set! segments
  (mapcar
    (lambda (part)
      (let ((from begins) (to (cadr part)))
        (set! begins to)
        (append (list (car part) (- to from)) (tones from to))))
    (reverse parts)))
(voice_{name})
(utt.save.wave (utt.synth (eval (list 'Utterance 'Segments segments))) "{path}" 'riff)
"""


def draw(rng: random.Random) -> Speaker:
    """Someone nobody has heard yet."""
    name, (_, higher) = rng.choice(list(SPEAKERS.items()))
    voice = voices.Voice("festival", name, rng.uniform(0.75, 1.2), higher * rng.uniform(0.75, 1.3))
    return Speaker(voice, rng.getrandbits(32))


def sounds(speaker: Speaker) -> dict[str, list[str]]:
    """What `speaker` says for each of kal's sounds, where that is something else."""
    moved = Accent(speaker.accent, "flite").moved  # whose names for sounds are festival's
    listed, _ = SPEAKERS[speaker.voice.name]
    if not listed:
        return {sound: [other] for sound, other in moved.items()}
    named = dict(pair.split(":", 1) for pair in listed.split())
    said = {sound: [one for one in named[sound].split("+") if one] for sound in named}
    return {sound: said[moved.get(sound, sound)] for sound in said}


def speak(text: str, speaker: Speaker) -> np.ndarray:
    """As `voices.speak`. Raises DataError where the speaker's voice is not installed."""
    moved = " ".join(
        '("{}" ({}))'.format(sound, " ".join(f'"{one}"' for one in others))
        for sound, others in sounds(speaker).items()
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "speech.wav")
        script = SCRIPT.format(
            text=voices.unquoted(text),
            name=speaker.voice.name,
            pitch=speaker.voice.pitch,
            stretch=1 / speaker.voice.speed,
            path=path,
        )
        voices.run_program(["festival", "--pipe"], f"(set! moved '({moved}))\n{script}")
        if not path.exists():  # festival says so, and ends as if all were well
            raise DataError(f"festival has no {speaker.voice.name}: see `recipe/foreign.py`.")
        samples, rate = sf.read(io.BytesIO(path.read_bytes()), dtype="float32")
    return voices.as_heard(samples, rate)
