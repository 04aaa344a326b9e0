// The CLI against a fake controller behind the real API, over real HTTP.

import { mkdirSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { onTestFinished } from 'vitest'
import { commands } from '#cli/commands.ts'
import type { Input } from '#cli/read-value.ts'
import { run } from '#cli/run.ts'
import type { ApiOptions } from '#ctld/api/api.io.ts'
import type { Snapshot } from '#ctld/snapshot.ts'
import { machineClock } from '#shared/clock.io.ts'
import { createFakeCtld } from '#test/fakes/ctld.ts'
import { ADMIN_TOKEN, createTestApi, type TestApi } from './api.ts'
import { temporaryFolder } from './temporary-folder.ts'

export const NOW = 100_000

export type Told = { code: number; out: string; err: string }

export type TestCli = TestApi & {
  url: string
  folder: string
  /** Runs a command line to its end. */
  tucano(...argv: string[]): Promise<Told>
  /** The same while it runs. */
  begin(argv: string[], options?: RunOptions): Running
}

export type RunOptions = {
  isTTY?: boolean
  env?: NodeJS.ProcessEnv
  /** What is piped in, or typed. */
  input?: string | Uint8Array | Input
}

export type Running = {
  done: Promise<Told>
  interrupt(): void
  /** Resolves once the output has it; rejects when the command ends without it. */
  said(pattern: RegExp): Promise<void>
}

export async function createTestCli(
  start: Partial<Snapshot> = {},
  options: Pick<Partial<ApiOptions>, 'counters'> = {},
): Promise<TestCli> {
  const api = createTestApi({ ...options, ctld: createFakeCtld(start), clock: machineClock })
  await api.app.listen({ host: '127.0.0.1', port: 0 })
  onTestFinished(() => api.app.close())
  const { port } = api.app.server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}`
  const folder = temporaryFolder()
  writeContext(join(folder, '.tucano'), url)
  const begin: TestCli['begin'] = (argv, options) => runIn(folder, argv, options)
  return { ...api, url, folder, begin, tucano: (...argv) => begin(argv).done }
}

export function writeContext(folder: string, controller: string, token = ADMIN_TOKEN): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'admin-token'), `${token}\n`, { mode: 0o600 })
  const context = { controller, token_file: 'admin-token' }
  writeFileSync(join(folder, 'context.json'), JSON.stringify(context))
}

function inputOf({ input = '', isTTY = false }: RunOptions): Input {
  if (typeof input !== 'string' && !(input instanceof Uint8Array)) return input
  return Object.assign(Readable.from([Buffer.from(input)]), { isTTY })
}

export function runIn(folder: string, argv: string[], options: RunOptions = {}): Running {
  const ending = new AbortController()
  const told = { out: '', err: '' }
  const waiting = new Set<() => void>()
  const sink = (name: 'out' | 'err') => ({
    isTTY: options.isTTY ?? false,
    write(text: string) {
      told[name] += text
      for (const look of waiting) look()
    },
  })
  const done = run(argv, commands, {
    out: sink('out'),
    err: sink('err'),
    env: options.env ?? {},
    input: inputOf(options),
    folder,
    now: () => NOW,
    signal: ending.signal,
  }).then((code) => ({ code, ...told }))
  return {
    done,
    interrupt: () => ending.abort(),
    said: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (!pattern.test(told.out + told.err)) return
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        look()
        done.then(() => reject(new Error(`ended without ${pattern}: ${told.out}${told.err}`)))
      }),
  }
}
