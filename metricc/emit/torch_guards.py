"""The functions that generated expressions call, as text: finite for every argument."""

from __future__ import annotations

# Guarded scalars, for floats (counts on a CPU) and tensors (elsewhere) alike.
GUARDS = {
    "_ratio": '''

def _ratio(a, b):
    """a / b, finite for every b: |b| is at least _TINY, the quotient at most _HUGE."""
    if isinstance(b, Tensor):
        tiny = torch.finfo(b.dtype).tiny
        return (a / torch.where(b.abs() < tiny, tiny, b)).clamp(-_HUGE, _HUGE)
    quotient = a / (_TINY if abs(b) < _TINY else b)
    if isinstance(quotient, Tensor):
        return quotient.clamp(-_HUGE, _HUGE)
    return quotient if -_HUGE < quotient < _HUGE else min(max(quotient, -_HUGE), _HUGE)
''',
    "_root": '''

def _root(x):
    """sqrt(x) for x of at least _TINY; below it, constant."""
    if isinstance(x, Tensor):
        return x.clamp(min=torch.finfo(x.dtype).tiny).sqrt()
    return math.sqrt(_TINY if x < _TINY else x)
''',
    "_log": '''

def _log(x):
    """log(x) for x of at least _TINY; below it, constant."""
    if isinstance(x, Tensor):
        return x.clamp(min=torch.finfo(x.dtype).tiny).log()
    return math.log(_TINY if x < _TINY else x)
''',
    "_log_ratio": '''

def _log_ratio(a, b, d):
    """log(a / b) as _log of _ratio gives it, near 1 by d = a - b, which has more digits."""
    if isinstance(d, Tensor):
        tiny = torch.finfo(d.dtype).tiny
        b = torch.as_tensor(b).to(d)
        near, b = d.abs() < b / 2, b.clamp(min=tiny)
        far = (a / b).clamp(tiny, _HUGE).log()
        return torch.where(near, torch.log1p(torch.where(near, d, 0) / b), far)
    if abs(d) < b / 2:
        return math.log1p(d / b)
    return math.log(min(max(a / (_TINY if b < _TINY else b), _TINY), _HUGE))
''',
    "_exp": '''

def _exp(x):
    """exp(x), at most _HUGE."""
    if isinstance(x, Tensor):
        return x.clamp(max=math.log(_HUGE)).exp()
    return math.exp(min(x, math.log(_HUGE)))
''',
    "_power": '''

def _power(x, exponent):
    """x**exponent, at most _HUGE; where it is not whole, x is at least _TINY."""
    whole = not isinstance(exponent, Tensor) and float(exponent).is_integer()
    if isinstance(x, Tensor):
        x = x if whole else x.clamp(min=torch.finfo(x.dtype).tiny)
        return (x**exponent).clamp(-_HUGE, _HUGE)
    x = _TINY if not whole and x < _TINY else x
    try:
        return min(max(x**exponent, -_HUGE), _HUGE)
    except (OverflowError, ZeroDivisionError):
        return -_HUGE if x < 0 and exponent % 2 else _HUGE
''',
    "_abs": """

def _abs(x):
    return abs(x)
""",
    "_min": """

def _min(a, b):
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        like = a if isinstance(a, Tensor) else b
        return torch.minimum(torch.as_tensor(a).to(like), torch.as_tensor(b).to(like))
    return min(a, b)
""",
    "_max": """

def _max(a, b):
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        like = a if isinstance(a, Tensor) else b
        return torch.maximum(torch.as_tensor(a).to(like), torch.as_tensor(b).to(like))
    return max(a, b)
""",
    "_select": '''

def _select(x, y, a, b):
    """a where x < y, else b."""
    like = next((t for t in (x, y, a, b) if isinstance(t, Tensor)), None)
    if like is None:
        return a if x < y else b
    x, y, a, b = (torch.as_tensor(t).to(like) for t in (x, y, a, b))
    return torch.where(x < y, a, b)
''',
    "_step": '''

def _step(x):
    """0 below 0, 1 above, 1/2 at 0."""
    return (torch.sign(x) + 1) / 2 if isinstance(x, Tensor) else 0.5 * (x > 0) + 0.5 * (x >= 0)
''',
}
