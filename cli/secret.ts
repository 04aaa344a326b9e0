// tucano secret: sets and removes the secrets of services, and lists them without their values.

import { TucanoError } from '#shared/errors.ts'
import { NAME_PATTERN } from '#shared/wire.ts'
import type { SecretAnswer, SecretSetAnswer } from './answers.ts'
import { changeService, servicePath } from './change-service.ts'
import type { Command, Context } from './command.ts'
import { waitOptions } from './follow.ts'
import { readPiped, readTyped } from './read-value.ts'
import { since } from './words.ts'

export const secret: Command = {
  name: 'secret',
  summary: 'Passwords and keys that services get',
  words: 'set|ls|rm [NAME]',
  options: [
    { name: 'exact', summary: 'set: keep a line break at the end of the value' },
    { name: 'restart', summary: 'set: restart the services that use it, one after the other' },
    ...waitOptions,
  ],
  details: `set reads the value from standard input: tucano secret set NAME < FILE; on a
terminal it is typed and not shown. It is never a word of the command line.
A service names its secrets under \`secrets\`; it gets a new value with its next
deploy or restart. rm is refused while a service uses it.`,
  async run(context) {
    const [action, name] = context.words
    if (action === 'ls' && name === undefined) return list(context)
    if (action === 'set' && name !== undefined) return set(context, named(name))
    if (action === 'rm' && name !== undefined) return remove(context, named(name))
    throw new TucanoError('usage', 'use: tucano secret set NAME, rm NAME, or ls')
  },
}

async function set(context: Context, name: string): Promise<number> {
  const { screen } = context
  const value = await readValue(context, name)
  const client = await context.client()
  const answer = await client.send<SecretSetAnswer>('PUT', secretPath(name), { value })
  const behind = answer.usedBy.filter(({ version }) => version !== answer.version)
  if (screen.json) screen.object(answer)
  else if (answer.isNew) screen.line(`${name}: version ${answer.version} is set`)
  else screen.line(`${name}: it has this value already, version ${answer.version}`)
  if (context.flags.has('restart')) return restartAll(context, behind)
  for (const { service, version } of behind) {
    screen.note(
      `${service} still has version ${version}; to change that: tucano restart ${service}`,
    )
  }
  return 0
}

async function restartAll(
  context: Context,
  behind: readonly { service: string }[],
): Promise<number> {
  for (const { service } of behind) {
    const path = servicePath(service, '/restart')
    const change = { service, method: 'POST', path, done: 'restarted' } as const
    const code = await changeService(context, change)
    // The others keep running what works.
    if (code !== 0) return code
  }
  return 0
}

async function list(context: Context): Promise<number> {
  const { screen, now } = context
  const client = await context.client()
  const answer = await client.get<{ secrets: SecretAnswer[] }>('/v1/secrets')
  if (screen.json) {
    screen.object(answer)
    return 0
  }
  screen.table(
    [
      { title: 'SECRET' },
      { title: 'VERSION', align: 'right' },
      { title: 'SET', align: 'right' },
      { title: 'USED BY', least: 20 },
    ],
    answer.secrets.map(({ name, version, updatedAt, usedBy }) => [
      name,
      String(version),
      since(updatedAt, now()),
      usedBy.map((user) => userText(user, version)).join(', '),
    ]),
  )
  return 0
}

async function remove(context: Context, name: string): Promise<number> {
  const client = await context.client()
  const answer = await client.send<{ name: string }>('DELETE', secretPath(name))
  if (context.screen.json) context.screen.object(answer)
  else context.screen.line(`${name}: removed`)
  return 0
}

function readValue({ input, screen, flags, signal }: Context, name: string): Promise<string> {
  if (input.isTTY !== true) return readPiped(input, { isExact: flags.has('exact'), signal })
  screen.note(`type the value of ${name} and Enter; it is not shown`)
  return readTyped(input, signal)
}

function userText({ service, version }: { service: string; version: number }, newest: number) {
  return version === newest ? service : `${service} (version ${version})`
}

function named(name: string): string {
  if (NAME_PATTERN.test(name)) return name
  throw new TucanoError('usage', 'NAME must be of a-z, 0-9 and -, at most 63 characters')
}

const secretPath = (name: string) => `/v1/secrets/${name}`
