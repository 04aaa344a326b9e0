// tucano undrain: lets a worker have instances again.

import type { NodeAnswer } from './answers.ts'
import type { Command } from './command.ts'

export const undrain: Command = {
  name: 'undrain',
  summary: 'Let a drained worker have instances again',
  words: 'NODE',
  options: [],
  async run({ words: [node = ''], screen, client }) {
    const path = `/v1/nodes/${encodeURIComponent(node)}/undrain`
    const view = await (await client()).send<NodeAnswer>('POST', path)
    if (screen.json) screen.object(view)
    else screen.line(`${node}: takes instances again`)
    return 0
  },
}
