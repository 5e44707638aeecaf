"""Every field an experiment has: its default, its unit, and why the default is what it is.

`configs/<corpus>.py` starts from here and says what differs. Units are suffixes of the names. Numbers that follow from others
(the number of steps of an epoch, the work directory's name) are computed after parsing and are no fields.
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder


def get_config() -> ConfigDict:
    """Return the default experiment, with every field that exists."""
    config = ConfigDict()
    config.workdir = placeholder(str)  # default: runs/<corpus>-<system>-<protocol>
    config.prepared_dir = "prepared"  # prepared sets of all corpora live here and are shared by all runs
    config.num_workers = 2  # processes that decode and make views; two fit a laptop

    config.corpus = ConfigDict(
        dict(
            name="synthetic",
            root=placeholder(str),  # folder as the owner distributes it; the synthetic corpus makes its own
            label_set="ravdess8",
            label_target="acted",  # what the labels are, stored with every result: "acted", or "crowd" where listeners voted
            channel="speech",  # RAVDESS: "speech", "song" or "all"
            num_actors=12,  # synthetic
            num_takes=3,  # synthetic: clips of one actor and emotion
            seed=0,  # synthetic
        )
    )

    config.views = views()
    config.system = ConfigDict(
        dict(
            name="gru_attention",
            streams=("audio",),  # ("audio",), ("video",) or ("audio", "video")
            audio_view="mfcc",
            video_view="faces",
        )
    )
    config.model = ConfigDict(
        dict(
            audio=branch(),
            video=branch(),
            num_cepstra=0,  # of an audio view of log-mel frames, taken inside the step, after augmentation; 0 uses the view as it is
            fusion=dict(
                kind="concat",  # "concat" (E), "tanh_gru" (A2) or "dot_attention" (A3)
                width=128,  # common width d of A's streams; unused by "concat"
                num_units=256,  # GRU of "tanh_gru"
                batch_norm=True,  # "concat": batch norm between concatenation and classes
            ),
        )
    )
    config.protocol = ConfigDict(
        dict(
            name="speaker_k",
            num_folds=5,  # of the protocols that leave it open (random_k, speaker_k)
            seed=0,  # of the shuffles that make folds, where the protocol has any
            select="validation",  # "test" reproduces how some claims were made, and marks every number
            metric="uar",  # what early stopping and best weights look at on the validation part: "uar", "war" or "loss"
            baseline=True,  # functionals + SVM on the same folds beside every audio result
        )
    )
    config.train = train()
    config.sweep = ConfigDict({name: () for name in SWEPT})  # values to try, e.g. learning_rate=(1e-3, 3e-3); () takes the single value
    config.devices = ConfigDict(
        dict(
            data_shards=1,  # devices that share one trial's batch; the others hold different trials
            execution="auto",  # "auto" picks per backend; or "<trials>_<steps>" of vmap|loop and scan|python
            feed="resident",  # "resident": arrays live on the devices; "stream": tf.data batches
            compilation_cache=True,  # keep compiled programs in <prepared_dir>/xla: a second start takes seconds
        )
    )
    return config


# Hyper-parameters that are arrays over trials: sweeping them never recompiles.
SWEPT = ("learning_rate", "momentum", "weight_decay", "dropout_rate", "label_smoothing", "mixup_alpha")


def views() -> ConfigDict:
    """Parameters of every view; the system names those it uses. Keys equal the view's own keyword arguments."""
    return ConfigDict(
        dict(
            logmel_patches=dict(num_patches=5, segment_s=5.0),
            logmel_496=dict(segment_s=5.0),
            mfcc=dict(
                num_coefficients=13,
                num_deltas=0,  # 1 appends the first derivative, 2 the second as well
                sample_rate_hz=48000,
                window_ms=85.333,  # 4096 samples at 48 kHz
                hop_ms=42.667,  # 2048 samples at 48 kHz
                num_mels=128,
                min_hz=0.0,
                max_hz=0.0,  # 0 stands for half the sample rate
                range_db=80.0,  # levels further below the loudest of the segment are raised to that; 0 leaves them
                trim_db=0.0,  # silent ends further below the loudest frame are cut off; 0 keeps them
                max_frames=0,  # frames from this one on are cut off; 0 keeps them
                segment_s=30.0,  # longer clips are cut and their posteriors averaged
            ),
            logmel_frames=dict(  # what mfcc is taken of, for networks that disturb it before they take cepstra themselves
                num_deltas=0,
                sample_rate_hz=48000,
                window_ms=85.333,
                hop_ms=42.667,
                num_mels=64,
                min_hz=50.0,
                max_hz=8000.0,
                range_db=0.0,
                trim_db=30.0,
                max_frames=0,
                segment_s=30.0,
            ),
            functionals=dict(segment_s=30.0),
            keyframes=dict(
                num_frames=16,
                size_px=299,
                segment_s=5.0,
                face_crop=False,
                detector="haar",  # "haar", "haar_coarse" (D's factor 1.3 and 5 neighbours), "yunet" or "res10"; the last two need files
                detector_path=placeholder(str),
                margin=0.1,  # around a face, at each side, as a part of its longer side; 0.1 suits all detectors and the landmark net
            ),
            faces=dict(
                rate_fps=7.5,
                size_px=48,
                gray=False,
                segment_s=30.0,
                max_frames=0,  # steps from this one on are cut off; 0 keeps them (D also tried 45)
                detector="haar",
                detector_path=placeholder(str),
                margin=0.1,
            ),
            frames=dict(rate_fps=7.5, size_px=299, segment_s=30.0),
            still=dict(
                num_frames=1,  # of a film, evenly spaced; a picture is one
                size_px=48,  # C also names 88
                gray=False,
                crop="whole",  # "whole" frames whatever their proportions, the "centre" square, or the "face"
                segment_s=30.0,
                detector="haar",
                detector_path=placeholder(str),
                margin=0.1,
            ),
            table=dict(path=placeholder(str), clip_column="clip"),
        )
    )


