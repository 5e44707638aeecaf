"""The card of a model folder (README.md): what the models predict, training data, numbers, limits, and how they were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from avemo_jax.evaluation.metrics import primary_metrics
from avemo_jax.evaluation.results import RunResults
from avemo_jax.reporting.caveats import caveats, chance, speaker_protocol
from avemo_jax.reporting.encoders_table import NOT_STATED
from avemo_jax.reporting.pages import mean_of_folds, pooled
from avemo_jax.reporting.run_tables import systems_of
from avemo_jax.text import count_of, format_percent

# Corpus -> licence of its recordings, as its owner states it.
LICENCES: Mapping[str, str] = {
    "ravdess": "CC BY-NC-SA 4.0 (https://zenodo.org/records/1188976): non-commercial use, with credit, under the same licence",
    "tess": "CC BY-NC-ND 4.0 (https://doi.org/10.5683/SP2/E8H2MF): non-commercial use",
    "crema_d": "Open Database License 1.0 (https://github.com/CheyneyComputerScience/CREMA-D)",
    "synthetic": "drawn and synthesised by this project: free",
}
OF_WEIGHTS = (  # as docs/limits.md has it
    "Whether a licence of recordings binds the weights made from them is not settled; use weights as the recordings may be used."
)
_TARGETS = {
    "acted": "what the actor was asked to express, not what anybody felt",
    "crowd": "what raters heard or saw in the recording, not what anybody felt",
    "found": "what the source of the media names, not what anybody felt",
}


def model_card(
    results: RunResults,
    described: Mapping[str, Any],
    *,
    streams: Sequence[str],
    segment_s: float,
    licences: Mapping[str, str],
    not_inside: Sequence[str] = (),
    command: Sequence[str] = (),
    half_precision: bool = False,
    programs: Sequence[str] = (),
) -> str:
    """Return the model card as Markdown.

    Args:
      results: of the run.
      described: content of model.json.
      streams: what the models take, "audio" or "video", or names of other streams.
      segment_s: length of a segment that the models were trained on.
      licences: view -> licence, for views that are not free for every use.
      not_inside: what prediction needs beside the folder.
      command: the command of the export.
      half_precision: whether weights are stored in float16.
      programs: further files of the folder, with what they are.
    """
    members = described["members"]
    folds = sorted({one["fold"] for one in members})
    return "\n".join(
        [
            f"# {results.system}, trained on {results.corpus}",
            "",
            f"{count_of(len(members), 'model')} of Avemo from one cross-validation: "
            f"{count_of(len(folds), 'fold')} x {count_of(len({one['seed'] for one in members}), 'seed')}. The prediction is the mean of "
            "their probabilities.",
            "",
            "```",
            "python run.py --mode=predict --run=THIS_FOLDER --input=clip.mp4",
            "```",
            "",
            "## What it predicts",
            "",
            f"From {' and '.join(streams)}, in segments of at most {segment_s:g} s:",
            "",
            *_predicts(described["classes"], described["dimensions"]),
            "",
            *_data_and_numbers(results, licences),
            "",
            "## Encoders",
            "",
            *_encoders(described["encoders"]),
            *(["", "## What else it needs", "", *(f"- {one}" for one in not_inside)] if not_inside else []),
            "",
            "## Intended use and limits",
            "",
            *_limits(results),
            "",
            "## How it was made",
            "",
            "```",
            " ".join(described["made_by"].get("command") or ("unknown",)),
            " ".join(command),
            "```",
            "",
            f"Commit `{described['made_by'].get('git_commit')}`, run `{described['made_by'].get('run_id')}`. "
            + ("Weights are stored in float16, predictions then differ from the run's by less than 0.001." if half_precision else "")
            + "model.json has the versions of all packages and the SHA-256 of the files.",
            *(["", "## Further files", "", *(f"- {one}" for one in programs)] if programs else []),
            "",
        ]
    )


def run_card(results: RunResults, classes: Sequence[str], *, streams: Sequence[str]) -> str:
    """Return the card of a run that was not exported, as Markdown: `model_card` without encoders and files.

    Args:
      results: of the run.
      classes: names of the classes.
      streams: what the models take, "audio" or "video".
    """
    return "\n".join(
        [
            f"# {results.system}, trained on {results.corpus}",
            "",
            "## What it predicts",
            "",
            f"From {' and '.join(streams)}:",
            "",
            *_predicts(classes, [one.dimension for one in results.dimensions]),
            "",
            *_data_and_numbers(results, {}),
            "",
            "## Intended use and limits",
            "",
            *_limits(results),
            "",
        ]
    )


def _data_and_numbers(results: RunResults, licences: Mapping[str, str]) -> list[str]:
    return [
        "## Training data",
        "",
        f"- Corpus: {results.corpus}, {results.num_clips:,} clips of {count_of(len(results.per_speaker), 'speaker')}.",
        f"- Labels: {_TARGETS.get(results.label_target, results.label_target)} (label set `{results.label_set}`).",
        *(f"- Licence of {one}: {LICENCES.get(one, 'see its owner')}." for one in results.corpus.split("+")),
        *(f"- Licence of the view {view}: {licence}." for view, licence in licences.items()),
        "",
        f"{OF_WEIGHTS} See docs/limits.md, Licences.",
        "",
        "## Numbers",
        "",
        *_numbers(results),
    ]


def _predicts(classes: Sequence[str], dimensions: Sequence[str]) -> list[str]:
    lines = [f"- one probability for each of {', '.join(classes)}"] if len(classes) > 1 else []
    return lines + ([f"- a value of {', '.join(dimensions)}, in units of the corpus's scale"] if dimensions else [])


def _numbers(results: RunResults) -> list[str]:
    """Return the table of metrics with their intervals, the protocol, and the caveats."""
    lines = [
        f"Protocol `{results.protocol}` ({speaker_protocol(results)}), selection on the {results.select} part. In %; mean ± standard",
        "deviation over folds and seeds; pooled over all clips, with 95 % intervals by bootstrap over speakers.",
        "",
    ]
    if results.has_classes:
        metrics = primary_metrics()
        rows = []
        for name, values in systems_of(results):
            rows += [[name, "mean of folds", *(mean_of_folds(values[metric.name]) for metric in metrics)]]
            rows += [[name, "pooled", *(pooled(values[metric.name]) for metric in metrics)]]
        of_chance = chance(results)
        rows += [["chance", "pooled", *(format_percent(of_chance[metric.name]) if metric.name in of_chance else "-" for metric in metrics)]]
        head = ["system", "over", *(metric.title for metric in metrics)]
        lines += [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
        lines += [
            "",
            f"Recall by class: {', '.join(f'{name} {format_percent(value)}' for name, value in results.per_class_recall.items())}.",
        ]
    for one in results.dimensions:
        lines += [f"- {one.dimension}: {', '.join(f'{name} {value.mean_of_folds:.3f}' for name, value in one.metrics.items())}"]
    lines += [
        "",
        "Each number is of single models on clips that they were not trained on. The mean of all models cannot be measured on this corpus,",
        "since every clip was training material of some of them.",
        "",
    ]
    found = caveats(results)
    return lines + ([f"- Flagged: {one}" for one in found] if found else ["The leak audit flagged nothing."])


def _encoders(encoders: Sequence[Mapping[str, Any]]) -> list[str]:
    if not encoders:
        return ["None: nothing but the weights in this folder."]
    lines = ["Their weights are not inside. They are fetched from their owner, or read from a folder that a flag names.", ""]
    for one in encoders:
        known = NOT_STATED if one["trained_on"] is None else ", ".join(one["trained_on"]) or "nothing"
        lines.append(
            f"- `{one['name']}` ({one['weights']} weights): licence {one['licence'] or NOT_STATED}; trained on: {known}; "
            f"{', '.join(one['pages']) or 'a file of the user'}; SHA-256 `{one['sha256'] or 'none'}`. Flag: "
            f"`--config.encoders.{one['name']}.weights=FOLDER`"
        )
    return lines


def _limits(results: RunResults) -> list[str]:
    synthetic = "synthetic" in results.corpus.split("+")
    acted = {
        "acted": "It has learned how actors show an emotion on request. People in daily life show less, and other things.",
        "crowd": "It has learned what raters agree on, and their errors and prejudices.",
    }.get(results.label_target, "It has learned labels of the media's source, and their errors.")
    return [
        "- For research and teaching: a starting point, an example, a number to compare with.",
        *(["- It was trained on drawn faces and synthesised voices, and says nothing about people."] if synthetic else [f"- {acted}"]),
        "- It knows the speakers, language, rooms and microphones of its corpus alone; elsewhere its numbers are unknown and likely lower.",
        "- It cannot know what a person feels, why, or whether they mean it: it names the class whose examples a recording is most like,",
        "  even where no class fits.",
        "- Do not decide about people with it: not in hiring, school, police, medicine or insurance. In the European Union the law forbids",
        "  inferring emotions at work and in education, but for medical and safety reasons (Regulation 2024/1689, article 5).",
    ]
