"""The packages and what each may import: all imports are read from the source, at module level and inside functions."""

from __future__ import annotations

import ast
import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = ("avemo_jax", "configs", "data_prep")
SOURCES = [*sorted(path for room in PRODUCT for path in (ROOT / room).rglob("*.py")), *ROOT.glob("run.py")]

# Modules of avemo_jax that data_prep may import: the ground floor and the types that describe prepared sets.
GROUND = (
    "avemo_jax.allocator",
    "avemo_jax.atomic",
    "avemo_jax.cache_folders",
    "avemo_jax.bounds",
    "avemo_jax.clip_measures",
    "avemo_jax.clip_names",
    "avemo_jax.clips",
    "avemo_jax.decimal_marks",
    "avemo_jax.failures",
    "avemo_jax.feature_columns",
    "avemo_jax.foreign_table",
    "avemo_jax.identity",
    "avemo_jax.labels",
    "avemo_jax.machine",
    "avemo_jax.locks",
    "avemo_jax.npz_files",
    "avemo_jax.data.prepared",
    "avemo_jax.degradation",
    "avemo_jax.mel_arithmetic",
    "avemo_jax.placeholders",
    "avemo_jax.pretrained.assets",
    "avemo_jax.text",
)
# Room -> modules of the product that it may import, besides its own. The room of a module is the longest prefix of its name in this dict.
ROOMS: dict[str, tuple[str, ...]] = {
    "run": PRODUCT,
    "configs": (
        "avemo_jax.config",
        "avemo_jax.described",
        "avemo_jax.models.encoders",
        "avemo_jax.text",
        "data_prep.views",
    ),  # fields come from their classes
    "data_prep": ("data_prep", *GROUND),
    "data_prep.corpora": ("data_prep.workers.pool", *GROUND),
    "data_prep.decoding": GROUND,
    "data_prep.workers.pool": GROUND,
    "data_prep.views": ("data_prep.decoding", *GROUND),
    "data_prep.sets": ("data_prep.decoding", "data_prep.views", "data_prep.workers.pool", *GROUND),
    "data_prep.duplicates": ("data_prep.decoding", "data_prep.sets", "data_prep.workers.pool", *GROUND),
    "avemo_jax": (),
    "avemo_jax.model": PRODUCT,  # what api.load returns
    "avemo_jax.timelines": (
        "avemo_jax.csv_files",
        "avemo_jax.evaluation",
        "avemo_jax.inference",
        "avemo_jax.reporting",
        "avemo_jax.terminal",
        "avemo_jax.text",
    ),
    "avemo_jax.serving": (
        "avemo_jax.atomic",
        "avemo_jax.identity",
        "avemo_jax.inference",
        "avemo_jax.reporting",
        "avemo_jax.timelines",
    ),
    "avemo_jax.sklearn_estimator": ("avemo_jax.training",),
    "avemo_jax.command": (*PRODUCT, "run"),
    "avemo_jax.doctor": PRODUCT,  # parts of the API, as those below
    "avemo_jax.preparing": PRODUCT,
    "avemo_jax.system_views": PRODUCT,
    "avemo_jax.wanted": PRODUCT,
    "avemo_jax.windows": PRODUCT,
    "avemo_jax.api": PRODUCT,  # joins data_prep and the modes, as run.py does
    "avemo_jax.config": ("avemo_jax.bounds", "avemo_jax.described", "avemo_jax.text"),
    "avemo_jax.atomic": (),
    "avemo_jax.bounds": (),
    "avemo_jax.json_lines": (),
    "avemo_jax.locks": ("avemo_jax.cache_folders",),
    "avemo_jax.npz_files": (),
    "avemo_jax.clip_measures": (),
    "avemo_jax.mel_arithmetic": (),
    "avemo_jax.clip_names": ("avemo_jax.identity",),
    "avemo_jax.clips": ("avemo_jax.csv_files",),
    "avemo_jax.csv_files": (),
    "avemo_jax.described": (),
    "avemo_jax.degradation": (),  # shared by configs, data_prep and experiments
    "avemo_jax.cache_folders": (),
    "avemo_jax.machine": (),
    "avemo_jax.failures": ("avemo_jax.redaction", "avemo_jax.terminal"),
    "avemo_jax.labels": ("avemo_jax.clips", "avemo_jax.text"),
    "avemo_jax.dimensions": ("avemo_jax.clips", "avemo_jax.text"),
    "avemo_jax.redaction": (),
    "avemo_jax.terminal": (),
    "avemo_jax.text": (),
    "avemo_jax.decimal_marks": (),
    "avemo_jax.emotion_words": ("avemo_jax.labels",),
    "avemo_jax.feature_columns": (),
    "avemo_jax.foreign_json": (),
    "avemo_jax.foreign_table": (
        "avemo_jax.csv_files",
        "avemo_jax.decimal_marks",
        "avemo_jax.foreign_json",
        "avemo_jax.placeholders",
        "avemo_jax.text",
    ),
    "avemo_jax.search": ("avemo_jax.bounds", "avemo_jax.locks", "avemo_jax.redaction"),
    "avemo_jax.parallel": (),
    "avemo_jax.identity": (),
    "avemo_jax.protocols": (
        "avemo_jax.clip_names",
        "avemo_jax.clips",
        "avemo_jax.feature_columns",
        "avemo_jax.foreign_table",
        "avemo_jax.identity",
        "avemo_jax.labels",
        "avemo_jax.text",
    ),
    "avemo_jax.data": ("avemo_jax.atomic", "avemo_jax.clips", "avemo_jax.feature_columns", "avemo_jax.labels", "avemo_jax.parallel"),
    "avemo_jax.models": ("avemo_jax.config", "avemo_jax.text"),
    "avemo_jax.models.encoders": ("avemo_jax.config.onnx", "avemo_jax.models", "avemo_jax.npz_files", "avemo_jax.pretrained"),
    "avemo_jax.placeholders": (),
    "avemo_jax.pretrained": ("avemo_jax.atomic", "avemo_jax.machine", "avemo_jax.placeholders", "avemo_jax.text"),
    "avemo_jax.pretrained.assets": ("avemo_jax.atomic",),  # data_prep reads the face detectors of this module
    "avemo_jax.runs": (
        "avemo_jax.config",
        "avemo_jax.parallel",
        "avemo_jax.atomic",
        "avemo_jax.data.quiet_loading",
        "avemo_jax.json_lines",
        "avemo_jax.locks",
        "avemo_jax.redaction",
    ),
    "avemo_jax.evaluation": (
        "avemo_jax.atomic",
        "avemo_jax.csv_files",
        "avemo_jax.clips",
        "avemo_jax.json_lines",
        "avemo_jax.labels",
        "avemo_jax.protocols",
    ),
    "avemo_jax.reporting": (
        "avemo_jax.atomic",
        "avemo_jax.clip_measures",
        "avemo_jax.clips",
        "avemo_jax.csv_files",
        "avemo_jax.evaluation",
        "avemo_jax.json_lines",
        "avemo_jax.labels",
        "avemo_jax.text",
    ),
    "avemo_jax.comparison": (
        "avemo_jax.atomic",
        "avemo_jax.clip_names",
        "avemo_jax.csv_files",
        "avemo_jax.decimal_marks",
        "avemo_jax.emotion_words",
        "avemo_jax.evaluation",
        "avemo_jax.foreign_table",
        "avemo_jax.identity",
        "avemo_jax.labels",
        "avemo_jax.reporting",
        "avemo_jax.text",
    ),
    "avemo_jax.training": (
        "avemo_jax.config",
        "avemo_jax.data",
        "avemo_jax.evaluation.calibration",
        "avemo_jax.evaluation.metrics",
        "avemo_jax.models",
        "avemo_jax.parallel",
        "avemo_jax.runs",
        "avemo_jax.text",
    ),
    "avemo_jax.inference": (
        "avemo_jax.atomic",
        "avemo_jax.csv_files",
        "avemo_jax.data.prepared",
        "avemo_jax.evaluation.predictions",
        "avemo_jax.evaluation.metrics",
        "avemo_jax.labels",
        "avemo_jax.models",
        "avemo_jax.parallel",
        "avemo_jax.text",
        "avemo_jax.training",
    ),
    "avemo_jax.experiment": (
        "avemo_jax.cache_folders",
        "avemo_jax.config",
        "avemo_jax.machine",
        "avemo_jax.allocator",
        "avemo_jax.atomic",
        "avemo_jax.clips",
        "avemo_jax.degradation",
        "avemo_jax.data",
        "avemo_jax.dimensions",
        "avemo_jax.evaluation",
        "avemo_jax.inference",
        "avemo_jax.json_lines",
        "avemo_jax.labels",
        "avemo_jax.mel_arithmetic",
        "avemo_jax.models",
        "avemo_jax.parallel",
        "avemo_jax.pretrained",
        "avemo_jax.protocols",
        "avemo_jax.redaction",
        "avemo_jax.reporting",
        "avemo_jax.runs",
        "avemo_jax.search",
        "avemo_jax.foreign_table",
        "avemo_jax.text",
        "avemo_jax.training",
    ),
    "avemo_jax.modes": ("avemo_jax",),  # a mode joins what the rooms below it offer
}

