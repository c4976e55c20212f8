/** Which language the notes are in: the address says it, else the browser. */
import { en, type Texts } from './texts/en.ts'
import { es } from './texts/es.ts'

export type Language = 'en' | 'es'

export const languages: readonly (readonly [Language, string])[] = [
  ['en', 'English'],
  ['es', 'Español'],
]

export const texts: Readonly<Record<Language, Texts>> = { en, es }

export function firstLanguage(): Language {
  const wanted = [new URLSearchParams(location.search).get('lang') ?? '', ...navigator.languages]
  for (const one of wanted) {
    const known = languages.find(([language]) => one.toLowerCase().split('-', 1)[0] === language)
    if (known) return known[0]
  }
  return 'en'
}

const superscripts: Readonly<Record<string, string>> = {
  '-': '⁻',
  ...Object.fromEntries([...'⁰¹²³⁴⁵⁶⁷⁸⁹'].map((raised, digit) => [`${digit}`, raised])),
}

/** What every chapter is given. */
export interface Surroundings {
  t: Texts
  /** 1, 2 and 3 */
  list(values: readonly number[]): string
  /** A number in the language's way, to five digits. */
  number(value: number): string
  /** An integer with its thousands apart. */
  count(value: number): string
}

export function surroundings(language: Language): Surroundings {
  const locale = language === 'en' ? 'en-GB' : language
  const number = new Intl.NumberFormat(locale, { maximumSignificantDigits: 5, useGrouping: false })
  const mantissa = new Intl.NumberFormat(locale, { maximumSignificantDigits: 3 })
  const count = new Intl.NumberFormat(locale)
  const list = new Intl.ListFormat(locale)
  return {
    t: texts[language],
    list: (values) => list.format(values.map(String)),
    number(value) {
      const far = value !== 0 && (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e7)
      // a minus is no hyphen
      const minus = (text: string): string => text.replace('-', '−')
      if (!far) return minus(number.format(value))
      const [digits = '', exponent = ''] = value.toExponential(2).split('e')
      const raised = [...exponent].map((one) => superscripts[one] ?? '').join('')
      return `${minus(mantissa.format(Number(digits)))}·10${raised}`
    },
    count: (value) => count.format(value),
  }
}
