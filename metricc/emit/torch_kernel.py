"""What a generated file needs to find its built kernel; `metricc.build` makes one on request."""

from __future__ import annotations

IMPORTS = ("functools", "hashlib", "pathlib")

BUILT = '''

@functools.cache
def _built():
    """The kernel that `metricc build` made of this very text for this machine; None without one."""
    path = pathlib.Path(globals().get("__file__", ""))
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        kernel = path.parent / "__pycache__" / f"{path.stem}.{digest}.py"
        if kernel.parent.stat().st_uid not in (0, path.stat().st_uid):
            return None
        made = {"__name__": kernel.stem, "__file__": str(kernel)}
        exec(compile(kernel.read_bytes(), kernel, "exec"), made)
        return made["kernel"]()
    except Exception:  # there is none, or what is left of one
        return None
'''

ONE_TABLE = '''

def _by_kernel(input, target, weight, given, ranks, absent, smooth<<store>>):
    """The loss by the built kernel; None without one, or where it does not take the tensors."""
    kernel = _built()
    found = None if kernel is None else kernel.count(input, target, weight<<count_args>>)
    if found is None:
        return None
    counts, slope = found
<<negative>>    loss, *pair = _judged(counts, input, given, ranks, absent, smooth<<pair_args>>)

    def again(input, target, weight, grad_loss):
        weights = _tensor(pair, input)
        if torch.is_grad_enabled() and given is None:
            weights = _again(input, target, weight, ranks, absent, smooth<<store>>)
        return _map(input, target, weight, grad_loss * weights<<count_args>>)

    return kernel.loss(input, target, weight, slope, loss, *pair, again<<count_args>>)
'''

# Where a loss of one table first asks for a kernel, and where one of several does.
FIRST = """\
        by_kernel = _by_kernel(input, target, weight, *options)
        if by_kernel is not None:
            return by_kernel
"""
COUNTED = """\
    kernel = _built()
    found = None if kernel is None else kernel.count(input, target, weight, keep, label_smoothing{arguments})
    if found is not None:
        return found
"""
FINISHED = """\
    kernel = _built()
    if kernel is not None and kernel.finish({kept}, target, weight, pair{smoothing}):
        return {kept}
"""
