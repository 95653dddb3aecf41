"""The Triton kernels of a generated file as text with holes, for `torch_file.fill`.

Two kernels each: a reduction whose last program finishes the scalars, and an elementwise map. They
stand in the file under `if triton is not None:`.
"""

from __future__ import annotations

# At the top of the file.
IMPORT = """\
try:
    import triton
    import triton.language as tl
except ImportError:  # then this file takes the portable path everywhere
    triton = None
"""

# A, 1 - A and its slope over the scale, by surrogate and way in.
SOFT: dict[tuple[str, str], str] = {
    ("amplified", "logits"): '''
@triton.jit
def _gpu_soft(z, L, threshold):
    """A(p), 1 - A(p) and dA/dz over L, p = sigmoid(z): 1 - A would cancel, it has a form."""
    e = tl.exp(-tl.abs(z))
    r = 1 / (1 + e)  # max(p, 1 - p)
    t = (0.5 * L).to(z.dtype) * (1 - e) * r
    t = tl.where(z < 0, -t, t) + (L * (0.5 - threshold)).to(z.dtype)  # L (p - threshold)
    f = tl.exp(-tl.abs(t))
    h = 1 / (1 + f)  # max(A, 1 - A)
    return tl.where(t < 0, f * h, h), tl.where(t < 0, h, f * h), f * h * h * e * r * r
''',
    ("soft", "logits"): '''
@triton.jit
def _gpu_soft(z):
    """p, 1 - p and their slope, p = sigmoid(z)."""
    e = tl.exp(-tl.abs(z))
    r = 1 / (1 + e)  # max(p, 1 - p)
    return tl.where(z < 0, e * r, r), tl.where(z < 0, r, e * r), e * r * r
''',
    ("amplified", "probabilities"): '''
@triton.jit
def _gpu_soft(p, L, threshold):
    """A(p), 1 - A(p) and dA/dp over L."""
    t = L.to(p.dtype) * p - (L * threshold).to(p.dtype)
    f = tl.exp(-tl.abs(t))
    h = 1 / (1 + f)  # max(A, 1 - A)
    return tl.where(t < 0, f * h, h), tl.where(t < 0, h, f * h), f * h * h
''',
    ("soft", "probabilities"): '''
@triton.jit
def _gpu_soft(p):
    """p, 1 - p and their slope."""
    return p, 1 - p, 1.0
''',
}

LAST = '''
@triton.jit
def _gpu_last(arrived, programs):
    """Whether this program is the last to arrive: it sees what all others have stored."""
    tl.debug_barrier()  # all of this program's threads have stored
    return tl.atomic_add(arrived, 1, sem="acq_rel") == programs - 1
'''

NARROW = '''
@triton.jit
def _gpu_narrow(x, largest: tl.constexpr):
    """Halves saturate rather than overflow; NaN stays."""
    if largest is not None:
        x = tl.where(x > largest, largest, tl.where(x < -largest, -largest, x))
    return x
'''

BCE = '''
@triton.jit
def _gpu_bce(z, yes, no):
    """Binary cross-entropy of every element, weighed, and its derivative in z."""
    e = tl.exp(-tl.abs(z))
    u = 1 + e
    near = u == 1
    log = tl.where(near, e, tl.log(u) * e / tl.where(near, 1, u - 1))  # log(1 + e)
    wrong = tl.abs(z)
    loss = yes * (log + tl.where(z < 0, wrong, 0)) + no * (log + tl.where(z < 0, 0, wrong))
    r = 1 / u
    p, q = tl.where(z < 0, e * r, r), tl.where(z < 0, r, e * r)
    return loss, no * p - yes * q
'''

CE = '''
@triton.jit
def _gpu_ce_slope(p, q, u):
    """The derivative in z of cross-entropy, where the labels weigh u."""
    return p * (tl.sum(u, 1)[:, None] - u) - q * u
'''

SOFTMAX = '''
@triton.jit
def _gpu_softmax(x, real):
    """p, 1 - p and log p over the real classes; above 1/2, 1 - p is the sum of the others."""
    x = tl.where(real, x, float("-inf"))
    x = x - tl.max(x, 1)[:, None]
    e = tl.exp(x)
    total = tl.sum(e, 1)[:, None]
    p = e / total
    others = tl.sum(tl.where(p > 0.5, 0, e), 1)[:, None] / total
    log = x - tl.log(total)
    return p, tl.where(p > 0.5, others, 1 - p), tl.where(log < -1e30, -1e30, log)


@triton.jit
def _gpu_through(p, g):
    """From dL/dp to dL/dz, g counted from that of the likeliest class: nothing cancels."""
    likeliest = p == tl.max(p, 1)[:, None]
    g = g - tl.max(tl.where(likeliest, g, float("-inf")), 1)[:, None]
    return p * (g - tl.sum(p * g, 1)[:, None])
'''

