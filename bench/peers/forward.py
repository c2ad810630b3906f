"""PyTorch's side of forward.ts: times one forward pass each time it is asked.

Reads JSON lines on standard input, answers with JSON lines on standard output:
  {"weights": FILE, "images": FILE, "count": N}   loads both (raw float32, parameters in state_dict order)
  {"threads": T, "layout": "channels-last" | "contiguous"}   -> {"seconds": one training-mode pass without autograd}
  {"outputs": FILE}   writes the last pass's outputs (raw float32)
"""
import json
import sys
import time

import numpy
import torch

from resnet import ResNet

FORMATS = {"channels-last": torch.channels_last, "contiguous": torch.contiguous_format}
model = ResNet().train()
images, outputs, current = None, None, None

for line in sys.stdin:
    request = json.loads(line)
    answer = {}
    if "weights" in request:
        flat = torch.from_numpy(numpy.fromfile(request["weights"], numpy.float32))
        torch.nn.utils.vector_to_parameters(flat, model.parameters())
        raw = numpy.fromfile(request["images"], numpy.float32)
        images = torch.from_numpy(raw).reshape(request["count"], 3, 32, 32)
        answer = {"version": torch.__version__}
    elif "layout" in request:
        with torch.no_grad():
            if current != request:
                # A change of layout or threads is not part of the pass that is timed.
                torch.set_num_threads(request["threads"])
                model = model.to(memory_format=FORMATS[request["layout"]])
                images = images.contiguous(memory_format=FORMATS[request["layout"]])
                model(images)
                current = request
            start = time.perf_counter()
            outputs = model(images)
            answer = {"seconds": time.perf_counter() - start}
    elif "outputs" in request:
        outputs.numpy().astype(numpy.float32).tofile(request["outputs"])
    print(json.dumps(answer), flush=True)
