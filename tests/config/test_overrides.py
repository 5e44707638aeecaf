"""Fields as text: every type is parsed, every mistake is named, and a stage or a setting changes only the fields that it names."""

import pytest

from avemo_jax.config import EncoderSettings, Experiment, Stream, parse
from avemo_jax.config.overrides import for_stage, parse_value, swept_fields, with_fields
from avemo_jax.experiment.grid import make_grid, stages_of
from avemo_jax.experiment.grid_plan import check_experiment
from avemo_jax.experiment.networks import make_net
from avemo_jax.experiment.variation import variation_of
from configs import ravdess

AUDIO = {"audio": Stream(view="mfcc")}
BOTH = {"streams": AUDIO | {"video": Stream(view="faces")}, "system.streams": ("audio", "video")}


def config(**fields):
    encoders = {"vggish": EncoderSettings()}
    return with_fields(Experiment(streams=AUDIO, encoders=encoders), {"system.streams": ("audio",), "train.stages": ("audio",), **fields})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("train.num_epochs", "100", 100),
        ("train.learning_rate", "1e-3", 0.001),
        ("train.learning_rate", "1", 1.0),
        ("train.schedule", "cosine", "cosine"),
        ("streams.audio.batch_norm", "false", False),
        ("streams.audio.batch_norm", "True", True),
        ("streams.audio.context_units", "(512,)", (512,)),
        ("streams.audio.context_units", "[256, 256]", (256, 256)),
        ("streams.audio.dense_units", "()", ()),
        ("streams.audio.encoder_trained_from", "block3", "block3"),
        ("streams.audio.augmentation.max_stretch", "0.2", 0.2),
        ("corpus.root", "/data", "/data"),  # unset by default
    ],
)
def test_text_is_parsed_as_the_type_of_the_field(name, text, value):
    found = parse_value(config(), name, text)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("train.num_epoch", "3", r"no field train.num_epoch; did you mean 'num_epochs'"),
        ("train.num_epochs.most", "3", "no field train.num_epochs.most"),
        ("streams.audio", "3", "streams.audio is a group of fields; name one of .*context_units, "),
        ("train.num_epochs", "many", "train.num_epochs: expected a value of type int, such as 60, got 'many'"),
        ("train.num_epochs", "3.5", "type int, such as 60, got '3.5'"),
        ("train.num_epochs", "True", "type int, such as 60, got 'True'"),
        ("streams.audio.batch_norm", "1", "type bool, such as True, got '1'"),
        ("streams.audio.context_units", "512", r"type tuple, such as \(256,\), got '512'"),
        ("train.learning_rate", "__import__('os')", "type float"),
    ],
)
def test_text_of_another_type_is_refused(name, text, message):
    with pytest.raises(ValueError, match=message):
        parse_value(config(), name, text)


def test_fields_are_changed_in_a_copy():
    before = config()
    after = with_fields(before, [("streams.audio.context_units", (3,)), ("train.num_epochs", 2)])
    assert after.streams["audio"].context_units == (3,) and after.train.num_epochs == 2
    assert before == config()
    assert with_fields(after, {"streams.audio.context_units": (256,), "train.num_epochs": 60}) == before


def test_a_stage_differs_in_its_own_overrides_alone():
    both = {**BOTH, "train.stages": ("audio", "video", "fused")}
    overrides = ("audio:train.num_epochs=100", "audio:streams.audio.dense_units=(7,)", "fused:train.batch_size=4")
    made = config(**both, **{"train.overrides": overrides})
    assert for_stage(made, "audio") == with_fields(made, {"train.num_epochs": 100, "streams.audio.dense_units": (7,)})
    assert for_stage(made, "fused") == with_fields(made, {"train.batch_size": 4})
    assert for_stage(made, "video") == made


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train.num_epochs=100", r"holds 'train.num_epochs=100'; expected stage:field=value .* of \('audio', 'video'\)"),
        ("fused:train.num_epochs=100", "holds 'fused:"),
        ("late:train.num_epochs=100", "a stage that trains a network"),
        ("audio:train.num_epochs", "expected stage:field=value"),
        ("audio:train.num_epochs=", "expected stage:field=value"),
        ("audio:train.num_epoch=3", "no field train.num_epoch"),
        ("audio:train.num_epochs=many", "type int"),
        ("audio:train.seeds=(1,)", "names train.seeds, which all stages share"),
        ("audio:train.freeze_earlier=True", "which all stages share"),
        ("audio:streams.audio.view=mfcc", "names streams.audio.view, which all stages share"),
    ],
)
def test_an_override_without_effect_is_refused(text, message):
    made = config(**BOTH, **{"train.stages": ("audio", "video", "late"), "train.overrides": (text,)})
    with pytest.raises(ValueError, match=message):
        check_experiment(made)


