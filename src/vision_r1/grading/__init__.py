"""THE grader: extraction, equivalence, formats and rewards, for filters, RL and evaluation alike."""

from vision_r1.grading.equivalence import grade_answer
from vision_r1.grading.extract import Extraction, extract
from vision_r1.grading.file import Summary, grade_file
from vision_r1.grading.formats import Parts, split_parts
from vision_r1.grading.hfrrf import Reward, StopReason, hfrrf, soft_reward
from vision_r1.grading.response import grade_response
from vision_r1.grading.spec import ANSWER_TYPES, GradeSpec
from vision_r1.grading.user import RewardFunction, load_reward
from vision_r1.grading.verdict import Status, Verdict

__all__ = [
    "ANSWER_TYPES",
    "Extraction",
    "GradeSpec",
    "Parts",
    "Reward",
    "RewardFunction",
    "Status",
    "StopReason",
    "Summary",
    "Verdict",
    "extract",
    "grade_answer",
    "grade_file",
    "grade_response",
    "hfrrf",
    "load_reward",
    "soft_reward",
    "split_parts",
]
