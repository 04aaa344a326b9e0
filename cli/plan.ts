// tucano plan: what a deploy would change and do, key by key and action by action; nothing is done.

import type { ServiceConfig } from '#shared/configuration.ts'
import { withDigest } from '#shared/service-config.ts'
import type { PlanAnswer } from './answers.ts'
import type { Command, Context } from './command.ts'
import { printActions, printPending } from './forecast.ts'
import { concurrencyOption, readConfig } from './service-file.ts'
import type { Cell, Column } from './table.ts'
import { digestOf } from './upload.ts'

export const changeColumns: readonly Column[] = [
  { title: 'KEY', least: 16 },
  { title: 'BEFORE', least: 16 },
  { title: 'AFTER', least: 16 },
]

export const plan: Command = {
  name: 'plan',
  summary: 'Tell what a deploy would change and do',
  words: '[FOLDER|FILE]',
  options: [concurrencyOption],
  details: `Nothing is done. What the file says is compared with what is declared, key by
key. Then follow the very actions that the controller would take, in order, when
every program starts and stops within a second. The program is packed to know
its digest, and not uploaded. The same as: tucano deploy --dry-run`,
  run: async (context) => showPlan(context, await readConfig(context)),
}

export async function showPlan(context: Context, config: ServiceConfig): Promise<number> {
  const { screen } = context
  const client = await context.client()
  const digest = await digestOf(context, config.image)
  const asked = { config: withDigest(config, digest) }
  const answer = await client.send<PlanAnswer>('POST', '/v1/plan', asked)
  if (screen.json) {
    screen.object(answer)
    return 0
  }
  screen.line(titleOf(answer))
  if (answer.was !== null && answer.changes.length > 0) {
    screen.table(changeColumns, answer.changes.map(changeRow))
  }
  screen.line()
  printActions(screen, answer)
  printPending(screen, answer)
  screen.note('nothing was done')
  return 0
}

function titleOf({ service, was, revision, changes, image }: PlanAnswer): string {
  const upload = image === 'to_upload' ? '; its program would be uploaded' : ''
  if (was === null) return `${service} is new${upload}`
  if (changes.length === 0) return `${service}: nothing changes (revision ${was})${upload}`
  return `${service}: revision ${was} -> ${revision}${upload}`
}

export function changeRow({ key, before, after }: PlanAnswer['changes'][number]): Cell[] {
  return [key, valueText(before), valueText(after)]
}

function valueText(value: unknown): string {
  if (value === undefined) return ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}
