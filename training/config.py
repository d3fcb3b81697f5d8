"""The configuration of a training run: one strict YAML file, a section per stage.

The study's settings (arXiv 2605.26293, its scripts) are the defaults, named here and nowhere else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ..harness.config import Name, SystemConfig, languages_field, local_path, read_strict
from .pairs.rule import Target


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PromptsConfig(_Strict):
    """Where prompts come from: a packaged corpus, or parallel files (``{language}`` in their names), JSONL or Parquet
    with a column ``prompt`` and, where there are, ``source_id``, ``gold`` and ``metadata``.

    ``limit`` bounds the prompts of each language.
    """

    corpus: str | None = None
    files: str | None = None
    limit: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _one_source(self) -> PromptsConfig:
        if (self.corpus is None) == (self.files is None):
            raise ValueError("name either a corpus or files")
        return self


class SampleConfig(_Strict):
    """``n`` answers per prompt. ``policy`` names another model's answers (off-policy); by default the policy's own."""

    n: int = Field(64, ge=1)
    temperature: float = Field(1.0, gt=0)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0)
    max_new_tokens: int = Field(4096, ge=1)
    policy: SystemConfig | None = None


class ScorerConfig(_Strict):
    """A scorer by name; ``scorer`` names the kind where it differs from the name, ``options`` are its own."""

    name: Name
    scorer: str | None = None
    options: dict[str, Any] = {}


class PairConfig(_Strict):
    """``reward``: the scorer whose rewards count, the first by default. ``pool``: candidates of one prompt in one
    language, or in all. ``members``: with ``gold-chosen`` the gold answer is chosen whatever its reward."""

    reward: Name | None = None
    pool: Literal["language", "all"] = "language"
    reject_target: Target = "mean_minus_2sigma"
    chosen_target: Target = "max"
    prompt_source: Literal["chosen", "rejected", "random"] = "chosen"
    members: Literal["generations", "generations+gold", "gold-chosen"] = "generations"


class LoraSettings(_Strict):
    """A LoRA adapter on attention and MLP projections."""

    r: int = Field(16, ge=1)
    alpha: int = Field(32, ge=1)
    dropout: float = Field(0.05, ge=0, lt=1)
    target_modules: tuple[str, ...] = (
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    )  # fmt: skip


class TunerSettings(_Strict):
    """What all trainers share; names and meaning are those of ``transformers.TrainingArguments``."""

    num_train_epochs: float = Field(1.0, gt=0)
    per_device_train_batch_size: int = Field(1, ge=1)
    gradient_accumulation_steps: int = Field(8, ge=1)
    lr_scheduler_type: str = "cosine"
    warmup_ratio: float = Field(0.05, ge=0, lt=1)
    weight_decay: float = Field(0.01, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    max_length: int = Field(4096, ge=2)
    save_steps: int | None = Field(None, ge=1)
    seed: int = 42
    lora: LoraSettings = LoraSettings.model_validate({})


class SftSettings(TunerSettings):
    """Supervised fine-tuning on the answers with the highest reward. ``pool`` as for pairs."""

    learning_rate: float = Field(2e-4, gt=0)
    pool: Literal["language", "all"] = "language"


class DpoSettings(TunerSettings):
    """Direct preference optimisation; ``loss_type`` and ``label_smoothing`` are TRL's."""

    learning_rate: float = Field(5e-6, gt=0)
    beta: float = Field(0.1, gt=0)
    loss_type: tuple[str, ...] = ("sigmoid",)
    label_smoothing: float = Field(0.0, ge=0, lt=0.5)


class TrainConfig(_Strict):
    """A whole training run; stages read and write below ``out``."""

    name: Name
    languages: Annotated[list[str], BeforeValidator(languages_field)]
    policy: SystemConfig
    prompts: PromptsConfig
    sample: SampleConfig = SampleConfig.model_validate({})
    scorers: list[ScorerConfig] = Field(min_length=1)
    pair: PairConfig = PairConfig.model_validate({})
    sft: SftSettings = SftSettings.model_validate({})
    dpo: DpoSettings = DpoSettings.model_validate({})
    seed: int = Field(42, ge=0)
    out: str | None = None

    @model_validator(mode="after")
    def _reward_is_a_scorer(self) -> TrainConfig:
        names = [x.name for x in self.scorers]
        if self.pair.reward is not None and self.pair.reward not in names:
            raise ValueError(f"pair.reward {self.pair.reward!r} is not one of the scorers ({', '.join(names)})")
        return self

    @property
    def reward_name(self) -> str:
        """The scorer whose rewards make pairs."""
        return self.pair.reward or self.scorers[0].name


def read_train_config(path: Path) -> TrainConfig:
    """The configuration in a file, local paths absolute. Raises UserError for a missing, unreadable or wrong file."""
    config = read_strict(path, TrainConfig, "training config")
    folder = path.resolve().parent

    def resolved(system: SystemConfig) -> SystemConfig:
        adapter = system.adapter and local_path(system.adapter, folder)
        return system.model_copy(update={"model": local_path(system.model, folder), "adapter": adapter})

    sample = config.sample
    if sample.policy is not None:
        sample = sample.model_copy(update={"policy": resolved(sample.policy)})
    prompts = config.prompts
    if prompts.files is not None:
        prompts = prompts.model_copy(update={"files": str(folder / Path(prompts.files).expanduser())})
    out = str((folder / (config.out or f"train/{config.name}")).resolve())
    update = {"policy": resolved(config.policy), "sample": sample, "prompts": prompts, "out": out}
    return config.model_copy(update=update)