def branch() -> ConfigDict:
    """One stream of the network, from its view to one vector a clip (or one a step, where the fusion wants steps)."""
    return ConfigDict(
        dict(
            standardize=True,  # z-score each feature with statistics of the fold's training part alone; never for vggish and inception_v3
            encoder="none",  # what turns one step of the view into a vector: "none", "mlp", "cnn", "vggish", "inception_v3"
            encoder_units=(64,),  # "mlp": widths; "cnn": channels of its blocks
            time_conv_channels=0,  # convolution over time before the context, with batch norm and ReLU; 0 leaves it out
            time_conv_width_steps=5,
            time_conv_stride_steps=1,  # neighbouring steps averaged into one; 2 halves the recurrent steps
            context="gru",  # "gru", "lstm" or "none"
            num_layers=1,
            num_units=256,
            bidirectional=False,
            reset_after=True,  # reset gate after the recurrent product (system A, cuDNN, Keras, torch); False is Cho et al.
            context_batch_norm=False,  # between recurrent layers; three layers of 256 learn faster with it
            context_dropout=False,  # around and between recurrent layers too, at train.dropout_rate
            pooling="attention",  # "attention" (E), "mean", "last", "mean_std" or "attention_mean_std"
            attention_units=0,  # 0: a score is one number (E); n: a learned sum of n (Bahdanau)
            dense_units=128,  # 0 leaves the dense layer out
            batch_norm=True,
        )
    )


def augmentation() -> ConfigDict:
    """How feature sequences are disturbed in training, see avemo_jax/training/augment.py; zeros leave them alone."""
    return ConfigDict(
        dict(
            max_stretch=0.0,
            max_warp=0.0,
            shift_deviation=0.0,
            noise_deviation=0.0,
            num_time_masks=0,
            max_time_mask=0.1,
            num_feature_masks=0,
            max_feature_mask=0.1,
        )
    )


def train() -> ConfigDict:
    """The training recipe."""
    return ConfigDict(
        dict(
            stages=("audio",),  # in order: "audio", "video", "fused"; a fused stage starts from the stages before it
            freeze_earlier=False,  # True: a later stage leaves the weights it took over as they are
            seeds=(0,),
            num_epochs=60,
            batch_size=32,
            optimizer="adam",  # "adam" (decoupled weight decay), "adamax" or "sgd"
            learning_rate=1e-3,
            momentum=0.9,  # SGD's momentum, Adam's first decay
            weight_decay=0.0,
            dropout_rate=0.3,
            label_smoothing=0.0,
            mixup_alpha=0.0,  # 0 turns mixup off
            clip_norm=5.0,  # largest global norm of a gradient; recurrent nets need one
            schedule="constant",  # "constant", "cosine" or "plateau"
            warmup_epochs=0,
            plateau_patience_epochs=5,
            plateau_factor=0.5,
            early_stop_patience_epochs=0,  # 0 trains all epochs
            ema_decay=0.0,  # decay per step of the moving average of weights that is validated and kept; 0 keeps the weights themselves
            audio_augmentation=augmentation(),
            video_augmentation=augmentation(),
            tensorboard=True,  # curves through clu, where TensorFlow is installed
            checkpoint_every_epochs=10,
            keep_checkpoints=2,
        )
    )
