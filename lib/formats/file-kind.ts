/** What a file is that was taken for an ONNX model, and how to get on with it. */

/** A kind by how its files begin. */
interface Kind {
  readonly fits: (file: File) => boolean
  /** What it is, and what to do: the sentence goes on behind `FILE is not an ONNX model but `. */
  readonly says: string
}

interface File {
  readonly bytes: Uint8Array
  /** The first bytes and the last, one character each. */
  readonly head: string
  readonly tail: string
}

const looked = 2 ** 14

const starts = (text: string) => (file: File) => file.head.startsWith(text)
const at4 = (text: string) => (file: File) => file.head.startsWith(text, 4)
const isZip = starts('PK\u0003\u0004')
const zipWith = (text: string) => (file: File) => isZip(file) && (file.tail + file.head).includes(text)
const isJson = (file: File) => /^\s*[{[]/.test(file.head)

const kinds: readonly Kind[] = [
  { fits: ({ bytes }) => bytes.length === 0, says: 'empty' },
  {
    fits: starts('version https://git-lfs.github.com/spec/'),
    says: 'a pointer of Git LFS, which stands for the file: `git lfs pull` fetches it',
  },
  {
    fits: ({ head }) =>
      /^\uFEFF?\s*<(!doctype html|html|head|body)/i.test(head.replace('\u00ef\u00bb\u00bf', '')),
    says: 'a page of HTML: download the file itself (on GitHub "raw", on Hugging Face ".../resolve/main/...")',
  },
  {
    fits: ({ head }) => /^\s*<\?xml/.test(head) && head.includes('<net'),
    says: "a network of OpenVINO: use the ONNX model it was made of, as OpenVINO doesn't write any",
  },
  { fits: ({ head }) => /^\s*<\?xml/.test(head), says: 'a file of XML: download the model itself' },
  {
    fits: zipWith('data.pkl'),
    says:
      'a file of PyTorch: loadTorch reads its weights; for the network, ' +
      "torch.onnx.export(net.eval(), example, 'net.onnx') in Python",
  },
  {
    fits: zipWith('model.weights.h5'),
    says: 'a model of Keras: `python -m tf2onnx.convert --keras FILE --output net.onnx` converts it',
  },
  {
    fits: zipWith('.npy'),
    says: 'arrays of NumPy: safetensors.numpy.save_file makes a file that loadSafetensors reads',
  },
  {
    fits: (file) => zipWith('.mlmodel')(file) || zipWith('.mlpackage')(file),
    says: 'a package of Core ML: use the ONNX model it was made of, or convert the network it was made of',
  },
  { fits: zipWith('.onnx'), says: 'a ZIP archive with a model inside: unpack it' },
  { fits: isZip, says: 'a ZIP archive: unpack it' },
  { fits: starts('\u001f\u008b'), says: 'compressed by gzip: unpack it with `gunzip` or `tar xzf`' },
  { fits: starts('BZh'), says: 'compressed by bzip2: unpack it' },
  { fits: starts('\u00fd7zXZ'), says: 'compressed by xz: unpack it' },
  { fits: starts('7z\u00bc\u00af'), says: 'a 7-Zip archive: unpack it' },
  { fits: ({ head }) => head.slice(257, 262) === 'ustar', says: 'a tar archive: unpack it with `tar xf`' },
  {
    fits: starts('\u0093NUMPY'),
    says: 'an array of NumPy: safetensors.numpy.save_file makes a file that loadSafetensors reads',
  },
  {
    fits: starts('\u0089HDF\r\n\u001a\n'),
    says: 'a file of HDF5, as Keras writes: `python -m tf2onnx.convert --keras FILE --output net.onnx` converts a model',
  },
  {
    fits: at4('TFL3'),
    says: 'a model of TensorFlow Lite: `python -m tf2onnx.convert --tflite FILE --output net.onnx` converts it',
  },
  { fits: at4('ORTM'), says: "in onnxruntime's own format (.ort): use the .onnx file it was made of" },
  { fits: starts('GGUF'), says: 'a file of GGUF: export the network to ONNX from where it was trained' },
  { fits: starts('7767517'), says: 'a network of ncnn: use the ONNX model it was made of' },
  {
    fits: (file) => isJson(file) && /"(modelTopology|weightsManifest)"/.test(file.head + file.tail),
    says:
      'a model of TensorFlow.js: `tensorflowjs_converter --input_format=tfjs_layers_model --output_format=keras FILE ' +
      'net.h5`, then `python -m tf2onnx.convert --keras net.h5 --output net.onnx`',
  },
  {
    fits: ({ head }) => /^.{8}\s*\{/s.test(head) && head.charCodeAt(7) === 0,
    says: 'a file of safetensors: loadSafetensors reads its weights',
  },
  { fits: isJson, says: 'a file of JSON' },
  { fits: ({ head }) => /^[\t\r -~][\t\n\r -~]*$/.test(head), says: 'a file of text' },
  {
    fits: ({ bytes: [first, version = 0] }) => first === 0x80 && version >= 2 && version <= 5,
    says: "a pickle of Python: of PyTorch before 1.6, save it again with a newer one; else torch.onnx.export(net.eval(), example, 'net.onnx')",
  },
  {
    fits: ({ head, tail }) => /serving_default|saved_model/.test(head + tail),
    says: 'a SavedModel of TensorFlow: `python -m tf2onnx.convert --saved-model FOLDER --output net.onnx` converts it',
  },
  {
    fits: ({ head }) => head.startsWith('\n') && /Placeholder|Const/.test(head),
    says:
      'a graph of TensorFlow: `python -m tf2onnx.convert --graphdef FILE --inputs x:0 --outputs y:0 --output net.onnx` ' +
      'converts it',
  },
  {
    // a version, and a description that begins with an input
    fits: ({ bytes }) =>
      bytes[0] === 8 &&
      bytes[2] === 0x12 &&
      bytes[bytes.findIndex((one, i) => i > 2 && one < 128) + 1] === 10,
    says: 'a model of Core ML: `onnxmltools.convert_coreml` in Python converts it',
  },
]

/** What bytes are that were read as an ONNX model in vain, where they show it. */
export function kindOf(bytes: Uint8Array): string | undefined {
  const text = (part: Uint8Array) => Buffer.from(part.buffer, part.byteOffset, part.length).toString('latin1')
  const file = {
    bytes,
    head: text(bytes.subarray(0, looked)),
    tail: text(bytes.subarray(Math.max(0, bytes.length - looked))),
  }
  return kinds.find(({ fits }) => fits(file))?.says
}