ONE_TABLE = '''
@triton.jit
def _gpu_read(z, y, v, at, here, dtype: tl.constexpr):
    """Inputs, and what they weigh as positives and as negatives."""
    x = tl.load(z + at, here, 0).to(dtype)
    yes = tl.load(y + at, here, 0).to(dtype)
    no = tl.where(here, 1 - yes, 0)
    if v is not None:
        w = tl.load(v + at, here, 0).to(dtype)
        yes, no = yes * w, no * w
    return x, yes, no


@triton.jit
def _gpu_total(sums, programs, ROWS: tl.constexpr):
    """What the programs stored, added up in always the same order."""
    row = tl.arange(0, ROWS)
    return tl.sum(tl.load(sums + row, row < programs, 0, cache_modifier=".cg"), 0)


@triton.jit
def _gpu_reduce(z, y, v, sums, arrived, loss, pair, n<<typed>>, smooth: tl.float64, absent: tl.constexpr, dtype: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr):
    """<<how_many>> sums over each program's share; the last to arrive finishes the loss."""
<<wide>>    program, programs = tl.program_id(0), tl.num_programs(0)
<<zeros>>    for block in range(program, tl.cdiv(n, BLOCK), programs):
        at = block * tl.full((), BLOCK, tl.int64) + tl.arange(0, BLOCK)
        x, yes, no = _gpu_read(z, y, v, at, at < n, dtype)
<<softly>><<adds>><<stores>>    if _gpu_last(arrived, programs):
        tl.store(arrived, 0)  # for the next launch
<<totals>>        TP, FN, FP, TN, scored, live = _gpu_present(TP, FN, FP, TN, absent, smooth)
        tl.store(loss, <<direction>>scored * _gpu_value(TP, FN, FP, TN<<mean_args>><<parameters>>))
        w_plus, w_minus<<and_slope>> = _gpu_weights(TP, FN, FP, TN<<mean_args>><<parameters>>)
        tl.store(pair, <<scale>>live * w_plus)
        tl.store(pair + 1, <<flipped>>live * w_minus)
<<store_slope>>

@triton.jit
def _gpu_map(z, y, v, pair, upstream, g, n<<soft_typed>>, dtype: tl.constexpr, largest: tl.constexpr, BLOCK: tl.constexpr):
    """The gradient, from the end: what was read last may still be in a cache."""
<<soft_wide>>    block = tl.num_programs(0) - 1 - tl.program_id(0)
    at = block * tl.full((), BLOCK, tl.int64) + tl.arange(0, BLOCK)
    x, yes, no = _gpu_read(z, y, v, at, at < n, dtype)
    scale = tl.load(upstream).to(tl.float64)
    positive = _gpu_bounded(tl.load(pair) * scale).to(dtype)
    negative = _gpu_bounded(tl.load(pair + 1) * scale).to(dtype)
<<map_lines>>    tl.store(g + at, _gpu_narrow(s, largest), at < n)
'''

