"""PyTorch beside kernelet: an adapter of `kernelet bench models`, which speaks JSON lines (bench/README.md).

    pip install torch onnx numpy
    kernelet bench models --command "python3 bench/peers/pytorch.py"

PyTorch runs no ONNX file: the nodes are computed by its own functions, once, and what they did is traced, frozen and
prepared for inference (torch.jit), so that no Python runs while it is timed. Operators are those of bench/models and
of what PyTorch exports such networks to; shapes are computed once, for the batch at hand.
"""
import json
import sys
import time

import numpy
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper


def pads_of(attributes, sizes, window, stride, dilation):
    """Padding (left, right, top, bottom …) as F.pad takes it."""
    auto = attributes.get("auto_pad", b"NOTSET").decode()
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        pairs = []
        for size, k, s, d in zip(sizes, window, stride, dilation):
            total = max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
            small = total // 2
            pairs.append((small, total - small) if auto == "SAME_UPPER" else (total - small, small))
    else:
        pads = attributes.get("pads", [0] * 2 * len(window))
        pairs = list(zip(pads[: len(window)], pads[len(window) :]))
    return [side for pair in reversed(pairs) for side in pair]


def convolve(a, x, weight, bias=None):
    window = list(weight.shape[2:])
    stride = a.get("strides", [1] * len(window))
    dilation = a.get("dilations", [1] * len(window))
    left, right, top, bottom = pads_of(a, x.shape[2:], window, stride, dilation)
    if left == right and top == bottom:
        padding = (top, left)
    else:
        x, padding = F.pad(x, (left, right, top, bottom)), 0
    return F.conv2d(x, weight, bias, stride, padding, dilation, a.get("group", 1))


def transposed(a, x, weight, bias=None):
    stride = a.get("strides", [1, 1])
    top, left, bottom, right = a.get("pads", [0, 0, 0, 0])
    if (top, left) != (bottom, right):
        raise ValueError("ConvTranspose with uneven padding")
    more = a.get("output_padding", [0, 0])
    return F.conv_transpose2d(
        x, weight, bias, stride, (top, left), more, a.get("group", 1), a.get("dilations", [1, 1])
    )


def max_pool(a, x):
    window = a["kernel_shape"]
    stride = a.get("strides", [1] * len(window))
    dilation = a.get("dilations", [1] * len(window))
    pads = pads_of(a, x.shape[2:], window, stride, dilation)
    x = F.pad(x, pads, value=float("-inf")) if any(pads) else x
    return F.max_pool2d(x, window, stride, 0, dilation, bool(a.get("ceil_mode", 0)))


def average_pool(a, x):
    window = a["kernel_shape"]
    stride = a.get("strides", [1] * len(window))
    left, right, top, bottom = pads_of(a, x.shape[2:], window, stride, [1, 1])
    if left != right or top != bottom:
        raise ValueError("AveragePool with uneven padding")
    ceil, include = bool(a.get("ceil_mode", 0)), bool(a.get("count_include_pad", 0))
    return F.avg_pool2d(x, window, stride, (top, left), ceil, include)


def gemm(a, x, weight, bias=None):
    if a.get("alpha", 1) != 1 or a.get("beta", 1) != 1 or a.get("transA", 0):
        raise ValueError("Gemm other than a linear layer")
    return F.linear(x, weight if a.get("transB", 0) else weight.t(), bias)


def sliced(a, x, starts, ends, axes=None, steps=None):
    count = len(starts)
    axes = range(count) if axes is None else axes.tolist()
    steps = [1] * count if steps is None else steps.tolist()
    for begin, end, axis, step in zip(starts.tolist(), ends.tolist(), axes, steps):
        if step < 1:
            raise ValueError("Slice backwards")
        at = [slice(None)] * x.dim()
        at[axis] = slice(begin, end, step)
        x = x[tuple(at)]
    return x


def resized(a, x, _roi=None, scales=None, sizes=None):
    mode = a.get("mode", b"nearest").decode()
    if mode not in ("nearest", "linear"):
        raise ValueError(f"Resize by {mode}")
    size = sizes.tolist()[2:] if sizes is not None else [int(n * s) for n, s in zip(x.shape[2:], scales[2:])]
    if mode == "nearest":
        return F.interpolate(x, size=size, mode="nearest")
    corners = a.get("coordinate_transformation_mode", b"half_pixel") == b"align_corners"
    return F.interpolate(x, size=size, mode="bilinear", align_corners=corners)


def reshaped(_a, x, shape):
    return x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(shape.tolist())])


def gathered(a, x, indices):
    """By one index, or by a list of them."""
    axis = a.get("axis", 0)
    flat = x.index_select(axis, indices.reshape(-1))
    return flat.reshape([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]])


