"""Every field an experiment has: its default, its unit, and why the default is what it is.

`configs/<corpus>.py` starts from here and says what differs. Units are suffixes of the names. Numbers that follow from others
(the number of steps of an epoch, the work directory's name) are computed after parsing and are no fields.
"""

from ml_collections import ConfigDict, FieldReference
from ml_collections.config_dict import placeholder


def get_config() -> ConfigDict:
    """Return the default experiment, with every field that exists."""
    config = ConfigDict()
    config.workdir = placeholder(str)  # default: runs/<corpus>-<system>-<protocol>
    config.prepared_dir = "prepared"  # prepared sets of all corpora live here and are shared by all runs
    config.weights_dir = "weights"  # published weights of encoders lie here; --mode=prepare fetches what is missing
    config.num_workers = 2  # processes that decode and make views; two fit a laptop
    config.beam_runner = ""  # Apache Beam's, such as "DirectRunner" or "FlinkRunner", in place of these processes; docs/many_devices.md
    config.beam_options = ()  # of its pipelines, e.g. ("--flink_master=host:8081", "--parallelism=64")

    config.corpus = ConfigDict(
        dict(
            name="synthetic",
            root=placeholder(str),  # folder as the owner distributes it; the synthetic corpus makes its own
            label_set="ravdess8",
            label_target="acted",  # what the labels are, stored with every result: "acted", "crowd" (what raters said), "found"
            channel="speech",  # RAVDESS: "speech", "song" or "all"
            unsegmented=False,  # eNTERFACE'05: also read the recordings that hold all sentences of an emotion uncut (subject 6)
            first_frames=False,  # CK+: also read the first frame of each labelled sequence, as a neutral face (label set ck_plus8)
            num_actors=12,  # synthetic
            num_takes=3,  # synthetic: clips of one actor and emotion
            seed=0,  # synthetic
        )
    )

    config.views = views()
    config.encoders = encoders()
    config.system = ConfigDict(
        dict(
            name="gru_attention",
            streams=("audio",),  # ("audio",), ("video",) or ("audio", "video")
            audio_view="mfcc",
            video_view="faces",
            audio_view_beside="",  # a second view whose features stand beside those of the first, matched in time; "" for none
            video_view_beside="",
            # Streams z-scored speaker by speaker with all of a speaker's clips, test clips too: worth 7 to 15 points, and every number
            # is marked transductive.
            speaker_normalized=(),
            segment_rule="mean",  # what a clip's segments say together: "mean" of their posteriors, or their "vote" (B)
        )
    )
    config.model = ConfigDict(
        dict(
            audio=branch(),
            video=branch(),
            num_cepstra=0,  # of an audio view of log-mel frames, taken inside the step, after augmentation; 0 uses the view as it is
            fusion=dict(
                kind="concat",  # "concat" (C, D, E), "tanh_gru" (A2), "dot_attention" (A3) or "token_attention" (B)
                width=128,  # common width d of A's streams; of B's layer of scores; unused by "concat"
                num_units=256,  # GRU of "tanh_gru"
                batch_norm=True,  # "concat": batch norm between concatenation and classes
                tokens="modalities",  # what B attends over: "modalities" of a segment, or "segments" of a clip
                dense_units=(),  # ReLU layers between fusion and classes (D: 256)
            ),
        )
    )
    config.protocol = ConfigDict(
        dict(
            name="speaker_k",  # or several, e.g. "random10,luna5": one grid, the gap with its interval; the last is the run's own
            num_folds=5,  # of the protocols that leave it open (random_k, speaker_k)
            seed=0,  # of the shuffles that make folds, where the protocol has any
            select="validation",  # "test" reproduces how some claims were made, and marks every number
            metric="uar",  # what early stopping and best weights look at on the validation part: "uar", "war" or "loss"
            baseline=True,  # functionals + SVM on the same folds beside every audio result
            # Findings of the leak audit that may not stop the run, e.g. ("near_duplicate_in_two_parts",); every table then wears them. What
            # a protocol is made of (random10 draws clips and shares speakers) is allowed by choosing it by name.
            allow_leaks=(),
            near_duplicates=True,  # look for recordings that are there twice; RAVDESS' 1,440 sounds take 12 s on two cores, once
        )
    )
    config.train = train()
    config.late = ConfigDict(
        dict(
            rule="weighted_product",  # of the stage "late": "weighted_product" (A1) or "logistic" (stacking, the trusted twin of D's)
            num_inner_folds=5,  # parts of the training part, each predicted by nets that have not seen it, on which the rule is fitted
        )
    )
    # Values to try, e.g. learning_rate=(1e-3, 3e-3); () takes the single value.
    config.sweep = ConfigDict({name: () for name in SWEPT})
    # Fields that change the program, e.g. ("model.audio.context_units=(512,)|(256,256,256)", "model.audio.pooling=attention|last").
    config.sweep.fields = ()
    # Search that learns from what it has tried, instead of a sweep (docs/sweeps.md).
    config.search = ConfigDict(
        dict(
            # E.g. ("learning_rate=1e-4..1e-2 log", "dropout_rate=0.1..0.6", "model.audio.pooling=attention|last"); () searches nothing.
            space=(),
            num_settings=32,  # of each fold, which has a search of its own, judged by its own validation part alone
            batch=8,  # settings of each fold that are asked, trained and told together: larger ones learn less from each other
            sampler="tpe",  # "tpe" (Optuna's; random until 10 settings are finished) or "random"
            seed=0,  # of the sampler
            storage="",  # "": search.db in the work directory; for many processes a server, postgresql+psycopg://user@host/database
            name="",  # of the search in its storage; "": <corpus>-<system>-<protocol>
            lease_s=60.0,  # a process that has given no sign of life for so long loses its settings to others
        )
    )
    # What --mode=robustness does to test clips: noise:DB, codec:KBIT/S, occlusion:SHARE, frame_drop:SHARE, missing:STREAM.
    config.robustness = ConfigDict(
        dict(
            conditions=(
                *("noise:20", "noise:10", "noise:0", "codec:16", "codec:6"),
                *("occlusion:0.1", "occlusion:0.3", "frame_drop:0.5", "frame_drop:0.9"),
                *("missing:audio", "missing:video"),
            )
        )
    )
    config.devices = ConfigDict(
        dict(
            data_shards=1,  # devices that share one trial's batch; the others hold different trials
            execution="auto",  # "auto" picks per backend; or "<trials>_<steps>" of vmap|loop and scan|python
            # What accelerators multiply in: "bfloat16" or "tensorfloat32" (fast), "float32" (as a CPU, which knows no other), or what the
            # backend does by itself. Weights, sums and the optimiser stay float32.
            product_precision="default",
            feed="resident",  # "resident": arrays live on the devices; "stream": tf.data batches
            memory_gib=0.0,  # of each device, for trials; a batch of trials that needs more is split. 0 asks the device
            # Several processes share the grid: True leaves it to JAX to recognise SLURM, a TPU pod, Kubernetes or Open MPI.
            distributed=False,
            coordinator="",  # of processes that are launched plainly: host:port of process 0
            process=0,  # number of this one, from 0
            num_processes=0,
            heartbeat_s=100,  # a process that gives no sign of life for so long ends the others (JAX's default)
            compilation_cache=True,  # keep compiled programs in <prepared_dir>/xla: a second start takes seconds
        )
    )
    return config


