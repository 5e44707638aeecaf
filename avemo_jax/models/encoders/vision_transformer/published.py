"""The published vision transformers: their designs, licences and files."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from avemo_jax.models.encoders.vision_transformer.families import CLIP, DINOV2, DINOV2_REGISTERS, MARLIN, VIDEOMAE, VIT, Family
from avemo_jax.models.encoders.vision_transformer.module import Normalisation, VisionDesign, quick_gelu
from avemo_jax.pretrained.assets import Asset
from avemo_jax.pretrained.model_folder import published_folder

# As preprocessor_config.json of the owners' folders states them, FaRL's and MARLIN's as their owners' code has them.
_CLIP = Normalisation((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALF = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_UNIT = Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

_SMALL: dict[str, Any] = {"width": 384, "num_layers": 12, "num_heads": 6}
_BASE: dict[str, Any] = {"width": 768, "num_layers": 12, "num_heads": 12}
_LARGE: dict[str, Any] = {"width": 1024, "num_layers": 24, "num_heads": 16}
_WINDOW: dict[str, Any] = {
    "patch_px": 16,
    "num_frames": 16,
    "tubelet_frames": 2,
    "class_token": False,
    "key_bias": False,
    "norm_after_mean": True,
}
_CLIP_DESIGN = functools.partial(VisionDesign, normalisation=_CLIP, patch_bias=False, norm_first=True, activation=quick_gelu)
_DINOV2_DESIGN = functools.partial(
    VisionDesign, normalisation=_IMAGENET, patch_px=14, size_px=518, interpolation="bicubic", epsilon=1e-6, layer_scale=True
)
_REGISTERS_DESIGN = functools.partial(_DINOV2_DESIGN, num_registers=4, interpolation="antialiased")

_SAFETENSORS = "Get its folder with config.json and model.safetensors from the owner and set weights to the folder."
_CLIP_PICKLES = (
    "CLIP's owner publishes it as a pickle. Convert it once, where torch and transformers are: python -c \"from transformers import "
    "CLIPVisionModel; CLIPVisionModel.from_pretrained('{name}').save_pretrained('FOLDER')\", and set weights to FOLDER."
)
_FARL_PICKLE = (
    "FaRL is published as a pickle, at https://github.com/FacePerceiver/FaRL. Convert it once, where torch and safetensors are: python -c "
    "\"import torch, safetensors.torch as s; w = torch.load('FaRL.pth', map_location='cpu', weights_only=True)['state_dict']; "
    "s.save_file({n: a.contiguous() for n, a in w.items() if n.startswith('visual.')}, 'farl.safetensors')\", and set weights to "
    "farl.safetensors."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """One published network.

    Attributes:
      owner_name: its name on Hugging Face; of FaRL, on GitHub.
      licence, trained_on: of its record.
      fetched: files that are fetched; () where a user converts them.
      convert: how a pickle is converted.
    """

    design: VisionDesign
    family: Family
    owner_name: str
    licence: str
    trained_on: tuple[str, ...] | None
    cite: str
    fetched: tuple[str, ...] = ("config.json", "preprocessor_config.json", "model.safetensors")
    convert: str = _SAFETENSORS

    @property
    def assets(self) -> tuple[Asset, ...]:
        """What is fetched, as one asset; () where a user converts it."""
        if not self.fetched:
            return ()
        content = f"{self.owner_name.rpartition('/')[2]}, safetensors"
        return (published_folder(self.owner_name, content, self.fetched, licence=self.licence, cite=self.cite),)


_CLIP_FACTS: dict[str, Any] = {
    "family": CLIP,
    "licence": "MIT of the code; none is stated of the weights",
    # the owner states pictures with captions from the web and existing collections, YFCC100M among them
    "trained_on": None,
    "cite": "Radford et al. 2021, Learning Transferable Visual Models From Natural Language Supervision, arXiv 2103.00020",
}
_DINOV2_FACTS: dict[str, Any] = {
    "licence": "Apache-2.0",
    "trained_on": ("lvd142m",),
    "cite": "Oquab et al. 2023, DINOv2: Learning Robust Visual Features without Supervision, arXiv 2304.07193",
}
_REGISTERS_FACTS = _DINOV2_FACTS | {"cite": "Darcet et al. 2023, Vision Transformers Need Registers, arXiv 2309.16588"}


def _clip(size: dict[str, Any], patch_px: int, name: str, **facts: Any) -> Published:
    return Published(design=_CLIP_DESIGN(**size, patch_px=patch_px), owner_name=name, **_CLIP_FACTS | facts)


def _clip_pickle(size: dict[str, Any], patch_px: int, name: str) -> Published:
    return _clip(size, patch_px, name, fetched=(), convert=_CLIP_PICKLES.format(name=name))


def _dinov2(size: dict[str, Any], name: str) -> Published:
    return Published(design=_DINOV2_DESIGN(**size), family=DINOV2, owner_name=f"facebook/dinov2-{name}", **_DINOV2_FACTS)


def _dinov2_registers(size: dict[str, Any], name: str) -> Published:
    owner_name = f"facebook/dinov2-with-registers-{name}"
    return Published(design=_REGISTERS_DESIGN(**size), family=DINOV2_REGISTERS, owner_name=owner_name, **_REGISTERS_FACTS)


PUBLISHED: dict[str, Published] = {
    "clip_vit_base_32": _clip_pickle(_BASE, 32, "openai/clip-vit-base-patch32"),
    "clip_vit_base_16": _clip_pickle(_BASE, 16, "openai/clip-vit-base-patch16"),
    "clip_vit_large_14": _clip(_LARGE, 14, "openai/clip-vit-large-patch14"),
    "farl_base_16": Published(
        design=_CLIP_DESIGN(**_BASE, patch_px=16),
        family=CLIP,
        owner_name="FacePerceiver/FaRL",
        licence="MIT",
        trained_on=("laion_face",),
        cite="Zheng et al. 2022, General Facial Representation Learning in a Visual-Linguistic Manner, arXiv 2112.03109",
        fetched=(),
        convert=_FARL_PICKLE,
    ),
    "dinov2_small": _dinov2(_SMALL, "small"),
    "dinov2_base": _dinov2(_BASE, "base"),
    "dinov2_large": _dinov2(_LARGE, "large"),
    "dinov2_registers_small": _dinov2_registers(_SMALL, "small"),
    "dinov2_registers_base": _dinov2_registers(_BASE, "base"),
    "dinov2_registers_large": _dinov2_registers(_LARGE, "large"),
    "vit_base_16": Published(
        design=VisionDesign(**_BASE, patch_px=16, normalisation=_HALF, epsilon=1e-12),
        family=VIT,
        owner_name="google/vit-base-patch16-224",
        licence="Apache-2.0",
        trained_on=("imagenet21k", "imagenet"),
        cite="Dosovitskiy et al. 2021, An Image is Worth 16x16 Words, arXiv 2010.11929",
    ),
    "videomae_base": Published(
        design=VisionDesign(**_BASE, **_WINDOW, normalisation=_IMAGENET, learned_positions=False, epsilon=1e-12),
        family=VIDEOMAE,
        owner_name="MCG-NJU/videomae-base",
        licence="CC BY-NC 4.0",
        trained_on=("kinetics400",),
        cite="Tong et al. 2022, VideoMAE: Masked Autoencoders are Data-Efficient Learners for Self-Supervised Video Pre-Training, "
        "arXiv 2203.12602",
    ),
    "marlin_base": Published(
        # Its sinusoids are read from its file, as its owner computed them in single precision.
        design=VisionDesign(**_BASE, **_WINDOW, normalisation=_UNIT),
        family=MARLIN,
        owner_name="ControlNet/marlin_vit_base_ytf",
        licence="CC BY-NC 4.0",
        trained_on=("youtube_faces",),
        cite="Cai et al. 2023, MARLIN: Masked Autoencoder for facial video Representation LearnINg, arXiv 2211.06627",
        fetched=("config.json", "model.safetensors"),
    ),
}
