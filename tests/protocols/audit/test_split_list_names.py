"""Split lists with several spellings of a name: leaks are found across spellings, and clean lists have no errors or warnings."""

from __future__ import annotations

import csv
import itertools
import json
import random
import string

import pytest

from avemo_jax.config import Experiment, Protocol
from avemo_jax.modes.audit_lists import audit_lists
from avemo_jax.protocols.audit.findings import mark_allowed
from avemo_jax.protocols.audit.split_list import SplitListError, audit_split_list, read_split_list
from data_prep.corpora.known_names import read_known_names
from data_prep.duplicates.near_duplicates import Comparison


def written(folder, text, name="splits.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def stopping(path, *, allow=()):
    findings = audit_split_list(read_split_list(path, known_names=read_known_names))
    return {finding.name for finding in mark_allowed(findings, allow=allow) if finding.stops}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1", "01"),
        ("1", "1.0"),
        ("01", "1.0"),
        ("Anna", "anna "),
        ("José", "Jose\u0301"),
        ("s01", "S1"),
        ("\uff11", "1"),
        ("Actor_01", "actor_1"),
    ],
)
def test_one_speaker_spelled_in_two_ways_is_in_two_parts(tmp_path, first, second):
    path = written(tmp_path, f"clip,speaker,part\na,{first},train\nb,x,val\nc,{second},test\n")
    assert stopping(path) == {"speaker_in_two_parts"}


@pytest.mark.parametrize(("first", "second"), [("actor_01", "Actor1"), ("spk-3", "3"), ("Maria", "maria_2"), ("luna7", "07")])
def test_names_that_look_like_one_speaker_are_an_error_that_can_be_allowed(tmp_path, first, second):
    path = written(tmp_path, f"clip,speaker,part\na,{first},train\nb,zoe,val\nc,{second},test\n")
    assert stopping(path) == {"speakers_look_alike"}
    assert stopping(path, allow=("speakers_look_alike",)) == set()
    finding = next(one for one in audit_split_list(read_split_list(path)) if one.name == "speakers_look_alike")
    assert first in finding.detail and second in finding.detail and "test" in finding.detail
    together = written(tmp_path, f"clip,speaker,part\na,{first},train\nb,zoe,test\nc,{second},train\n")
    assert stopping(together) == set()
    no_test = written(tmp_path, f"clip,speaker,part\na,{first},train\nb,zoe,test\nc,{second},val\n")
    (finding,) = [one for one in audit_split_list(read_split_list(no_test)) if one.name == "speakers_look_alike"]
    assert finding.severity == "info"


@pytest.mark.parametrize(
    ("first", "second"),
    [("A/x1.wav", "A\\x1.wav"), ("A/x1.wav", "a/X1.WAV"), ("A/x1.wav", "A/x1"), ("./A/x1.wav", "A/x1.wav"), ("1", "1.0"), ("x01", "x1")],
)
def test_one_clip_spelled_in_two_ways_is_in_two_parts(tmp_path, first, second):
    for column in ("clip", "path"):
        path = written(tmp_path, f"{column},part\n{first},train\nother,val\n{second},test\n")
        assert stopping(path) == {"clip_in_two_parts"}
        assert len(read_split_list(path).items) == 2


def test_clips_with_and_without_their_folders_look_alike(tmp_path):
    assert stopping(written(tmp_path, "path,part\nA/x1.wav,train\nx1.wav,test\n")) == {"clips_look_alike"}
    assert stopping(written(tmp_path, "path,speaker,part\nA/x1.wav,anna,train\nx1.wav,bert,test\n")) == set()
    assert stopping(written(tmp_path, "path,part\ntrain/0001.wav,train\ntest/0001.wav,test\n")) == set()


def test_sound_and_picture_of_one_clip(tmp_path):
    assert stopping(written(tmp_path, "path,part\nx.wav,train\nx.mp4,test\n")) == {"clip_in_two_parts"}
    assert stopping(written(tmp_path, "path,part\ny.wav,train\nx.wav,test\nx.mp4,test\n")) == set()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("talk.wav", "talk_seg03.wav"),
        ("x.wav", "x_noise.wav"),
        ("x_aug1.wav", "x_aug2.wav"),
        ("a/x.wav", "a\\X_pitch-2.WAV"),
        ("x", "x_time_stretch0.9_noise_5db.wav"),
        ("x_16k.wav", "x.flac"),
        ("x.png", "x_flipped.jpg"),
        ("film/frame0001.png", "film\\frame_2.png"),
    ],
)
def test_a_recording_and_its_segments_or_versions(tmp_path, first, second):
    assert stopping(written(tmp_path, f"path,part\n{first},train\nother,val\n{second},test\n")) == {"segments_in_two_parts"}
    named = written(tmp_path, f"clip,path,part\n1,{first},train\n2,other,val\n3,{second},test\n")
    assert stopping(named) == {"segments_in_two_parts"}
    assert stopping(written(tmp_path, f"path,part\n{first},train\nother,test\n{second},train\n")) == set()


