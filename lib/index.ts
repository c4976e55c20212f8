export { activations } from './activations.ts'
export {
  CompiledModel,
  type CompileOptions,
  compile,
  type Input,
  ModelDescription,
  type RunAsyncOptions,
  type StepProfile,
} from './compile.ts'
export { type AugmentOptions, type AugmentSeed, augment, handwriting } from './data/augment.ts'
export { Dataset, type DatasetParts } from './data/dataset.ts'
export { type DownloadOptions, type DownloadProgress, downloadMnist } from './data/download.ts'
export { type Idx, loadIdx } from './data/idx.ts'
export { loadMnist, type Part } from './data/mnist.ts'
export { type LoadPicturesOptions, loadPictures } from './data/pictures.ts'
export { type Classification, DigitClassifier, type DigitClassifierOptions } from './digits/classifier.ts'
export { decodePicture, decodePictureAsync } from './digits/decode.ts'
export { type NormalizedDigit, type NormalizeOptions, normalizeDigit } from './digits/normalize.ts'
export type { Box, Pixels } from './digits/pixels.ts'
export { KerneletError, type KerneletErrorCode } from './errors.ts'
export {
  type AvgPool2dOptions,
  abs,
  adaptiveAvgPool1d,
  adaptiveAvgPool2d,
  adaptiveMaxPool1d,
  adaptiveMaxPool2d,
  add,
  avgPool1d,
  avgPool2d,
  type BatchNormOptions,
  batchNorm,
  cat,
  clamp,
  conv1d,
  conv2d,
  crossEntropy,
  div,
  dropout,
  elu,
  exp,
  flatten,
  gelu,
  hardsigmoid,
  hardswish,
  type LocalResponseNormOptions,
  leakyRelu,
  linear,
  localResponseNorm,
  log,
  logSoftmax,
  type MaxPool2dOptions,
  maxPool1d,
  maxPool2d,
  mean,
  mul,
  type Operand,
  type OutputSize,
  type Pool1dOptions,
  pad,
  permute,
  pow,
  prelu,
  relu,
  relu6,
  reshape,
  scaledTanh,
  selu,
  sigmoid,
  silu,
  slice,
  softmax,
  sub,
  tanh,
} from './functional.ts'
export { type Graph, type GraphNode, trace } from './graph.ts'
export type { OnnxValueInfo } from './io/onnx/info.ts'
export {
  type LoadOnnxOptions,
  loadOnnx,
  OnnxModel,
} from './io/onnx/model.ts'
export { OnnxArray, type OnnxInput, type OnnxResult } from './io/onnx/onnx-array.ts'
export { type SaveOnnxOptions, saveOnnx } from './io/onnx/save.ts'
export { loadSafetensors, readSafetensors, saveSafetensors } from './io/safetensors.ts'
export type { Dtype, StoredTensor, WeightsFile } from './io/stored.ts'
export { loadTorch, readTorch, type TorchOptions } from './io/torch.ts'
export { isa, setThreads, threads } from './machine.ts'
export { LeNet5 } from './models/lenet5.ts'
export { LeNet5Original, MapCriterion } from './models/lenet5-1998.ts'
export { LogisticRegression } from './models/logistic-regression.ts'
export type { NativeIsa, NativeThreads, StepDescription } from './native.ts'
export {
  ELU,
  GELU,
  Hardsigmoid,
  Hardswish,
  Hardtanh,
  LeakyReLU,
  LogSoftmax,
  PReLU,
  ReLU,
  ReLU6,
  ScaledTanh,
  SELU,
  Sigmoid,
  SiLU,
  Softmax,
  Tanh,
} from './nn/activations.ts'
export { ConnectionTableConv2d, type ConnectionTableConv2dOptions } from './nn/connection-table.ts'
export { Conv1d, type Conv1dOptions } from './nn/conv1d.ts'
export { Conv2d, type Conv2dOptions } from './nn/conv2d.ts'
export { Dropout } from './nn/dropout.ts'
export type { InitOptions } from './nn/init.ts'
export { Linear } from './nn/linear.ts'
export { Buffer, Module, Parameter, type StateDict } from './nn/module.ts'
export {
  BatchNorm1d,
  BatchNorm2d,
  type BatchNormLayerOptions,
  LocalResponseNorm,
} from './nn/normalization.ts'
export { ConstantPad2d, type Pads2d, ZeroPad2d } from './nn/padding.ts'
export {
  AdaptiveAvgPool1d,
  AdaptiveAvgPool2d,
  AdaptiveMaxPool1d,
  AdaptiveMaxPool2d,
  AvgPool1d,
  AvgPool2d,
  MaxPool1d,
  MaxPool2d,
} from './nn/pool.ts'
export { RBF, type RBFOptions } from './nn/rbf.ts'
export { Flatten, Identity, Sequential, Unflatten } from './nn/sequential.ts'
export { Subsample2d, type Subsample2dOptions } from './nn/subsample2d.ts'
export type { Operation } from './operation.ts'
export { Generator, manualSeed } from './random.ts'
export type { Padding, Pair } from './shapes.ts'
export { type LayerSummary, Summary, summary } from './summary.ts'
export { Tensor } from './tensor.ts'
export { DivergedError } from './train/diverged.ts'
export { type EvaluateOptions, Evaluation, type Example, evaluate } from './train/evaluate.ts'
export { freeze, unfreeze } from './train/freeze.ts'
export type { GradientHealth, HealthWarning, LayerHealth, ReluHealth } from './train/health.ts'
export type { Loss } from './train/losses.ts'
export { Adam, type AdamOptions, AdamW, Optimizer, SGD, type SGDOptions } from './train/optimizers.ts'
export {
  CosineAnnealingLR,
  type CosineAnnealingLROptions,
  type Interval,
  OneCycleLR,
  type OneCycleLROptions,
  type Position,
  Schedule,
  StepLR,
  type StepLROptions,
} from './train/schedules.ts'
export {
  type EpochReport,
  type FitOptions,
  type FitProgress,
  type StepReport,
  Trainer,
  type TrainerOptions,
} from './train/trainer.ts'
export { version } from './version.ts'
