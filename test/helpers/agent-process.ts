// A controller played over HTTP and the real agent as a process that obeys it, with an image to
// run: test/fixtures/program.ts. Facts are waited for in the reports.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { onTestFinished } from 'vitest'
import { createPrograms } from '#agentd/runner/programs.io.ts'
import { packFolder } from '#shared/pack.io.ts'
import type { AssignedInstance, Assignment, InstanceStatus, Report } from '#shared/wire.ts'
import { spec } from '#test/agentd/agent-world.ts'
import { removeGroups } from './groups.ts'
import { PATIENCE } from './patience.ts'
import { temporaryFolder } from './temporary-folder.ts'

export const TOKEN = 'token-of-the-agents-of-this-test'
const WAIT_MS_MAX = 15_000 * PATIENCE
const main = join(import.meta.dirname, '../../agentd/main.ts')

export type PlayedController = {
  url: string
  digest: string
  reports: Report[]
  /** From now on this is in the answer to each report whose agent does not obey it yet. */
  assign(instances: AssignedInstance[]): Assignment
  spec(id: string, overrides?: Partial<AssignedInstance>): AssignedInstance
  /** The next status of the instance for which the check holds. */
  until(id: string, check: (status: InstanceStatus) => boolean): Promise<InstanceStatus>
  /** A report in which it is not any more. */
  gone(id: string): Promise<void>
}

export async function playController(): Promise<PlayedController> {
  const image = await packProgram()
  const reports: Report[] = []
  const listeners = new Set<() => void>()
  let assignment: Assignment = { node: 'w1', epoch: 1, generation: 1, instances: [] }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.headers.authorization !== `Bearer ${TOKEN}`)
      return void response.writeHead(401).end()
    if (request.url === `/v1/images/${image.digest}`) return void response.end(image.bytes)
    const report = (await json(request)) as Report
    reports.push(report)
    const { epoch, generation } = assignment
    const isObeyed = report.epoch === epoch && report.generation === generation
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ epoch, generation, ...(isObeyed ? {} : { assignment }) }))
    for (const listener of listeners) listener()
  }

  const server = createServer((request, response) => void answer(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    digest: image.digest,
    reports,
    assign(instances) {
      assignment = { ...assignment, generation: assignment.generation + 1, instances }
      return assignment
    },
    spec: (id, overrides = {}) => ({ ...program(id, image.digest), ...overrides }),
    until(id, check) {
      return waitFor(id, (report) => {
        const status = report?.instances.find((instance) => instance.id === id)
        return status !== undefined && check(status) ? status : undefined
      })
    },
    async gone(id) {
      await waitFor(id, (report) => report?.instances.every((instance) => instance.id !== id))
    },
  }

  function waitFor<T>(id: string, find: (report: Report | undefined) => T | undefined) {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const look = () => {
      const found = find(reports.at(-1))
      if (found) resolve(found)
    }
    listeners.add(look)
    const late = setTimeout(() => {
      reject(new Error(`not reported of ${id}; last: ${JSON.stringify(reports.at(-1))}`))
    }, WAIT_MS_MAX)
    return promise.finally(() => {
      clearTimeout(late)
      listeners.delete(look)
    })
  }
}

export type AgentProcess = {
  child: ChildProcess
  url: string
  /** Resolves to the exit code, null when a signal ended it. */
  ended: Promise<number | null>
  output: () => string
}

/** An agent's folder with its configuration; whatever runs from it is killed with the test. */
export async function agentFolder(controller: string, port: number): Promise<string> {
  const folder = temporaryFolder()
  const data = join(folder, 'data')
  mkdirSync(data)
  writeFileSync(join(folder, 'token'), TOKEN, { mode: 0o600 })
  const lines = [
    'name: w1',
    `controller: ${controller}`,
    'token: { file: token }',
    'host: 127.0.0.1',
    `port: ${port}`,
    'publish_interval: 200ms',
    'port_range: { from: 24000, to: 24999 }',
    `data_folder: ${data}`,
  ]
  writeFileSync(join(folder, 'agent.yaml'), `${lines.join('\n')}\n`)
  onTestFinished(() => killPrograms(data), 20_000)
  return folder
}

export function startAgent(folder: string, ...args: string[]): AgentProcess {
  const config = join(folder, 'agent.yaml')
  const child = spawn(process.execPath, [main, '--config', config, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk
    })
  }
  const ended = once(child, 'exit').then(([code]) => code as number | null)
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  const port = /port: (\d+)/.exec(readFileSync(config, 'utf8'))?.[1]
  return { child, url: `http://127.0.0.1:${port}`, ended, output: () => output }
}

async function killPrograms(dataFolder: string): Promise<void> {
  const quiet = () => {}
  const log = { debug: quiet, info: quiet, warn: quiet, error: quiet }
  using programs = createPrograms({ dataFolder, host: '127.0.0.1', log })
  for (const id of await programs.strays()) await programs.sweep(id)
  await removeGroups(dataFolder)
}

async function packProgram(): Promise<{ digest: string; bytes: Buffer }> {
  const folder = temporaryFolder()
  copyFileSync(join(import.meta.dirname, '../fixtures/program.ts'), join(folder, 'server.ts'))
  const packed = await packFolder(folder)
  const bytes = readFileSync(packed.file)
  await packed.dispose()
  return { digest: packed.digest, bytes }
}

function program(id: string, digest: string): AssignedInstance {
  return spec(id, {
    image: { digest, build: [], build_timeout_ms: 10_000, run: ['node', 'server.ts'] },
    health: { path: '/', interval_ms: 200, timeout_ms: 1_000 },
    stop: { grace_ms: 3_000 },
  })
}
