"""Every corpus, system and protocol that the configs offer, and what this machine lacks to run each; a part of the API."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avemo_jax.config import Experiment, parse
from avemo_jax.system_views import view_steps, views_of_streams


@dataclasses.dataclass(frozen=True)
class WantedSystem:
    """A system of a corpus's config.

    Attributes:
      corpus, system: names, as results have them.
      protocols: that fit the corpus.
      lacks: what this machine lacks to run it, in a few words; "" where nothing is missing.
    """

    corpus: str
    system: str
    protocols: tuple[str, ...]
    lacks: str


def wanted_systems(places: Mapping[str, Mapping[str, Any]]) -> list[WantedSystem]:
    """Return all systems of all configs.

    Args:
      places: corpus -> the stored config of a run of it, from which its folder, weights and tables are taken.
    """
    import configs

    found = []
    for path in sorted(Path(configs.__file__).parent.glob("[!_]*.py")):
        module = __import__(f"configs.{path.stem}", fromlist=["get_config"])
        for name in getattr(module, "SYSTEMS", ()):
            experiment = parse(module.get_config(name).to_dict())
            found.append(_wanted(experiment, places.get(experiment.corpus.name)))
    return found


def _wanted(experiment: Experiment, place: Mapping[str, Any] | None) -> WantedSystem:
    from avemo_jax.protocols.rules import protocol_names

    corpus = experiment.corpus.name
    if place is not None:
        experiment = dataclasses.replace(
            experiment,
            corpus=dataclasses.replace(experiment.corpus, root=place["corpus"]["root"]),
            weights_dir=place.get("weights_dir", experiment.weights_dir),
            views=_with_tables(experiment.views, place.get("views", {})),
            encoders={name: _with_weights(one, place.get("encoders", {}).get(name, {})) for name, one in experiment.encoders.items()},
        )
    names = protocol_names("+".join(sorted(corpus.lower().split("+"))))
    return WantedSystem(corpus, experiment.system.name, names, what_is_missing(experiment))


def what_is_missing(experiment: Experiment) -> str:
    """Return what this machine lacks to run an experiment: the corpus, media, a table or weights; "" where nothing is missing."""
    from avemo_jax.experiment.encoder_weights import absent_weights, find_weights
    from data_prep.corpora import CorpusNotFound
    from data_prep.prepare_corpus import check_media, clips_of_corpus
    from data_prep.views import VIEWS, make_view

    own = experiment.corpus
    try:
        clips = clips_of_corpus(own.name, own.root, dataclasses.asdict(own))
    except (CorpusNotFound, OSError):
        return f"the corpus {own.name}"
    except ValueError as error:
        return str(error)
    lacks: list[str] = []
    for name, (view, params) in views_of_streams(experiment).items():
        if view.startswith("table"):
            if not params.get("path") or not Path(params["path"]).is_file():
                lacks.append(f"a feature table (views.{view}.path)")
            continue
        try:
            check_media(name, make_view(view, **params), clips)
        except ValueError:
            modality = getattr(VIEWS[view], "modality", "")
            lacks.append({"audio": "sound", "video": "films"}.get(modality, f"media of {name}"))
    if not lacks:
        lacking = absent_weights(experiment) or [name for name, (_, fix) in find_weights(experiment, view_steps(experiment)).items() if fix]
        lacks += [f"weights of {name}" for name in lacking]
    return ", ".join(dict.fromkeys(lacks))


def _with_tables(views: Mapping[str, Mapping[str, Any]], stored: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {
        name: {**params, "path": stored.get(name, {}).get("path") or params.get("path")} if name.startswith("table") else params
        for name, params in views.items()
    }


def _with_weights(settings: Any, stored: Mapping[str, Any]) -> Any:
    return dataclasses.replace(settings, weights=stored["weights"]) if stored.get("weights") else settings


def places_of(configs_of_runs: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return corpus -> the config of a run of it whose folder is there; one with a feature table and files of weights comes first."""

    def richness(config: Mapping[str, Any]) -> int:
        tables = sum(bool(one.get("path")) for name, one in config.get("views", {}).items() if name.startswith("table"))
        return tables + sum(Path(str(one.get("weights", ""))).is_absolute() for one in config.get("encoders", {}).values())

    found: dict[str, Mapping[str, Any]] = {}
    for config in sorted(configs_of_runs, key=richness, reverse=True):
        root = config.get("corpus", {}).get("root")
        if root and Path(root).is_dir():
            found.setdefault(config["corpus"]["name"], config)
    return found
