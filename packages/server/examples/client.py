"""Pictures and tensors with Python's own library: python3 packages/server/examples/client.py [URL]"""
import json
import pathlib
import struct
import sys
import urllib.request

url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
digits = pathlib.Path(__file__).parents[3] / "examples" / "digits"


def post(path, body, headers):
    request = urllib.request.Request(url + path, data=body, headers=headers)
    with urllib.request.urlopen(request) as response:
        return response.headers, response.read()


_, body = post("/v1/digits", (digits / "5-dotted-pen.png").read_bytes(), {"Content-Type": "image/png"})
answer = json.loads(body)
print(answer["digit"], answer["confidence"])

# A tensor as binary data, and its answer likewise.
head = json.dumps({
    "inputs": [{
        "name": "image",
        "datatype": "FP32",
        "shape": [1, 1, 28, 28],
        "parameters": {"binary_data_size": 4 * 784},
    }],
    "parameters": {"binary_data_output": True},
}).encode()
headers, body = post(
    "/v2/models/digits/infer",
    head + struct.pack("<784f", *[0.0] * 784),
    {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))},
)
length = int(headers["Inference-Header-Content-Length"])
output = json.loads(body[:length])["outputs"][0]
print(output["name"], struct.unpack("<10f", body[length:]))
