"""What the page says, in the languages it says it in.

Labels are translated in the browser (`gr.I18n(**PHRASES)`); what depends on the moment is said by
the server, in the language that the browser asks for.
"""

from __future__ import annotations

ENGLISH = {
    "heading": "# Talk, and read what you said\nRecord yourself or drop in a recording.",
    "recording": "Recording",
    "recording_help": "Videos, and sound that is not taken here, go into the tab Files.",
    "transcribe": "Transcribe",
    "transcript": "Transcript",
    "samples": "Or try one of these",
    "privacy": (
        "Recordings are used for your transcript only. They are deleted from the server within "
        "an hour; nothing is kept, counted or sent elsewhere."
    ),
    "insecure": (
        "**The microphone needs https.** This page came over plain http, where browsers keep it "
        "off. Uploads work all the same."
    ),
    "denied": (
        "**The microphone cannot be used.** Allow it for this page in the browser's address bar, "
        "and check that one is connected. Uploads work all the same."
    ),
    "stale": (
        "**The connection to the server was broken.** What is here can still be read, but no more: "
        "copy by hand what you want to keep, then load the page anew."
    ),
    "reload": "Load the page anew",
    "no_microphone": "The microphone cannot be used: what to do is said at the top of the page.",
    "loading": "The model is being loaded …",
    "loading_queued": (
        "The model is still being loaded. Your recording is transcribed as soon as it is there."
    ),
    "model": "Model: {name} on {hardware}.",
    "embedded": "This is the small embedded model: {reason}.",
    "nothing_recorded": "There is no recording yet: record or choose one, then try again.",
    "working": "Listening … {read} so far.",
    "progress": "{read} of {total}",
    "progress_left": "{read} of {total}, about {left} left",
    "cancel": "Cancel",
    "cancelled": "Cancelled. What was heard so far stays here.",
    "copy": "Copy",
    "words_help": ("A click on a word plays from there. Words with a dotted line are uncertain."),
    "edit": "Correct the text",
    "unsaved": (
        "**This text is in no file yet.** Copy or download it, or press once more to do without it."
    ),
    "edit_info": "Words that stay keep their times; downloads hold what is written here.",
    "nothing_yet": "There is no transcript yet: record or choose something first.",
    "lost": (
        "The server has no transcript of this, or no longer: it is deleted in time after the "
        "connection broke. Copy the text, or transcribe the recording again."
    ),
    "done": "{words} words in {duration}.",
    "done_one": "One word in {duration}.",
    "done_unspaced": "{words} characters in {duration}.",
    "compare": "How right is it?",
    "compare_info": "Write or paste what was really said. Case and punctuation do not count.",
    "compare_button": "Compare",
    "compared": (
        "Word error rate {wer}, character error rate {cer}: {substitute} wrong, "
        "{delete} missed, {insert} made up."
    ),
    "substitute": "wrong: said above, heard below",
    "delete": "missed",
    "insert": "made up",
    "heard_as": "heard as",
    "legend": "Above what was said, below what was heard.",
    "choose_model": "Model",
    "default_model": "Standard",
    "wishes": "Words and names to favour",
    "hotwords": "Words and names",
    "hotwords_info": "With commas between them: names, places, terms that are likely to be said.",
    "language_model": "Language model",
    "language_model_info": "Makes words of the letters that are heard. Off, you see the letters.",
    "tab_transcribe": "Recording",
    "tab_live": "Live",
    "tab_files": "Files",
    "live_help": (
        "Press Record and speak. Words in grey may still change. After Stop, Record goes on below."
    ),
    "live_record": "Record",
    "live_clear": "Clear",
    "live_stop": "Stop",
    "live_speak": "Listening …",
    "files": "Recordings",
    "files_start": "Transcribe all",
    "files_zip": "Download all (ZIP)",
    "files_none": "There are no files yet: drop some in, then try again.",
    "files_done": "{done} of {count} transcribed.",
    "files_failed": "{done} of {count} transcribed; {failed} could not be: see below.",
    "files_cancelled": "Cancelled before anything was heard.",
    "file": "File",
    "state": "State",
    "result": "Transcript",
    "waiting": "waiting",
    "unexpected": "Something went wrong on the server, and the recording was not transcribed.",
    "tab_teach": "Teach it",
    "teach_help": (
        "Read a dozen sentences aloud, and a model of your own learns from them. A third of them "
        "it does not learn: they show how well it hears you before and after. It takes a few "
        "minutes. Only you can use the model; it and what you record here are deleted from the "
        "server within an hour after you are done, so download what you want to keep."
    ),
    "teach_sentences": "Sentences",
    "teach_read": "Read this aloud",
    "teach_read_info": "Or say something else, and write it here before you record it.",
    "teach_kept": "Recorded: {count} of {all}. Here is the next sentence.",
    "teach_all": "Recorded: {count} of {all}. It can be taught now.",
    "teach": "Teach it",
    "teach_few": (
        "It needs {least} recorded sentences at least, and there are {count} so far: record more, "
        "then try again."
    ),
    "teach_taken": (
        "Somebody else's lesson is going on, and there is room for one at a time. Your recordings "
        "are kept: please try again in a few minutes."
    ),
    "teach_begin": "The lesson begins …",
    "teach_step": "Step {step} of {steps}",
    "teach_left": "Step {step} of {steps}, about {left} left",
    "teach_measure": "Done learning. Now it listens to the sentences it has not heard …",
    "teach_cancelled": "Cancelled. Your recordings are kept; nothing was learnt.",
    "teach_failed": "Something went wrong on the server. Your recordings are kept: try again.",
    "teach_done": (
        "{count} sentences it had not heard: word error rate {before} before, {after} after; "
        "character error rate {cer_before} before, {cer_after} after."
    ),
    "teach_better": "It hears you better now. So few sentences only give a rough idea.",
    "teach_no_better": (
        "It does not hear these better. So few sentences only give a rough idea; more help."
    ),
    "teach_before": "Before",
    "teach_after": "After",
    "teach_losses": "Loss",
    "teach_rates": "Not learnt: error rate, letters only",
    "teach_steps": "step",
    "teach_loss": "learnt",
    "teach_loss_held_out": "not learnt",
    "teach_wer": "words",
    "teach_cer": "characters",
    "teach_use": "Use this model here",
    "teach_download": "Download it (ZIP)",
    "taught": "taught by you",
}

