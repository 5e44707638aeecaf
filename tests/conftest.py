"""Before any test imports JAX: compile quickly rather than well, and nothing twice. Tests spend their time in the compiler."""

import os
from pathlib import Path

# Also inherited by the processes that tests start; a value that is set already stays.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).resolve().parents[1] / ".pytest_cache" / "xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.05")
