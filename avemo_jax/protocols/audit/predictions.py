"""The leak audit of predictions: compare them with the folds and labels of the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from avemo_jax.protocols.audit.findings import NUM_EXAMPLES, Finding, listed
from avemo_jax.protocols.folds import Fold
from avemo_jax.text import count_of


class PredictedTrial(NamedTuple):
    """Rows of one trial: its fold and seed, and the clips and class names of the labels, (N,) each."""

    fold: str
    seed: int
    clip: Sequence[str]
    label: Sequence[str]


def audit_predictions(
    folds: Sequence[Fold],
    labels: Mapping[str, str],
    classes: Sequence[str],
    seeds: Sequence[int],
    *,
    trials: Iterable[PredictedTrial],
    predicted_classes: Sequence[str],
) -> list[Finding]:
    """Check that the predictions have each test clip once a seed, no other clips, and the labels and classes of the corpus.

    Args:
      folds: of the protocol.
      labels: clip -> class name, for all clips of the experiment.
      classes: class names of the label set, in order.
      seeds: of the run.
      trials: the predictions, which are taken one trial after another.
      predicted_classes: class names of the p_<class> columns.
    """
    findings = []
    if tuple(classes) != tuple(predicted_classes):
        detail = (
            f"the label set has {count_of(len(classes), 'class')} ({', '.join(classes)}), "
            f"the predictions {len(predicted_classes)} ({', '.join(predicted_classes)})"
        )
        different = tuple(sorted(set(classes) ^ set(predicted_classes))) or tuple(predicted_classes)
        findings.append(Finding("classes_differ", detail, len(different), different))
    expected = {(fold.name, seed): set(fold.test) for fold in folds for seed in seeds}
    missing, twice, outside, changed = [], [], [], set()
    for trial in trials:
        found = Counter(trial.clip)
        own = expected.pop((trial.fold, trial.seed), set())
        missing += [(clip, trial.fold, trial.seed) for clip in own - found.keys()]
        twice += [(clip, trial.fold, trial.seed) for clip, count in found.items() if count > 1]
        outside += [(clip, trial.fold, trial.seed) for clip in found.keys() - own]
        changed |= {clip for clip, word in zip(trial.clip, trial.label, strict=True) if labels.get(clip, word) != word}
    missing += [(clip, fold, seed) for (fold, seed), clips in expected.items() for clip in clips]
    for name, wrong, what in (
        ("clip_dropped", sorted(missing), "of the test parts without a prediction"),
        ("clip_counted_twice", sorted(twice), "predicted more than once"),
        ("prediction_outside_test_part", sorted(outside), "predicted but not in the test part of the fold"),
    ):
        if wrong:
            examples = tuple(f"{one} ({where}, seed {number})" for one, where, number in wrong[: NUM_EXAMPLES + 1])
            num_clips = len({one for one, _, _ in wrong})
            detail = f"{count_of(num_clips, 'clip')} {what} ({len(wrong)} rows): {listed(examples, 3)}"
            findings.append(Finding(name, detail, num_clips, examples))
    if changed:
        examples = tuple(f"{one} is {labels[one]}" for one in sorted(changed))
        detail = f"{count_of(len(changed), 'clip')} with another label than in the corpus: {listed(examples, 3)}"
        findings.append(Finding("label_changed", detail, len(changed), examples))
    return findings