# Hyper-parameters that are arrays over trials: sweeping them never recompiles.
SWEPT = ("learning_rate", "momentum", "weight_decay", "dropout_rate", "label_smoothing", "mixup_alpha")


ENCODERS = (
    *("vggish", "inception_v3", "vgg16", "vgg19", "i3d_rgb", "i3d_flow"),
    *("mini_xception", "face_landmarks", "face_expressions"),
)


def views() -> ConfigDict:
    """Parameters of every view; the system names those it uses. Keys equal the view's own keyword arguments."""
    speech_cut = _speech_cut()
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
                padded_s=0.0,  # shorter segments are padded with silence to this length (D: 5.0); 0 leaves them
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
                padded_s=0.0,
                max_frames=0,
                segment_s=30.0,
            ),
            functionals=dict(segment_s=30.0),
            mfcc_mean=dict(  # C: one vector a clip, its coefficients are the steps; all but their number are librosa's defaults
                num_coefficients=40,
                sample_rate_hz=22050,
                window_ms=92.88,  # 2048 samples
                hop_ms=23.22,  # 512 samples
                num_mels=128,
                segment_s=30.0,
            ),
            handcrafted=dict(  # A1: the features of its Table 2.1, frame by frame
                sample_rate_hz=16000,
                window_ms=25.0,
                hop_ms=10.0,
                pre_emphasis=0.97,
                num_cepstra=12,  # and the log energy, and both derivatives: the 39 of the thesis
                num_mels=26,
                f0_min_hz=65.0,
                f0_max_hz=650.0,
                f0_window_ms=64.0,  # at least two periods of f0_min_hz
                f0_step_semitones=0.2,  # librosa's 0.1 takes three times as long; so RAVDESS takes two and a half minutes on two cores
                num_formants=3,
                rolloff=0.9,
                segment_s=5.0,
            ),
            speech_segments=dict(num_mels=64, min_hz=20.0, max_hz=8000.0, **speech_cut),
            speech_faces=dict(num_frames=20, size_px=227, detector="haar", detector_path=placeholder(str), margin=0.1, **speech_cut),
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
            hog=dict(  # A1: of the faces that the view faces shows
                rate_fps=7.5,
                size_px=64,
                orientations=9,  # of the gradient, without sign; these three are the numbers of Dalal and Triggs
                pixels_per_cell=8,
                cells_per_block=2,
                segment_s=30.0,
                max_frames=0,
                detector="haar",  # the thesis has SSD, "res10"
                detector_path=placeholder(str),
                margin=0.1,
            ),
            frame_windows=dict(num_frames=25, **_window()),  # A: I3D's frames, a second to a window
            flow_windows=dict(
                num_frames=25,
                method="dis",  # "tvl1" is the published kind, and takes a minute for 5 s
                clip_px=20.0,  # larger flow is cut off; [-1, 1] stands for [-20, 20] px from frame to frame
                **_window(),
            ),
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
            # A column that looks like a row counter or a label is refused until a field below names it, e.g. ("Unnamed: 0", "emotion"):
            # left out, or used on purpose, which the leak audit then reports in every table. By default a table has features alone.
            table=dict(path=placeholder(str), clip_column="clip", drop_columns=(), allow_columns=()),
        )
    )


