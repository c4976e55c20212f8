// node examples/classify.js examples/digits/3-blue-pen-on-yellow-paper.png
import { DigitClassifier, KerneletError } from 'kernelet'

// what is wrong with a file is said in a sentence
process.on('uncaughtException', (error) => {
  console.error(error instanceof KerneletError ? error.message : error)
  process.exit(1)
})

const digits = DigitClassifier.load()
const { status, digit, confidence } = await digits.classifyFile(process.argv[2])
console.log(status === 'digit' ? `${digit}, ${(100 * confidence).toFixed(1)} % sure` : status)
