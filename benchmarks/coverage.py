"""Coverage of confidence intervals and false-positive rates of paired tests, on simulated speakers.

    python -m benchmarks.coverage                     prints the tables of docs/statistics.md, writes docs/coverage.svg
    python -m benchmarks.coverage --num_cohorts=200   the same, coarser

A cohort is a corpus that one trained system has predicted: G speakers with RAVDESS's 60 clips each (4 neutral, 8 of each other class).
Speakers differ: each has a skill, and one for each class, drawn from normal distributions, which shift the log-odds of correct predictions
of its clips. The true value is that of infinitely many speakers. An interval at 95 % should contain it in 95 of 100 cohorts.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from scipy.special import expit
from scipy.stats import norm

from avemo_jax.evaluation.metrics import NUM_ECE_BINS, ece_from_bins, metric_named
from avemo_jax.evaluation.paired import mcnemar_exact, paired_bootstrap
from avemo_jax.evaluation.statistics import draw_speakers, speaker_bootstrap

CLIPS = np.array([4, 8, 8, 8, 8, 8, 8, 8])  # of one speaker, by class
NUM_CLASSES, NUM_CLIPS = len(CLIPS), int(CLIPS.sum())
LABEL = np.repeat(np.arange(NUM_CLASSES), CLIPS)
EASE = np.array([0.3, 1.0, -0.4, -0.8, 1.2, 0.1, 0.6, 0.9])  # log-odds of a correct prediction, by class
CLIP_DEVIATION = 1.0  # standard deviation of the log-odds between clips
# Probabilities of the predicted class of an error, by true class: rows sum to 1, with zeros on the diagonal.
ERRORS = np.random.default_rng(5).dirichlet(np.ones(NUM_CLASSES - 1), NUM_CLASSES)
ERRORS = np.stack([np.insert(row, index, 0.0) for index, row in enumerate(ERRORS)])
NUM_RESAMPLES = 1000


@dataclasses.dataclass(frozen=True)
class Population:
    """Speakers of one kind: standard deviation of their skill in log-odds, and a shift of the system's log-odds from EASE."""

    skill_deviation: float
    ease: float = 0.0

    def log_odds(self, generator: np.random.Generator, num_speakers: int) -> np.ndarray:
        """Return (num_speakers, NUM_CLIPS) log-odds of a correct prediction of each clip."""
        skill = generator.normal(0, self.skill_deviation, (num_speakers, 1))
        skill = skill + generator.normal(0, self.skill_deviation / 2, (num_speakers, NUM_CLASSES))
        return EASE[LABEL] + self.ease + skill[:, LABEL] + generator.normal(0, CLIP_DEVIATION, (num_speakers, NUM_CLIPS))

    def expected_confusion(self) -> np.ndarray:
        """Return the mean confusion matrix (K, K) of a speaker, by Gauss-Hermite quadrature over the normal distributions."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(101)
        deviation = np.sqrt(self.skill_deviation**2 * 1.25 + CLIP_DEVIATION**2)
        recall = expit(EASE[:, None] + self.ease + deviation * nodes) @ weights / weights.sum()
        return CLIPS[:, None] * (recall[:, None] * np.eye(NUM_CLASSES) + (1 - recall[:, None]) * ERRORS)

    def expected_bins(self, num_speakers: int = 40_000) -> np.ndarray:
        """Return the calibration bins (NUM_ECE_BINS, 3) of very many speakers."""
        return bins_of(*predict(np.random.default_rng(7), self.log_odds(np.random.default_rng(8), num_speakers))[1:]).sum(0)


def predict(generator: np.random.Generator, log_odds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for log-odds (G, NUM_CLIPS) of a correct prediction of each clip: prediction, whether it is correct, its confidence."""
    right = generator.random(log_odds.shape) < expit(log_odds)
    wrong = (generator.random(log_odds.shape)[..., None] > ERRORS.cumsum(1)[LABEL]).sum(-1)
    confidence = np.clip(expit(1.4 * log_odds + generator.normal(0, 0.5, log_odds.shape)), 1 / NUM_CLASSES, 1)  # overconfident
    return np.where(right, LABEL, np.minimum(wrong, NUM_CLASSES - 1)), right, confidence


def confusion_of(predicted: np.ndarray) -> np.ndarray:
    """Return the confusion counts (G, K, K) of predictions (G, NUM_CLIPS)."""
    cell = np.arange(len(predicted))[:, None] * NUM_CLASSES**2 + LABEL * NUM_CLASSES + predicted
    return np.bincount(cell.ravel(), minlength=len(predicted) * NUM_CLASSES**2).reshape(-1, NUM_CLASSES, NUM_CLASSES)


