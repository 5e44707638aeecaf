"""The benchmark of other projects' folds: their rules put every speaker into both parts, and the audit says so."""

from benchmarks.others_folds import LISTS, audited


def test_random_lists_share_every_speaker(tmp_path):
    small = [one for one in LISTS if one.corpus in ("EmoDB", "eNTERFACE'05")]
    rows = [audited(tmp_path, one) for one in small]
    assert [row[3:] for row in rows] == [
        ["1,290", "43", "100.0 %", "speaker_in_two_parts (43)"],
        ["700", "10", "100.0 %", "speaker_in_two_parts (10)"],
    ]
