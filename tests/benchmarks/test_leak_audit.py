"""The benchmark of the leak audit at small size: every planted variant is found, and no clean cohort raises an alarm."""

from benchmarks.leak_audit import run


def test_planted_variants_are_found_and_clean_cohorts_raise_no_alarm():
    counts, wrong = run(10, num_planted_tables=2, has_media=False)
    assert wrong == []
    assert counts.pop("clean cohorts") == counts.pop("clean cohorts of any shape") == (10, 10) and len(counts) == 12
    assert all(found == planted >= 10 for found, planted in counts.values())
