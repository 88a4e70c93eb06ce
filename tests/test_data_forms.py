"""Every form a data set may come in gives the same rows, and what is wrong with one is said."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
import recordings
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value, load_from_disk

from asr_core import audio, data
from asr_core.errors import AudioError, DataError


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def folder_with_csv(folder: Path) -> Path:
    recordings.write_csv(recordings.clips(folder) / "metadata.csv", recordings.records())
    return folder


def folder_with_jsonl(folder: Path) -> Path:
    recordings.write_jsonl(recordings.clips(folder) / "metadata.jsonl", recordings.records())
    return folder


def csv_file(folder: Path) -> Path:
    recordings.clips(folder / "clips")
    rows = [
        row | {"file_name": f"clips/{row['file_name']}"} for row in recordings.records("sentence")
    ]
    return recordings.write_csv(folder / "train.csv", rows)


def jsonl_file(folder: Path) -> Path:
    """With absolute paths, as another program may have written them."""
    clips = recordings.clips(folder / "clips")
    rows = [
        {"audio": str(clips / row["file_name"]), "text": row["text"], "speaker": row["speaker"]}
        for row in recordings.records("text")
    ]
    return recordings.write_jsonl(folder / "rows.jsonl", rows)


def parquet_file(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return recordings.write_parquet(folder / "rows.parquet")


def saved_folder(folder: Path) -> Path:
    """As `datasets` leaves it, with what it has made of it since."""
    rows = Dataset.from_parquet(str(recordings.write_parquet(folder / "rows.parquet")))
    rows.save_to_disk(folder / "saved")
    load_from_disk(folder / "saved").map(lambda row: {"transcription": "of the cache"})
    assert len([*(folder / "saved").glob("*.arrow")]) == 2
    return folder / "saved"


FORMS = [folder_with_csv, folder_with_jsonl, csv_file, jsonl_file, parquet_file, saved_folder]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_form_gives_the_same_rows(form, tmp_path):
    rows = data.load(str(form(tmp_path / "data")))
    assert rows.column_names == ["audio", "transcription", "speaker"]
    for seed, (row, (name, said, speaker, seconds)) in enumerate(
        zip(rows, recordings.ROWS, strict=True)
    ):
        assert (row["transcription"], row["speaker"]) == (said, speaker)
        assert data.row_name(row, 0) == name
        heard = audio.load(data.row_source(row), 16_000)
        assert len(heard) == pytest.approx(seconds * 16_000, abs=2)
        expected = audio.load(recordings.sound(seconds, seed), 16_000)
        assert (heard == expected).all()


def test_a_folder_of_folders_has_parts_with_recordings_of_their_own(tmp_path):
    for part, seconds in (("train", 1.0), ("test", 2.0)):
        (tmp_path / part).mkdir()
        (tmp_path / part / "same.wav").write_bytes(recordings.sound(seconds))
        rows = [{"file_name": "same.wav", "transcription": part}]
        recordings.write_csv(tmp_path / part / "metadata.csv", rows)
    assert set(data.splits(str(tmp_path))) == {"train", "test"}
    assert data.test_split(data.splits(str(tmp_path))) == "test"

    def seconds(split: str) -> list[float]:
        rows = data.load(str(tmp_path), split=split)
        return [len(audio.load(data.row_source(row), 8_000)) / 8_000 for row in rows]

    assert seconds("train") == [1.0]
    assert seconds("test") == [2.0]
    assert seconds("train+test") == [1.0, 2.0]


@pytest.mark.parametrize(("learnt", "measured"), [("Train", "TEST"), ("TRAIN", "Val")])
def test_parts_may_have_capitals(tmp_path, learnt, measured):
    for name in (learnt, measured):
        recordings.write_csv(
            recordings.clips(tmp_path / name) / "metadata.csv", recordings.records()
        )
    assert set(data.splits(str(tmp_path))) == {"train", measured.lower()}
    assert data.test_split(data.splits(str(tmp_path))) == measured.lower()
    (row, *_) = data.load(str(tmp_path))
    assert Path(data.row_source(row)).is_file()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("metadata.csv", "test/metadata.csv"),
        ("metadata.csv", "metadata.jsonl"),
        ("train/metadata.csv", "test/metadata.jsonl"),
    ],
)
def test_metadata_that_would_be_forgotten_beside_other_metadata_is_named(tmp_path, one, other):
    for name in (one, other):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    message = said(data.splits, str(tmp_path))
    assert f"{tmp_path / other} would not be read beside {tmp_path / one}" in message


def test_what_was_saved_in_parts_has_them(tmp_path):
    rows = Dataset.from_parquet(str(parquet_file(tmp_path)))
    DatasetDict(train=rows, test=rows.select([4, 5])).save_to_disk(tmp_path / "saved")
    (tmp_path / "saved" / "figures").mkdir()
    (tmp_path / "saved" / "figures" / "state.json").write_text('{"of": "another program"}')
    assert data.splits(str(tmp_path / "saved")) == ["test", "train"]
    said = [row[1] for row in recordings.ROWS]
    assert data.load(str(tmp_path / "saved"), split="train[:4]")["transcription"][:] == said[:4]
    assert data.load(str(tmp_path / "saved"), split="test")["transcription"][:] == said[4:]


def test_other_parts_may_have_other_columns_and_separators(tmp_path):
    recordings.write_csv(recordings.clips(tmp_path) / "train.csv", recordings.records())
    (tmp_path / "test.csv").write_text("file_name;transcription\na.wav;yes\n")
    assert len(data.load(str(tmp_path))) == len(recordings.ROWS)
    assert data.load(str(tmp_path), split="test")["transcription"][:] == ["yes"]


def test_a_comma_too_many_is_told_with_its_line(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("path,sentence\na.wav,yes\nb.wav,no, thanks\n")
    assert "has 3 columns in line 3 but names 2: put transcripts with commas in quotes" in said(
        data.load, str(path)
    )


def test_names_that_a_mac_wrote_are_found_by_those_that_windows_wrote(tmp_path):
    (tmp_path / "audio").mkdir()
    name = "audio/" + unicodedata.normalize("NFD", "녹음.wav")
    (tmp_path / name).write_bytes(recordings.sound(1.0))
    (tmp_path / "metadata.csv").write_text("file_name,transcription\naudio\\녹음.wav,하나\n")
    (row,) = data.load(str(tmp_path))
    assert Path(data.row_source(row)).exists()


@pytest.mark.parametrize("header", ["File_Name,Text,Speaker", "file_name ,text , speaker_id "])
def test_names_of_columns_may_have_capitals_and_spaces(tmp_path, header):
    recordings.clips(tmp_path)
    (tmp_path / "metadata.csv").write_text(f"{header}\na.wav ,hello,me\n")
    (row,) = data.load(str(tmp_path))
    assert (row["transcription"], row["speaker"]) == ("hello", "me")
    assert Path(data.row_source(row)).is_file()
    (row,) = data.load(str(tmp_path), columns=data.Columns(text="Text"))
    assert row["transcription"] == "hello"


def test_recordings_may_be_plain_bytes(tmp_path):
    sound = recordings.sound(1.0)
    plain = {"audio": [sound], "text": ["yes"]}
    kinds = Features(audio=Value("binary"), text=Value("string"))
    Dataset.from_dict(plain, features=kinds).to_parquet(tmp_path / "rows.parquet")
    (row,) = data.load(str(tmp_path / "rows.parquet"))
    assert data.row_source(row) == sound


def test_a_table_may_be_parted_by_tabs_and_say_null(tmp_path):
    path = tmp_path / "rows.tsv"
    path.write_text("path\tsentence\na.mp3\tnull\nb.mp3\tNA, or none\n")
    assert data.load(str(path))["transcription"][:] == ["null", "NA, or none"]


@pytest.mark.parametrize("separator", [";", "\t", ", "])
def test_what_parts_the_columns_is_seen_in_the_first_line(tmp_path, separator):
    lines = ["file_name{}transcription", "a.mp3{}yes", '"b.mp3"{}"no, thank you"']
    path = tmp_path / "rows.CSV"
    path.write_text("\n".join(line.format(separator) for line in lines), encoding="utf-8-sig")
    assert data.load(str(path))["transcription"][:] == ["yes", "no, thank you"]


@pytest.mark.parametrize("name", ["rows.tsv", "rows.csv"])
def test_a_quote_that_is_not_closed_does_not_swallow_rows(tmp_path, name):
    separator = "\t" if name.endswith("tsv") else ","
    lines = ["path{}sentence", 'a.wav{}"hello', "b.wav{}good day", 'c.wav{}yes" she said']
    path = tmp_path / name
    path.write_text("\n".join(line.format(separator) for line in lines))
    with pytest.raises(DataError, match=r"has rows in a transcript, 'hello.nb.wav.*not closed"):
        data.load(str(path))
    lines = ["path{}sentence", 'a.wav{}"hello\nwell, good day; see www.example"', "b.wav{}yes"]
    path.write_text("\n".join(line.format(separator) for line in lines))
    assert len(data.load(str(path))) == 2
    # Common Voice has who speaks before the recording.
    rows = ["id{0}path{0}sentence", '1{0}a.mp3{0}"hello', "2{0}b.mp3{0}hi", '3{0}c.mp3{0}"yes']
    path.write_text("\n".join(row.format(separator) for row in rows))
    with pytest.raises(DataError, match=r"has rows in a transcript, 'hello.n2.{1,2}b.mp3"):
        data.load(str(path))


def test_a_quote_that_is_never_closed_is_told_with_its_row(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('path,sentence\na.wav,yes\nb.wav,"no\nc.wav,well\n')
    assert "has all rows from number 2 on in one: a quote there is opened" in said(
        data.load, str(path)
    )


def test_recordings_of_common_voice_are_found(tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.wav").write_bytes(recordings.sound(1.0))
    (tmp_path / "train.tsv").write_text("client_id\tpath\tsentence\nx\ta.wav\tHello\n")
    (row,) = data.load(str(tmp_path))
    assert audio.load(data.row_source(row), 16_000).size == 16_000


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_a_folder_of_tables_has_their_parts(tmp_path, ending):
    folder = tmp_path / "mine [final]"  # brackets mean something to those who look for files
    clips = recordings.clips(folder / "clips")
    rows = [
        row | {"file_name": f"clips/{row['file_name']}"} for row in recordings.records("sentence")
    ]
    for part in ("train", "test"):
        path = folder / f"{part}.{ending}"
        if ending == "parquet":
            recordings.write_parquet(path)
        elif ending == "jsonl":
            recordings.write_jsonl(path, rows)
        else:
            recordings.write_csv(path, rows)
            if ending == "tsv":
                path.write_text(path.read_text().replace(",", "\t"))
    assert data.splits(str(folder)) == ["test", "train"]
    assert clips.exists() and len(data.load(str(folder), split="test")) == len(rows)


def test_parts_of_two_kinds_are_refused_instead_of_forgotten(tmp_path):
    recordings.write_parquet(tmp_path / "train.parquet")
    recordings.write_csv(tmp_path / "speakers.csv", recordings.records())  # which is no part
    assert data.splits(str(tmp_path)) == ["train"]
    recordings.write_csv(tmp_path / "test.csv", recordings.records())
    message = said(data.splits, str(tmp_path))
    assert "test.csv is of another kind than the .parquet files" in message


def test_shards_are_one_part_and_names_that_datasets_refuses_are_spelt_otherwise(tmp_path):
    for number in range(2):
        recordings.write_parquet(tmp_path / f"test-{number:05}-of-00002.parquet")
    assert data.splits(str(tmp_path)) == ["test"]
    assert len(data.load(str(tmp_path), split="test")) == 2 * len(recordings.ROWS)
    folder = tmp_path / "people"
    for name in ("speaker 1", "speaker-2"):
        recordings.write_csv(recordings.clips(folder / name) / "metadata.csv", recordings.records())
    assert data.splits(str(folder)) == ["speaker_1", "speaker_2"]
    rows = data.load(str(folder), split="speaker_1")
    assert Path(rows[0]["audio"]["path"]).parent.name == "speaker 1"
    recordings.write_csv(
        recordings.clips(folder / "speaker 2") / "metadata.csv", recordings.records()
    )
    with pytest.raises(DataError, match=r"speaker 2 and .*speaker-2 would both be .*speaker_2"):
        data.splits(str(folder))


def test_one_table_in_a_folder_is_what_one_trains_on(tmp_path):
    recordings.write_parquet(tmp_path / "rows.parquet")
    assert data.splits(str(tmp_path)) == ["train"]


@pytest.mark.parametrize("slice", ["test[100:200]", "test[:0]", "test[a]"])
def test_a_slice_of_nothing_is_told_as_such(slice):
    with pytest.raises(DataError, match="sample has no part 'test', or not so many rows: "):
        data.load(data.SAMPLE, split=slice)


def test_a_cell_without_a_name_is_no_folder(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("path,sentence\n,yes\n")
    with pytest.raises(AudioError, match="There is no recording"):
        audio.load(data.row_source(data.load(str(path))[0]), 16_000)


def test_the_sample_comes_in_two_parts():
    assert set(data.splits(data.SAMPLE)) == {"train", "test"}
    rows = data.load(data.SAMPLE, split="test[:5]")
    assert len(rows) == 5
    assert all(len(audio.load(data.row_source(row), 16_000)) > 16_000 for row in rows)


def test_a_split_may_be_a_slice(tmp_path):
    path = str(parquet_file(tmp_path))
    said = [row[1] for row in recordings.ROWS]
    assert data.load(path, split="train[:2]")["transcription"][:] == said[:2]
    assert data.load(path, split="train[-50%:]")["transcription"][:] == said[3:]


def said(function, *arguments, error=DataError, **options) -> str:
    with pytest.raises(error) as raised:
        function(*arguments, **options)
    message = str(raised.value)
    assert "\n" not in message and message.endswith((".", ")"))
    return message


def test_a_missing_column_is_an_error_that_lists_those_there_are(tmp_path):
    rows = [{"file_name": "a.wav", "label": "yes", "age": "7"}]
    path = str(recordings.write_csv(tmp_path / "rows.csv", rows))
    message = said(data.load, path)
    assert "file_name, label, age" in message and "--text_column" in message

    message = said(data.load, path, columns=data.Columns(text="words"))
    assert "'words'" in message and "file_name, label, age" in message
    message = said(data.load, path, columns=data.Columns(audio="sound", text="label"))
    assert "'sound'" in message and "--audio_column" in message

    loaded = data.load(path, columns=data.Columns(text="label"))
    assert loaded["transcription"][:] == ["yes"]


def test_names_of_classes_are_what_was_said(tmp_path):
    labels = {"label": [1, 0, -1, None], "audio": [b""] * 4}
    features = Features(label=ClassLabel(names=["yes", "no"]), audio=Value("binary"))
    Dataset.from_dict(labels, features).save_to_disk(tmp_path / "commands")
    loaded = data.load(str(tmp_path / "commands"), columns=data.Columns(text="label"))
    assert loaded["transcription"][:] == ["no", "yes", None, None]


def test_a_column_of_numbers_is_no_transcript(tmp_path):
    rows = [{"file_name": "a.wav", "text": 1}, {"file_name": "b.wav", "text": 2}]
    path = str(recordings.write_jsonl(tmp_path / "rows.jsonl", rows))
    message = said(data.load, path)
    assert "'text'" in message and "int64" in message and "--text_column" in message


def test_where_nothing_can_be_kept_it_is_told_what_to_set(monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", "/nonexistent")

    monkeypatch.setattr("datasets.load_dataset", refuse)
    message = said(data.load, data.SAMPLE)
    assert "HF_DATASETS_CACHE" in message and "'/nonexistent'" in message

    def refuse_to_read(*_, **__):
        raise PermissionError(13, "Permission denied", own)

    (own,) = data.find(data.SAMPLE).splits["train"]
    monkeypatch.setattr("datasets.load_dataset", refuse_to_read)
    assert "HF_DATASETS_CACHE" not in said(data.load, data.SAMPLE)


def test_a_missing_part_is_an_error_that_lists_those_there_are():
    message = said(data.load, data.SAMPLE, split="validation")
    assert "'validation'" in message and "train" in message and "test" in message


@pytest.mark.parametrize("name", ["no/such/folder", "./nothing", "rows.csv", "~/nothing.parquet"])
def test_a_path_that_does_not_exist_is_named(name):
    assert name in said(data.load, name)


def test_files_that_are_no_data_sets_are_named_with_what_would_be(tmp_path):
    assert "metadata.csv" in said(data.load, str(tmp_path))
    (tmp_path / "notes.txt").write_text("hello")
    assert ".parquet" in said(data.load, str(tmp_path / "notes.txt"))
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and then nothing")
    assert "broken.parquet" in said(data.load, str(tmp_path / "broken.parquet"))
    (tmp_path / "empty.csv").write_text("")
    assert "empty.csv" in said(data.load, str(tmp_path / "empty.csv"))


# --- what people bring ---


def metadata(folder: Path, content: bytes) -> str:
    recordings.clips(folder)
    (folder / "metadata.csv").write_bytes(content)
    return str(folder)


@pytest.mark.parametrize("encoding", ["cp949", "utf-16"])
def test_another_encoding_than_utf_8_is_named(tmp_path, encoding):
    written = "file_name,transcription\na.wav,안녕하세요\n".encode(encoding)
    assert "is not in UTF-8: save it as CSV in UTF-8" in said(
        data.load, metadata(tmp_path, written)
    )


def test_a_line_for_excel_alone_is_told(tmp_path):
    written = b"sep=;\nfile_name;transcription\na.wav;hello\n"
    assert "begins with 'sep=', for Excel only" in said(data.load, metadata(tmp_path, written))


def test_commas_in_transcripts_without_quotes_are_told(tmp_path):
    written = b"file_name,transcription\na.wav,well, hello\nb.wav,yes, please\n"
    assert "put transcripts with commas in quotes" in said(data.load, metadata(tmp_path, written))
    written = b"file_name,transcription\na.wav,hello\nb.wav,yes, please\n"
    assert "line 3" in said(data.load, metadata(tmp_path, written))


def test_numbers_and_truths_stay_what_was_said(tmp_path):
    written = b"file_name,transcription,speaker\na.wav,010,7\nb.wav,119,8\n"
    rows = data.load(metadata(tmp_path, written))
    assert rows["transcription"][:] == ["010", "119"]
    assert rows["speaker"][:] == ["7", "8"]


@pytest.mark.parametrize(
    "written",
    [
        b",file_name,transcription\n0,a.wav,hello\n",  # as pandas writes it
        b"file_name,transcription,\na.wav,hello,\n",  # as some spreadsheets do
    ],
)
def test_a_column_without_a_name_does_no_harm(tmp_path, written):
    rows = data.load(metadata(tmp_path, written))
    assert rows["transcription"][:] == ["hello"]
    assert rows[0]["audio"]["path"].endswith("a.wav")


def test_recordings_that_come_later_are_found(tmp_path):
    (tmp_path / "metadata.csv").write_text("file_name,transcription\nclips\\a.wav,hello\n")
    assert data.files_state(data.load(str(tmp_path))) == 0
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.wav").write_bytes(recordings.sound(1.0))
    (row,) = data.load(str(tmp_path))
    assert audio.load(data.row_source(row), 16_000).size == 16_000


@pytest.mark.parametrize(
    ("lies", "written"),
    [
        (unicodedata.normalize("NFD", "한글.wav"), "한글.wav"),
        ("clips/a.wav", "clips\\a.wav"),
        ("a.1.WAV", "a.1.WAV"),
        ("a.1.wav", "a.1"),
        # Of a Mac's archive, taken apart in a folder that was made elsewhere.
        ("녹음/" + unicodedata.normalize("NFD", "한글.wav"), "녹음\\한글.wav"),
    ],
)
def test_names_that_were_written_elsewhere_are_found(tmp_path, lies, written):
    place = tmp_path / lies
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(recordings.sound(1.0))
    (tmp_path / "metadata.csv").write_text(f"file_name,transcription\n{written},hello\n")
    (row,) = data.load(str(tmp_path))
    assert audio.load(data.row_source(row), 16_000).size == 16_000


def test_a_missing_recording_with_a_long_korean_name_is_told_like_any_other(tmp_path):
    name = "".join(chr(0xAC01 + 28 * number) for number in range(40)) + ".wav"  # 364 bytes apart
    (tmp_path / "metadata.csv").write_text(f"file_name,transcription\n{name},hello\n", "utf-8")
    rows = data.load(str(tmp_path))
    assert data.files_state(rows) == 0
    with pytest.raises(AudioError, match="does not exist"):
        audio.load(data.row_source(rows[0]), 16_000)
