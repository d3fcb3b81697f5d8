"""Run as a script: plain lm-eval, with its own data loading, on some tasks. Prints (task, metric, document) values.

Arguments: JSON with ``model`` (folder) and ``tasks``: [folder of YAML files, task name, our name]. The data come from
wherever HF_ENDPOINT points.
"""

from __future__ import annotations

import json
import sys

import torch
from lm_eval import evaluator
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import AutoModelForCausalLM, AutoTokenizer


def main() -> None:
    asked = json.loads(sys.argv[1])
    model = AutoModelForCausalLM.from_pretrained(asked["model"], dtype=torch.float32)
    lm = HFLM(pretrained=model, tokenizer=AutoTokenizer.from_pretrained(asked["model"]), batch_size=8, max_length=1024)
    values = []
    for folder, task, name in asked["tasks"]:
        tasks = TaskManager(include_path=folder, include_defaults=False).load([task])
        for loaded in tasks["tasks"].values():  # lm-eval refuses an answer that fills the window; we give it half
            settings = loaded.config.generation_kwargs or {}
            if settings.get("max_gen_toks", 0) > 512:
                loaded.set_config(key="generation_kwargs", value={**settings, "max_gen_toks": 512})
        results = evaluator.evaluate(
            lm, tasks, bootstrap_iters=0, apply_chat_template=True, fewshot_as_multiturn=True, log_samples=True
        )
        for samples in results["samples"].values():
            for sample in samples:
                for metric in sample["metrics"]:
                    raw = sample[metric]
                    value = float(raw[0] == raw[1]) if isinstance(raw, tuple) else raw
                    value = sum(value) / len(value) if isinstance(value, list) else value
                    full = metric if sample["filter"] == "none" else f"{metric},{sample['filter']}"
                    values.append(
                        [
                            name,
                            "macro_f1" if isinstance(raw, tuple) and metric == "f1" else full,
                            sample["doc_id"],
                            None if isinstance(value, str) else float(value),
                        ]
                    )
    print("RESULT" + json.dumps(values))


if __name__ == "__main__":
    main()
