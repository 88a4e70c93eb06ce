"""What goes wrong, in the visitor's language.

The English sentences are written where things go wrong, and nowhere else: what raises an error
knows nothing of languages. Here each is recognised by its pattern, like gettext's message ids but
with the blanks filled in. One that is not listed stays English; a test sees to it that those a
visitor can meet are.
"""

from __future__ import annotations

import re
from functools import cache

KOREAN = {
    "The recording": "녹음",
    # audio, resampling
    "There is no recording yet: record or choose one, then try again.": (
        "아직 녹음이 없습니다. 녹음하거나 파일을 고른 뒤 다시 해 보세요."
    ),
    "{name} holds samples that are no sound (NaN, infinity or beyond 1e10): export it again from "
    "the program that made it.": (
        "{name}: 소리일 수 없는 값(NaN, 무한대, 1e10을 넘는 수)이 들어 있습니다. 만든 프로그램에서 "
        "다시 내보내세요."
    ),
    "{name} holds no audio: record or choose it again.": (
        "{name}: 소리가 들어 있지 않습니다. 다시 녹음하거나 다시 고르세요."
    ),
    "{name} is in a coding that cannot be read: convert it first.": (
        "{name}: 읽을 수 없는 방식으로 부호화되어 있습니다. 먼저 변환하세요."
    ),
    "{name} has {count} channels: at most {most} can be read.": (
        "{name}: 채널이 {count}개입니다. {most}개까지 읽을 수 있습니다."
    ),
    "{name} is only {long} ms long: at least {least} ms are needed.": (
        "{name}: 길이가 {long}ms뿐입니다. 적어도 {least}ms가 필요합니다."
    ),
    "{name} is cut short: only {read} of its {whole} seconds could be read.": (
        "{name}: 파일이 잘려 있어 {whole}초 가운데 {read}초만 읽었습니다."
    ),
    "{name} is longer than the {hours} hours that are heard here: divide it to have the rest "
    "heard, too.": (
        "{name}: 여기서는 {hours}시간까지만 듣습니다. 나머지도 들으려면 녹음을 나누세요."
    ),
    "{name} is a folder: choose a recording inside it.": (
        "{name}: 폴더입니다. 그 안의 녹음을 고르세요."
    ),
    "{name} does not exist: check the path.": "{name}: 파일이 없습니다. 경로를 확인하세요.",
    "{name} is no longer here, as recordings are deleted: record or choose it again.": (
        "{name}: 시간이 지나 서버에서 삭제되었습니다. 다시 녹음하거나 고르세요."
    ),
    "{name} cannot be opened: {reason}.": "{name}: 열 수 없습니다({reason}).",
    "A recording cannot be read from {kind}: give a path, bytes, a file object or (sample rate, "
    "samples).": (
        "{kind}에서는 녹음을 읽을 수 없습니다. 경로, bytes, 파일 객체 또는 (표본율, 표본)을 주세요."
    ),
    "{name} is not (sample rate, samples): check what they are.": (
        "{name}: (표본율, 표본)이 아닙니다. 무엇인지 확인하세요."
    ),
    "{name} has samples of shape {shape}: (samples,) or (samples, channels) with at most {most} "
    "channels can be read.": (
        "{name}: 표본의 모양이 {shape}입니다. (표본,) 또는 채널이 {most}개까지인 (표본, 채널)을 "
        "읽을 수 있습니다."
    ),
    "{name} is empty: record or choose it again.": (
        "{name}: 빈 파일입니다. 다시 녹음하거나 다시 고르세요."
    ),
    "{name} is cut short or not audio that can be read ({reason}): WAV, FLAC, MP3, OGG, M4A, WebM "
    "and MP4 are.": (
        "{name}: 잘려 있거나 읽을 수 있는 소리 파일이 아닙니다({reason}). WAV, FLAC, MP3, OGG, "
        "M4A, WebM, MP4를 읽을 수 있습니다."
    ),
    "{name} is one recording: give a list of them.": (
        "{name}: 녹음 하나입니다. 녹음의 목록을 주세요."
    ),
    "{name} has no sound track.": "{name}: 소리가 없는 영상입니다.",
    "{name} is damaged ({reason}) and ends there.": (
        "{name}: 파일이 손상되어({reason}) 거기까지만 읽었습니다."
    ),
    "{name} cannot be read to its end ({reason}): try again, or copy it elsewhere first.": (
        "{name}: 끝까지 읽을 수 없습니다({reason}). 다시 시도하거나 먼저 다른 곳에 복사하세요."
    ),
    "{name} is damaged: what could not be read is left out ({lost} packets).": (
        "{name}: 파일이 손상되어 읽지 못한 부분을 뺐습니다(패킷 {lost}개)."
    ),
    "{name} is damaged: {seconds} seconds in it could not be read and are taken for silence.": (
        "{name}: 파일이 손상되어 읽지 못한 {seconds}초는 소리가 없는 것으로 보았습니다."
    ),
    "{name} has samples of {kind}, which do not say what is loudest: give int16, or floats from -1 "
    "to 1.": (
        "{name}: {kind} 표본은 가장 큰 소리가 얼마인지 알 수 없습니다. int16 또는 -1에서 1까지의 "
        "실수를 주세요."
    ),
    "{name} says it has {rate} samples a second: {least} to {most} can be read.": (
        "{name}: 표본율이 초당 {rate}개라고 되어 있습니다. {least}에서 {most}까지 읽을 수 있습니다."
    ),
    # recognizer, comparison
    "{name} is silent: check that the right microphone is chosen and not muted.": (
        "{name}: 아무 소리도 없습니다. 마이크를 맞게 골랐는지, 음소거되지 않았는지 확인하세요."
    ),
    "No words were recognised in {name}.": "{name}: 알아들은 낱말이 없습니다.",
    "{name} cannot be transcribed: {reason}.": "{name}: 받아쓰지 못했습니다({reason}).",
    "{model} answers with what are not numbers on {hardware}: try --dtype float32, or another "
    "model.": (
        "{model}: {hardware}에서 수가 아닌 값을 내놓습니다. --dtype float32로 해 보거나 다른 "
        "모델을 고르세요."
    ),
    "The path of the recording is empty: give that of a file.": (
        "녹음의 경로가 비어 있습니다. 파일의 경로를 주세요."
    ),
    "{name} is an address, and none is fetched here: download it first.": (
        "{name}: 주소에서는 가져오지 않습니다. 먼저 내려받으세요."
    ),
    "ASR_DTYPE={wish} is not one of {known}.": (
        "ASR_DTYPE={wish}: {known} 가운데 하나가 아닙니다."
    ),
    "{seconds} seconds of sound are too much for the memory that is free on {device}: end other "
    "programs there, or choose another --device.": (
        "{device}에 남은 메모리로는 소리 {seconds}초를 들을 수 없습니다. 거기에서 도는 다른 "
        "프로그램을 끝내거나 --device로 다른 장치를 고르세요."
    ),
    "There is nothing to compare with: write down what was really said.": (
        "견줄 글이 없습니다. 실제로 한 말을 적으세요."
    ),
    "{count} characters are too many to compare: at most {most} are possible, said and heard "
    "together.": (
        "견줄 글이 {count}자로 너무 깁니다. 말한 것과 들은 것을 합쳐 {most}자까지 견줄 수 있습니다."
    ),
    # lexicon
    "{count} hotwords are too many: {most} can be favoured.": (
        "낱말이 {count}개로 너무 많습니다. {most}개까지 적을 수 있습니다."
    ),
    "The hotword '{word}' is too long: at most {most} letters are possible.": (
        "'{word}': 낱말이 너무 깁니다. {most}자까지 적을 수 있습니다."
    ),
    "The hotword '{word}' cannot be spelt: the model has no {letters}.": (
        "'{word}': 모델에 없는 글자({letters})가 있어 적을 수 없는 낱말입니다."
    ),
    "The language model {name} was made for another alphabet: the model can spell only {few} of "
    "its {all} words. Build one from text in the model's language.": (
        "언어 모델 {name}: 다른 글자로 만든 것이라 낱말 {all}개 가운데 {few}개만 적을 수 있습니다. "
        "모델의 언어로 된 글로 다시 만드세요."
    ),
    # preparation, when one teaches in a script that the model cannot spell
    "No row of the {part} can be used: {reasons}.": (
        "{part}에 쓸 수 있는 문장이 없습니다: {reasons}."
    ),
    "dataset": "데이터",
    "train part": "배울 부분",
    "test part": "견줄 부분",
    # engine, models: what a host may have got wrong, and the Hub out of reach
    "The model '{name}' is not one of those offered here.": (
        "'{name}': 여기에서 고를 수 있는 모델이 아닙니다."
    ),
    "What was taught has been deleted: choose another model, or teach it again.": (
        "가르친 모델은 지워졌습니다. 다른 모델을 고르거나 다시 가르치세요."
    ),
    "the Hub could not be reached, so {name} is not available": (
        "Hub에 닿지 않아 {name} 모델을 쓸 수 없습니다"
    ),
    "{name} is not available ({reason})": "{name} 모델을 쓸 수 없습니다({reason})",
    "{name} holds no config.json, so it is not a model: give the folder that train.py wrote, an id "
    "of the Hub, or 'embedded'.": (
        "{name}: config.json이 없어 모델이 아닙니다. train.py가 만든 폴더, Hub의 이름 또는 "
        "'embedded'를 주세요."
    ),
    "{name} is a file: give the folder that holds the model.": (
        "{name}: 파일입니다. 모델이 들어 있는 폴더를 주세요."
    ),
    "'{name}' is neither a folder here nor an id of the Hub (owner/name).": (
        "'{name}': 여기에 있는 폴더도 Hub의 이름(owner/name)도 아닙니다."
    ),
    "'{name}' is neither a folder here nor a model on the Hub that you may read: check the "
    "spelling, or sign in with `hf auth login` if it is private.": (
        "'{name}': 여기에 있는 폴더도 읽을 수 있는 Hub의 모델도 아닙니다. 철자를 확인하고, "
        "비공개라면 `hf auth login`으로 로그인하세요."
    ),
    "'{name}' is no folder here and the Hub cannot be asked for it ({reason}): check the "
    "connection, or use 'embedded'.": (
        "'{name}': 여기에 있는 폴더가 아니며 Hub에 물을 수 없습니다({reason}). 연결을 확인하거나 "
        "'embedded'를 쓰세요."
    ),
    "The model '{name}' cannot be read: {reason}": "'{name}': 모델을 읽을 수 없습니다. {reason}",
    "'{name}' is a {kind} model, which is not trained with CTC: choose one such as wav2vec2, "
    "hubert, wavlm or wav2vec2-bert.": (
        "'{name}': {kind} 모델은 CTC로 배우지 않습니다. wav2vec2, hubert, wavlm, wav2vec2-bert와 "
        "같은 모델을 고르세요."
    ),
    "'{name}' has no trained CTC head yet: fine-tune it first with `python train.py --model "
    "{again}`.": (
        "'{name}': 배운 CTC 출력층이 아직 없습니다. 먼저 `python train.py --model {again}`로 "
        "미세 조정하세요."
    ),
    "The model '{name}' cannot be loaded: {reason}": (
        "'{name}': 모델을 불러올 수 없습니다. {reason}"
    ),
    "The weights of '{name}' are incomplete, {missing} is not among them: fetch or fine-tune the "
    "model again.": (
        "'{name}': 가중치에 {missing}이(가) 빠져 있습니다. 모델을 다시 받거나 다시 미세 조정하세요."
    ),
    "'{name}' has no tokenizer, so its output cannot be spelt.": (
        "'{name}': 토크나이저가 없어 출력을 글로 적을 수 없습니다."
    ),
    # lesson
    "Write down what is said in the recording.": "녹음에서 하는 말을 적으세요.",
    "The recording is longer than {seconds} s: say one sentence only.": (
        "녹음이 {seconds}초를 넘습니다. 한 문장만 말하세요."
    ),
    "The model has no letter of this sentence: write it in the model's language, and numbers as "
    "words.": (
        "모델이 적을 수 있는 글자가 없는 문장입니다. 모델의 언어로, 숫자는 말로 풀어 적으세요."
    ),
    "The sentence is too long for a recording of {seconds} s: write down only what is said in "
    "it.": "{seconds}초 녹음에는 문장이 너무 깁니다. 녹음에서 하는 말만 적으세요.",
    "All recordings are of the same sentence: say different ones.": (
        "모든 녹음이 같은 문장입니다. 서로 다른 문장을 말하세요."
    ),
}

TABLES = {"ko": KOREAN}


def translate(sentence: str, language: str) -> str:
    """What an error or a warning says, in `language`; as it is where that is not known."""
    for pattern, translated in _patterns(language):
        if found := pattern.fullmatch(sentence):
            blanks = {key: translate(value, language) for key, value in found.groupdict().items()}
            return translated.format(**blanks)
    return sentence


@cache
def _patterns(language: str) -> list[tuple[re.Pattern, str]]:
    return [
        (re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(english)), re.DOTALL), said)
        for english, said in TABLES.get(language, {}).items()
    ]