# Third-party packages that only some rooms may import.
CONFINED: dict[str, tuple[str, ...]] = {
    "tensorflow": ("avemo_jax.data", "avemo_jax.pretrained.tensorflow_checkpoint"),
    "tensorflow_datasets": ("avemo_jax.data", "data_prep.sets.builders", "data_prep.sets.shards"),
    "clu": ("avemo_jax.runs.writers",),
    "tensorboard": ("avemo_jax.runs.writers",),
    "apache_beam": ("data_prep.sets.on_beam",),
    "flax": ("avemo_jax.models", "avemo_jax.pretrained", "avemo_jax.training", "avemo_jax.inference", "avemo_jax.experiment"),
    "optax": ("avemo_jax.training",),
    "orbax": ("avemo_jax.runs",),
    "jax": ("avemo_jax", "data_prep.doctor"),
    "h5py": ("avemo_jax.pretrained",),
    "onnx": ("avemo_jax.pretrained.onnx_graph", "avemo_jax.experiment.onnx_program"),
    "onnxruntime": ("avemo_jax.models.encoders.onnx", "avemo_jax.experiment.onnx_program"),
    "filelock": ("avemo_jax.locks",),
    "platformdirs": ("avemo_jax.locks",),
    "pooch": ("avemo_jax.pretrained.assets",),
    "imagehash": ("data_prep",),
    "PIL": ("data_prep", "avemo_jax.reporting"),
    "av": ("data_prep",),
    "cv2": ("data_prep",),
    "librosa": ("data_prep",),
    "skimage": ("data_prep",),
    "soundfile": ("data_prep",),
    "soxr": ("data_prep",),
    "opensmile": ("data_prep.views.opensmile",),
    "ml_collections": ("configs", "run"),
    "absl": ("run",),
    "statsmodels": ("avemo_jax.evaluation.paired",),
    "starlette": ("avemo_jax.serving",),
    "uvicorn": ("avemo_jax.modes.serve",),
    "markdown_it": ("avemo_jax.serving",),
    "optuna": ("avemo_jax.search",),
    "sqlalchemy": ("avemo_jax.search",),
    "pandas": ("avemo_jax.foreign_table", "avemo_jax.inference.recording", "avemo_jax.reporting.tables"),
}
# Slow to import or absent on GPU hosts: imported inside the function that needs them, never at module level. The builders derive from
# TFDS classes and need it at module level; therefore the builders themselves are imported late.
LATE = (
    "tensorflow",
    "tensorflow_datasets",
    "apache_beam",
    "opensmile",
    "clu",
    "tensorboard",
    "h5py",
    "onnx",
    "onnxruntime",
    "pooch",
    "statsmodels",
    "pandas",
    "optuna",
    "sqlalchemy",
    "uvicorn",
    "markdown_it",
    "avemo_jax.serving.app",  # with Starlette
    "data_prep.sets.builders",
    "data_prep.sets.shards",
)
EARLY_EXCEPTIONS = {
    ("data_prep.sets.builders", "tensorflow_datasets"),
    ("data_prep.sets.builders", "data_prep.sets.shards"),
    ("data_prep.sets.shards", "tensorflow_datasets"),
}


