// tucano undrain: lets a worker have instances again.

import type { NodeAnswer } from './answers.ts'
import type { Command } from './command.ts'
import { nodePath } from './node-path.ts'

export const undrain: Command = {
  name: 'undrain',
  summary: 'Let a drained worker have instances again',
  words: 'NODE',
  options: [],
  details: 'It gets new ones; to move some back to it: tucano rebalance',
  async run({ words: [node = ''], screen, client }) {
    const view = await (await client()).send<NodeAnswer>('POST', nodePath(node, '/undrain'))
    if (screen.json) screen.object(view)
    else if (view.cordoned) screen.line(`${node}: is still cordoned: tucano uncordon ${node}`)
    else screen.line(`${node}: takes instances again`)
    return 0
  },
}
