"""Sentences to read aloud to a model that shall learn one's voice; none is in `sample`."""

from __future__ import annotations

ENGLISH = (
    "Good morning, this is the first thing I would like to say today",
    "Could you tell me how long the train to the city takes",
    "My sister bought a small yellow boat and keeps it by the river",
    "Please call me back this evening after you have talked to the doctor",
    "We had fresh bread, cheese and a large pot of coffee for breakfast",
    "I am not sure which of these two roads goes over the bridge",
    "The children were laughing so loudly that nobody heard the phone",
    "There is a good chance of heavy rain before the end of the week",
    "He usually walks his dog through the park when the weather is fine",
    "I think the answer to your question is on the very next page",
    "Turn down the music, because I am trying to finish my work",
    "Thank you for listening to my voice, I hope you have learnt from it",
)

KOREAN = (
    "안녕하세요, 오늘 처음으로 제 목소리를 들려 드립니다",
    "시내까지 기차로 얼마나 걸리는지 알려 주시겠어요",
    "동생이 작고 노란 배를 사서 강가에 매어 두었습니다",
    "의사 선생님과 이야기한 뒤에 저녁에 다시 전화해 주세요",
    "아침으로 갓 구운 빵과 치즈를 먹고 커피를 마셨습니다",
    "두 길 가운데 어느 쪽이 다리를 건너는지 잘 모르겠어요",
    "아이들이 크게 웃는 바람에 아무도 전화 소리를 듣지 못했습니다",
    "이번 주가 가기 전에 비가 많이 올 것 같다고 합니다",
    "날씨가 좋으면 그는 늘 개를 데리고 공원을 걷습니다",
    "질문하신 것에 대한 답은 바로 다음 쪽에 있는 것 같아요",
    "일을 끝내야 하니까 음악 소리를 조금만 줄여 주세요",
    "제 목소리를 들어 주셔서 고맙습니다, 많이 배우셨기를 바랍니다",
)


def prompts(letters: str) -> tuple[str, ...]:
    """A dozen sentences that can be spelt with `letters`, those of a model."""
    hangul = any("가" <= letter <= "힣" or "ᄀ" <= letter <= "ᇿ" for letter in letters)
    return KOREAN if hangul else ENGLISH