def test_spans_of_one_file_are_of_one_recording(tmp_path):
    rows = "clip,path,start,end,part\na,talk.wav,0,2,train\nb,talk.wav,2,4,{}\nc,other.wav,0,9,test\n"
    assert stopping(written(tmp_path, rows.format("test"))) == {"segments_in_two_parts"}
    assert stopping(written(tmp_path, rows.format("train"))) == set()


@pytest.mark.parametrize(("first", "second"), [("CREMA-D", "cremad"), ("EMO-DB", "emodb"), ("CK+", "ckplus")])
def test_one_corpus_with_two_names(tmp_path, first, second):
    header = "clip,corpus,speaker,part\n"
    assert stopping(written(tmp_path, f"{header}a,{first},3,train\nb,{second},03,test\nc,savee,9,test\n")) == {"speakers_look_alike"}


@pytest.mark.parametrize("cell", ["nan", "None", "unknown", "?", "-", "N/A"])
def test_cells_that_state_no_speaker(tmp_path, cell):
    path = written(tmp_path, f"clip,speaker,part\na,{cell},train\nb,{cell},test\n")
    findings = {finding.name: finding for finding in audit_split_list(read_split_list(path))}
    assert findings["speakers_unknown"].count == 2 and "speaker_in_two_parts" not in findings
    assert stopping(written(tmp_path, "clip,speaker,part\na,NA,train\nb,NA,test\n")) == {"speaker_in_two_parts"}  # of JAFFE


def test_actors_and_sentences_with_the_same_numbers(tmp_path):
    rows = "".join(
        f"{actor}-{text:02d}-{take},{actor}.0,{text:02d},{'test' if actor > 18 else 'train'}\n"
        for actor, text, take in itertools.product(range(1, 25), (1, 2), (1, 2))
    )
    split = read_split_list(written(tmp_path, f"clip,actor,statement,part\n{rows}"))
    assert not [finding for finding in audit_split_list(split) if finding.is_flagged]


def write_json(folder, rows):
    (folder / "list.json").write_text(json.dumps(rows), encoding="utf-8")
    return [folder / "list.json"]


