"""PyTorch's side of cge.ts: CGE that restarts its queries at the input, at the residual block or at the layer.

Reads JSON lines on standard input, answers with JSON lines on standard output:
  {"network": "resnet20" | "cnn", "tensors": [{"name", "shape"}, …], "weights": FILE, "images": FILE, "labels": FILE,
   "count": N}   loads them (raw float32, labels int32)
  {"threads": T, "layout": "channels-last" | "contiguous", "mode": "none" | "block" | "layer", "mu": μ,
   "coordinates": [flat index, …]}   -> {"base": seconds of the unperturbed pass, "seconds": of the queries, "values"}

A network is a list of units, each a function of a state, which is what the units after it still need. The unperturbed pass
keeps every unit's input, so that a query can start at any of them. Batch norm uses the batch's statistics and keeps none.
"""
import json
import sys
import time

import numpy
import torch
import torch.nn.functional as F

FORMATS = {"channels-last": torch.channels_last, "contiguous": torch.contiguous_format}
parameters = {}


def convolution(name, stride=1):
    weight, bias = name + ".weight", name + ".bias"
    return lambda x: F.conv2d(x, parameters[weight], parameters.get(bias), stride, 1)


def batch_norm(name):
    weight, bias = name + ".weight", name + ".bias"
    return lambda x: F.batch_norm(x, None, None, parameters[weight], parameters[bias], True)


def classifier(name):
    weight, bias = name + ".weight", name + ".bias"
    return lambda x: F.linear(x.mean((2, 3)), parameters[weight], parameters[bias])


def cnn(depth):
    """Units as (names of its layers, where its residual block starts, function of the state)."""
    units = []
    for i in range(depth):
        conv, norm = f"conv_layers.{4 * i}", f"conv_layers.{4 * i + 1}"
        units.append((conv, len(units), convolution(conv)))
        norm_of = batch_norm(norm)
        units.append((norm, len(units), lambda x, norm_of=norm_of: F.max_pool2d(F.relu_(norm_of(x)), 2)))
    units.append(("fc", len(units), classifier("fc")))
    return units


def shortcut(x, stride, padding):
    return x if padding == 0 else F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, padding, padding))


def resnet20():
    norm = batch_norm("bn1")
    units = [("conv1", 0, convolution("conv1")), ("bn1", 1, lambda x, norm=norm: F.relu_(norm(x)))]
    channels = 16
    for stage in range(3):
        for block in range(3):
            name, start = f"layer{stage + 1}.{block}.", len(units)
            stride = 2 if stage > 0 and block == 0 else 1
            padding = ((16 << stage) - channels) // 2
            channels = 16 << stage
            conv1, norm1 = convolution(name + "conv1", stride), batch_norm(name + "bn1")
            conv2, norm2 = convolution(name + "conv2"), batch_norm(name + "bn2")
            # Inside a block the state is its input and the branch's value.
            units.append((name + "conv1", start, lambda x, conv1=conv1: (x, conv1(x))))
            units.append((name + "bn1", start, lambda s, norm1=norm1: (s[0], F.relu_(norm1(s[1])))))
            units.append((name + "conv2", start, lambda s, conv2=conv2: (s[0], conv2(s[1]))))
            units.append((
                name + "bn2", start,
                lambda s, norm2=norm2, stride=stride, padding=padding:
                    F.relu_(norm2(s[1]).add_(shortcut(s[0], stride, padding))),
            ))
    units.append(("fc", len(units), classifier("fc")))
    return units


def load(request):
    global tensors, units, images, labels
    flat = torch.from_numpy(numpy.fromfile(request["weights"], numpy.float32))
    tensors, offset = [], 0
    for tensor in request["tensors"]:
        size = int(numpy.prod(tensor["shape"]))
        parameters[tensor["name"]] = flat[offset:offset + size].reshape(tensor["shape"]).clone()
        tensors.append((offset, tensor["name"], tensor["shape"]))
        offset += size
    names = {name.rsplit(".", 1)[0] for name in parameters}
    units = resnet20() if request["network"] == "resnet20" else cnn(sum(name.startswith("conv_layers") for name in names) // 2)
    images = torch.from_numpy(numpy.fromfile(request["images"], numpy.float32)).reshape(request["count"], 3, 32, 32)
    labels = torch.from_numpy(numpy.fromfile(request["labels"], numpy.int32)).long()


def arrange(threads, layout):
    """Not timed: PyTorch's data lie as it likes them best."""
    global images
    torch.set_num_threads(threads)
    images = images.contiguous(memory_format=FORMATS[layout])
    for name, value in parameters.items():
        if value.dim() == 4:
            parameters[name] = value.contiguous(memory_format=FORMATS[layout])


def loss_from(unit, state):
    for _, _, function in units[unit:]:
        state = function(state)
    return F.cross_entropy(state, labels).item()


def unperturbed():
    states, state = [], images
    for _, _, function in units:
        states.append(state)
        state = function(state)
    return states, F.cross_entropy(state, labels).item()


def cge(coordinates, mu, mode):
    start = time.perf_counter()
    states, base = unperturbed()
    begun = time.perf_counter()
    values = []
    for coordinate in coordinates:
        offset, name, shape = next(tensor for tensor in reversed(tensors) if tensor[0] <= coordinate)
        layer = name.rsplit(".", 1)[0]
        unit = next(i for i, (owner, _, _) in enumerate(units) if owner == layer)
        first = {"none": 0, "block": units[unit][1], "layer": unit}[mode]
        index, tensor = numpy.unravel_index(coordinate - offset, shape), parameters[name]
        before = tensor[index].item()
        tensor[index] = before + mu
        step = tensor[index].item() - before
        values.append((loss_from(first, states[first]) - base) / step)
        tensor[index] = before
    return {"base": begun - start, "seconds": time.perf_counter() - begun, "values": values}


current = None
with torch.inference_mode():
    for line in sys.stdin:
        request = json.loads(line)
        if "network" in request:
            load(request)
            answer = {"version": torch.__version__}
        else:
            if current != (request["threads"], request["layout"]):
                current = (request["threads"], request["layout"])
                arrange(*current)
                # The first passes after a change of layout set things up.
                unperturbed(), unperturbed()
            answer = cge(request["coordinates"], request["mu"], request["mode"])
        print(json.dumps(answer), flush=True)
