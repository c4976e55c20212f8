/** A plugin of TypeDoc: what is exported is grouped by the family that its source file belongs to. */
import { Comment, CommentTag, Converter } from 'typedoc'

const families = [
  ['Networks', /^(nn|tensor)\/|^util\/(errors|version)/],
  ['Convolutions and linear layers', /^ops\/(convolution|conv-transpose|linear|matmul)/],
  ['Recurrent layers', /^ops\/recurren/],
  ['Activations', /^ops\/(more-)?activations/],
  ['Pooling and sampling', /^ops\/(pooling|resample|resize|upsampling|pixel-shuffle)/],
  ['Normalization and dropout', /^ops\/(row-)?normalization|^ops\/dropout/],
  ['Numbers and comparisons', /^ops\/(elementwise|arithmetic|broadcast|loss)/],
  ['Shapes', /^ops\//],
  ['Compiling and running', /^(compile|backend|graph)\//],
  ['Models', /^models\//],
  ['Training', /^train\//],
  ['Data', /^data\//],
  ['Files', /^formats\/|^util\/source/],
  ['Pictures', /^vision\//],
]

export function load(app) {
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (context, reflection) => {
    if (!reflection.parent?.isProject()) return
    const file =
      context.project.getSymbolFromReflection?.(reflection)?.fileName ?? sourceOf(context, reflection)
    const place = file?.replaceAll('\\', '/').split('/lib/').at(-1)
    const [family] = families.find(([, pattern]) => place !== undefined && pattern.test(place)) ?? []
    if (!family) return
    reflection.comment ??= new Comment()
    reflection.comment.blockTags.push(new CommentTag('@category', [{ kind: 'text', text: family }]))
  })
}

function sourceOf(context, reflection) {
  return context.getSymbolFromReflection?.(reflection)?.declarations?.[0]?.getSourceFile().fileName
}
