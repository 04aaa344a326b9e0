// The one thing that keeps state: durable, with its backup, and never taken for what it is not.

import { describe, expect, test } from 'vitest'
import { machineDisk } from '#shared/disk.io.ts'
import type { Disk } from '#shared/disk.ts'
import { type DurableFile, readDurable, removeDurable, writeDurable } from '#shared/durable-file.ts'
import { createFakeDisk } from '#test/fakes/disk.ts'
import { randomOf } from '#test/helpers/seeds.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'

const clock = { wall: () => 1_700 }
const SEEDS = 300
const aFile: DurableFile = {
  folder: '/data',
  name: 'thing.json',
  kind: 'thing',
  format: 1,
  backup: true,
  whenLost: 'refuse',
}

describe.each([
  ['the machine', (): { disk: Disk; folder: string } => inTempFolder()],
  ['memory', () => ({ disk: createFakeDisk().mount(), folder: '/data' })],
])('on the disk of %s', (_, world) => {
  test('reads nothing, then what was last written, then nothing again', async () => {
    const { disk, folder } = world()
    const file = { ...aFile, folder }
    const read = () => readDurable({ disk, clock }, file)
    expect(await read()).toEqual({ value: undefined, notices: [] })
    await writeDurable(disk, file, { n: 1 })
    await writeDurable(disk, file, { n: 2, text: 'ação\n\u0000' })
    expect(await read()).toEqual({ value: { n: 2, text: 'ação\n\u0000' }, notices: [] })
    expect(await disk.list(folder)).toEqual(['thing.json', 'thing.json.bak'])
    await removeDurable(disk, file)
    expect(await read()).toEqual({ value: undefined, notices: [] })
    expect(await disk.list(folder)).toEqual([])
  })

  test('keeps a damaged file aside and loads the value before it', async () => {
    const { disk, folder } = world()
    const file = { ...aFile, folder }
    await writeDurable(disk, file, { n: 1 })
    await writeDurable(disk, file, { n: 2 })
    await disk.write(`${folder}/thing.json`, Buffer.from('{"n":3}\n'))

    const path = `${folder}/thing.json`
    expect(await readDurable({ disk, clock }, file)).toEqual({
      value: { n: 1 },
      notices: [
        `${path} could not be read (its first line is not a header) and is kept as ` +
          `${path}.unreadable-1700`,
        `the backup ${path}.bak was loaded instead: the last change of ${path} may be missing`,
      ],
    })
    expect(await disk.list(folder)).toEqual(['thing.json.bak', 'thing.json.unreadable-1700'])

    await writeDurable(disk, file, { n: 4 })
    expect(await readDurable({ disk, clock }, file)).toEqual({ value: { n: 4 }, notices: [] })
  })
})

test('says so when only the backup is there', async () => {
  const disk = createFakeDisk().mount()
  await writeDurable(disk, aFile, 1)
  await writeDurable(disk, aFile, 2)
  await disk.remove('/data/thing.json')
  const reading = await readDurable({ disk, clock }, aFile)
  expect(reading.value).toBe(1)
  expect(reading.notices.join('; ')).toMatch(/thing\.json is missing; the backup .* was loaded/)
})

test('refuses, and moves nothing, when a damaged file has no backup to stand in', async () => {
  const fake = createFakeDisk()
  fake.poke('/data/thing.json', Buffer.from('garbage'))
  for (const _attempt of [1, 2]) {
    await expect(readDurable({ disk: fake.mount(), clock }, aFile)).rejects.toMatchObject({
      code: 'store_failed',
      message: expect.stringContaining('/data/thing.json.bak (missing)'),
    })
  }
  expect(fake.paths()).toEqual(['/data/thing.json'])
})

test('goes on without what may be forgotten, saying so', async () => {
  const fake = createFakeDisk()
  fake.poke('/data/thing.json', new Uint8Array())
  const page: DurableFile = { ...aFile, backup: false, whenLost: 'forget' }
  const reading = await readDurable({ disk: fake.mount(), clock }, page)
  expect(reading.value).toBeUndefined()
  expect(reading.notices).toEqual([
    '/data/thing.json could not be read (it is empty) and is kept as ' +
      '/data/thing.json.unreadable-1700',
  ])
})

test('does not take a file of another kind for its own', async () => {
  const disk = createFakeDisk().mount()
  const page = { ...aFile, backup: false }
  await writeDurable(disk, { ...page, kind: 'page' }, 1)
  await expect(readDurable({ disk, clock }, page)).rejects.toThrow('it holds "page", not "thing"')
})

test('after a failed write the former value is there, and no half of the new one', async () => {
  const fake = createFakeDisk()
  const disk = fake.mount()
  await writeDurable(disk, aFile, 1)
  fake.setFull(true)
  await expect(writeDurable(disk, aFile, 2)).rejects.toMatchObject({ code: 'store_failed' })
  expect(fake.paths()).toEqual(['/data/thing.json'])
  expect((await readDurable({ disk, clock }, aFile)).value).toBe(1)
})

test('after a power cut at any step: the last acknowledged value or the one being written', async () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    const { random } = randomOf(seed)
    const died = Promise.withResolvers<void>()
    let stepsLeft = 1 + Math.floor(random() * 40)
    const fake = createFakeDisk({
      pause: async () => {
        if (--stepsLeft !== 0) return
        fake.crash(random)
        died.resolve()
      },
    })
    let acked = 0
    const disk = fake.mount()
    const write = async () => {
      for (let n = 1; ; n++) {
        await writeDurable(disk, aFile, n)
        acked = n
      }
    }
    await Promise.race([write(), died.promise])
    const reading = await readDurable<number>({ disk: fake.mount(), clock }, aFile)
    expect([acked, acked + 1], `seed ${seed}`).toContain(reading.value ?? 0)
    expect(reading.notices, `seed ${seed}`).toEqual([])
  }
})

test('what was removed does not come back after a power cut', async () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    const { random } = randomOf(seed)
    const fake = createFakeDisk()
    await writeDurable(fake.mount(), aFile, 1)
    await writeDurable(fake.mount(), aFile, 2)
    await removeDurable(fake.mount(), aFile)
    fake.crash(random)
    const reading = await readDurable({ disk: fake.mount(), clock }, aFile)
    expect(reading, `seed ${seed}`).toEqual({ value: undefined, notices: [] })
  }
})

function inTempFolder(): { disk: Disk; folder: string } {
  return { disk: machineDisk, folder: temporaryFolder() }
}
