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
  add,
  avgPool2d,
  cat,
  conv2d,
  crossEntropy,
  dropout,
  flatten,
  linear,
  logSoftmax,
  type MaxPool2dOptions,
  maxPool2d,
  relu,
  sigmoid,
  softmax,
  tanh,
} from './functional.ts'
export { type Graph, type GraphNode, trace } from './graph.ts'
export { loadSafetensors, readSafetensors, saveSafetensors } from './io/safetensors.ts'
export type { Dtype, StoredTensor, WeightsFile } from './io/stored.ts'
export { loadTorch, readTorch, type TorchOptions } from './io/torch.ts'
export { isa, setThreads, threads } from './machine.ts'
export { LeNet5 } from './models/lenet5.ts'
export type { NativeIsa, NativeThreads, StepDescription } from './native.ts'
export { LogSoftmax, ReLU, Sigmoid, Softmax, Tanh } from './nn/activations.ts'
export { Conv2d, type Conv2dOptions } from './nn/conv2d.ts'
export { Dropout } from './nn/dropout.ts'
export type { InitOptions } from './nn/init.ts'
export { Linear } from './nn/linear.ts'
export { Module, Parameter, type StateDict } from './nn/module.ts'
export { AvgPool2d, MaxPool2d } from './nn/pool.ts'
export { Flatten, Identity, Sequential } from './nn/sequential.ts'
export type { Operation } from './operation.ts'
export { Generator, manualSeed } from './random.ts'
export type { Pair } from './shapes.ts'
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
