// The table on disk: what was kept is loaded, what cannot be used is set aside and nothing fails.

import { expect, test } from 'vitest'
import { createKeptTables } from '#ctld/balancer/data-plane/supervisor/kept-table.ts'
import { writeDurable } from '#shared/durable-file.ts'
import { createFakeDisk } from '#test/fakes/disk.ts'
import { createManualClock } from '#test/helpers/manual-clock.ts'
import { aRoute, settings, silent } from './world.ts'

const table = { version: 5, settings, routes: [aRoute('a', ['i-1'])] }
const FILE = { folder: '/b', name: 'table.json', kind: 'routes', format: 1, backup: true } as const

test('what was kept last is loaded, after a power cut too', async () => {
  const { disk, tables } = rig()
  expect(await tables.load()).toBeUndefined()
  await tables.save(table)
  await tables.save({ ...table, version: 6 })
  disk.crash(() => 0.5)
  expect(await rig(disk).tables.load()).toEqual({ ...table, version: 6 })
})

test('a table with what this version cannot use is set aside and said', async () => {
  const { disk, tables, said } = rig()
  const broken = { ...table, routes: [{ ...table.routes[0], balance: 'by_moon' }] }
  await writeDurable(disk.mount(), { ...FILE, whenLost: 'forget' }, broken)
  expect(await tables.load()).toBeUndefined()
  expect(said).toEqual(['the route table on disk cannot be used and is kept aside'])
  expect(disk.paths().some((path) => path.startsWith('/b/table.json.unusable-'))).toBe(true)
  await tables.save(table)
  expect(await tables.load()).toEqual(table)
})

test('a damaged file is no reason not to start: the one before it is taken', async () => {
  const { disk, tables, said } = rig()
  await tables.save(table)
  await tables.save({ ...table, version: 6 })
  disk.poke('/b/table.json', Buffer.from('{"torn'))
  expect(await tables.load()).toEqual(table)
  expect(said.join()).toContain('/b/table.json could not be read')
})

test('a file of a newer version is no reason not to start', async () => {
  const { disk, tables, said } = rig()
  await writeDurable(disk.mount(), { ...FILE, format: 2, whenLost: 'forget' }, table)
  expect(await tables.load()).toBeUndefined()
  expect(said).toEqual(['the route table on disk cannot be read'])
})

function rig(disk = createFakeDisk()) {
  const said: string[] = []
  const say = (_: unknown, text: string) => void said.push(text)
  const log = { ...silent, warn: say, error: say }
  return {
    disk,
    said,
    tables: createKeptTables({ disk: disk.mount(), clock: createManualClock(), log }, '/b'),
  }
}
