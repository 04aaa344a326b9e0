// tucano resume: lets the requests of a service through again, after a pause or a maintenance.

import type { ServiceSummary } from './answers.ts'
import { servicePath } from './change-service.ts'
import type { Command } from './command.ts'

export const resume: Command = {
  name: 'resume',
  summary: 'Let the requests of a service through again',
  words: 'SERVICE',
  options: [],
  async run({ words: [service = ''], screen, client }) {
    const path = servicePath(service, '/resume')
    const summary = await (await client()).send<ServiceSummary>('POST', path)
    if (screen.json) {
      screen.object(summary)
      return 0
    }
    screen.line(`${service}: open, its requests go to the instances`)
    if (summary.running === 0) {
      screen.line(`no instance of it is healthy (it is ${summary.state}): tucano show ${service}`)
    }
    return 0
  },
}
