"""Containers that FFmpeg reads, through PyAV: opened by their content alone, probed, and the stream chosen that is decoded."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
from av.stream import Disposition

from data_prep.decoding.media import REMEDY, WORDS, MediaError, num_bytes_of

# Containers that hold their streams themselves. Not among them: playlists (hls, dash, concat, sdp), numbered pictures (image2) and devices,
# which would read other files than the one that was named.
_DEMUXERS = (
    "3dostr,aa,aac,ac3,ac4,adx,aea,aiff,amr,amrnb,amrwb,ape,apng,asf,ast,au,av1,avi,avs2,avs3,bink,caf,cavsvideo,daud,dirac,dnxhd,dsf,dss,"
    "dts,dtshd,dv,eac3,flac,flic,flv,live_flv,gif,gsm,gxf,h261,h263,h264,hevc,ircam,ivf,ivr,kux,loas,m4v,matroska,mjpeg,mjpeg_2000,mlp,"
    "mm,mov,mp3,mpc,mpc8,mpeg,mpegts,mpegvideo,mpjpeg,mtv,mxf,nistsphere,nsv,nut,nuv,obu,ogg,oma,osq,pva,pvf,qcp,qoa,r3d,rl2,rm,roq,rpl,"
    "rso,sbc,shn,siff,smk,smjpeg,sol,sox,spdif,swf,tak,thp,truehd,tta,ty,vc1,vc1test,voc,vqf,vvc,w64,wav,wsaud,wtv,wv,xa,xwma,"
    "yuv4mpegpipe,bmp_pipe,dds_pipe,dpx_pipe,exr_pipe,hdr_pipe,j2k_pipe,jpeg_pipe,jpegls_pipe,jpegxl_pipe,jpegxl_anim,pam_pipe,pbm_pipe,"
    "pcx_pipe,pfm_pipe,pgm_pipe,pgmyuv_pipe,phm_pipe,png_pipe,ppm_pipe,psd_pipe,qdraw_pipe,qoi_pipe,sgi_pipe,sunrast_pipe,tiff_pipe,"
    "webp_pipe,xbm_pipe,xpm_pipe,xwd_pipe"
)
_OPTIONS = {"format_whitelist": _DEMUXERS, "protocol_whitelist": "none"}
_READ_BYTES = 1 << 16
_BESIDE = (  # tracks that accompany another one
    Disposition.comment
    | Disposition.hearing_impaired
    | Disposition.visual_impaired
    | Disposition.descriptions
    | Disposition.karaoke
    | Disposition.lyrics
    | Disposition.clean_effects
    | Disposition.non_diegetic
    | Disposition.dependent
)
_PICTURES_ALONE = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image  # cover pictures of music files


# What FFmpeg's texts for errors mean in a media file. Some are those of the operating system, and say nothing to a reader.
_MEANINGS = {
    "Invalid data found when processing input": "damaged data, or data of another format",
    "Invalid argument": "a value that the format does not allow",
    "Operation not permitted": "data that the decoder refuses",
    "Resource temporarily unavailable": "a part of a frame",
    "Cannot allocate memory": "a size that no such file has",
    "Input/output error": "an early end, or a disk that does not answer",
    "End of file": "an early end",
    "Numerical result out of range": "a number out of its range",
    "Not yet implemented in FFmpeg, patches welcome": "a feature of the format that FFmpeg does not have",
    "Generic error in an external library": "data that the library of the codec refuses",
}


@dataclasses.dataclass(frozen=True)
class MediaInfo:
    """Contents of the header of a media file; None where it has no entry."""

    duration_s: float | None
    has_audio: bool
    has_video: bool
    audio_rate_hz: int | None
    frame_rate_fps: float | None
    width_px: int | None
    height_px: int | None


class _Content:
    """A file without its name, so that FFmpeg cannot choose a demuxer by the name."""

    def __init__(self, stream: Any):
        self.read, self.seek, self.tell = stream.read, stream.seek, stream.tell


def probe(path: Path) -> MediaInfo:
    """Return the header of a media file, without decoding.

    Raises:
      MediaError: missing, empty or undecodable.
    """
    with opened(path) as container:
        audio, video = (next(iter(_ranked(container, kind)), None) for kind in ("audio", "video"))
        return MediaInfo(
            duration_s=None if container.duration is None else container.duration / av.time_base,
            has_audio=audio is not None,
            has_video=video is not None,
            audio_rate_hz=audio.codec_context.rate if audio and audio.codec_context else None,
            frame_rate_fps=frame_rate_fps(video) if video else None,
            width_px=video.codec_context.width if video and video.codec_context else None,
            height_px=video.codec_context.height if video and video.codec_context else None,
        )


@contextlib.contextmanager
def opened(path: Path) -> Iterator[av.container.InputContainer]:
    """Open a media file by its content; its name has no part in it.

    Raises:
      MediaError: missing, empty or undecodable.
    """
    num_bytes = num_bytes_of(path)
    with contextlib.ExitStack() as stack:
        try:
            raw = stack.enter_context(path.open("rb"))
            container: Any = stack.enter_context(
                av.open(_Content(raw), options=dict(_OPTIONS), buffer_size=_READ_BYTES, metadata_errors="replace")
            )
        except Exception as error:  # PyAV itself fails on some damage before FFmpeg does
            if is_out_of_memory(error):
                raise
            about = f"expected the header of a film or a sound, found {reason(error)}"
            raise MediaError("undecodable", f"{path.name} is no media file that FFmpeg reads: {about}; {REMEDY}") from error
        if not container.streams:
            raise MediaError("undecodable", f"{path.name} holds no streams: its index is lost")
        try:
            yield container
        except MediaError as error:
            if not path.is_file() or (now := path.stat().st_size) == num_bytes:
                raise
            about = f"the file had {num_bytes} bytes when it was opened and has {now} now: read it when nothing writes to it"
            raise MediaError(error.kind, f"{error.detail}; {about}") from error


def is_out_of_memory(error: Exception) -> bool:
    """Return whether memory is used up; FFmpeg also says so of a damaged size that no file could have, which is damage of the file."""
    return isinstance(error, MemoryError) and not isinstance(error, av.FFmpegError)


def reason(error: Exception) -> str:
    """Return what a decoder found wrong, as words that follow "found"; without addresses of objects."""
    said = getattr(error, "strerror", None)
    if said and isinstance(error, av.FFmpegError):
        return _MEANINGS.get(said, f"what FFmpeg calls {said!r}")
    return said or (f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def _ranked(container: av.container.InputContainer, kind: str) -> list[Any]:
    """Streams of that kind, the best first: decodable, not beside another one, marked as default, in the file's order."""
    streams = container.streams.video if kind == "video" else container.streams.audio
    return sorted(
        (stream for stream in streams if not stream.disposition & _PICTURES_ALONE),
        key=lambda one: (one.codec_context is None, bool(one.disposition & _BESIDE), not one.disposition & Disposition.default),
    )


