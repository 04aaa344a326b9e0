// tucano cordon: a worker gets no new instance; those that it has stay.

import type { NodeAnswer } from './answers.ts'
import type { Command, Context } from './command.ts'
import { nodePath } from './node-path.ts'
import { countText } from './words.ts'

export const cordon: Command = {
  name: 'cordon',
  summary: 'Place no new instance on a worker',
  words: 'NODE',
  options: [],
  details: `Those that it has stay. Until: tucano uncordon NODE
To move them away too: tucano drain NODE`,
  async run(context) {
    const view = await change(context, 'cordon')
    if (context.screen.json) return 0
    const stays = view.instanceCount === 0 ? '' : `; ${countText(view.instanceCount)} stay`
    context.screen.line(`${view.name}: gets no new instance${stays}`)
    return 0
  },
}

/** Asks for it; with --json the answer is printed. */
export async function change(context: Context, kind: 'cordon' | 'uncordon'): Promise<NodeAnswer> {
  const { words, screen } = context
  const client = await context.client()
  const view = await client.send<NodeAnswer>('POST', nodePath(words[0] ?? '', `/${kind}`))
  if (screen.json) screen.object(view)
  return view
}