def test_swept_fields_are_all_combinations_and_vary_slowest():
    fields = ("streams.audio.context_units=(4,)|(8,8)", "streams.audio.pooling= attention | last ")
    made = config(**{"sweep.fields": fields, "sweep.learning_rate": (0.1, 0.2)})
    assert swept_fields(made) == {"streams.audio.context_units": ((4,), (8, 8)), "streams.audio.pooling": ("attention", "last")}
    trials = make_grid(made, variation_of(made), stages_of(made), 2).trials
    assert len(trials) == 4 * 2 * 2 and [trial.setting for trial in trials[:5]] == [0, 0, 1, 1, 2]
    assert dict(trials[0].fields) == {"streams.audio.context_units": (4,), "streams.audio.pooling": "attention"}
    assert dict(trials[4].fields) == {"streams.audio.context_units": (4,), "streams.audio.pooling": "last"}
    assert dict(trials[-1].fields) == {"streams.audio.context_units": (8, 8), "streams.audio.pooling": "last"}
    (stage,) = stages_of(made)
    nets = [make_net(with_fields(made, trial.fields), stage, 8) for trial in trials]
    first, last = dict(nets[0].streams)["audio"], dict(nets[-1].streams)["audio"]
    assert first.context_units == (4,) and last.context_units == (8, 8) and last.pooling == "last"
    assert len(set(nets)) == 4


def test_fields_joined_by_plus_have_one_value_in_every_setting():
    """Document E's ablation: without batch norm there is none between the recurrent layers either."""
    made = parse(ravdess.get_config("gru_attention:audio_ablation").to_dict())
    trials = make_grid(made, variation_of(made), stages_of(made), 1).trials
    assert len(trials) == 16
    pairs = [(dict(trial.fields)["streams.audio.batch_norm"], dict(trial.fields)["streams.audio.context_batch_norm"]) for trial in trials]
    assert set(pairs) == {(False, False), (True, True)}
    joined = config(**{"sweep.fields": ("streams.audio.batch_norm + streams.audio.context_dropout=True",)})
    assert swept_fields(joined) == {"streams.audio.batch_norm+streams.audio.context_dropout": (True,)}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("streams.audio.batch_norm+streams.audio.pooling=True",), "of different types; expected fields with the same values"),
        (("streams.audio.pooling",), "sweep.fields holds 'streams.audio.pooling'; expected field=value|value"),
        (("streams.audio.size=3",), "no field streams.audio.size"),
        (("train.num_epochs=3|4",), "sweep.fields cannot try train.num_epochs"),
        (("views.mfcc.num_coefficients=13|20",), "cannot try views.mfcc.num_coefficients"),
        (("train.learning_rate=0.1|0.2",), r"--config.sweep.learning_rate=\(...\) tries it in one program"),
        (("streams.audio.context_units=(4,)|8",), "type tuple"),
        (("streams.audio.pooling=last", "streams.audio.pooling=mean"), "names streams.audio.pooling twice"),
    ],
)
def test_an_impossible_sweep_is_refused(texts, message):
    with pytest.raises(ValueError, match=message):
        check_experiment(config(**{"sweep.fields": texts}))


@pytest.mark.parametrize(
    "changes",
    [
        {"sweep.fields": ("streams.audio.encoder=vggish|mlp",)},
        {"sweep.fields": ("streams.audio.encoder_trained_from=all|conv4_2",)},
        {"train.overrides": ("audio:streams.audio.encoder_trained_from=all",)},
    ],
)
def test_the_encoder_and_view_of_features_are_the_same_for_all_trials(changes):
    with pytest.raises(ValueError, match=r"frozen encoder of the audio stream .* separate experiments"):
        check_experiment(config(**{"streams.audio.encoder": "vggish", **changes}))


def test_an_encoder_that_is_trained_with_the_network_may_be_swept():
    made = config(**{"streams.audio.encoder": "vggish", "streams.audio.encoder_trained_from": "all"})
    check_experiment(
        with_fields(made, {"sweep.fields": ("streams.audio.encoder_trained_from=all|conv4_2", "streams.audio.dense_units=()|(8,)")})
    )
