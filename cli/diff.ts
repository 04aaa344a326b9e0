// tucano diff: what differs between two revisions of a service, key by key.

import type { DiffAnswer } from './answers.ts'
import { servicePath } from './change-service.ts'
import type { Command } from './command.ts'
import { countOf } from './numbers.ts'
import { changeColumns, changeRow } from './plan.ts'

export const diff: Command = {
  name: 'diff',
  summary: 'What differs between two revisions of a service',
  words: 'SERVICE [FROM] [TO]',
  options: [],
  details: `Without TO: the declared one. Without FROM: the one kept before that. What a
file would change tells: tucano plan FILE`,
  async run({ words: [service = '', ...numbers], screen, client }) {
    const query = new URLSearchParams()
    for (const [at, name] of (['from', 'to'] as const).entries()) {
      const number = numbers[at]
      if (number === undefined) continue
      query.set(name, String(countOf(number, 'revision')))
    }
    const api = await client()
    const answer = await api.get<DiffAnswer>(`${servicePath(service, '/diff')}?${query}`)
    if (screen.json) {
      screen.object(answer)
      return 0
    }
    const { from, to, changes } = answer
    screen.line(`${service}: revision ${from} -> ${to}`)
    if (changes.length === 0) screen.line('nothing differs')
    else screen.table(changeColumns, changes.map(changeRow))
    return 0
  },
}
