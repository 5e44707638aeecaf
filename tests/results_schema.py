"""results.json against its schema, for the tests that make one."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

SCHEMA = json.loads((Path(__file__).resolve().parents[1] / "avemo_jax" / "evaluation" / "results.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)


def check_results(results: dict[str, Any]) -> dict[str, Any]:
    """Return results as they are, or fail with everything that the schema has against them."""
    wrong = [f"{'/'.join(map(str, error.path)) or 'results'}: {error.message}" for error in VALIDATOR.iter_errors(results)]
    assert not wrong, "\n".join(wrong)
    return results
