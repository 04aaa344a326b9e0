// tucano simulate: what would be if nodes died, joined or were drained, or services were scaled.

import { TucanoError } from '#shared/errors.ts'
import { CONCURRENCY_MAX } from '#shared/service-schema.ts'
import type { ForecastAnswer } from './answers.ts'
import type { Command, Flags } from './command.ts'
import { printActions, printOutlook, printPending } from './forecast.ts'
import { countOf } from './numbers.ts'

const HELP = 'see tucano help simulate'

export const simulate: Command = {
  name: 'simulate',
  summary: 'Tell what would be if nodes died or joined',
  words: '',
  options: [
    { name: 'kill', value: 'NODE[,NODE]', summary: 'they die, all at once' },
    { name: 'add', value: 'NODE[:LABEL=VALUE]', summary: 'it joins; several with commas' },
    { name: 'drain', value: 'NODE[,NODE]', summary: 'they are drained' },
    { name: 'scale', value: 'SERVICE=N', summary: 'it is scaled; several with commas' },
  ],
  details: `Nothing is done. All that is given happens at once, and the controller plays it
with the code that it works by: where each instance would land, which would not
fit and why. A node that joins is like the first one that is alive; here it has
two labels: w4:zone=b:disk=ssd`,
  async run({ flags, screen, client }) {
    const question = questionOf(flags)
    const answer = await (await client()).send<ForecastAnswer>('POST', '/v1/simulate', question)
    if (screen.json) {
      screen.object(answer)
      return 0
    }
    printOutlook(screen, answer)
    if (answer.services.length > 0) screen.line()
    printActions(screen, answer)
    printPending(screen, answer)
    screen.note('nothing was done')
    return 0
  },
}

function questionOf(flags: Flags) {
  const list = (name: string) => flags.text(name)?.split(',')
  const [kill, drain] = [list('kill'), list('drain')]
  const add = list('add')?.map(nodeOf)
  const scale = list('scale')?.map(scaleOf)
  if ([kill, drain, add, scale].every((one) => one === undefined)) {
    throw new TucanoError('usage', `say what happens: --kill, --add, --drain or --scale; ${HELP}`)
  }
  return {
    ...(kill === undefined ? {} : { kill }),
    ...(drain === undefined ? {} : { drain }),
    ...(add === undefined ? {} : { add }),
    ...(scale === undefined ? {} : { scale: Object.fromEntries(scale) }),
  }
}

function nodeOf(text: string): { name: string; labels: Record<string, string> } {
  const [name = '', ...pairs] = text.split(':')
  const labels = pairs.map((pair) => {
    const [, key, value] = /^([^=]+)=(.*)$/.exec(pair) ?? []
    if (key === undefined || value === undefined) {
      throw new TucanoError('usage', `--add: ${pair} is not LABEL=VALUE; ${HELP}`)
    }
    return [key, value] as const
  })
  return { name, labels: Object.fromEntries(labels) }
}

function scaleOf(text: string): readonly [string, number] {
  const [, service, count] = /^([^=]+)=(.*)$/.exec(text) ?? []
  if (service === undefined || count === undefined) {
    throw new TucanoError('usage', `--scale: ${text} is not SERVICE=N; ${HELP}`)
  }
  return [service, countOf(count, '--scale', CONCURRENCY_MAX)]
}
