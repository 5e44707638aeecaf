"""The tables beside the main one say what was tried and measured, and nothing where there is nothing."""

from avemo_jax.reporting.side_tables import format_side_tables, side_tables

METRICS = {"uar": 0.5, "war": 0.25, "macro_f1": 0.4, "weighted_f1": 0.3, "ece": 0.1}


def test_stages_and_settings_are_rows():
    settings = [
        {"setting": 0, "tried": {"streams.audio.context_units": [256], "learning_rate": 0.1}, "validation": 0.75} | METRICS,
        {"setting": 1, "tried": {"streams.audio.context_units": [256, 256], "learning_rate": 0.1}, "validation": 0.5} | METRICS,
    ]
    stages = [{"stage": "audio", "num_params": 1234} | METRICS]
    first, second = side_tables({"stages": stages, "settings": settings})
    assert first["rows"] == [["audio", "1,234", "50.0", "25.0", "40.0", "30.0", "10.0"]]
    assert second["header"][:3] == ["context_units", "learning_rate", "validation"]
    assert second["rows"][1][:4] == ["(256, 256)", "0.1", "0.500", "50.0"]
    lines = format_side_tables({"settings": settings}).splitlines()
    assert lines[0].startswith("Settings (") and len({len(line) for line in lines[1:]}) == 1


def test_a_plain_run_has_none():
    assert side_tables({}) == [] and format_side_tables({}) == ""
