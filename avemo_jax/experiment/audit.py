"""The leak audit of a plan, before training."""

from __future__ import annotations

from typing import Any

from avemo_jax.experiment.plan import Plan


def audit(plan: Plan) -> list[dict[str, Any]]:
    """Findings that stand beside every number of the run: [{"finding", "detail"}].

    What a protocol forbids has stopped the run before this (`protocols.folds.check_folds`); what is found here is what it is known to
    allow.
    """
    findings = []
    shared = {speaker for fold in plan.folds.folds for speaker in _speakers(plan, fold.train) & _speakers(plan, fold.test)}
    if shared:
        detail = f"protocol {plan.folds.protocol} draws clips, not speakers: {len(shared)} speakers are in training and test parts"
        findings.append({"finding": "speaker_in_two_parts", "detail": detail})
    if plan.config["protocol"]["select"] == "test":
        findings.append({"finding": "selected_on_test", "detail": "the epoch was chosen on the test part, as protocol.select asks"})
    return findings


def _speakers(plan: Plan, clip_ids: tuple[str, ...]) -> set[str]:
    wanted = set(clip_ids)
    return {clip.speaker for clip in plan.clips if clip.clip_id in wanted}