CLASSES = '''
@triton.jit
def _gpu_tile(z, y, v, rows, k, positions, C, M, smoothing, spread, labels: tl.constexpr, each: tl.constexpr, dtype: tl.constexpr):
    """A tile of positions by classes: where it lies, the inputs, what they weigh on both sides.

    What weighs nothing is made harmless: it may be NaN.
    """
    at = (rows // M * (C * M) + rows % M)[:, None] + (k * M)[None, :]
    inside = rows < positions
    here = inside[:, None] & (k < C)[None, :]
    x = tl.load(z + at, here, 0).to(dtype)
    if labels:  # one class a position
        yes = (tl.load(y + rows, inside, -1)[:, None] == k[None, :]).to(dtype)
    else:
        yes = tl.load(y + at, here, 0).to(dtype)
    w = here.to(dtype)
    if v is not None:
        if each:
            w = tl.load(v + at, here, 0).to(dtype)
        else:
            w = tl.load(v + rows, inside, 0).to(dtype)[:, None] * w
        x, yes = tl.where(w == 0, 0, x), tl.where(w == 0, 0, yes)
    yes = yes * (1 - smoothing).to(dtype) + spread.to(dtype)
    return at, here, x, yes * w, (1 - yes) * w


@triton.jit
def _gpu_total(sums, splits, C, ROWS: tl.constexpr, CLASSES: tl.constexpr):
    """What the programs stored of a count, by class, added up in always the same order."""
    c, total = tl.arange(0, CLASSES), tl.zeros((ROWS, CLASSES), tl.float64)
    for start in range(0, splits, ROWS):
        row = start + tl.arange(0, ROWS)
        here = (row < splits)[:, None] & (c < C)[None, :]
        at = row[:, None] * C + c[None, :]
        total += tl.load(sums + at, here, 0, cache_modifier=".cg")
    return tl.sum(total, 0)


@triton.jit
def _gpu_reduce(z, y, v, class_weight, sums, arrived, loss, pair, positions, C, M, blocks<<typed>>, smoothing: tl.float64, spread: tl.float64, smooth: tl.float64, absent: tl.constexpr, labels: tl.constexpr, each: tl.constexpr, index: tl.constexpr, dtype: tl.constexpr, R: tl.constexpr, K: tl.constexpr, ROWS: tl.constexpr, CLASSES: tl.constexpr):
    """<<how_many>> sums by class over each program's share; the last to arrive finishes the loss.

    A program takes K classes of every so many tiles of R positions.
    """
<<wide>><<indices>>    program, programs = tl.program_id(0), tl.num_programs(0)
    split, splits = program // blocks, programs // blocks
    k = program % blocks * K + tl.arange(0, K)
<<zeros>>    for tile in range(split, tl.cdiv(positions, R), splits):
        rows = tile * tl.full((), R, index) + tl.arange(0, R)
        _, _, x, yes, no = _gpu_tile(z, y, v, rows, k, positions, C, M, smoothing, spread, labels, each, dtype)
<<softly>><<adds>>    size = splits * C
    at = sums + split * C + k
<<stores>>    if _gpu_last(arrived, programs):
        tl.store(arrived, 0)  # for the next launch
<<totals>>        c = tl.arange(0, CLASSES)
        share = (c < C).to(tl.float64)
        if class_weight is not None:
            share = tl.load(class_weight + c, c < C, 0).to(tl.float64)
<<means>>        value = _gpu_value(TP, FN, FP, TN<<mean_args>><<parameters>>, share, absent, smooth)
        tl.store(loss, <<direction>>value)
        w_plus, w_minus<<and_slope>> = _gpu_weights(TP, FN, FP, TN<<mean_args>><<parameters>>, share, absent, smooth)
        tl.store(pair + c, <<scale>>w_plus + 0 * share, c < C)
        tl.store(pair + C + c, <<flipped>>w_minus + 0 * share, c < C)
<<store_slope>>

@triton.jit
def _gpu_map(z, y, v, pair, upstream, g, positions, C, M, blocks<<soft_typed>>, smoothing: tl.float64, spread: tl.float64, labels: tl.constexpr, each: tl.constexpr, index: tl.constexpr, dtype: tl.constexpr, largest: tl.constexpr, R: tl.constexpr, K: tl.constexpr):
    """The gradient, from the end: what was read last may still be in a cache."""
<<soft_wide>><<indices>>    program = tl.num_programs(0) - 1 - tl.program_id(0)
    k = program % blocks * K + tl.arange(0, K)
    rows = program // blocks * tl.full((), R, index) + tl.arange(0, R)
    at, here, x, yes, no = _gpu_tile(z, y, v, rows, k, positions, C, M, smoothing, spread, labels, each, dtype)
    scale = tl.load(upstream).to(tl.float64)
    positive = _gpu_bounded(tl.load(pair + k, k < C, 0) * scale).to(dtype)[None, :]
    negative = _gpu_bounded(tl.load(pair + C + k, k < C, 0) * scale).to(dtype)[None, :]
<<map_lines>>    tl.store(g + at, _gpu_narrow(s, largest), here)
'''

# Whole numbers that a launch finds to be 1 arrive as constants.
INDICES = """\
    C, M = tl.full((), C, index), tl.full((), M, index)
    positions = tl.full((), positions, index)
"""
