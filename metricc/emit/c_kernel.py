"""A kernel that `metricc build` compiled: this file, and a library that is named like it.

The loss beside whose __pycache__ both stand looks for them, and finds them while neither its text
nor the processor changes. They may be deleted: the loss then takes torch's operations again.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.machinery
import importlib.util
import math
import platform
import sysconfig
from pathlib import Path
from typing import Any

LIBRARY = ""  # the library's name up to the machine's; `metricc build` writes it here
NODE = ""  # likewise that of an autograd node in C++, up to the version of torch
CLASSES = False  # whether there is a table for each class; likewise
LABELS = False  # and whether targets are numbers of classes; likewise
SIZE = 0  # of the library, in bytes: a part of it would end the process; likewise
MOST_CLASSES = 4096  # of a softmax: more take panels that no cache holds
# Of a softmax over short rows, which are copied to panels: torch is faster at more.
FEW_CLASSES = 8
SHORT = 16  # elements of a row below which it is short
ONE_THREAD = 32_768  # elements up to which threads cost more than they bring


def machine() -> str:
    """What a library was compiled for: the system, the processor and its instructions."""
    told = [platform.system(), platform.machine()]
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if not line.strip():
                    break  # the first processor's lines end here
                if line.startswith(("model name", "flags", "Features", "CPU ", "isa")):
                    told.append(line)
    except OSError:  # not Linux: there nothing is compiled for one processor alone
        pass
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:8]


def torch_and_python(torch: Any) -> str:
    """What a C++ node was compiled for."""
    return f"torch-{torch.__version__}.{sysconfig.get_config_var('SOABI')}"


def kernel() -> Any:
    """The kernel, or None where its library was made for another machine or cannot be loaded."""
    import torch

    here = Path(__file__)
    path = here.with_name(f"{LIBRARY}.{machine()}.so")
    try:
        if path.stat().st_size != SIZE:
            return None
        library = ctypes.CDLL(str(path))
    except OSError:
        return None
    if CLASSES:
        return Classes(torch, library)
    node = here.with_name(f"{NODE}.{torch_and_python(torch)}.so")
    return Kernel(torch, library, _extension(node) if node.exists() else None)


def _extension(path: Path) -> Any:
    """The C++ node, or None where it cannot be loaded."""
    loader = importlib.machinery.ExtensionFileLoader("metricc_node", str(path))
    spec = importlib.util.spec_from_file_location("metricc_node", path, loader=loader)
    assert spec is not None
    try:
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
    except ImportError:
        return None
    return module


class Library:
    """What both kinds of kernels have: the types that the C knows, and torch's threads."""

    def __init__(self, torch: Any, library: Any) -> None:
        self._count, self._finish = library.count, library.finish
        self._finish.restype = None
        self._floats = {torch.float32: 0, torch.float64: 1}
        self._types = {**self._floats, torch.int64: 2, torch.int32: 3}
        self._types |= {torch.uint8: 4, torch.bool: 4}
        self._threads, self._empty = torch.get_num_threads, torch.empty
        pool = _pool()
        self._alone = pool is None
        library.threads_of.argtypes = [ctypes.c_void_p] * 3
        library.threads_of(*(pool or (None,) * 3))

    def _team(self, n: int) -> int:
        return 1 if self._alone or n <= ONE_THREAD else int(self._threads())

    def _takes(self, target: Any, weight: Any) -> bool:
        if target.dtype not in self._types or not target.is_contiguous():
            return False
        return weight is None or (weight.dtype in self._floats and weight.is_contiguous())


