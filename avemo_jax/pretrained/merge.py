"""Foreign arrays into the variables of a network, with every name of both sides accounted for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flax import traverse_util

from avemo_jax.text import shorten_list

_MOST_NAMED = 12  # names listed in a message; the rest is counted


def flat_shapes(variables: Any) -> dict[str, tuple[int, ...]]:
    """Shapes of the leaves of a tree of variables by path, "params/conv1/kernel"."""
    return {path: tuple(leaf.shape) for path, leaf in traverse_util.flatten_dict(variables, sep="/").items()}


def merge(
    arrays: Mapping[str, np.ndarray],
    names: Mapping[str, str],
    whole: Mapping[str, tuple[int, ...]],
    like: Any,
    *,
    source: str,
    optional: tuple[str, ...] = (),
    leave_out: Sequence[str] = (),
    leave_out_flag: str = "",
) -> dict[str, Any]:
    """Put foreign arrays where a network has its variables.

    Args:
      arrays: foreign name -> array.
      names: foreign name -> path of ours, for all that the published network has.
      whole: path of ours -> shape, of the whole network.
      like: variables of the network that is wanted, arrays or their shapes; it may end before the whole one does.
      source: what the messages call the file.
      optional: beginnings of paths that a file may lack, all of them together: the classes of a file without its top.
      leave_out: layers of the file, by the beginning of their foreign names, that are not taken: a head of a person's own. The network may
        lack them, and of the network's own only what is wanted must be left.
      leave_out_flag: how a user sets `leave_out`, for the message; "" says nothing of it.

    Returns:
      A tree of the structure and dtypes of `like`, numpy arrays.

    Raises:
      ValueError: a name on one side that the other lacks, a shape that differs, values that are not finite; all of them named. Or a layer
        to leave out that the file does not have.
    """
    if absent := [layer for layer in leave_out if not any(_is_in(name, [layer]) for name in arrays)]:
        layers = ", ".join(dict.fromkeys(_layer(name) for name in arrays))
        raise ValueError(f"{source} has no layer {', '.join(absent)} to leave out; it has: {layers}")
    arrays = {name: array for name, array in arrays.items() if not _is_in(name, leave_out)}
    wanted = traverse_util.flatten_dict(like, sep="/")
    foreign = {ours: name for name, ours in names.items()}
    problems = {
        "the table of names lacks": sorted(set(whole) - set(foreign)),
        "the file has, and the network lacks": sorted(set(arrays) - set(names)),
        "the network has, and the file lacks": _missing(arrays, names, wanted, optional, leave_out),
        "the network that is wanted has, and the published one lacks": sorted(set(wanted) - set(whole)),
        "of other shapes": [
            f"{name} {arrays[name].shape}, expected {whole[ours]} ({ours})"
            for name, ours in names.items()
            if name in arrays and ours in whole and arrays[name].shape != whole[ours]
        ],
        "wanted in other shapes than published": [
            f"{ours} {tuple(leaf.shape)}, published {whole[ours]}"
            for ours, leaf in wanted.items()
            if ours in whole and tuple(leaf.shape) != whole[ours]
        ],
        "with values that are not finite": [name for name, array in arrays.items() if not np.all(np.isfinite(array))],
    }
    found = [f"{what}: {_listed(items)}" for what, items in problems.items() if items]
    if found:
        if any(_is_channels_first(array.shape, whole.get(names.get(name, ""), ())) for name, array in arrays.items()):
            found.append("Kernels are channels first, as Keras with Theano orders them: load the file with Keras and save it channels last")
        surplus = problems["the file has, and the network lacks"]
        if surplus and leave_out_flag:
            heads = tuple(dict.fromkeys(_layer(name) for name in surplus))[:_MOST_NAMED]
            found.append(f'If these layers are a head of your own, leave them out with {leave_out_flag}="{heads}"')
        raise ValueError(f"{source} does not fit the network. {'. '.join(found)}")
    return traverse_util.unflatten_dict(
        {ours: np.asarray(arrays[foreign[ours]], dtype=leaf.dtype) for ours, leaf in wanted.items()}, sep="/"
    )


def _is_in(name: str, layers: Sequence[str]) -> bool:
    return any(name == layer or name.startswith((f"{layer}/", f"{layer}.")) for layer in layers)


def _layer(name: str) -> str:
    """Return the first part of a foreign name: Keras separates the parts by "/", torch by "."."""
    return re.split("[/.]", name, maxsplit=1)[0]


def _is_channels_first(found: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """Whether a kernel of another shape has the axes of Theano, (out, in, height, width)."""
    return len(found) == 4 and (*found[2:], found[1], found[0]) == tuple(expected)


def _missing(
    arrays: Mapping[str, np.ndarray],
    names: Mapping[str, str],
    wanted: Mapping[str, Any],
    optional: tuple[str, ...],
    leave_out: Sequence[str],
) -> list[str]:
    """What must be in the file and is not; the optional part may be absent as a whole, and what is left out too, where it is not wanted."""
    missing = {name: ours for name, ours in names.items() if name not in arrays}
    may_lack = {name: ours for name, ours in names.items() if ours.startswith(optional)} if optional else {}
    # who leaves layers out has a head of their own: of the optional part whatever is not wanted may be absent
    if set(may_lack) <= set(missing) or leave_out:
        missing = {name: ours for name, ours in missing.items() if name not in may_lack or ours in wanted}
    missing = {name: ours for name, ours in missing.items() if not _is_in(name, leave_out) or ours in wanted}
    return [f"{name} ({ours})" for name, ours in missing.items()]


def _listed(items: list[str]) -> str:
    return shorten_list(items, _MOST_NAMED)
