"""The examples of docs/extending.md, copied out of the page: each touches the stated number of files, and all of them run.

An example is added to a copy of the packages in a temporary folder, as a reader of the page adds it: its own file, and its line in the
registry. Two runs, started as a user starts them, use all six.
"""

from __future__ import annotations

import ast
import dataclasses
import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import documentation
import numpy as np
import pytest
import soundfile
from documentation import ROOT

from avemo_jax.data.prepared import PreparedSet

slow = pytest.mark.slow  # the tests that need a run

EXAMPLES = documentation.examples(ROOT / "docs/extending.md")
PACKAGES = ("avemo_jax", "configs", "data_prep")
EMOTIONS = ("anger", "fear", "happy", "sad")
SPEAKERS = ("anna", "bert", "cleo", "dora")

CONFIG = '''"""A corpus of folders.

    python run.py --config=configs/by_folder.py --config.corpus.root=/data/FOLDER

Protocol: speaker_k.
"""

from configs import base, systems


def get_config(system: str = "small_audio"):
    config = base.get_config()
    config.corpus.name = "by_folder"
    config.corpus.label_set = "basic7"
    config.protocol.name = "speaker_k"
    systems.apply(config, system, has=systems.SOUND)
    return config
'''


@dataclasses.dataclass(frozen=True)
class Addition:
    """How an example is added.

    Attributes:
      files: new files, path -> content.
      registry: file that lists what there is; "" where the example needs none.
      entry: what is added to it.
      before: text of the registry in front of which the entry stands; "" puts it at the end.
    """

    files: dict[str, str]
    registry: str
    entry: str
    before: str = ""

    def add_to(self, house: Path) -> None:
        """Add it to a copy of the packages."""
        for name, content in self.files.items():
            assert not (house / name).exists(), name
            (house / name).parent.mkdir(parents=True, exist_ok=True)
            (house / name).write_text(content)
        text = (house / self.registry).read_text()
        if self.before:
            assert text.count(self.before) == 1
            text = text.replace(self.before, self.entry + self.before)
        else:
            text += self.entry
        (house / self.registry).write_text(text)


def statements(source: str, kinds: tuple[type[ast.stmt], ...] = ()) -> list[str]:
    """Return the statements of a module without its docstring, of these kinds alone where some are given."""
    found = [one for one in ast.parse(source).body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]
    return [ast.get_source_segment(source, one) or "" for one in found if not kinds or isinstance(one, kinds)]


def metric() -> Addition:
    """Return the metric as a function and a record at the end of metrics.py, which has what the example imports."""
    body = [one for one in statements(EXAMPLES["metric"]) if not one.startswith(("from ", "import "))]
    return Addition({}, "avemo_jax/evaluation/metrics.py", "\n\n" + "\n\n\n".join(body) + "\n")


def fusion() -> Addition:
    """Return the fusion as a file, and its last statement as the entry of the registry."""
    source, entry = EXAMPLES["fusion"], statements(EXAMPLES["fusion"])[-1]
    own = source.replace(entry, "").replace("from avemo_jax.models.fusion import FUSIONS, FusionFamily\n", "")
    imported = "from avemo_jax.models.fusion.averaged import AveragedFusion  # noqa: E402"
    return Addition({"avemo_jax/models/fusion/averaged.py": own}, "avemo_jax/models/fusion/__init__.py", f"\n{imported}\n\n{entry}\n")


ADDITIONS = {
    "view": Addition(
        {"data_prep/views/loudness.py": EXAMPLES["view"]},
        "data_prep/views/__init__.py",
        "\nfrom data_prep.views.loudness import Loudness\n\nVIEWS[Loudness.name] = Loudness\n",
    ),
    "encoder": Addition(
        {"avemo_jax/models/encoders/frame_pairs/__init__.py": EXAMPLES["encoder"]},
        "avemo_jax/models/encoders/__init__.py",
        '\nENCODERS["frame_pairs"] = "avemo_jax.models.encoders.frame_pairs"\n',
    ),
    "fusion": fusion(),
    "metric": metric(),
    "system": Addition(
        {"configs/systems/face_and_mouth.py": EXAMPLES["system"]},
        "configs/systems/__init__.py",
        "from configs.systems import face_and_mouth\n\nMODULES = (face_and_mouth, *MODULES)\n",
        before="SYSTEMS: dict[str, ModuleType]",
    ),
    "corpus": Addition(
        {"data_prep/corpora/by_folder.py": EXAMPLES["corpus"], "configs/by_folder.py": CONFIG},
        "data_prep/corpora/__init__.py",
        '\nfrom data_prep.corpora import by_folder\n\nCORPORA["by_folder"] = by_folder\n',
    ),
}