class Kernel(Library):
    """The two passes of a loss of one table over contiguous tensors, and the node over them."""

    def __init__(self, torch: Any, library: Any, extension: Any) -> None:
        super().__init__(torch, library)
        pointer, whole, small = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
        number = ctypes.c_double
        tensors = [pointer, small, pointer, small]  # a target and a weight, each with its type
        self._count.argtypes = [pointer, *tensors, pointer, whole, small, number, number, small]
        self._count.argtypes += [pointer]
        self._finish.argtypes = [pointer, *tensors, whole, small, number, number, small]
        self._sums = number * 4
        self._graded = torch.is_grad_enabled
        self._node = _python_node(torch)
        self._extension = extension
        if extension is not None:
            self._addresses = [ctypes.cast(f, pointer).value for f in (self._count, self._finish)]

    def count(self, input: Any, target: Any, weight: Any, a: float = 0.0, b: float = 0.0) -> Any:
        """([TP, FN, FP, TN], the surrogate's slope); None where it does not take these tensors.

        The slope is None where no gradient is wanted. `a` and `b` are the surrogate's arguments.
        """
        if input.is_neg() or target.is_neg():  # memory that torch reads with another sign
            return None
        keep = input.requires_grad and self._graded()
        if self._extension is not None:
            address = self._addresses[0]
            return self._extension.count(address, input, target, weight, keep, a, b)
        if input.dtype not in self._floats or not input.is_contiguous():
            return None
        if not self._takes(target, weight):
            return None
        return self.counted(input, target, weight, keep, a, b)

    def counted(self, input: Any, target: Any, weight: Any, keep: bool, a: float, b: float) -> Any:
        """What `count` gives for tensors that it takes."""
        wide, y_type = self._floats[input.dtype], self._types[target.dtype]
        v, v_type = None, -1
        if weight is not None:
            v, v_type = weight.data_ptr(), self._floats[weight.dtype]
        n = input.numel()
        slope = self._empty(input.shape, dtype=input.dtype, device="cpu") if keep else None
        room = None if slope is None else slope.data_ptr()
        sums, z, y = self._sums(), input.data_ptr(), target.data_ptr()
        if self._count(z, y, y_type, v, v_type, room, n, wide, a, b, self._team(n), sums):
            return None
        return sums[:], slope

    def loss(
        self,
        input: Any,
        target: Any,
        weight: Any,
        slope: Any,
        loss: float,
        positive: float,
        negative: float,
        again: Any,
        a: float = 0.0,
        b: float = 0.0,
    ) -> Any:
        """The loss as a tensor whose backward turns the slope that `count` gave into the gradient.

        A second backward counts anew. One that is differentiated itself, or asked for several
        gradients at once, calls again(input, target, weight, the gradient of the loss).
        """
        if self._extension is None or slope is None:
            kept = self, slope, positive, negative, again, a, b
            return self._node.apply(input, target, weight, loss, kept)
        return self._extension.node(
            *self._addresses, input, target, weight, slope, loss, positive, negative, again, a, b
        )

    def finish(self, slope: Any, target: Any, weight: Any, positive: float, negative: float) -> Any:
        """The slope, turned into the gradient in place."""
        v, v_type = None, -1
        if weight is not None:
            v, v_type = weight.data_ptr(), self._floats[weight.dtype]
        n, wide, y_type = slope.numel(), self._floats[slope.dtype], self._types[target.dtype]
        s, y, threads = slope.data_ptr(), target.data_ptr(), self._team(n)
        self._finish(s, y, y_type, v, v_type, n, wide, positive, negative, threads)
        return slope


