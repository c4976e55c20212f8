// node examples/classify.js examples/digits/3-blue-pen-on-yellow-paper.png
import { DigitClassifier } from 'kernelet'

const digits = DigitClassifier.load()
const { status, digit, confidence } = await digits.classifyFile(process.argv[2])
console.log(status === 'digit' ? `${digit}, ${(100 * confidence).toFixed(1)} % sure` : status)