KOREAN = {
    "heading": "# 말하고, 읽어 보세요\n녹음하거나 녹음 파일을 올리세요.",
    "recording": "녹음",
    "recording_help": "영상이나 여기에서 받지 않는 소리 파일은 '여러 파일' 탭에 올리세요.",
    "transcribe": "글로 옮기기",
    "transcript": "받아쓴 글",
    "samples": "예제로 해 보기",
    "privacy": (
        "녹음은 글로 옮기는 데에만 쓰며 한 시간 안에 서버에서 지웁니다. "
        "보관하거나 집계하거나 다른 곳으로 보내지 않습니다."
    ),
    "insecure": (
        "**마이크를 쓰려면 https가 필요합니다.** 이 페이지는 http로 열려서 "
        "브라우저가 마이크를 막습니다. 파일 올리기는 그대로 됩니다."
    ),
    "denied": (
        "**마이크를 쓸 수 없습니다.** 브라우저 주소창에서 이 페이지에 마이크를 허용하고, "
        "마이크가 연결되어 있는지 확인하세요. 파일 올리기는 그대로 됩니다."
    ),
    "stale": (
        "**서버와 연결이 끊겼습니다.** 여기 있는 글은 이제 읽을 수만 있습니다. 남기고 싶은 글은 "
        "직접 선택해서 복사한 뒤 페이지를 다시 불러오세요."
    ),
    "reload": "페이지 다시 불러오기",
    "no_microphone": "마이크를 쓸 수 없습니다. 어떻게 하면 되는지는 페이지 맨 위에 있습니다.",
    "loading": "모델을 불러오는 중입니다 …",
    "loading_queued": "모델을 아직 불러오는 중입니다. 준비되는 대로 글로 옮깁니다.",
    "model": "모델: {name}, {hardware}.",
    "embedded": "작은 내장 모델입니다: {reason}.",
    "nothing_recorded": "아직 녹음이 없습니다. 녹음하거나 파일을 고른 뒤 다시 해 보세요.",
    "working": "듣는 중 … 지금까지 {read}.",
    "progress": "{total} 가운데 {read}",
    "progress_left": "{total} 가운데 {read}, 약 {left} 남음",
    "cancel": "그만두기",
    "cancelled": "그만두었습니다. 지금까지 들은 말은 남아 있습니다.",
    "copy": "복사",
    "words_help": "낱말을 누르면 거기부터 들려줍니다. 점선이 있는 낱말은 확실하지 않습니다.",
    "edit": "글 고치기",
    "unsaved": (
        "**이 글은 아직 어느 파일에도 없습니다.** 복사하거나 내려받으세요. 한 번 더 누르면 이 글은 "
        "없어집니다."
    ),
    "edit_info": "그대로 둔 낱말은 시간이 유지되며, 내려받는 파일에는 여기 적힌 글이 담깁니다.",
    "nothing_yet": "아직 받아쓴 글이 없습니다. 먼저 녹음하거나 파일을 고르세요.",
    "lost": (
        "서버에 이 글이 없습니다. 연결이 끊긴 뒤 시간이 지나면 지워집니다. "
        "글을 복사해 두거나 녹음을 다시 글로 옮기세요."
    ),
    "done": "{duration} 동안 낱말 {words}개.",
    "done_one": "{duration} 동안 낱말 하나.",
    "done_unspaced": "{duration} 동안 글자 {words}개.",
    "compare": "얼마나 맞았나요?",
    "compare_info": "실제로 한 말을 적거나 붙여 넣으세요. 대소문자와 문장 부호는 따지지 않습니다.",
    "compare_button": "견주기",
    "compared": (
        "낱말 오류율 {wer}, 글자 오류율 {cer}: 틀림 {substitute}, 빠짐 {delete}, 덧붙음 {insert}."
    ),
    "substitute": "틀림: 위는 한 말, 아래는 들은 말",
    "delete": "빠짐",
    "insert": "덧붙음",
    "heard_as": "이렇게 들림:",
    "legend": "위는 한 말, 아래는 들은 말입니다.",
    "choose_model": "모델",
    "default_model": "기본",
    "wishes": "자주 나올 낱말과 이름",
    "hotwords": "낱말과 이름",
    "hotwords_info": "쉼표로 나누어 적으세요. 나올 만한 이름, 곳, 용어를 더 잘 알아듣습니다.",
    "language_model": "언어 모델",
    "language_model_info": "들린 글자를 낱말로 다듬습니다. 끄면 들린 글자가 그대로 보입니다.",
    "tab_transcribe": "녹음",
    "tab_live": "실시간",
    "tab_files": "여러 파일",
    "live_help": (
        "녹음을 누르고 말하세요. 회색 낱말은 아직 바뀔 수 있습니다. 멈춘 뒤 다시 녹음하면 아래에 "
        "이어집니다."
    ),
    "live_record": "녹음",
    "live_clear": "지우기",
    "live_stop": "멈춤",
    "live_speak": "듣는 중 …",
    "files": "녹음 파일",
    "files_start": "모두 글로 옮기기",
    "files_zip": "모두 내려받기 (ZIP)",
    "files_none": "아직 파일이 없습니다. 파일을 올린 뒤 다시 해 보세요.",
    "files_done": "{count}개 가운데 {done}개를 옮겼습니다.",
    "files_failed": (
        "{count}개 가운데 {done}개를 옮겼고 {failed}개는 옮기지 못했습니다. 아래를 보세요."
    ),
    "files_cancelled": "듣기 전에 그만두었습니다.",
    "file": "파일",
    "state": "상태",
    "result": "받아쓴 글",
    "waiting": "기다리는 중",
    "unexpected": "서버에서 문제가 생겨 글로 옮기지 못했습니다.",
    "tab_teach": "가르치기",
    "teach_help": (
        "열두 문장을 소리 내어 읽으면 내 목소리를 배운 나만의 모델이 생깁니다. 그 가운데 3분의 1은 "
        "가르치지 않고, 배우기 전과 뒤에 얼마나 잘 알아듣는지 재는 데 씁니다. 몇 분이 걸립니다. "
        "모델은 나만 쓸 수 있으며, 여기서 녹음한 것과 함께 마친 뒤 한 시간 안에 서버에서 지워지니 "
        "두고 쓰려면 내려받으세요."
    ),
    "teach_sentences": "문장",
    "teach_read": "소리 내어 읽으세요",
    "teach_read_info": "다른 말을 하려면 녹음하기 전에 여기에 적으세요.",
    "teach_kept": "{all}개 가운데 {count}개를 녹음했습니다. 다음 문장입니다.",
    "teach_all": "{all}개 가운데 {count}개를 녹음했습니다. 이제 가르칠 수 있습니다.",
    "teach": "가르치기",
    "teach_few": (
        "적어도 {least}문장이 필요한데 지금까지 {count}개입니다. 더 녹음한 뒤 다시 해 보세요."
    ),
    "teach_taken": (
        "다른 분이 가르치는 중이고 한 번에 한 사람만 할 수 있습니다. 녹음은 그대로 두었으니 "
        "몇 분 뒤에 다시 해 주세요."
    ),
    "teach_begin": "시작합니다 …",
    "teach_step": "{steps}걸음 가운데 {step}",
    "teach_left": "{steps}걸음 가운데 {step}, 약 {left} 남음",
    "teach_measure": "다 배웠습니다. 배우지 않은 문장을 들어 보는 중입니다 …",
    "teach_cancelled": "그만두었습니다. 녹음은 그대로 있고, 배운 것은 없습니다.",
    "teach_failed": "서버에서 문제가 생겼습니다. 녹음은 그대로 있으니 다시 해 보세요.",
    "teach_done": (
        "배우지 않은 문장 {count}개: 낱말 오류율 전 {before}, 뒤 {after}; "
        "글자 오류율 전 {cer_before}, 뒤 {cer_after}."
    ),
    "teach_better": "이제 더 잘 알아듣습니다. 문장이 적어서 대강의 값입니다.",
    "teach_no_better": (
        "이 문장들은 더 잘 알아듣지 못했습니다. 문장이 적어서 대강의 값이며, 더 많으면 나아집니다."
    ),
    "teach_before": "전",
    "teach_after": "뒤",
    "teach_losses": "손실",
    "teach_rates": "배우지 않은 문장 오류율 (글자만)",
    "teach_steps": "걸음",
    "teach_loss": "배운 문장",
    "teach_loss_held_out": "배우지 않은 문장",
    "teach_wer": "낱말",
    "teach_cer": "글자",
    "teach_use": "여기서 이 모델 쓰기",
    "teach_download": "내려받기 (ZIP)",
    "taught": "내가 가르친 모델",
}

PHRASES = {"en": ENGLISH, "ko": KOREAN}


def language(accept: str | None) -> str:
    """The language to speak, given the browser's Accept-Language header.

    The first in it or else English, as gradio takes for labels, so that a page speaks only one.
    """
    code = (accept or "").split(",")[0].split(";")[0].strip().lower().split("-")[0]
    return code if code in PHRASES else "en"


def say(key: str, language: str = "en", **values: object) -> str:
    return PHRASES[language][key].format(**values)
