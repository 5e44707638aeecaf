"""The leak audit of predictions: compare them with the folds and labels of the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from avemo_jax.protocols.audit.findings import NUM_EXAMPLES, Finding, listed
from avemo_jax.protocols.folds import Fold
from avemo_jax.text import count_of


def audit_predictions(
    folds: Sequence[Fold],
    labels: Mapping[str, str],
    classes: Sequence[str],
    seeds: Sequence[int],
    *,
    clip: Sequence[str],
    fold: Sequence[str],
    seed: Sequence[int],
    label: Sequence[str],
    predicted_classes: Sequence[str],
) -> list[Finding]:
    """Check that the predictions have each test clip once a seed, no other clips, and the labels and classes of the corpus.

    Args:
      folds: of the protocol.
      labels: clip -> class name, for all clips of the experiment.
      classes: class names of the label set, in order.
      seeds: of the run.
      clip, fold, seed, label: (N,) columns of predictions.csv; labels as class names.
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
    found = Counter(zip(clip, fold, (int(one) for one in seed), strict=True))
    expected = {(one, part.name, number) for part in folds for one in part.test for number in seeds}
    changed = sorted({one for one, word in zip(clip, label, strict=True) if one in labels and labels[one] != word})
    for name, wrong, what in (
        ("clip_dropped", sorted(expected - found.keys()), "of the test parts without a prediction"),
        ("clip_counted_twice", sorted(key for key, count in found.items() if count > 1), "predicted more than once"),
        ("prediction_outside_test_part", sorted(found.keys() - expected), "predicted but not in the test part of the fold"),
    ):
        if wrong:
            examples = tuple(f"{one} ({where}, seed {number})" for one, where, number in wrong[: NUM_EXAMPLES + 1])
            num_clips = len({one for one, _, _ in wrong})
            detail = f"{count_of(num_clips, 'clip')} {what} ({len(wrong)} rows): {listed(examples, 3)}"
            findings.append(Finding(name, detail, num_clips, examples))
    if changed:
        examples = tuple(f"{one} is {labels[one]}" for one in changed)
        detail = f"{count_of(len(changed), 'clip')} with another label than in the corpus: {listed(examples, 3)}"
        findings.append(Finding("label_changed", detail, len(changed), examples))
    return findings
