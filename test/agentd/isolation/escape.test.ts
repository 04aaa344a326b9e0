// What a hostile program of an agent that is root tries to get its rights, or another's secrets.

import { spawn } from 'node:child_process'
import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { agentTagOf } from '#agentd/runner/launch.io.ts'
import { newAgent } from './root-agent.ts'

const command = (script: string) => ({
  kind: 'command' as const,
  argv: ['/bin/sh', '-c', script],
})

describe.skipIf(process.getuid?.() !== 0)('a hostile program of an agent that is root', () => {
  test('names no folder outside by the mark that it gives itself', async () => {
    const { programs, dataFolder } = await newAgent()
    const odd = ['../../victim', '..', '.', '', 'a/../../b', 'a'.repeat(65)]
    const children = ['i-1', ...odd].map((id) => {
      const env = { TUCANO_MARK: `${agentTagOf(dataFolder)}.${id}` }
      return spawn('/bin/sleep', ['600'], { env, stdio: 'ignore' })
    })
    onTestFinished(() => {
      for (const child of children) child.kill('SIGKILL')
    })
    await expect.poll(() => programs.strays()).toEqual(['i-1'])
  })

  test('has no command run as root before it has given up the rights of its start', async () => {
    const { start, programs } = await newAgent()
    for (let round = 0; round < 5; round += 1) {
      const { id, mark } = await start('exec sleep 600')
      const way = command('echo uid $(id -u)')
      const { words } = await programs.probe({ id, mark, port: 1, way, timeoutMs: 10_000 })
      expect(words).not.toMatch(/uid 0$/)
    }
  })

  test('has no command run as root in a view that it made itself', async () => {
    const { start, programs, folder } = await newAgent()
    writeFileSync(join(folder, 'trap'), '#!/bin/sh\nid -u\nexit 9\n', { mode: 0o755 })
    const within = `mount --bind ${folder}/trap /usr/bin/setpriv && echo up; sleep 600; :`
    const { id, mark } = await start(
      `unshare -Urm true || { echo no; exec sleep 600; }; exec unshare -Urm sh -c '${within}'`,
    )
    // Where a kernel lets nobody make one, the check must pass all the same.
    await expect.poll(() => programs.logTail(id)).not.toEqual([])
    const way = command('exit 3')
    const { words } = await programs.probe({ id, mark, port: 1, way, timeoutMs: 10_000 })
    expect(words).toBe('/bin/sh: exit code 3')
  })

  test('finds no secrets that came to a disk after its start', async () => {
    const { start, programs, dataFolder } = await newAgent('nobody', true)
    const files = [{ name: 'key', text: 'canary' }]
    const spy = await start(
      `echo up; until [ -e $HOME/go ]; do sleep 0.05; done
       read id <$HOME/go; cat ${dataFolder}/secrets/$id/key; echo; echo done`,
    )
    await expect.poll(() => programs.logTail(spy.id)).toContain('up')
    // One that comes and goes first: an empty folder must not be another one later.
    const first = await start('true', { files })
    await first.end
    await programs.sweep(first.id)
    const other = await start('exec sleep 600', { files })
    writeFileSync(join(dataFolder, 'instances', spy.id, 'home/go'), `${other.id}\n`)
    await expect.poll(() => programs.logTail(spy.id)).toContain('done')
    expect(await programs.logTail(spy.id)).not.toContain('canary')
  })

  test('builds nothing that lends the rights of the group of root', async () => {
    const { box, folder } = await newAgent()
    const built = join(folder, 'built')
    mkdirSync(built)
    for (const [name, mode] of [
      ['a', 0o2701],
      ['b', 0o6755],
      ['c', 0o4711],
    ] as const) {
      writeFileSync(join(built, name), '', { mode: 0o600 })
      await box.users.give(join(built, name), { uid: 65_534, gid: 65_534 })
      chmodSync(join(built, name), mode)
    }
    await box.users.publish(built)
    const modes = ['a', 'b', 'c'].map((name) => statSync(join(built, name)).mode & 0o7777)
    expect(modes).toEqual([0o755, 0o755, 0o755])
  })
})
