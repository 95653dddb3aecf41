"""Compile the kernels for GPUs that need not be here, and print what their code is made of.

    python tests/triton_compiled.py 80 90

One line a kernel: loss, kernel, processor, then the loads, stores and atomics of its PTX.
"""

from __future__ import annotations

import re
import sys
from typing import Any

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

import metricc

FLOATS = ("L", "threshold", "smoothing", "spread", "smooth")
POINTERS = {"z": "fp32", "g": "fp32", "loss": "fp32", "upstream": "fp32", "arrived": "i32"}
# What is given at compile time, by loss; `rows` are the widths of a tile.
ONE_TABLE = {"BLOCK": 2048, "ROWS": 512}
CLASSES = {"each": False, "index": tl.int32, "class_weight": None}
LOSSES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "f1": ({"formula": "mcc"}, ONE_TABLE),
    "sigmoid": (
        {"formula": "f1", "task": "multilabel"},
        {**CLASSES, "labels": False, "R": 2048, "K": 1, "ROWS": 64, "CLASSES": 32},
    ),
    "softmax": (
        {"formula": "f1", "task": "multiclass"},
        {**CLASSES, "labels": True, "R": 64, "K": 32, "ROWS": 64, "CLASSES": 32},
    ),
}


def compiled(kernel: Any, given: dict[str, Any], target: str, processor: int) -> str:
    """The PTX of a kernel for float32 inputs, all pointers aligned, sizes multiples of 16."""
    names = kernel.arg_names
    given = {name: value for name, value in given.items() if name in names}
    types = {**POINTERS, "y": target, "v": "fp32", "sums": "fp64", "pair": "fp64"}
    signature = {name: "constexpr" if name in given else "i32" for name in names}
    signature |= {name: f"*{kind}" for name, kind in types.items() if name in signature}
    signature |= {name: "fp64" for name in FLOATS if name in signature}
    signature |= dict.fromkeys(given, "constexpr")
    aligned = [n for n in names if signature[n][0] == "*" or n in ("n", "M", "positions")]
    source = ASTSource(
        fn=kernel,
        signature=signature,
        constexprs={(names.index(name),): value for name, value in given.items()},
        attrs={(names.index(name),): [["tt.divisibility", 16]] for name in aligned},
    )
    made = triton.compile(source, target=GPUTarget("cuda", processor, 32), options={"num_warps": 8})
    return str(made.asm["ptx"])


def main() -> None:
    for name, (options, sizes) in LOSSES.items():
        module = metricc.compile(**options, name="x", target="triton").module()
        given = {"v": None, "absent": "skip", "dtype": tl.float32, "largest": None, **sizes}
        target = "i64" if name == "softmax" else "fp32"
        for processor in map(int, sys.argv[1:]):
            for kernel in (module._gpu_reduce, module._gpu_map):
                ptx = compiled(kernel, given, target, processor)
                found = set(re.findall(r"(?:ld|st)\.global[\w.]*|atom[\w.]*", ptx))
                print(f"{name}{kernel.__name__} {processor}", *sorted(found))


if __name__ == "__main__":
    main()
