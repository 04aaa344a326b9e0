// tucano services: what is configured and how much of it runs.

import type { ServicesAnswer } from './answers.ts'
import type { Command } from './command.ts'
import type { Column } from './table.ts'
import { trafficLines } from './traffic.ts'
import { nodesText, serviceState } from './words.ts'

const columns: readonly Column[] = [
  { title: 'SERVICE', least: 12 },
  { title: 'STATE' },
  { title: 'RUNNING', align: 'right' },
  { title: 'NODES', least: 10 },
  { title: 'PORT', align: 'right' },
  { title: 'HOSTS', least: 10 },
  { title: 'REVISION', align: 'right' },
]

export const services: Command = {
  name: 'services',
  summary: 'What is configured, and how much of it runs',
  words: '',
  options: [],
  async run({ screen, client, now }) {
    const answer = await (await client()).get<ServicesAnswer>('/v1/services')
    if (screen.json) {
      screen.object(answer)
      return 0
    }
    if (answer.services.length === 0) {
      screen.line('no services; deploy one: tucano deploy FOLDER')
      return 0
    }
    screen.table(
      columns,
      answer.services.map((service) => [
        service.name,
        serviceState(service),
        `${service.running}/${service.wanted}`,
        nodesText(service.nodes),
        String(service.port),
        service.public ? service.hosts.join(',') : 'not public',
        String(service.revision),
      ]),
    )
    for (const line of trafficLines(answer.services, now())) screen.line(line)
    for (const { service, count, why } of answer.pending) {
      screen.line(`${service}: ${count} without a place: ${why}`)
    }
    return 0
  },
}
