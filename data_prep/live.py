"""New media for a trained system: the views of one file as streams of segments, with its damage told beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from avemo_jax.clips import Clip
from avemo_jax.data.prepared import Damage
from data_prep.decoding.media import MediaError
from data_prep.sets.staging import StageTask, Watch, view_segments
from data_prep.views import make_view
from data_prep.views.segments import ViewSegment, check_same_cut


class LiveViews:
    """The views that a system takes of media files that belong to no corpus.

    Args:
      views: stream -> (view name, its parameters).

    Attributes:
      views: stream -> (step_shape, dtype).
      segment_s: length of a segment.
      step_s: None where segments follow each other. Where the sound says where they lie (system B) and they overlap: length of a step,
        of which times_s tells the middle.

    Raises:
      ValueError: a view is impossible or cannot be made from media, or the streams are cut into segments at different places.
    """

    def __init__(self, views: Mapping[str, tuple[str, Mapping[str, Any]]]):
        self._views = {stream: make_view(name, **params) for stream, (name, params) in views.items()}
        for stream, view in self._views.items():
            if not hasattr(view, "segments"):
                raise ValueError(
                    f"the {stream} stream of this system comes from a table of its corpus (view {view.name}), which new media is not in; "
                    "predict with a system whose views are made from media"
                )
        lengths = {stream: view.segment_s for stream, view in self._views.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"the streams must be cut into segments of one length, got segment_s {lengths}; set views.<view>.segment_s")
        check_same_cut(self._views)
        self.segment_s = next(iter(lengths.values()))
        self.step_s: float | None = getattr(next(iter(self._views.values())), "step_s", None)
        self.views = {stream: (tuple(view.step_shape), view.dtype) for stream, view in self._views.items()}

    def open(self, path: Path) -> tuple[dict[str, Iterator[ViewSegment]], list[Damage]]:
        """Return the streams of a file, decoded while they are read, one segment in memory at a time; and what is wrong with it.

        The list of damages fills while the streams are read. A file that cannot be decoded to its end gives what comes before the damage.
        """
        problems: list[Damage] = []
        return {stream: _segments(Path(path), view, problems) for stream, view in self._views.items()}, problems


def _segments(path: Path, view: Any, problems: list[Damage]) -> Iterator[ViewSegment]:
    clip = Clip(clip_id=path.name, corpus="live", label="", speaker="", audio=path.name, video=path.name)
    watch = Watch()
    try:
        yield from view_segments(StageTask(clip, view, path.parent, path), watch)
    except MediaError as error:
        problems.append(Damage(error.kind, error.detail))
    else:
        if damage := watch.damage():
            problems.append(damage)
