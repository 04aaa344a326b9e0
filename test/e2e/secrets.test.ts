// Secrets and volumes through the real daemons: what a program gets, what outlives what, and that
// a value stands nowhere else. The same search that finds nothing is shown to find what is there.

import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { agentTagOf } from '#agentd/runner/launch.io.ts'
import { runIn, writeContext } from '#test/helpers/cli.ts'
import { programsOf, type RealCluster, startCluster } from '#test/helpers/real-cluster.ts'
import { type SmtpTestServer, startSmtpServer } from '#test/helpers/smtp-server.ts'

const KEEPER = 'test/fixtures/keeper'
const one = `canary-${randomBytes(12).toString('hex')}`
const two = `canary-${randomBytes(12).toString('hex')}`
const file = `-----BEGIN ${randomBytes(12).toString('hex')}\n-----END\n`
const sum = (text: string) => createHash('sha256').update(text).digest('hex')

type Told = {
  pid: number
  variable: string | null
  files: { name: string; mode: string; sum: string }[]
  folder: string
  starts: number
  volume: string
}

let smtp: SmtpTestServer
let cluster: RealCluster
/** All that the API and the command line said. */
const said: string[] = []

beforeAll(async () => {
  smtp = await startSmtpServer({ tls: 'none' })
  cluster = await startCluster({
    workers: 2,
    extra: [
      'alerts:',
      '  from: tucano@example.org',
      '  to: [admin@example.org]',
      `  smtp: { host: 127.0.0.1, port: ${smtp.port}, security: none }`,
    ].join('\n'),
  })
  writeContext(join(cluster.folder, 'desk', '.tucano'), cluster.apiUrl, cluster.token)
})

afterAll(async () => {
  const memories = ['w1', 'w2'].map(memoryOf)
  await cluster[Symbol.asyncDispose]()
  for (const memory of memories) await rm(memory, { recursive: true, force: true })
  await smtp.close()
})

test('S6: a service whose secret is not set is refused, with the command that sets it', async () => {
  const config = await cluster.upload(KEEPER, keeper)
  const { status, body } = await asked('POST', '/v1/services', { config })
  expect(status).toBe(409)
  expect((body as { detail: string }).detail).toBe(
    'keeper needs the secrets password, tls, which are not set: ' +
      'tucano secret set password, tucano secret set tls',
  )
})

test('a program gets its secrets as variable and as file, and a folder of its own', async () => {
  expect((await tucano(['secret', 'set', 'password'], `${one}\n`)).out).toBe(
    'password: version 1 is set\n',
  )
  expect((await tucano(['secret', 'set', 'tls', '--exact'], file)).code).toBe(0)
  const deployment = await cluster.deploy(KEEPER, keeper)
  expect(deployment.state, JSON.stringify(deployment)).toBe('complete_running')
  const told = await ask()
  expect(told).toMatchObject({
    variable: sum(one),
    files: [{ name: 'tls.key', mode: '400', sum: sum(file) }],
    starts: 1,
  })
  expect(statSync(told.folder).mode & 0o777).toBe(0o700)
  expect(statSync(told.volume).mode & 0o777).toBe(0o700)
})

test('a restart by an agent that was killed, without a controller, has them still', async () => {
  const [instance] = await cluster.instances('keeper')
  const node = instance?.node ?? ''
  const before = await ask()
  for (const daemon of [cluster.controller(), cluster.agent(node)]) {
    daemon.kill('SIGKILL')
    await daemon.exited
  }
  await cluster.startAgent(node)
  // Its connection breaks under the question.
  await cluster.ask('keeper', '/crash').catch(() => undefined)
  await expect
    .poll(async () => (await ask().catch(() => before)).pid, { timeout: 20_000 })
    .not.toBe(before.pid)
  expect(await ask()).toMatchObject({
    variable: sum(one),
    files: [{ sum: sum(file) }],
    starts: 2,
  })
  await cluster.startController()
  await cluster.until('both agents are alive', async () => {
    return (await cluster.runtime()).alive_nodes.length === 2
  })
})

test('a new value reaches the program by a restart, and not before; the volume stays', async () => {
  const { out, err } = await tucano(['secret', 'set', 'password'], two)
  expect(out).toBe('password: version 2 is set\n')
  expect(err).toContain('keeper still has version 1; to change that: tucano restart keeper')
  expect((await tucano(['secret', 'ls'])).out).toMatch(/password +2 .* keeper \(version 1\)/)
  expect((await ask()).variable).toBe(sum(one))
  const again = await tucano(['secret', 'set', 'password', '--restart'], two)
  expect(again.out).toBe('password: it has this value already, version 2\nkeeper: restarted\n')
  expect(await ask()).toMatchObject({ variable: sum(two), starts: 3 })
  expect((await tucano(['secret', 'rm', 'password'])).err).toContain('is used by keeper')
})

