"""Hugging Face's Trainer: macro F1 in the loss, and as the metric of the whole evaluation set.

    pip install -c constraints.txt '.[recipes]' && python docs/examples/watch_transformers.py

A small BERT from scratch reads scikit-learn's digits: an image is 64 tokens, one for each pixel and
its grey. Nothing is downloaded.
"""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

import metricc

F1 = metricc.compile("macro(f1)", task="multiclass", name="f1")
LOSS = metricc.loss("0.5*ce + 0.5*(1 - macro(f1))", task="multiclass")
WATCH = F1.monitor(per_class=False)


def compute_loss(outputs: Any, labels: Any, num_items_in_batch: Any = None) -> torch.Tensor:
    return LOSS(outputs["logits"], labels)


def compute_metrics(batch: Any, compute_result: bool) -> dict[str, float]:
    WATCH.update(batch.predictions, batch.label_ids)
    if not compute_result:  # batch_eval_metrics=True: called for every batch
        return {}
    found = WATCH.compute()
    WATCH.reset()
    return found


def main(epochs: int = 3) -> dict[str, float]:
    """The last evaluation's numbers, as the Trainer logged them."""
    pixels, labels = load_digits(return_X_y=True)
    tokens = 5 * np.arange(64) + pixels // 4
    parts = train_test_split(tokens, labels, stratify=labels, random_state=0)
    seen, held_out = (
        [
            {"input_ids": torch.tensor(row).long(), "labels": int(label)}
            for row, label in zip(rows, answers, strict=True)
        ]
        for rows, answers in ((parts[0], parts[2]), (parts[1], parts[3]))
    )
    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    size |= {"intermediate_size": 64, "initializer_range": 0.2}
    config = BertConfig(vocab_size=320, num_labels=10, **size)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=BertForSequenceClassification(config),
            args=TrainingArguments(
                folder,
                batch_eval_metrics=True,
                disable_tqdm=True,
                eval_strategy="epoch",
                learning_rate=1e-2,
                num_train_epochs=epochs,
                per_device_train_batch_size=32,
                per_device_eval_batch_size=64,
                report_to="none",
                save_strategy="no",
                use_cpu=True,
            ),
            train_dataset=seen,
            eval_dataset=held_out,
            compute_loss_func=compute_loss,
            compute_metrics=compute_metrics,
        )
        trainer.train()
        return trainer.evaluate()


if __name__ == "__main__":
    main()
