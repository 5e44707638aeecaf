import numpy as np
import pytest

from avemo_jax.pretrained.merge import flat_shapes, merge

NAMES = {"a/w": "params/a/kernel", "a/m": "batch_stats/a/mean", "top/w": "params/top/kernel", "top/b": "params/top/bias"}
WHOLE = {"params/a/kernel": (2, 3), "batch_stats/a/mean": (3,), "params/top/kernel": (3, 4), "params/top/bias": (4,)}


def arrays(**changes):
    made = {name: np.full(WHOLE[ours], number, np.float64) for number, (name, ours) in enumerate(NAMES.items())}
    return {name: array for name, array in (made | changes).items() if array is not None}


def like(*paths):
    """Variables of the net that is wanted."""
    tree: dict = {}
    for path in paths:
        *parents, leaf = path.split("/")
        level = tree
        for parent in parents:
            level = level.setdefault(parent, {})
        level[leaf] = np.zeros(WHOLE.get(path, (1,)), np.float32)
    return tree


def merged(file, wanted, **options):
    return merge(file, NAMES, WHOLE, wanted, source="x.h5", optional=("params/top/",), **options)


def test_every_array_finds_its_place():
    found = merged(arrays(), like(*WHOLE))
    assert flat_shapes(found) == WHOLE
    assert found["params"]["a"]["kernel"].dtype == np.float32
    assert found["batch_stats"]["a"]["mean"].tolist() == [1, 1, 1]
    assert found["params"]["top"]["bias"].tolist() == [3, 3, 3, 3]


def test_a_net_that_ends_before_takes_its_part():
    found = merged(arrays(), like("params/a/kernel"))
    assert list(flat_shapes(found)) == ["params/a/kernel"]


def test_the_optional_part_may_be_absent_as_a_whole_where_it_is_not_wanted():
    without_top = arrays(**{"top/w": None, "top/b": None})
    assert set(flat_shapes(merged(without_top, like("params/a/kernel", "batch_stats/a/mean")))) == {"params/a/kernel", "batch_stats/a/mean"}
    with pytest.raises(ValueError, match=r"the network has, and the file lacks: top/w \(params/top/kernel\), top/b \(params/top/bias\)"):
        merged(without_top, like(*WHOLE))
    with pytest.raises(ValueError, match=r"the file lacks: top/w \(params/top/kernel\)$"):
        merged(arrays(**{"top/w": None}), like("params/a/kernel"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"a/m": None}, r"x\.h5 does not fit .* the file lacks: a/m \(batch_stats/a/mean\)"),
        ({"b/w": np.zeros(2)}, r"the file has, and the network lacks: b/w"),
        ({"a/w": np.zeros((3, 2))}, r"of other shapes: a/w \(3, 2\), expected \(2, 3\) \(params/a/kernel\)"),
        ({"a/w": np.full((2, 3), np.nan)}, r"not finite: a/w"),
        ({"a/m": None, "b/w": np.zeros(2)}, r"lacks: b/w\. .*lacks: a/m"),
    ],
)
def test_a_file_that_does_not_fit_is_told_by_names(changes, message):
    with pytest.raises(ValueError, match=message):
        merged(arrays(**changes), like("params/a/kernel"))


def test_a_net_that_was_not_published_is_told_by_names():
    with pytest.raises(ValueError, match=r"wanted has, and the published one lacks: params/b/kernel"):
        merged(arrays(), like("params/a/kernel", "params/b/kernel"))
    wanted = {"params": {"a": {"kernel": np.zeros((2, 5), np.float32)}}}
    with pytest.raises(ValueError, match=r"wanted in other shapes than published: params/a/kernel \(2, 5\), published \(2, 3\)"):
        merged(arrays(), wanted)


def test_long_lists_are_cut():
    with pytest.raises(ValueError, match=r"extra11 and 3 more"):
        merged(arrays(**{f"extra{index:02}": np.zeros(1) for index in range(15)}), like("params/a/kernel"))


class TestAHeadOfOnesOwn:
    OWN = arrays(**{"dense/w": np.zeros((3, 7)), "dense/b": np.zeros(7), "top/w": None, "top/b": None})
    BODY = ("params/a/kernel", "batch_stats/a/mean")

    def test_is_named_with_the_flag_that_leaves_it_out(self):
        with pytest.raises(ValueError, match=r"lacks: dense/b, dense/w\. .* leave them out with --flag=\"\('dense',\)\"$"):
            merged(self.OWN, like(*self.BODY), leave_out_flag="--flag")

    def test_is_left_out_by_name_and_what_fits_is_taken(self):
        found = merged(self.OWN, like(*self.BODY), leave_out=("dense",))
        assert set(flat_shapes(found)) == set(self.BODY) and found["batch_stats"]["a"]["mean"].tolist() == [1, 1, 1]

    def test_may_stand_in_a_layer_that_the_network_has(self):
        own = arrays(**{"top/w": np.zeros((3, 7)), "top/b": np.zeros(7)})
        assert set(flat_shapes(merged(own, like(*self.BODY), leave_out=("top",)))) == set(self.BODY)
        with pytest.raises(ValueError, match=r"the network has, and the file lacks: top/w \(params/top/kernel\)"):
            merged(own, like(*WHOLE), leave_out=("top",))

    def test_leaves_no_other_layer_out(self):
        with pytest.raises(ValueError, match=r"has no layer dens to leave out; it has: a, dense"):
            merged(self.OWN, like(*self.BODY), leave_out=("dens",))
        with pytest.raises(ValueError, match=r"the network lacks: other/w"):
            merged({**self.OWN, "other/w": np.zeros(2)}, like(*self.BODY), leave_out=("dense",))


def test_kernels_in_the_order_of_theano_are_said_once():
    shapes = {f"params/{name}/kernel": (3, 3, 4, 8) for name in "ab"}
    files = {f"{name}/w": np.zeros((8, 4, 3, 3)) for name in "ab"}
    with pytest.raises(ValueError, match="channels first") as error:
        merge(files, {f"{name}/w": f"params/{name}/kernel" for name in "ab"}, shapes, {}, source="x.h5")
    assert str(error.value).count("channels first") == 1
