// tucano unfreeze: says that the nodes that vanished together are really gone.

import type { Frozen } from './answers.ts'
import type { Command } from './command.ts'

export const unfreeze: Command = {
  name: 'unfreeze',
  summary: 'Give up nodes that vanished together',
  words: '',
  options: [],
  async run({ screen, client }) {
    const answer = await (await client()).send<{ frozen: Frozen }>('POST', '/v1/unfreeze')
    if (screen.json) screen.object(answer)
    else if (answer.frozen === null) screen.line('instances of lost nodes are placed again')
    else screen.line(`still frozen: ${answer.frozen.nodes.join(', ')}`)
    return 0
  },
}
