/** Files that are taken for ONNX models, and what the error says of them. */
import { deflateRawSync, gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { loadOnnx } from '../lib/index.ts'
import { onnxModel } from './onnx-models.ts'

const text = (content: string) => Buffer.from(content, 'latin1')

/** A ZIP archive as far as anybody looks: local headers, and the list of names at the end. */
function zip(...names: string[]): Uint8Array {
  const parts = names.map((name) => {
    const data = deflateRawSync(Buffer.alloc(20000, name))
    const header = Buffer.alloc(30)
    header.write('PK\u0003\u0004', 'latin1')
    header.writeUInt16LE(name.length, 26)
    return Buffer.concat([header, Buffer.from(name), data])
  })
  const list = names.map((name) =>
    Buffer.concat([text('PK\u0001\u0002'), Buffer.alloc(42), Buffer.from(name)]),
  )
  return Buffer.concat([...parts, ...list, text('PK\u0005\u0006'), Buffer.alloc(18)])
}

const tar = Buffer.alloc(1024)
tar.write('net.onnx')
tar.write('ustar', 257)

const kinds: [string, Uint8Array, RegExp][] = [
  ['nothing', new Uint8Array(), /but empty/],
  [
    'a pointer of Git LFS',
    text('version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n'),
    /git lfs pull/,
  ],
  [
    'a page',
    text('\n<!DOCTYPE html>\n<html lang="en"><head><title>net.onnx</title></head></html>'),
    /a page of HTML/,
  ],
  ['XML', text('<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'), /a file of XML/],
  ['OpenVINO', text('<?xml version="1.0"?>\n<net name="net" version="11"></net>'), /OpenVINO/],
  ['PyTorch', zip('net/data.pkl', 'net/data/0'), /loadTorch.*torch\.onnx\.export/],
  ['Keras 3', zip('metadata.json', 'config.json', 'model.weights.h5'), /tf2onnx\.convert --keras/],
  ['npz', zip('a.npy', 'b.npy'), /NumPy.*loadSafetensors/],
  ['an archive', zip('readme.txt'), /unpack/],
  ['an archive with a model', zip('net.onnx'), /with a model inside: unpack/],
  ['gzip', gzipSync('model'), /gunzip/],
  ['tar', tar, /tar xf/],
  ['npy', text('\u0093NUMPY\u0001\u0000v\u0000{"descr": "<f4"}'), /NumPy/],
  ['HDF5', text('\u0089HDF\r\n\u001a\n\u0000\u0000'), /tf2onnx\.convert --keras/],
  ['TensorFlow Lite', text('\u001c\u0000\u0000\u0000TFL3\u0014\u0000 \u0000'), /tf2onnx\.convert --tflite/],
  ['onnxruntime', text('\u0020\u0000\u0000\u0000ORTM\u0000'), /\.ort/],
  [
    'TensorFlow.js',
    text('{"format":"layers-model","modelTopology":{},"weightsManifest":[]}'),
    /tensorflowjs_converter/,
  ],
  ['JSON', text('{"error":"not found"}'), /a file of JSON/],
  [
    'safetensors',
    text('\u0040\u0000\u0000\u0000\u0000\u0000\u0000\u0000{"w":{"dtype":"F32"}}'),
    /loadSafetensors/,
  ],
  ['a pickle', text('\u0080\u0002\u008a\nl\u00fc\u009cF\u00f9 j\u00a8P\u0019.'), /PyTorch before 1\.6/],
  [
    'Core ML',
    text('\u0008\u0004\u0012\u0020\n\u000a\n\u0005image\u001a\u0001 \u0052\u0005\n\u0003out'),
    /Core ML/,
  ],
  [
    'a graph of TensorFlow',
    text('\n\u0018\n\u0001x\u0012\u000bPlaceholder*\u0006\n\u0001a\u0012\u00010'),
    /--graphdef/,
  ],
]

describe('what is no ONNX model is called what it is', () => {
  test.each(kinds)('%s', (_name, bytes, says) => {
    expect(() => loadOnnx(bytes)).toThrow(
      expect.objectContaining({ code: 'ERR_FORMAT', message: expect.stringMatching(says) }),
    )
  })

  test('a model that is cut off stays a damaged model, and one that looks otherwise is read', () => {
    const bytes = onnxModel({ nodes: [{ op: 'Relu', inputs: ['x'] }], inputs: { x: { shape: [1] } } })
    for (let length = 1; length < bytes.length; length++) {
      expect(() => loadOnnx(bytes.subarray(0, length))).toThrow(/is not a valid ONNX model/)
    }
    const named = Buffer.concat([text('\u0008\u0008\u0012\u0004TFL3'), bytes])
    expect(loadOnnx(named).opset).toBe(17)
  })
})
