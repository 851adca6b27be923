# Writes tests/golden/gguf_blocks.json: one block of each GGUF format and what the `gguf` package
# (gguf-py of llama.cpp) makes of it. See README.md for where such a Python comes from.
import json
import sys

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize

# Where the f16 numbers of a block are: everything else may be any byte.
SCALES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
BLOCKS = 2

random = np.random.default_rng(4)
cases = []
for name, scales in SCALES.items():
    elements, size = GGML_QUANT_SIZES[Type[name]]
    block = random.integers(0, 256, (BLOCKS, size), dtype=np.uint8)
    for at in scales:
        numbers = random.normal(0, 0.05, BLOCKS).astype(np.float16)
        block[:, at:at + 2] = numbers.view(np.uint8).reshape(BLOCKS, 2)
    values = dequantize(block, Type[name]).astype(np.float32).reshape(-1)
    assert values.size == BLOCKS * elements
    cases.append({"format": name, "bytes": block.tobytes().hex(),
                  "bits": values.view(np.uint32).astype(">u4").tobytes().hex()})
json.dump(cases, sys.stdout, indent=0)
sys.stdout.write("\n")
