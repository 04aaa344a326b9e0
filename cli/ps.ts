// tucano ps: the instances, where they run and how they are.

import type { InstancesAnswer, ServicesAnswer } from './answers.ts'
import type { Command } from './command.ts'
import { printInstances } from './instances.ts'
import { trafficLines } from './traffic.ts'

export const ps: Command = {
  name: 'ps',
  summary: 'Instances: where each runs and how it is',
  words: '[SERVICE]',
  options: [
    { name: 'node', value: 'NODE', summary: 'only those on this node' },
    { name: 'all', short: 'a', summary: 'those that have ended, too' },
  ],
  async run({ words: [service], flags, screen, client, now }) {
    const query = new URLSearchParams()
    const node = flags.text('node')
    if (service !== undefined) query.set('service', service)
    if (node !== undefined) query.set('node', node)
    if (flags.has('all')) query.set('all', 'true')
    const api = await client()
    const answer = await api.get<InstancesAnswer>(`/v1/instances?${query}`)
    if (screen.json) {
      screen.object(answer)
      return 0
    }
    if (answer.instances.length === 0) screen.line('no instances')
    else printInstances(screen, answer.instances, now())
    const { services } = await api.get<ServicesAnswer>('/v1/services')
    const shown = services.filter(({ name }) => service === undefined || name === service)
    for (const line of trafficLines(shown, now())) screen.line(line)
    return 0
  },
}
