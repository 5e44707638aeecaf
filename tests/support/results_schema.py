"""results.json against its schema, for the tests that make one."""

from typing import Any

from jsonschema import Draft202012Validator

from avemo_jax.evaluation.results import results_schema

VALIDATOR = Draft202012Validator(results_schema())


def check_results(results: dict[str, Any]) -> dict[str, Any]:
    """Return results as they are, or fail with all that the schema has against them."""
    wrong = [f"{'/'.join(map(str, error.path)) or 'results'}: {error.message}" for error in VALIDATOR.iter_errors(results)]
    assert not wrong, "\n".join(wrong)
    return results
