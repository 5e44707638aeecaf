"""The assets of keras.applications: ImageNet's weights of many networks, with and without the layers of the classes."""

from __future__ import annotations

from avemo_jax.pretrained.assets import Asset, File

_ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications"


def keras_asset(network: str, *, has_top: bool, md5: str, size_bytes: int, content: str, page: str, licence: str, cite: str) -> Asset:
    """Describe the HDF5 file of a network, with or without its layers of classes; `page` as keras.io names it, the rest as in `Asset`."""
    name = f"{network}_weights_tf_dim_ordering_tf_kernels{'' if has_top else '_notop'}.h5"
    file = File(name, f"{_ADDRESS}/{network}/{name}", md5=md5, size_bytes=size_bytes)
    return Asset((file,), content, f"https://keras.io/api/applications/{page}/", licence, cite)
