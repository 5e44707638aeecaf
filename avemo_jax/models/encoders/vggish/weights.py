"""VGGish from its TensorFlow checkpoint, and the PCA of its embeddings."""

from __future__ import annotations

import functools

from avemo_jax.models.encoders.vggish.module import VGGish
from avemo_jax.npz_files import read_npz
from avemo_jax.pretrained.assets import Asset, File
from avemo_jax.pretrained.layout import WeightsLayout, variables_of
from avemo_jax.pretrained.tensorflow_checkpoint import PACKAGES, checkpoint_files, read_checkpoint

_PAGE = "https://github.com/tensorflow/models/tree/master/research/audioset/vggish"
_CITE = "Hershey et al. 2017, CNN Architectures for Large-Scale Audio Classification, arXiv 1609.09430"
LICENCE = "Apache-2.0"
CHECKPOINT = Asset(
    (
        File(
            "vggish_model.ckpt",
            "https://storage.googleapis.com/audioset/vggish_model.ckpt",
            md5="d1c7011e6366aa34176bb05c705e31a8",  # as OpenMIC-2018 checks it
        ),
    ),
    "VGGish trained on YouTube's soundtracks, TensorFlow checkpoint",
    page=_PAGE,
    licence=LICENCE,
    cite=_CITE,
)
PCA = Asset(
    (
        File(
            "vggish_pca_params.npz",
            "https://storage.googleapis.com/audioset/vggish_pca_params.npz",
            sha256="4d878af3e306defbfb37095365aa7e5a6cecb86bad13e859e626151c4e6a8b9d",
            md5="c80cae691033abe7c7ecd11ea39fc834",
            size_bytes=73_020,
        ),
    ),
    "PCA of VGGish's embeddings, as AudioSet's are released",
    page=_PAGE,
    licence=LICENCE,
    cite=_CITE,
)

# Module of ours -> scope of the checkpoint, as TF-Slim nests them.
_SCOPES = {
    "conv1": "conv1",
    "conv2": "conv2",
    "conv3_1": "conv3/conv3_1",
    "conv3_2": "conv3/conv3_2",
    "conv4_1": "conv4/conv4_1",
    "conv4_2": "conv4/conv4_2",
    "fc1_1": "fc1/fc1_1",
    "fc1_2": "fc1/fc1_2",
    "fc2": "fc2",
}


def _names() -> dict[str, str]:
    leaves = {"weights": "kernel", "biases": "bias"}
    return {f"vggish/{scope}/{theirs}": f"params/{module}/{ours}" for module, scope in _SCOPES.items() for theirs, ours in leaves.items()}


VGGISH = WeightsLayout(
    assets=(CHECKPOINT,),
    files=checkpoint_files,
    read=read_checkpoint,
    packages=PACKAGES,
    variables=lambda: variables_of(VGGish("embedding"), 1, 96, 64),
    names=_names,
)


VGGISH_PCA = WeightsLayout(
    assets=(PCA,),
    read=functools.partial(read_npz, what="vggish_pca_params.npz"),
    variables=lambda: {"batch_stats": variables_of(VGGish("embedding_pca"), 1, 96, 64)["batch_stats"]},
    names=lambda: {name: f"batch_stats/{name}" for name in ("pca_eigen_vectors", "pca_means")},
)
