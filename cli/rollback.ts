// tucano rollback: brings a service back to a former revision and waits until that runs.

import { changeService, servicePath } from './change-service.ts'
import type { Command } from './command.ts'
import { waitOptions } from './follow.ts'
import { countOf } from './numbers.ts'

export const rollback: Command = {
  name: 'rollback',
  summary: 'Bring a service back to a former revision',
  words: 'SERVICE [REVISION]',
  options: waitOptions,
  details: `To the whole of that revision: its program and its configuration. Without a
REVISION it is the last one that worked, which after a deployment that went well
is the one before it. See: tucano history SERVICE`,
  async run(context) {
    const [service = '', number] = context.words
    const revision = number === undefined ? undefined : countOf(number, 'revision')
    return changeService(context, {
      service,
      method: 'POST',
      path: servicePath(service, '/rollback'),
      body: revision === undefined ? {} : { revision },
    })
  },
}
