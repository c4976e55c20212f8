/**
 * The manual of the command line, from the commands themselves: man/kernelet.1, and docs/command-line.md for the site.
 * tests/manual.test.ts writes and checks both: `npm run manual`.
 */

/**
 * @typedef {object} Program
 * @property {string} version
 * @property {readonly (readonly [name: string, command: Page])[]} commands all, each followed by those below it
 * @property {readonly (readonly [name: string, meaning: string])[]} environment
 * @property {string} exitCodes
 *
 * @typedef {object} Page
 * @property {string} summary
 * @property {string} usage
 * @property {string} description
 * @property {readonly (readonly [term: string, meaning: string])[]} options
 * @property {readonly (readonly [line: string, meaning: string])[]} examples
 */

/** @param {Program} program */
export function manPage({ version, commands, environment, exitCodes }) {
  const lines = [
    `.TH KERNELET 1 "" "kernelet ${version}" "User Commands"`,
    '.SH NAME',
    'kernelet \\- small convolutional networks, natively',
    '.SH SYNOPSIS',
    '.B kernelet',
    '.I COMMAND',
    '[options]',
    '.SH DESCRIPTION',
    'Reads digits and other classes out of pictures, trains and measures small convolutional networks, and says what',
    'they cost on this machine.',
    '.SH COMMANDS',
    ...commands.flatMap(([name, { summary }]) => ['.TP', `.B ${roff(name)}`, roff(summary)]),
    ...commands.flatMap(([name, command]) => [
      `.SH KERNELET ${roff(name.toUpperCase())}`,
      `.B kernelet ${roff(name)}`,
      roff(command.usage),
      ...command.description.split('\n\n').flatMap((part) => ['.PP', ...part.split('\n').map(roff)]),
      ...command.options.flatMap(([term, meaning]) => ['.TP', `.B ${roff(term)}`, roff(meaning)]),
      ...command.examples.flatMap(([line, meaning]) => ['.TP', `.B ${roff(line)}`, roff(meaning)]),
    ]),
    '.SH ENVIRONMENT',
    ...environment.flatMap(([name, meaning]) => ['.TP', `.B ${roff(name)}`, roff(meaning)]),
    '.SH EXIT STATUS',
    `${roff(exitCodes)}.`,
  ]
  return `${lines.join('\n')}\n`
}

/** A line of text as it is: hyphens that can be copied, nothing taken for a request. */
function roff(/** @type {string} */ text) {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^(?=[.'])/, '\\&')
}

/** @param {Program} program */
export function commandReference({ commands, environment, exitCodes }) {
  const rows = (/** @type {readonly (readonly [string, string])[]} */ list) =>
    list.map(([term, meaning]) => `| \`${term.replaceAll('|', '\\|')}\` | ${cell(meaning)} |`).join('\n')
  const sections = commands.map(([name, { usage, description, options, examples }]) =>
    [
      `## kernelet ${name}`,
      `\`kernelet ${name} ${usage}\``,
      escaped(description),
      `| option | |\n| --- | --- |\n${rows(options)}`,
      `\`\`\`sh\n${examples.map(([line, meaning]) => `${line}   # ${meaning}`).join('\n')}\n\`\`\``,
    ].join('\n\n'),
  )
  return `# Command line

\`npx kernelet COMMAND [options]\`. Exit codes: ${exitCodes}. Results go to stdout, everything else to stderr; colours and
progress are shown on terminals only. Made from the commands' own help by \`npm run manual\`.

| command | |
| --- | --- |
${commands.map(([name, { summary }]) => `| [${name}](#kernelet-${name.replaceAll(' ', '-')}) | ${cell(summary)} |`).join('\n')}

What \`--json\` prints is described by [JSON schemas](schemas/README.md).

${sections.join('\n\n')}

## Environment

| variable | |
| --- | --- |
${rows(environment)}
`
}

const escaped = (/** @type {string} */ text) => text.replace(/[<>_*]/g, '\\$&')
const cell = (/** @type {string} */ text) => escaped(text).replaceAll('|', '\\|')