test('S6: no value is in a log, an answer, a mail, a file, or a command line', async () => {
  await asked('POST', '/v1/alerts/test')
  expect((await smtp.next()).subject).toContain('test')
  await everythingSaid()
  const [instance] = await cluster.instances('keeper')
  const node = instance?.node ?? ''
  const places = {
    answers: said.join('\n'),
    mails: smtp.mails.map(({ raw }) => raw).join('\n'),
    ...textsUnder(cluster.folder),
    ...processTexts('cmdline'),
  }
  expect(Object.keys(places).length).toBeGreaterThan(50)
  expect(hits(places)).toEqual([])

  // Where it was delivered the same search finds it, and on no other worker.
  const [pid = 0] = await programsOf(join(cluster.folder, node))
  expect(hits({ environ: readFileSync(`/proc/${pid}/environ`, 'latin1') })).toEqual(['environ'])
  expect(hits(textsUnder(memoryOf(node)))).not.toEqual([])
  const other = node === 'w1' ? 'w2' : 'w1'
  expect(existsSync(memoryOf(other))).toBe(false)
})

test('with the service its secrets are gone from the worker, and its volume stays', async () => {
  const { volume } = await ask()
  const [instance] = await cluster.instances('keeper')
  expect((await tucano(['rm', 'keeper'])).code).toBe(0)
  const memory = memoryOf(instance?.node ?? '')
  await expect.poll(() => existsSync(memory), { timeout: 20_000 }).toBe(false)
  expect(existsSync(join(volume, 'starts'))).toBe(true)
  expect((await tucano(['secret', 'rm', 'password'])).out).toBe('password: removed\n')
})

const keeper = {
  secrets: { password: { variable: 'SECRET' }, tls: { file: 'tls.key' } },
  volumes: ['data'],
  max_per_node: 1,
  exclusive: true,
  sticky: { node: true },
}

async function ask(): Promise<Told> {
  const { status, body } = await cluster.ask('keeper')
  if (status !== 200) throw new Error(`${status}: ${body}`)
  return JSON.parse(body) as Told
}

async function asked(method: string, path: string, body?: unknown) {
  const answer = await cluster.api<unknown>(method, path, body)
  said.push(JSON.stringify(answer.body))
  return answer
}

async function tucano(argv: string[], input = '') {
  const told = await runIn(join(cluster.folder, 'desk'), argv, { input }).done
  said.push(told.out, told.err)
  return told
}

/** Every answer of the API to a GET, and every command that shows something. */
async function everythingSaid(): Promise<void> {
  const { body } = await asked('GET', '/v1/openapi.json')
  const { paths } = body as { paths: Record<string, Record<string, unknown>> }
  const [instance] = await cluster.instances('keeper')
  const fill = (path: string) =>
    path
      .replace(/^(\/v1\/nodes\/){name}\/agent\/{path}/, `$1${instance?.node}/agent/v1/instances`)
      .replace(/^(\/v1\/nodes\/){name}/, `$1${instance?.node}`)
      .replace(/^(\/v1\/instances\/){id}/, `$1${instance?.id}`)
      .replace(/^(\/v1\/deployments\/){id}/, `$1${instance?.deployment}`)
      .replace('{version}', '1')
      .replace('{name}', 'keeper')
  const read = Object.entries(paths).filter(([, verbs]) => 'get' in verbs)
  for (const [path] of read) {
    const response = await fetch(`${cluster.apiUrl}${fill(path)}`, {
      headers: { authorization: `Bearer ${cluster.token}` },
    })
    said.push(await response.text())
  }
  const shows = [
    ['show', 'keeper'],
    ['history', 'keeper'],
    ['diff', 'keeper'],
    ['explain', 'keeper'],
    ['events'],
    ['ps'],
    ['services'],
    ['secret', 'ls', '--json'],
    ['logs', 'keeper'],
    ['alerts'],
  ]
  for (const argv of shows) await tucano(argv)
  expect(said.join('\n')).toContain('keeper')
}

/** Text of every file below the folder, by its path. */
function textsUnder(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
  return Object.fromEntries(
    files
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [path, readFileSync(path, 'latin1')]),
  )
}

/** What the system tells of each process of this machine to everybody. */
function processTexts(name: 'cmdline'): Record<string, string> {
  const texts = readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => {
      try {
        return [[`${name} of ${pid}`, readFileSync(`/proc/${pid}/${name}`, 'latin1')]]
      } catch {
        // It ended since the list was read.
        return []
      }
    })
  return Object.fromEntries(texts) as Record<string, string>
}

/** Places that hold a value, as it is or as base64 or hex would show it. */
function hits(places: Record<string, string>): string[] {
  const needles = [one, two, file.slice(11, 30)].flatMap((value) => [
    value,
    Buffer.from(value).toString('base64').slice(0, -4),
    Buffer.from(value).toString('hex'),
  ])
  return Object.entries(places).flatMap(([place, text]) =>
    needles.some((needle) => text.includes(needle)) ? [place] : [],
  )
}

function memoryOf(node: string): string {
  return `/dev/shm/tucano-${agentTagOf(join(cluster.folder, node))}`
}
