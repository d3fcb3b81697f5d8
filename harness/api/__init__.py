"""The contract: all that a suite, a judge, a backend or a corpus is given and gives back.

The author of a plug-in reads this folder and imports from here: ``from croco_eval.harness.api import Item, Suite``.
"""

from .answerer import Answerer
from .backend import Backend, Chunk, Engine, Message, ModelSpec, RewardModel
from .corpus import Corpus, Document, HasPreferences, Pair
from .judge import NO_ANSWER, Case, Judge, JudgeContext, JudgingCell, Ruling, Rulings
from .records import (
    AnswerPair,
    Generation,
    GenerationRequest,
    Item,
    Judgment,
    LikelihoodRequest,
    MetricKind,
    Order,
    Preference,
    Response,
    Score,
    Signature,
    Verdict,
    preference_of,
)
from .suite import NeedsResources, Resource, Suite, SuiteOptions, Task, TaskResult

__all__ = [
    "NO_ANSWER",
    "AnswerPair",
    "Answerer",
    "Backend",
    "Case",
    "Chunk",
    "Corpus",
    "Document",
    "Engine",
    "Generation",
    "GenerationRequest",
    "HasPreferences",
    "Item",
    "Judge",
    "JudgeContext",
    "JudgingCell",
    "Judgment",
    "LikelihoodRequest",
    "Message",
    "MetricKind",
    "ModelSpec",
    "NeedsResources",
    "Order",
    "Pair",
    "Preference",
    "Resource",
    "Response",
    "RewardModel",
    "Ruling",
    "Rulings",
    "Score",
    "Signature",
    "Suite",
    "SuiteOptions",
    "Task",
    "TaskResult",
    "Verdict",
    "preference_of",
]
