#!/bin/sh
# A picture, and a tensor as binary data: sh packages/server/examples/curl.sh [URL]
set -e
url=${1:-http://127.0.0.1:8080}
cd "$(dirname "$0")/../../.."

curl -sf --data-binary @examples/digits/5-dotted-pen.png -H 'Content-Type: image/png' "$url/v1/digits"
echo

# 784 bytes of an empty picture behind the JSON that describes them
json='{"inputs":[{"name":"image","datatype":"UINT8","shape":[1,1,28,28],"parameters":{"binary_data_size":784}}]}'
{ printf '%s' "$json"; head -c 784 /dev/zero; } |
  curl -sf --data-binary @- -H 'Content-Type: application/octet-stream' \
    -H "Inference-Header-Content-Length: ${#json}" "$url/v2/models/digits/infer"
echo