def encoders() -> ConfigDict:
    """The encoders with published weights, by name; which one a stream uses is `model.<stream>.encoder`.

    end_point: where features are taken; "" takes the encoder's own (avemo_jax/models/encoders.py has them all).
    resize_px: side that pictures are resized to inside the encoder; 0 leaves them as the view has them.
    weights: "published", the owner's file in weights_dir; "random", one fixed draw; or the path of a file of the same kind.
    """
    return ConfigDict({name: dict(end_point="", resize_px=0, weights="published") for name in ENCODERS})


def _speech_cut() -> dict[str, FieldReference]:
    """How B cuts a clip, shared by the views of its sound and of its picture: a change of one is a change of both."""
    fields = dict(
        sample_rate_hz=16000,
        window_ms=25.0,
        hop_ms=10.0,
        segment_frames=64,  # 655 ms
        shift_frames=30,
        speech_window_ms=25.0,  # speech activity: a window is active where the speech band holds this share of its energy
        speech_hop_ms=10.0,
        speech_min_hz=300.0,
        speech_max_hz=3000.0,
        speech_threshold=0.6,
        speech_before_s=0.2,  # kept ahead of the first active window
        speech_after_s=0.2,  # and behind the last
        segments_per_example=1,  # 0: all segments of a clip are the steps of one example
        segment_s=10.0,  # longer clips are cut into pieces first: 20 faces of 227 px a segment fill memory
    )
    return {name: FieldReference(value) for name, value in fields.items()}


