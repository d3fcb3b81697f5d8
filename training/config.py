"""The configuration of a training run: one strict YAML file, a section per stage.

The study's settings (arXiv 2605.26293, its scripts) are the defaults, named here and nowhere else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from ..harness.config.run_config import Name, SystemConfig, languages_field, local_path, with_paths
from ..harness.config.strict import Strict, read_strict
from ..harness.registry import did_you_mean
from .pairing.rule import PairRule


class PromptsConfig(Strict):
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


class TranslateConfig(Strict):
    """English prompts for the run, put into its other languages by ``translator``, a system of any backend.

    ``source``: a corpus, or a file of English prompts. ``template`` replaces what the translator is asked, with
    ``{text}``, ``{language}`` and ``{code}``. A translation that is dropped is asked for again, ``attempts`` times in
    all. Lengths are in characters: sources longer than ``max_characters`` are left out, and so are translations whose
    length is not between ``min_ratio`` and ``max_ratio`` times that of their source.
    """

    source: PromptsConfig
    translator: SystemConfig
    template: str | None = None
    attempts: int = Field(2, ge=1, le=10)
    max_characters: int = Field(8000, ge=1)
    min_ratio: float = Field(0.4, ge=0)
    max_ratio: float = Field(2.5, gt=0)

    @model_validator(mode="after")
    def _fits(self) -> TranslateConfig:
        if self.template is not None and "{text}" not in self.template:
            raise ValueError("template must hold {text}, where the prompt goes")
        if self.min_ratio >= self.max_ratio:
            raise ValueError("min_ratio must be below max_ratio")
        return self


DPO_LOSSES = (
    "sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired",
    "apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm",
)  # fmt: skip
"""Losses of TRL's ``DPOTrainer``."""


def _loss_types(value: Any) -> Any:
    """One loss or several; unknown names are told with their likely spelling."""
    names = [value] if isinstance(value, str) else value
    for name in names if isinstance(names, (list, tuple)) else ():
        if name not in (*DPO_LOSSES, "simpo"):
            raise ValueError(f"unknown loss_type {name!r}{did_you_mean(str(name), [*DPO_LOSSES, 'simpo'])}")
        if name == "simpo" and len(names) > 1:
            raise ValueError("simpo has no reference model and stands alone")
    return names


class SampleConfig(Strict):
    """``n`` answers per prompt. ``policy`` names another model's answers (off-policy); by default the policy's own."""

    n: int = Field(64, ge=1)
    temperature: float = Field(1.0, gt=0)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0)
    max_new_tokens: int = Field(4096, ge=1)
    policy: SystemConfig | None = None


class ScorerConfig(Strict):
    """A scorer by name; ``scorer`` names the kind where it differs from the name, ``options`` are its own."""

    name: Name
    scorer: str | None = None
    options: dict[str, Any] = {}


class PairConfig(PairRule):
    """``reward``: the scorer whose rewards count, the first by default."""

    reward: Name | None = None


class LoraSettings(Strict):
    """A LoRA adapter on attention and MLP projections."""

    r: int = Field(16, ge=1)
    alpha: int = Field(32, ge=1)
    dropout: float = Field(0.05, ge=0, lt=1)
    target_modules: tuple[str, ...] = (
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    )  # fmt: skip


class TunerSettings(Strict):
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
    lora: LoraSettings = LoraSettings.model_construct()


class SftSettings(TunerSettings):
    """Supervised fine-tuning. ``answers``: those with the highest reward (Max-R; ``pool`` as for pairs), or the gold
    answers of the prompts."""

    learning_rate: float = Field(2e-4, gt=0)
    answers: Literal["max-reward", "gold"] = "max-reward"
    pool: Literal["language", "all"] = "language"


class DpoSettings(TunerSettings):
    """Direct preference optimisation. ``loss_type``, ``loss_weights`` and ``label_smoothing`` are TRL's; ``simpo`` is
    SimPO (arXiv 2405.14734, without a reference model; ``simpo_gamma`` is its margin) and stands alone."""

    learning_rate: float = Field(5e-6, gt=0)
    beta: float = Field(0.1, gt=0)
    loss_type: Annotated[tuple[str, ...], BeforeValidator(_loss_types)] = ("sigmoid",)
    loss_weights: tuple[float, ...] | None = None
    label_smoothing: float = Field(0.0, ge=0, lt=0.5)
    simpo_gamma: float = Field(0.5, ge=0)

    @model_validator(mode="after")
    def _fits(self) -> DpoSettings:
        if self.loss_weights is not None and len(self.loss_weights) != len(self.loss_type):
            raise ValueError(f"{len(self.loss_weights)} loss_weights for {len(self.loss_type)} loss types")
        return self


class OnlineSettings(TunerSettings):
    """What trainers share that sample while they tune: how they sample. The reward is that of ``pair.reward``."""

    temperature: float = Field(1.0, gt=0)
    top_p: float = Field(1.0, gt=0, le=1)
    max_new_tokens: int = Field(2048, ge=1)


class OnlineDpoSettings(OnlineSettings):
    """Online DPO (arXiv 2402.04792): two answers of the current policy per prompt, the better one by reward chosen."""

    learning_rate: float = Field(5e-6, gt=0)
    beta: float = Field(0.1, gt=0)
    loss_type: Literal["sigmoid", "ipo"] = "sigmoid"
    missing_eos_penalty: float | None = Field(None, gt=0)


class GrpoSettings(OnlineSettings):
    """GRPO (arXiv 2402.03300): groups of answers per prompt, each against its group's mean reward.

    ``beta`` weighs the divergence from the reference.
    """

    learning_rate: float = Field(1e-6, gt=0)
    beta: float = Field(0.04, ge=0)
    num_generations: int = Field(8, ge=2)


