"""The benchmark of the leak audit at small size: every planted variant is found, and no clean cohort raises an alarm."""

from benchmarks.leak_audit import run


def test_planted_variants_are_found_and_clean_cohorts_raise_no_alarm():
    counts, wrong = run(30, num_planted_tables=3)
    assert wrong == []
    assert counts.pop("clean") == (30, 30) and len(counts) == 10
    assert all(found == planted >= 11 for found, planted in counts.values())
