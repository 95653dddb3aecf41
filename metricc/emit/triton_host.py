"""What launches the Triton kernels of a generated file, as text with holes."""

from __future__ import annotations

# In the loss function, before it takes the portable path.
CALL = """\
    if counts is None and <<group>> is None and _on_gpu(input, target, weight)<<fits>>:
        return _<<pascal>>Triton.apply(input, target, weight, *<<passed>>)
"""

FUNCTION = '''

class _<<pascal>>Triton(torch.autograd.Function):
    """The same on a GPU: one kernel sums the batch and finishes the loss, one maps its weights."""

    @staticmethod
    def forward(ctx, input, target, weight, *arguments):
        <<arguments>> = arguments
        loss, pair = _reduce_on_gpu(input, target, weight<<reduce_args>>)
        ctx.save_for_backward(input, target, weight, pair)
        ctx.arguments = arguments
        return loss

    @staticmethod
    def backward(ctx, grad_loss):
        input, target, weight, pair = ctx.saved_tensors
        <<arguments>> = ctx.arguments
        if _on_gpu(grad_loss) and not torch.is_grad_enabled():
            g = _map_on_gpu(input, target, weight, pair, grad_loss<<map_args>>)
        else:  # a gradient that is to have gradients, or several at once
            with torch.enable_grad():
                loss = _<<pascal>>Function.apply(input, target, weight, *ctx.arguments)[0]
            graph = torch.is_grad_enabled()
            (g,) = torch.autograd.grad(loss, input, grad_loss, create_graph=graph)
        return g, *(None,) * (2 + len(ctx.arguments))
'''

TOOLS = '''

_TILE = 2_048  # elements that a program of a kernel takes at a time
_PROGRAMS = <<programs>>  # of the reduction, that each processor of a GPU holds at a time
_MOST = {}
_WORKSPACES = {}


def _on_gpu(*tensors):
    """Whether kernels take them: memory of a GPU, or under Triton's interpreter; not traced."""
    if triton is None or torch.compiler.is_compiling():
        return False
    if not tensors[0].is_cuda and isinstance(_gpu_map, triton.JITFunction):
        return False  # under the interpreter it is none
    try:
        return all(
            t is None or ((t.data_ptr() != 0 or not t.numel()) and not t.is_neg()) for t in tensors
        )
    except RuntimeError:  # a transform's wrapper
        return False


def _most_programs(device):
    """How many programs of the reduction a GPU holds at a time."""
    if device not in _MOST:
        cuda = device.type == "cuda"
        processors = torch.cuda.get_device_properties(device).multi_processor_count if cuda else 1
        _MOST[device] = _PROGRAMS * processors
    return _MOST[device]


def _workspace(tensor, size):
    """Room for partial sums, and how many programs have stored theirs: 0 between launches.

    Every stream has its own, and every graph that is captured: no two launches at once share it.
    """
    key = tensor.device
    if tensor.is_cuda:
        key = tensor.device, torch.cuda.current_stream(tensor.device).cuda_stream
        if torch.cuda.is_current_stream_capturing():
            key = None
    found = _WORKSPACES.get(key)
    if found is None or len(found[0]) < size:
        sums = torch.empty(size, dtype=torch.float64, device=tensor.device)
        found = sums, torch.zeros(1, dtype=torch.int32, device=tensor.device)
        if key is not None:
            _WORKSPACES[key] = found
    return found


def _power_of_2(n):
    """The least that is not below n."""
    return 1 << (n - 1).bit_length()


def _largest(tensor):
    """The largest number of a half type, at which gradients saturate."""
    return torch.finfo(tensor.dtype).max if tensor.element_size() < 4 else None


def _as_triton(dtype):
    return tl.float64 if dtype == torch.float64 else tl.float32
'''

