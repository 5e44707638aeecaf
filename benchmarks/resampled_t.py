"""False-positive rates of t-tests over folds, the naive one and the corrected one, on simulated corpora.

    python -m benchmarks.resampled_t                      prints the table of docs/statistics.md, writes docs/resampled_t.svg
    python -m benchmarks.resampled_t --num_corpora=300    the same, coarser

Two systems predict the same clips from different features, which are equally informative and independent given class and speaker, with a
nearest-mean classifier each. Over many corpora neither is better, so a test at 5 % should find a difference in 5 of 100. Folds share most
of their training clips, which the naive test ignores.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np
from scipy.stats import ttest_1samp

from avemo_jax.evaluation.paired import corrected_resampled_t
from benchmarks.coverage import heading, percent, row

NUM_SPEAKERS, CLIPS_OF_A_SPEAKER = 24, 15
NUM_CLIPS = NUM_SPEAKERS * CLIPS_OF_A_SPEAKER
SPEAKER = np.repeat(np.arange(NUM_SPEAKERS), CLIPS_OF_A_SPEAKER)
NUM_FEATURES, DISTANCE, SPEAKER_DEVIATION = 12, 0.5, 0.4


def draw_corpus(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return labels (N,) of two classes, and features (2, N, D), one set for each system."""
    label = generator.integers(0, 2, NUM_CLIPS)
    side = np.where(label, DISTANCE / 2, -DISTANCE / 2)[:, None]
    speaker = generator.normal(0, SPEAKER_DEVIATION, (2, NUM_SPEAKERS, NUM_FEATURES))
    return label, side + speaker[:, SPEAKER] + generator.normal(size=(2, NUM_CLIPS, NUM_FEATURES))


def folds_of_clips(generator: np.random.Generator, num_folds: int = 10) -> np.ndarray:
    """Return the test parts of a cross-validation over clips, (num_folds, N) bool."""
    return np.arange(num_folds)[:, None] == generator.permutation(NUM_CLIPS) % num_folds


def folds_of_speakers(generator: np.random.Generator, num_folds: int = 5) -> np.ndarray:
    """Return the test parts of a cross-validation over speakers, as in the protocol luna5, (num_folds, N) bool."""
    return np.arange(num_folds)[:, None] == (generator.permutation(NUM_SPEAKERS) % num_folds)[SPEAKER]


def random_parts(generator: np.random.Generator, num_parts: int = 15, share: float = 0.2) -> np.ndarray:
    """Return independently drawn test parts, as in Nadeau and Bengio, (num_parts, N) bool."""
    return generator.random((num_parts, NUM_CLIPS)).argsort(axis=1) < share * NUM_CLIPS


def folds_of_clips_again(generator: np.random.Generator, num_times: int = 10) -> np.ndarray:
    """Return the test parts of `num_times` cross-validations over clips, one after another."""
    return np.concatenate([folds_of_clips(generator) for _ in range(num_times)])


PROTOCOLS = {
    "15 random parts of a fifth": random_parts,
    "10 folds of clips, 10 times": folds_of_clips_again,
    "10 folds of clips": folds_of_clips,
    "5 folds of speakers": folds_of_speakers,
}


def differences(label: np.ndarray, features: np.ndarray, tests: np.ndarray) -> np.ndarray:
    """Return the accuracy of the first system minus that of the second in each test part, (num_folds,)."""
    correct = []
    for own in features:
        means = [((~tests & (label == index)) @ own) / (~tests & (label == index)).sum(1, keepdims=True) for index in (0, 1)]
        towards = means[1] - means[0]
        score = own @ towards.T - ((means[0] + means[1]) / 2 * towards).sum(1)  # (N, num_folds)
        correct.append(((score > 0) == label[:, None]).T)
    return ((correct[0].astype(float) - correct[1]) * tests).sum(1) / tests.sum(1)


def p_values(values: np.ndarray, tests: np.ndarray) -> tuple[float, float]:
    """Return the two-sided p of the naive paired t-test over folds, and of the corrected one."""
    corrected = corrected_resampled_t(values, num_train=(~tests).sum(1).mean(), num_test=tests.sum(1).mean()).p
    naive = 1.0 if np.ptp(values) == 0 and values[0] == 0 else float(ttest_1samp(values, 0.0).pvalue)
    assert corrected is not None  # there are several folds
    return naive, corrected


def false_positives(protocol: str, num_corpora: int, *, level: float = 0.05, seed: int = 0) -> tuple[float, float]:
    """Return the false-positive rates of the naive and of the corrected test."""
    generator = np.random.default_rng(seed)
    found = np.zeros(2)
    for _ in range(num_corpora):
        label, features = draw_corpus(generator)
        tests = PROTOCOLS[protocol](generator)
        found += np.array(p_values(differences(label, features, tests), tests)) < level
    return tuple(found / num_corpora)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num_corpora", type=int, default=4000, help="simulated corpora a row")
    parser.add_argument("--output", type=Path, default=Path("docs"), help="folder for resampled_t.svg")
    options = parser.parse_args(arguments)
    heading("A difference found at 5 % where there is none, in 100", "protocol", "naive t over folds", "corrected resampled t")
    shares = {}
    for protocol in PROTOCOLS:
        shares[protocol] = false_positives(protocol, options.num_corpora)
        row(protocol, *map(percent, shares[protocol]))
    print(
        f"\n{options.num_corpora} corpora a row: a share of 5 in 100 is known to ± {196 * np.sqrt(0.05 * 0.95 / options.num_corpora):.1f}"
    )
    draw(shares, options.output / "resampled_t.svg")
    print(f"wrote {options.output / 'resampled_t.svg'}")


def draw(shares: dict[str, tuple[float, float]], path: Path) -> None:
    """Draw the false positives of both tests as bars."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 2.4), layout="constrained")
    with matplotlib.rc_context({"svg.hashsalt": "resampled_t", "svg.fonttype": "none", "font.size": 9}):
        axes = figure.subplots()
        places = np.arange(len(shares))
        for index, (name, colour) in enumerate((("naive", "#b3470a"), ("corrected", "#0b62b0"))):
            bars = axes.barh(places + (index - 0.5) * 0.36, [100 * pair[index] for pair in shares.values()], 0.34, color=colour, label=name)
            axes.bar_label(bars, fmt="%.1f", padding=2)
        axes.axvline(5, color="black", linewidth=1, linestyle="--")
        axes.axvline(7, color="black", linewidth=0.8, linestyle=":")
        axes.set_yticks(places, list(shares))
        axes.invert_yaxis()
        axes.set_xlabel("difference found where there is none, % (dashed: 5, dotted: 7)")
        axes.legend(frameon=False, loc="lower right")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
