/** Where MNIST comes from and where it is looked for. */

/** Where a set is when nobody says: what `kernelet data mnist` makes. */
export const defaultFolder = 'data/mnist'

/** Public mirrors, tried in turn. */
export const mirrors: readonly string[] = [
  'https://ossci-datasets.s3.amazonaws.com/mnist/',
  'https://storage.googleapis.com/cvdf-datasets/mnist/',
]
