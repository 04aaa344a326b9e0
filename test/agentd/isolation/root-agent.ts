// An agent that is root, for what only real programs of it can show.

import { randomUUID } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { openBox } from '#agentd/isolation/box.io.ts'
import type { ProgramEnd } from '#agentd/ports.ts'
import { createPrograms } from '#agentd/runner/programs.io.ts'
import { removeGroups } from '#test/helpers/groups.ts'

const silent = () => undefined
const log = { debug: silent, info: silent, warn: silent, error: silent }

/** An agent whose files do not lie in /tmp, of which its programs have one of their own. */
export async function newAgent(user = 'nobody', isOnDisk = false) {
  const home = mkdtempSync('/var/lib/tucano-test-')
  const dataFolder = join(home, 'data')
  const inMemory = `/dev/shm/tucano-test-${randomUUID()}`
  const secretsFolder = isOnDisk ? join(dataFolder, 'secrets') : inMemory
  mkdirSync(dataFolder, { mode: 0o700 })
  writeFileSync(join(dataFolder, 'agent-token'), 'token', { mode: 0o600 })
  const folder = join(home, 'image')
  mkdirSync(folder, { mode: 0o755 })
  chmodSync(home, 0o755)
  const box = await openBox({ dataFolder, secretsFolder, user, log })
  const programs = createPrograms({ dataFolder, host: '127.0.0.1', log, box, secretsFolder })
  const ended = new Map<string, (end: ProgramEnd) => void>()
  programs.onEnd((id, _mark, end) => ended.get(id)?.(end))
  onTestFinished(async () => {
    for (const id of await programs.strays()) await programs.sweep(id)
    programs[Symbol.dispose]()
    await removeGroups(dataFolder)
    for (const each of [home, secretsFolder]) rmSync(each, { recursive: true, force: true })
  }, 20_000)

  async function start(script: string, more: Partial<Parameters<typeof programs.start>[0]> = {}) {
    const id = randomUUID()
    const { promise: end, resolve } = Promise.withResolvers<ProgramEnd>()
    ended.set(id, resolve)
    const argv = ['/bin/sh', '-c', script]
    const mark = await programs.start({ id, argv, folder, env: {}, ...more })
    return { id, mark, end }
  }

  /** What a script prints. */
  async function said(script: string, more = {}) {
    const { id, end } = await start(script, more)
    return { end: await end, lines: await programs.logTail(id), id }
  }
  return { box, programs, dataFolder, folder, start, said }
}
