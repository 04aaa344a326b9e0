// What tucano up writes, chooses and refuses; the real daemons run in test/e2e/up.test.ts.

import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { choosePorts } from '#cli/up/free-ports.io.ts'
import { openStateFolder } from '#cli/up/state-folder.io.ts'
import { agentText, rangeOf, topologyText } from '#cli/up/up-files.ts'
import { parseAgentConfig } from '#shared/agent-config.ts'
import { parseTopology } from '#shared/topology.ts'
import { runIn } from '#test/helpers/cli.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'

const fresh = { fresh: true, beforeForgetting: async () => {} }
const kept = { ...fresh, fresh: false }

test('the configurations it writes are valid, whatever the folder is called', () => {
  const ports = { api: 7070, balancer: 8080, agents: [7071, 7072, 7073] }
  const folder = `/tmp/a folder: with "quotes" & {more}`
  const topology = parseTopology(topologyText(folder, ports), 'topology.yaml')
  expect(topology.topology.map(({ name }) => name)).toEqual(['c1', 'w1', 'w2', 'w3'])
  expect(topology.store.folder).toBe(join(folder, 'controller'))
  const agents = [0, 1, 2].map((index) =>
    parseAgentConfig(agentText(folder, ports, index), 'agent.yaml'),
  )
  expect(agents.map(({ name, port }) => `${name} ${port}`)).toEqual([
    'w1 7071',
    'w2 7072',
    'w3 7073',
  ])
})

test.each([1, 3, 7, 20])('ranges of %i agents do not overlap and stay in 20000..32000', (count) => {
  const ranges = Array.from({ length: count }, (_, index) => rangeOf(count, index))
  for (const [index, { from, to }] of ranges.entries()) {
    expect(from).toBeGreaterThan(ranges[index - 1]?.to ?? 19_999)
    expect(to).toBeLessThanOrEqual(32_000)
  }
})

test('kept ports are taken again; one that is in use is replaced, and that is said', async () => {
  const first = await choosePorts({ kept: undefined, workers: 2, balancer: undefined })
  const { ports } = first
  expect(new Set([ports.api, ports.balancer, ...ports.agents]).size).toBe(4)
  const again = await choosePorts({ kept: ports, workers: 2, balancer: undefined })
  expect(again).toEqual({ ports, changes: [] })

  const server = createServer()
  await new Promise<void>((resolve) => server.listen(ports.api, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const moved = await choosePorts({ kept: ports, workers: 2, balancer: undefined })
  expect(moved.ports.api).not.toBe(ports.api)
  expect(moved.changes).toEqual([
    `controller: port ${ports.api} is in use now, ${moved.ports.api} is taken instead`,
  ])
})

test('a folder that up did not make is not touched', async () => {
  const folder = temporaryFolder()
  writeFileSync(join(folder, 'letters.txt'), 'dear')
  await expect(openStateFolder(folder, fresh)).rejects.toThrow('was not made by tucano up')
  expect(existsSync(join(folder, 'letters.txt'))).toBe(true)
  const { code, err } = await runIn(folder, ['up', '--state', '.', '--fresh']).done
  expect(code).toBe(2)
  expect(err).toContain('choose another folder with --state')
})

test('--fresh deletes what up made, also read-only folders, and nothing else', async () => {
  const folder = join(temporaryFolder(), 'state')
  {
    using state = await openStateFolder(folder, kept)
    await state.savePorts({ api: 1, balancer: 2, agents: [3] })
  }
  mkdirSync(join(folder, 'agents', 'w1'), { recursive: true })
  writeFileSync(join(folder, 'agents', 'w1', 'file'), '', { mode: 0o400 })
  writeFileSync(join(folder, 'of-the-user.txt'), 'mine')
  {
    using state = await openStateFolder(folder, kept)
    expect(state.isOld).toBe(true)
    expect(await state.readPorts()).toEqual({ api: 1, balancer: 2, agents: [3] })
  }
  using state = await openStateFolder(folder, fresh)
  expect(state.isOld).toBe(false)
  expect(await state.readPorts()).toBeUndefined()
  expect(existsSync(join(folder, 'agents'))).toBe(false)
  expect(existsSync(join(folder, 'of-the-user.txt'))).toBe(true)
})

test('a second up in the same folder is refused, and the folder is free after the first', async () => {
  const folder = join(temporaryFolder(), 'state')
  {
    using _first = await openStateFolder(folder, kept)
    const { code, err } = await runIn(folder, ['up', '--state', folder]).done
    expect(code).toBe(1)
    expect(err).toContain(`another tucano up is running in ${folder}`)
  }
  using _again = await openStateFolder(folder, kept)
})

test.each([
  ['--workers', '0'],
  ['--workers', '21'],
  ['--port', '80'],
  ['--service', 'nowhere'],
])('up %s %s is wrong usage', async (...options) => {
  const folder = temporaryFolder()
  expect((await runIn(folder, ['up', ...options]).done).code).toBe(2)
  expect(existsSync(join(folder, '.tucano'))).toBe(false)
})
