"""New media for a trained system: the views of one file as streams of segments, with its damage told beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from avemo_jax.clips import Clip
from avemo_jax.data.prepared import Damage
from data_prep.media import MediaError
from data_prep.prepare import make_view
from data_prep.segments import ViewSegment
from data_prep.staging import StageTask, Watch, read_media


def make_live_views(views: Mapping[str, tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Make the views that a system uses.

    Args:
      views: stream -> (view name, its parameters).

    Raises:
      ValueError: a view cannot be made from media: it looks up a table by the clips of its corpus.
    """
    made = {stream: make_view(name, **params) for stream, (name, params) in views.items()}
    for stream, view in made.items():
        if not hasattr(view, "segments"):
            raise ValueError(
                f"the {stream} stream of this system comes from a table of its corpus (view {view.name}), which new media is not in; "
                "predict with a system whose views are made from media"
            )
    return made


def view_segments(path: Path, view: Any, problems: list[Damage]) -> Iterator[ViewSegment]:
    """Decode a media file and yield its view, one segment in memory at a time.

    A file that cannot be decoded to its end yields what came before the damage; what is wrong with it is appended to `problems`, as
    preparing a corpus would report it.
    """
    clip = Clip(clip_id=path.name, corpus="live", label="", speaker="", audio=path.name, video=path.name)
    task = StageTask(clip=clip, view=view, root=path.parent, path=path)
    watch = Watch()
    try:
        yield from watch.segments(view.segments(read_media(task, watch)))
    except MediaError as error:
        problems.append(Damage(error.kind, error.detail))
    else:
        if damage := watch.damage():
            problems.append(damage)