def _window() -> dict:
    """What windows of frames and of flow share; I3D is published for 25 frames/s and 224 px."""
    return dict(
        rate_fps=25.0,
        size_px=224,
        crop="centre",  # 7/8 of the shorter side, as published; "whole" frames whatever their proportions, or the "face"
        segment_s=5.0,
        detector="haar",
        detector_path=placeholder(str),
        margin=0.1,
    )


def branch() -> ConfigDict:
    """One stream of the network, from its view to one vector a clip (or one a step, where the fusion wants steps)."""
    return ConfigDict(
        dict(
            # Z-score with statistics of the fold's training part alone: each of the "features", each of them at each of the "steps" (C,
            # whose steps are coefficients), or "none". An encoder that is trained along takes its view as it is.
            standardize="features",
            # What turns one step of the view into a vector: "none", "mlp", "cnn" (ours), "conv_pool" (C), or a name in config.encoders.
            encoder="none",
            # Of an encoder in config.encoders: "" leaves it frozen (it runs once, its features are kept); "all", or the end point from
            # which on it is trained with the network.
            encoder_trained_from="",
            encoder_beside="none",  # frozen encoder of system.<stream>_view_beside, "none" takes that view as it is
            encoder_units=(64,),  # "mlp": widths; "cnn", "conv_pool": channels of its blocks
            frame_context="none",  # over the frames of a step that has several (B): "none", "gru" or "lstm"
            frame_units=256,
            time_conv_channels=0,  # convolution over time before the context, with batch norm and ReLU; 0 leaves it out
            time_conv_width_steps=5,
            time_conv_stride_steps=1,  # neighbouring steps averaged into one; 2 halves the recurrent steps
            context="gru",  # "gru", "lstm", "conv" (2-D over steps x features, A1) or "none"
            context_units=(256,),  # of its layers: recurrent units, or channels
            context_activation="tanh",  # LSTM: "tanh" or "linear" (C); "conv": "relu" or "relu_elu", in alternate layers (A1)
            bidirectional=False,
            reset_after=True,  # reset gate after the recurrent product (system A, cuDNN, Keras, torch); False is Cho et al.
            context_batch_norm=False,  # between recurrent layers; three layers of 256 learn faster with it
            context_dropout=False,  # around and between recurrent layers too, at train.dropout_rate
            pooling="attention",  # "attention" (E), "mean", "last", "mean_std", "attention_mean_std" or "flatten" (D's MFCC)
            pooling_steps=0,  # "flatten": steps that are laid side by side, shorter clips padded with zeros and longer ones cut
            attention_units=0,  # 0: a score is one number (E); n: a learned sum of n (Bahdanau)
            dense_units=(128,),  # ReLU layers, dropout between them; () leaves them out
            batch_norm=True,
        )
    )


def augmentation() -> ConfigDict:
    """How features and pictures are disturbed in training, see avemo_jax/training/augment.py; zeros leave them alone."""
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
            max_rotate_deg=0.0,  # from here on: pictures
            max_zoom=0.0,
            max_shift=0.0,
            flip=False,
        )
    )


def train() -> ConfigDict:
    """The training recipe."""
    return ConfigDict(
        dict(
            # In order: "audio", "video"; "fused" starts from the stages before it; "stacked" trains on clips that they have not seen;
            # "late" joins their predictions by a rule; "svm" is the classical system, alone.
            stages=("audio",),
            freeze_earlier=False,  # True: "fused" leaves the weights it took over as they are
            overrides=(),  # what one stage does differently, e.g. ("audio:train.num_epochs=100", "audio:train.batch_size=512")
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
            length_buckets=1,  # classes of length that batches are made of, see docs/performance.md; 1: of all lengths, as published
            audio_augmentation=augmentation(),
            video_augmentation=augmentation(),
            tensorboard=True,  # curves through clu, where TensorFlow is installed
            checkpoint_every_epochs=10,
            keep_checkpoints=2,
        )
    )
