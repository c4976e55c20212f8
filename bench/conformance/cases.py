"""Writes the test cases of ONNX's own operators for bench/conformance/run.mjs.

    pip install onnx
    python bench/conformance/cases.py FOLDER

A folder a case: model.onnx, and case.json with its inputs, the outputs expected, and the tolerances ONNX gives.
"""

import base64
import json
import os
import sys

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases as of_operators
from onnx.backend.test.case.model import collect_testcases as of_models


def told(value):
    """A value as JSON: a tensor as its bytes, a sequence as a list, an optional value that is not there as null."""
    if value is None:
        return None
    if isinstance(value, list):
        return [told(one) for one in value]
    if isinstance(value, onnx.TensorProto):
        value = numpy_helper.to_array(value)
    array = np.asarray(value)
    name = array.dtype.name
    shape = list(array.shape)
    if array.dtype.kind in "OUS":
        return {"dtype": "string", "shape": shape, "data": [str(one) for one in array.flat]}
    # NumPy knows the narrow types of ml_dtypes as kinds of its own
    if name in ("int4", "uint4", "int2", "uint2"):
        array = array.astype(np.int8 if name.startswith("int") else np.uint8)
    elif array.dtype.kind == "f" and array.dtype.itemsize < 4 or array.dtype.kind == "V":
        array = array.astype(np.float32)
    stored = array.dtype.name
    return {
        "dtype": name,
        "stored": stored,
        "shape": shape,
        "data": base64.b64encode(np.ascontiguousarray(array).tobytes()).decode(),
    }


def main(folder):
    cases = [one for one in [*of_operators(None), *of_models()] if one.model is not None]
    for case in cases:
        place = os.path.join(folder, case.name)
        os.makedirs(place, exist_ok=True)
        with open(os.path.join(place, "model.onnx"), "wb") as file:
            file.write(case.model.SerializeToString())
        sets = [{"inputs": told(list(i)), "outputs": told(list(o))} for i, o in case.data_sets]
        graph = case.model.graph
        with open(os.path.join(place, "case.json"), "w") as file:
            json.dump(
                {
                    "rtol": case.rtol,
                    "atol": case.atol,
                    "inputs": [one.name for one in graph.input],
                    "outputs": [one.name for one in graph.output],
                    "sets": sets,
                },
                file,
            )
    print(f"{len(cases)} cases of onnx {onnx.__version__} in {folder}")


if len(sys.argv) != 2:
    sys.exit("python bench/conformance/cases.py FOLDER")
main(sys.argv[1])
