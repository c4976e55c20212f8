// node examples/classify.js examples/digits/3-blue-pen-on-yellow-paper.png
import { DigitClassifier } from 'kernelet'

const digits = DigitClassifier.load()
const { digit, confidence } = await digits.classifyFile(process.argv[2])
console.log(`${digit}, ${(100 * confidence).toFixed(1)} % sure`)