def num_places(name: str) -> int:
    """Return the number of files that the table of the page names."""
    lines = (ROOT / "docs/extending.md").read_text().splitlines()
    (row,) = (line for line in lines if line.startswith("|") and re.search(rf"\(#an?-{name}\)", line))
    return len(re.findall(r"\ban? (?:file|folder|line|entry|record|config)\b", row.split("|")[2]))


def copy_house(folder: Path) -> Path:
    """Copy all that run.py needs into a folder."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "run.py", folder)
    return folder


def python_files(folder: Path) -> set[str]:
    """Return the paths of all Python files of the packages."""
    return {path.relative_to(folder).as_posix() for name in PACKAGES for path in (folder / name).rglob("*.py")}


def touched(house: Path) -> set[str]:
    """Return the files of a copy that differ from the repository's, or that it lacks."""
    return {name for name in python_files(house) | python_files(ROOT) if not same(house / name, ROOT / name)}


def same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and filecmp.cmp(one, other, shallow=False)


def test_every_example_of_the_page_is_added():
    assert set(EXAMPLES) == set(ADDITIONS)


@pytest.mark.parametrize("name", list(ADDITIONS))
def test_it_touches_as_many_places_as_the_page_states(name, tmp_path):
    house = copy_house(tmp_path)
    ADDITIONS[name].add_to(house)
    assert touched(house) == {*ADDITIONS[name].files, ADDITIONS[name].registry}
    assert len(touched(house)) == num_places(name)


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Path:
    """The copy with all six."""
    folder = copy_house(tmp_path_factory.mktemp("house"))
    for addition in ADDITIONS.values():
        addition.add_to(folder)
    assert len(touched(folder)) == sum(map(num_places, ADDITIONS))
    return folder


def train(house: Path, config: str, workdir: Path, **fields: object) -> str:
    """Train with the copy's run.py; dots of fields are written as two underscores. Returns what it printed."""
    shared = {"workdir": workdir, "prepared_dir": house / "prepared", "train__num_epochs": 1, "train__tensorboard": False}
    small = {"protocol__num_folds": 3, "protocol__baseline": False, "protocol__near_duplicates": False}
    flags = [f"--config.{name.replace('__', '.')}={value}" for name, value in (shared | small | fields).items()]
    return in_house(house, "run.py", f"--config=configs/{config}", *flags)