class CorpusPreferences(Strict):
    """Preferences of a packaged corpus in one language: ``passes`` draws, of all its kinds of ``flaws`` or of some."""

    corpus: str
    language: str = "en"
    passes: int = Field(1, ge=1)
    flaws: tuple[str, ...] | None = None


class RewardSettings(TunerSettings):
    """A reward model from preferences in one language (Bradley-Terry loss), on top of the policy's base or ``model``.

    ``preferences``: a JSONL or Parquet file with ``prompt``, ``chosen`` and ``rejected``, or a corpus. ``backbone``:
    ``lora`` adapts the base lightly and is merged in the end; ``frozen`` trains the head alone, which is what carries
    over best to languages without preferences where they are few. ``center_rewards`` is TRL's
    ``center_rewards_coefficient``. ``chat_template`` (Jinja) replaces the base's and is kept with the model; the reward
    is read at its last token.
    """

    learning_rate: float = Field(1e-4, gt=0)
    preferences: str | CorpusPreferences | None = None
    model: str | None = None
    backbone: Literal["lora", "frozen"] = "lora"
    center_rewards: float | None = Field(None, ge=0)
    chat_template: str | None = None


TrainerName = Literal["sft", "dpo", "online-dpo", "grpo"]
SECTIONS: dict[str, str] = {"sft": "sft", "dpo": "dpo", "online-dpo": "online_dpo", "grpo": "grpo"}
"""The section of the config that holds a trainer's settings."""


class ArmConfig(Strict):
    """One tuned system: its trainer, and where it departs from the config's own sections.

    ``seeds`` tunes it once per seed of the trainer, on the same data. ``languages`` restricts the data. The other
    fields hold parts of the sections of the same name.
    """

    trainer: TrainerName
    seeds: list[int] | None = Field(None, min_length=1)
    languages: Annotated[list[str], BeforeValidator(languages_field)] | None = None
    sample: dict[str, Any] = {}
    pair: dict[str, Any] = {}
    settings: dict[str, Any] = {}


class EstimateConfig(Strict):
    """What ``--dry-run`` reckons with. Sizes are parameters, where the models are not on this machine; ``prompts`` is
    the number per language, where they are not there yet; ``gpu_flops`` is one GPU's peak (an H100's in bfloat16)."""

    prompts: int | None = Field(None, ge=1)
    prompt_tokens: int = Field(200, ge=1)
    answer_tokens: int = Field(600, ge=1)
    parameters: float | None = Field(None, gt=0)
    reward_parameters: float | None = Field(None, gt=0)
    translator_parameters: float | None = Field(None, gt=0)
    gpu_flops: float = Field(9.9e14, gt=0)
    utilisation: float = Field(0.35, gt=0, le=1)
    decode_utilisation: float = Field(0.1, gt=0, le=1)


class TrainConfig(Strict):
    """A whole training run; stages read and write below ``out``."""

    name: Name
    languages: Annotated[list[str], BeforeValidator(languages_field)]
    policy: SystemConfig
    prompts: PromptsConfig | None = None
    translate: TranslateConfig | None = None
    sample: SampleConfig = SampleConfig.model_construct()
    scorers: list[ScorerConfig] = Field(min_length=1)
    pair: PairConfig = PairConfig.model_construct()
    sft: SftSettings = SftSettings.model_construct()
    dpo: DpoSettings = DpoSettings.model_construct()
    online_dpo: OnlineDpoSettings = OnlineDpoSettings.model_construct()
    grpo: GrpoSettings = GrpoSettings.model_construct()
    reward: RewardSettings = RewardSettings.model_construct()
    arms: dict[Name, ArmConfig] = {}
    estimate: EstimateConfig = EstimateConfig.model_construct()
    seed: int = Field(42, ge=0)
    out: str | None = None

    @model_validator(mode="after")
    def _has_prompts(self) -> TrainConfig:
        if (self.prompts is None) == (self.translate is None):
            raise ValueError("prompts come either from a section `prompts` or from a section `translate`")
        return self

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

    sample, translate = config.sample, config.translate
    if sample.policy is not None:
        sample = sample.model_copy(update={"policy": with_paths(sample.policy, folder)})
    if translate is not None:
        source, translator = _found_in(translate.source, folder), with_paths(translate.translator, folder)
        translate = translate.model_copy(update={"source": source, "translator": translator})
    update = {
        "policy": with_paths(config.policy, folder),
        "sample": sample,
        "translate": translate,
        "prompts": config.prompts and _found_in(config.prompts, folder),
        "reward": _reward_with_paths(config.reward, folder),
        "scorers": [_scorer_with_paths(x, folder) for x in config.scorers],
        "out": str((folder / (config.out or f"train/{config.name}")).resolve()),
    }
    return config.model_copy(update=update)


def _found_in(prompts: PromptsConfig, folder: Path) -> PromptsConfig:
    """With an absolute path."""
    if prompts.files is None:
        return prompts
    return prompts.model_copy(update={"files": str(folder / Path(prompts.files).expanduser())})


def _scorer_with_paths(scorer: ScorerConfig, folder: Path) -> ScorerConfig:
    """With absolute paths to its models."""
    models = {k: v for k, v in scorer.options.items() if k in ("model", "adapter", "reference") and isinstance(v, str)}
    options = {**scorer.options, **{k: local_path(v, folder) for k, v in models.items()}}
    return scorer.model_copy(update={"options": options})


def _reward_with_paths(reward: RewardSettings, folder: Path) -> RewardSettings:
    """With absolute paths to its model and its preferences."""
    model = reward.model and local_path(reward.model, folder)
    preferences = reward.preferences
    if isinstance(preferences, str):
        preferences = str(folder / Path(preferences).expanduser())
    return reward.model_copy(update={"model": model, "preferences": preferences})