class Classes(Library):
    """The two passes of a loss with a table for each class over contiguous (N, C, ...)."""

    def __init__(self, torch: Any, library: Any) -> None:
        super().__init__(torch, library)
        pointer, whole, small = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
        number = ctypes.c_double
        tensors = [pointer, small, pointer, small, whole]
        self._count.argtypes = [pointer, *tensors, pointer, *[whole] * 3, small, number, number]
        self._count.argtypes += [small, pointer]
        self._finish.argtypes = [pointer, *tensors, *[whole] * 3, small, pointer, pointer, small]
        self._float64, self._labels = torch.float64, torch.int64

    def count(
        self,
        input: Any,
        target: Any,
        weight: Any,
        keep: bool,
        label_smoothing: float,
        a: float = 0.0,
        b: float = 0.0,
    ) -> Any:
        """(The counts, (4, C) in float64, and what `finish` makes the gradient of, or None).

        None where it does not take these tensors. `a` and `b` are the surrogate's arguments.
        """
        wide = self._floats.get(input.dtype)
        if wide is None or label_smoothing or not input.is_contiguous():
            return None
        if input.is_neg() or target.is_neg():  # memory that torch reads with another sign
            return None
        if not self._takes(target, weight) or not self._fit(input, target):
            return None
        shape = self._shape(input)
        counts = self._empty((4, shape[1]), dtype=self._float64, device="cpu")
        kept = self._empty(input.shape, dtype=input.dtype, device="cpu") if keep else None
        room = None if kept is None else kept.data_ptr()
        given, threads = self._given(target, weight), self._team(input.numel())
        z, sums = input.data_ptr(), counts.data_ptr()
        if self._count(z, *given, room, *shape, wide, a, b, threads, sums):
            return None
        if counts.min() < -1e-5 * counts.abs().sum():
            what = "target must be in [0, 1] (ignore_index leaves labels out), weight at least 0"
            raise ValueError(what)
        return counts, kept

    def finish(
        self, kept: Any, target: Any, weight: Any, pair: Any, label_smoothing: float = 0.0
    ) -> bool:
        """Turn what `count` kept into the gradient; False where it does not take the tensors."""
        wide, shape = self._floats.get(kept.dtype), self._shape(kept)
        if wide is None or label_smoothing or not kept.is_contiguous():
            return False
        if not self._takes(target, weight) or not self._fit(kept, target):
            return False
        if pair.shape != (2, shape[1]):
            return False
        plus, minus = (x.contiguous() for x in pair.to(self._float64))
        weights = plus.data_ptr(), minus.data_ptr()
        given, threads = self._given(target, weight), self._team(kept.numel())
        self._finish(kept.data_ptr(), *given, *shape, wide, *weights, threads)
        return True

    def _shape(self, input: Any) -> tuple[int, int, int]:
        """N, C, M."""
        N, C, *rest = input.shape
        return N, C, math.prod(rest)

    def _fit(self, input: Any, target: Any) -> bool:
        """Whether there is something to count, in classes that are not too many for a panel."""
        N, C, M = self._shape(input)
        if not LABELS:
            return bool(N and C and M and target.shape == input.shape)
        most = FEW_CLASSES if M < SHORT else MOST_CLASSES
        return bool(N and C and M and target.dtype == self._labels and most >= C)

    def _given(self, target: Any, weight: Any) -> tuple[Any, ...]:
        y = target.data_ptr(), self._types[target.dtype]
        if weight is None:
            return *y, None, -1, 1
        return *y, weight.data_ptr(), self._floats[weight.dtype], weight.shape[1]


def _python_node(torch: Any) -> Any:
    class Loss(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(
            ctx: Any, input: Any, target: Any, weight: Any, loss: float, kept: tuple[Any, ...]
        ) -> Any:
            ctx.save_for_backward(input, target, weight)
            ctx.kept = kept
            return input.new_full((), loss)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            input, target, weight = ctx.saved_tensors
            kernel, slope, *pair, again, a, b = ctx.kept
            ctx.kept = kernel, None, *pair, again, a, b  # the slope turns into the gradient, once
            scale = None if torch.is_grad_enabled() else _number(grad)
            if slope is None and scale is not None:
                _, slope = kernel.counted(input, target, weight, True, a, b) or (None, None)
            if scale is None or slope is None:
                gradient = again(input, target, weight, grad)
            else:
                gradient = kernel.finish(slope, target, weight, scale * pair[0], scale * pair[1])
            return gradient, None, None, None, None

    return Loss


def _number(grad: Any) -> Any:
    """The gradient of the loss as a float; None where it is a batch of several."""
    try:
        return grad.item()
    except RuntimeError:
        return None


def _pool() -> Any:
    """What runs a function on the threads of the OpenMP that torch has loaded; None without."""
    try:
        process = ctypes.CDLL(None)
        names = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")
        return [ctypes.cast(getattr(process, name), ctypes.c_void_p) for name in names]
    except (AttributeError, OSError, TypeError):  # macOS, Windows, another OpenMP
        return None
