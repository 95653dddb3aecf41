"""Whether two texts of one generated file behave alike, for `mutation.py`.

Nothing of metricc's is used: a file is called as its header says, some hundreds of times, with
many shapes, layouts, dtypes, weights, masks, policies and given counts, over two and three ranks,
under `torch.func`, for second derivatives, with what it must refuse, and at scalar counts. What
comes back (numbers, dtypes, shapes or the kind of exception) is compared call by call.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import math
import random
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

# dtype of the input → (relative difference, and relative to the largest number of the result)
ALIKE = {
    torch.float64: (1e-8, 1e-11),
    torch.float32: (1e-4, 1e-6),
    torch.float16: (2e-2, 1e-3),
    torch.bfloat16: (4e-2, 4e-3),
}
RANDOM = 220  # calls with everything drawn
Call = Callable[[ModuleType], Any]


def load(text: str) -> ModuleType:
    """The text as a module; it stands in a file while it is executed, as Triton wants it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "generated.py"
        path.write_text(text, encoding="utf-8")
        module = ModuleType("generated")
        module.__file__ = str(path)
        exec(compile(text, str(path), "exec"), vars(module))
        return module


def outcomes(module: ModuleType, options: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every call's name and what came of it."""
    calls = _boosting(options) if options.get("target") == "gbdt" else _training(module, options)
    for name, call in calls:
        yield name, _outcome(call, module)


def _outcome(call: Call, module: ModuleType) -> Any:
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            return _plain(call(module))
    except Exception as error:
        return type(error).__name__


@dataclass(frozen=True)
class _Known:
    """A result that is known to the rounding of the input's dtype."""

    dtype: torch.dtype
    value: Any


def _plain(value: Any) -> Any:
    if isinstance(value, _Known):
        working = torch.float64 if value.dtype == torch.float64 else torch.float32
        return {"working": working, "value": _plain(value.value)}
    if isinstance(value, Tensor):
        value = value.detach()
        return (str(value.dtype), tuple(value.shape), value.double().reshape(-1).numpy().copy())
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "fiub":
            numbers = value.astype(float).reshape(-1)
            return (str(value.dtype), value.shape, numbers)
        return (str(value.dtype), value.shape, np.zeros(0))
    if isinstance(value, (list, tuple)):
        return [_plain(x) for x in value]
    if isinstance(value, (int, float, np.number)):
        return ("number", (), np.array([float(value)]))
    return str(value)


def differ(one: Any, two: Any, allowed: tuple[float, float] = ALIKE[torch.float64]) -> bool:
    """Whether two outcomes are not the same."""
    if isinstance(one, dict) and isinstance(two, dict):
        return differ(one["value"], two["value"], ALIKE[one["working"]])
    if isinstance(one, list) and isinstance(two, list):
        pairs = zip(one, two, strict=False)
        return len(one) != len(two) or any(differ(a, b, allowed) for a, b in pairs)
    if isinstance(one, tuple) and isinstance(two, tuple):
        if one[:2] != two[:2]:
            return True
        kind = {str(dtype): limits for dtype, limits in ALIKE.items()}
        near, small = map(max, zip(kind.get(one[0], allowed), allowed, strict=True))
        a, b = one[2], two[2]
        if not a.size:
            return False
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        with np.errstate(all="ignore"):
            largest = np.abs(a[np.isfinite(a)]).max(initial=0.0)
            # A gradient is about 1/n large; one that is 0 but for rounding is known to that alone.
            usual = largest + min(1e-2, 1 / a.size)
            close = np.abs(a - b) <= near * np.abs(a) + small * usual
            # What is beyond all bounds is taken to one; half of it is as good.
            close |= (np.abs(a) > 1e25) & (np.abs(b) > 1e25) & (np.sign(a) == np.sign(b))
            close &= np.isfinite(a) & np.isfinite(b)
        return not bool((same | close).all())
    return bool(one != two)


# -- losses ---------------------------------------------------------------------------------------


def _training(module: ModuleType, options: Mapping[str, Any]) -> Iterator[tuple[str, Call]]:
    made = _Made(module, options)
    yield from made.scalars()
    yield from made.systematic()
    generator = random.Random(5)
    for index in range(RANDOM):
        yield f"random {index}", made.drawn(random.Random(generator.random()))
    yield from made.ranks()
    yield from made.wrong()
    yield from made.counts()


class _Made:
    """Calls of one file: what it takes is read from the signatures of the original."""

    def __init__(self, module: ModuleType, options: Mapping[str, Any]):
        self.name, self.task, self.options = options["name"], options["task"], options
        self.probabilities = options["from_probabilities"]
        self.pooled = "samples(" in module.METRICC["formula"]
        function = getattr(module, f"{self.name}_loss")
        self.names = inspect.signature(function).parameters
        self.classes = 1 if self.task == "binary" else 3
        common = """input target weight mask counts class_weight classes exclude_background
            ignore_index label_smoothing smooth absent process_group reduction""".split()
        own = [p for n, p in self.names.items() if n not in common]
        self.columns = [p.name for p in own if p.default is p.empty and "Tensor" in str(p)]
        self.own = {p.name: p.default for p in own if p.name not in self.columns}
        self.loss_class = next(
            n for n in vars(module) if n.endswith("Loss") and not n.startswith("_")
        )

    # What is passed -----------------------------------------------------------------------------

    def arguments(self, generator: random.Random) -> dict[str, Any]:
        """Values of the metric's parameters and of the surrogate's arguments."""
        found: dict[str, Any] = {}
        for name, default in self.own.items():
            if default is inspect.Parameter.empty:
                found[name] = generator.choice((0.3, 0.5, 0.7))
            elif generator.random() < 0.4:
                if isinstance(default, tuple):
                    found[name] = generator.choice(((0.2, 0.7), (0.4,), (0.3, 0.5, 0.8)))
                elif name == "L":
                    found[name] = generator.choice((2.0, 30.0, 100.0))
                else:
                    found[name] = default * generator.choice((0.8, 0.9, 0.95))
        return found

    def batch(
        self,
        generator: random.Random,
        shape: tuple[int, ...],
        dtype: torch.dtype = torch.float64,
        spread: float = 1.5,
        hard: bool = True,
        lacking: str = "",
    ) -> tuple[Tensor, Tensor]:
        draws = torch.Generator().manual_seed(generator.randrange(10**9))
        z = spread * torch.randn(shape, generator=draws, dtype=torch.float64)
        joint = self.task == "multiclass"
        if self.probabilities:
            z = torch.softmax(z, 1) if joint else torch.sigmoid(z)
        if joint:
            places = (shape[0], *shape[2:])
            y = torch.randint(shape[1], places, generator=draws)
            if lacking:
                y = y * 0 if lacking == "positives" else y.clamp(max=1)
            if not hard:
                y = torch.softmax(torch.randn(shape, generator=draws, dtype=torch.float64), 1)
                return z.to(dtype), y.to(dtype)
            return z.to(dtype), y
        y = torch.rand(shape, generator=draws, dtype=torch.float64)
        y = (y < 0.4).double() if hard else y
        if lacking and shape and shape[0]:
            value = float(lacking == "negatives")
            y = torch.full_like(y, value) if self.task == "binary" else y
            if self.task != "binary":
                y[:, 0] = value
        return z.to(dtype), y.to(dtype)

    def shapes(self) -> list[tuple[int, ...]]:
        if self.task == "binary":
            wide = "reduction" in self.names or self.pooled
            return [(9, 4), (5, 2, 3), (4, 1), (3, 7)] if wide else [(40,), (7,), (5, 4), (3, 2, 5)]
        return [(24, 3), (4, 3, 5), (3, 3, 2, 2), (6, 4), (5, 2)]

    def call(
        self,
        z: Tensor,
        y: Tensor,
        given: Mapping[str, Any],
        twice: bool = False,
        upstream: Any = None,
        module_form: bool = False,
        mode: str = "",
    ) -> Call:
        """Loss and gradient; `twice` also second derivatives."""

        def run(module: ModuleType) -> Any:
            x = z.detach().clone() if z.is_contiguous() else z.detach()
            x = x.requires_grad_()
            return _Known(z.dtype, [answered(module, x), x, y])  # no call changes its arguments

        def answered(module: ModuleType, x: Tensor) -> Any:
            passed = {n: v() if callable(v) and n == "counts" else v for n, v in given.items()}
            if isinstance(passed.get("counts"), tuple):
                passed["counts"] = _running(module, *passed["counts"])
            function = getattr(module, f"{self.name}_loss")
            if module_form:
                tensors = ("weight", "mask", "counts", *self.columns)
                own = {n: v for n, v in passed.items() if n not in tensors}
                passed = {n: v for n, v in passed.items() if n in tensors}
                built = getattr(module, self.loss_class)(**own)
                function = built
            if mode == "no_grad":
                with torch.no_grad():
                    return function(x, y, **passed)
            if mode == "inference":
                with torch.inference_mode():
                    return function(z, y, **passed)
            if mode == "func":

                def alone(x: Tensor) -> Any:
                    return function(x, y, **passed).sum()

                return torch.func.grad_and_value(alone)(z)
            if mode == "fake":
                return _faked(function, z, y, passed)
            if mode == "vmap":
                both = torch.stack([z, z.flip(0)])
                return torch.func.vmap(lambda x: function(x, y, **passed))(both)
            loss = function(x, y, **passed)
            if mode == "batched":
                factors = torch.stack([torch.ones_like(loss), -3 * torch.ones_like(loss)])
                (g,) = torch.autograd.grad(loss, x, factors, is_grads_batched=True)
                return loss, g
            top = loss.sum() if upstream is None else (loss * upstream).sum()
            if mode == "again":
                (first,) = torch.autograd.grad(top, x, retain_graph=True)
                return loss, first, torch.autograd.grad(top, x)[0]
            (g,) = torch.autograd.grad(top, x, create_graph=twice)
            if not twice:
                return loss, g
            factors = torch.linspace(-1, 1, g.numel(), dtype=g.dtype).reshape(g.shape)
            return loss, g, torch.autograd.grad((g * factors).sum(), x)[0]

        return run

    def extra(self, z: Tensor, generator: random.Random) -> dict[str, Any]:
        """Columns, which are needed, and parameters without a default."""
        bare = [n for n, default in self.own.items() if default is inspect.Parameter.empty]
        found: dict[str, Any] = dict.fromkeys(bare, 0.4)
        for name in self.columns:
            draws = torch.Generator().manual_seed(generator.randrange(10**9))
            found[name] = 3 * torch.rand(z.shape, generator=draws, dtype=torch.float64).to(z)
        return found

    def choices(self, z: Tensor, y: Tensor, generator: random.Random) -> dict[str, list[Any]]:
        """What may be passed beside input and target."""
        draws = torch.Generator().manual_seed(generator.randrange(10**9))

        def rand(*shape: int) -> Tensor:
            return torch.rand(shape, generator=draws, dtype=torch.float64)

        n, joint = z.shape[0] if z.dim() else 1, self.task == "multiclass"
        index = joint and not y.is_floating_point()
        each = tuple(y.shape) if index or not joint else (n, *z.shape[2:])
        weights = [rand(*each), 1.0 + rand(n), (rand(*each) < 0.7).double() * rand(*each)]
        masks = [rand(*each) < 0.7, rand(n) < 0.7]
        if self.task == "multilabel":
            places = (n, *z.shape[2:])
            weights.append(0.5 + rand(*places))
            masks.append(rand(*places) < 0.6)
        if "reduction" in self.names and self.task == "binary":
            weights = [0.5 + rand(n), rand(*each)]
        found: dict[str, list[Any]] = {"weight": [w.to(z.dtype) for w in weights], "mask": masks}
        found["weight"].append(weights[0].double())
        found["ignore_index"] = [1, 0, -100] if joint else [0.0, 1.0, 0.5, float("nan")]
        found["label_smoothing"] = [0.1, 0.3]
        found["smooth"] = [0.5, 1.0]
        found["absent"] = ["skip", "zero", "diagonal"]
        c = z.shape[1] if z.dim() > 1 else 1
        found["class_weight"] = [[1.0 + k for k in range(c)], torch.arange(c) + 0.5]
        found["class_weight"].append([float(k != 1) for k in range(c)])
        found["classes"] = [[0, c - 1], [c - 1], list(range(c))]
        found["exclude_background"] = [True]
        found["reduction"] = ["none", "sum", "mean"]
        size = (4 * (1 + len(self.columns)),) if self.task == "binary" else (4, c)
        table = 10 * rand(*size)
        found["counts"] = [table, (0.9, [table, 2 * table]), (1.0, [table]), (0.5, [])]
        return {k: v for k, v in found.items() if k in self.names}

    # Calls ---------------------------------------------------------------------------------------

    def systematic(self) -> Iterator[tuple[str, Call]]:
        generator = random.Random(3)
        for dtype in ALIKE:
            for spread in (0.1, 1.5, 8.0, 200.0):
                for shape in self.shapes()[:3]:
                    z, y = self.batch(generator, shape, dtype, spread, spread != 1.5)
                    given = self.extra(z, generator)
                    yield f"{dtype} {shape} {spread}", self.call(z, y, given)
                    yield f"traced {dtype} {shape} {spread}", self.call(z, y, given, mode="func")
        for mode in ("no_grad", "inference", "func", "vmap", "batched", "again"):
            for shape in self.shapes()[:2]:
                z, y = self.batch(generator, shape)
                yield f"{mode} {shape}", self.call(z, y, self.extra(z, generator), mode=mode)
        for lacking in ("positives", "negatives"):
            for absent in ("diagonal", "skip", "zero"):
                for mode in ("", "func", "again"):
                    for smooth in (0.0, 0.5):
                        z, y = self.batch(generator, self.shapes()[0], lacking=lacking)
                        given = {"absent": absent, "smooth": smooth, **self.extra(z, generator)}
                        call = self.call(z, y, given, mode=mode)
                        yield f"no {lacking} {absent} {smooth} {mode}", call
                        if self.task != "binary":
                            z, y = self.batch(generator, (6, 3), lacking=lacking)
                            given = {"absent": absent, "smooth": smooth, **self.extra(z, generator)}
                            yield (
                                f"no {lacking} {absent} {smooth} {mode} twice",
                                self.call(z, y, given, twice=not mode, mode=mode),
                            )
        for index in range(12):
            z, y = self.batch(generator, self.shapes()[index % 3])
            given = self.extra(z, generator)
            for name, several in self.choices(z, y, generator).items():
                if index and generator.random() < 0.4 and not isinstance(several[-1], tuple):
                    given[name] = several[index % len(several)]
            yield f"fake {index}", self.call(z, y, given, mode="fake")
            if self.task != "multiclass":
                spoiled = y.clone()
                spoiled.view(-1)[1::4] = math.nan
                given["ignore_index"] = math.nan
                yield f"NaN ignored {index}", self.call(z, spoiled, given)
        big = (150_000,) if self.task == "binary" else (60_000, 3)
        deep = (3, 50_000) if self.task == "binary" else (3, 3, 40_001)
        for shape in (big, deep):
            for dtype in (torch.float64, torch.float32):
                z, y = self.batch(generator, shape, dtype)
                given = self.extra(z, generator)
                yield f"large {shape} {dtype}", self.call(z, y, given)
                yield f"large again {shape} {dtype}", self.call(z, y, given, mode="again")
                weight = self.choices(z, y, generator)["weight"][0]
                call = self.call(z, y, {**given, "weight": weight})
                yield f"large {shape} {dtype} weighted", call
        for kind in (torch.int64, torch.bool, torch.uint8, torch.float16):
            z, y = self.batch(generator, self.shapes()[0])
            if self.task != "multiclass" or kind in (torch.int64, torch.uint8):
                call = self.call(z, y.to(kind), self.extra(z, generator))
                yield f"target {kind}", call
        empty = [(0,), (0, 4)] if self.task == "binary" else [(0, 3), (0, 3, 2), (4, 3, 0)]
        for shape in [*empty, *[()] * (self.task == "binary")]:
            for mode in ("", "func"):
                z, y = self.batch(generator, shape)
                yield f"empty {shape}", self.call(z, y, self.extra(z, generator), mode=mode)
        shape = self.shapes()[1 if self.task != "binary" else 2]
        for layout in range(4):
            z, y = self.batch(generator, shape)
            given = self.extra(z, generator)
            if layout == 0:
                z = z.transpose(0, -1).contiguous().transpose(0, -1)
            elif layout == 1:
                z = torch.stack([z, z], -1)[..., 0]
            elif layout == 2:
                y = torch.stack([y, y], -1)[..., 1]
            else:
                z = z[:1].expand_as(z)
            yield f"layout {layout}", self.call(z, y, given)
        for upstream in (-3.75, 0.0, 1e300, 1e-300, math.inf, math.nan):
            for mode in ("", "func"):
                z, y = self.batch(generator, self.shapes()[0])
                given = self.extra(z, generator)
                call = self.call(z, y, given, upstream=upstream, mode=mode)
                yield f"upstream {upstream} {mode}", call
        for half in (torch.float16, torch.float32):
            z, y = self.batch(generator, self.shapes()[0], half)
            yield f"huge upstream {half}", self.call(z, y, self.extra(z, generator), upstream=1e36)

    def drawn(self, generator: random.Random) -> Call:
        shape = generator.choice(self.shapes())
        dtype = generator.choice((torch.float64, torch.float64, torch.float64, torch.float32))
        spread = generator.choice((0.5, 1.5, 4.0))
        lacking = generator.choice(("", "", "", "positives", "negatives"))
        hard = generator.random() < 0.6
        z, y = self.batch(generator, shape, dtype, spread, hard, lacking)
        given = {**self.extra(z, generator), **self.arguments(generator)}
        for name, several in self.choices(z, y, generator).items():
            if generator.random() < 0.25:
                given[name] = generator.choice(several)
        mode = generator.choice(("", "", "", "", "func", "again", "no_grad", "batched"))
        twice = generator.random() < 0.3 and not mode
        upstream = generator.choice((None, None, -2.5))
        return self.call(z, y, given, twice, upstream, generator.random() < 0.4, mode)

    def scalars(self) -> Iterator[tuple[str, Call]]:
        generator = random.Random(4)
        several = self.task != "binary" or self.pooled
        for name in ("value", "gradient", "weights"):
            for index in range(40):
                exact, tiny = index % 5 != 4, 1e-25 if index % 8 == 5 else 1.0
                size = (3,) if several else ()
                count = 4 * (1 + len(self.columns))
                cells: list[Any] = []
                for _ in range(count):
                    cell = torch.tensor(
                        [
                            tiny
                            * float(generator.randint(1, 300))
                            * (exact or generator.random() < 0.6)
                            for _ in range(3)
                        ],
                        dtype=torch.float64,
                    )
                    cells.append(cell if size else cell[0] if index % 2 else float(cell[0]))
                more = {n: 0.4 for n, d in self.own.items() if d is inspect._empty}
                drawn = {**more, **self.arguments(generator)}
                options = [{}, {"absent": "skip"}, {"absent": "zero", "smooth": 0.5}]
                options += [{"absent": "diagonal"}, {"smooth": 1.5}]
                other: dict[str, Any] = dict(options[index * 3 // 5 % 5])
                if index % 3 == 1:
                    other["class_weight"] = torch.tensor([1.0, 0.0, 2.0], dtype=torch.float64)
                    other["sample_weight"] = other["class_weight"]

                def run(
                    module: ModuleType,
                    name: str = name,
                    cells: Any = cells,
                    given: Any = None,
                    terms: float = 0.3 + index,
                ) -> Any:
                    function = getattr(module, name)
                    known = inspect.signature(function).parameters
                    rest = {n: v for n, v in given.items() if n in known}
                    more = [
                        p.name
                        for p in list(known.values())[len(cells) :]
                        if p.default is p.empty and p.name not in rest
                    ]
                    return function(*cells, **dict.fromkeys(more, terms), **rest)

                given = {**drawn, **other}
                yield f"{name} {index}", lambda m, r=run, g=given: r(m, given=g)  # type: ignore[misc]

    def ranks(self) -> Iterator[tuple[str, Call]]:
        generator = random.Random(6)
        for index in range(8):
            size = 2 + index % 2
            shape = [s for s in self.shapes() if s[0] >= 3][index % 2]
            z, y = self.batch(generator, shape)
            given = {**self.extra(z, generator), **self.arguments(generator)}
            several = self.choices(z, y, generator)
            if index % 2:
                given["absent"] = ("skip", "zero")[index % 4 // 2]
            weight = several["weight"][0] if index > 3 else None
            kind = index % 4 if "counts" in self.names else 0
            counts = several["counts"][min(kind, 1)] if kind and "counts" in self.names else None
            cuts = [0, 1 if index % 3 else 0, z.shape[0]] if size == 2 else [0, 1, 1, z.shape[0]]
            columns = list(self.columns)

            def run(
                module: ModuleType,
                z: Tensor = z,
                y: Tensor = y,
                weight: Any = weight,
                counts: Any = counts,
                given: Any = given,
                cuts: list[int] = cuts,
                size: int = size,
                columns: list[str] = columns,
                traced: bool = index == 6,
            ) -> Any:
                group = _Ranks(size)
                function = getattr(module, f"{self.name}_loss")

                def part(rank: int) -> Any:
                    group.here.rank = rank
                    mine = slice(cuts[rank], cuts[rank + 1])
                    x = z[mine].clone().requires_grad_()
                    own = {n: v[mine] if n in columns else v for n, v in given.items()}
                    own["weight"] = None if weight is None else weight[mine]
                    if counts is not None:
                        own["counts"] = (
                            _running(module, *counts) if isinstance(counts, tuple) else counts
                        )
                    try:
                        if traced:
                            return torch.func.grad_and_value(
                                lambda x: function(
                                    x, y[mine], process_group=group.handle, **own
                                ).sum()
                            )(z[mine])
                        loss = function(x, y[mine], process_group=group.handle, **own)
                        (g,) = torch.autograd.grad(loss.sum(), x)
                        return loss, g
                    except BaseException:
                        group.barrier.abort()
                        raise

                with group.connected(), ThreadPoolExecutor(size) as pool:
                    try:
                        return list(pool.map(part, range(size)))
                    except Exception as error:  # which rank fails first is chance
                        raise RuntimeError("on a rank") from error

            yield f"{size} ranks {index}", run

        def alone(module: ModuleType) -> Any:
            function = getattr(module, f"{self.name}_loss")
            z, y = self.batch(random.Random(1), self.shapes()[0])
            return function(z, y, process_group="world", **self.extra(z, random.Random(2)))

        yield "no process group", alone
        for what in ("none", "text", "outside"):

            def odd(module: ModuleType, what: str = what) -> Any:
                group = _Ranks(1)
                group.here.rank = -1 if what == "outside" else 0
                function = getattr(module, f"{self.name}_loss")
                z, y = self.batch(random.Random(1), self.shapes()[0])
                given = {"none": 7, "text": "worlds", "outside": group.handle}[what]
                with group.connected():
                    return function(z, y, process_group=given, **self.extra(z, random.Random(2)))

            yield f"process group {what}", odd

        def second(module: ModuleType) -> Any:
            group = _Ranks(1)
            group.size = 2
            group.here.rank = 0
            group.barrier = threading.Barrier(1)
            function = getattr(module, f"{self.name}_loss")
            z, y = self.batch(random.Random(1), self.shapes()[0])
            x = z.requires_grad_()
            with group.connected():
                loss = function(x, y, process_group=group.handle, **self.extra(z, random.Random(2)))
                return torch.autograd.grad(loss.sum(), x, create_graph=True)

        yield "second derivatives over ranks", second

    def wrong(self) -> Iterator[tuple[str, Call]]:
        """What no loss takes."""
        generator = random.Random(8)
        shape = self.shapes()[0]
        z, y = self.batch(generator, shape)
        given = self.extra(z, generator)
        several = self.choices(z, y, generator)
        w, m = several["weight"][0], several["mask"][0]
        n = shape[0]
        inputs: list[Any] = [z.long(), z.to(torch.complex128), z.tolist(), None, z[:-1], z[None]]
        inputs += [z.to("meta"), z.reshape(-1)]
        targets: list[Any] = [y[:-1], y.tolist(), None, y.to(torch.complex128), y[None], y + 7]
        targets += [y - 3, y.to("meta"), y.double().clone().requires_grad_(), y.unsqueeze(-1)]
        weights: list[Any] = [w[:-1], w - 5, w.tolist(), w.to(torch.complex128), w[None]]
        weights += [w.clone().requires_grad_(), w.to("meta"), torch.ones(n + 1), 2.0]
        masks: list[Any] = [m[:-1], m.double(), m.tolist(), m[None], m.to("meta"), m.long()]
        rows: list[tuple[str, Any, Any, dict[str, Any]]] = []
        rows += [(f"input {i}", x, y, {}) for i, x in enumerate(inputs)]
        rows += [(f"target {i}", z, x, {}) for i, x in enumerate(targets)]
        rows += [(f"weight {i}", z, y, {"weight": x}) for i, x in enumerate(weights)]
        rows += [(f"mask {i}", z, y, {"mask": x}) for i, x in enumerate(masks)]
        options: dict[str, list[Any]] = {
            "absent": ["keep", None, ""],
            "smooth": [-0.5, math.inf, math.nan, 0],
            "label_smoothing": [-0.1, 1.1, math.nan, 1.0, 1],
            "reduction": ["max", None],
            "class_weight": [[1.0], [1.0, -1.0, 1.0], [0.0] * 3, [1.0, math.nan, 1.0]],
            "classes": [[3], [-1], [], [0, 7], [0, 0]],
            "exclude_background": [True],
            "ignore_index": [5, 0, math.nan],
            "counts": [],
        }
        options["class_weight"] += [torch.ones(3, requires_grad=True), [math.inf, 1, 1]]
        if "counts" in self.names:
            table = several["counts"][0]
            options["counts"] = [table[:-1], table[None], -table, table * math.nan, table.tolist()]
            options["counts"] += [table.to(torch.complex128), table.clone().requires_grad_(), 3]
            options["counts"] += [table * math.inf, table.float(), table.long(), 0 * table]
        for name, values in options.items():
            if name in self.names:
                rows += [(f"{name} {i}", z, y, {name: x}) for i, x in enumerate(values)]
        for name, default in self.own.items():
            for i, x in enumerate((-1.0, 0.0, 1.0, 2.0, 1e7, math.nan, math.inf)):
                other = (x,) if isinstance(default, tuple) else x
                rows.append((f"{name} {i}", z, y, {name: other}))
            if isinstance(default, tuple):
                rows += [(f"{name} empty", z, y, {name: ()})]
        for name in self.columns:
            bad = [given[name][:-1], -given[name], given[name].tolist(), None]
            bad += [given[name].clone().requires_grad_(), given[name][:1].expand(n)]
            rows += [(f"{name} {i}", z, y, {name: x}) for i, x in enumerate(bad)]
        for told, x, t, own in rows:

            def run(module: ModuleType, x: Any = x, t: Any = t, own: Any = own) -> Any:
                function = getattr(module, f"{self.name}_loss")
                return function(x, t, **{**given, **own})

            yield f"wrong {told}", run
            tensors = ("weight", "mask", "counts", *self.columns)
            if own and not {*own} & {*tensors}:

                def built(module: ModuleType, own: Any = own) -> Any:
                    more = {k: v for k, v in given.items() if k not in self.columns}
                    loss = getattr(module, self.loss_class)(**{**more, **own})
                    return [str(loss), loss(z, y, **{c: given[c] for c in self.columns})]

                yield f"wrong {told}, of the class", built
        if self.task == "multiclass":
            soft = torch.softmax(z, 1)
            for i, t in enumerate((y + 1, y - 1, y.double(), y.int(), soft, soft * 2, soft[:, :2])):
                yield f"labels {i}", self.call(z, t, given)
            yield "labels 7", self.call(z, y, {**given, "label_smoothing": 0.3})
            yield "labels 8", self.call(z, y.masked_fill(y == 1, -100), given)
            yield "labels 9", self.call(z, y.masked_fill(y == 1, -1), {**given, "ignore_index": -1})

    def counts(self) -> Iterator[tuple[str, Call]]:
        """Counts of the class, running means, the surrogate's arguments."""
        generator = random.Random(9)
        soft = [n for n in self.own if n in ("L", "threshold", "mu", "delta", "thresholds", "mus")]
        for index in range(12):
            shape = self.shapes()[index % len(self.shapes())]
            dtype = (torch.float64, torch.float32, torch.float64, torch.float16)[index % 4]
            z, y = self.batch(generator, shape, dtype, hard=index % 3 > 0)
            extra = self.extra(z, generator)
            several = self.choices(z, y, generator)
            given = {**self.arguments(generator)}
            given |= {n: v for n, v in extra.items() if n not in self.columns}
            if index % 2:
                given["label_smoothing"] = 0.2
            if index % 4 == 3:
                given["ignore_index"] = several["ignore_index"][0]
            weight = [None, *several["weight"]][index % (1 + len(several["weight"]))]
            mask = [None, *several["mask"]][index % (1 + len(several["mask"]))]
            columns = {n: extra[n] for n in self.columns}

            def run(
                module: ModuleType,
                given: Any = given,
                tensors: Any = (z, y, weight, mask),
                columns: Any = columns,
                index: int = index,
            ) -> Any:
                loss = getattr(module, self.loss_class)(**given)
                found = []
                if hasattr(loss, "counts"):
                    x = tensors[0].clone().requires_grad_()
                    table = loss.counts(x, *tensors[1:], **columns)
                    found += [table, str(table.requires_grad)]
                if hasattr(loss, "set_surrogate") and soft:
                    name = soft[index % len(soft)]
                    other: Any = 0.37 if name != "L" else 4.5
                    other = (other, 0.6) if name.endswith("s") else other
                    loss.set_surrogate(**{name: other})
                    found.append(loss(*tensors, **columns))
                    for bad in (-1.0, 0.0, 1.0, 1e7, math.nan):
                        wrong: Any = (bad,) if name.endswith("s") else bad
                        try:
                            loss.set_surrogate(**{name: wrong})
                            found.append(loss(*tensors, **columns))
                        except ValueError:
                            found.append("ValueError")
                return _Known(tensors[0].dtype, found)

            yield f"counts {index}", run
        if "counts" in self.names:

            def running(module: ModuleType) -> Any:
                found: list[Any] = []
                for decay in (1.0, 0.0, 0.9, -0.1, 1.1, math.nan):
                    try:
                        mean = module.Counts(decay) if decay != 0.9 else module.Counts()
                    except ValueError:
                        found.append("ValueError")
                        continue
                    size = (4,) if self.task == "binary" else (4, 3)
                    for step in range(4):
                        table = torch.arange(12.0)[: math.prod(size)].reshape(size) * (step + 1)
                        table = table * (math.nan if step == 2 else 1)
                        found.append(mean.add(table.requires_grad_()))
                        found.append(str(found[-1].requires_grad))
                    found += [mean.total, mean.batches, sorted(map(str, mean.state_dict()))]
                    other = module.Counts(0.3)
                    other.load_state_dict(mean.state_dict())
                    found += [other.decay, other.add(torch.ones(size))]
                    try:
                        other.add(torch.ones(size[0] + 1))
                    except ValueError:
                        found.append("ValueError")
                    try:
                        other.load_state_dict({**mean.state_dict(), "decay": 7.0})
                    except ValueError:
                        found.append("ValueError")
                    mean.reset()
                    found.append(mean.add(torch.ones(size)))
                return found

            yield "running means", running

            def mixed(module: ModuleType) -> Any:
                mean = module.Counts(0.5)
                table = torch.arange(1.0, 13.0).reshape(4, 3)
                return [mean.add(table.double()), mean.add(table), mean.add(table.double())]

            yield "means of two dtypes", mixed
            for index in range(3):
                z, y = self.batch(generator, self.shapes()[index])
                given = {**self.extra(z, generator), "counts": (0.5, [])}
                yield f"running mean under func {index}", self.call(z, y, given, mode="func")


def _running(module: ModuleType, decay: float, tables: list[Tensor]) -> Any:
    mean = module.Counts(decay)
    for table in tables:
        mean.add(table)
    return mean


def _faked(function: Any, z: Tensor, y: Tensor, passed: dict[str, Any]) -> Any:
    """Shapes and dtypes alone, as compilers see a loss: nothing can be looked at."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(allow_non_fake_inputs=False) as mode:

        def faked(x: Any) -> Any:
            return mode.from_tensor(x) if isinstance(x, Tensor) else x

        x = faked(z).requires_grad_()
        loss = function(x, faked(y), **{n: faked(v) for n, v in passed.items()})
        (g,) = torch.autograd.grad(loss.sum(), x)
        return [str(loss.dtype), str(tuple(loss.shape)), str(g.dtype), str(tuple(g.shape))]


class _Ranks:
    """A process group of threads, each of which is a rank."""

    def __init__(self, size: int):
        self.size = size
        self.handle = torch.distributed.ProcessGroup(0, size)  # type: ignore[call-arg]
        self.here = threading.local()
        self.barrier = threading.Barrier(size, timeout=600)
        self.brought: list[Any] = [None] * size

    def all_reduce(self, tensor: Tensor, group: Any = None) -> None:
        if group is not self.handle:
            raise RuntimeError("another group")
        self.brought[self.here.rank] = tensor.detach().clone()
        self.barrier.wait()
        with torch.no_grad():
            tensor.copy_(sum(x for x in self.brought if x is not None))
        self.barrier.wait()

    @contextlib.contextmanager
    def connected(self) -> Iterator[None]:
        with patch.multiple(
            torch.distributed,
            is_initialized=lambda: True,
            get_rank=lambda group=None: self.here.rank,
            get_world_size=lambda group=None: self.size,
            all_reduce=self.all_reduce,
        ):
            yield


# -- objectives for boosting ----------------------------------------------------------------------


def _boosting(options: Mapping[str, Any]) -> Iterator[tuple[str, Call]]:
    generator = np.random.default_rng(2)
    joint = options["task"] == "multiclass"
    functions = ("objective", "loss", "metric")
    for index in range(60):
        n = (25, 6, 1, 300)[index % 4]
        spread = (1.5, 0.2, 12.0, 300.0)[index // 4 % 4]
        z = spread * generator.normal(size=(n, 3) if joint else n)
        y = generator.integers(3, size=n) if joint else (generator.random(n) < 0.4).astype(float)
        if index % 5 == 4 and not joint:
            y = generator.random(n)
        if index % 7 == 6:
            y = np.zeros_like(y)
        if index % 11 == 10:
            y = np.ones_like(y)
        v = [None, generator.random(n), np.where(generator.random(n) < 0.5, 0.0, 2.0)][index % 3]
        if index % 13 == 12:
            z = np.zeros_like(z)
        other = {n: 0.35 for n in ("threshold",) if index % 2}
        other |= {"L": 4.0} if index % 4 == 1 else {}
        z = z.astype((float, np.float32, float)[index % 3])

        def run(module: ModuleType, y: Any = y, z: Any = z, v: Any = v, other: Any = other) -> Any:
            found = []
            for name in functions:
                function = getattr(module, name)
                found.append(function(y, z, v, **_known(function, other)))
            found.append(module.decide(z, **_known(module.decide, other)))
            start = module.initial_score
            found.append(start(y, v, **_known(start, other)))
            made = next(getattr(module, n) for n in vars(module) if n.endswith("Objective"))
            adapter = made(**_known(made.__init__, other))
            data = _Data(y, v)
            found += [adapter(y, z, v), adapter(z, data), adapter(y, z, sample_weight=v)]
            for name in ("lightgbm_metric", "xgboost_metric"):
                found += [getattr(adapter, name)(y, z, v), getattr(adapter, name)(z, data)]
            return found

        yield f"batch {index}", run
    for index in range(40):
        cells = [np.array(generator.integers(0 if index % 4 == 3 else 1, 99, 3) * 1.0)] * 4
        cells = [c + 3 * i for i, c in enumerate(cells)] if index % 4 != 3 else cells
        if not joint:
            cells = [float(c[0]) for c in cells]
        given = [{}, {"absent": "skip"}, {"absent": "diagonal", "smooth": 0.5}, {"absent": "zero"}]
        own = {**given[index % 4], "class_weight": np.array([1.0, 0.0, 2.0])}
        for name in ("value", "gradient", "weights"):

            def scalar(
                module: ModuleType, name: str = name, cells: Any = cells, own: Any = own
            ) -> Any:
                function = getattr(module, name)
                known = inspect.signature(function).parameters
                more = [p.name for p in list(known.values())[4:] if p.default is p.empty]
                return function(*cells, **dict.fromkeys(more, 0.4), **_known(function, own))

            yield f"{name} {index}", scalar
    n = 12
    z = generator.normal(size=(n, 3) if joint else n)
    y = generator.integers(3, size=n) if joint else (generator.random(n) < 0.4).astype(float)
    v = np.ones(n)
    beyond = np.full_like(v, np.inf)
    labels: list[Any] = [y[:-1], y - 5, y + 0.5, y * np.nan, y[:, None], y.tolist(), y + 1, None]
    labels += [np.full(n, "a"), y.astype(complex), y.astype(bool), y.astype(np.int8)]
    scores: list[Any] = [
        z[:-1],
        z * np.nan,
        np.full_like(z, np.inf),
        z[..., None],
        z.astype("U8"),
        z.tolist(),
    ]
    scores += [
        np.stack([z, z], 1) if not joint else z[:, 0],
        z.astype(complex),
        z[:, :1] if joint else z,
    ]
    weights: list[Any] = [v[:-1], -v, v * np.nan, beyond, v[:, None], v * 1e80, 0 * v, v.tolist()]
    weights += [v * 1e30, v * 9e28, v * 1e28, np.empty(0), 2.0]
    rows = [(x, z, None) for x in labels] + [(y, x, None) for x in scores]
    rows += [(y, z, x) for x in weights]
    with np.errstate(all="ignore"):
        for i, row in enumerate(rows):
            for name in functions:
                yield f"wrong {name} {i}", lambda m, r=row, f=name: getattr(m, f)(*r)  # type: ignore[misc]
            yield f"wrong start {i}", lambda m, r=row: m.initial_score(r[0], r[2])  # type: ignore[misc]
            yield f"wrong decide {i}", lambda m, r=row: m.decide(r[1])  # type: ignore[misc]
    for name in ("threshold", "L", "beta", "classes"):
        for bad in (-1.0, 0.0, 1.0, 2.0, 2.5, 1e7, math.nan):

            def outside(module: ModuleType, name: str = name, bad: float = bad) -> Any:
                found: list[Any] = []
                made = next(getattr(module, n) for n in vars(module) if n.endswith("Objective"))
                calls = [
                    (module.objective, (y, z)),
                    (module.loss, (y, z)),
                    (module.metric, (y, z)),
                    (module.decide, (z,)),
                    (module.initial_score, (y,)),
                    (made, ()),
                ]
                for function, arrays in calls:
                    target = made.__init__ if function is made else function
                    if name in inspect.signature(target).parameters:
                        try:
                            result = function(*arrays, **{name: bad})
                            found.append("made" if function is made else result)
                        except ValueError:
                            found.append("ValueError")
                return found

            yield f"outside {name} {bad}", outside


def _known(function: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    names = inspect.signature(function).parameters
    return {n: v for n, v in given.items() if n in names}


class _Data:
    def __init__(self, y: Any, v: Any):
        self.y, self.v = y, v

    def get_label(self) -> Any:
        return self.y

    def get_weight(self) -> Any:
        return self.v