def write_json_lines(folder, rows):
    (folder / "list.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return [folder / "list.jsonl"]


def write_semicolons(folder, rows):
    text = "\n".join(";".join(map(str, row.values())).replace(".", ",") for row in rows)
    (folder / "list.csv").write_text(f"{';'.join(rows[0])}\n{text}\n", encoding="utf-16")
    return [folder / "list.csv"]


def write_a_file_a_part(folder, rows):
    files = []
    for part in dict.fromkeys(row["part"] for row in rows):
        files.append(
            written(
                folder,
                "clip,speaker\n" + "".join(f"{row['clip']},{row['speaker']}\n" for row in rows if row["part"] == part),
                f"{part}.csv",
            )
        )
    return files


def write_a_folder_a_fold(folder, rows):
    (folder / "fold_1").mkdir(exist_ok=True)
    return write_a_file_a_part(folder / "fold_1", rows)


@pytest.mark.parametrize("write", [write_json, write_json_lines, write_semicolons, write_a_file_a_part, write_a_folder_a_fold])
@pytest.mark.parametrize(
    ("first", "second", "finding"),
    [
        (1, "01", "speaker_in_two_parts"),
        (1, 1.0, "speaker_in_two_parts"),
        ("Ana ", "ANA", "speaker_in_two_parts"),
        ("S01", 1, "speakers_look_alike"),
        ("Spk 1", "spk_01", "speakers_look_alike"),
    ],
)
def test_speakers_spelled_in_two_ways_are_found_in_every_form_of_a_list(tmp_path, write, first, second, finding):
    def rows(*parts):
        names = (first, 2, second, 3)
        return [{"clip": f"c{at}", "speaker": name, "part": part} for at, (name, part) in enumerate(zip(names, parts, strict=True))]

    def stops(files):
        return {one.name for one in audit_split_list(read_split_list(files)) if one.stops}

    assert stops(write(tmp_path, rows("train", "val", "test", "test"))) == {finding}
    assert stops(write(tmp_path, rows("train", "val", "train", "test"))) == set()


@pytest.mark.parametrize(("first", "second"), [("Talk_01", "talk_1"), ("d 7", "D  07"), ("Dialog\\1.wav", "dialog/1.0")])
def test_recordings_spelled_in_two_ways(tmp_path, first, second):
    path = written(tmp_path, f"clip,recording,part\na,{first},train\nb,{second},test\n")
    assert stopping(path) == {"segments_in_two_parts"}


def test_sentences_spelled_in_two_ways(tmp_path):
    rows = "".join(f"t{n},s{n},text {n % 60},train\n" for n in range(90))
    assert stopping(written(tmp_path, f'clip,speaker,sentence,part\n{rows}last,z,"Text,  07.0!",test\n')) == {"sentence_in_two_parts"}


def test_speakers_of_different_corpora_are_different_people(tmp_path):
    header = "clip,corpus,speaker,part\n"
    assert stopping(written(tmp_path, f"{header}a,emodb,3,train\nb,savee,3,test\n")) == set()
    assert stopping(written(tmp_path, f"{header}a,EmoDB,3,train\nb,emodb ,03,test\nc,savee,9,test\n")) == {"speaker_in_two_parts"}
    assert stopping(written(tmp_path, f"{header}a,ravdess_speech,3,train\nb,ravdess_song,3,test\n")) == {"speakers_look_alike"}
    assert stopping(written(tmp_path, f"{header}a,emodb,3,train\nb,,03,test\nc,savee,9,test\n")) == {"speakers_look_alike"}


def test_folds_spelled_in_two_ways_are_one(tmp_path):
    split = read_split_list(written(tmp_path, "clip,fold\na,1\nb,1.0\nc,02\nd,2\n"))
    assert [(fold.name, fold.test) for fold in split.folds] == [("fold 1", ("a", "b")), ("fold 02", ("c", "d"))]


def test_facts_of_one_clip_may_be_spelled_in_two_ways(tmp_path):
    path = written(tmp_path, "clip,speaker,label,fold,part\na,01,Happy,1,train\na,1.0,happy,2,test\nb,2,sad,1,test\nb,2,sad,2,train\n")
    findings = audit_split_list(read_split_list(path))
    assert not {"labels_disagree", "speaker_in_two_parts"} & {finding.name for finding in findings}
    with pytest.raises(SplitListError, match="clip a has speaker '2', and '1' in an earlier row"):
        read_split_list(written(tmp_path, "clip,speaker,fold,part\na,1,1,train\nA,2,2,test\n"))


LEAKING = {
    "ravdess": ("03-01-05-01-02-01-16.wav", "03-01-01-01-01-01-16.wav", "03-01-05-01-02-01-11.wav"),
    "crema_d": ("1001_DFA_ANG_XX.wav", "1001_IEO_SAD_HI.wav", "1002_DFA_ANG_XX.wav"),
    "emodb": ("03a01Fa.wav", "03b02Na.wav", "08a01Fa.wav"),
    "savee": ("DC/a01.wav", "DC_n05.wav", "JE_a02.wav"),
    "tess": ("OAF_back_angry.wav", "OA_bite_neutral.wav", "YAF_ball_sad.wav"),
    "iemocap": ("Ses01F_impro01_F000.wav", "Ses01M_impro02_F003.wav", "Ses01F_impro01_M001.wav"),
    "enterface": ("s1_an_1.avi", "subject 1/fear/sentence 2/s1_fe_2.avi", "s2_an_2.avi"),
    "rml": ("s1/an1.avi", "s1/mandarin/sa2.avi", "s2/an2.avi"),
}


@pytest.mark.parametrize("corpus", LEAKING)
def test_speakers_are_read_from_known_names(tmp_path, corpus):
    first, again, other = LEAKING[corpus]
    assert stopping(written(tmp_path, f"path,part\n{first},train\n{again},test\n")) == {"speaker_in_two_parts"}
    clean = written(tmp_path, f"path,part\n{first},train\n{other},test\n")
    assert stopping(clean) == set()
    assert f"naming rules of {corpus}" in read_split_list(clean, known_names=read_known_names).read_from_names
    apart = written(tmp_path, f"path,speaker,part\n{first},a,train\n{again},b,test\n")  # the column knows better or, more often, is wrong
    assert stopping(apart) == {"speakers_look_alike"} and stopping(apart, allow=("speakers_look_alike",)) == set()
    assert stopping(written(tmp_path, f"path,speaker,part\n{first},a,train\n{again},b,train\n{other},c,test\n")) == set()
    assert stopping(written(tmp_path, f"path,speaker,part\n{first},a,train\n{again},,test\n")) == {"speakers_look_alike"}


def test_empty_cells_of_speakers_are_read_from_known_names(tmp_path):
    first, again, other = LEAKING["ravdess"]
    assert stopping(written(tmp_path, f"path,speaker,part\n{first},16,train\n{again},,test\n")) == {"speaker_in_two_parts"}
    assert stopping(written(tmp_path, f"path,speaker,part\n{first},16,train\n{again},,train\n{other},,test\n")) == set()


def test_audio_and_video_of_one_performance(tmp_path):
    rows = "01-01-05-01-02-01-16.mp4,train\n03-01-05-01-02-01-16.wav,test\n"
    assert stopping(written(tmp_path, f"path,part\n{rows}")) == {"speaker_in_two_parts", "segments_in_two_parts"}


def test_names_that_break_the_naming_rules_give_no_speakers(tmp_path):
    rows = "".join(f"03-01-05-01-02-01-{n:02d}_x{n}.wav,{part}\n" for n, part in itertools.product(range(1, 9), ("train",)))
    path = written(tmp_path, f"path,part\n{rows}03-01-05-01-02-01-01.wav,train\n03-01-06-01-02-01-01.wav,test\n")
    split = read_split_list(path, known_names=read_known_names)
    assert split.read_from_names == "" and {item.speaker for item in split.items} == {""}


def test_the_report_states_how_names_were_compared_and_which_were_joined(tmp_path, capsys):
    rows = "03-01-05-01-02-01-16.wav,16,train\n03-01-05-01-01-01-16.WAV,016,train\n03-01-01-01-01-01-11.wav,11,test\n"
    path = written(tmp_path, f"path,actor,part\n{rows}")
    config = Experiment(protocol=Protocol(near_duplicates=False))
    audit_lists(config, [str(path)], [], lambda clips, root: Comparison((), 0, {}), known_names=read_known_names, output=str(tmp_path))
    printed = capsys.readouterr().out
    assert "leading zeros" in printed and "joined spellings of 1 speaker: 16 = 016" in printed
    assert "read from names: sentence (naming rules of ravdess)" in printed
    (entry,) = json.loads((tmp_path / "audit.json").read_text())
    assert entry["identities"]["joined"] == {"speaker": [["16", "016"]]} and "case" in entry["identities"]["compared"]


def respelled(name: str, draw: random.Random) -> str:
    """Return another spelling of a name, with the same identity."""
    if name.isdecimal():
        return draw.choice([name, f"0{name}", f"{name}.0", f" {name}"])
    return draw.choice([name, name.upper(), name.lower(), f"{name} "])


NAMINGS = (
    lambda n, draw: str(n + 1),
    lambda n, draw: f"Actor_{n + 1:02d}",
    lambda n, draw: f"s{n + 1}",
    lambda n, draw: f"{'FM'[n % 2]}{n // 2 + 1:02d}",
    lambda n, draw: f"Ses{n // 2 + 1:02d}{'FM'[n % 2]}",
    lambda n, draw: f"{n // 3 + 1}-{n % 3 + 1}",
    lambda n, draw: f"{string.ascii_uppercase[n % 26]}{string.ascii_uppercase[(n * 7 + 3) % 26]}",
    lambda n, draw: ("Anna", "Bert", "Carla", "Dörte", "Emil", "Franz", "Greta", "Hugo", "Ida", "José", "Karl", "Lena")[n],
    lambda n, draw: f"{n:02x}{draw.getrandbits(48):012x}",
)


@pytest.mark.parametrize("seed", range(300))
def test_clean_cohorts_in_various_spellings_have_no_errors_or_warnings(tmp_path, seed):
    draw = random.Random(seed)
    num_speakers, num_folds = draw.randint(3, 12), draw.randint(2, 3)
    speakers = [NAMINGS[seed % len(NAMINGS)](n, draw) for n in range(num_speakers)]
    fold_of = {speaker: n % num_folds + 1 for n, speaker in enumerate(speakers)}
    separator, suffix = draw.choice("/\\_-"), draw.choice(["", ".wav", ".WAV"])
    rows = [
        {
            "file": f"{speaker}{separator}{emotion}_{take:02d}{suffix}",
            "speaker": respelled(speaker, draw),
            "emotion": respelled(emotion, draw),
            "fold": respelled(str(fold_of[speaker]), draw),
        }
        for speaker, emotion, take in itertools.product(speakers, ("happy", "sad"), (1, 2))
    ]
    draw.shuffle(rows)
    with (tmp_path / "list.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    split = read_split_list(tmp_path / "list.csv", known_names=read_known_names)
    assert len(split.folds) == num_folds and len(split.items) == len(rows)
    findings = audit_split_list(split)
    assert not [finding for finding in findings if finding.is_flagged], findings
    # The same cohort with one clip of a test speaker in another fold has a leak.
    moved = [row | {"fold": str(int(float(row["fold"])) % num_folds + 1)} if row is rows[0] else row for row in rows]
    text = "\n".join(",".join(row.values()) for row in moved)
    leaking = written(tmp_path, f"file,speaker,emotion,fold\n{text}\n")
    assert "speaker_in_two_parts" in stopping(leaking)