def in_house(house: Path, *arguments: str) -> str:
    """Start Python with the copy's packages, which must succeed; returns what it printed."""
    environment = os.environ | {"PYTHONPATH": str(house)}
    done = subprocess.run([sys.executable, *arguments], cwd=house, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def prepared_set(house: Path, pattern: str) -> PreparedSet:
    """Return the one prepared set of that name."""
    (directory,) = (path for path in (house / "prepared").glob(pattern) if path.is_dir())
    return PreparedSet.open(directory)


@pytest.fixture(scope="module")
def three_streams(house):
    """A run of the added system with the added view, fusion and metric: its directory, and what it printed."""
    fields = {
        "corpus__root": house / "corpus",
        "corpus__num_actors": 6,
        "corpus__num_takes": 1,
        "streams__audio__view": "loudness",
        "views__loudness__hop_ms": 40.0,
        "views__faces__rate_fps": 1.0,
        "views__mouths__rate_fps": 1.0,
        "fusion__kind": "averaged",
        "protocol__metric": "g_mean",
    }
    return house / "run", train(house, "demo.py:face_and_mouth", house / "run", **fields)


@slow
def test_the_view_is_prepared_with_its_parameters(three_streams, house):
    prepared = prepared_set(house, "synthetic-loudness-*")
    example = next(iter(prepared.examples()))
    assert prepared.manifest.view_params == {"hop_ms": 40.0, "segment_s": 30.0}
    assert example.values.shape == (len(example.times_s), 1) and np.allclose(np.diff(example.times_s), 0.04, atol=1e-5)
    assert np.all(example.values < 0) and np.ptp(example.values) > 3  # dB of speech


@slow
def test_the_system_trains_its_three_streams_and_the_fusion(three_streams):
    directory, _ = three_streams
    results = json.loads((directory / "results.json").read_text())
    assert results["system"] == "face_and_mouth" and results["num_clips"] == 48
    assert [stage["stage"] for stage in results["stages"]] == ["audio", "face", "mouth", "fused"]
    config = json.loads((directory / "config.json").read_text())
    assert config["system"]["streams"] == ["audio", "face", "mouth"] and config["fusion"]["kind"] == "averaged"


@slow
def test_the_metric_is_in_results_tables_and_report(three_streams):
    directory, printed = three_streams
    results = json.loads((directory / "results.json").read_text())
    recalls = list(results["per_class_recall"].values())
    assert results["metrics"]["g_mean"]["pooled"] == pytest.approx(np.prod(recalls) ** (1 / len(recalls)))
    assert "G-mean" in printed and "G-mean" in (directory / "report.html").read_text()
    assert "G-mean" in (directory / "tables" / "results.csv").read_text()


CHECK_METRIC = """
import json, sys
from jsonschema import Draft202012Validator
from avemo_jax.evaluation import metrics
from avemo_jax.evaluation.results import results_schema

results = json.loads(open(sys.argv[1]).read())
is_valid = Draft202012Validator(results_schema()).is_valid
whole = is_valid(results)
del results["metrics"]["g_mean"]
lists = (metrics.selectable_names(), [one.name for one in metrics.tested_metrics()])
print(whole, is_valid(results), *("g_mean" in names for names in lists))
"""


@slow
def test_the_metric_is_selected_by_tested_and_in_the_schema(three_streams, house):
    directory, _ = three_streams
    assert json.loads((directory / "config.json").read_text())["protocol"]["metric"] == "g_mean"
    printed = in_house(house, "-c", CHECK_METRIC, str(directory / "results.json"))
    assert printed.split() == ["True", "False", "True", "True"]


@pytest.fixture(scope="module")
def frame_pairs(house):
    """A run on the added corpus with both layers of the added encoder."""
    rng = np.random.default_rng(0)
    for number, emotion in enumerate(EMOTIONS):
        (house / "folders" / emotion).mkdir(parents=True)
        for speaker in SPEAKERS:
            samples = rng.normal(0, 0.02 * (number + 1), 16000 + 2000 * number).astype(np.float32)
            soundfile.write(house / "folders" / emotion / f"{speaker}_001{emotion}.wav", samples, 16000)
    fields = {
        "corpus__root": house / "folders",
        "streams__audio__view": "logmel_frames",
        "streams__audio__encoder": "frame_pairs",
        "encoders__frame_pairs__weights": "random",
        "encoders__frame_pairs__layers": "all",
    }
    train(house, "by_folder.py", house / "pairs", **fields)
    return house / "pairs"


@slow
def test_the_corpus_is_read(frame_pairs):
    results = json.loads((frame_pairs / "results.json").read_text())
    assert (results["corpus"], results["num_clips"], results["num_undecodable"]) == ("by_folder", len(EMOTIONS) * len(SPEAKERS), 0)
    assert set(results["per_speaker"]) == set(SPEAKERS) and results["speaker_independent"]


@slow
def test_the_encoder_gives_two_layers_at_half_the_steps(frame_pairs, house):
    views = {example.clip_id: example for example in prepared_set(house, "by_folder-logmel_frames-*").examples()}
    features = {example.clip_id: example for example in prepared_set(house, "by_folder-*frame_pairs*").examples()}
    assert features.keys() == views.keys() and len(views) == len(EMOTIONS) * len(SPEAKERS)
    for clip, example in features.items():
        assert example.values.shape == (-(-len(views[clip].values) // 2), 2, 32)
        assert example.times_s.tolist() == views[clip].times_s[::2].tolist()
