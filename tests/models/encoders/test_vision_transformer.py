"""Vision transformers: every token of every layer equals the transformers library's on random weights; pictures are normalised inside."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from encoder_shapes import num_params, shapes_of
from vision_folders import tiny, write_folder

from avemo_jax.models.encoders import find_encoder
from avemo_jax.models.encoders.spec import EncoderSpec
from avemo_jax.models.encoders.vision_transformer import record_of
from avemo_jax.models.encoders.vision_transformer.module import FINAL, VisionTransformer, normalise
from avemo_jax.models.encoders.vision_transformer.positions import resize_positions
from avemo_jax.models.encoders.vision_transformer.published import PUBLISHED
from avemo_jax.models.transformer import PreNormBlock
from avemo_jax.pretrained.load import load_pretrained

FAMILIES = ("clip_vit_base_16", "dinov2_small", "dinov2_registers_small", "vit_base_16", "videomae_base", "marlin_base")
WHOLE = ("clip_vit_base_32", "clip_vit_base_16", "dinov2_base", "dinov2_registers_base", "vit_base_16", "videomae_base", "marlin_base")


def tokens_of(variables, design, pictures):
    """Return what every block gives, (N, T, D) each, and the end points (N, L, D), from one program."""

    def blocks(module, method):
        return isinstance(module, PreNormBlock) and method == "__call__"

    net = VisionTransformer(FINAL, design, layers=design.end_points)
    end_points, found = jax.jit(lambda x: net.apply(variables, x, capture_intermediates=blocks, mutable=["intermediates"]))(pictures)
    found = found["intermediates"]
    return [found[f"block{number}"]["__call__"][0] for number in range(1, design.num_layers + 1)], end_points


@pytest.mark.parametrize("name", [*FAMILIES, *(pytest.param(f"{name} whole", marks=pytest.mark.long) for name in WHOLE)])
def test_every_layer_equals_the_transformers_library_on_random_weights(name, tmp_path):
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    name, _, is_whole = name.partition(" ")
    published = PUBLISHED[name] if is_whole else tiny(name)
    design = published.design
    theirs = write_folder(tmp_path, name, design)
    layouts = record_of(name, published).weights
    variables, _ = load_pretrained(layouts, str(tmp_path), tmp_path, layouts[0].variables())
    # DINOv2 takes any multiple of its patch: its positions are interpolated
    sides = (2 * design.patch_px, 5 * design.patch_px) if design.interpolation else (design.size_px, design.size_px)
    shape = (2, *design.input_shape[:-3], *sides, 3)
    pictures = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    values = np.array(normalise(pictures, design.normalisation))
    with torch.no_grad():
        output = theirs(torch.from_numpy(values).movedim(-1, -3), output_hidden_states=True)
        layers = output.hidden_states
        if design.norm_after_mean:
            final = theirs.layernorm(layers[-1].mean(1))
        else:
            final = output.pooler_output if name.startswith("clip") else output.last_hidden_state[:, 0]
    blocks, end_points = tokens_of(variables, design, pictures)
    assert len(layers) == len(blocks) + 1 == design.num_layers + 1
    first = 0 if design.class_token else slice(None)
    for number, expected in enumerate(layers):
        scale = float(expected.abs().max())
        if number:
            np.testing.assert_allclose(blocks[number - 1], expected, rtol=0, atol=1e-5 * scale, err_msg=f"layer {number}")
        pooled = expected[:, first] if design.class_token else expected.mean(1)
        np.testing.assert_allclose(end_points[:, number], pooled, rtol=0, atol=1e-5 * scale, err_msg=f"layer {number}, pooled")
    np.testing.assert_allclose(end_points[:, -1], final, rtol=0, atol=1e-5 * float(final.abs().max()))


@pytest.mark.parametrize("antialias", [False, True])
def test_positions_are_resized_as_by_torch(antialias):
    torch = pytest.importorskip("torch")
    grid = np.random.default_rng(0).normal(size=(5, 5, 3)).astype(np.float32)
    channels_first = torch.from_numpy(grid).permute(2, 0, 1)[None]
    for size in ((3, 9), (5, 4), (10, 10)):
        expected = torch.nn.functional.interpolate(channels_first, size=size, mode="bicubic", align_corners=False, antialias=antialias)
        found = resize_positions(grid.reshape(25, 3), *size, antialias=antialias)
        np.testing.assert_allclose(found, expected[0].permute(1, 2, 0).reshape(-1, 3), atol=2e-6)


@pytest.mark.parametrize(
    ("name", "processor", "changes"),
    [
        ("clip_vit_base_16", "CLIPImageProcessor", {}),
        ("dinov2_small", "BitImageProcessor", {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}),
        ("vit_base_16", "ViTImageProcessor", {}),
        ("videomae_base", "VideoMAEImageProcessor", {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}),
    ],
)
def test_pictures_of_224_px_are_prepared_as_by_the_image_processor(name, processor, changes):
    """`changes` are what the owner's preprocessor_config.json sets otherwise than the class of the library."""
    transformers = pytest.importorskip("transformers")
    pictures = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
    prepare = getattr(transformers, processor)(**changes)
    expected = np.asarray(prepare(list(pictures), return_tensors="np")["pixel_values"]).reshape(2, 3, 224, 224)
    found = normalise(pictures, PUBLISHED[name].design.normalisation)
    np.testing.assert_allclose(found, np.moveaxis(expected, 1, -1), atol=1e-6)