def chosen_stream(container: av.container.InputContainer, kind: str, path: Path) -> tuple[Any, str | None]:
    """Return the stream of that kind to decode, and a note where there was a choice.

    Raises:
      MediaError: no_audio, no_video; undecodable (FFmpeg has no decoder for it).
    """
    streams = _ranked(container, kind)
    word = WORDS[kind]
    if not streams:
        raise MediaError(f"no_{kind}", f"{path.name} has no {kind} stream")
    first = streams[0]
    if first.codec_context is None:
        raise MediaError("undecodable", f"{path.name}: its {word} has a codec that FFmpeg cannot decode (unknown or encrypted)")
    if len(streams) == 1:
        return first, None
    languages = ", ".join(_language(one) for one in sorted(streams, key=lambda one: one.index))
    place = sorted(one.index for one in streams).index(first.index) + 1
    why = ", marked as default" if first.disposition & Disposition.default else ""
    return first, f"{len(streams)} {word} tracks ({languages}); track {place} ({_language(first)}{why}) is used"


def _language(stream: Any) -> str:
    return str(stream.metadata.get("language") or "und")[:16]


def frame_rate_fps(stream: Any) -> float | None:
    """Return the frame rate that a video stream declares, or None."""
    rate = stream.guessed_rate or stream.average_rate
    return float(rate) if rate else None
