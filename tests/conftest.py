"""Before any test imports JAX: compile quickly rather than well. Small programs spend their time in the compiler, not in what it makes."""

import os

# Also inherited by the processes that tests start; a value that is set already stays.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
