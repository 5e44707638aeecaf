"""What a corpus holds, as tables and charts: emotions, speakers, lengths, levels, faces, odd clips, clips of one recording."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from markupsafe import Markup

from avemo_jax.clip_measures import ClipMeasures
from avemo_jax.clips import Clip, SharedMedia
from avemo_jax.labels import canonical
from avemo_jax.reporting.charts import histogram_chart
from avemo_jax.reporting.pages import data_address
from avemo_jax.reporting.tables import Column, Table, text_column
from avemo_jax.text import count_of, format_duration

Measures = Mapping[str, ClipMeasures]

NUM_LISTED = 20  # clips of one kind in a table, before the rest is counted
_SHOWN_PER_EMOTION = 6
_EXTREMES = 3  # clips at each end of a measure
_CLIPPED_SHARE = 1e-3
_SILENT_DB = -60.0
_HISTOGRAMS: tuple[tuple[str, Callable[[ClipMeasures], float | None]], ...] = (
    ("length of the sound, s", lambda one: one.sound_s),
    ("length of the film, s", lambda one: one.film_s or None),  # a still has none
    ("level, dB of full scale", lambda one: one.level_db),
    ("estimated signal-to-noise ratio, dB", lambda one: one.snr_db),
    ("width of the face, px", lambda one: one.face_px),
)


def clips_to_show(clips: Sequence[Clip]) -> list[str]:
    """Return the ids of some clips of each emotion, of other speakers as far as there are some, for the contact sheet."""
    shown = []
    for own in _grouped(sorted(clips, key=lambda one: one.clip_id), lambda clip: canonical(clip.label)).values():
        seen: Counter[str] = Counter()
        turns = []  # of each clip: how many clips of its speaker come before it
        for clip in own:
            turns.append(seen[clip.speaker])
            seen[clip.speaker] += 1
        order = sorted(range(len(own)), key=lambda index: turns[index])[:_SHOWN_PER_EMOTION]
        shown += sorted(own[index].clip_id for index in order)
    return shown


def summary(clips: Sequence[Clip], measures: Measures) -> str:
    """Return the corpus in a sentence."""
    speakers = {clip.speaker for clip in clips if clip.speaker}
    people = f"{len(speakers)} speakers" if speakers else "unnamed speakers"
    emotions = len({canonical(clip.label) for clip in clips})
    sound_s, film_s = (sum(getattr(one, name) or 0 for one in measures.values()) for name in ("sound_s", "film_s"))
    media = [f"{format_duration(length)} of {what}" for length, what in ((sound_s, "sound"), (film_s, "film")) if length]
    damaged = sum(bool(one.damage) for one in measures.values())
    return f"{len(clips):,} clips of {people}, {emotions} emotions, {' and '.join(media) or 'no sound and no film'}; {damaged} damaged."


def exploration_tables(clips: Sequence[Clip], measures: Measures, pairs: Sequence[SharedMedia]) -> list[Table]:
    """Return the tables: by emotion, by speaker, odd clips, and clips that hold the same recording."""
    tables = [_emotions(clips, measures), _speakers(clips, measures), _odd(clips, measures)]
    return [*tables, _pairs(clips, pairs)]


def histograms(measures: Measures) -> list[Markup]:
    """Draw the distribution of each measure that at least two clips have."""
    charts = []
    for name, value_of in _HISTOGRAMS:
        values = [value for one in measures.values() if (value := value_of(one)) is not None]
        if len(values) > 1:
            charts.append(histogram_chart(np.array(values), title=f"clips by {name}", x_name=name))
    return charts


def contact_sheet(clips: Sequence[Clip], measures: Measures) -> list[dict[str, object]]:
    """Return for each emotion the pictures and spectrograms that were made, as data addresses."""
    sheet: dict[str, list[dict[str, str]]] = {}
    for clip in sorted(clips, key=lambda one: one.clip_id):
        one = measures[clip.clip_id]
        shown = {"clip": clip.clip_id, "speaker": clip.speaker}
        if one.picture:
            shown["picture"] = data_address(one.picture, "image/jpeg")
        if one.spectrogram:
            shown["spectrogram"] = data_address(one.spectrogram, "image/png")
        if len(shown) > 2:
            sheet.setdefault(canonical(clip.label), []).append(shown)
    return [{"emotion": emotion, "clips": several} for emotion, several in sorted(sheet.items())]


def rows_of_clips(clips: Sequence[Clip], measures: Measures) -> tuple[list[str], list[list[object]]]:
    """Return header and rows of clips.csv: every clip with its labels and measures."""
    fields = [name for name in ClipMeasures.__dataclass_fields__ if name not in ("picture", "spectrogram")]
    header = ["clip", "label", "emotion", "speaker", "gender", "sentence", *fields]
    rows: list[list[object]] = []
    for clip in clips:
        values = [getattr(measures[clip.clip_id], name) for name in fields]
        shown = ["" if value is None else round(value, 4) if isinstance(value, float) else value for value in values]
        rows.append([clip.clip_id, clip.label, canonical(clip.label), clip.speaker, clip.gender, clip.sentence, *shown])
    return header, rows


def _emotions(clips: Sequence[Clip], measures: Measures) -> Table:
    rows = []
    for emotion, own in sorted(_grouped(clips, lambda clip: canonical(clip.label)).items()):
        found = [measures[clip.clip_id] for clip in own]
        genders = Counter(clip.gender for clip in own)
        rows.append(
            [
                emotion,
                len(own),
                100 * len(own) / len(clips),
                len({clip.speaker for clip in own if clip.speaker}) or None,
                genders["female"] or None,
                genders["male"] or None,
                *_medians(found),
            ]
        )
    columns = [text_column("emotion"), Column("clips"), _tenths("share, %"), *map(Column, ("speakers", "female", "male")), *_MEDIANS]
    return Table("emotions", "By emotion", columns, rows, "medians over clips")


def _speakers(clips: Sequence[Clip], measures: Measures) -> Table:
    emotions = sorted({canonical(clip.label) for clip in clips})
    rows = []
    for speaker, own in sorted(_grouped(clips, lambda clip: clip.speaker or "(unknown)").items()):
        counts = Counter(canonical(clip.label) for clip in own)
        genders = {clip.gender for clip in own} - {"unknown"}
        rows.append(
            [
                speaker,
                " and ".join(sorted(genders)) or None,
                len(own),
                *(counts[emotion] or None for emotion in emotions),
                *_medians([measures[clip.clip_id] for clip in own]),
            ]
        )
    columns = [text_column("speaker"), text_column("gender"), Column("clips"), *map(Column, emotions), *_MEDIANS]
    return Table("speakers", "By speaker", columns, rows, "clips of each emotion; medians over clips")


def _tenths(title: str) -> Column:
    return Column(title, "{:.1f}".format)


_MEDIANS = [_tenths("length, s"), _tenths("level, dB"), _tenths("SNR, dB"), _tenths("with face, %"), Column("face, px", "{:.0f}".format)]


def _medians(found: Sequence[ClipMeasures]) -> list[float | None]:
    """Return medians of length, level and SNR, the share of searched frames with a face, and the median width of the face."""

    def median(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return statistics.median(known) if known else None

    searched = sum(one.num_searched for one in found)
    return [
        median([one.film_s if one.sound_s is None else one.sound_s for one in found]),
        median([one.level_db for one in found]),
        median([one.snr_db for one in found]),
        100 * sum(one.num_with_face for one in found) / searched if searched else None,
        median([one.face_px for one in found]),
    ]


def _odd(clips: Sequence[Clip], measures: Measures) -> Table:
    """Return clips that are worth a look: damaged, silent, clipped, without a face, and those at both ends of each measure."""
    known = [(clip.clip_id, measures[clip.clip_id]) for clip in clips]
    kinds: list[tuple[str, list[tuple[str, str]]]] = [
        ("damaged", [(name, one.damage) for name, one in known if one.damage]),
        ("silent", [(name, f"peak {one.peak_db:.0f} dB") for name, one in known if one.peak_db is not None and one.peak_db < _SILENT_DB]),
        (
            "clipped",
            [(name, f"{one.clipped_share:.2%} of the samples") for name, one in known if (one.clipped_share or 0) > _CLIPPED_SHARE],
        ),
        (
            "no face",
            [(name, f"in {one.num_searched} searched frames") for name, one in known if one.num_searched and not one.num_with_face],
        ),
    ]
    for low, high, field, unit in (
        ("shortest", "longest", "sound_s", "s"),
        ("softest", "loudest", "level_db", "dB"),
        ("lowest SNR", "highest SNR", "snr_db", "dB"),
    ):
        ranked = sorted(((value, name) for name, one in known if (value := getattr(one, field)) is not None))
        if len(ranked) > 2 * _EXTREMES:
            kinds.append((low, [(name, f"{value:.1f} {unit}") for value, name in ranked[:_EXTREMES]]))
            kinds.append((high, [(name, f"{value:.1f} {unit}") for value, name in ranked[: -_EXTREMES - 1 : -1]]))
    rows = []
    for kind, found in kinds:
        rows += [[kind, name, detail] for name, detail in found[:NUM_LISTED]]
        if len(found) > NUM_LISTED:
            rows.append([kind, f"and {len(found) - NUM_LISTED:,} more", "clips.csv has all"])
    return Table("odd", "Clips worth a look", [text_column(title) for title in ("what", "clip", "detail")], rows)


def _pairs(clips: Sequence[Clip], pairs: Sequence[SharedMedia]) -> Table:
    by_id = {clip.clip_id: clip for clip in clips}
    rows = []
    for pair in pairs[:NUM_LISTED]:
        first, second = by_id[pair.first], by_id[pair.second]
        labels = "the same" if canonical(first.label) == canonical(second.label) else f"{first.label} and {second.label}"
        rows.append([pair.first, pair.second, pair.how, labels])
    note = f"{count_of(len(pairs), 'pair')} in all" if pairs else "no two clips hold the same recording"
    columns = [text_column(title) for title in ("clip", "other clip", "what is the same", "labels")]
    return Table("pairs", "Clips that hold the same recording", columns, rows, note)


def _grouped(clips: Sequence[Clip], key: Callable[[Clip], str]) -> dict[str, list[Clip]]:
    found: dict[str, list[Clip]] = {}
    for clip in clips:
        found.setdefault(key(clip), []).append(clip)
    return found