class Import(NamedTuple):
    """One imported name: its place in the source, the name, and whether the import runs at module level."""

    path: Path
    line: int
    target: str
    early: bool

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line} imports {self.target}"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def room_of(module: str) -> str:
    return max((room for room in ROOMS if is_within(module, room)), key=len)


def imports_in(tree: ast.AST, path: Path, *, early: bool = True) -> Iterator[Import]:
    """Yield every import below a node; `from package import name` counts as `package.name`, which may be a module."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for part in node.body:
                yield from imports_in(ast.Module([part], []), path, early=False)
            continue
        if isinstance(node, ast.Import):
            yield from (Import(path, node.lineno, alias.name, early) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.relative_to(ROOT)}:{node.lineno}: imports are absolute in this project"
            yield from (Import(path, node.lineno, f"{node.module}.{alias.name}", early) for alias in node.names)
        else:
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports_in(node, path, early=early and not inside)


IMPORTS = [found for path in SOURCES for found in imports_in(ast.parse(path.read_text()), path)]


def test_rooms_import_only_what_they_may():
    wrong = []
    for found in IMPORTS:
        if found.target.split(".")[0] not in PRODUCT:
            continue
        room = room_of(module_name(found.path))
        if not any(is_within(found.target, allowed) for allowed in (room, *ROOMS[room])):
            wrong.append(f"{found}, but {room} may import only {ROOMS[room] or 'itself'}")
    assert not wrong, "\n".join(wrong)


def test_only_known_rooms_exist():
    """A new folder of the package must be added to `ROOMS` with its allowed imports."""
    packages = {module_name(path) for path in SOURCES if path.name == "__init__.py" and path.parent.parent == ROOT / "avemo_jax"}
    assert packages - set(ROOMS) == set()


def test_third_party_packages_stay_in_their_rooms():
    wrong = [
        f"{found}, which belongs in {CONFINED[package]}"
        for found in IMPORTS
        if (package := found.target.split(".")[0]) in CONFINED
        and not any(is_within(module_name(found.path), room) for room in CONFINED[package])
    ]
    assert not wrong, "\n".join(wrong)


def test_heavy_packages_are_imported_late():
    early = [
        str(found)
        for found in IMPORTS
        if found.early
        and any(is_within(found.target, package) for package in LATE)
        and not any(module_name(found.path) == module and is_within(found.target, target) for module, target in EARLY_EXCEPTIONS)
    ]
    assert not early, "move into the function that needs it:\n" + "\n".join(early)


# What starts `--mode=predict` of a classical model, and packages that take longer to import than it takes to predict: they belong to
# networks and frozen encoders, or to the process that decodes.
FAST = (
    "run",
    "avemo_jax.experiment.ensemble",
    "avemo_jax.modes.predict",
    "avemo_jax.modes.shipped",
    "avemo_jax.modes.stored",
    "data_prep.live_worker",
    "data_prep.timeline_media",
)
SLOW = ("jax", "flax", "optax", "orbax", "sklearn", "av", "cv2", "PIL", "librosa", "soundfile")


def early_imports_of(modules: tuple[str, ...]) -> list[Import]:
    """Return all imports that importing these modules runs, those of modules of the product included."""
    known = {module_name(path) for path in SOURCES}
    by_module: dict[str, list[Import]] = {}
    for found in IMPORTS:
        if found.early:
            by_module.setdefault(module_name(found.path), []).append(found)
    reached: list[Import] = []
    waiting, seen = list(modules), set(modules)
    while waiting:
        own = by_module.get(waiting.pop(), [])
        reached += own
        names = {name for found in own for name in itertools.accumulate(found.target.split("."), lambda a, b: f"{a}.{b}")}
        waiting += sorted((names & known) - seen)
        seen |= names & known
    return reached


def test_predicting_with_a_classical_model_imports_neither_jax_nor_decoders():
    slow = [str(found) for found in early_imports_of(FAST) if found.target.split(".")[0] in SLOW]
    assert not slow, "import it inside the function that needs it, or in a module that only networks need:\n" + "\n".join(slow)
    assert any(found.target.split(".")[0] in SLOW for found in early_imports_of(("avemo_jax.experiment.trained_members",)))


def test_late_and_conditional_imports_are_found():
    source = (
        "import one\nif TYPE_CHECKING:\n    import two\ndef f():\n    from three import four\n"
        "class C:\n    import five\n    def g(self):\n        try:\n            import six\n        except ImportError:\n            pass\n"
    )
    found = {(item.target, item.early) for item in imports_in(ast.parse(source), ROOT / "run.py")}
    assert found == {("one", True), ("two", False), ("three.four", False), ("five", True), ("six", False)}


def private_imports_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the names with a leading underscore that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.startswith("_") and alias.name != "__version__")


def test_no_file_imports_a_private_name_of_another():
    files = [path for folder in ("avemo_jax", "benchmarks", "configs", "data_prep", "tests") for path in (ROOT / folder).rglob("*.py")]
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in (*files, ROOT / "run.py")
        for line, name in private_imports_in(ast.parse(path.read_text()))
    ]
    assert not wrong, "make the name public, or test it through a public one:\n" + "\n".join(wrong)


def test_private_imports_are_found():
    assert list(private_imports_in(ast.parse("from a import b, _c\nimport _d\n"))) == [(1, "_c")]


AXIS_CALLS = ("P", "PartitionSpec", "Mesh", "make_mesh", "AbstractMesh")
AXIS_KEYWORDS = ("axis_name", "axis_names", "spmd_axis_name")


def axis_names_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield literal mesh axis names: strings passed to a mesh or a partition spec, alone or in tuples, or as an axis name."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        arguments = [keyword.value for keyword in node.keywords if name in AXIS_CALLS or keyword.arg in AXIS_KEYWORDS]
        arguments += node.args if name in AXIS_CALLS else []
        while arguments:
            match arguments.pop():
                case ast.Tuple(elts=parts) | ast.List(elts=parts):
                    arguments += parts
                case ast.Constant(value=str(axis)):
                    yield node.lineno, axis


def test_mesh_axes_are_named_in_one_place():
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {axis!r}"
        for path in SOURCES
        if module_name(path) != "avemo_jax.parallel"
        for line, axis in axis_names_in(ast.parse(path.read_text()))
    ]
    assert not wrong, "only avemo_jax/parallel.py names mesh axes:\n" + "\n".join(wrong)


def test_the_search_for_axis_names_finds_them():
    source = "P(None, ('data', 'x'))\njax.vmap(f, spmd_axis_name='trial')\nprint('data')\nmake_mesh(shape=sizes['data'])\n"
    assert set(axis_names_in(ast.parse(source))) == {(1, "data"), (1, "x"), (2, "trial")}


# Hosts with accelerators have JAX and few other packages.
ABSENT_ON_GPU_HOSTS = (
    "tensorflow",
    "tensorflow_datasets",
    "clu",
    "tensorboard",
    "h5py",
    "pooch",
    "ml_collections",
    "librosa",
    "av",
    "soundfile",
    "soxr",
    "skimage",
    "imagehash",
    "statsmodels",
    "optuna",
    "sqlalchemy",
)
IMPORT_ALL = """
import importlib, pkgutil, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}} (hidden by the test)", name=name)

