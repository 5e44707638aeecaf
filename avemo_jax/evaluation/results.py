"""`RunResults`: the content of results.json as a type, read and written as JSON, and the schema that follows from it.

`python -m avemo_jax.evaluation.results` writes results.schema.json again after a change here or in the list of metrics.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from avemo_jax.atomic import write_json
from avemo_jax.evaluation.json_types import Constraint, Json, MetricValue, Range, from_json, schema_of, to_json
from avemo_jax.evaluation.metrics import Metric, primary_metrics, rating_metrics, reported_metrics
from avemo_jax.evaluation.statistics import Difference, Interval

SCHEMA_PATH = Path(__file__).with_name("results.schema.json")

Share = Annotated[float, Constraint("share", minimum=0, maximum=1)]
Positive = Annotated[float, Constraint("positive", minimum=0)]
Count = Annotated[int, Constraint("count", minimum=0)]
NumClips = Annotated[int, Constraint("num_clips", minimum=1)]
Name = Annotated[str, Constraint("name", minLength=1)]
Finding = Annotated[str, Constraint("finding", description="name of a finding of the leak audit", pattern="^[a-z0-9_]+$")]
Selection = Annotated[str, Constraint(enum=["validation", "test", "last"])]
Temperature = Annotated[float, Constraint(exclusiveMinimum=0)]
Object = Annotated[Mapping[str, Any], Constraint()]

_RANGES = {
    "share": Range("share", {"minimum": 0, "maximum": 1}),
    "error": Range("share", {"minimum": 0, "maximum": 1}),
    "positive": Range("positive", {"minimum": 0}),
    "correlation": Range("correlation", {"minimum": -1, "maximum": 1}),
    "difference": Range("any", {}),
}


def _ranges(metrics: list[Metric]) -> dict[str, Range]:
    return {metric.name: _RANGES[metric.scale] for metric in metrics}


def _reported() -> dict[str, Range]:
    return _ranges(reported_metrics())


def _of_ratings() -> dict[str, Range]:
    return _ranges(rating_metrics())


def _primary() -> dict[str, Range]:
    return _ranges(primary_metrics())


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetricSummary:
    """One metric over all folds and seeds."""

    mean_of_folds: Annotated[MetricValue, Json("mean over folds and seeds")]
    std_of_folds: Annotated[Positive | None, Json("sample standard deviation over folds and seeds; null for one fold")]
    pooled: Annotated[MetricValue, Json("over all clips of all folds and seeds")]
    ci95: Annotated[Interval | None, Json("of the pooled metric; null where there are fewer than two speakers")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoldResult:
    """Metrics of one fold and seed."""

    fold: Name
    seed: int
    num_clips: NumClips
    num_train: Annotated[NumClips | None, Json("training clips of the fold", absent="where_empty")] = None
    metrics: Annotated[Mapping[str, MetricValue], Json(keys=_reported, beside=True)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeedMetric:
    """One metric of one seed."""

    mean_of_folds: MetricValue
    pooled: MetricValue


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeedResult:
    """Metrics of one seed."""

    seed: int
    metrics: Annotated[Mapping[str, SeedMetric], Json(keys=_reported, beside=True)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassResult:
    """Precision, recall and F1 of one class."""

    precision: Share
    recall: Share
    f1: Share
    num_clips: Annotated[Count, Json("rows with this label, all seeds together")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupResult:
    """Primary metrics of one speaker or gender, all seeds together."""

    num_clips: Annotated[NumClips, Json("each counted once")]
    metrics: Annotated[Mapping[str, MetricValue], Json(keys=_primary, beside=True)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeakerSpread:
    """Distribution of a metric over speakers."""

    mean: MetricValue
    std: Annotated[Positive | None, Json("sample standard deviation; null for one speaker")]
    lowest: MetricValue
    highest: MetricValue


@dataclasses.dataclass(frozen=True, kw_only=True)
class GenderGap:
    """Metrics of the first gender minus those of the second."""

    between: tuple[Name, Name]
    metrics: Annotated[Mapping[str, Difference], Json(keys=_primary, beside=True)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value over all clips, folds and seeds, with its interval."""

    pooled: Positive
    ci95: Interval | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """Clips of one bin of confidence, (low, high]."""

    low: Share
    high: Share
    num_clips: NumClips
    confidence: Annotated[Share, Json("mean")]
    accuracy: Share


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialTemperature:
    """The temperature of one trial, fitted on its validation part."""

    fold: Name
    seed: int
    temperature: Annotated[Temperature, Json("above 1 where the network is overconfident")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CalibrationScores:
    """Calibration, pooled over all folds and seeds."""

    ece: Annotated[Estimate, Json("expected calibration error")]
    brier: Annotated[Estimate, Json("summed over classes, in [0, 2]")]
    nll: Annotated[Estimate, Json("negative log-likelihood in nats a clip; a probability counts as 5e-7 at least")]
    reliability: Annotated[tuple[ReliabilityBin, ...], Json("bins of confidence that have clips")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScaledCalibration(CalibrationScores):
    """Calibration after temperature scaling, pooled over all folds and seeds."""

    temperatures: Annotated[tuple[TrialTemperature, ...], Json(minItems=1)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration(CalibrationScores):
    """Calibration without and with temperature scaling, pooled over all folds and seeds."""

    scaled: Annotated[ScaledCalibration | None, Json("with temperature scaling; null where there are no validation predictions")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Confusion:
    """Confusion matrix, all seeds together."""

    classes: Annotated[tuple[Name, ...], Json(minItems=1, uniqueItems=True)]
    counts: Annotated[tuple[tuple[Count, ...], ...], Json("rows are labels, columns predictions")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaselineResult:
    """The classical baseline on the same folds."""

    system: Name
    metrics: Annotated[Mapping[str, MetricSummary], Json(keys=_reported)]
    per_seed: tuple[SeedResult, ...]
    per_fold: tuple[FoldResult, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeedEnsembleResult:
    """The mean of the seeds' probabilities as one system; no seed is selected."""

    seeds: Annotated[tuple[int, ...], Json(minItems=2)]
    metrics: Annotated[Mapping[str, MetricSummary], Json(keys=_reported)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DimensionFold:
    """Metrics of one dimension in one fold and seed."""

    fold: Name
    seed: int
    num_rated: Annotated[NumClips, Json("test clips with a rating; folds with fewer than two are left out")]
    metrics: Annotated[Mapping[str, MetricValue], Json(keys=_of_ratings, beside=True)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DimensionResult:
    """Results of one dimension, such as valence, in units of the corpus's scale."""

    dimension: Name
    num_rated: Annotated[Count, Json("test clips with a rating, each counted once; the metrics are of these")]
    num_unrated: Annotated[Count, Json("test clips without one, or with one outside of the scale")]
    metrics: Annotated[Mapping[str, MetricSummary], Json(keys=_of_ratings)]
    per_fold: tuple[DimensionFold, ...]
    seed_ensemble: Annotated[
        Mapping[str, MetricSummary] | None, Json("mean of the seeds' predictions", keys=_of_ratings, absent="where_empty")
    ] = None
    baseline: Annotated[
        Mapping[str, MetricSummary] | None, Json("ridge regression on functionals", keys=_of_ratings, absent="where_empty")
    ] = None
    training_mean: Annotated[
        Mapping[str, MetricSummary] | None,
        Json("the mean rating of the training part for every clip", keys=_of_ratings, absent="where_empty"),
    ] = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageResult:
    """Metrics of one stage on the test parts, means over folds and seeds."""

    stage: Name
    num_params: Count
    per_class_recall: Annotated[Mapping[str, Share] | None, Json("all folds and seeds together", absent="where_empty")] = None
    metrics: Annotated[Mapping[str, MetricValue], Json(keys=_reported, beside=True)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProtocolResult:
    """Results of one of several protocols."""

    protocol: Name
    speaker_independent: bool
    fold_hash: Name
    num_folds: NumClips
    num_clips: Count
    num_trials: Annotated[Count | None, Json(absent="in_older_files")] = None
    num_failed: Annotated[Count | None, Json(absent="in_older_files")] = None
    leaks: tuple[Finding, ...]
    metrics: Annotated[Mapping[str, MetricSummary], Json(keys=_reported)]
    baseline: Annotated[Mapping[str, MetricSummary] | None, Json("metrics of the classical baseline", keys=_reported)]
    seed_ensemble: Annotated[SeedEnsembleResult | None, Json("where there are several seeds", absent="where_empty")] = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProtocolGap(Difference):
    """Pooled metric of an earlier protocol minus that of the last one."""

    first: Annotated[Name, Json("the earlier protocol")]
    second: Annotated[Name, Json("the last protocol")]
    metric: Name
    paired: Annotated[bool, Json("both protocols test the same speakers, which are resampled together")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SettingResult:
    """Metrics of one swept setting on the test parts, means over folds and seeds."""

    setting: int
    tried: Annotated[Object, Json("value of each swept field")]
    validation: Annotated[float | None, Json("mean score of the selection part; null where a trial failed")]
    metrics: Annotated[Mapping[str, MetricValue], Json(keys=_reported, beside=True)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The setting that one fold's search selected on its validation part; search.json has all settings."""

    fold: Name
    num_settings: NumClips
    num_failed: Count
    setting: Count
    tried: Annotated[Object, Json("value of each searched field")]
    validation: float | None
    median_validation: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What is known of a run without its predictions."""

    corpus: Name
    system: Name
    protocol: Name
    speaker_independent: Annotated[bool, Json("no speaker is in two parts of a fold")]
    label_set: Name
    label_target: Annotated[Name, Json("origin of the labels: acted, crowd, ...")]
    fold_hash: Annotated[Name, Json("SHA-256 over the folds' names and clips")]
    select: Annotated[
        Selection, Json("the part that selects epochs and settings, or last, the last epoch; numbers selected on the test part are flagged")
    ]
    num_undecodable: Count
    num_without_face: Count
    num_params: Count
    leaks: Annotated[tuple[Finding, ...], Json("flagged leaks")]
    seconds: Positive
    num_trials: Annotated[Count | None, Json("trials that predict: one a fold and seed", absent="in_older_files")] = None
    num_failed: Annotated[
        Count | None, Json("those that failed before their first epoch was finished: their weights are untrained", absent="in_older_files")
    ] = None
    num_clips_read: Annotated[Count | None, Json("clips of the corpus on disk, of all labels", absent="where_empty")] = None
    train_share: Annotated[Share | None, Json("share of the clips that train, mean over folds", absent="where_empty")] = None
    num_clips_of_owner: Annotated[Count | None, Json("clips of the complete corpus by its owner", absent="where_empty")] = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunResults(RunFacts):
    """Results of a run: the content of results.json."""

    num_clips: NumClips
    metrics: Annotated[Mapping[str, MetricSummary], Json(keys=_reported)]
    per_fold: Annotated[tuple[FoldResult, ...], Json(minItems=1)]
    per_seed: Annotated[tuple[SeedResult, ...], Json(minItems=1)]
    seed_ensemble: Annotated[SeedEnsembleResult | None, Json("where there are several seeds", absent="where_empty")] = None
    per_class_recall: Mapping[str, Share]
    per_class: Annotated[Mapping[str, ClassResult] | None, Json(absent="in_older_files")] = None
    per_speaker: Annotated[Mapping[str, GroupResult], Json(minProperties=1)]
    speaker_spread: Annotated[
        Mapping[str, SpeakerSpread] | None, Json("each speaker counted once", keys=_primary, absent="in_older_files")
    ] = None
    per_gender: Annotated[Mapping[str, GroupResult], Json(minProperties=1)]
    gender_gap: Annotated[GenderGap | None, Json("null where a gender is absent")] = None
    calibration: Annotated[Calibration | None, Json(absent="in_older_files")] = None
    confusion: Confusion
    training: Annotated[Confusion | None, Json("of the clips that each trial was trained on", absent="where_empty")] = None
    baseline: Annotated[BaselineResult | None, Json(absent="where_empty")] = None
    dimensions: Annotated[
        tuple[DimensionResult, ...],
        Json(
            "where they are predicted; with the label set none all clips are of one class, and metrics of classes mean nothing",
            absent="where_empty",
        ),
    ] = ()
    stages: Annotated[tuple[StageResult, ...], Json("where there are several", absent="where_empty")] = ()
    protocols: Annotated[
        tuple[ProtocolResult, ...], Json("where there are several; all else here is of the last one", absent="where_empty")
    ] = ()
    gaps: Annotated[tuple[ProtocolGap, ...], Json("between protocols", absent="where_empty")] = ()
    settings: Annotated[tuple[SettingResult, ...], Json("where something is swept", absent="where_empty")] = ()
    search: Annotated[tuple[SearchResult, ...], Json("where something is searched", absent="where_empty", minItems=1)] = ()

    @property
    def has_classes(self) -> bool:
        """Whether classes are predicted; of a single class all metrics are trivial and are not shown."""
        return len(self.confusion.classes) > 1

    @property
    def all_failed(self) -> bool:
        """Whether no trial has learned anything."""
        return bool(self.num_trials) and self.num_failed == self.num_trials

    def to_json(self) -> dict[str, Any]:
        """Return the content of results.json: plain dicts, lists and numbers."""
        return to_json(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> RunResults:
        """Read the content of a results.json, also of earlier versions; what these lack is None.

        Raises:
          ValueError: it lacks more than that, or a value has another type.
        """
        leaks = [leak if isinstance(leak, str) else leak["finding"] for leak in content.get("leaks", ())]
        return from_json(cls, {**content, "leaks": leaks})


def results_schema() -> dict[str, Any]:
    """Return the JSON Schema of results.json, made from `RunResults` and the list of metrics."""
    return schema_of(RunResults, title="results.json of a run", description="Metrics are shares, not percent.")


if __name__ == "__main__":
    write_json(SCHEMA_PATH, results_schema())
    print(f"wrote {SCHEMA_PATH}")