def bins_of(right: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """Return calibration bins (G, NUM_ECE_BINS, 3), as `metrics.calibration_bins`, of correctness and confidence (G, NUM_CLIPS)."""
    index = np.clip(np.ceil(confidence * NUM_ECE_BINS).astype(int) - 1, 0, NUM_ECE_BINS - 1)
    cell = (np.arange(len(right))[:, None] * NUM_ECE_BINS + index).ravel()
    size = len(right) * NUM_ECE_BINS
    columns = [np.bincount(cell, weights.ravel(), size) for weights in (np.ones(right.shape), right.astype(float), confidence)]
    return np.stack(columns, axis=-1).reshape(-1, NUM_ECE_BINS, 3)


def percentile(sums: np.ndarray, metric: Callable, seed: int) -> tuple[float, float]:
    """Return the percentile interval over speakers."""
    values = metric(np.tensordot(draw_speakers(len(sums), NUM_RESAMPLES, seed), sums, axes=1))
    return tuple(np.quantile(values, [0.025, 0.975]))


def bca(sums: np.ndarray, metric: Callable, seed: int) -> tuple[float, float]:
    """Return the bias-corrected and accelerated interval over speakers (Efron and Tibshirani 1993, section 14.3)."""
    total = sums.sum(0)
    estimate, values = metric(total[None])[0], metric(np.tensordot(draw_speakers(len(sums), NUM_RESAMPLES, seed), sums, axes=1))
    without = metric(total - sums)
    lean = without.mean() - without
    spread = 6 * (lean**2).sum() ** 1.5
    acceleration = (lean**3).sum() / spread if spread else 0.0
    bias = norm.ppf(np.clip((values < estimate).mean() + (values == estimate).mean() / 2, 1e-6, 1 - 1e-6))
    shifted = bias + norm.ppf([0.025, 0.975])
    return tuple(np.quantile(values, norm.cdf(bias + shifted / (1 - acceleration * shifted))))


def ours(sums: np.ndarray, metric: Callable, seed: int) -> tuple[float, float]:
    """Return the interval of this project."""
    scale = "error" if metric is ece_from_bins else "share"
    return speaker_bootstrap(sums, metric, scale=scale, num_resamples=NUM_RESAMPLES, seed=seed)


def clip_level(sums: np.ndarray, metric: Callable, seed: int) -> tuple[float, float]:
    """Return the percentile interval of a bootstrap that draws clips as if they were independent; only for confusion matrices."""
    counts = sums.sum(0)
    drawn = np.random.default_rng(seed).multinomial(counts.sum(), counts.ravel() / counts.sum(), size=NUM_RESAMPLES)
    return tuple(np.quantile(metric(drawn.reshape(-1, *counts.shape)), [0.025, 0.975]))


METHODS = {"ours": ours, "percentile": percentile, "BCa": bca, "clip level": clip_level}


def coverage(
    population: Population,
    num_speakers: int,
    num_cohorts: int,
    *,
    metrics: Sequence[str] = ("uar",),
    methods: Sequence[str] = tuple(METHODS),
    seed: int = 0,
) -> dict[tuple[str, str], float]:
    """Return (metric, method) -> share of cohorts with the true value inside the interval; the calibration error has no clip-level one."""
    generator = np.random.default_rng(seed)
    truth = {name: metric_named(name).value(population.expected_confusion()) for name in metrics if name != "ece"}
    if "ece" in metrics:
        truth["ece"] = ece_from_bins(population.expected_bins())
    covered = {(name, method): 0 for name in metrics for method in methods if (name, method) != ("ece", "clip level")}
    for cohort in range(num_cohorts):
        predicted, right, confidence = predict(generator, population.log_odds(generator, num_speakers))
        counts, bins = confusion_of(predicted), bins_of(right, confidence)
        for name, method in covered:
            sums, metric = (bins, ece_from_bins) if name == "ece" else (counts, metric_named(name).value)
            low, high = METHODS[method](sums, metric, cohort)
            covered[name, method] += low <= truth[name] <= high
    return {key: count / num_cohorts for key, count in covered.items()}


def false_positives(population: Population, num_speakers: int, num_cohorts: int, *, seed: int = 0) -> tuple[float, float]:
    """Return the shares of cohorts in which two equally good systems, with independent skills on each speaker, differ with p < 0.05.

    Returns:
      The share by the paired bootstrap of UAR over speakers, and the share by the exact McNemar test over clips.
    """
    generator = np.random.default_rng(seed)
    over_speakers = over_clips = 0
    for cohort in range(num_cohorts):
        both = [predict(generator, population.log_odds(generator, num_speakers)) for _ in range(2)]
        first, second = (confusion_of(predicted) for predicted, _, _ in both)
        difference = paired_bootstrap(first, second, metric_named("uar").value, num_resamples=NUM_RESAMPLES, seed=cohort)
        over_speakers += difference.p < 0.05
        over_clips += mcnemar_exact(*(right.ravel() for _, right, _ in both)).p < 0.05
    return over_speakers / num_cohorts, over_clips / num_cohorts


METRICS = {"uar": "UAR", "war": "WAR", "macro_f1": "macro F1", "ece": "ECE"}
NUMBERS_OF_SPEAKERS = (2, 4, 8, 10, 24, 91)  # TESS, SAVEE, RML, IEMOCAP, RAVDESS, CREMA-D
POPULATIONS = {
    "equal": Population(0.0),
    "different": Population(0.5),
    "very different": Population(1.0),
    "very different, good system": Population(1.0, 2.5),
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num_cohorts", type=int, default=1000, help="simulated corpora a row")
    parser.add_argument("--output", type=Path, default=Path("docs"), help="folder for coverage.svg")
    options = parser.parse_args(arguments)
    count = options.num_cohorts
    print(f"{count} cohorts a row: a share of 95 in 100 is known to ± {196 * np.sqrt(0.05 * 0.95 / count):.1f}")

    heading("Cohorts with the true value inside the 95 % interval of UAR, in 100", "speakers are", "true UAR", "speakers", *METHODS)
    shares: dict[tuple[str, int], list[float]] = {}
    for kind, population in POPULATIONS.items():
        level = metric_named("uar").value(population.expected_confusion())
        for number in NUMBERS_OF_SPEAKERS:
            found = coverage(population, number, count, metrics=("uar",), seed=number)
            shares[kind, number] = [found["uar", method] for method in METHODS]
            row(kind, percent(level), str(number), *map(percent, shares[kind, number]))

    heading("The same of the product's interval, 24 speakers, by metric", "speakers are", *METRICS.values())
    for kind, population in POPULATIONS.items():
        found = coverage(population, 24, count, metrics=tuple(METRICS), seed=1)
        row(kind, *(percent(found[name, "ours"]) for name in METRICS))

    tests = ("paired bootstrap over speakers", "McNemar over clips")
    heading("Two systems that are equally good, each with speakers of its own: p under 0.05, in 100", "speakers are", "speakers", *tests)
    for kind, population in POPULATIONS.items():
        for number in (10, 24):
            row(kind, str(number), *map(percent, false_positives(population, number, count, seed=number)))
    draw(shares, options.output / "coverage.svg")
    print(f"\nwrote {options.output / 'coverage.svg'}")


def heading(title: str, *columns: str) -> None:
    """Print a title and the head of a Markdown table."""
    print(f"\n{title}\n")
    row(*columns)
    row(*["---"] * len(columns))


def row(*cells: str) -> None:
    """Print a row of a Markdown table."""
    print(f"| {' | '.join(cells)} |", flush=True)


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def draw(shares: dict[tuple[str, int], list[float]], path: Path) -> None:
    """Draw coverage over the number of speakers, one panel a population."""
    from matplotlib.figure import Figure

    kinds = list(dict.fromkeys(kind for kind, _ in shares))
    figure = Figure(figsize=(9, 2.9), layout="constrained")
    with matplotlib.rc_context({"svg.hashsalt": "coverage", "svg.fonttype": "none", "font.size": 9}):
        panels = figure.subplots(1, len(kinds), sharey=True)
        for axes, kind in zip(np.atleast_1d(panels), kinds, strict=True):
            numbers = [number for other, number in shares if other == kind]
            axes.axhspan(93, 97, color="#2e7d32", alpha=0.15, linewidth=0)
            for index, (method, style) in enumerate(zip(METHODS, ("o-", "s--", "^:", "x-."), strict=True)):
                line = [100 * shares[kind, number][index] for number in numbers]
                axes.plot(numbers, line, style, label=method, color=("#0b62b0", "#b3470a", "#4f7a1d", "#555555")[index], markersize=4)
            axes.set_xscale("log")
            axes.set_xticks(numbers, ["" if number == 10 else str(number) for number in numbers])  # the labels 8 and 10 would overlap
            axes.minorticks_off()
            axes.set_ylim(20, 101)
            axes.set_title(kind, fontsize=9)
            axes.set_xlabel("number of speakers")
        np.atleast_1d(panels)[0].set_ylabel("interval holds the truth, %")
        np.atleast_1d(panels)[0].legend(frameon=False, fontsize=8)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
