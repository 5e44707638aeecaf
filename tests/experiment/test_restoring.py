"""A finished run restores only its own checkpoints: those of other runs or epochs, and changed predictions, are errors."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from small_experiment import STEP, only, small_config, small_corpus

from avemo_jax.config import Experiment
from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.experiment.ensemble import load_ensemble
from avemo_jax.modes.evaluate import evaluate as evaluate_run
from avemo_jax.modes.train import train as train_grid
from avemo_jax.runs.checkpoints import ForeignCheckpoint
from avemo_jax.runs.run_directory import ChangedPredictions

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> PreparedCorpus:
    return only(small_corpus(tmp_path_factory.mktemp("prepared")), "audio")


@pytest.fixture(scope="module")
def finished(corpus, tmp_path_factory) -> tuple[Path, Path]:
    """Two runs with configs that differ only in the seed, so that all names and shapes in them are equal."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        train_grid(config(folder / str(seed), seed), corpus)
    return folder / "0", folder / "1"


@pytest.fixture
def workdir(finished, tmp_path) -> Path:
    """A copy of the first run, to damage."""
    return shutil.copytree(finished[0], tmp_path / "run")


def config(workdir: Path, seed: int = 0) -> Experiment:
    return small_config(workdir, train__stages=("audio",), train__seeds=(seed,))


def change_json(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_the_checkpoint_of_another_run_is_an_error_in_every_mode(workdir, finished, corpus):
    before = (workdir / "predictions.csv").read_bytes()
    step = workdir / "checkpoints" / "audio" / "2"
    shutil.rmtree(step)
    shutil.copytree(finished[1] / "checkpoints" / "audio" / "2", step)
    for restore in (
        lambda: evaluate_run(config(workdir), corpus),
        lambda: train_grid(config(workdir), corpus),
        lambda: load_ensemble(config(workdir), {"audio": STEP}, 10.0, None),
    ):
        with pytest.raises(ForeignCheckpoint, match="audio/2 does not belong to this run") as error:
            restore()
        assert "run_id: " in str(error.value) and "trial 0: seed: expected 0, found 1" in str(error.value)
    assert (workdir / "predictions.csv").read_bytes() == before


def test_an_earlier_checkpoint_under_the_name_of_the_last_is_an_error(workdir, corpus):
    steps = workdir / "checkpoints" / "audio"
    shutil.rmtree(steps / "2")
    (steps / "1").rename(steps / "2")
    with pytest.raises(ForeignCheckpoint, match="epoch: expected 2, found 1"):
        evaluate_run(config(workdir), corpus)


def test_changed_predictions_are_an_error_and_stay_as_they_are(workdir, corpus):
    path = workdir / "predictions.csv"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"happy", b"angry", 1))
    changed = path.read_bytes()
    for mode in (evaluate_run, train_grid):
        with pytest.raises(ChangedPredictions, match=r"predictions\.csv was changed after this run wrote it: expected SHA-256"):
            mode(config(workdir), corpus)
        assert path.read_bytes() == changed != whole
    path.unlink()
    evaluate_run(config(workdir), corpus)
    assert path.read_bytes() == whole


def test_other_predictions_from_the_checkpoints_are_an_error_and_rounding_is_not(workdir, corpus, caplog):
    """As code or libraries that changed since would give them."""
    path = workdir / "predictions.csv"
    whole = path.read_text()
    line = whole.splitlines()[1]
    start, probability = line.rsplit(",", 1)

    def change(difference: float) -> bytes:
        path.write_text(whole.replace(line, f"{start},{float(probability) + difference:.6f}"))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        change_json(workdir / "run.json", lambda facts: facts["predictions_sha256"].update({path.name: digest}))
        return path.read_bytes()

    change(1e-6)
    evaluate_run(config(workdir), corpus)
    assert path.read_text() == whole and "differ by up to 1e-06 from those before" in caplog.text
    changed = change(0.02)
    with pytest.raises(ChangedPredictions, match=r"give probabilities that differ by up to 0\.02, expected"):
        evaluate_run(config(workdir), corpus)
    assert path.read_bytes() == changed


def test_a_run_of_an_earlier_version_is_evaluated_with_a_warning(workdir, corpus, caplog):
    before = (workdir / "predictions.csv").read_bytes()
    change_json(workdir / "run.json", lambda facts: [facts.pop(name) for name in ("run_id", "predictions_sha256")])
    for path in workdir.glob("checkpoints/*/*/manifest.json"):
        change_json(path, lambda manifest: manifest.pop("belongs_to"))
    evaluate_run(config(workdir), corpus)
    assert (workdir / "predictions.csv").read_bytes() == before and "has no run id" in caplog.text
    assert "run_id" not in json.loads((workdir / "run.json").read_text())  # its checkpoints have none either


def test_a_run_keeps_its_id_where_it_is_moved_and_resumed(workdir, finished, corpus):
    ids = [json.loads((path / "run.json").read_text())["run_id"] for path in finished]
    assert len(set(ids)) == 2 and all(len(one) == 32 for one in ids)
    shutil.rmtree(workdir / "checkpoints" / "audio" / "2")
    train_grid(config(workdir), corpus)
    assert json.loads((workdir / "run.json").read_text())["run_id"] == ids[0]
    assert (workdir / "predictions.csv").read_bytes() == (finished[0] / "predictions.csv").read_bytes()