def test_tokens_are_the_class_token_the_mean_of_patches_or_both():
    design = tiny("dinov2_registers_small").design
    pictures = np.random.default_rng(1).integers(0, 256, (2, 24, 24, 3), np.uint8)
    net = VisionTransformer("layer0", design)
    embed = {"patches": {"kernel": np.zeros((192, 16), np.float32), "bias": np.full(16, 2, np.float32)}}
    embed |= {"class_token": np.full(16, 5, np.float32), "registers": np.full((4, 16), 99, np.float32)}
    embed["positions"] = np.arange(10, dtype=np.float32)[:, None] * np.ones(16, np.float32)

    @jax.jit
    def features(pictures):
        return {tokens: net.clone(tokens=tokens).apply({"params": {"embed": embed}}, pictures) for tokens in ("", *design.tokens)}

    found = {tokens: np.asarray(values) for tokens, values in features(pictures).items()}
    assert set(found[""].ravel()) == set(found["class"].ravel()) == {5.0}
    assert set(found["patches"].ravel()) == {2.0 + 5.0}  # the mean of positions 1 to 9; no register
    np.testing.assert_array_equal(found["class_and_patches"], np.concatenate([found["class"], found["patches"]], axis=1))
    assert tiny("videomae_base").design.tokens == ("patches",)


def test_a_shorter_network_has_the_parameters_of_its_layers_alone():
    design = tiny("clip_vit_base_16").design
    features, variables = shapes_of(VisionTransformer("layer1", design), 3, 16, 16, 1, dtype=np.uint8)  # grey is repeated
    assert features.shape == (3, 16)
    assert set(variables["params"]) == {"embed", "first_norm", "block1"}
    spec = EncoderSpec("clip_vit_base_16", layers="3,6", tokens="class_and_patches")
    assert spec.feature_shape((224, 224, 3), "uint8") == (2, 2 * 768)


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "message"),
    [
        ("clip_vit_base_16", (2, 16, 16, 3), np.float32, "of type uint8, which it normalises itself, got float32"),
        ("clip_vit_base_16", (2, 24, 24, 3), np.uint8, "sides of 16 px, got 24 x 24; set size_px of the view, or resize_px"),
        ("dinov2_small", (2, 24, 25, 3), np.uint8, "multiples of 8 px, got 24 x 25"),
        ("dinov2_small", (2, 24, 24, 2), np.uint8, r"pictures \(N, H, W, 3\)"),
        ("videomae_base", (2, 25, 16, 16, 3), np.uint8, r"frame_windows\.num_frames=4"),
    ],
)
def test_input_that_does_not_fit_is_refused(name, shape, dtype, message):
    with pytest.raises(ValueError, match=message):
        shapes_of(VisionTransformer(FINAL, tiny(name).design), *shape, dtype=dtype)


def test_pictures_of_another_size_are_resized_where_the_encoder_is_told_to():
    net = VisionTransformer(FINAL, tiny("videomae_base").design, resize_px=16)
    assert shapes_of(net, 2, 4, 48, 40, 3, dtype=np.uint8)[0].shape == (2, 16)


def test_a_choice_of_tokens_that_an_encoder_does_not_have_is_refused():
    with pytest.raises(ValueError, match=r"tokens among \('patches',\), got 'class'; set encoders\.videomae_base\.tokens"):
        EncoderSpec("videomae_base", tokens="class")
    with pytest.raises(ValueError, match="to be empty"):
        EncoderSpec("vgg16", tokens="patches")


def test_each_record_has_the_size_of_the_published_network():
    # counted from the classes of the transformers library at the published sizes; without pooler and mask token
    expected = {"clip_vit_base_32": 87_456_000, "clip_vit_base_16": 85_799_424, "clip_vit_large_14": 303_179_776}
    expected |= {"dinov2_small": 22_056_192, "dinov2_base": 86_579_712, "dinov2_large": 304_367_616}
    expected |= {"dinov2_registers_small": 22_057_728, "dinov2_registers_base": 86_582_784, "dinov2_registers_large": 304_371_712}
    expected |= {"vit_base_16": 85_798_656, "videomae_base": 86_227_200}
    expected |= {"farl_base_16": 85_799_424, "marlin_base": 86_227_200 + 1568 * 768}  # CLIP's; VideoMAE's with its positions
    assert {name: num_params(find_encoder(name).weights[0].variables()) for name in PUBLISHED} == expected
