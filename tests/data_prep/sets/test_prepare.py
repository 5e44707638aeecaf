"""Prepared sets: every clip accounted for, the same bytes for any number of workers, found again, whole or not there."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from folders import contents

from avemo_jax.clips import Clip, read_clips, write_clips
from avemo_jax.data.prepared import Damage, PreparedManifest, PreparedSet, format_damage, verify
from data_prep.sets import prepare, shards
from data_prep.sets.prepare import prepare_view
from data_prep.views import make_view
from data_prep.views.mfcc_mean import MfccMean
from data_prep.workers.pool import Crash, WorkerError

RATE_HZ = 16000
SHARD = "prepared_view-examples.array_record"


def write_sound(path: Path, duration_s: float, seed: int, loudness: float = 0.1) -> None:
    samples = np.random.default_rng(seed).normal(scale=loudness, size=round(duration_s * RATE_HZ))
    soundfile.write(path, samples, RATE_HZ, subtype="PCM_16")


def write_film(path: Path, num_frames: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        for _ in range(num_frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 128, np.uint8), format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture
def corpus(tmp_path):
    """A folder of sounds, and the clips of it: good ones between bad ones of every kind."""
    root = tmp_path / "corpus"
    root.mkdir()
    for seed, name in enumerate(["good_a", "good_b", "good_c"]):
        write_sound(root / f"{name}.wav", 1.5 + seed, seed)
    write_sound(root / "long.wav", 11.5, 7)
    write_sound(root / "silent.wav", 2.0, 3, loudness=0.0)
    write_sound(root / "truncated.wav", 2.0, 4)
    os.truncate(root / "truncated.wav", 20000)
    (root / "empty.wav").write_bytes(b"")
    soundfile.write(root / "no_samples.wav", np.zeros(0), RATE_HZ)
    (root / "undecodable.wav").write_bytes(np.random.default_rng(5).bytes(30000))
    write_film(root / "mute.mp4", 10)
    names = [*(path.name for path in root.iterdir()), "missing.wav"]
    clips = [Clip(name.split(".")[0], "tiny", "happy", "s1", audio=name, video=name) for name in names]
    clips += [Clip("film_only", "tiny", "sad", "s1", video="mute.mp4"), Clip("span", "tiny", "sad", "s1", "long.wav", start_s=2, end_s=4)]
    return root, clips


DAMAGE = {
    "silent": "silent",
    "truncated": "truncated",
    "empty": "empty",
    "no_samples": "empty",
    "undecodable": "undecodable",
    "mute": "no_audio",
    "film_only": "no_audio",
    "missing": "missing",
}


def prepare_tiny(
    root: Path, clips, prepared_dir: Path, *, num_workers: int = 1, view_name: str = "logmel_patches", **params
) -> PreparedSet:
    return prepare_view(
        corpus="tiny", root=root, clips=clips, view_name=view_name, view_params=params, prepared_dir=prepared_dir, num_workers=num_workers
    )


def test_every_clip_is_accounted_for(corpus, tmp_path, staged_here):
    root, clips = corpus
    prepared = prepare_tiny(root, clips, tmp_path / "prepared")
    assert {clip_id: entry.kind for clip_id, entry in prepared.damage.items()} == DAMAGE
    examples = [(example.clip_id, example.segment) for example in prepared.examples()]
    assert examples == [("good_a", 0), ("good_b", 0), ("good_c", 0), ("long", 0), ("long", 1), ("long", 2), ("silent", 0), ("span", 0)]
    assert prepared.manifest.num_clips == len(clips) == 13 and prepared.manifest.num_examples == 8
    assert prepared.manifest.step_shape == (96, 64) and prepared.manifest.view_params == {"num_patches": 5, "segment_s": 5.0}
    assert read_clips(prepared.directory / "clips.csv") == tuple(sorted(clips, key=lambda clip: clip.clip_id))
    verify(prepared)
    assert [path.name for path in (tmp_path / "prepared").iterdir() if path.is_dir()] == [prepared.directory.name]


def test_examples_are_what_the_view_gives(corpus, tmp_path, staged_here):
    root, clips = corpus
    examples = {(example.clip_id, example.segment): example for example in prepare_tiny(root, clips, tmp_path / "prepared").examples()}
    samples, _ = soundfile.read(root / "long.wav", dtype="float32")
    pieces = [samples[:80000], samples[80000:160000], samples[160000:]]
    for index, segment in enumerate(make_view("logmel_patches").segments(iter(pieces))):
        example = examples["long", index]
        for name in ("values", "mask", "times_s"):
            np.testing.assert_array_equal(getattr(example, name), getattr(segment, name), strict=True)
    (span,) = make_view("logmel_patches").segments(iter([samples[2 * RATE_HZ : 4 * RATE_HZ]]))
    np.testing.assert_array_equal(examples["span", 0].values, span.values)


def test_any_number_of_workers_gives_the_same_bytes(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "_LARGEST_BYTES", 1)  # so that workers write too
    root, clips = corpus
    one = prepare_tiny(root, clips, tmp_path / "one", num_workers=1)
    three = prepare_tiny(root, list(reversed(clips)), tmp_path / "three", num_workers=3)
    assert one.directory.name == three.directory.name and one.manifest.content_hash == three.manifest.content_hash
    assert contents(one.directory) == contents(three.directory) and (one.directory / f"{SHARD}-00007-of-00008").exists()


def test_sets_larger_than_a_shard_are_written_in_order(corpus, tmp_path, monkeypatch, staged_here):
    root, clips = corpus
    one = prepare_tiny(root, clips, tmp_path / "one")
    monkeypatch.setattr(shards, "_LARGEST_BYTES", 1)
    many = prepare_tiny(root, clips, tmp_path / "many")
    assert len(list(many.directory.glob("*.array_record-*-of-00008"))) == 8
    assert many.manifest == one.manifest
    verify(many)


def test_a_finished_set_is_found_again(corpus, tmp_path, staged_here, caplog):
    root, clips = corpus
    first = prepare_tiny(root, clips, tmp_path / "prepared")
    staged_here.clear()
    left = first.directory.with_name(f"{first.directory.name}.partial")  # of a process killed just after it had finished the set
    (left / "staging").mkdir(parents=True)
    with caplog.at_level("INFO"):
        again = prepare_tiny(root, clips, tmp_path / "prepared", segment_s=5.0)
    assert again == first and staged_here == [] and "already prepared, using" in caplog.text
    assert not left.exists()
    assert prepare_tiny(root, clips, tmp_path / "prepared", num_patches=4).directory != first.directory


def test_what_librosa_compiles_is_compiled_before_workers_start(corpus, tmp_path, monkeypatch):
    root, clips = corpus
    made = []
    segments = MfccMean.segments

    def counted(view, audio):
        made.append(1)
        return segments(view, audio)

    def run_tasks(function, tasks, **_):
        assert made == [1]
        yield from ((name, function(task)) for name, task in tasks.items())

    monkeypatch.setattr(MfccMean, "segments", counted)
    monkeypatch.setattr(prepare, "run_tasks", run_tasks)
    for _ in range(2):
        prepare_tiny(root, [clip for clip in clips if clip.clip_id == "good_a"], tmp_path / "prepared", view_name="mfcc_mean")
        assert len(made) == 2  # once here and once for the clip; a finished set asks for neither


def test_one_changed_file_changes_the_key_and_no_other_clip(corpus, tmp_path, staged_here):
    root, clips = corpus
    before = prepare_tiny(root, clips, tmp_path / "prepared")
    write_sound(root / "good_b.wav", 2.5, seed=99)
    after = prepare_tiny(root, clips, tmp_path / "prepared")
    assert before.manifest.key != after.manifest.key and before.manifest.content_hash != after.manifest.content_hash
    for old, new in zip(before.examples(), after.examples(), strict=True):
        assert (old.clip_id, old.segment) == (new.clip_id, new.segment)
        assert np.array_equal(old.values, new.values) == (old.clip_id != "good_b")


@pytest.mark.parametrize("change", [{"start_s": 0.5}, {"clip_id": "renamed"}, {"audio": "good_b.wav"}])
def test_the_key_follows_what_examples_follow_from(corpus, tmp_path, staged_here, change):
    root, clips = corpus
    clips = [clip for clip in clips if clip.clip_id == "good_a"]
    before = prepare_tiny(root, clips, tmp_path / "prepared")
    after = prepare_tiny(root, [dataclasses.replace(clip, **change) for clip in clips], tmp_path / "prepared")
    assert before.manifest.key != after.manifest.key
    relabelled = [dataclasses.replace(clip, label="angry", video="mute.mp4") for clip in clips]
    assert prepare_tiny(root, relabelled, tmp_path / "prepared").directory == before.directory


def test_preparation_resumes_at_the_clip_where_it_stopped(corpus, tmp_path, monkeypatch, staged_here):
    root, clips = corpus
    straight = prepare_tiny(root, clips, tmp_path / "straight")
    working = prepare.run_tasks

    def stops_after_four(function, tasks, **options):
        for index, outcome in enumerate(working(function, tasks, **options)):
            yield outcome
            if index == 3:
                raise KeyboardInterrupt

    staged_here.clear()
    monkeypatch.setattr(prepare, "run_tasks", stops_after_four)
    with pytest.raises(KeyboardInterrupt):
        prepare_tiny(root, clips, tmp_path / "resumed")
    with pytest.raises(FileNotFoundError, match="no finished prepared set"):
        PreparedSet.open(tmp_path / "resumed" / straight.directory.name)
    monkeypatch.setattr(prepare, "run_tasks", working)
    resumed = prepare_tiny(root, clips, tmp_path / "resumed")
    assert sorted(staged_here) == sorted(clip.clip_id for clip in clips)  # none of them twice
    assert contents(resumed.directory) == contents(straight.directory)


def test_a_clip_that_kills_its_worker_is_undecodable(corpus, tmp_path, monkeypatch, staged_here):
    root, clips = corpus
    working = prepare.run_tasks

    def one_dies(function, tasks, **options):
        yield "good_b", Crash("the process that worked on it was ended by SIGSEGV")
        yield from working(function, {name: task for name, task in tasks.items() if name != "good_b"}, **options)

    monkeypatch.setattr(prepare, "run_tasks", one_dies)
    prepared = prepare_tiny(root, clips, tmp_path / "prepared")
    assert prepared.damage["good_b"] == Damage("undecodable", "the process that worked on it was ended by SIGSEGV")
    assert {example.clip_id for example in prepared.examples()} == {"good_a", "good_c", "long", "silent", "span"}


def test_a_full_disk_stops_the_run_and_leaves_nothing_finished(corpus, tmp_path, monkeypatch, staged_here):
    root, clips = corpus

    class FullDisk(shards.ArrayRecordWriter):
        def write(self, record):
            raise RuntimeError("write() failed: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shards, "ArrayRecordWriter", FullDisk)
        with pytest.raises(OSError, match="No space left"):
            prepare_tiny(root, clips, tmp_path / "prepared")
    assert not [path for path in (tmp_path / "prepared").glob("tiny-*") if not path.name.endswith(".partial")]
    staged_here.clear()
    verify(prepare_tiny(root, clips, tmp_path / "prepared"))
    assert staged_here == []


def test_a_finished_set_needs_neither_a_lock_nor_tfds(corpus, tmp_path, monkeypatch, staged_here):
    """In a read-only folder no lock can be made, and a GPU host may lack TFDS; where something is to be prepared, TFDS is missed first."""
    root, clips = corpus
    finished = prepare_tiny(root, clips, tmp_path / "prepared")
    monkeypatch.setattr(prepare, "making", lambda *_: pytest.fail("locks"))
    monkeypatch.setitem(sys.modules, "data_prep.sets.builders", None)
    assert prepare_tiny(root, clips, tmp_path / "prepared") == finished
    monkeypatch.setattr(prepare, "making", lambda *_: contextlib.nullcontext())
    staged_here.clear()
    with pytest.raises(ModuleNotFoundError):
        prepare_tiny(root, clips, tmp_path / "other")
    assert staged_here == []


def test_records_lost_in_writing_are_noticed(corpus, tmp_path, monkeypatch, staged_here):
    class Forgetful(shards.ArrayRecordWriter):
        has_forgotten = False

        def write(self, record):
            if self.has_forgotten:
                super().write(record)
            self.has_forgotten = True

    monkeypatch.setattr(shards, "ArrayRecordWriter", Forgetful)
    root, clips = corpus
    with pytest.raises(ValueError, match="expected 8 examples, found 7"):
        prepare_tiny(root, clips, tmp_path / "prepared")


def test_a_corpus_of_which_nothing_is_left_is_an_error_with_the_report(corpus, tmp_path, staged_here):
    root, clips = corpus
    with pytest.raises(ValueError, match=r"(?s)no clip gave an example.*1 without.*missing  there is no file"):
        prepare_tiny(root, [clip for clip in clips if clip.clip_id == "missing"], tmp_path / "prepared")


def test_faceless_film_is_doubtful_and_sound_without_picture_lost(corpus, tmp_path, staged_here):
    root, clips = corpus
    clips = [clip for clip in clips if clip.clip_id in ("film_only", "good_a")]
    prepared = prepare_tiny(root, clips, tmp_path / "prepared", view_name="faces", rate_fps=5.0)
    assert {clip_id: entry.kind for clip_id, entry in prepared.damage.items()} == {"film_only": "no_face", "good_a": "no_video"}
    assert prepared.manifest.dtype == "uint8" and prepared.manifest.modality == "video"


def test_a_table_is_joined_by_clip(corpus, tmp_path):
    root, clips = corpus
    path = tmp_path / "units.csv"
    path.write_text("clip,AU01,AU02\nX-good_a,1,2\nX-good_b,3,4\nX-nobody,5,6\nnote,0,0\n")
    prepared = prepare_view(
        corpus="tiny",
        root=root,
        clips=clips,
        view_name="table",
        view_params={"path": str(path), "clip_column": "clip"},
        prepared_dir=tmp_path / "prepared",
        num_workers=1,
        clip_id_of=lambda name: name.removeprefix("X-") if name.startswith("X-") else None,
    )
    assert {example.clip_id: example.values.tolist() for example in prepared.examples()} == {"good_a": [[1, 2]], "good_b": [[3, 4]]}
    assert {entry.kind for entry in prepared.damage.values()} == {"missing"} and len(prepared.damage) == len(clips) - 2


def test_columns_of_a_table_count_by_what_is_left_of_them(corpus, tmp_path, staged_here):
    root, clips = corpus
    path = tmp_path / "units.csv"

    def prepared(text: str, **params) -> PreparedSet:
        path.write_text(text)
        return prepare_tiny(root, clips, tmp_path / "prepared", view_name="table", path=str(path), **params)

    plain = "clip,AU01,AU02\ngood_a,1,2\ngood_b,3,4\n"
    whole = prepared(plain)
    assert whole.manifest.view_params["columns"] == ["AU01", "AU02"]
    assert prepared(plain, allow_columns=("AU02",)).manifest.key == whole.manifest.key  # kept as it was
    dropped = prepared(plain, drop_columns=("AU01",))
    assert dropped.manifest.key != whole.manifest.key and dropped.manifest.view_params["columns"] == ["AU02"]
    constant = "clip,AU01,AU02\ngood_a,1,2\ngood_b,3,2\n"
    assert prepared(constant).manifest.view_params["columns"] == ["AU01"]
    kept = prepared(constant, allow_columns=("AU02",))
    assert {one.clip_id: one.values.tolist() for one in kept.examples()} == {"good_a": [[1, 2]], "good_b": [[3, 2]]}


def test_the_damage_report_names_every_damaged_clip(corpus, tmp_path, staged_here):
    root, clips = corpus
    report = format_damage(prepare_tiny(root, clips, tmp_path / "prepared"))
    lines = report.splitlines()
    assert lines[0] == "tiny logmel_patches: 13 clips, 6 with examples (8 segments), 7 without, 1 doubtful"
    assert lines[1] == "  missing 1, undecodable 1, truncated 1, empty 2, no_audio 2, silent 1"
    assert [line.split()[:2] for line in lines[3:]] == [list(pair) for pair in sorted(DAMAGE.items())]


def test_a_report_of_thousands_is_counted_by_kind_with_the_first_ten():
    damage = {f"10{number:04}_ANG": Damage("undecodable", f"10{number:04}_ANG.wav: no header at byte {number}") for number in range(7000)}
    damage |= {f"2{number:03}": Damage("missing", f"2{number:03}.flv is a Git LFS pointer") for number in range(12)}
    manifest = PreparedManifest("c", "v", "audio", {}, (1,), "float32", 7012, 0, "", "")
    lines = format_damage(PreparedSet(Path("sets/c"), manifest, damage)).splitlines()
    assert lines[1] == "  missing 12, undecodable 7000"
    assert lines[2:4] == ["  7000 x undecodable: FILE no header at byte N", "    12 x missing: FILE is a Git LFS pointer"]
    assert (
        len(lines) == 16 and lines[5].split()[0] == "100000_ANG" and lines[-1] == f"  and 7,002 more, all in {Path('sets/c/damage.json')}"
    )


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("mel", {}, "unknown view 'mel'; known: compare_2016, egemaps, faces, flow_windows, frame_windows"),
        ("mfcc", {"num_mfcc": 3}, r"view mfcc has no parameter num_mfcc; did you mean 'num_mels'\?; it has: .*num_coefficients"),
        ("table", {"path": None}, "view table needs path; set views.table.path"),
    ],
)
def test_unknown_views_and_parameters_are_named(name, params, message):
    with pytest.raises(ValueError, match=message):
        make_view(name, **params)


def test_a_fault_of_the_program_is_no_damage(corpus, tmp_path):
    root, clips = corpus
    with pytest.raises(WorkerError, match=r"^long: TypeError"):
        prepare_tiny(
            root, [clip for clip in clips if clip.clip_id == "long"], tmp_path / "prepared", view_name="functionals", segment_s="5"
        )


# Imports are below the guard, as in run.py: spawned workers run this file's head.
_PREPARE_HERE = """
    if __name__ == "__main__":
        import resource, sys
        from pathlib import Path

        from avemo_jax.clips import read_clips
        from data_prep.sets.prepare import prepare_view

        root, clips, prepared_dir, limit = sys.argv[1:]
        prepare_view(corpus="tiny", root=Path(root), clips=read_clips(Path(clips)), view_name="logmel_patches", view_params={},
                     prepared_dir=Path(prepared_dir), num_workers=2, memory_limit_bytes=int(limit) << 20)
        # Not RUSAGE_SELF: over fork and exec it keeps the peak of the process that started this one, a large test process perhaps.
        (peak,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
        print(int(peak.split()[1]) >> 10, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10)
"""


def preparing_process(tmp_path: Path, root: Path, clips: list[Clip]):
    """Return a function that starts a preparation in a process of its own: (prepared_dir, memory limit of a worker in MiB)."""
    write_clips(tmp_path / "clips.csv", clips)
    (tmp_path / "here.py").write_text(textwrap.dedent(_PREPARE_HERE))
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])}

    def start(prepared_dir: Path, limit_mib: int = 512) -> subprocess.Popen:
        command = [sys.executable, str(tmp_path / "here.py"), str(root), str(tmp_path / "clips.csv"), str(prepared_dir), str(limit_mib)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    return start


@pytest.mark.slow
def test_memory_does_not_grow_with_the_clip(tmp_path):
    root = tmp_path / "corpus"
    root.mkdir()
    minute = np.random.default_rng(0).normal(scale=0.1, size=60 * RATE_HZ)
    clips = [Clip(f"hour_{index}", "tiny", "happy", "s1", audio=f"{index}.wav") for index in range(2)]
    for clip in clips:
        with soundfile.SoundFile(root / clip.audio, "w", RATE_HZ, 1, subtype="PCM_16") as sound:
            for _ in range(60):
                sound.write(minute)
    # One such hour is 220 MiB of float32 beside 70 MiB of libraries: a worker that held it whole would break this limit.
    process = preparing_process(tmp_path, root, clips)(tmp_path / "prepared", limit_mib=200)
    output, _ = process.communicate()
    assert process.returncode == 0
    (directory,) = (tmp_path / "prepared").glob("tiny-*")
    prepared = PreparedSet.open(directory)
    assert prepared.damage == {} and prepared.manifest.num_examples == 2 * 720
    own_mib, worker_mib = map(int, output.split())
    assert own_mib + 2 * worker_mib < 1536


@pytest.mark.slow
def test_kills_at_random_moments_change_nothing(tmp_path):
    root = tmp_path / "corpus"
    root.mkdir()
    clips = [Clip(f"c{index:03}", "tiny", "happy", "s1", audio=f"{index:03}.wav") for index in range(300)]
    for index, clip in enumerate(clips):
        write_sound(root / clip.audio, 4.0, index)
    start = preparing_process(tmp_path, root, clips)
    began = time.monotonic()
    assert start(tmp_path / "straight").wait() == 0
    straight_s = time.monotonic() - began
    (straight,) = (tmp_path / "straight").glob("tiny-*")
    rng = np.random.default_rng(0)
    killed = tmp_path / "killed"
    num_kills = 0
    while num_kills < 8:
        process = start(killed)
        try:
            assert process.wait(timeout=float(rng.uniform(0.2, 0.8)) * straight_s) == 0
            if num_kills:
                break  # what the kills have left to do is too little to be killed again
            shutil.rmtree(killed)
        except subprocess.TimeoutExpired:
            process.kill()  # the parent alone: its workers must notice
            process.wait()
            num_kills += 1
        if (killed / straight.name).exists():
            verify(PreparedSet.open(killed / straight.name))
    assert start(killed).wait() == 0
    assert num_kills > 0 and contents(killed / straight.name) == contents(straight)
    assert not (killed / f"{straight.name}.partial").exists()
