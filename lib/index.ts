export type { NativeIsa, NativeThreads, StepDescription } from './backend/backend.ts'
export { isa, setThreads, threads } from './backend/machine.ts'
export { CompiledModel, compile, type RunAsyncOptions, type StepProfile } from './compile/compiled-model.ts'
export { ModelDescription } from './compile/description.ts'
export type { NamedCompileOptions, NamedModel, NamedShapes } from './compile/named-model.ts'
export type { CompileOptions, Input } from './compile/options.ts'
export type { TunedStep, TuneOptions, Tuning } from './compile/tuning.ts'
export { type AugmentOptions, type AugmentSeed, augment, handwriting } from './data/augment.ts'
export { loadCsv } from './data/csv.ts'
export { Dataset, type DatasetParts } from './data/dataset.ts'
export { type DownloadOptions, type DownloadProgress, downloadMnist } from './data/download.ts'
export { type Idx, loadIdx } from './data/idx.ts'
export { loadMnist, type Part } from './data/mnist.ts'
export { type LoadPicturesOptions, loadPictures } from './data/pictures.ts'
export type { Dtype, StoredTensor, WeightsFile } from './formats/dtype.ts'
export type { OnnxValueInfo } from './formats/onnx/info.ts'
export {
  type LoadOnnxOptions,
  loadOnnx,
  type NamedOnnxOptions,
  OnnxModel,
} from './formats/onnx/load.ts'
export { OnnxArray, type OnnxInput, type OnnxResult } from './formats/onnx/onnx-array.ts'
export { type SaveOnnxOptions, saveOnnx } from './formats/onnx/save.ts'
export { loadSafetensors, readSafetensors, saveSafetensors } from './formats/safetensors.ts'
export { loadTorch, readTorch, type TorchOptions } from './formats/torch/load.ts'
export type { Operation } from './graph/definition.ts'
export { type Graph, type GraphNode, trace } from './graph/graph.ts'
export { activations } from './graph/intermediates.ts'
export { type LayerSummary, Summary, summary } from './graph/summary.ts'
export { LeNet5 } from './models/lenet5.ts'
export {
  ConnectionTableConv2d,
  type ConnectionTableConv2dOptions,
} from './models/lenet5-1998/connection-table.ts'
export { LeNet5Original, MapCriterion } from './models/lenet5-1998/model.ts'
export { RBF, type RBFOptions } from './models/lenet5-1998/rbf.ts'
export { Subsample2d, type Subsample2dOptions } from './models/lenet5-1998/subsample2d.ts'
export { LogisticRegression } from './models/logistic-regression.ts'
export type { InitOptions } from './nn/init.ts'
export { Module, type StateDict } from './nn/module.ts'
export { Identity, Sequential } from './nn/sequential.ts'
export * from './ops/index.ts'
export { Buffer, Parameter } from './tensor/parameter.ts'
export { Generator, manualSeed } from './tensor/random.ts'
export type { Padding, Pair } from './tensor/shape.ts'
export { Tensor } from './tensor/tensor.ts'
export { DivergedError } from './train/diverged.ts'
export { type EvaluateOptions, Evaluation, type Example, evaluate } from './train/evaluate.ts'
export type { EpochReport, FitOptions, FitProgress } from './train/fit.ts'
export { freeze, unfreeze } from './train/freeze.ts'
export type { GradientHealth, HealthWarning, LayerHealth, ReluHealth } from './train/health.ts'
export type { Loss } from './train/losses.ts'
export * from './train/optimizers.ts'
export type { TrainerOptions } from './train/options.ts'
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
export { type StepReport, Trainer } from './train/trainer.ts'
export { KerneletError, type KerneletErrorCode } from './util/errors.ts'
export type { FilePath, FileSource } from './util/source.ts'
export { version } from './util/version.ts'
export {
  Classifier,
  type ClassifierLoadOptions,
  type ClassifierOptions,
  type ClassifierResult,
  type ClassifyOptions,
  setPictureThreads,
} from './vision/classifier/classifier.ts'
export type { Preparation } from './vision/classifier/preparation.ts'
export {
  type Classification,
  DigitClassifier,
  type DigitClassifierOptions,
} from './vision/digits/classifier.ts'
export { type NormalizedDigit, type NormalizeOptions, normalizeDigit } from './vision/digits/normalize.ts'
export { decodePicture, decodePictureAsync } from './vision/picture/decode.ts'
export type { Box, Pixels } from './vision/picture/pixels.ts'