sys.meta_path.insert(0, Absent())
for room in {rooms!r}:
    package = importlib.import_module(room)
    for module in pkgutil.walk_packages(package.__path__, room + "."):
        importlib.import_module(module.name)
        print(module.name)
"""


def test_accelerator_rooms_import_without_the_packages_those_hosts_lack():
    rooms = tuple(
        f"avemo_jax.{room}"
        for room in (
            "models",
            "training",
            "evaluation",
            "inference",
            "pretrained",
            "protocols",
            "data",
            "experiment",
            "modes",
            "reporting",
            "runs",
            "comparison",
            "search",
        )
    )
    program = IMPORT_ALL.format(absent=ABSENT_ON_GPU_HOSTS, rooms=rooms)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    expected = {
        module_name(path) for path in SOURCES if any(is_within(module_name(path), room) for room in rooms) and path.name != "__init__.py"
    }
    assert set(done.stdout.split()) >= expected


def test_the_top_level_is_the_agreed_one():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    assert {line.split("/")[0] for line in tracked.stdout.splitlines()} <= {
        *PRODUCT,
        *(
            "tests",
            "benchmarks",
            "docs",
            "run.py",
            ".ci",
            ".gitignore",
            "Makefile",
            "models",
            "pyproject.toml",
            "Dockerfile",
            ".dockerignore",
        ),
        *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff"),
        *("requirements.txt", "requirements-dev.txt", "requirements.lock"),
    }
