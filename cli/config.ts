// tucano config: reads and changes the controller's configuration, with a version so that two
// administrators do not undo each other's change (Q13, S30).

import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { TucanoError } from '#shared/errors.ts'
import { readText } from '#shared/read-config.io.ts'
import type { ConfigAnswer, ConfigPutAnswer, ConfigVersionAnswer } from './answers.ts'
import type { Command, Context } from './command.ts'
import { countOf } from './numbers.ts'
import { since } from './words.ts'

export const config: Command = {
  name: 'config',
  summary: "The controller's configuration",
  words: 'get|put|history [FILE]',
  options: [
    {
      name: 'version',
      value: 'N',
      summary: 'get: that version; put: the version that FILE was made from',
    },
    { name: 'output', short: 'o', value: 'FILE', summary: 'get: write it there' },
  ],
  details: `A change takes: tucano config get -o topology.yaml, an edit, and
tucano config put topology.yaml.
Without --version, put replaces the version that is in force when it is called.`,
  async run(context) {
    const [action, file] = context.words
    if (action === 'get' && file === undefined) return get(context)
    if (action === 'put' && file !== undefined) return put(context, file)
    if (action === 'history' && file === undefined) return history(context)
    throw new TucanoError('usage', 'use: tucano config get, put FILE, or history')
  },
}

async function get(context: Context): Promise<number> {
  const { screen, flags, folder } = context
  const version = flags.text('version')
  const client = await context.client()
  const answer =
    version === undefined
      ? await client.get<ConfigAnswer>('/v1/config')
      : await client.get<ConfigVersionAnswer>(`/v1/config/${countOf(version, '--version')}`)
  const output = flags.text('output')
  if (output !== undefined) {
    await writeText(resolve(folder, output), answer.text)
    screen.note(`version ${answer.version} is in ${output}`)
  } else if (screen.json) screen.object(answer)
  else screen.line(answer.text.replace(/\n$/, ''))
  return 0
}

async function put(context: Context, file: string): Promise<number> {
  const { screen, flags, folder } = context
  const text = await readText(resolve(folder, file))
  const given = flags.text('version')
  const asked = given === undefined ? undefined : countOf(given, '--version')
  const client = await context.client()
  const version = asked ?? (await client.get<ConfigAnswer>('/v1/config')).version
  const answer = await client.send<ConfigPutAnswer>('PUT', '/v1/config', { version, text })
  if (screen.json) {
    screen.object(answer)
    return 0
  }
  screen.line(`version ${answer.version} is in force`)
  if (answer.restart_required.length > 0) {
    screen.line(`after a restart of the controller: ${answer.restart_required.join(', ')}`)
  }
  return 0
}

async function history(context: Context): Promise<number> {
  const { screen, now } = context
  const answer = await (await context.client()).get<ConfigAnswer>('/v1/config')
  if (screen.json) {
    screen.object({ history: answer.history })
    return 0
  }
  const { version, at, by } = answer
  const marks = [...answer.history.filter((one) => one.version !== version), { version, at, by }]
  screen.table(
    [{ title: 'VERSION', align: 'right' }, { title: 'BY' }, { title: 'SINCE', align: 'right' }],
    marks.map((mark) => [
      `${mark.version}${mark.version === version ? ' (in force)' : ''}`,
      mark.by,
      since(mark.at, now()),
    ]),
  )
  return 0
}

async function writeText(file: string, text: string): Promise<void> {
  await writeFile(file, text).catch((cause: unknown) => {
    throw new TucanoError('store_failed', `cannot write ${file}`, { cause })
  })
}
