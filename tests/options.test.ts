/** Lists of options are those of their types: the compiler sees to it, and a slip at run time is named. */
import { expect, test } from 'vitest'
import { conv2d, maxPool1d, Tensor } from '../lib/index.ts'
import { checkOptions } from '../lib/util/check.ts'

interface Some {
  rate?: number
  decay?: number
}

test('a list that misses a name, or has one that is none, does not compile', () => {
  const options: Some = { rate: 1 }
  checkOptions('Some', options, ['rate', 'decay'])
  // @ts-expect-error decay is missing
  checkOptions('Some', options, ['rate'])
  // @ts-expect-error momentum is none
  expect(() => checkOptions('Some', { momentum: 1 } as Some, ['rate', 'decay', 'momentum'])).not.toThrow()
  expect(() => checkOptions('Some', { momentum: 1 } as Some, ['rate', 'decay'])).toThrow(
    'Some: unknown option "momentum"; the options are { rate, decay }',
  )
})

test('an option of the wrong name is named', () => {
  const x = new Tensor(new Float32Array(9), [1, 1, 9])
  const odd = (options: object) => options
  expect(() => maxPool1d(x, 3, odd({ countIncludePad: true }))).toThrow('unknown option "countIncludePad"')
  const weight = new Tensor(new Float32Array(1), [1, 1, 1, 1])
  expect(() => conv2d(x, weight, null, odd({ strides: 2 }))).toThrow('unknown option "strides"')
})
