import jax
import jax.numpy as jnp
import numpy as np
import pytest
from encoder_shapes import num_params, shapes_of

from avemo_jax.models.encoders.i3d.module import END_POINTS, I3D, fold_batch_norm


def test_shapes_and_parameters_are_those_of_the_original():
    features, variables = shapes_of(I3D(), 2, 64, 224, 224, 3, dtype=jnp.uint8)
    assert features.shape == (2, 1024)
    assert num_params(variables["params"]) == 12_279_984
    assert num_params(shapes_of(I3D("Logits"), 1, 8, 64, 64, 3)[1]) == 12_704_544  # all variables of the published checkpoint


def test_end_points_at_the_published_size():
    found = jax.eval_shape(
        lambda x: I3D("Logits").init_with_output(jax.random.key(0), x, method="end_points"),
        jax.ShapeDtypeStruct((1, 64, 224, 224, 3), "uint8"),
    )[0]
    assert set(found) == set(END_POINTS)
    shapes = {name: value.shape[1:] for name, value in found.items()}
    assert shapes["Conv3d_1a_7x7"] == (32, 112, 112, 64)
    assert shapes["Conv3d_2c_3x3"] == (32, 56, 56, 192)
    assert shapes["Mixed_3c"] == (32, 28, 28, 480)
    assert shapes["Mixed_4f"] == (16, 14, 14, 832)
    assert shapes["Mixed_5c"] == (8, 7, 7, 1024)
    assert shapes["avg_pool"] == (1024,)
    assert shapes["Logits"] == (400,)


@pytest.mark.parametrize("num_frames", [1, 7, 8, 9, 30])
def test_windows_of_any_length_are_accepted(num_frames):
    assert shapes_of(I3D(), 2, num_frames, 64, 48, 2)[0].shape == (2, 1024)


def test_wrong_inputs_are_refused_with_the_expected_ones():
    with pytest.raises(ValueError, match=r"among .*'Mixed_5c'.* got 'Mixed_6a'"):
        shapes_of(I3D("Mixed_6a"), 1, 8, 64, 64, 3)
    for shape in ((1, 8, 64, 64, 1), (1, 8, 31, 64, 3), (8, 64, 64, 3)):
        with pytest.raises(ValueError, match=r"windows \(N, F, H, W, 3\).*resize_px"):
            shapes_of(I3D(), *shape)
    assert shapes_of(I3D("Conv3d_1a_7x7", resize_px=64), 1, 8, 16, 16, 3)[0].shape == (1, 4, 32, 32, 64)


def _some_variables(template):
    """Return random variables, with moving statistics and biases that reveal a forgotten or misplaced batch norm."""
    rng = np.random.default_rng(0)
    draws = {
        "kernel": lambda shape: rng.standard_normal(shape, np.float32) * np.sqrt(2 / np.prod(shape[:-1])),
        "bias": lambda shape: rng.normal(0, 0.2, shape),
        "mean": lambda shape: rng.normal(0, 0.3, shape),
        "var": lambda shape: rng.uniform(0.5, 1.5, shape),
    }
    return jax.tree_util.tree_map_with_path(lambda path, leaf: draws[path[-1].key](leaf.shape).astype(np.float32), template)


