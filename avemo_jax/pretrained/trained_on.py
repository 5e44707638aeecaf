"""What the owners of published weights trained them on, as far as they say: the leak audit looks for a corpus that is tested on."""

from __future__ import annotations

# Encoder -> names of corpora as configs have them, or of collections that are none of ours; None where its owner does not say.
TRAINED_ON: dict[str, tuple[str, ...] | None] = {
    "vggish": ("youtube8m",),  # Hershey et al. 2017: soundtracks of YouTube's films
    "inception_v3": ("imagenet",),
    "vgg16": ("imagenet",),
    "vgg19": ("imagenet",),
    "i3d_rgb": ("imagenet", "kinetics400"),
    "i3d_flow": ("imagenet", "kinetics400"),
    "mini_xception": ("fer2013",),
    "face_landmarks": None,  # "35k face images labelled with 68 landmarks"
    "face_expressions": None,  # "publicly available datasets and images scraped from the web"
}