def unsqueezed(a, x, axes=None):
    axes = a["axes"] if axes is None else axes.tolist()
    for axis in sorted(axes):
        x = x.unsqueeze(axis)
    return x


def cast(a, x):
    types = onnx.TensorProto
    numbers = {types.FLOAT: torch.float32, types.INT32: torch.int32, types.INT64: torch.int64}
    if a["to"] not in numbers:
        raise ValueError(f"Cast to type {a['to']}")
    return x.to(numbers[a["to"]])


def divided(_a, x, y):
    return x / y if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc")


def mean(a, x, axes=None):
    axes = a.get("axes") if axes is None else axes.tolist()
    return x.mean(axes if axes else list(range(x.dim())), bool(a.get("keepdims", 1)))


def norm(a, x, weight, bias, mean, variance):
    return F.batch_norm(x, mean, variance, weight, bias, False, 0, a.get("epsilon", 1e-5))


def clip(_a, x, low=None, high=None):
    return torch.clamp(x, None if low is None else float(low), None if high is None else float(high))


OPERATORS = {
    "Add": lambda a, x, y: x + y,
    "AveragePool": average_pool,
    "BatchNormalization": norm,
    "Cast": cast,
    "Clip": clip,
    "Concat": lambda a, *all: torch.cat(all, a["axis"]),
    "Conv": convolve,
    "ConvTranspose": transposed,
    "Div": divided,
    "Flatten": lambda a, x: torch.flatten(x, a.get("axis", 1)),
    "Gather": gathered,
    "Gemm": gemm,
    "GlobalAveragePool": lambda a, x: F.adaptive_avg_pool2d(x, 1),
    "HardSigmoid": lambda a, x: torch.clamp(x * a.get("alpha", 0.2) + a.get("beta", 0.5), 0.0, 1.0),
    "HardSwish": lambda a, x: F.hardswish(x),
    "Identity": lambda a, x: x,
    "LogSoftmax": lambda a, x: F.log_softmax(x, a.get("axis", -1)),
    "MatMul": lambda a, x, y: x @ y,
    "MaxPool": max_pool,
    "Mul": lambda a, x, y: x * y,
    "ReduceMean": mean,
    "Relu": lambda a, x: F.relu(x),
    "Reshape": reshaped,
    "Resize": resized,
    "Shape": lambda a, x: torch.tensor(x.shape[a.get("start", 0) : a.get("end")]),
    "Sigmoid": lambda a, x: torch.sigmoid(x),
    "Slice": sliced,
    "Softmax": lambda a, x: F.softmax(x, a.get("axis", -1)),
    "Sub": lambda a, x, y: x - y,
    "Tanh": lambda a, x: torch.tanh(x),
    "Transpose": lambda a, x: x.permute(a["perm"]),
    "Unsqueeze": unsqueezed,
}


class Network(torch.nn.Module):
    """The first output of an ONNX model."""

    def __init__(self, file):
        super().__init__()
        graph = onnx.load(file).graph
        self.constants = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}
        self.steps = []
        for node in graph.node:
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "Constant":
                value = numpy_helper.to_array(attributes["value"]).copy()
                self.constants[node.output[0]] = torch.from_numpy(value)
                continue
            if node.op_type not in OPERATORS:
                raise ValueError(f"the adapter has no operator {node.op_type}")
            self.steps.append((OPERATORS[node.op_type], attributes, list(node.input), node.output[0]))
        self.input = next(one.name for one in graph.input if one.name not in self.constants)
        self.output = graph.output[0].name

    def forward(self, x):
        values = {**self.constants, self.input: x}
        for operator, attributes, inputs, output in self.steps:
            values[output] = operator(attributes, *(values[name] if name else None for name in inputs))
        return values[self.output]


class Adapter:
    def __init__(self):
        self.network = None
        self.calls = {}

    def open(self, onnx, threads):
        torch.set_num_threads(threads)
        self.network = Network(onnx).eval()
        return {"version": f"PyTorch {torch.__version__.split('+')[0]}"}

    def prepare(self, key, input, shape):
        x = torch.from_numpy(numpy.fromfile(input, dtype="<f4").reshape(shape))
        traced = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(self.network, x)))
        for _ in range(2):  # the first call profiles, the second compiles
            output = traced(x)
        self.calls[key] = lambda: traced(x)
        return {"output": output.flatten().tolist()}

    def sample(self, key, ms):
        call, all, clock = self.calls[key], [], time.perf_counter_ns
        before = clock()
        end = before + ms * 1e6
        while not all or before < end:
            call()
            after = clock()
            all.append(after - before)
            before = after
        return {"ns": all}


def main():
    adapter = Adapter()
    with torch.inference_mode():
        for line in sys.stdin:
            request = json.loads(line)
            try:
                answer = getattr(adapter, request.pop("do"))(**request)
            except Exception as error:  # it is told, and the next request is waited for
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
