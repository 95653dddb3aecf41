"""Hugging Face's Trainer: gradient accumulation that is exact, on one process or several.

    pip install -c constraints.txt '.[recipes]' && python docs/examples/scale_transformers.py
    torchrun --nproc-per-node 2 docs/examples/scale_transformers.py

The Trainer fetches the micro-batches of an optimizer step together, counts their labels
(`num_items_in_batch`), and adds the gradients of the losses that `compute_loss_func` returns for
them. A mean over labels is exact that way. For a metric the counts take the place of the number:
`get_batch_samples` takes them in a first pass, `compute_loss_func` uses them in the second. The
gradients of a step over all rows are compared with that of the rows in one batch.

A small BERT reads scikit-learn's digits, as in watch_transformers.py, in float64 and with dropout
left out, to see all digits of the difference.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, distributed
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

import metricc

ROWS, MICRO = 128, 16
FORMULA = "0.5*ce + 0.5*(1 - macro(f1))"


class TwoPasses(Trainer):
    """A Trainer whose steps have the counts of all their micro-batches, and all ranks'."""

    def __init__(self, *, loss: Any, **arguments: Any) -> None:
        super().__init__(compute_loss_func=self.at_counts, **arguments)
        self.loss, self.total = loss, torch.zeros(())

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], None]:
        samples, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        # Dropout, if there is any, is the same in both passes: fork_rng puts its state back.
        with torch.random.fork_rng(), torch.no_grad(), self.compute_loss_context_manager():
            self.model.train()
            self.total = sum(self.counts(dict(inputs)) for inputs in samples)
        if distributed.is_initialized():
            distributed.all_reduce(self.total)
        return samples, None  # a number would have the Trainer scale the loss, see the page

    def counts(self, inputs: dict[str, Any]) -> Tensor:
        inputs = self._prepare_inputs(inputs)
        labels = inputs.pop("labels")
        return self.loss.counts(self.model(**inputs)["logits"], labels)

    def at_counts(self, outputs: Any, labels: Tensor, num_items_in_batch: Any = None) -> Tensor:
        return self.loss(outputs["logits"], labels, counts=self.total)


class OwnCounts(Trainer):
    """What a `compute_loss_func` alone does: the mean of the micro-batches' own losses."""

    def __init__(self, *, loss: Any, **arguments: Any) -> None:
        super().__init__(compute_loss_func=self.of_batch, **arguments)
        self.loss = loss

    def get_batch_samples(self, *arguments: Any) -> tuple[list[Any], None]:
        samples, _ = super().get_batch_samples(*arguments)
        return samples, None

    def of_batch(self, outputs: Any, labels: Tensor, num_items_in_batch: Any = None) -> Tensor:
        return self.loss(outputs["logits"], labels) / self.current_gradient_accumulation_steps


def network() -> BertForSequenceClassification:
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    size |= {"intermediate_size": 32, "hidden_dropout_prob": 0, "attention_probs_dropout_prob": 0}
    return BertForSequenceClassification(BertConfig(vocab_size=320, num_labels=10, **size)).double()


def gradient(model: Any) -> Tensor:
    found = [p.grad for p in model.parameters() if p.grad is not None]
    return torch.cat([g.flatten() for g in found])


def first_step(kind: type[Trainer], rows: list[Any], folder: str) -> Tensor:
    """The gradient of the first step, which takes in all rows."""
    found: list[Tensor] = []
    arguments = TrainingArguments(
        folder,
        disable_tqdm=True,
        logging_strategy="no",
        max_grad_norm=0,  # not clipped: it is compared
        max_steps=1,
        per_device_train_batch_size=MICRO,
        report_to="none",
        save_strategy="no",
        use_cpu=True,
    )
    arguments.gradient_accumulation_steps = ROWS // (MICRO * arguments.world_size)
    group = "world" if distributed.is_initialized() else None
    loss = metricc.loss(FORMULA, task="multiclass", process_group=group)
    trainer = kind(model=network(), args=arguments, train_dataset=rows, loss=loss)
    trainer.create_optimizer()
    trainer.optimizer.register_step_pre_hook(lambda *_: found.append(gradient(trainer.model)))
    trainer.train()
    return found[0]


def data() -> tuple[Tensor, Tensor]:
    """Tokens (rows, 64), one for each pixel and its grey, and which digit it is."""
    pixels, digits = load_digits(return_X_y=True)
    tokens = torch.tensor(pixels[:ROWS]).long() // 4 + 5 * torch.arange(64)
    return tokens, torch.tensor(digits[:ROWS]).long()


def main() -> dict[str, float]:
    """How far each gradient is from that of all rows in one batch, relative to its length."""
    tokens, labels = data()
    model = network()
    metricc.loss(FORMULA, task="multiclass")(model(tokens)["logits"], labels).backward()
    wanted = gradient(model)
    rows = [{"input_ids": a, "labels": b} for a, b in zip(tokens, labels.tolist(), strict=True)]
    found = {}
    for kind in (OwnCounts, TwoPasses):
        with tempfile.TemporaryDirectory() as folder:
            difference = first_step(kind, rows, folder) - wanted
        found[kind.__name__] = (difference.norm() / wanted.norm()).item()
    if not distributed.is_initialized() or distributed.get_rank() == 0:
        print(f"micro-batches' own counts: {found['OwnCounts']:.0%} off")
        print(f"two passes: {found['TwoPasses']:.0e}")
    return found


if __name__ == "__main__":
    main()
