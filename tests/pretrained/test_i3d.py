import numpy as np
import pytest
from shared_data import shared_data

from avemo_jax.pretrained.i3d import I3D_FLOW, I3D_RGB
from avemo_jax.pretrained.merge import flat_shapes

FAMILIES = {"rgb": I3D_RGB, "flow": I3D_FLOW}


@pytest.mark.parametrize("stream", FAMILIES)
def test_every_published_variable_is_accounted_for(stream):
    lines = shared_data("golden", f"i3d_{stream}_variables.tsv").read_text().splitlines()
    published = {name: tuple(int(length) for length in shape.split("x")) for name, shape in (line.split("\t") for line in lines)}
    family = FAMILIES[stream]
    shapes = flat_shapes(family.variables())
    assert {name: shapes[ours] for name, ours in family.names().items()} == published
    assert sum(np.prod(shape) for shape in shapes.values()) == sum(np.prod(shape) for shape in published.values())
