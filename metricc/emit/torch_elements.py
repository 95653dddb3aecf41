"""Element losses as text: for every element its loss, and what backward needs of it.

With a sigmoid that is the derivative in z; with a softmax h, by which u_k = h_k, dl/dz_j =
p_j sum_k u_k - u_j. From probabilities it is the derivative in p. Lin et al. 2017 for focal.
"""

from __future__ import annotations

from metricc.emit.torch_soft import LOGITS, PROBABILITIES, SOFTMAX

ELEMENTS: dict[tuple[str, str], str] = {
    ("bce", LOGITS): '''

def _bce(z, y):
    """Binary cross-entropy of every element, and its derivative in z."""
    log = torch.nn.functional.logsigmoid
    slope = torch.lerp(torch.sigmoid(z), -torch.sigmoid(-z), y)
    return -(y * log(z) + (1 - y) * log(-z)), slope
''',
    ("bce", PROBABILITIES): '''

def _bce(p, y):
    """Binary cross-entropy of every element, and its derivative in p; p is at least 1e-30."""
    p, q = p.clamp(min=1e-30), (1 - p).clamp(min=1e-30)
    return -(y * p.log() + (1 - y) * q.log()), (1 - y) / q - y / p
''',
    ("focal", LOGITS): '''

def _focal(z, y, gamma):
    """Focal loss of every element, and its derivative in z."""
    p, q = torch.sigmoid(z), torch.sigmoid(-z)
    hit, miss = -torch.nn.functional.logsigmoid(z), -torch.nn.functional.logsigmoid(-z)
    loss = y * q**gamma * hit + (1 - y) * p**gamma * miss
    up, down = q**gamma * (gamma * p * hit + q), p**gamma * (gamma * q * miss + p)
    return loss, torch.lerp(down, -up, y)
''',
    ("focal", PROBABILITIES): '''

def _focal(p, y, gamma):
    """Focal loss of every element, and its derivative in p; p is at least 1e-30."""
    p, q = p.clamp(min=1e-30), (1 - p).clamp(min=1e-30)
    hit, miss = -p.log(), -q.log()
    loss = y * q**gamma * hit + (1 - y) * p**gamma * miss
    up, down = q**gamma * (gamma * hit / q + 1 / p), p**gamma * (gamma * miss / p + 1 / q)
    return loss, torch.lerp(down, -up, y)
''',
    ("ce", SOFTMAX): '''

def _ce(z, p, q, y):
    """Cross-entropy by class, -y log p, and what its gradient needs."""
    log = torch.log_softmax(z, 1).clamp(min=torch.finfo(z.dtype).min)
    return -y * log, y
''',
    ("focal", SOFTMAX): '''

def _focal(z, p, q, y, gamma):
    """Focal loss by class, and what its gradient needs."""
    log = torch.log_softmax(z, 1).clamp(min=torch.finfo(z.dtype).min)
    q = q.clamp(min=torch.finfo(q.dtype).tiny)
    return -y * q**gamma * log, y * q**gamma * (1 - gamma * p * log / q)
''',
}
# From probabilities of classes the logarithm is taken of what is given.
ELEMENTS |= {
    (name, f"{SOFTMAX} given"): ELEMENTS[name, SOFTMAX].replace(
        "torch.log_softmax(z, 1).clamp(min=torch.finfo(z.dtype).min)", "p.clamp(min=1e-30).log()"
    )
    for name in ("ce", "focal")
}
