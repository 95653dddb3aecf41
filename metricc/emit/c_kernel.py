"""A kernel that `metricc build` compiled: this file, and a library that is named like it.

The loss beside whose __pycache__ both stand looks for them, and finds them while neither its text
nor the processor changes. They may be deleted: the loss then takes torch's operations again.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.machinery
import importlib.util
import platform
import sysconfig
from pathlib import Path
from typing import Any

LIBRARY = ""  # the library's name up to the machine's; `metricc build` writes it here
NODE = ""  # likewise that of an autograd node in C++, up to the version of torch
ONE_THREAD = 32_768  # elements up to which threads cost more than they bring


def machine() -> str:
    """What a library was compiled for: the system, the processor and its instructions."""
    told = [platform.system(), platform.machine()]
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
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
    try:
        library = ctypes.CDLL(str(here.with_name(f"{LIBRARY}.{machine()}.so")))
    except OSError:
        return None
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


class Kernel:
    """The two passes of a loss over contiguous tensors of a CPU, and the autograd node over them."""

    def __init__(self, torch: Any, library: Any, extension: Any) -> None:
        pointer, whole, small = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
        number = ctypes.c_double
        self._count, self._finish = library.count, library.finish
        tensors = [pointer, small, pointer, small]  # a target and a weight, each with its type
        self._count.argtypes = [pointer, *tensors, pointer, whole, small, number, number, small]
        self._count.argtypes += [pointer]
        self._finish.argtypes = [pointer, *tensors, whole, small, number, number, small]
        self._finish.restype = None
        self._sums = number * 4
        self._floats = {torch.float32: 0, torch.float64: 1}
        self._types = {**self._floats, torch.int64: 2, torch.int32: 3}
        self._types |= {torch.uint8: 4, torch.bool: 4}
        self._threads, self._empty = torch.get_num_threads, torch.empty
        self._graded = torch.is_grad_enabled
        self._node = _python_node(torch)
        pool = _pool()
        self._alone = pool is None
        library.threads_of.argtypes = [pointer] * 3
        library.threads_of(*(pool or (None,) * 3))
        self._extension = extension
        if extension is not None:
            self._addresses = [ctypes.cast(f, pointer).value for f in (self._count, self._finish)]

    def count(self, input: Any, target: Any, weight: Any, a: float = 0.0, b: float = 0.0) -> Any:
        """([TP, FN, FP, TN], the surrogate's slope); None where it does not take these tensors.

        The slope is None where no gradient is wanted. `a` and `b` are the surrogate's arguments.
        """
        keep = input.requires_grad and self._graded()
        if self._extension is not None:
            address = self._addresses[0]
            return self._extension.count(address, input, target, weight, keep, a, b)
        wide, y_type = self._floats.get(input.dtype), self._types.get(target.dtype)
        if wide is None or y_type is None or not (input.is_contiguous() and target.is_contiguous()):
            return None
        if weight is not None and not (weight.dtype in self._floats and weight.is_contiguous()):
            return None
        return self.counted(input, target, weight, keep, a, b)

    def counted(self, input: Any, target: Any, weight: Any, keep: bool, a: float, b: float) -> Any:
        """What `count` gives for tensors that it takes."""
        wide, y_type = self._floats[input.dtype], self._types[target.dtype]
        v, v_type = None, -1
        if weight is not None:
            v, v_type = weight.data_ptr(), self._floats[weight.dtype]
        n = input.numel()
        slope = self._empty(input.shape, dtype=input.dtype) if keep else None
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

    def _team(self, n: int) -> int:
        return 1 if self._alone or n <= ONE_THREAD else int(self._threads())


def _python_node(torch: Any) -> Any:
    class Loss(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(
            ctx: Any, input: Any, target: Any, weight: Any, loss: float, kept: tuple[Any, ...]
        ) -> Any:
            ctx.save_for_backward(input, target, weight)
            ctx.kept = kept
            return torch.full((), loss, dtype=input.dtype)

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