class _Torch:
    """An independent implementation with torch's layers, channels first, and explicit padding as in TensorFlow's documentation."""

    def __init__(self, torch, variables):
        self.torch, self.functional = torch, torch.nn.functional
        self.params, self.statistics = variables["params"], variables["batch_stats"]

    def pad(self, x, window, stride, value=0.0):
        """ "SAME": ceil(length / stride) outputs, and the odd element of padding at the end."""
        sides = []
        for length, width, step in reversed(list(zip(x.shape[2:], window, stride, strict=True))):
            total = max((-(-length // step) - 1) * step + width - length, 0)
            sides += [total // 2, total - total // 2]
        return self.functional.pad(x, sides, value=value)

    def unit(self, x, *path, stride=1):
        params, statistics = self.params, self.statistics
        for name in path:
            params, statistics = params[name], statistics[name]
        kernel = self.torch.from_numpy(params["conv"]["kernel"].transpose(4, 3, 0, 1, 2).copy())
        x = self.functional.conv3d(self.pad(x, kernel.shape[2:], (stride,) * 3), kernel, stride=stride)
        mean, var, bias = (
            self.torch.from_numpy(array) for array in (statistics["norm"]["mean"], statistics["norm"]["var"], params["norm"]["bias"])
        )
        return self.functional.relu(self.functional.batch_norm(x, mean, var, None, bias, eps=1e-3))

    def max_pool(self, x, window, stride):
        return self.functional.max_pool3d(self.pad(x, window, stride, -float("inf")), window, stride)

    def mixed(self, x, block):
        second = "Conv3d_0a_3x3" if block == "Mixed_5b" else "Conv3d_0b_3x3"
        single = self.unit(x, block, "Branch_0", "Conv3d_0a_1x1")
        one = self.unit(self.unit(x, block, "Branch_1", "Conv3d_0a_1x1"), block, "Branch_1", "Conv3d_0b_3x3")
        two = self.unit(self.unit(x, block, "Branch_2", "Conv3d_0a_1x1"), block, "Branch_2", second)
        pooled = self.unit(self.max_pool(x, (3, 3, 3), (1, 1, 1)), block, "Branch_3", "Conv3d_0b_1x1")
        return self.torch.cat([single, one, two, pooled], dim=1)

    def end_points(self, x):
        x = self.torch.from_numpy(x.transpose(0, 4, 1, 2, 3).copy())
        found = {}
        for name in END_POINTS[:-2]:
            if name == "Conv3d_1a_7x7":
                x = self.unit(x, name, stride=2)
            elif name in ("MaxPool3d_2a_3x3", "MaxPool3d_3a_3x3"):
                x = self.max_pool(x, (1, 3, 3), (1, 2, 2))
            elif name == "MaxPool3d_4a_3x3":
                x = self.max_pool(x, (3, 3, 3), (2, 2, 2))
            elif name == "MaxPool3d_5a_2x2":
                x = self.max_pool(x, (2, 2, 2), (2, 2, 2))
            elif name.startswith("Conv3d"):
                x = self.unit(x, name)
            else:
                x = self.mixed(x, name)
            found[name] = x.permute(0, 2, 3, 4, 1).numpy()
        window = tuple(min(length, most) for length, most in zip(x.shape[2:], (2, 7, 7), strict=True))
        pooled = self.functional.avg_pool3d(x, window, stride=1)
        kernel = self.torch.from_numpy(self.params["Logits"]["Conv3d_0c_1x1"]["kernel"].transpose(4, 3, 0, 1, 2).copy())
        bias = self.torch.from_numpy(self.params["Logits"]["Conv3d_0c_1x1"]["bias"])
        # as published: the classes at every time, then their mean
        found["Logits"] = self.functional.conv3d(pooled, kernel, bias).mean(dim=(2, 3, 4)).numpy()
        found["avg_pool"] = pooled.mean(dim=(2, 3, 4)).numpy()
        return found


@pytest.mark.golden
@pytest.mark.parametrize(("num_frames", "channels"), [(9, 3), (18, 2)])
def test_equals_torch_layer_by_layer(num_frames, channels):
    """Odd lengths reveal padding on the wrong side: 9 frames of 63 x 47 and 18 of 64 x 48."""
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(1).uniform(-1, 1, (1, num_frames, 63 + channels % 3 // 2, 47, channels)).astype(np.float32)
    variables = _some_variables(shapes_of(I3D("Logits"), *x.shape)[1])
    expected = _Torch(torch, variables).end_points(x)
    ours = {"unfolded": (I3D("Logits"), variables), "folded": (I3D("Logits", folded=True), fold_batch_norm(variables))}
    for kind, (module, weights) in ours.items():
        found = jax.jit(lambda weights, x, module=module: module.apply(weights, x, method="end_points"))(weights, x)
        assert set(found) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, atol=1e-4 * np.abs(value).max(), err_msg=f"{kind} {name}")


def test_pictures_are_scaled_inside():
    frames = np.random.default_rng(0).integers(0, 256, (1, 3, 32, 32, 3), dtype=np.uint8)
    module = I3D("Conv3d_1a_7x7")
    variables = _some_variables(shapes_of(module, *frames.shape)[1])
    np.testing.assert_allclose(
        module.apply(variables, frames), module.apply(variables, frames.astype(np.float32) / 127.5 - 1), rtol=1e-5, atol=1e-5
    )