ONE_TABLE = '''

def _reduce_on_gpu(input, target, weight<<reduce_args>>):
    """The loss, and what backward maps."""
    loss = input.new_empty((), dtype=_dtype(input))
    pair = input.new_empty(<<size>>, dtype=torch.float64)
    n, most = input.numel(), _most_programs(input.device)
    rows = _power_of_2(most)
    sums, arrived = _workspace(input, <<count>> * rows)
    programs = max(1, min(-(-n // _TILE), most))
    z, y, v = _contiguous(input, target, weight)
    with torch.cuda.device_of(input):
        _gpu_reduce[(programs,)](z, y, v, sums, arrived, loss, pair, n, <<floats>>absent=absent, dtype=_as_triton(loss.dtype), BLOCK=_TILE, ROWS=rows, num_warps=8)
    return loss, pair


def _map_on_gpu(input, target, weight, pair, grad_loss<<map_args>>):
    """The gradient."""
    g = torch.empty_like(input, memory_format=torch.contiguous_format)
    z, y, v = _contiguous(input, target, weight)
    with torch.cuda.device_of(input):
        _gpu_map[(max(1, -(-g.numel() // _TILE)),)](z, y, v, pair, grad_loss, g, g.numel(), <<soft_floats>>dtype=_as_triton(_dtype(input)), largest=_largest(input), BLOCK=_TILE, num_warps=8)
    return g


def _contiguous(*tensors):
    return [None if t is None else t.contiguous() for t in tensors]
'''

CLASSES = '''

_MOST_CLASSES = 4_096  # that a program finishes side by side


def _few_classes(input):
    return 0 < input.numel() and input.shape[1] <= _MOST_CLASSES


def _reduce_on_gpu(input, target, weight<<reduce_args>>):
    """The loss, and what backward maps."""
    loss = input.new_empty((), dtype=_dtype(input))
    pair = input.new_empty(<<size>> * input.shape[1], dtype=torch.float64)
    positions, C, M, R, K, blocks = _tiles(input)
    classes = _power_of_2(C)
    # Few programs where there are many classes: the last one reads what all have stored.
    most = max(1, min(_most_programs(input.device) // blocks, 32_768 // C))
    splits = min(-(-positions // R), most)
    sums, arrived = _workspace(input, <<count>> * splits * C)
    z, y, v = _contiguous(input, target, weight)
    with torch.cuda.device_of(input):
        _gpu_reduce[(splits * blocks,)](z, y, v, <<class_weight>>, sums, arrived, loss, pair, positions, C, M, blocks, <<floats>>absent=absent, **_kinds(input, target, weight), dtype=_as_triton(loss.dtype), R=R, K=K, ROWS=max(1, _TILE // classes), CLASSES=classes, num_warps=8)
    return loss, pair


def _map_on_gpu(input, target, weight, pair, grad_loss<<map_args>>):
    """The gradient."""
    g = torch.empty_like(input, memory_format=torch.contiguous_format)
    positions, C, M, R, K, blocks = _tiles(input)
    z, y, v = _contiguous(input, target, weight)
    with torch.cuda.device_of(input):
        _gpu_map[(-(-positions // R) * blocks,)](z, y, v, pair, grad_loss, g, positions, C, M, blocks, <<soft_floats>>**_kinds(input, target, weight), dtype=_as_triton(_dtype(input)), largest=_largest(input), R=R, K=K, num_warps=8)
    return g


def _tiles(input):
    """Positions, classes, positions in a sample; positions and classes of a tile; its columns."""
    N, C = input.shape[:2]
    M = math.prod(input.shape[2:])
    <<width>>
    return N * M, C, M, max(1, _TILE // K), K, -(-C // K)


def _kinds(input, target, weight):
    """What the target holds, what the weight is for, and how far indices go."""
    labels = <<labels>>
    each = weight is not None and weight.shape[1] > 1
    index = tl.int32 if input.numel() < 2**31 else tl.int64
    return {"labels": labels, "each": each, "index": index}


def _contiguous(*tensors):
    return [None if t is None else t.contiguous() for t in tensors]
'''
