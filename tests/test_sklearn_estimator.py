"""The linear machine as a classifier of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.utils.estimator_checks import parametrize_with_checks

from avemo_jax.sklearn_estimator import LinearEmotionClassifier


@parametrize_with_checks([LinearEmotionClassifier(penalties=(1e-3, 1e-1))])
def test_scikit_learn_accepts_it(estimator, check):
    check(estimator)


def speakers(num_speakers: int = 6, num_clips: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features, labels and speakers: two features tell the class, forty tell the speaker."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(num_speakers), num_clips)
    label = np.array(["calm", "happy"])[np.arange(len(group)) % 2]
    own = rng.normal(size=(num_speakers, 40))[group]
    clue = np.where(label == "happy", 1.0, -1.0)[:, None] + rng.normal(size=(len(group), 2))
    return np.hstack([clue, own + 0.1 * rng.normal(size=own.shape)]), label, group


def test_it_predicts_other_speakers_with_honest_probabilities():
    features, label, group = speakers()
    found = cross_val_predict(
        LinearEmotionClassifier(penalties=(1e-3, 1e-2)),
        features,
        label,
        groups=group,
        cv=LeaveOneGroupOut(),
        params={"groups": group},
        method="predict_proba",
    )
    assert (found.argmax(axis=1) == (label == "happy")).mean() > 0.8
    confidence = found.max(axis=1).mean()
    assert abs(confidence - (found.argmax(axis=1) == (label == "happy")).mean()) < 0.15


def test_groups_are_kept_apart_when_the_penalty_is_chosen(monkeypatch):
    features, label, group = speakers()
    seen = []

    def fit(features, label, *, train, validation, speaker, **arguments):
        seen.append((set(speaker[train]), set(speaker[validation])))
        return fit_ridge_classes(features, label, train=train, validation=validation, speaker=speaker, **arguments)

    from avemo_jax.training.ridge import fit_ridge_classes

    monkeypatch.setattr("avemo_jax.sklearn_estimator.fit_ridge_classes", fit)
    model = LinearEmotionClassifier().fit(features, label, groups=group)
    assert not seen[0][0] & seen[0][1] and len(seen[1][0]) == 6
    assert set(model.predict(features)) == {"calm", "happy"} and model.penalty_ > 0 and model.temperature_ > 0


def test_wrong_arguments_are_sentences():
    features, label, group = speakers()
    with pytest.raises(ValueError, match="one a row"):
        LinearEmotionClassifier().fit(features, label, groups=group[1:])
    with pytest.raises(ValueError, match="linear or gaussian"):
        LinearEmotionClassifier(kernel="cubic").fit(features, label)
