"""The run's configuration: one strict YAML file.

An unknown key, a wrong type or a wrong name is an error that names the file, the line and what was meant.
``config.yaml`` in a run directory is this file with every default written out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ..errors import UserError
from ..registry import did_you_mean, names
from ..text.languages import resolve_languages
from .server_config import SystemServer
from .strict import JsonObject, Strict, load_yaml, read_text, validate

_SHAPE = "a config is a mapping with at least name, systems and suites"
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


def _is_commit(value: str) -> str:
    if not re.fullmatch("[0-9a-f]{40}", value):
        raise ValueError(f"{value!r} is not a commit: 40 hexadecimal digits")
    return value


Commit = Annotated[str, AfterValidator(_is_commit)]


class GenerationSettings(Strict):
    """How answers to open-ended prompts are generated. Structured tasks bring their own settings."""

    max_new_tokens: int = Field(512, ge=1)
    temperature: float = Field(0.0, ge=0)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0)
    repetition_penalty: float = Field(1.0, gt=0)
    stop: list[str] = []


class SystemConfig(Strict):
    """What is evaluated: a base model, an optional LoRA adapter, a backend and generation settings.

    ``model`` is a packaged name, a local folder or a hub id; ``revision`` pins a hub id.
    ``allow_base_mismatch`` accepts an adapter that says it was trained on another base. With backend ``openai`` the
    model is a server's name for it and ``server`` says where; ``engine_options`` go to vLLM as they are.

    An ``adapter`` with ``*``, such as ``DIR/checkpoint-*``, makes each folder that it fits a system of its own,
    ``NAME-STEP``, with the training run and its ``step``.

    ``truncate``: what becomes of a prompt longer than the model's window: ``cut``, or ``refuse``, which leaves its item
    unscored.
    """

    name: Name
    model: str = Field(min_length=1)
    revision: str | None = None
    adapter: str | None = None
    checkpoint_of: Name | None = None
    step: int | None = Field(None, ge=0)
    allow_base_mismatch: bool = False
    backend: str = "hf"
    chat_template: bool = True
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    batch_tokens: int = Field(8192, ge=64)
    truncate: Literal["cut", "refuse"] = "cut"
    engine_options: JsonObject = {}
    server: SystemServer | None = None
    generation: GenerationSettings = Field(default_factory=lambda: GenerationSettings.model_validate({}))

    @field_validator("name")
    @classmethod
    def _no_separator(cls, value: str) -> str:
        if "__" in value:
            raise ValueError("a system's name must not hold '__'")
        return value

    @model_validator(mode="after")
    def _fits_its_backend(self) -> SystemConfig:
        if self.backend == "openai":
            self._check_served()
        elif self.server is not None and self.backend in ("hf", "vllm"):
            raise ValueError(f"backend {self.backend} runs in this process: leave server out, or set backend: openai")
        if self.engine_options and self.backend in ("hf", "openai"):
            raise ValueError("engine_options are for backend vllm")
        if self.backend == "vllm" and self.device != "auto":
            raise ValueError("vLLM chooses its device itself: leave device out")
        return self

    def _check_served(self) -> None:
        if self.server is None:
            raise ValueError("backend openai needs server: {base_url: http://127.0.0.1:8000/v1}")
        if not self.chat_template:
            raise ValueError("a chat server applies its own template: leave chat_template out")
        if self.truncate != "cut":
            raise ValueError("a server itself cuts or refuses a prompt that is too long: leave truncate out")
        for name in ("adapter", "revision", "device", "dtype"):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"backend openai has no weights here: leave {name} out")


class SuiteConfig(Strict):
    """A suite: by name, or one's own lm-eval task (``task``, found under the config's ``task_path``).

    ``limit`` bounds the items of each of the suite's tasks; ``few_shot`` is None for the suite's own number;
    ``options`` are the suite's own.
    """

    name: Name
    task: str | None = None
    limit: int | None = Field(None, ge=1)
    few_shot: int | None = Field(None, ge=0)
    options: dict[str, Any] = {}


class JudgeConfig(Strict):
    """A judge by name; ``judge`` names the kind where it differs from the name, ``options`` are its own."""

    name: Name
    judge: str | None = None
    options: dict[str, Any] = {}


def _shorthand(value: Any) -> Any:
    """``- locale`` means ``- name: locale``."""
    return [{"name": x} if isinstance(x, str) else x for x in value] if isinstance(value, list) else value


def languages_field(value: Any) -> Any:
    """Codes and groups as codes; one name stands for a list of one."""
    wanted = [value] if isinstance(value, str) else value
    if not isinstance(wanted, list) or not all(isinstance(x, str) for x in wanted):
        raise ValueError("must be a list of codes and groups, such as [da, de] or paper")
    try:
        return list(resolve_languages(wanted))
    except UserError as error:
        raise ValueError(str(error)) from None


def _distinct_names(value: list[Any]) -> list[Any]:
    names = [x.name for x in value]
    if twice := {x for x in names if names.count(x) > 1}:
        raise ValueError(f"two of them have the name {sorted(twice)[0]!r}")
    return value


Named = AfterValidator(_distinct_names)


def _checkpoints(value: list[SystemConfig], info: ValidationInfo) -> list[SystemConfig]:
    """Systems whose adapter is a pattern as one system per checkpoint, in the order of the steps."""
    folder = (info.context or {}).get("folder", Path())
    return [x for system in value for x in _one_per_checkpoint(system, folder)]


def _one_per_checkpoint(system: SystemConfig, folder: Path) -> list[SystemConfig]:
    if system.adapter is None or "*" not in system.adapter:
        return [system]
    path = folder / Path(system.adapter).expanduser()
    matches = path.parent.glob(path.name)
    found = {int(x.name.rpartition("-")[2]): x for x in matches if re.fullmatch(r".*-\d+", x.name) and x.is_dir()}
    if not found:
        raise ValueError(f"{system.name}: no folder fits adapter {system.adapter!r} and ends in its step")
    return [
        system.model_copy(
            update={
                "name": f"{system.name}-{step}",
                "adapter": str(found[step].resolve()),
                "checkpoint_of": system.name,
                "step": step,
            }
        )
        for step in sorted(found)
    ]


Share = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class StatisticsConfig(Strict):
    """How systems are compared once all is known; may change in a finished run.

    ``margin`` is the loss that still counts as none, in the metric's units; ``margins`` replaces it by suite. ``tuned``
    names the languages that the candidates were tuned on: forgetting in all others is reported apart.
    """

    alpha: float = Field(0.05, gt=0, lt=0.5)
    correction: Literal["holm", "bh"] = "holm"
    margin: Share = 0.02
    margins: dict[str, Share] = {}
    n_resamples: int = Field(10_000, ge=100, le=1_000_000)
    tuned: Annotated[list[str], BeforeValidator(languages_field)] = Field(default=["high"], validate_default=True)


CONTRASTS = (("on_policy", "off_policy"), ("online", "offline"), ("dpo", "sft"), ("multi", "mono"))
"""Ways of tuning that are tested against each other: (candidate, reference)."""


class ArmsConfig(Strict):
    """Which system stands for which way of tuning. May change in a finished run."""

    on_policy: str | None = None
    off_policy: str | None = None
    online: str | None = None
    offline: str | None = None
    dpo: str | None = None
    sft: str | None = None
    multi: str | None = None
    mono: str | None = None

    @model_validator(mode="after")
    def _contrasts_differ(self) -> ArmsConfig:
        for first, second in CONTRASTS:
            if (name := self.systems.get(first)) is not None and name == self.systems.get(second):
                raise ValueError(f"{first} and {second} are both {name!r}; name two systems, or leave one out")
        return self

    @property
    def systems(self) -> dict[str, str]:
        """Arm -> system, of those that are named; ``dpo`` is by default the arm on_policy, or else offline."""
        named = self.model_dump(exclude_none=True)
        dpo = self.dpo or self.on_policy or self.offline
        return {**named, "dpo": dpo} if dpo else named


class RunConfig(Strict):
    """A whole run. ``languages`` holds codes and group names; ``reference`` is a system's name.
    ``workers`` processes each load the models and share the cells: for small models on a CPU. ``data_root`` holds
    data sets as files, used instead of the hub; ``revisions`` pins data sets of the hub (id: commit)."""

    name: Name
    languages: Annotated[list[str], BeforeValidator(languages_field)] = Field(default=["paper"], validate_default=True)
    systems: Annotated[list[SystemConfig], AfterValidator(_checkpoints), Named] = Field(min_length=1)
    reference: str | None = None
    suites: Annotated[list[SuiteConfig], Named, BeforeValidator(_shorthand)] = Field(min_length=1)
    judges: Annotated[list[JudgeConfig], Named, BeforeValidator(_shorthand)] = []
    seed: int = Field(0, ge=0)
    task_path: str | None = None
    data_root: str | None = None
    revisions: dict[str, Commit] = {}
    workers: int = Field(1, ge=1, le=64)
    statistics: StatisticsConfig = Field(default_factory=lambda: StatisticsConfig.model_validate({}))
    arms: ArmsConfig = Field(default_factory=lambda: ArmsConfig.model_validate({}))

    @field_validator("reference")
    @classmethod
    def _is_a_system(cls, value: str | None, info: ValidationInfo) -> str | None:
        systems = [x.name for x in info.data.get("systems", [])]
        if value is not None and systems and value not in systems:
            near = did_you_mean(value, systems)
            raise ValueError(f"{value!r} is not one of the systems ({', '.join(systems)}){near}")
        return value

    @field_validator("workers")
    @classmethod
    def _one_keeps_a_budget(cls, value: int, info: ValidationInfo) -> int:
        if value > 1 and any(x.server and x.server.budget for x in info.data.get("systems", [])):
            raise ValueError("several workers can't keep one budget; set workers: 1, or leave the server's budget out")
        return value

    @field_validator("statistics")
    @classmethod
    def _margins_of_suites(cls, value: StatisticsConfig, info: ValidationInfo) -> StatisticsConfig:
        suites = [x.name for x in info.data.get("suites", [])]
        for name in value.margins if suites else ():
            if name not in suites:
                raise ValueError(
                    f"margins: {name!r} is not one of the suites ({', '.join(suites)}){did_you_mean(name, suites)}"
                )
        return value

    @field_validator("arms")
    @classmethod
    def _arms_are_systems(cls, value: ArmsConfig, info: ValidationInfo) -> ArmsConfig:
        systems = [x.name for x in info.data.get("systems", [])]
        for arm, name in value.systems.items() if systems else ():
            if name not in systems:
                near = did_you_mean(name, systems)
                raise ValueError(f"{arm}: {name!r} is not one of the systems ({', '.join(systems)}){near}")
        return value

    @property
    def reference_name(self) -> str:
        """The system the others are compared with: the first one, unless ``reference`` names another."""
        return self.reference or self.systems[0].name


class _JudgesAlone(BaseModel):
    judges: Annotated[list[JudgeConfig], Named, BeforeValidator(_shorthand), Field(min_length=1)]


def read_config(path: Path) -> RunConfig:
    """The configuration in a file, checked and resolved: languages as codes, local paths absolute.

    Raises UserError for a missing, unreadable or wrong file.
    """
    return parse_config(read_text(path), source=str(path), folder=path.resolve().parent)


def read_judges(path: Path) -> list[JudgeConfig]:
    """The ``judges:`` of a file that may hold other keys beside them. Raises UserError as ``read_config`` does."""
    data, node = load_yaml(read_text(path), str(path), _SHAPE)
    judges = validate(_JudgesAlone, data, str(path), node).judges
    return [_resolve_judge(x, path.resolve().parent) for x in judges]


def parse_config(text: str, source: str, folder: Path) -> RunConfig:
    """The configuration in a text; ``source`` names it in messages, relative paths are taken from ``folder``."""
    data, node = load_yaml(text, source, _SHAPE)
    return _resolve(validate(RunConfig, data, source, node, folder), folder)


def dump_config(config: RunConfig) -> str:
    """The configuration as YAML with every default written out."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, width=100)


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings and lists as ``a.b.0.c: value``; list entries with a name use it as their key."""
    if isinstance(value, Mapping):
        pairs = [(str(k), v) for k, v in value.items()]
    elif isinstance(value, list | tuple) and value:
        pairs = [(str(v["name"]) if isinstance(v, Mapping) and "name" in v else str(i), v) for i, v in enumerate(value)]
    else:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in pairs:
        flat.update(flatten(inner, f"{prefix}.{key}" if prefix else key))
    return flat


def _resolve(config: RunConfig, folder: Path) -> RunConfig:
    return config.model_copy(
        update={
            "systems": [with_paths(x, folder) for x in config.systems],
            "judges": [_resolve_judge(x, folder) for x in config.judges],
            "reference": config.reference_name,
            "task_path": _absolute(config.task_path, folder),
            "data_root": _absolute(config.data_root, folder),
        }
    )


def with_paths(system: SystemConfig, folder: Path) -> SystemConfig:
    """With absolute paths to its model and its adapter; a server's name for a model is none."""
    if system.server is not None:
        return system
    adapter = system.adapter and local_path(system.adapter, folder)
    return system.model_copy(update={"model": local_path(system.model, folder), "adapter": adapter})


def _resolve_judge(judge: JudgeConfig, folder: Path) -> JudgeConfig:
    """With an absolute path to its model, unless that is a server's name for one."""
    model = judge.options.get("model")
    if not isinstance(model, str) or judge.options.get("base_url"):
        return judge
    return judge.model_copy(update={"options": {**judge.options, "model": local_path(model, folder)}})


def _absolute(path: str | None, folder: Path) -> str | None:
    return path and str((folder / Path(path).expanduser()).resolve())


def local_path(name: str, folder: Path) -> str:
    """An existing folder as an absolute path; packaged names and hub ids as they are."""
    path = folder / Path(name).expanduser()
    return str(path.resolve()) if name not in names("models") and path.exists() else name
