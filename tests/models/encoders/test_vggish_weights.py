"""VGGish from a checkpoint under the published names, and the published PCA of its embeddings."""

import hashlib
import shutil

import jax
import numpy as np
import pytest
from shared_data import shared_data
from tensorflow_files import write_checkpoint

from avemo_jax.models.encoders import find_encoder
from avemo_jax.models.encoders.vggish.module import VGGish
from avemo_jax.models.encoders.vggish.weights import CHECKPOINT, PCA, VGGISH, VGGISH_PCA
from avemo_jax.pretrained.load import assets_needed, load_pretrained
from avemo_jax.pretrained.merge import flat_shapes

PUBLISHED_NAMES = {
    f"vggish/{scope}/{leaf}"
    for scope in (
        *("conv1", "conv2", "conv3/conv3_1", "conv3/conv3_2", "conv4/conv4_1", "conv4/conv4_2"),
        *("fc1/fc1_1", "fc1/fc1_2", "fc2"),
    )
    for leaf in ("weights", "biases")
}


def _like(end_point, num_frames=96):
    return jax.eval_shape(VGGish(end_point).init, jax.random.key(0), jax.ShapeDtypeStruct((1, num_frames, 64), np.float32))


def test_variables_have_the_published_names():
    assert set(VGGISH.names()) == PUBLISHED_NAMES
    assert sum(np.prod(shape) for shape in flat_shapes(VGGISH.variables()).values()) == 72_141_184


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint of a whole network in one file, like the published one, with values that identify their positions."""
    shapes = flat_shapes(VGGISH.variables())
    arrays = {
        name: np.full(shapes[ours], 1 + number, np.float32) + np.arange(shapes[ours][-1], dtype=np.float32) / 8192
        for number, (name, ours) in enumerate(sorted(VGGISH.names().items()))
    }
    folder = tmp_path_factory.mktemp("vggish")
    yield write_checkpoint(folder / "vggish_model.ckpt", arrays, version=1), arrays
    shutil.rmtree(folder)


@pytest.mark.golden
def test_a_checkpoint_of_tensorflow_is_read(checkpoint):
    path, arrays = checkpoint
    variables, sha256 = load_pretrained(find_encoder("vggish").weights, str(path), path.parent, _like("embedding"))
    for name, ours in VGGISH.names().items():
        leaf = variables
        for part in ours.split("/"):
            leaf = leaf[part]
        np.testing.assert_array_equal(leaf, arrays[name], err_msg=name)
    with path.open("rb") as stream:
        assert sha256 == hashlib.file_digest(stream, "sha256").hexdigest()
    convolutions, _ = load_pretrained(find_encoder("vggish").weights, str(path), path.parent, _like("global_max", 496))
    assert set(convolutions["params"]) == {"conv1", "conv2", "conv3_1", "conv3_2", "conv4_1", "conv4_2"}


@pytest.mark.golden
def test_the_pca_is_read_for_end_points_that_need_it(checkpoint, tmp_path):
    path, _ = checkpoint
    pca = shared_data("models", "vggish_pca", "vggish_pca_params.npz")
    like = _like("embedding_pca")
    assert assets_needed(find_encoder("vggish").weights, like, tmp_path) == [CHECKPOINT, PCA]
    with pytest.raises(FileNotFoundError, match=r"PCA of VGGish.*vggish_pca_params\.npz"):
        load_pretrained(find_encoder("vggish").weights, str(path), tmp_path, like)
    shutil.copy(pca, tmp_path)
    variables, sha256 = load_pretrained(find_encoder("vggish").weights, str(path), tmp_path, like)
    with np.load(pca) as file:
        np.testing.assert_array_equal(variables["batch_stats"]["pca_eigen_vectors"], file["pca_eigen_vectors"])
        np.testing.assert_array_equal(variables["batch_stats"]["pca_means"], file["pca_means"])
    assert sha256 != load_pretrained(find_encoder("vggish").weights, str(path), tmp_path, _like("embedding"))[1]
    (tmp_path / "vggish_pca_params.npz").write_bytes(pca.read_bytes()[:-1])
    with pytest.raises(ValueError, match="expected 73020"):
        load_pretrained(find_encoder("vggish").weights, str(path), tmp_path, like)


def test_a_damaged_pca_is_refused(tmp_path):
    for content in (b"", b"<html>not found</html>", shared_data("models", "vggish_pca", "vggish_pca_params.npz").read_bytes()[:5000]):
        (tmp_path / "pca.npz").write_bytes(content)
        with pytest.raises(ValueError, match=r"pca\.npz: expected vggish_pca_params\.npz"):
            VGGISH_PCA.read(tmp_path / "pca.npz", 1 << 20)
    np.savez(tmp_path / "pca.npz", pca_means=np.zeros((1000, 1000)))
    with pytest.raises(ValueError, match="expected 1048576 at most"):
        VGGISH_PCA.read(tmp_path / "pca.npz", 1 << 20)
    np.savez(tmp_path / "pca.npz", pca_means=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"pca\.npz: .*allow_pickle"):
        VGGISH_PCA.read(tmp_path / "pca.npz", 1 << 20)
